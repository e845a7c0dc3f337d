# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""The small parts of Postfix lines: queue ids, addresses, numbers, reply codes.

Every function reads p[i:e] and nothing outside of it, in time linear in its length.
"""

import cython

if cython.compiled:
    from cython.cimports.pipeline.kernels.spans import begins, digits_end, find, is_digit
else:
    from pipeline.kernels.spans import begins, digits_end, find, is_digit

COMPILED = cython.compiled

_HEX = cython.declare(cython.int, 1)  # a digit of a short queue id
_LONG = cython.declare(cython.int, 2)  # a digit of a long one
_ALNUM = cython.declare(cython.int, 4)
_DIGIT = cython.declare(cython.int, 8)
_IN_IP = cython.declare(cython.int, 16)
_KINDS = bytearray(256)
for _kind, _members in (
    (1, b"0123456789ABCDEF"),
    (2, b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"),
    (4, b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
    (8, b"0123456789"),
    (16, b"0123456789ABCDEFabcdef:."),
):
    for _byte in _members:
        _KINDS[_byte] |= _kind
_HELD = cython.declare(bytes, bytes(_KINDS))
_kinds = cython.declare(cython.p_uchar)
if cython.compiled:
    _kinds = cython.cast(cython.p_uchar, cython.cast(cython.p_char, _HELD))
else:
    _kinds = _HELD


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def find_text(
    p: cython.p_uchar,
    i: cython.Py_ssize_t,
    e: cython.Py_ssize_t,
    text: cython.p_const_char,
    n: cython.int,
) -> cython.Py_ssize_t:
    """Return the first place of the n bytes of a text in p[i:e], or -1."""
    while e - i >= n:
        i = find(p, text[0], i, e - n + 1)
        if i < 0:
            return -1
        if begins(p, i, e, text, n):
            return i
        i += 1
    return -1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def rfind_text(
    p: cython.p_uchar,
    i: cython.Py_ssize_t,
    e: cython.Py_ssize_t,
    text: cython.p_const_char,
    n: cython.int,
) -> cython.Py_ssize_t:
    """Return the last place of the n bytes of a text in p[i:e], or -1."""
    j: cython.Py_ssize_t = e - n
    while j >= i:
        if p[j] == text[0] and begins(p, j, e, text, n):
            return j
        j -= 1
    return -1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def token_end(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return the first place of a space, comma, semicolon or colon in p[i:e], or ``e``."""
    while i < e and p[i] != 32 and p[i] != 44 and p[i] != 58 and p[i] != 59:
        i += 1
    return i


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def whole(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.longlong:
    """Return the number that the digits p[i:e] make, -1 where it is none below 10**18."""
    n: cython.longlong = 0
    if e <= i or e - i > 18:
        return -1
    while i < e:
        if not _kinds[p[i]] & _DIGIT:
            return -1
        n = n * 10 + (p[i] - 48)
        i += 1
    return n


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def micros(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.longlong:
    """Return the seconds that p[i:e] says, in microseconds; -1 where it is no such number.

    Exact: no floating point. What lies below a microsecond is cut off.
    """
    n: cython.longlong = 0
    scale: cython.longlong = 1000000
    start: cython.Py_ssize_t = i
    while i < e and _kinds[p[i]] & _DIGIT:
        n = n * 10 + (p[i] - 48)
        i += 1
        if i - start > 12:
            return -1
    if i == start:
        return -1
    if i < e and p[i] == 46:
        i += 1
        if i == e:
            return -1
        while i < e and _kinds[p[i]] & _DIGIT:
            if scale > 1:
                n = n * 10 + (p[i] - 48)
                scale //= 10
            i += 1
    return n * scale if i == e else -1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def is_address(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.bint:
    """Tell whether p[i:e] looks like an IPv4 or IPv6 address, maybe one with a zone."""
    separators: cython.int = 0
    start: cython.Py_ssize_t = i
    if e - i < 2 or e - i > 80:
        return False
    while i < e and _kinds[p[i]] & _IN_IP:
        if p[i] == 46 or p[i] == 58:
            separators += 1
        i += 1
    if i < e and i > start and p[i] == 37:  # fe80::1%eth0
        while i < e and p[i] > 32:
            i += 1
    return i == e and separators >= 2


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def port_end(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return the place behind the ``:port`` that p[i:e] may begin with."""
    return digits_end(p, i + 1, e) if i + 1 < e and p[i] == 58 and is_digit(p[i + 1]) else i


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def field_end(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return the place of the ``>`` that ends the address at p[i:e] where a comma must follow."""
    return _angle(p, i, e, 1)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def bracket_end(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return the place of the ``>`` that ends the address at p[i:e]."""
    return _angle(p, i, e, 0)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _angle(
    p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t, comma_only: cython.int
) -> cython.Py_ssize_t:
    """Return the place of the ``>`` that ends the address at p[i:e]; ``e`` where it was cut off.

    An address may hold ``>``, in a quoted local part even ``>, ``. So quotes are skipped, and the
    end is a ``>`` before something that can follow an address: ``,``, the end of the line, and
    unless ``comma_only`` a space, ``;`` or ``:``.
    """
    k: cython.Py_ssize_t
    c: cython.uchar
    if i < e and p[i] == 34:
        k = i + 1
        while k < e and p[k] != 34:
            k += 2 if p[k] == 92 else 1
        if k + 1 < e and (p[k + 1] == 64 or p[k + 1] == 62):
            i = k + 1
    k = i
    while k < e:
        k = find(p, 62, k, e)
        if k < 0:
            break
        if k + 1 == e:
            return k
        c = p[k + 1]
        if c == 44 or (not comma_only and (c == 32 or c == 58 or c == 59)):
            return k
        k += 1
    return e


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def queue_id(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Look for a queue id at p[i:e]: 6 or more letters and digits before ``: `` or the end.

    Short: upper hexadecimal, 5 digits of microseconds, then the inode. Long: base 52 (no
    vowels), 6 or more digits of seconds, 4 of microseconds, ``z``, then the inode, in which there
    is no ``z``.

    Returns
    -------
    int
        0 where there is nothing of the kind, else 2 * (place behind it), and 1 more if it is a
        queue id.
    """
    j: cython.Py_ssize_t = i
    z: cython.Py_ssize_t
    kind: cython.int
    kinds: cython.int = _HEX | _LONG
    if e - i > 66:
        e = i + 66
    while j < e:
        kind = _kinds[p[j]]
        if not kind & _ALNUM:
            break
        kinds &= kind
        j += 1
    if j - i < 6 or (j < e and not (p[j] == 58 and j + 1 < e and p[j + 1] == 32)):
        return 0
    if kinds & _HEX:
        return 2 * j + 1
    if kinds & _LONG and j - i >= 12:
        z = j - 1
        while z > i and p[z] != 122:
            z -= 1
        if z >= i + 10 and z + 1 < j:
            return 2 * j + 1
    return 2 * j


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def dsn_end(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return the end of the enhanced status code that p[i:e] begins with, or -1."""
    j: cython.Py_ssize_t
    k: cython.Py_ssize_t
    if e - i < 5 or not (p[i] == 50 or p[i] == 52 or p[i] == 53) or p[i + 1] != 46:
        return -1
    j = digits_end(p, i + 2, e)
    if j == i + 2 or j > i + 5 or j >= e or p[j] != 46:
        return -1
    k = digits_end(p, j + 1, e)
    if k == j + 1 or k > j + 4 or (k < e and p[k] != 32):
        return -1
    return k


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def reply_code_end(
    p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
) -> cython.Py_ssize_t:
    """Return the end of the SMTP reply code that p[i:e] begins with, or -1."""
    if e - i < 3 or not 50 <= p[i] <= 53 or digits_end(p, i, e) != i + 3:
        return -1
    return i + 3 if i + 3 == e or p[i + 3] == 32 or p[i + 3] == 45 else -1
