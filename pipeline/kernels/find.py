# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Find the lines of a block that hold a text, near the speed of memory, and count lines."""

from array import array
from io import BytesIO
from itertools import accumulate

import cython

if cython.compiled:
    from cython.cimports.libc.string import memchr

COMPILED = cython.compiled

#: Positions that are looked at together; the compiler makes a few instructions of them.
_STEP = cython.declare(cython.Py_ssize_t, 64)
#: Bytes that are looked at for one text after the other.
_PART = cython.declare(cython.Py_ssize_t, 16384)

#: How common bytes are in logs of mail, commonest first: two that are rare are looked for.
_COMMON = b" e0oti1ra=ns<m>p2lxcd3[5]/4f.8:79u6h,qg@vbw-ky_jz()ADECBFMRSTONPILCHVUWGKXJQYZ"


def pick_places(needle: bytes):
    """Return two places in a needle whose bytes are rare, so that few lines hold both by chance."""
    rank = {byte: len(_COMMON) - k for k, byte in enumerate(_COMMON)}
    places = sorted(range(len(needle)), key=lambda k: (rank.get(needle[k], 0), k))
    return places[0], places[1] if len(places) > 1 else places[0]


def fold_mask(needle: bytes, fold: bool):
    """Return what is or-ed to text before it is compared: 32 where a letter may have any case."""
    return bytes(32 if fold and (65 <= c <= 90 or 97 <= c <= 122) else 0 for c in needle)


@cython.cclass
class Finder:
    """Texts that are looked for together, in one pass over a block.

    Parameters
    ----------
    texts : sequence of (bytes, bool)
        At least a byte each, and whether letters may have any case.
    n_kept : int
        So many of them, the first ones, tell lines apart from those that hold others only.
    """

    def __init__(self, texts, n_kept):
        self.n = len(texts)
        self.n_kept = n_kept
        masks = [fold_mask(text, fold) for text, fold in texts]
        held = [
            bytes([c | m for c, m in zip(text, mask, strict=True)])
            for (text, _), mask in zip(texts, masks, strict=True)
        ]
        self._pairs = list(zip(held, masks, strict=True))
        begins = [0, *accumulate(len(text) for text in held)]
        places = [place for text, _ in texts for place in pick_places(text)]
        # Never empty: the address of the first is taken.
        self._texts = bytearray(b"".join(held) + b"\0")
        self._masks = bytearray(b"".join(masks) + b"\0")
        self._begins = array("q", begins)
        self._places = array("q", [*places, 0])

    def find(
        self,
        block: cython.uchar[::1],
        start: cython.Py_ssize_t,
        stop: cython.Py_ssize_t,
        found: cython.longlong[::1],
    ):
        """Write where the lines of block[start:stop] are that hold one of the texts, in order.

        Parameters
        ----------
        block : writable buffer of uint8
            Whole lines; ``start`` is the begin of one.
        found : writable buffer of int64
            Takes four numbers a line: its begin, its end (behind the line end), how many lines are
            before it from ``start`` on, and whether it holds one of the first ``n_kept`` texts.

        Returns
        -------
        tuple of (int, int, int)
            Lines found; where the next call must go on: ``stop``, or less when ``found`` is full;
            line ends before that.
        """
        most: cython.Py_ssize_t = len(found) // 4
        n_found: cython.Py_ssize_t = 0
        n_lines: cython.Py_ssize_t = 0
        counted: cython.Py_ssize_t = start  # line ends before it are in n_lines
        edge: cython.Py_ssize_t = start  # no text begins before it, but where one is known to
        line: cython.Py_ssize_t = start  # no line before it is looked at again
        at: cython.Py_ssize_t = start
        begin: cython.Py_ssize_t
        end: cython.Py_ssize_t
        k: cython.Py_ssize_t
        is_hit: cython.bint = False
        is_kept: cython.bint
        if not cython.compiled:
            return self._find_slowly(block, start, stop, found)
        if self.n == 0 or stop <= start:
            return 0, stop, count_lines(block, start, stop)
        # By text: where it is to be looked for, or, if the one behind it is 1, where it is.
        heads: cython.longlong[::1] = array("q", [start, 0]) * self.n
        p: cython.p_uchar = cython.address(block[0])
        q: cython.p_uchar
        with cython.nogil:
            while edge < stop and n_found < most:
                # A part after the other, so that it lies in the processor's cache for all texts.
                edge = min(edge + _PART, stop)
                while n_found < most:
                    at = edge
                    for k in range(self.n):
                        if heads[2 * k] < counted:
                            heads[2 * k] = counted
                            heads[2 * k + 1] = 0
                        if not heads[2 * k + 1] and heads[2 * k] < edge:
                            heads[2 * k] = self._next(
                                p, k, heads[2 * k], edge, stop, cython.address(is_hit)
                            )
                            heads[2 * k + 1] = is_hit
                        if heads[2 * k + 1] and heads[2 * k] < at:
                            at = heads[2 * k]
                    if at >= edge:
                        break
                    begin = at
                    while begin > line and p[begin - 1] != 10:
                        begin -= 1
                    q = cython.cast(cython.p_uchar, memchr(p + at, 10, stop - at))
                    end = q - p + 1 if q != cython.NULL else stop
                    is_kept = False
                    for k in range(self.n_kept):
                        if not is_kept:
                            self._next(p, k, begin, end, end, cython.address(is_kept))
                    n_lines += _count(p, counted, begin)
                    found[4 * n_found] = begin
                    found[4 * n_found + 1] = end
                    found[4 * n_found + 2] = n_lines
                    found[4 * n_found + 3] = is_kept
                    n_found += 1
                    n_lines += p[end - 1] == 10
                    counted = line = end
                    if edge < end:
                        edge = end
                if n_found < most:
                    n_lines += _count(p, counted, edge)
                    counted = edge
        return n_found, counted, n_lines

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _next(
        self,
        p: cython.p_uchar,
        k: cython.Py_ssize_t,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        stop: cython.Py_ssize_t,
        is_hit: cython.pointer(cython.bint),
    ) -> cython.Py_ssize_t:
        """Return where a text begins first in p[at:end], or up to where it doesn't."""
        text: cython.p_uchar = cython.address(self._texts[self._begins[k]])
        mask: cython.p_uchar = cython.address(self._masks[self._begins[k]])
        n: cython.Py_ssize_t = self._begins[k + 1] - self._begins[k]
        first: cython.Py_ssize_t = self._places[2 * k]
        second: cython.Py_ssize_t = self._places[2 * k + 1]
        last: cython.Py_ssize_t = stop - n + 1  # it can't begin there or later
        near: cython.Py_ssize_t
        j: cython.Py_ssize_t
        is_hit[0] = False
        while at < end and at < last:
            if at + _STEP <= last:
                at = _skip(
                    p,
                    at,
                    min(end + _STEP - 1, last),
                    first,
                    second,
                    text[first],
                    text[second],
                    mask[first],
                    mask[second],
                )
            near = min(at + _STEP, end, last)
            while at < near:
                if (p[at + first] | mask[first]) == text[first] and (
                    p[at + second] | mask[second]
                ) == text[second]:
                    j = 0
                    while j < n and (p[at + j] | mask[j]) == text[j]:
                        j += 1
                    if j == n:
                        is_hit[0] = True
                        return at
                at += 1
        return max(at, end)

    def _find_slowly(self, block, start, stop, found):
        n_found = n_lines = 0
        at = start
        for line in BytesIO(block[start:stop]):
            held = [k for k, (text, mask) in enumerate(self._pairs) if _holds(line, text, mask)]
            if held:
                if n_found == len(found) // 4:
                    return n_found, at, n_lines
                found[4 * n_found : 4 * n_found + 4] = array(
                    "q", [at, at + len(line), n_lines, min(held) < self.n_kept]
                )
                n_found += 1
            at += len(line)
            n_lines += line.endswith(b"\n")
        return n_found, stop, n_lines


