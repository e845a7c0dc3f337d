# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Write moments that are numbers since 1970 as stamps."""

import cython

COMPILED = cython.compiled

_LAST_SECOND = cython.declare(cython.longlong, 253_402_300_799)  # of the year 9999


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def put_epoch(
    out: cython.p_uchar, o: cython.Py_ssize_t, k: cython.Py_ssize_t, end: cython.Py_ssize_t
) -> cython.Py_ssize_t:
    """Write the stamp of a number out[o:end] whose whole digits end at k, in its place."""
    n: cython.longlong = 0
    seconds: cython.longlong
    us: cython.longlong = 0
    unit: cython.longlong = 100000
    digits: cython.Py_ssize_t = k - o
    i: cython.Py_ssize_t
    if digits > 18 + (out[o] < 57):  # more than a longlong holds
        return o
    for i in range(o, k):
        n = n * 10 + out[i] - 48
    if digits <= 11:
        seconds = n
        for i in range(k + 1, end):
            if not 48 <= out[i] <= 57:
                return o
            us += (out[i] - 48) * unit
            unit //= 10
    else:
        for i in range(k + 1, end):
            if not 48 <= out[i] <= 57:
                return o
        if digits <= 14:
            seconds = n // 1000
            us = n % 1000 * 1000
        elif digits <= 17:
            seconds = n // 1000000
            us = n % 1000000
        else:
            seconds = n // 1000000000
            us = n % 1000000000 // 1000
    if seconds > _LAST_SECOND:
        return o
    return put_moment(out, o, seconds, us)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def put_moment(
    out: cython.p_uchar, o: cython.Py_ssize_t, seconds: cython.longlong, us: cython.longlong
) -> cython.Py_ssize_t:
    """Write a moment as RFC 3339 does, in UTC. Source: Howard Hinnant's civil_from_days."""
    days: cython.longlong = seconds // 86400 + 719468
    era: cython.longlong = days // 146097
    doe: cython.longlong = days - era * 146097
    yoe: cython.longlong = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    doy: cython.longlong = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp: cython.longlong = (5 * doy + 2) // 153
    month: cython.longlong = mp + 3 if mp < 10 else mp - 9
    rest: cython.longlong = seconds % 86400
    _digits(out, o, 4, yoe + era * 400 + (month <= 2), 45)
    _digits(out, o + 5, 2, month, 45)
    _digits(out, o + 8, 2, doy - (153 * mp + 2) // 5 + 1, 84)
    _digits(out, o + 11, 2, rest // 3600, 58)
    _digits(out, o + 14, 2, rest % 3600 // 60, 58)
    _digits(out, o + 17, 2, rest % 60, 46)
    _digits(out, o + 20, 6, us, 90)
    return o + 27


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _digits(
    out: cython.p_uchar,
    o: cython.Py_ssize_t,
    n: cython.int,
    value: cython.longlong,
    then: cython.int,
) -> cython.void:
    """Write a number of n digits, and a byte behind it."""
    k: cython.int
    out[o + n] = then
    for k in range(n):
        out[o + n - 1 - k] = 48 + value % 10
        value //= 10
