# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Find the lines of a block that hold a text, near the speed of memory, and count lines."""

import cython

if cython.compiled:
    from cython.cimports.libc.string import memchr

COMPILED = cython.compiled

#: Positions that are looked at together; the compiler makes a few instructions of them.
_STEP = cython.declare(cython.Py_ssize_t, 64)

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


def _find_slowly(block, start, stop, needle, mask, found):
    n_found = 0
    for at in range(start, stop):
        if n_found and at < found[2 * n_found - 1]:
            continue
        if n_found == len(found) // 2:
            return n_found, at
        held = bytes(block[at : min(stop, at + len(needle))])
        if bytes([c | m for c, m in zip(held, mask, strict=False)]) != needle:
            continue
        text = bytes(block[start:stop])
        end = text.find(b"\n", at - start) + 1
        found[2 * n_found] = text.rfind(b"\n", 0, at - start) + 1 + start
        found[2 * n_found + 1] = end + start if end else stop
        n_found += 1
    return n_found, stop


def find_lines(
    block: cython.uchar[::1],
    start: cython.Py_ssize_t,
    stop: cython.Py_ssize_t,
    needle: cython.uchar[::1],
    mask: cython.uchar[::1],
    first: cython.Py_ssize_t,
    second: cython.Py_ssize_t,
    found: cython.longlong[::1],
):
    """Write begin and end of each line of block[start:stop] that holds the needle, in order.

    Parameters
    ----------
    block : writable buffer of uint8
        Whole lines; ``start`` is the begin of one.
    needle : writable buffer of uint8, at least 1 long
        What is looked for, the mask or-ed to it.
    mask : writable buffer of uint8
        Or-ed to the text before it is compared with the needle; see `fold_mask`.
    first, second : int
        Places in the needle that are compared first; see `pick_places`.
    found : writable buffer of int64
        Takes begin and end, behind the line end, of each line.

    Returns
    -------
    tuple of (int, int)
        Lines found, and where the next call must go on: ``stop``, or less when ``found`` is full.
    """
    n: cython.Py_ssize_t = len(needle)
    most: cython.Py_ssize_t = len(found) // 2
    n_found: cython.Py_ssize_t = 0
    at: cython.Py_ssize_t = start
    last: cython.Py_ssize_t = stop - n  # where a needle can begin at last
    k: cython.Py_ssize_t
    j: cython.Py_ssize_t
    begin: cython.Py_ssize_t
    end: cython.Py_ssize_t
    line: cython.Py_ssize_t = start  # no line before it is looked at again
    hits: cython.uchar
    c1: cython.uchar = needle[first]
    c2: cython.uchar = needle[second]
    m1: cython.uchar = mask[first]
    m2: cython.uchar = mask[second]
    if cython.compiled:
        p: cython.p_uchar = cython.address(block[0])
        p1: cython.p_uchar
        p2: cython.p_uchar
        q: cython.p_uchar
        with cython.nogil:
            while at <= last and n_found < most:
                if at + _STEP <= last + 1:
                    hits = 0
                    p1 = p + at + first
                    p2 = p + at + second
                    for k in range(64):
                        hits |= ((p1[k] | m1) == c1) & ((p2[k] | m2) == c2)
                    if not hits:
                        at += _STEP
                        continue
                    end = at + _STEP
                else:
                    end = last + 1
                # At least one of these may be it.
                while at < end:
                    if (p[at + first] | m1) == c1 and (p[at + second] | m2) == c2:
                        j = 0
                        while j < n and (p[at + j] | mask[j]) == needle[j]:
                            j += 1
                        if j == n:
                            break
                    at += 1
                if at >= end:
                    continue
                begin = at
                while begin > line and p[begin - 1] != 10:
                    begin -= 1
                q = cython.cast(cython.p_uchar, memchr(p + at, 10, stop - at))
                end = q - p + 1 if q != cython.NULL else stop
                found[2 * n_found] = begin
                found[2 * n_found + 1] = end
                n_found += 1
                at = end
                line = end
        return n_found, stop if at > last else at
    else:
        return _find_slowly(block, start, stop, bytes(needle), bytes(mask), found)


def count_lines(block: cython.uchar[::1], start: cython.Py_ssize_t, stop: cython.Py_ssize_t):
    """Return how many line ends there are in block[start:stop]."""
    k: cython.Py_ssize_t
    at: cython.Py_ssize_t = start
    n: cython.longlong = 0
    part: cython.uchar
    if cython.compiled:
        if stop <= start:
            return 0
        p: cython.p_uchar = cython.address(block[0])
        with cython.nogil:
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
    else:
        return bytes(block[start:stop]).count(b"\n")
