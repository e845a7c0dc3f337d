# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Names of hosts and processes, as small codes: most lines repeat one of a few."""

from mmap import mmap

import cython

if cython.compiled:
    from cython.cimports.libc.string import memcpy
    from cython.cimports.pipeline.kernels.spans import same
else:
    from pipeline.kernels.spans import same

COMPILED = cython.compiled

_RECENT = cython.declare(cython.int, 1024)
_LOW_32 = cython.declare(cython.ulonglong, 0xFFFFFFFF)


@cython.cclass
class Interner:
    """Byte strings ↔ small codes, in the order in which they were first seen.

    A hash table with open addressing over an arena of fixed size: it allocates nothing while a
    scan runs without the GIL, and answers -1 when it is full.
    """

    def __init__(
        self, fixed=(), arena_bytes: cython.int = 1 << 21, table_slots: cython.int = 1 << 15
    ):
        # A power of two; at most half of the slots are filled.
        self.mask = table_slots - 1
        # Of these only what is used takes memory.
        self.arena = mmap(-1, arena_bytes)
        self.starts = memoryview(mmap(-1, 4 * (table_slots // 2 + 1))).cast("i")
        self.slots = memoryview(mmap(-1, 4 * table_slots)).cast("i")
        self.recent = memoryview(bytearray(4 * _RECENT)).cast("i")
        self.limit = arena_bytes
        self.version = 0
        if cython.compiled:
            arena: cython.uchar[::1] = self.arena
            starts: cython.int[::1] = self.starts
            slots: cython.int[::1] = self.slots
            recent: cython.int[::1] = self.recent
            self.arena_ = cython.address(arena[0])
            self.starts_ = cython.address(starts[0])
            self.slots_ = cython.address(slots[0])
            self.recent_ = cython.address(recent[0])
        else:
            self.arena_ = memoryview(self.arena)
            self.starts_, self.slots_, self.recent_ = self.starts, self.slots, self.recent
        self.reset(fixed)

    def reset(self, fixed=()):
        """Forget everything but ``fixed``."""
        i: cython.int
        self.n = 0
        self.version += 1
        for i in range(self.mask + 1):
            if self.slots_[i]:  # a page that was never written to needn't be there
                self.slots_[i] = 0
        for i in range(_RECENT):
            self.recent_[i] = 0
        for name in fixed:
            held = bytearray(name)
            if cython.compiled:
                view: cython.uchar[::1] = held
                self.code(cython.address(view[0]), 0, len(name))
            else:
                self.code(memoryview(held), 0, len(name))

    def names(self):
        """Return the interned byte strings, in the order of their codes."""
        return [bytes(self.arena[self.starts[k] : self.starts[k + 1]]) for k in range(self.n)]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def code(self, p: cython.p_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.int:
        """Return the code of p[i:i+n], a new one if need be; -1 when there is no room for it."""
        # Most lines repeat one of a few names: a small table by first and last byte and length
        # answers those without a hash over the name.
        near: cython.int = ((p[i + n - 1] * 31 + p[i]) * 31 + p[i + n // 2] + n * 7) & (_RECENT - 1)
        k: cython.int = self.recent_[near] - 1
        if (
            k >= 0
            and self.starts_[k + 1] - self.starts_[k] == n
            and same(p, i, self.arena_, self.starts_[k], n)
        ):
            return k
        h: cython.ulonglong = 2166136261  # FNV-1a, 32 bits
        at: cython.Py_ssize_t
        for at in range(i, i + n):
            h = ((h ^ p[at]) * 16777619) & _LOW_32
        slot: cython.int = cython.cast(cython.int, (h ^ (h >> 15)) & self.mask)
        while self.slots_[slot]:
            k = self.slots_[slot] - 1
            if self.starts_[k + 1] - self.starts_[k] == n and same(
                p, i, self.arena_, self.starts_[k], n
            ):
                self.recent_[near] = k + 1
                return k
            slot = (slot + 1) & self.mask
        start: cython.int = self.starts_[self.n] if self.n else 0
        if self.n > self.mask // 2 or start + n > self.limit:
            return -1
        if cython.compiled:
            memcpy(self.arena_ + start, p + i, n)
        else:
            self.arena_[start : start + n] = p[i : i + n]
        self.starts_[self.n] = start
        self.starts_[self.n + 1] = start + cython.cast(cython.int, n)
        self.slots_[slot] = self.n + 1
        self.recent_[near] = self.n + 1
        self.n += 1
        self.version += 1
        return self.n - 1

    def is_crowded(self):
        """Tell whether so many names are held that they had better be forgotten."""
        return self.n > (self.mask + 1) // 4
