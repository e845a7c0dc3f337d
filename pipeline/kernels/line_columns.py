# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""The columns of scanned lines: buffers that are written row by row, and used again."""

import cython

if cython.compiled:
    from cython.cimports.pipeline.kernels.names import Interner
    from cython.cimports.pipeline.kernels.spans import begins
    from cython.cimports.pipeline.kernels.stamp import Stamp
    from cython.cimports.pipeline.kernels.views import is_utf8, write_view
else:
    from pipeline.kernels.names import Interner
    from pipeline.kernels.spans import begins
    from pipeline.kernels.stamp import Stamp
    from pipeline.kernels.views import is_utf8, write_view

from pipeline.kernels.marks import FIXED_PROCESSES
from pipeline.memory import zeros

COMPILED = cython.compiled

#: The columns that a `LineColumns` can build, each with its bit.
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
_DAY = cython.declare(cython.int, 2)
_HOST = cython.declare(cython.int, 4)
_PROCESS = cython.declare(cython.int, 8)
_PID = cython.declare(cython.int, 16)
_LEVEL = cython.declare(cython.int, 32)
_MESSAGE = cython.declare(cython.int, 64)
_BYTES = cython.declare(cython.int, 128)
_OFFSET = cython.declare(cython.int, 256)
_UTC_OFFSET = cython.declare(cython.int, 512)
_TEXT = cython.declare(cython.int, 1024)
_LINE = cython.declare(cython.int, 2048)

_NO_TAG = cython.declare(cython.int, 0)
_NO_OFFSET = cython.declare(cython.int, -2147483648)


