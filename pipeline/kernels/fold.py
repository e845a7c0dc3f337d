# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Fold rows into groups: a hash table that lives as long as a split, over columns of 64-bit words.

What grouped questions need most (count, sum, least, greatest, first, last) is done here over the
scanned buffers; SQL is asked once for the groups of a split, not for the rows of each block.
"""

import cython

if cython.compiled:
    from cython.cimports.libc.string import memcpy
    from cython.cimports.pipeline.kernels.columns import Column, Texts
else:
    from pipeline.kernels.columns import Column, Texts

from pipeline.memory import zeros

COMPILED = cython.compiled

#: What is kept of a group. COUNT: its rows. SUM, LEAST, GREATEST: of the values that aren't NULL.
#: ANY: the first value that isn't NULL. FIRST, LAST: those of its first and last row, NULL or not.
COUNT, SUM, LEAST, GREATEST, ANY, FIRST, LAST = range(7)
#: Rows that are worked on together: their words stay in the processor's cache.
CHUNK = 8192
#: Larger numbers aren't added up here: a sum of fewer than 2 ** 22 others stays below 2 ** 63.
MOST = 1 << 40

_FEW = cython.declare(cython.Py_ssize_t, 512)  # groups that there is room for at first
_SMALL = cython.declare(cython.Py_ssize_t, 16384)
_CHUNK = cython.declare(cython.Py_ssize_t, 8192)
_SUM = cython.declare(cython.int, 1)
_LEAST = cython.declare(cython.int, 2)
_GREATEST = cython.declare(cython.int, 3)
_ANY = cython.declare(cython.int, 4)
_FIRST = cython.declare(cython.int, 5)
_LAST = cython.declare(cython.int, 6)
_INT = cython.declare(cython.int, 1)  # kinds of columns
_LONG = cython.declare(cython.int, 2)
_TEXT = cython.declare(cython.int, 3)
_MOST = cython.declare(cython.longlong, 1 << 40)
_MIX = cython.declare(cython.ulonglong, 0x9E3779B97F4A7C15)
_LOW_64 = cython.declare(cython.ulonglong, 0xFFFFFFFFFFFFFFFF)


@cython.final
@cython.cclass
class Folder:
    """Groups of rows by their keys, and what is kept of each.

    Parameters
    ----------
    units : sequence of int
        One a key: its words are rounded down to a multiple of it; 1 leaves them as they are.
    folds : sequence of int
        What is kept: `COUNT` … `LAST`.
    seed : int
        Secret of this process, see `Texts`.
    """

    n_groups = cython.declare(cython.Py_ssize_t, visibility="public")
    texts = cython.declare(Texts, visibility="public")
    _units: list
    _kinds: list
    _nothing: Column
    _seed: cython.ulonglong
    _n_keys: cython.Py_ssize_t
    _n_words: cython.Py_ssize_t  # of a key: with one more that tells which are NULL
    _n_folds: cython.Py_ssize_t
    _capacity: cython.Py_ssize_t
    _mask: cython.Py_ssize_t
    _epoch: cython.int
    _held: tuple
    _slots: cython.p_int  # group + 1
    _hashes: cython.p_ulonglong
    _stored: cython.p_longlong  # words of keys, one array of `_capacity` behind the other
    _values: cython.p_longlong  # of folds; likewise
    _filled: cython.p_uchar
    _marks: cython.p_int  # by group: the chunk that touched it last
    _chunk_held: tuple
    _hash: cython.p_ulonglong  # of a chunk's rows
    _words: cython.p_longlong
    _groups: cython.p_int
    _heads: cython.p_int  # first rows of a chunk's new groups
    _tails: cython.p_int  # last row of each group that a chunk touched, by its place in `_touched`
    _touched: cython.p_int
    _places: cython.p_int  # by group: its place in `_touched`

    def __init__(self, units, folds, seed: cython.ulonglong = 0):
        self._units = list(units)
        self._kinds = list(folds)
        self._nothing = Column()
        self._seed = seed | 1
        self._n_keys = len(units)
        self._n_words = len(units) + 1
        self._n_folds = len(folds)
        self.texts = Texts(seed)
        hashes: cython.ulonglong[::1] = memoryview(zeros(8 * CHUNK)).cast("Q")
        words: cython.longlong[::1] = memoryview(zeros(8 * CHUNK * self._n_words)).cast("q")
        ints: cython.int[::1] = memoryview(zeros(16 * CHUNK)).cast("i")
        self._chunk_held = (hashes, words, ints)
        if cython.compiled:
            self._hash = cython.address(hashes[0])
            self._words = cython.address(words[0])
            self._groups = cython.address(ints[0])
            self._heads = cython.address(ints[CHUNK])
            self._tails = cython.address(ints[2 * CHUNK])
            self._touched = cython.address(ints[3 * CHUNK])
        else:
            self._hash, self._words = hashes, words
            self._groups, self._heads, self._tails, self._touched = (
                ints[k * CHUNK : (k + 1) * CHUNK] for k in range(4)
            )
        self.n_groups = 0
        self._epoch = 0
        self._allocate(_FEW)

    def reset(self):
        """Forget all groups and texts."""
        k: cython.Py_ssize_t
        g: cython.Py_ssize_t
        n: cython.Py_ssize_t = self.n_groups
        self.n_groups = 0
        self.texts.reset()
        if self._capacity > _SMALL:
            self._epoch = 0
            self._allocate(_FEW)
            return
        # Files come by the thousand: clearing is cheaper than new memory.
        for k in range(self._mask + 1 if n else 0):
            self._slots[k] = 0
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
                if not _is_null(column, row):
                    value = _word(column, row, self.texts)
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
        known: cython.Py_ssize_t
        n_touched: cython.Py_ssize_t
        k: cython.Py_ssize_t
        textual = [c for c in [*keys, *columns] if c is not None and c.kind == 3]
        while first < n:
            stop = min(first + _CHUNK, n)
            part = rows[first:stop]
            self._make_room(stop - first)
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

    def key(self, k: cython.Py_ssize_t):
        """Return the words of a key, one a group, and its validity bits."""
        g: cython.Py_ssize_t
        at: cython.Py_ssize_t = self._n_keys * self._capacity
        held = bytearray(self.n_groups // 8 + 1)
        bits: cython.uchar[::1] = held
        for g in range(self.n_groups):
            bits[g >> 3] |= (not self._stored[at + g] >> k & 1) << (g & 7)
        at = k * self._capacity
        return memoryview(self._held[2][at : at + self.n_groups]), held

    def fold(self, k: cython.Py_ssize_t):
        """Return what a fold keeps, one a group, and its validity bits."""
        g: cython.Py_ssize_t
        at: cython.Py_ssize_t = k * self._capacity
        held = bytearray(self.n_groups // 8 + 1)
        bits: cython.uchar[::1] = held
        for g in range(self.n_groups):
            bits[g >> 3] |= (self._filled[at + g] != 0) << (g & 7)
        return memoryview(self._held[3][at : at + self.n_groups]), held

    # One chunk of rows.

    @cython.cfunc
    def _clear(self, n: cython.Py_ssize_t):
        k: cython.Py_ssize_t
        at: cython.Py_ssize_t = self._n_keys * _CHUNK
        for k in range(n):
            self._hash[k] = self._seed
            self._words[at + k] = 0

    @cython.cfunc
    def _key(
        self,
        k: cython.Py_ssize_t,
        column: Column,
        unit: cython.longlong,
        rows: cython.int[::1],
        n: cython.Py_ssize_t,
    ):
        """Write the words of a key, and take them into the rows' hashes."""
        i: cython.Py_ssize_t
        row: cython.Py_ssize_t
        word: cython.longlong
        rest: cython.longlong
        h: cython.ulonglong
        at: cython.Py_ssize_t = k * _CHUNK
        nulls: cython.Py_ssize_t = self._n_keys * _CHUNK
        bit: cython.longlong = cython.cast(cython.longlong, 1) << k
        with cython.nogil:
            for i in range(n):
                row = rows[i]
                if _is_null(column, row):
                    word = 0
                    self._words[nulls + i] |= bit
                else:
                    word = _word(column, row, self.texts)
                    if unit > 1:
                        rest = word % unit
                        if rest < 0:
                            rest += unit
                        word -= rest
                self._words[at + i] = word
                h = self._hash[i] ^ (cython.cast(cython.ulonglong, word) & _LOW_64)
                h = (h * _MIX) & _LOW_64
                self._hash[i] = h ^ (h >> 32)

    @cython.cfunc
    def _find(self, rows: cython.int[::1], n: cython.Py_ssize_t):
        """Write each row's group; make those that aren't there."""
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t
        g: cython.Py_ssize_t
        slot: cython.Py_ssize_t
        known: cython.Py_ssize_t = self.n_groups
        is_same: cython.bint
        with cython.nogil:
            for i in range(n):
                slot = cython.cast(
                    cython.Py_ssize_t,
                    self._hash[i] & cython.cast(cython.ulonglong, self._mask),
                )
                while True:
                    g = self._slots[slot] - 1
                    if g < 0:
                        g = self._new_group(i, slot)
                        self._heads[g - known] = rows[i]
                        break
                    if self._hashes[g] == self._hash[i]:
                        is_same = True
                        for k in range(self._n_words):
                            if self._stored[k * self._capacity + g] != self._words[k * _CHUNK + i]:
                                is_same = False
                                break
                        if is_same:
                            break
                    slot = (slot + 1) & self._mask
                self._groups[i] = cython.cast(cython.int, g)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _new_group(self, i: cython.Py_ssize_t, slot: cython.Py_ssize_t) -> cython.Py_ssize_t:
        g: cython.Py_ssize_t = self.n_groups
        k: cython.Py_ssize_t
        self.n_groups += 1
        self._slots[slot] = cython.cast(cython.int, g + 1)
        self._hashes[g] = self._hash[i]
        for k in range(self._n_words):
            self._stored[k * self._capacity + g] = self._words[k * _CHUNK + i]
        return g

    @cython.cfunc
    def _touch(self, rows: cython.int[::1], n: cython.Py_ssize_t):
        """Note the groups of a chunk, and the last row of each; return how many they are."""
        i: cython.Py_ssize_t
        g: cython.Py_ssize_t
        n_touched: cython.Py_ssize_t = 0
        self._epoch += 1
        with cython.nogil:
            for i in range(n):
                g = self._groups[i]
                if self._marks[g] != self._epoch:
                    self._marks[g] = self._epoch
                    self._places[g] = cython.cast(cython.int, n_touched)
                    self._touched[n_touched] = cython.cast(cython.int, g)
                    n_touched += 1
                self._tails[self._places[g]] = rows[i]
        return n_touched

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
                if _is_null(column, row):
                    continue
                g = at + self._groups[i]
                if not self._filled[g] and (wanted < 0 or _is_met(condition, row, wanted)):
                    self._filled[g] = 1
                    self._values[g] = _word(column, row, self.texts)

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
                self._filled[g] = not _is_null(column, row)
                if self._filled[g]:
                    self._values[g] = _word(column, row, self.texts)

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
                if _is_null(column, row):
                    continue
                word = _word(column, row, self.texts)
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
    def _make_room(self, n_more: cython.Py_ssize_t):
        """See that so many new groups fit."""
        k: cython.Py_ssize_t
        slot: cython.Py_ssize_t
        n: cython.Py_ssize_t = self.n_groups
        size: cython.Py_ssize_t = self._capacity
        capacity: cython.Py_ssize_t = size
        if n + n_more <= size:
            return
        while capacity < n + n_more:
            capacity *= 2
        held = self._held  # keeps the old memory until the copy is done
        hashes: cython.p_ulonglong = self._hashes
        stored: cython.p_longlong = self._stored
        values: cython.p_longlong = self._values
        filled: cython.p_uchar = self._filled
        self._allocate(capacity)
        if cython.compiled:
            memcpy(self._hashes, hashes, 8 * n)
            for k in range(self._n_words):
                memcpy(self._stored + k * capacity, stored + k * size, 8 * n)
            for k in range(self._n_folds):
                memcpy(self._values + k * capacity, values + k * size, 8 * n)
                memcpy(self._filled + k * capacity, filled + k * size, n)
        else:
            self._hashes[:n] = hashes[:n]
            for to, source, width in (
                (self._stored, stored, self._n_words),
                (self._values, values, self._n_folds),
                (self._filled, filled, self._n_folds),
            ):
                for k in range(width):
                    to[k * capacity : k * capacity + n] = source[k * size : k * size + n]
        for k in range(n):
            slot = cython.cast(
                cython.Py_ssize_t,
                self._hashes[k] & cython.cast(cython.ulonglong, self._mask),
            )
            while self._slots[slot]:
                slot = (slot + 1) & self._mask
            self._slots[slot] = cython.cast(cython.int, k + 1)
        del held

    @cython.cfunc
    def _allocate(self, capacity: cython.Py_ssize_t):
        self._capacity = capacity
        self._mask = 2 * capacity - 1
        n_folds = max(self._n_folds, 1)
        slots: cython.int[::1] = memoryview(zeros(8 * capacity)).cast("i")
        hashes: cython.ulonglong[::1] = memoryview(zeros(8 * capacity)).cast("Q")
        stored: cython.longlong[::1] = memoryview(zeros(8 * capacity * self._n_words)).cast("q")
        values: cython.longlong[::1] = memoryview(zeros(8 * capacity * n_folds)).cast("q")
        filled: cython.uchar[::1] = memoryview(zeros(capacity * n_folds)).cast("B")
        marks: cython.int[::1] = memoryview(zeros(4 * capacity)).cast("i")
        places: cython.int[::1] = memoryview(zeros(4 * capacity)).cast("i")
        self._held = (slots, hashes, stored, values, filled, marks, places)
        if cython.compiled:
            self._slots = cython.address(slots[0])
            self._hashes = cython.address(hashes[0])
            self._stored = cython.address(stored[0])
            self._values = cython.address(values[0])
            self._filled = cython.address(filled[0])
            self._marks = cython.address(marks[0])
            self._places = cython.address(places[0])
        else:
            self._slots, self._hashes, self._stored, self._values = self._held[:4]
            self._filled, self._marks, self._places = self._held[4:]


