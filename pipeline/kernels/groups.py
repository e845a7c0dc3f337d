# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Groups of rows that agree in their keys: a hash table over columns of 64-bit words."""

import cython

if cython.compiled:
    from cython.cimports.libc.string import memcpy
    from cython.cimports.pipeline.kernels.columns import Column, Texts, is_null, word_of
else:
    from pipeline.kernels.columns import Column, Texts, is_null, word_of

from pipeline.memory import zeros

COMPILED = cython.compiled

#: Rows that are worked on together: their words stay in the processor's cache.
CHUNK = 8192

_CHUNK = cython.declare(cython.Py_ssize_t, 8192)
_FEW = cython.declare(cython.Py_ssize_t, 512)  # groups that there is room for at first
_SMALL = cython.declare(cython.Py_ssize_t, 16384)
_MIX = cython.declare(cython.ulonglong, 0x9E3779B97F4A7C15)
_LOW_64 = cython.declare(cython.ulonglong, 0xFFFFFFFFFFFFFFFF)


@cython.cclass
class Groups:
    """The groups of rows, and of the chunk of rows at hand which group each is of.

    Parameters
    ----------
    units : sequence of int
        One a key: its words are rounded down to a multiple of it; 1 leaves them as they are.
    seed : int
        Secret of this process, see `Texts`.
    """

    def __init__(self, units, seed: cython.ulonglong = 0):
        self._units = list(units)
        self._seed = seed | 1
        self._n_keys = len(units)
        self._n_words = len(units) + 1
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

    @cython.cfunc
    def _forget(self):
        """Forget all groups and texts; tell whether there is new memory for others."""
        k: cython.Py_ssize_t
        n: cython.Py_ssize_t = self.n_groups
        self.n_groups = 0
        self.texts.reset()
        if self._capacity > _SMALL:
            self._epoch = 0
            self._allocate(_FEW)
            return True
        # Files come by the thousand: clearing is cheaper than new memory.
        for k in range(self._mask + 1 if n else 0):
            self._slots[k] = 0
        return False

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
                if is_null(column, row):
                    word = 0
                    self._words[nulls + i] |= bit
                else:
                    word = word_of(column, row, self.texts)
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
                        g = self.n_groups
                        self.n_groups += 1
                        self._slots[slot] = cython.cast(cython.int, g + 1)
                        self._hashes[g] = self._hash[i]
                        for k in range(self._n_words):
                            self._stored[k * self._capacity + g] = self._words[k * _CHUNK + i]
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
        self._allocate(capacity)
        if cython.compiled:
            memcpy(self._hashes, hashes, 8 * n)
            for k in range(self._n_words):
                memcpy(self._stored + k * capacity, stored + k * size, 8 * n)
        else:
            self._hashes[:n] = hashes[:n]
            for k in range(self._n_words):
                self._stored[k * capacity : k * capacity + n] = stored[k * size : k * size + n]
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
        slots: cython.int[::1] = memoryview(zeros(8 * capacity)).cast("i")
        hashes: cython.ulonglong[::1] = memoryview(zeros(8 * capacity)).cast("Q")
        stored: cython.longlong[::1] = memoryview(zeros(8 * capacity * self._n_words)).cast("q")
        marks: cython.int[::1] = memoryview(zeros(4 * capacity)).cast("i")
        places: cython.int[::1] = memoryview(zeros(4 * capacity)).cast("i")
        self._held = (slots, hashes, stored, marks, places)
        if cython.compiled:
            self._slots = cython.address(slots[0])
            self._hashes = cython.address(hashes[0])
            self._stored = cython.address(stored[0])
            self._marks = cython.address(marks[0])
            self._places = cython.address(places[0])
        else:
            self._slots, self._hashes, self._stored, self._marks, self._places = self._held