@cython.cclass
class LineColumns:
    """Rows of lines, and how many lines there were.

    Parameters
    ----------
    max_rows : int
        Capacity of the column buffers, in rows.
    columns : int
        What to build: values of `COLUMNS` or-ed together.
    """

    def __init__(self, max_rows: cython.int, columns: cython.int):
        self.has_day = columns & _DAY != 0
        self.has_host = columns & _HOST != 0
        self.has_process = columns & _PROCESS != 0
        self.has_pid = columns & _PID != 0
        self.has_level = columns & _LEVEL != 0
        self.has_message = columns & _MESSAGE != 0
        self.has_bytes = columns & _BYTES != 0
        self.has_offset = columns & _OFFSET != 0
        self.has_utc = columns & _UTC_OFFSET != 0
        self.has_text = columns & _TEXT != 0
        self.has_line = columns & _LINE != 0
        self.needs_text = columns & (_MESSAGE | _TEXT | _LINE) != 0
        self.needs_head = columns & (_HOST | _PROCESS | _PID | _MESSAGE | _LEVEL | _TEXT) != 0
        self.max_rows = max_rows
        self.hosts = Interner()
        self.processes = Interner(FIXED_PROCESSES)
        self.stamp = Stamp()
        self.buffers = {}
        self._views = []
        bits = max_rows // 8 + 1
        self.time = self._ints64("time", max_rows)
        self.day_ = self._ints32("day", max_rows if self.has_day else 1)
        self.host_ = self._ints32("host", max_rows if self.has_host else 1)
        self.process_ = self._ints32("process", max_rows if self.has_process else 1)
        self.pid_ = self._ints32("pid", max_rows if self.has_pid else 1)
        self.utc = self._ints32("utc_offset", max_rows if self.has_utc else 1)
        self.message = self._ints32("message", 4 * max_rows if self.has_message else 1)
        self.text_ = self._ints32("text", 2 * max_rows if self.has_text else 1)
        self.whole = self._ints32("line", 2 * max_rows if self.has_line else 1)
        self.bad = self._ints32("bad", 3 * max_rows if self.has_message else 1)
        self.bytes_ = self._ints64("bytes", max_rows if self.has_bytes else 1)
        self.offset_ = self._ints64("offset", max_rows if self.has_offset else 1)
        self.severity = self._bytes8("severity", max_rows)
        self.facility = self._bytes8("facility", max_rows)
        self.dated = self._bytes8("dated", bits)
        self.hosted = self._bytes8("hosted", bits)
        self.with_pid = self._bytes8("with_pid", bits)
        self.with_utc = self._bytes8("with_utc", bits)
        self.with_level = self._bytes8("with_level", bits)
        self.n_rows = 0
        self.is_full = False
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

    def fill(self, host, process, day: cython.int):
        """Set what lines lack: a host, where none or ``localhost`` is named, a process, a day.

        ``host`` and ``process`` are empty where they are not known; ``day`` is only that of lines
        without a time stamp.
        """
        self._fill = [bytearray(host), bytearray(process)]
        self.fill_day = day
        self.fill_host = -1
        self.fill_process = -1

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

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def clear(self) -> cython.void:
        """Forget the rows."""
        k: cython.Py_ssize_t
        for k in range(self.max_rows // 8 + 1):
            self.dated[k] = 0
            self.hosted[k] = 0
            self.with_pid[k] = 0
            self.with_utc[k] = 0
            self.with_level[k] = 0
        self.n_rows = 0
        self.n_bad = 0
        self.n_undated_rows = 0
        self.n_hostless_rows = 0
        self.is_full = False

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def put(
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
        if self.has_host:
            self.host_[row] = 0
            if self.fill_host >= 0 and (
                host < 0 or (host_end - host == 9 and begins(p, host, host_end, b"localhost", 9))
            ):
                self.host_[row] = self.fill_host
                self.hosted[row >> 3] |= bit
            elif host >= 0:
                code = self.hosts.code(p, host, host_end - host)
                if code < 0:
                    self.is_full = True
                    return False
                self.host_[row] = code
                self.hosted[row >> 3] |= bit
            else:
                self.n_hostless_rows += 1
        if self.has_process:
            if tag >= 0:
                process = self.processes.code(p, tag, tag_end - tag)
                if process < 0:
                    self.is_full = True
                    return False
            elif process == _NO_TAG and self.fill_process >= 0:
                process = self.fill_process
            self.process_[row] = process
        if self.has_pid:
            self.pid_[row] = 0
            if pid >= 0:
                self.pid_[row] = cython.cast(cython.int, pid)
                self.with_pid[row >> 3] |= bit
        if self.has_level:
            if self.level_ >= 0:
                self.severity[row] = self.level_ & 7
                self.facility[row] = self.level_ >> 3
                self.with_level[row >> 3] |= bit
            else:
                self.severity[row] = 0
                self.facility[row] = 0
        if self.has_utc:
            self.utc[row] = 0
            if self.stamp.utc_s != _NO_OFFSET:
                self.utc[row] = self.stamp.utc_s
                self.with_utc[row >> 3] |= bit
        if self.has_message:
            self.put_text(p, text, e, row, is_clean)
        if self.has_text:
            self.text_[2 * row] = cython.cast(cython.int, text)
            self.text_[2 * row + 1] = cython.cast(cython.int, e)
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def put_undated(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
        row: cython.int,
        is_clean: cython.bint,
    ) -> cython.bint:
        """Write the row of a line without a time stamp: all but its text is NULL."""
        if self.has_host:
            self.host_[row] = 0
            if self.fill_host >= 0:
                self.host_[row] = self.fill_host
                self.hosted[row >> 3] |= 1 << (row & 7)
            else:
                self.n_hostless_rows += 1
        if self.has_process:
            self.process_[row] = max(self.fill_process, 0)
        if self.has_pid:
            self.pid_[row] = 0
        if self.has_level:
            self.severity[row] = 0
            self.facility[row] = 0
        if self.has_utc:
            self.utc[row] = 0
        if self.has_message:
            self.put_text(p, i, e, row, is_clean)
        if self.has_text:
            self.text_[2 * row] = -1
            self.text_[2 * row + 1] = -1
        return False

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def put_text(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
        row: cython.int,
        is_clean: cython.bint,
    ) -> cython.void:
        """Write the message p[i:e]; what is no UTF-8 is noted in ``bad``, to be mended."""
        if not is_clean and not is_utf8(p, i, e):
            self.bad[3 * self.n_bad] = row
            self.bad[3 * self.n_bad + 1] = cython.cast(cython.int, i)
            self.bad[3 * self.n_bad + 2] = cython.cast(cython.int, e)
            self.n_bad += 1
            e = i
        if cython.compiled:
            write_view(self.message + 4 * row, p, i, e)
        else:
            write_view(self.message[4 * row : 4 * row + 4], p, i, e)
