# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Find lines, time stamps, hosts, processes and messages in a block of syslog text.

The rules are those of pipeline/DESIGN.md, "The lines relation". Formats: RFC 3164, RFC 5424,
ISO 8601 / RFC 3339 stamps, what FreeBSD and Solaris put beside them, and web servers' brackets.
"""

import cython

if cython.compiled:
    from cython.cimports.pipeline.kernels.line_columns import LineColumns
    from cython.cimports.pipeline.kernels.marks import level, number, special
    from cython.cimports.pipeline.kernels.spans import begins, find, is_digit
    from cython.cimports.pipeline.kernels.views import is_ascii
else:
    from pipeline.kernels.line_columns import LineColumns
    from pipeline.kernels.marks import level, number, special
    from pipeline.kernels.spans import begins, find, is_digit
    from pipeline.kernels.views import is_ascii

from pipeline.kernels.marks import FIXED_PROCESSES

COMPILED = cython.compiled

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
def _space(c: cython.uchar) -> cython.bint:
    return c == 32 or 9 <= c <= 13


@cython.cclass
class Scanner(LineColumns):
    """Scan blocks into column buffers, which are used again for the next rows."""

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
        self.stamp.set_years(years, later, limit_index, limit_s)
        self.zero_counts()

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
        was_full: cython.bint = self.is_full
        self.clear()
        if stop <= start:
            return stop
        if was_full or self.hosts.is_crowded() or self.processes.is_crowded():
            # Hostile or odd input with thousands of names: later rows needn't carry them along.
            # An empty interner has room for any name, since that is shorter than a cut line.
            self.hosts.reset()
            self.processes.reset(FIXED_PROCESSES)
        self.fill_host = self._code(self.hosts, 0, ()) if self.has_host else -1
        self.fill_process = (
            self._code(self.processes, 1, FIXED_PROCESSES) if self.has_process else -1
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
        time: cython.longlong
        is_clean: cython.bint = not (self.needs_text) or is_ascii(p, i, stop)
        self.is_clean = is_clean
        while i < stop and row < self.max_rows:
            end = find(p, 10, i, stop)
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
                    self.stamp.date * _DAY_US
                    + self.stamp.second * cython.cast(cython.longlong, 1000000)
                    + self.stamp.us
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
                self.n_yearless += self.stamp.is_yearless
                self.time[row] = time
                self.dated[row >> 3] |= 1 << (row & 7)
                if self.has_day:
                    self.day_[row] = self.stamp.date
            elif self.is_full:
                break
            else:
                self.time[row] = 0
                if self.has_day:
                    self.day_[row] = self.fill_day
                self.n_undated_rows += 1
            if self.has_bytes:
                self.bytes_[row] = end - i
            if self.has_offset:
                self.offset_[row] = offset + i
            if self.has_line:
                self.whole[2 * row] = cython.cast(cython.int, i)
                self.whole[2 * row + 1] = cython.cast(cython.int, e)
            row += 1
            i = end
        if extra_bytes and i == stop and row and self.has_bytes:
            self.bytes_[row - 1] += extra_bytes
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
        self.level_ = -1
        self.stamp.utc_s = _NO_OFFSET
        if e - j >= 3 and p[j] == 0xEF and p[j + 1] == 0xBB and p[j + 2] == 0xBF:
            j += 3
        if j < e and p[j] == 60:  # <PRI>
            k = j + 1
            pri = 0
            while k < e and k < j + 4 and is_digit(p[k]):
                pri = pri * 10 + p[k] - 48
                k += 1
            if k == j + 1 or k >= e or p[k] != 62 or pri > 191:
                return self.put_undated(p, i, e, row, is_clean)
            j = k + 1
            # RFC 5424 goes on with its version and a space; a stamp never does.
            while k + 1 < e and k < j + 2 and is_digit(p[k + 1]):
                k += 1
            if k >= j and k + 1 < e and p[j] != 48 and p[k + 1] == 32:
                j = self.stamp.read(p, k + 2, e)
                if j < 0 or (j < e and p[j] != 32):
                    return self.put_undated(p, i, e, row, is_clean)
                self.level_ = pri
                return self._line_5424(p, j, e, row, is_clean)
        k = j
        j = self.stamp.read(p, j, e)
        if j < 0 and pri < 0 and self.stamp.read_bracket(p, k, e):
            # Where a web server stamps its lines there is neither host nor tag.
            return self.put(p, i, e, row, is_clean, -1, -1, -1, -1, _NO_TAG, -1)
        if j < 0:
            return self.put_undated(p, i, e, row, is_clean)
        if pri >= 0:
            self.level_ = pri
        if self.needs_head:
            if j < e and not _space(p[j]):
                k = j  # something is glued to the stamp: no host can be told
            else:
                while j < e and _space(p[j]):
                    j += 1
                if j < e and p[j] == 60:
                    found = level(p, j + 1, e, 62)
                    if found >= 0:
                        self.level_ = found & 255
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
                    k = find(p, 93, tag_end + 1, e)
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
                        while k < e and is_digit(p[k]):
                            k += 1
                        if k < e and p[k] == 32:
                            found = level(p, k + 1, e, 93)
                            if found >= 0:
                                self.level_ = found & 255
                                k += 1 + (found >> 8)
                                j = k + 1 if k < e and p[k] == 32 else k
        if host >= 0 and host_end == host + 1 and p[host] == 45:
            host = -1  # RFC 5424's "nothing": who put the line together knew no host
        return self.put(p, j, e, row, is_clean, host, host_end, tag, tag_end, process, pid)

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
        return self.put(p, j, e, row, is_clean, host, host_end, tag, tag_end, _NO_TAG, pid)