# What every loop asks of a column, here, so that the compiler puts it into the loops.


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _is_null(column: Column, row: cython.Py_ssize_t) -> cython.bint:
    return not column.is_valid and not column.valid_[row >> 3] >> (row & 7) & 1


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _is_met(condition: Column, row: cython.Py_ssize_t, wanted: cython.longlong) -> cython.bint:
    """Tell whether a column of bytes has this value in a row; it is not translated."""
    return condition.bytes_[row] == wanted and not _is_null(condition, row)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _word(column: Column, row: cython.Py_ssize_t, texts: Texts) -> cython.longlong:
    """Return the value of a row that is not NULL; a text as its code, if there is room."""
    value: cython.longlong
    if column.kind == _LONG:
        return column.longs_[row]
    if column.kind == _TEXT:
        return _text(column, row, texts)
    if column.kind == _INT:
        value = column.ints_[row]
    else:
        value = column.bytes_[row]
    if column.has_codes_:
        return column.codes_[value]
    return value


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _text(column: Column, row: cython.Py_ssize_t, texts: Texts) -> cython.longlong:
    """Return the code of the text that a string view shows."""
    n: cython.Py_ssize_t = column.ints_[4 * row]
    if n <= 12:
        # Short texts stand in their views, and often one follows its like.
        if (
            column.has_last_
            and column.longs_[2 * row] == column.last_low_
            and column.longs_[2 * row + 1] == column.last_high_
        ):
            return column.last_word_
        column.has_last_ = True
        column.last_low_ = column.longs_[2 * row]
        column.last_high_ = column.longs_[2 * row + 1]
        column.last_word_ = texts.code(column.bytes_, 16 * row + 4, n)
        return column.last_word_
    if column.ints_[4 * row + 2] == 0:
        return texts.code(column.data_, column.ints_[4 * row + 3], n)
    return texts.code(column.mended_, column.ints_[4 * row + 3], n)
