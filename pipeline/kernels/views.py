# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Arrow string views of text, and whether it is UTF-8."""

import cython

if cython.compiled:
    from cython.cimports.libc.string import memcpy

COMPILED = cython.compiled

_HIGH_BITS = cython.declare(cython.ulonglong, 0x8080808080808080)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def is_ascii(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.bint:
    seen: cython.uchar = 0
    if cython.compiled:
        k: cython.Py_ssize_t
        for k in range(i, e):  # no exit inside: so the compiler makes vector code of it
            seen |= p[k]
        return seen < 128
    else:
        return bytes(p[i:e]).isascii()


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def is_utf8(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.bint:
    """Tell whether p[i:e] is well-formed UTF-8 (Unicode 16.0, table 3-7)."""
    c: cython.uchar
    low: cython.uchar
    high: cython.uchar
    n: cython.int
    if cython.compiled:
        # Most texts are ASCII: eight bytes at a time.
        word: cython.ulonglong = 0
        while i + 8 <= e:
            memcpy(cython.address(word), p + i, 8)
            if word & _HIGH_BITS:
                break
            i += 8
    while i < e:
        c = p[i]
        i += 1
        if c < 0x80:
            continue
        low = 0x80
        high = 0xBF
        if 0xC2 <= c <= 0xDF:
            n = 1
        elif 0xE0 <= c <= 0xEF:
            n = 2
            if c == 0xE0:
                low = 0xA0
            elif c == 0xED:
                high = 0x9F
        elif 0xF0 <= c <= 0xF4:
            n = 3
            if c == 0xF0:
                low = 0x90
            elif c == 0xF4:
                high = 0x8F
        else:
            return False
        if i + n > e or p[i] < low or p[i] > high:
            return False
        if n > 1 and (p[i + 1] & 0xC0) != 0x80:
            return False
        if n > 2 and (p[i + 2] & 0xC0) != 0x80:
            return False
        i += n
    return True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _signed(word: cython.uint) -> cython.int:
    if cython.compiled:
        return cython.cast(cython.int, word)
    else:
        return word - (1 << 32) if word >= 1 << 31 else word


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def write_view(
    out: cython.p_int, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
) -> cython.void:
    """Write the view of p[i:e] to the four numbers at ``out[0]``, p being data buffer 0.

    Source: Arrow columnar format 1.4, "Variable-size Binary View Layout".
    """
    n: cython.Py_ssize_t = e - i
    k: cython.Py_ssize_t
    word: cython.uint
    out[0] = cython.cast(cython.int, n)
    out[1] = 0
    out[2] = 0
    out[3] = 0
    if n > 12:
        word = (
            p[i] | (p[i + 1] << 8) | (p[i + 2] << 16) | (cython.cast(cython.uint, p[i + 3]) << 24)
        )
        out[1] = _signed(word)
        out[3] = cython.cast(cython.int, i)
    else:
        for k in range(n):
            word = cython.cast(cython.uint, p[i + k]) << (8 * (k & 3))
            out[1 + (k >> 2)] |= _signed(word)
