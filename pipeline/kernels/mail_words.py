# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Which of some phrases a text begins with: a table by first byte, the longest phrase first."""

from bisect import bisect_left

import cython

COMPILED = cython.compiled


@cython.cclass
class Words:
    """Phrases (bytes, none empty) and their places in the sequence they were given in."""

    def __init__(self, phrases):
        order = sorted(range(len(phrases)), key=lambda k: (phrases[k][0], -len(phrases[k])))
        self.n = len(order)
        self._held = bytearray(b"".join(phrases[k] for k in order) or b" ")
        self._starts_held = memoryview(bytearray(4 * (self.n + 1))).cast("i")
        self._order_held = memoryview(bytearray(4 * (self.n + 1))).cast("i")
        self._first_held = memoryview(bytearray(4 * 257)).cast("i")
        at = 0
        for place, k in enumerate(order):
            self._order_held[place] = k
            at += len(phrases[k])
            self._starts_held[place + 1] = at
        firsts = [phrases[k][0] for k in order]
        for byte in range(257):
            self._first_held[byte] = bisect_left(firsts, byte)
        if cython.compiled:
            text: cython.uchar[::1] = self._held
            starts: cython.int[::1] = self._starts_held
            places: cython.int[::1] = self._order_held
            first: cython.int[::1] = self._first_held
            self._text = cython.address(text[0])
            self._starts = cython.address(starts[0])
            self._order = cython.address(places[0])
            self._first = cython.address(first[0])
        else:
            self._text, self._starts = self._held, self._starts_held
            self._order, self._first = self._order_held, self._first_held

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def find(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.int:
        """Return the place of the longest phrase that p[i:e] begins with, or -1."""
        k: cython.int
        j: cython.int
        n: cython.int
        start: cython.int
        if i >= e:
            return -1
        for k in range(self._first[p[i]], self._first[p[i] + 1]):
            start = self._starts[k]
            n = self._starts[k + 1] - start
            if e - i < n:
                continue
            j = 1
            while j < n and p[i + j] == self._text[start + j]:
                j += 1
            if j == n:
                return self._order[k]
        return -1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def find_word(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
    ) -> cython.int:
        """Return the place of the phrase that is p[i:e], or -1."""
        k: cython.int
        j: cython.int
        n: cython.int
        start: cython.int
        if i >= e:
            return -1
        for k in range(self._first[p[i]], self._first[p[i] + 1]):
            start = self._starts[k]
            n = self._starts[k + 1] - start
            if e - i != n:
                continue
            j = 1
            while j < n and p[i + j] == self._text[start + j]:
                j += 1
            if j == n:
                return self._order[k]
        return -1
