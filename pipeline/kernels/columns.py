# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""The columns of a scanned table as the fold reads them: one 64-bit word a row, whatever the type.

Texts become codes of `Texts`, which remembers each distinct one; codes of a dictionary are
translated to those.
"""

import cython

if cython.compiled:
    from cython.cimports.libc.string import memcpy
    from cython.cimports.pipeline.kernels.spans import same
else:
    from pipeline.kernels.spans import same

from pipeline.memory import zeros

COMPILED = cython.compiled

#: Kinds of `Column`: values of 1, 4 and 8 bytes, and Arrow string views.
BYTE, INT, LONG, TEXT = range(4)

_FEW = cython.declare(cython.Py_ssize_t, 512)  # texts that there is room for at first
_SMALL = cython.declare(cython.Py_ssize_t, 16384)
_MIX = cython.declare(cython.ulonglong, 0x9E3779B97F4A7C15)  # odd, its bits without a pattern
_LOW_64 = cython.declare(cython.ulonglong, 0xFFFFFFFFFFFFFFFF)
#: Texts that one `Texts` holds at most: it counts them in 32 bits.
MAX_TEXTS = 1 << 28


@cython.final
@cython.cclass
class Texts:
    """Byte strings ↔ codes, in the order in which they were first seen; grows between calls.

    Parameters
    ----------
    seed : int
        Secret of this process: a stranger can't write texts that all fall into one slot.
    """

    def __init__(self, seed: cython.ulonglong = 0):
        self._seed = seed
        self.n = 0
        self._n_bytes = 0
        self._allocate(_FEW, 16 * _FEW)
        self._starts[0] = 0

    def reset(self):
        """Forget all texts."""
        k: cython.Py_ssize_t
        n: cython.int = self.n
        self.n = 0
        self._n_bytes = 0
        if self._capacity > _SMALL:
            self._allocate(_FEW, 16 * _FEW)
        elif n:
            for k in range(self._mask + 1):
                self._slots[k] = 0
        self._starts[0] = 0

    def make_room(self, n_more: cython.Py_ssize_t, more_bytes: cython.Py_ssize_t):
        """See that so many new texts with so many bytes fit.

        Raises
        ------
        MemoryError
            There are too many.
        """
        if self.n + n_more <= self._capacity and self._n_bytes + more_bytes <= self._arena_bytes:
            return
        capacity: cython.Py_ssize_t = self._capacity
        arena: cython.Py_ssize_t = self._arena_bytes
        k: cython.Py_ssize_t
        slot: cython.Py_ssize_t
        if self.n + n_more > MAX_TEXTS:
            raise MemoryError("too many different texts in one block")
        while capacity < self.n + n_more:
            capacity *= 2
        while arena < self._n_bytes + more_bytes:
            arena *= 2
        held = self._held  # keeps the old memory until the copy is done
        hashes: cython.p_ulonglong = self._hashes
        starts: cython.p_longlong = self._starts
        old: cython.p_uchar = self._arena
        self._allocate(capacity, arena)
        if cython.compiled:
            memcpy(self._hashes, hashes, 8 * self.n)
            memcpy(self._starts, starts, 8 * (self.n + 1))
            memcpy(self._arena, old, self._n_bytes)
        else:
            self._hashes[: self.n] = hashes[: self.n]
            self._starts[: self.n + 1] = starts[: self.n + 1]
            self._arena[: self._n_bytes] = old[: self._n_bytes]
        for k in range(self.n):
            slot = cython.cast(
                cython.Py_ssize_t,
                self._hashes[k] & cython.cast(cython.ulonglong, self._mask),
            )
            while self._slots[slot]:
                slot = (slot + 1) & self._mask
            self._slots[slot] = cython.cast(cython.int, k + 1)
        del held

    @cython.cfunc
    def _allocate(self, capacity: cython.Py_ssize_t, arena_bytes: cython.Py_ssize_t):
        self._capacity = capacity
        self._arena_bytes = arena_bytes
        self._mask = 2 * capacity - 1
        slots: cython.int[::1] = memoryview(zeros(8 * capacity)).cast("i")
        hashes: cython.ulonglong[::1] = memoryview(zeros(8 * capacity)).cast("Q")
        starts: cython.longlong[::1] = memoryview(zeros(8 * (capacity + 1))).cast("q")
        arena: cython.uchar[::1] = memoryview(zeros(arena_bytes)).cast("B")
        self._held = (slots, hashes, starts, arena)
        if cython.compiled:
            self._slots = cython.address(slots[0])
            self._hashes = cython.address(hashes[0])
            self._starts = cython.address(starts[0])
            self._arena = cython.address(arena[0])
        else:
            self._slots, self._hashes, self._starts, self._arena = self._held

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _hash(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t
    ) -> cython.ulonglong:
        """Hash p[i:i+n], eight bytes at a time."""
        h: cython.ulonglong = self._seed ^ cython.cast(cython.ulonglong, n)
        if cython.compiled:
            word: cython.ulonglong = 0
            while n >= 8:
                memcpy(cython.address(word), p + i, 8)
                h = (h ^ word) * _MIX
                h ^= h >> 32
                i += 8
                n -= 8
            word = 0
            while n > 0:
                n -= 1
                word = (word << 8) | p[i + n]
            h = (h ^ word) * _MIX
            return h ^ (h >> 29)
        else:
            return (hash(bytes(p[i : i + n])) ^ h) & _LOW_64

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def code(self, p: cython.p_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.int:
        """Return the code of p[i:i+n], a new one if need be; there must be room for it."""
        h: cython.ulonglong = self._hash(p, i, n)
        k: cython.Py_ssize_t
        slot: cython.Py_ssize_t = cython.cast(
            cython.Py_ssize_t, h & cython.cast(cython.ulonglong, self._mask)
        )
        while self._slots[slot]:
            k = self._slots[slot] - 1
            if (
                self._hashes[k] == h
                and self._starts[k + 1] - self._starts[k] == n
                and same(p, i, self._arena, self._starts[k], n)
            ):
                return cython.cast(cython.int, k)
            slot = (slot + 1) & self._mask
        k = self.n
        if cython.compiled:
            memcpy(self._arena + self._n_bytes, p + i, n)
        else:
            self._arena[self._n_bytes : self._n_bytes + n] = p[i : i + n]
        self._n_bytes += n
        self._hashes[k] = h
        self._starts[k + 1] = self._n_bytes
        self._slots[slot] = cython.cast(cython.int, k + 1)
        self.n += 1
        return cython.cast(cython.int, k)

    def translate(self, n: cython.Py_ssize_t, offsets, data, out: cython.longlong[::1]):
        """Write the codes of the ``n`` texts of an Arrow string array.

        Parameters
        ----------
        offsets, data : pyarrow.Buffer
            Those of the array.
        out : writable buffer of int64
            Takes the codes.
        """
        k: cython.Py_ssize_t
        if n == 0:
            return
        if cython.compiled:
            at: cython.p_int = cython.cast(
                cython.p_int, cython.cast(cython.size_t, offsets.address)
            )
            p: cython.p_uchar = cython.cast(
                cython.p_uchar, cython.cast(cython.size_t, data.address)
            )
        else:
            at, p = memoryview(offsets).cast("B").cast("i"), memoryview(data).cast("B")
        self.make_room(n, at[n] - at[0])
        for k in range(n):
            out[k] = self.code(p, at[k], at[k + 1] - at[k])

    def arena(self):
        """Return the texts, one behind the other; valid until more is read."""
        return memoryview(self._held[3])[: self._n_bytes]

    def write_views(
        self,
        words: cython.longlong[::1],
        n: cython.Py_ssize_t,
        views: cython.int[::1],
    ):
        """Write Arrow string views of coded texts, whose data buffer is `arena`.

        Source: Arrow columnar format 1.4, "Variable-size Binary View Layout".

        Parameters
        ----------
        words : buffer of int64
            Codes.
        n : int
            How many.
        views : writable buffer of int32, 4 a text
            All 0; takes the views.
        """
        k: cython.Py_ssize_t
        size: cython.Py_ssize_t
        at: cython.longlong
        if n == 0:
            return
        if cython.compiled:
            o: cython.p_uchar = cython.cast(cython.p_uchar, cython.address(views[0]))
        else:
            o = memoryview(views).cast("B")
        for k in range(n):
            at = self._starts[words[k]]
            size = self._starts[words[k] + 1] - at
            views[4 * k] = cython.cast(cython.int, size)
            if size > 12:
                views[4 * k + 3] = cython.cast(cython.int, at)
                size = 4
            if cython.compiled:
                memcpy(o + 16 * k + 4, self._arena + at, size)
            else:
                o[16 * k + 4 : 16 * k + 4 + size] = self._arena[at : at + size]


@cython.final
@cython.cclass
class Column:
    """One column of the table at hand.

    ``kind`` is `BYTE`, `INT`, `LONG` or `TEXT`; ``is_valid`` tells that no row is NULL.
    """

    def point(self, kind: cython.int, values, valid, codes, data):
        """Read another column.

        Parameters
        ----------
        kind : int
            What the values are.
        values, valid : pyarrow.Buffer
            Of the Arrow array; ``valid`` may be None.
        codes : buffer of int64, or None
            By value, the code of the text that it stands for.
        data : list of pyarrow.Buffer
            What string views point into, at most two.
        """
        self.kind = kind
        self.is_valid = valid is None
        self.has_last_ = False
        self._held = (values, valid, codes, data)
        if cython.compiled:
            at: cython.size_t = values.address
            self.bytes_ = cython.cast(cython.p_uchar, at)
            self.ints_ = cython.cast(cython.p_int, at)
            self.longs_ = cython.cast(cython.p_longlong, at)
            at = 0 if valid is None else valid.address
            self.valid_ = cython.cast(cython.p_uchar, at)
            self.has_codes_ = codes is not None
            if codes is not None:
                words: cython.longlong[::1] = codes
                self.codes_ = cython.address(words[0])
            at = data[0].address if data else 0
            self.data_ = cython.cast(cython.p_uchar, at)
            at = data[1].address if len(data) > 1 else 0
            self.mended_ = cython.cast(cython.p_uchar, at)
        else:
            held = memoryview(values).cast("B")
            whole = held[: len(held) // 8 * 8]
            self.bytes_, self.longs_ = held, whole.cast("q")
            self.ints_ = held[: len(held) // 4 * 4].cast("i")
            self.valid_ = None if valid is None else memoryview(valid)
            self.codes_, self.has_codes_ = codes, codes is not None
            self.data_ = memoryview(data[0]).cast("B") if data else None
            self.mended_ = memoryview(data[1]).cast("B") if len(data) > 1 else None

    def text_bytes(self, rows: cython.int[::1], n: cython.Py_ssize_t):
        """Return how many bytes the texts of some rows have; 0 for other kinds."""
        total: cython.Py_ssize_t = 0
        k: cython.Py_ssize_t
        if self.kind < 3:
            return 0
        for k in range(n):
            total += self.ints_[4 * cython.cast(cython.Py_ssize_t, rows[k])]
        return total


if not cython.compiled:  # else these stand in the .pxd, from which other modules inline them

    def is_null(column, row):
        """Tell whether a row is NULL."""
        return not column.is_valid and not column.valid_[row >> 3] >> (row & 7) & 1

    def word_of(column, row, texts):
        """Return the value of a row that is not NULL; a text as its code, if there is room."""
        if column.kind == LONG:
            return column.longs_[row]
        if column.kind == TEXT:
            return text_code(column, row, texts)
        value = column.ints_[row] if column.kind == INT else column.bytes_[row]
        return column.codes_[value] if column.has_codes_ else value


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def text_code(column: Column, row: cython.Py_ssize_t, texts: Texts) -> cython.longlong:
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
