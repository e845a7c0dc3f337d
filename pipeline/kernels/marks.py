# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""What stands where a host or a tag is expected, and isn't one: repeats, marks, levels."""

import cython

if cython.compiled:
    from cython.cimports.pipeline.kernels.spans import begins, digits_end
else:
    from pipeline.kernels.spans import begins, digits_end

COMPILED = cython.compiled

#: The processes that are no tag, in the order of their codes.
FIXED_PROCESSES = (b"(no tag)", b"(last message repeated)", b"(mark)")
_NO_TAG = cython.declare(cython.int, 0)
_LAST_REPEATED = cython.declare(cython.int, 1)
_MARK = cython.declare(cython.int, 2)

SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron"),
    *("authpriv", "ftp", "ntp", "security", "console", "solaris-cron"),
    *("local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"),
)
_WIDTH = cython.declare(cython.int, 13)
_HELD = cython.declare(
    bytes, b"".join([name.encode().ljust(13) for name in (*SEVERITIES, *FACILITIES)])
)
_names = cython.declare(cython.p_uchar)
if cython.compiled:
    _names = cython.cast(cython.p_uchar, cython.cast(cython.p_char, _HELD))
else:
    _names = _HELD


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def special(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.int:
    """Return the code of the fixed process that p[i:e] is the text of, 0 where it is none."""
    j: cython.Py_ssize_t
    if i >= e or (p[i] != 108 and p[i] != 45):
        return _NO_TAG
    if begins(p, i, e, b"-- MARK --", 10):
        return _MARK
    if begins(p, i, e, b"--- ", 4):
        i += 4
    if not begins(p, i, e, b"last message repeated ", 22):
        return _NO_TAG
    i += 22
    j = digits_end(p, i, e)
    return _LAST_REPEATED if j > i and begins(p, j, e, b" time", 5) else _NO_TAG


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def level(
    p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t, closing: cython.int
) -> cython.int:
    """Read ``facility.severity``, in words or numbers, before the byte ``closing``.

    Returns
    -------
    int
        -1 where there is none, else 256 * (length with the closing byte) + 8 * facility + severity.
    """
    dot: cython.Py_ssize_t = i
    end: cython.Py_ssize_t
    facility: cython.longlong
    severity: cython.longlong
    while dot < e and dot < i + 14 and p[dot] != 46:
        dot += 1
    if dot >= e or p[dot] != 46:
        return -1
    end = dot + 1
    while end < e and end < dot + 14 and p[end] != closing:
        end += 1
    if end >= e or p[end] != closing:
        return -1
    facility = number(p, i, dot)
    severity = number(p, dot + 1, end)
    if facility < 0:
        facility = _place(p, i, dot, 8, 24)
    if severity < 0:
        severity = _place(p, dot + 1, end, 0, 8)
    if facility < 0 or facility > 23 or severity < 0 or severity > 7:
        return -1
    return cython.cast(cython.int, 256 * (end + 1 - i) + 8 * facility + severity)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _place(
    p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t, first: cython.int, n: cython.int
) -> cython.int:
    """Return the place of the name p[i:e] among the n names from ``first`` on, or -1."""
    k: cython.int
    j: cython.Py_ssize_t
    at: cython.int
    if e - i < 2 or e - i > 12:
        return -1
    for k in range(n):
        at = _WIDTH * (first + k)
        j = 0
        while j < e - i and p[i + j] == _names[at + j]:
            j += 1
        if j == e - i and _names[at + j] == 32:
            return k
    return -1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def number(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.longlong:
    """Return the number that the digits p[i:e] make, -1 where it is none below 2**31."""
    n: cython.longlong = 0
    if e <= i or e - i > 10:
        return -1
    while i < e:
        if not 48 <= p[i] <= 57:
            return -1
        n = n * 10 + p[i] - 48
        i += 1
    return n if n <= 2147483647 else -1