def _holds(line, text, mask):
    return any(
        all(c | m == t for c, m, t in zip(line[at:], mask, text, strict=False))
        for at in range(len(line) - len(text) + 1)
    )


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _skip(
    p: cython.p_uchar,
    at: cython.Py_ssize_t,
    stop: cython.Py_ssize_t,
    first: cython.Py_ssize_t,
    second: cython.Py_ssize_t,
    c1: cython.uchar,
    c2: cython.uchar,
    m1: cython.uchar,
    m2: cython.uchar,
) -> cython.Py_ssize_t:
    """Return the first step from ``at`` on, before ``stop``, where both bytes stand in place."""
    k: cython.Py_ssize_t
    hits: cython.uchar
    p1: cython.p_uchar
    p2: cython.p_uchar
    while at + _STEP <= stop:
        hits = 0
        p1 = p + at + first
        p2 = p + at + second
        for k in range(64):
            hits |= ((p1[k] | m1) == c1) & ((p2[k] | m2) == c2)
        if hits:
            return at
        at += _STEP
    return at


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _count(p: cython.p_uchar, at: cython.Py_ssize_t, stop: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return how many line ends there are in p[at:stop]."""
    k: cython.Py_ssize_t
    n: cython.Py_ssize_t = 0
    part: cython.uchar
    while at + 128 <= stop:
        part = 0
        for k in range(128):
            part += p[at + k] == 10
        n += part
        at += 128
    while at < stop:
        n += p[at] == 10
        at += 1
    return n


def count_lines(block: cython.uchar[::1], start: cython.Py_ssize_t, stop: cython.Py_ssize_t):
    """Return how many line ends there are in block[start:stop]."""
    n: cython.Py_ssize_t
    if cython.compiled:
        if stop <= start:
            return 0
        with cython.nogil:
            n = _count(cython.address(block[0]), start, stop)
        return n
    else:
        return bytes(block[start:stop]).count(b"\n")
