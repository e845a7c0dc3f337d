# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Fold rows into groups: a hash table that lives as long as a split, over columns of 64-bit words.

What grouped questions need most (count, sum, least, greatest, first, last) is done here over the
scanned buffers; SQL is asked once for the groups of a split, not for the rows of each block.
"""

import cython

if cython.compiled:
    from cython.cimports.libc.string import memcpy
    from cython.cimports.pipeline.kernels.columns import Column, is_null, word_of
    from cython.cimports.pipeline.kernels.groups import Groups
else:
    from pipeline.kernels.columns import Column, is_null, word_of
    from pipeline.kernels.groups import Groups

from pipeline.kernels.groups import CHUNK
from pipeline.memory import zeros

COMPILED = cython.compiled

#: What is kept of a group. COUNT: its rows. SUM, LEAST, GREATEST: of the values that aren't NULL.
#: ANY: the first value that isn't NULL. FIRST, LAST: those of its first and last row, NULL or not.
COUNT, SUM, LEAST, GREATEST, ANY, FIRST, LAST = range(7)
#: Larger numbers aren't added up here: a sum of fewer than 2 ** 22 others stays below 2 ** 63.
MOST = 1 << 40

_CHUNK = cython.declare(cython.Py_ssize_t, CHUNK)
_SUM = cython.declare(cython.int, 1)
_LEAST = cython.declare(cython.int, 2)
_GREATEST = cython.declare(cython.int, 3)
_ANY = cython.declare(cython.int, 4)
_FIRST = cython.declare(cython.int, 5)
_LAST = cython.declare(cython.int, 6)
_MOST = cython.declare(cython.longlong, 1 << 40)


@cython.final
@cython.cclass
class Folder(Groups):
    """The groups of rows, and what is kept of each.

    Parameters
    ----------
    units : sequence of int
        One a key: its words are rounded down to a multiple of it; 1 leaves them as they are.
    folds : sequence of int
        What is kept: `COUNT` … `LAST`.
    seed : int
        Secret of this process, see `Texts`.
    """

    _kinds: list
    _nothing: Column
    _n_folds: cython.Py_ssize_t
    _kept: tuple
    _values: cython.p_longlong  # of folds, one array of `_capacity` behind the other
    _filled: cython.p_uchar

    def __init__(self, units, folds, seed: cython.ulonglong = 0):
        super().__init__(units, seed)
        self._kinds = list(folds)
        self._nothing = Column()
        self._n_folds = len(folds)
        self._allocate_values()

    def reset(self):
        """Forget all groups and texts."""
        k: cython.Py_ssize_t
        g: cython.Py_ssize_t
        n: cython.Py_ssize_t = self.n_groups
        if self._forget():
            self._allocate_values()
            return
        for k in range(self._n_folds):
            for g in range(n):
                self._values[k * self._capacity + g] = 0
                self._filled[k * self._capacity + g] = 0

    def is_foldable(self, column: Column, rows: cython.int[::1], n: cython.Py_ssize_t):
        """Tell whether a column's numbers are small enough to be added up."""
        k: cython.Py_ssize_t
        row: cython.Py_ssize_t
        value: cython.longlong
        is_small: cython.bint = True
        with cython.nogil:
            for k in range(n):
                row = rows[k]
                if not is_null(column, row):
                    value = word_of(column, row, self.texts)
                    is_small = is_small and -_MOST <= value <= _MOST
        return is_small

    def add(self, keys, columns, conditions, rows: cython.int[::1], n: cython.Py_ssize_t):
        """Fold rows of the table at hand.

        Parameters
        ----------
        keys : list of Column
            One a key.
        columns : list of Column or None
            One a fold; None for `COUNT`.
        conditions : list of (Column, int) or None
            One a fold: only rows with this value count for it.
        rows : buffer of int32
            Which, in order.
        n : int
            How many.
        """
        first: cython.Py_ssize_t = 0
        stop: cython.Py_ssize_t
        size: cython.Py_ssize_t
        known: cython.Py_ssize_t
        n_touched: cython.Py_ssize_t
        k: cython.Py_ssize_t
        textual = [c for c in [*keys, *columns] if c is not None and c.kind == 3]
        while first < n:
            stop = min(first + _CHUNK, n)
            part = rows[first:stop]
            size = self._capacity
            self._make_room(stop - first)
            if self._capacity > size:
                self._move_values(size)
            n_bytes = sum([column.text_bytes(part, stop - first) for column in textual])
            self.texts.make_room((stop - first) * len(textual), n_bytes)
            self._clear(stop - first)
            for k in range(self._n_keys):
                self._key(k, keys[k], self._units[k], part, stop - first)
            known = self.n_groups
            self._find(part, stop - first)
            n_touched = 0
            if 6 in self._kinds:
                n_touched = self._touch(part, stop - first)
            for k in range(self._n_folds):
                kind = self._kinds[k]
                # -1: no byte has this value, and every row counts.
                condition, value = conditions[k] or (self._nothing, -1)
                if kind == 0:
                    self._count(k, condition, value, part, stop - first)
                elif kind == 4:
                    self._any(k, columns[k], condition, value, part, stop - first)
                elif kind == 5:
                    self._take(k, columns[k], self.n_groups - known, known, is_new=True)
                elif kind == 6:
                    self._take(k, columns[k], n_touched, 0, is_new=False)
                else:
                    self._measure(k, kind, columns[k], part, stop - first)
            first = stop

    def fold(self, k: cython.Py_ssize_t):
        """Return what a fold keeps, one a group, and its validity bits."""
        g: cython.Py_ssize_t
        at: cython.Py_ssize_t = k * self._capacity
        held = bytearray(self.n_groups // 8 + 1)
        bits: cython.uchar[::1] = held
        for g in range(self.n_groups):
            bits[g >> 3] |= (self._filled[at + g] != 0) << (g & 7)
        return memoryview(self._kept[0][at : at + self.n_groups]), held

    # The folds.

    @cython.cfunc
    def _count(
        self,
        f: cython.Py_ssize_t,
        condition: Column,
        wanted: cython.longlong,
        rows: cython.int[::1],
        n: cython.Py_ssize_t,
    ):
        i: cython.Py_ssize_t
        at: cython.Py_ssize_t = f * self._capacity
        if wanted < 0:
            with cython.nogil:
                for i in range(n):
                    self._values[at + self._groups[i]] += 1
            return
        with cython.nogil:
            for i in range(n):
                if _is_met(condition, rows[i], wanted):
                    self._values[at + self._groups[i]] += 1

    @cython.cfunc
    def _any(
        self,
        f: cython.Py_ssize_t,
        column: Column,
        condition: Column,
        wanted: cython.longlong,
        rows: cython.int[::1],
        n: cython.Py_ssize_t,
    ):
        i: cython.Py_ssize_t
        g: cython.Py_ssize_t
        row: cython.Py_ssize_t
        at: cython.Py_ssize_t = f * self._capacity
        with cython.nogil:
            for i in range(n):
                row = rows[i]
                if is_null(column, row):
                    continue
                g = at + self._groups[i]
                if not self._filled[g] and (wanted < 0 or _is_met(condition, row, wanted)):
                    self._filled[g] = 1
                    self._values[g] = word_of(column, row, self.texts)

    @cython.cfunc
    def _take(
        self,
        f: cython.Py_ssize_t,
        column: Column,
        n: cython.Py_ssize_t,
        known: cython.Py_ssize_t,
        is_new: cython.bint,
    ):
        """Take the value of the first rows of new groups, or the last rows of touched ones."""
        i: cython.Py_ssize_t
        g: cython.Py_ssize_t
        row: cython.Py_ssize_t
        at: cython.Py_ssize_t = f * self._capacity
        with cython.nogil:
            for i in range(n):
                if is_new:
                    g = at + known + i
                    row = self._heads[i]
                else:
                    g = at + self._touched[i]
                    row = self._tails[i]
                self._filled[g] = not is_null(column, row)
                if self._filled[g]:
                    self._values[g] = word_of(column, row, self.texts)

    @cython.cfunc
    def _measure(
        self,
        f: cython.Py_ssize_t,
        kind: cython.int,
        column: Column,
        rows: cython.int[::1],
        n: cython.Py_ssize_t,
    ):
        i: cython.Py_ssize_t
        g: cython.Py_ssize_t
        row: cython.Py_ssize_t
        word: cython.longlong
        at: cython.Py_ssize_t = f * self._capacity
        with cython.nogil:
            for i in range(n):
                row = rows[i]
                if is_null(column, row):
                    continue
                word = word_of(column, row, self.texts)
                g = at + self._groups[i]
                if not self._filled[g]:
                    self._filled[g] = 1
                    self._values[g] = word
                elif kind == _SUM:
                    self._values[g] += word
                elif kind == _LEAST:
                    if word < self._values[g]:
                        self._values[g] = word
                elif word > self._values[g]:
                    self._values[g] = word

    # Memory.

    @cython.cfunc
    def _move_values(self, size: cython.Py_ssize_t):
        """Go on in new memory, where there was room for so many groups."""
        k: cython.Py_ssize_t
        n: cython.Py_ssize_t = self.n_groups
        capacity: cython.Py_ssize_t = self._capacity
        kept = self._kept  # keeps the old memory until the copy is done
        values: cython.p_longlong = self._values
        filled: cython.p_uchar = self._filled
        self._allocate_values()
        for k in range(self._n_folds):
            if cython.compiled:
                memcpy(self._values + k * capacity, values + k * size, 8 * n)
                memcpy(self._filled + k * capacity, filled + k * size, n)
            else:
                self._values[k * capacity : k * capacity + n] = values[k * size : k * size + n]
                self._filled[k * capacity : k * capacity + n] = filled[k * size : k * size + n]
        del kept

    @cython.cfunc
    def _allocate_values(self):
        n: cython.Py_ssize_t = self._capacity * max(self._n_folds, 1)
        values: cython.longlong[::1] = memoryview(zeros(8 * n)).cast("q")
        filled: cython.uchar[::1] = memoryview(zeros(n)).cast("B")
        self._kept = (values, filled)
        if cython.compiled:
            self._values = cython.address(values[0])
            self._filled = cython.address(filled[0])
        else:
            self._values, self._filled = values, filled


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _is_met(condition: Column, row: cython.Py_ssize_t, wanted: cython.longlong) -> cython.bint:
    """Tell whether a column of bytes has this value in a row; it is not translated."""
    return condition.bytes_[row] == wanted and not is_null(condition, row)
