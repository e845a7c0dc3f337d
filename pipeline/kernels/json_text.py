# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Walk over JSON text without building anything; undo the escapes of its strings.

It is checked as far as it is read: brackets and strings must end, escapes must be ones where a
string is asked for. What is skipped (a number like 1.2.3) is nobody's.
"""

import cython

if cython.compiled:
    from cython.cimports.pipeline.kernels.spans import copy, find
else:
    from pipeline.kernels.spans import copy, find

COMPILED = cython.compiled


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def skip_blanks(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.Py_ssize_t:
    while i < e and (p[i] == 32 or p[i] == 9 or p[i] == 13 or p[i] == 10):
        i += 1
    return i


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def skip_string(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return the place behind the quote that ends the text at p[i], or -1."""
    at: cython.Py_ssize_t = i
    k: cython.Py_ssize_t
    while True:
        at = find(p, 34, at, e)
        if at < 0:
            return -1
        k = at
        while k > i and p[k - 1] == 92:
            k -= 1
        at += 1
        if ((at - 1 - k) & 1) == 0:
            return at


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def skip_value(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return the place behind the value that begins at p[i], or -1 where it never ends."""
    depth: cython.Py_ssize_t = 0
    start: cython.Py_ssize_t = i
    c: cython.uchar
    if i >= e:
        return -1
    if p[i] == 34:
        return skip_string(p, i + 1, e)
    if p[i] == 123 or p[i] == 91:
        while i < e:
            c = p[i]
            i += 1
            if c == 34:
                i = skip_string(p, i, e)
                if i < 0:
                    return -1
            elif c == 123 or c == 91:
                depth += 1
            elif c == 125 or c == 93:
                depth -= 1
                if depth == 0:
                    return i
        return -1
    while i < e and p[i] > 32 and p[i] != 44 and p[i] != 125 and p[i] != 93 and p[i] != 34:
        i += 1
    return i if i > start else -1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _hex4(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.int:
    """Return the number that four hexadecimal digits at p[i] make, or -1."""
    n: cython.int = 0
    k: cython.int
    c: cython.uchar
    if e - i < 4:
        return -1
    for k in range(4):
        c = p[i + k]
        if 48 <= c <= 57:
            n = n * 16 + c - 48
        elif 97 <= c <= 102:
            n = n * 16 + c - 87
        elif 65 <= c <= 70:
            n = n * 16 + c - 55
        else:
            return -1
    return n


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def put_byte(out: cython.p_uchar, o: cython.Py_ssize_t, c: cython.int) -> cython.Py_ssize_t:
    """Write a byte of a line: a line end inside it as rsyslog does, so that it forges no line."""
    if c != 10:
        out[o] = c
        return o + 1
    out[o] = 35
    out[o + 1] = 48
    out[o + 2] = 49
    out[o + 3] = 50
    return o + 4


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def put_code(out: cython.p_uchar, o: cython.Py_ssize_t, code: cython.int) -> cython.Py_ssize_t:
    """Write a character in UTF-8; U+FFFD for half a surrogate pair."""
    if 0xD800 <= code <= 0xDFFF:
        code = 0xFFFD
    if code < 0x80:
        return put_byte(out, o, code)
    if code < 0x800:
        out[o] = 0xC0 | (code >> 6)
        out[o + 1] = 0x80 | (code & 63)
        return o + 2
    if code < 0x10000:
        out[o] = 0xE0 | (code >> 12)
        out[o + 1] = 0x80 | ((code >> 6) & 63)
        out[o + 2] = 0x80 | (code & 63)
        return o + 3
    out[o] = 0xF0 | (code >> 18)
    out[o + 1] = 0x80 | ((code >> 12) & 63)
    out[o + 2] = 0x80 | ((code >> 6) & 63)
    out[o + 3] = 0x80 | (code & 63)
    return o + 4


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def unescape(
    p: cython.p_uchar,
    i: cython.Py_ssize_t,
    e: cython.Py_ssize_t,
    out: cython.p_uchar,
    o: cython.Py_ssize_t,
) -> cython.Py_ssize_t:
    """Write the text of a string, p[i:e], to out[o:]; return where it ends, -1: a false escape."""
    k: cython.Py_ssize_t
    c: cython.uchar
    code: cython.int
    low: cython.int
    while True:
        k = find(p, 92, i, e)
        if k < 0:
            k = e
        copy(out, o, p, i, k - i)
        o += k - i
        if k >= e:
            return o
        if k + 1 >= e:
            return -1
        c = p[k + 1]
        i = k + 2
        if c == 34 or c == 92 or c == 47:
            out[o] = c
            o += 1
        elif c == 110:
            o = put_byte(out, o, 10)
        elif c == 116:
            o = put_byte(out, o, 9)
        elif c == 114:
            o = put_byte(out, o, 13)
        elif c == 98:
            o = put_byte(out, o, 8)
        elif c == 102:
            o = put_byte(out, o, 12)
        elif c == 117:
            code = _hex4(p, i, e)
            if code < 0:
                return -1
            i += 4
            if 0xD800 <= code <= 0xDBFF and i + 1 < e and p[i] == 92 and p[i + 1] == 117:
                low = _hex4(p, i + 2, e)
                if 0xDC00 <= low <= 0xDFFF:
                    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
                    i += 6
            o = put_code(out, o, code)
        else:
            return -1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def escaped_line_end(
    p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
) -> cython.Py_ssize_t:
    """Return the length of the escaped line end at the end of a string p[i:e], 0: none."""
    n: cython.Py_ssize_t = 0
    k: cython.Py_ssize_t
    if e - i >= 2 and p[e - 1] == 110:
        n = 2
    elif (
        e - i >= 6
        and (p[e - 1] | 32) == 97
        and p[e - 2] == 48
        and p[e - 3] == 48
        and p[e - 4] == 48
        and p[e - 5] == 117
    ):
        n = 6
    if n == 0 or p[e - n] != 92:
        return 0
    k = e - n
    while k > i and p[k - 1] == 92:
        k -= 1
    return n if ((e - n - k) & 1) == 0 else 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def put_array(
    p: cython.p_uchar,
    i: cython.Py_ssize_t,
    e: cython.Py_ssize_t,
    out: cython.p_uchar,
    o: cython.Py_ssize_t,
) -> cython.Py_ssize_t:
    """Write an array p[i:e] to out[o:]: bytes as numbers, or strings, which line ends part.

    So journals write texts that are no UTF-8, and fields that a message has more than once.

    Returns
    -------
    int
        Where it ends; -1: it is neither.
    """
    n: cython.int
    k: cython.Py_ssize_t
    start: cython.Py_ssize_t = o
    is_first: cython.bint = True
    if e - i < 2 or p[i] != 91 or p[e - 1] != 93:
        return -1
    e -= 1
    i = skip_blanks(p, i + 1, e)
    if i == e:
        return o
    while True:
        if i >= e:
            return -1
        if p[i] == 34:
            k = skip_string(p, i + 1, e)
            if k < 0:
                return -1
            if not is_first:
                o = put_byte(out, o, 10)
            o = unescape(p, i + 1, k - 1, out, o)
            if o < start:
                return -1
            i = k
        else:
            n = 0
            k = i
            while i < e and i < k + 3 and 48 <= p[i] <= 57:
                n = n * 10 + p[i] - 48
                i += 1
            if i == k or n > 255:
                return -1
            if n == 10 and skip_blanks(p, i, e) == e:
                return o  # a line end at its end
            o = put_byte(out, o, n)
        is_first = False
        i = skip_blanks(p, i, e)
        if i == e:
            return o
        if p[i] != 44:
            return -1
        i = skip_blanks(p, i + 1, e)
