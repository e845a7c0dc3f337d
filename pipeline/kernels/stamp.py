# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Read the time stamp of a line: RFC 3164, ISO 8601 / RFC 3339; and in brackets, of web servers."""

import cython

if cython.compiled:
    from cython.cimports.libc.string import memchr
    from cython.cimports.pipeline.kernels.spans import is_digit
else:
    from pipeline.kernels.spans import is_digit

COMPILED = cython.compiled

# In a table of years: there is no such day in any year.
NO_DATE = cython.declare(cython.int, -2147483648)
NO_OFFSET = cython.declare(cython.int, -2147483648)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _two(p: cython.p_uchar, i: cython.Py_ssize_t) -> cython.int:
    """Return the number that two digits make, or -1."""
    if is_digit(p[i]) and is_digit(p[i + 1]):
        return (p[i] - 48) * 10 + p[i + 1] - 48
    return -1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _month(p: cython.p_uchar, i: cython.Py_ssize_t) -> cython.int:
    """Return the month 1..12 that three letters name, or 0."""
    a: cython.int = p[i]
    b: cython.int = p[i + 1]
    c: cython.int = p[i + 2]
    k: cython.int = (a << 16) | (b << 8) | c
    if a == 74:  # J
        return 1 if k == 0x4A616E else 6 if k == 0x4A756E else 7 if k == 0x4A756C else 0
    if a == 77:  # M
        return 3 if k == 0x4D6172 else 5 if k == 0x4D6179 else 0
    if a == 65:  # A
        return 4 if k == 0x417072 else 8 if k == 0x417567 else 0
    if k == 0x446563:
        return 12
    if k == 0x4E6F76:
        return 11
    if k == 0x4F6374:
        return 10
    if k == 0x536570:
        return 9
    return 2 if k == 0x466562 else 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _civil_day(y: cython.int, m: cython.int, d: cython.int) -> cython.int:
    """Return days since 1970-01-01 of a proleptic Gregorian date, NO_DATE where there is none.

    The algorithm is Howard Hinnant's days_from_civil.
    """
    if y < 1 or m < 1 or m > 12 or d < 1 or d > 31:
        return NO_DATE
    if d == 31 and (m == 4 or m == 6 or m == 9 or m == 11):
        return NO_DATE
    if m == 2 and d > (29 if (y % 4 == 0 and (y % 100 != 0 or y % 400 == 0)) else 28):
        return NO_DATE
    if m <= 2:
        y -= 1
    era: cython.int = y // 400
    yoe: cython.int = y - era * 400
    doy: cython.int = (153 * (m - 3 if m > 2 else m + 9) + 2) // 5 + d - 1
    return era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def find_bracket(
    p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
) -> cython.Py_ssize_t:
    """Return the place of the bracket in ``c - u [10/Oct/2000:13:55:36 -0700] "GET``, or -1.

    Web servers escape quotes in whatever a client wrote, so that none of it can pass as one.
    """
    j: cython.Py_ssize_t = i + 1
    while j + 30 <= e:
        if cython.compiled:
            q: cython.p_uchar = cython.cast(cython.p_uchar, memchr(p + j, 91, e - 29 - j))
            if q == cython.NULL:
                return -1
            j = q - p
        else:
            at = bytes(p[j : e - 29]).find(b"[")
            if at < 0:
                return -1
            j += at
        if (
            p[j - 1] == 32
            and p[j + 3] == 47
            and p[j + 7] == 47
            and p[j + 12] == 58
            and p[j + 21] == 32
            and p[j + 27] == 93
            and p[j + 28] == 32
            and p[j + 29] == 34
        ):
            return j
        j += 1
    return -1


