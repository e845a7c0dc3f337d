# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Find lines, time stamps, hosts, processes and messages in a block of syslog text.

The rules are those of pipeline/DESIGN.md, "The lines relation". Formats: RFC 3164, RFC 5424,
ISO 8601 / RFC 3339 stamps, what FreeBSD and Solaris put beside them, and web servers' brackets.
"""

import cython

if cython.compiled:
    from cython.cimports.libc.string import memchr
    from cython.cimports.pipeline.kernels.marks import begins, level, number, special
    from cython.cimports.pipeline.kernels.names import Interner
    from cython.cimports.pipeline.kernels.stamp import Stamp
    from cython.cimports.pipeline.kernels.views import is_ascii, is_utf8, write_view
else:
    from pipeline.kernels.marks import begins, level, number, special
    from pipeline.kernels.names import Interner
    from pipeline.kernels.stamp import Stamp
    from pipeline.kernels.views import is_ascii, is_utf8, write_view

from pipeline.kernels.marks import FIXED_PROCESSES
from pipeline.memory import zeros

COMPILED = cython.compiled

#: The columns that a `Scanner` can build, each with its bit.
COLUMNS = {
    "time": 1,
    "day": 2,
    "host": 4,
    "process": 8,
    "pid": 16,
    "severity": 32,
    "facility": 32,
    "message": 64,
    "bytes": 128,
    "offset": 256,
    "utc_offset": 512,
    "text": 1024,
    "line": 2048,
}
DAY = cython.declare(cython.int, 2)
HOST = cython.declare(cython.int, 4)
PROCESS = cython.declare(cython.int, 8)
PID = cython.declare(cython.int, 16)
LEVEL = cython.declare(cython.int, 32)
MESSAGE = cython.declare(cython.int, 64)
BYTES = cython.declare(cython.int, 128)
OFFSET = cython.declare(cython.int, 256)
UTC_OFFSET = cython.declare(cython.int, 512)
TEXT = cython.declare(cython.int, 1024)
LINE = cython.declare(cython.int, 2048)

_NO_TAG = cython.declare(cython.int, 0)
_LAST_REPEATED = cython.declare(cython.int, 1)
_NO_OFFSET = cython.declare(cython.int, -2147483648)
_DAY_US = cython.declare(cython.longlong, 86_400_000_000)
HALF_YEAR_US = 183 * 86_400_000_000
_HALF_YEAR_US = cython.declare(cython.longlong, 183 * 86_400_000_000)
_MAX_LINE = cython.declare(cython.Py_ssize_t, 1 << 20)  # model.MAX_LINE_BYTES


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _find(
    p: cython.p_uchar, byte: cython.int, i: cython.Py_ssize_t, e: cython.Py_ssize_t
) -> cython.Py_ssize_t:
    """Return the first place of a byte in p[i:e], or -1."""
    if cython.compiled:
        q: cython.p_uchar = (
            cython.cast(cython.p_uchar, memchr(p + i, byte, e - i)) if e > i else cython.NULL
        )
        return q - p if q != cython.NULL else -1
    else:
        at = bytes(p[i:e]).find(byte)
        return i + at if at >= 0 else -1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _digit(c: cython.uchar) -> cython.bint:
    return 48 <= c <= 57


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _space(c: cython.uchar) -> cython.bint:
    return c == 32 or 9 <= c <= 13


@cython.cclass
class Scanner:
    """Scan blocks into column buffers, which are used again for the next rows.

    Parameters
    ----------
    max_rows : int
        Capacity of the column buffers, in rows.
    columns : int
        What to build: `TIME`, `DAY`, … or-ed together.
    """

    columns = cython.declare(cython.int, visibility="public")
    max_rows = cython.declare(cython.int, visibility="public")
    n_rows = cython.declare(cython.int, visibility="public")
    n_bad = cython.declare(cython.int, visibility="public")
    hosts = cython.declare(Interner, visibility="public")
    processes = cython.declare(Interner, visibility="public")
    # Of all rows since begin_file:
    n_lines = cython.declare(cython.longlong, visibility="public")
    n_dated = cython.declare(cython.longlong, visibility="public")
    n_yearless = cython.declare(cython.longlong, visibility="public")
    n_steps_back = cython.declare(cython.longlong, visibility="public")
    first_time = cython.declare(cython.longlong, visibility="public")
    last_time = cython.declare(cython.longlong, visibility="public")
    min_time = cython.declare(cython.longlong, visibility="public")
    max_time = cython.declare(cython.longlong, visibility="public")
    # Of the rows in the buffers:
    n_undated_rows = cython.declare(cython.int, visibility="public")
    n_hostless_rows = cython.declare(cython.int, visibility="public")
    is_clean = cython.declare(cython.bint, visibility="public")  # texts are ASCII, if asked for

    buffers = cython.declare(dict, visibility="public")
    _views: list
    _time: cython.p_longlong
    _bytes: cython.p_longlong
    _offset: cython.p_longlong
    _day: cython.p_int
    _host: cython.p_int
    _process: cython.p_int
    _pid: cython.p_int
    _utc: cython.p_int
    _message: cython.p_int
    _text: cython.p_int  # begin and end of each message in the block, begin -1 of undated lines
    _whole: cython.p_int  # begin and end of each line in the block, without its line end
    _severity: cython.p_uchar
    _facility: cython.p_uchar
    _dated: cython.p_uchar
    _hosted: cython.p_uchar
    _with_pid: cython.p_uchar
    _with_utc: cython.p_uchar
    _with_level: cython.p_uchar
    _bad: cython.p_int
    _full: cython.bint
    # What lines lack, from the path of the file: codes, or -1; the day of lines without a stamp.
    _fill: list
    _fill_host: cython.int
    _fill_process: cython.int
    _fill_day: cython.int
    _stamp: Stamp
    _level: cython.int  # 8 * facility + severity of the line at hand, or -1

    def __init__(self, max_rows: cython.int, columns: cython.int):
        self.columns = columns
        self.max_rows = max_rows
        self.hosts = Interner()
        self.processes = Interner(FIXED_PROCESSES)
        self._stamp = Stamp()
        self.buffers = {}
        self._views = []
        bits = max_rows // 8 + 1
        self._time = self._ints64("time", max_rows)
        self._day = self._ints32("day", max_rows if columns & DAY else 1)
        self._host = self._ints32("host", max_rows if columns & HOST else 1)
        self._process = self._ints32("process", max_rows if columns & PROCESS else 1)
        self._pid = self._ints32("pid", max_rows if columns & PID else 1)
        self._utc = self._ints32("utc_offset", max_rows if columns & UTC_OFFSET else 1)
        self._message = self._ints32("message", 4 * max_rows if columns & MESSAGE else 1)
        self._text = self._ints32("text", 2 * max_rows if columns & TEXT else 1)
        self._whole = self._ints32("line", 2 * max_rows if columns & LINE else 1)
        self._bad = self._ints32("bad", 3 * max_rows if columns & MESSAGE else 1)
        self._bytes = self._ints64("bytes", max_rows if columns & BYTES else 1)
        self._offset = self._ints64("offset", max_rows if columns & OFFSET else 1)
        self._severity = self._bytes8("severity", max_rows)
        self._facility = self._bytes8("facility", max_rows)
        self._dated = self._bytes8("dated", bits)
        self._hosted = self._bytes8("hosted", bits)
        self._with_pid = self._bytes8("with_pid", bits)
        self._with_utc = self._bytes8("with_utc", bits)
        self._with_level = self._bytes8("with_level", bits)
        self.n_rows = 0
        self._full = False
        self.fill(b"", b"", 0)
        self.zero_counts()

    @cython.cfunc
    def _bytes8(self, name, n: cython.Py_ssize_t) -> cython.p_uchar:
        held = zeros(n)
        self.buffers[name] = held
        if cython.compiled:
            view: cython.uchar[::1] = held
            self._views.append(view)
            return cython.address(view[0])
        else:
            return memoryview(held)

    @cython.cfunc
    def _ints32(self, name, n: cython.Py_ssize_t) -> cython.p_int:
        held = memoryview(zeros(4 * n)).cast("i")
        self.buffers[name] = held
        if cython.compiled:
            view: cython.int[::1] = held
            return cython.address(view[0])
        else:
            return held

    @cython.cfunc
    def _ints64(self, name, n: cython.Py_ssize_t) -> cython.p_longlong:
        held = memoryview(zeros(8 * n)).cast("q")
        self.buffers[name] = held
        if cython.compiled:
            view: cython.longlong[::1] = held
            return cython.address(view[0])
        else:
            return held

    def begin_file(self, years, later, limit_index: cython.int, limit_s: cython.int):
        """Take the year table of another file and set the counts of its lines to zero.

        Parameters
        ----------
        years, later : sequence of int, 13 * 32 long
            Days since 1970-01-01 of each month * 32 + day in its resolved year, `_NO_OFFSET` where
            there is no such day. ``later`` holds for stamps on the limit's own day that are
            later than the limit.
        limit_index : int
            month * 32 + day of the limit.
        limit_s : int
            Second of the day of the limit.
        """
        self._stamp.set_years(years, later, limit_index, limit_s)
        self.zero_counts()

    def fill(self, host, process, day: cython.int):
        """Set what lines lack: a host, where none or ``localhost`` is named, a process, a day.

        ``host`` and ``process`` are empty where they are not known; ``day`` is only that of lines
        without a time stamp.
        """
        self._fill = [bytearray(host), bytearray(process)]
        self._fill_day = day
        self._fill_host = -1
        self._fill_process = -1

    @cython.cfunc
    def _code(self, names: Interner, n: cython.int, fixed) -> cython.int:
        """Return the code of a name that lines lack, -1 where there is none."""
        held = self._fill[n]
        code: cython.int
        if not held:
            return -1
        if cython.compiled:
            view: cython.uchar[::1] = held
            code = names.code(cython.address(view[0]), 0, len(held))
        else:
            code = names.code(memoryview(held), 0, len(held))
        if code < 0:  # no room: an empty interner has some
            names.reset(fixed)
            return self._code(names, n, fixed)
        return code

    def zero_counts(self):
        """Set the counts of lines to zero."""
        self.n_lines = 0
        self.n_dated = 0
        self.n_yearless = 0
        self.n_steps_back = 0
        self.first_time = 0
        self.last_time = 0
        self.min_time = 0
        self.max_time = 0

    def scan(
        self,
        block: cython.uchar[::1],
        start: cython.Py_ssize_t,
        stop: cython.Py_ssize_t,
        offset: cython.longlong,
        extra_bytes: cython.longlong = 0,
    ):
        """Scan lines of block[start:stop] into the column buffers, from their first row on.

        Parameters
        ----------
        block : writable buffer of unsigned bytes
            Whole lines; only the last may lack its LF.
        offset : int
            Plain offset of block[0] in its file.
        extra_bytes : int
            Bytes of the last line that were left out of the block, since it was too long.

        Returns
        -------
        int
            Where the next call must go on: ``stop``, or less when the buffers are full.
        """
        at: cython.Py_ssize_t = start
        self.n_rows = 0
        self.n_bad = 0
        self.n_undated_rows = 0
        self.n_hostless_rows = 0
        if stop <= start:
            return stop
        if self._full or self.hosts.is_crowded() or self.processes.is_crowded():
            # Hostile or odd input with thousands of names: later rows needn't carry them along.
            # An empty interner has room for any name, since that is shorter than a cut line.
            self.hosts.reset()
            self.processes.reset(FIXED_PROCESSES)
        self._fill_host = self._code(self.hosts, 0, ()) if self.columns & HOST else -1
        self._fill_process = (
            self._code(self.processes, 1, FIXED_PROCESSES) if self.columns & PROCESS else -1
        )
        if cython.compiled:
            p: cython.p_uchar = cython.address(block[0])
            with cython.nogil:
                at = self._scan(p, start, stop, offset, extra_bytes)
        else:
            at = self._scan(block, start, stop, offset, extra_bytes)
        return at

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _scan(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        stop: cython.Py_ssize_t,
        offset: cython.longlong,
        extra_bytes: cython.longlong,
    ) -> cython.Py_ssize_t:
        row: cython.int = 0
        e: cython.Py_ssize_t
        end: cython.Py_ssize_t
        k: cython.Py_ssize_t
        time: cython.longlong
        is_clean: cython.bint = not (self.columns & (MESSAGE | TEXT | LINE)) or is_ascii(p, i, stop)
        for k in range(self.max_rows // 8 + 1):
            self._dated[k] = 0
            self._hosted[k] = 0
            self._with_pid[k] = 0
            self._with_utc[k] = 0
            self._with_level[k] = 0
        self._full = False
        self.is_clean = is_clean
        while i < stop and row < self.max_rows:
            end = _find(p, 10, i, stop)
            if end < 0:
                end = stop
                e = stop
            else:
                e = end
                end += 1
                if e > i and p[e - 1] == 13:
                    e -= 1
            if e - i > _MAX_LINE:
                e = i + _MAX_LINE
            if self._line(p, i, e, row, is_clean):
                time = (
                    self._stamp.date * _DAY_US
                    + self._stamp.second * cython.cast(cython.longlong, 1000000)
                    + self._stamp.us
                )
                if self.n_dated == 0:
                    self.first_time = time
                    self.min_time = time
                    self.max_time = time
                elif time < self.min_time:
                    self.min_time = time
                elif time > self.max_time:
                    self.max_time = time
                if self.n_dated and self.last_time - time > _HALF_YEAR_US:
                    self.n_steps_back += 1
                self.last_time = time
                self.n_dated += 1
                self.n_yearless += self._stamp.is_yearless
                self._time[row] = time
                self._dated[row >> 3] |= 1 << (row & 7)
                if self.columns & DAY:
                    self._day[row] = self._stamp.date
            elif self._full:
                break
            else:
                self._time[row] = 0
                if self.columns & DAY:
                    self._day[row] = self._fill_day
                self.n_undated_rows += 1
            if self.columns & BYTES:
                self._bytes[row] = end - i
            if self.columns & OFFSET:
                self._offset[row] = offset + i
            if self.columns & LINE:
                self._whole[2 * row] = cython.cast(cython.int, i)
                self._whole[2 * row + 1] = cython.cast(cython.int, e)
            row += 1
            i = end
        if extra_bytes and i == stop and row and self.columns & BYTES:
            self._bytes[row - 1] += extra_bytes
        self.n_rows = row
        self.n_lines += row
        return i

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _line(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
        row: cython.int,
        is_clean: cython.bint,
    ) -> cython.bint:
        """Take the line p[i:e] apart into its row; tell whether it has a time stamp."""
        j: cython.Py_ssize_t = i
        k: cython.Py_ssize_t
        pri: cython.int = -1
        found: cython.int
        host: cython.Py_ssize_t = -1
        host_end: cython.Py_ssize_t = -1
        tag: cython.Py_ssize_t = -1
        tag_end: cython.Py_ssize_t = -1
        pid: cython.longlong = -1
        process: cython.int = _NO_TAG
        self._level = -1
        self._stamp.utc_s = _NO_OFFSET
        if e - j >= 3 and p[j] == 0xEF and p[j + 1] == 0xBB and p[j + 2] == 0xBF:
            j += 3
        if j < e and p[j] == 60:  # <PRI>
            k = j + 1
            pri = 0
            while k < e and k < j + 4 and _digit(p[k]):
                pri = pri * 10 + p[k] - 48
                k += 1
            if k == j + 1 or k >= e or p[k] != 62 or pri > 191:
                return self._undated(p, i, e, row, is_clean)
            j = k + 1
            # RFC 5424 goes on with its version and a space; a stamp never does.
            while k + 1 < e and k < j + 2 and _digit(p[k + 1]):
                k += 1
            if k >= j and k + 1 < e and p[j] != 48 and p[k + 1] == 32:
                j = self._stamp.read(p, k + 2, e)
                if j < 0 or (j < e and p[j] != 32):
                    return self._undated(p, i, e, row, is_clean)
                self._level = pri
                return self._line_5424(p, j, e, row, is_clean)
        k = j
        j = self._stamp.read(p, j, e)
        if j < 0 and pri < 0 and self._stamp.read_bracket(p, k, e):
            # Where a web server stamps its lines there is neither host nor tag.
            return self._put(p, i, e, row, is_clean, -1, -1, -1, -1, _NO_TAG, -1)
        if j < 0:
            return self._undated(p, i, e, row, is_clean)
        if pri >= 0:
            self._level = pri
        if self.columns & (HOST | PROCESS | PID | MESSAGE | LEVEL | TEXT):
            if j < e and not _space(p[j]):
                k = j  # something is glued to the stamp: no host can be told
            else:
                while j < e and _space(p[j]):
                    j += 1
                if j < e and p[j] == 60:
                    found = level(p, j + 1, e, 62)
                    if found >= 0:
                        self._level = found & 255
                        j += 1 + (found >> 8)
                        while j < e and _space(p[j]):
                            j += 1
                process = special(p, j, e)
                k = j
                if process == _NO_TAG and j < e:
                    host = j
                    while k < e and not _space(p[k]):
                        k += 1
                    host_end = k
                    while k < e and _space(p[k]):
                        k += 1
                    process = special(p, k, e)
            # Now k is where a tag would begin.
            j = k
            if process == _NO_TAG and host >= 0:
                while k < e and p[k] != 58 and p[k] != 91 and not _space(p[k]):
                    k += 1
                if k > j and k < e and p[k] == 58:
                    tag = j
                    tag_end = k
                    j = k + 1
                elif k > j and k < e and p[k] == 91:
                    tag_end = k
                    k = _find(p, 93, tag_end + 1, e)
                    if k >= 0:
                        tag = j
                        pid = number(p, tag_end + 1, k)
                        j = k + 1
                        if j < e and p[j] == 58:
                            j += 1
                if tag >= 0:
                    if j < e and p[j] == 32:
                        j += 1
                    if (
                        tag_end - tag == 7
                        and special(p, j, e) == _LAST_REPEATED
                        and begins(p, tag, e, b"syslogd", 7)
                    ):
                        process = _LAST_REPEATED
                        tag = -1
                        pid = -1
                    elif (
                        j + 4 < e
                        and p[j] == 91
                        and p[j + 1] == 73
                        and p[j + 2] == 68
                        and p[j + 3] == 32
                    ):  # [ID
                        k = j + 4
                        while k < e and _digit(p[k]):
                            k += 1
                        if k < e and p[k] == 32:
                            found = level(p, k + 1, e, 93)
                            if found >= 0:
                                self._level = found & 255
                                k += 1 + (found >> 8)
                                j = k + 1 if k < e and p[k] == 32 else k
        if host >= 0 and host_end == host + 1 and p[host] == 45:
            host = -1  # RFC 5424's "nothing": who put the line together knew no host
        return self._put(p, j, e, row, is_clean, host, host_end, tag, tag_end, process, pid)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _line_5424(
        self,
        p: cython.p_uchar,
        j: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
        row: cython.int,
        is_clean: cython.bint,
    ) -> cython.bint:
        """Take what follows the stamp of an RFC 5424 line apart: HOST APP PROCID MSGID SD MSG."""
        k: cython.Py_ssize_t
        n: cython.int
        host: cython.Py_ssize_t = -1
        host_end: cython.Py_ssize_t = -1
        tag: cython.Py_ssize_t = -1
        tag_end: cython.Py_ssize_t = -1
        pid: cython.longlong = -1
        is_quoted: cython.bint
        for n in range(4):
            if j < e:
                j += 1  # the space
            k = j
            while k < e and p[k] != 32:
                k += 1
            if k > j and not (k == j + 1 and p[j] == 45):
                if n == 0:
                    host = j
                    host_end = k
                elif n == 1:
                    tag = j
                    tag_end = k
                elif n == 2:
                    pid = number(p, j, k)
            j = k
        if j < e:
            j += 1
        k = j
        if k < e and p[k] == 45 and (k + 1 == e or p[k + 1] == 32):
            k += 1
        else:
            is_quoted = False
            while k < e and p[k] == 91:
                while k < e and (is_quoted or p[k] != 93):
                    if p[k] == 34:
                        is_quoted = not is_quoted
                    elif is_quoted and p[k] == 92 and k + 1 < e:
                        k += 1
                    k += 1
                if k >= e:  # it never ends: then it is text
                    k = j
                    break
                k += 1
        if k > j:
            j = k + 1 if k < e and p[k] == 32 else k
            if e - j >= 3 and p[j] == 0xEF and p[j + 1] == 0xBB and p[j + 2] == 0xBF:
                j += 3
        return self._put(p, j, e, row, is_clean, host, host_end, tag, tag_end, _NO_TAG, pid)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _put(
        self,
        p: cython.p_uchar,
        text: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
        row: cython.int,
        is_clean: cython.bint,
        host: cython.Py_ssize_t,
        host_end: cython.Py_ssize_t,
        tag: cython.Py_ssize_t,
        tag_end: cython.Py_ssize_t,
        process: cython.int,
        pid: cython.longlong,
    ) -> cython.bint:
        """Write the row of a dated line; False, and ``_full``, when a name finds no room."""
        code: cython.int
        bit: cython.uchar = 1 << (row & 7)
        if self.columns & HOST:
            self._host[row] = 0
            if self._fill_host >= 0 and (
                host < 0 or (host_end - host == 9 and begins(p, host, host_end, b"localhost", 9))
            ):
                self._host[row] = self._fill_host
                self._hosted[row >> 3] |= bit
            elif host >= 0:
                code = self.hosts.code(p, host, host_end - host)
                if code < 0:
                    self._full = True
                    return False
                self._host[row] = code
                self._hosted[row >> 3] |= bit
            else:
                self.n_hostless_rows += 1
        if self.columns & PROCESS:
            if tag >= 0:
                process = self.processes.code(p, tag, tag_end - tag)
                if process < 0:
                    self._full = True
                    return False
            elif process == _NO_TAG and self._fill_process >= 0:
                process = self._fill_process
            self._process[row] = process
        if self.columns & PID:
            self._pid[row] = 0
            if pid >= 0:
                self._pid[row] = cython.cast(cython.int, pid)
                self._with_pid[row >> 3] |= bit
        if self.columns & LEVEL:
            if self._level >= 0:
                self._severity[row] = self._level & 7
                self._facility[row] = self._level >> 3
                self._with_level[row >> 3] |= bit
            else:
                self._severity[row] = 0
                self._facility[row] = 0
        if self.columns & UTC_OFFSET:
            self._utc[row] = 0
            if self._stamp.utc_s != _NO_OFFSET:
                self._utc[row] = self._stamp.utc_s
                self._with_utc[row >> 3] |= bit
        if self.columns & MESSAGE:
            self._view(p, text, e, row, is_clean)
        if self.columns & TEXT:
            self._text[2 * row] = cython.cast(cython.int, text)
            self._text[2 * row + 1] = cython.cast(cython.int, e)
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _undated(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
        row: cython.int,
        is_clean: cython.bint,
    ) -> cython.bint:
        """Write the row of a line without a time stamp: all but its text is NULL."""
        if self.columns & HOST:
            self._host[row] = 0
            if self._fill_host >= 0:
                self._host[row] = self._fill_host
                self._hosted[row >> 3] |= 1 << (row & 7)
            else:
                self.n_hostless_rows += 1
        if self.columns & PROCESS:
            self._process[row] = max(self._fill_process, 0)
        if self.columns & PID:
            self._pid[row] = 0
        if self.columns & LEVEL:
            self._severity[row] = 0
            self._facility[row] = 0
        if self.columns & UTC_OFFSET:
            self._utc[row] = 0
        if self.columns & MESSAGE:
            self._view(p, i, e, row, is_clean)
        if self.columns & TEXT:
            self._text[2 * row] = -1
            self._text[2 * row + 1] = -1
        return False

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _view(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
        row: cython.int,
        is_clean: cython.bint,
    ) -> cython.void:
        """Write the message p[i:e]; what is no UTF-8 is noted in ``bad``, to be mended."""
        if not is_clean and not is_utf8(p, i, e):
            self._bad[3 * self.n_bad] = row
            self._bad[3 * self.n_bad + 1] = cython.cast(cython.int, i)
            self._bad[3 * self.n_bad + 2] = cython.cast(cython.int, e)
            self.n_bad += 1
            e = i
        if cython.compiled:
            write_view(self._message + 4 * row, p, i, e)
        else:
            write_view(self._message[4 * row : 4 * row + 4], p, i, e)