@cython.cclass
class Stamp:
    """The stamp of the line at hand, and the table of years for those that carry none."""

    def __init__(self):
        self.held_years = memoryview(bytearray(4 * 13 * 32)).cast("i")
        self.held_later = memoryview(bytearray(4 * 13 * 32)).cast("i")
        if cython.compiled:
            years: cython.int[::1] = self.held_years
            later: cython.int[::1] = self.held_later
            self.years = cython.address(years[0])
            self.later = cython.address(later[0])
        else:
            self.years, self.later = self.held_years, self.held_later
        self.iso_key = 0
        self.iso_date = NO_DATE
        self.set_years([NO_DATE] * (13 * 32), [NO_DATE] * (13 * 32), 0, 0)

    def set_years(self, years, later, limit_index: cython.int, limit_s: cython.int):
        """Take the table of years of another file; see `pipeline.years.year_table`."""
        k: cython.int
        for k in range(13 * 32):
            self.years[k] = years[k]
            self.later[k] = later[k]
        self.limit_index = limit_index
        self.limit_s = limit_s

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def read(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
    ) -> cython.Py_ssize_t:
        """Read the stamp at p[i]; return where it ends, or -1 where there is none."""
        month: cython.int
        day: cython.int
        hour: cython.int
        minute: cython.int
        second: cython.int
        key: cython.int
        is_iso: cython.bint = False
        self.utc_s = NO_OFFSET
        if e - i < 14:
            return -1
        if is_digit(p[i]):
            if e - i < 19 or p[i + 4] != 45 or p[i + 7] != 45 or p[i + 10] != 84:
                return -1
            hour = _two(p, i)
            minute = _two(p, i + 2)
            month = _two(p, i + 5)
            day = _two(p, i + 8)
            if hour < 0 or minute < 0 or month < 0 or day < 0:
                return -1
            key = (hour * 100 + minute) * 512 + month * 32 + (day & 31)
            if day > 31:
                return -1
            if key != self.iso_key:
                self.iso_key = key
                self.iso_date = _civil_day(hour * 100 + minute, month, day)
            self.date = self.iso_date
            is_iso = True
            i += 11
        else:
            month = _month(p, i)
            if month == 0 or p[i + 3] != 32:
                return -1
            i += 4
            if p[i] == 32:
                i += 1
            if not is_digit(p[i]):
                return -1
            day = p[i] - 48
            i += 1
            if is_digit(p[i]):
                day = day * 10 + p[i] - 48
                i += 1
            if p[i] != 32 or e - i < 9 or day > 31:
                return -1
            i += 1
            key = month * 32 + day
            self.date = self.years[key]
        hour = _two(p, i)
        minute = _two(p, i + 3)
        second = _two(p, i + 6)
        if (
            hour < 0
            or hour > 23
            or p[i + 2] != 58
            or minute < 0
            or minute > 59
            or p[i + 5] != 58
            or second < 0
            or second > 60
        ):
            return -1
        i += 8
        self.us = 0
        if i + 1 < e and (p[i] == 46 or (is_iso and p[i] == 44)) and is_digit(p[i + 1]):
            i += 1
            key = 100000
            while i < e and is_digit(p[i]):
                self.us += (p[i] - 48) * key
                key //= 10
                i += 1
        if second == 60:  # a leap second stays in its minute and day
            second = 59
            self.us = 999999
        self.second = (hour * 60 + minute) * 60 + second
        self.is_yearless = not is_iso
        if is_iso:
            i = self.utc_offset(p, i, e)
        else:
            key = month * 32 + day
            if key == self.limit_index and self.second > self.limit_s:
                self.date = self.later[key]
        if self.date == NO_DATE:
            return -1
        if i < e and (is_digit(p[i]) or 65 <= p[i] <= 90 or 97 <= p[i] <= 122):
            return -1
        return i

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def read_bracket(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
    ) -> cython.bint:
        """Read the stamp in the bracket that `find_bracket` finds; False where there is none."""
        day: cython.int
        month: cython.int
        year: cython.int
        rest: cython.int
        hour: cython.int
        minute: cython.int
        second: cython.int
        key: cython.int
        self.utc_s = NO_OFFSET
        i = find_bracket(p, i, e)
        if i < 0:
            return False
        i += 1
        day = _two(p, i)
        month = _month(p, i + 3)
        year = _two(p, i + 7)
        rest = _two(p, i + 9)
        hour = _two(p, i + 12)
        minute = _two(p, i + 15)
        second = _two(p, i + 18)
        if (
            day < 0
            or day > 31
            or month == 0
            or year < 0
            or rest < 0
            or hour < 0
            or hour > 23
            or p[i + 14] != 58
            or minute < 0
            or minute > 59
            or p[i + 17] != 58
            or second < 0
            or second > 60
            or self.utc_offset(p, i + 21, i + 26) != i + 26
        ):
            return False
        key = (year * 100 + rest) * 512 + month * 32 + (day & 31)
        if key != self.iso_key:
            self.iso_key = key
            self.iso_date = _civil_day(year * 100 + rest, month, day)
        self.date = self.iso_date
        self.us = 0
        if second == 60:
            second = 59
            self.us = 999999
        self.second = (hour * 60 + minute) * 60 + second
        self.is_yearless = False
        return self.date != NO_DATE

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def utc_offset(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
    ) -> cython.Py_ssize_t:
        """Read Z, +hh:mm, +hhmm or +hh at p[i]; return where it ends, i where there is none."""
        hours: cython.int
        minutes: cython.int = 0
        j: cython.Py_ssize_t
        if i < e and (p[i] == 90 or p[i] == 122):
            self.utc_s = 0
            return i + 1
        if i + 3 > e or (p[i] != 43 and p[i] != 45):
            return i
        hours = _two(p, i + 1)
        if hours < 0 or hours > 23:
            return i
        j = i + 3
        if j + 3 <= e and p[j] == 58 and _two(p, j + 1) >= 0:
            minutes = _two(p, j + 1)
            j += 3
        elif j + 2 <= e and _two(p, j) >= 0:
            minutes = _two(p, j)
            j += 2
        if minutes > 59:
            return i
        self.utc_s = (hours * 60 + minutes) * 60
        if p[i] == 45:
            self.utc_s = -self.utc_s
        return j
