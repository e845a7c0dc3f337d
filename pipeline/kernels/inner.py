# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Write the lines that stand in envelopes: as they are, or with a syslog head before them.

Whoever opens envelopes (`open_json`, `open_text`, `open_frames`) notes where the fields of one
stand, then lets `Inner.put` write the line.
"""

from mmap import mmap

import cython

if cython.compiled:
    from cython.cimports.pipeline.kernels.epoch import put_epoch
    from cython.cimports.pipeline.kernels.json_text import put_array, put_byte, unescape
    from cython.cimports.pipeline.kernels.marks import level, number
    from cython.cimports.pipeline.kernels.spans import copy, digits_end, find, move
    from cython.cimports.pipeline.kernels.stamp import Stamp
else:
    from pipeline.kernels.epoch import put_epoch
    from pipeline.kernels.json_text import put_array, put_byte, unescape
    from pipeline.kernels.marks import level, number
    from pipeline.kernels.spans import copy, digits_end, find, move
    from pipeline.kernels.stamp import Stamp

COMPILED = cython.compiled

#: The fields of an envelope, by place.
FIELDS = ("message", "time", "host", "process", "pid", "severity", "facility", "stream")
MESSAGE = cython.declare(cython.int, 0)
TIME = cython.declare(cython.int, 1)
HOST = cython.declare(cython.int, 2)
PROCESS = cython.declare(cython.int, 3)
PID = cython.declare(cython.int, 4)
SEVERITY = cython.declare(cython.int, 5)
FACILITY = cython.declare(cython.int, 6)
STREAM = cython.declare(cython.int, 7)
_N_FIELDS = cython.declare(cython.int, 8)

# What a field holds. NONE: it is missing. RAW: bytes that are meant as they are.
NONE = cython.declare(cython.int, 0)
RAW = cython.declare(cython.int, 1)
STRING = cython.declare(cython.int, 2)
ESCAPED = cython.declare(cython.int, 3)
NUMBER = cython.declare(cython.int, 4)
ARRAY = cython.declare(cython.int, 5)
OTHER = cython.declare(cython.int, 6)

_MAX_TEXT = cython.declare(cython.Py_ssize_t, 1 << 20)  # model.MAX_LINE_BYTES
#: A head is shorter: level 5, time 64, host and process 255 each, pid 10, and what parts them.
_HEAD = cython.declare(cython.Py_ssize_t, 1024)
_MAX_NAME = cython.declare(cython.Py_ssize_t, 255)
_MAX_TIME = cython.declare(cython.Py_ssize_t, 64)
_STREAMS = cython.declare(cython.int, 2)
#: Room for a text of four times its length (a line end becomes four bytes) and one put together.
LEAST_BYTES = 7 << 20


@cython.cclass
class Inner:
    """The lines taken out of some envelopes, and of each what its envelope takes in the file.

    Parameters
    ----------
    n_bytes : int
        Room for their text, at least `LEAST_BYTES`.
    max_rows : int
        Lines at most.
    """

    def __init__(self, n_bytes: cython.Py_ssize_t = 8 << 20, max_rows: cython.int = 1 << 17):
        self.max_rows = max_rows
        self.size = n_bytes
        self.text = mmap(-1, n_bytes)
        self.outer_bytes = memoryview(mmap(-1, 8 * max_rows)).cast("q")
        self.outer_offset = memoryview(mmap(-1, 8 * max_rows)).cast("q")
        self._fields = memoryview(bytearray(8 * 4 * 8)).cast("q")
        self._kept = mmap(-1, _STREAMS * (_MAX_TEXT + _MAX_TIME))
        self._stamp = Stamp()
        if cython.compiled:
            text: cython.uchar[::1] = self.text
            kept: cython.uchar[::1] = self._kept
            sizes: cython.longlong[::1] = self.outer_bytes
            offsets: cython.longlong[::1] = self.outer_offset
            fields: cython.longlong[::1] = self._fields
            self.out = cython.address(text[0])
            self.kept = cython.address(kept[0])
            self.sizes = cython.address(sizes[0])
            self.offsets = cython.address(offsets[0])
            self.begin = cython.address(fields[0])
            self.end = cython.address(fields[8])
            self.kind = cython.address(fields[16])
            self.rank = cython.address(fields[24])
        else:
            self.out, self.kept = memoryview(self.text), memoryview(self._kept)
            self.sizes, self.offsets = self.outer_bytes, self.outer_offset
            self.begin, self.end = self._fields[0:8], self._fields[8:16]
            self.kind, self.rank = self._fields[16:24], self._fields[24:32]
            self.piece_length, self.piece_count, self.piece_time = [0, 0], [0, 0], [0, 0]
            self.piece_offset, self.piece_bytes = [0, 0], [0, 0]
        self.may_be_null = False
        self.has_all_heads = False
        self.zero()

    def begin_file(self, years, later, limit_index: cython.int, limit_s: cython.int):
        """Take the table of years of another file: what is a stamp to the scan must be one here."""
        self._stamp.set_years(years, later, limit_index, limit_s)
        self.zero()

    @cython.cfunc
    def zero(self):
        self.n_lines = 0
        self.n_opened = 0
        self.n_joined = 0
        self.n_joined_dated = 0
        self.n_outer_bytes = 0
        self.n_out_bytes = 0
        s: cython.int
        for s in range(_STREAMS):
            self.piece_length[s] = 0
            self.piece_count[s] = 0
        self.clear()

    @cython.ccall
    def clear(self):
        """Make room for the next lines."""
        self.n_out = 0
        self.n_rows = 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def has_room(self, n_bytes: cython.Py_ssize_t) -> cython.bint:
        """Tell whether the line of an envelope of so many bytes can be written."""
        return (
            self.n_rows < self.max_rows
            and self.n_out + 4 * n_bytes + self.piece_length[0] + self.piece_length[1] + 2 * _HEAD
            <= self.size
        )

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def forget(self) -> cython.void:
        """Forget the fields of the envelope before."""
        k: cython.int
        for k in range(_N_FIELDS):
            self.kind[k] = NONE

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def note(
        self, field: cython.int, kind: cython.int, i: cython.Py_ssize_t, e: cython.Py_ssize_t
    ) -> cython.void:
        """Note that a field stands at p[i:e] of the buffer that `put` will be given."""
        self.kind[field] = kind
        self.begin[field] = i
        self.end[field] = e

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def keep(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
        offset: cython.longlong,
        n_bytes: cython.longlong,
    ) -> cython.void:
        """Write the line p[i:e], which is in no envelope, as it stands."""
        if e - i > _MAX_TEXT:
            e = i + _MAX_TEXT
        copy(self.out, self.n_out, p, i, e - i)
        self.n_lines += 1
        self._row(self.n_out + (e - i), offset, n_bytes)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def put(
        self,
        p: cython.p_uchar,
        offset: cython.longlong,
        n_bytes: cython.longlong,
        stream: cython.int,
        is_whole: cython.bint,
    ) -> cython.bint:
        """Write the line of an envelope; False where it has no text.

        Parameters
        ----------
        offset, n_bytes : int
            Where the envelope begins in the file, and its bytes.
        stream : int
            Of which stream it is, 0 or 1, where lines may be cut.
        is_whole : bool
            What came before it on its stream and this are a line; else more follows.
        """
        text: cython.Py_ssize_t = self.n_out + _HEAD
        before: cython.Py_ssize_t = self.piece_length[stream]
        kept: cython.Py_ssize_t = stream * (_MAX_TEXT + _MAX_TIME)
        n: cython.Py_ssize_t
        end: cython.Py_ssize_t = self._text(p, text + before)
        if end < 0:
            return False
        self.n_lines += 1
        self.n_opened += 1
        if not is_whole:
            n = end - text - before
            if n > _MAX_TEXT - before:
                n = _MAX_TEXT - before
            copy(self.kept, kept + _MAX_TIME + before, self.out, text + before, n)
            self.piece_length[stream] += n
            if self.piece_count[stream] == 0:
                self.piece_offset[stream] = offset
                self.piece_bytes[stream] = 0
                n = self._time(p, self.n_out) - self.n_out
                copy(self.kept, kept, self.out, self.n_out, n)
                self.piece_time[stream] = n
            self.piece_bytes[stream] += n_bytes
            self.piece_count[stream] += 1
            return True
        if self.piece_count[stream]:
            copy(self.out, text, self.kept, kept + _MAX_TIME, before)
            self._join(p, text, end, stream, n_bytes, 0)
        else:
            self._line(p, text, end, offset, n_bytes, -1)
        return True

    @cython.ccall
    def flush(self):
        """Write what was begun on its stream and never ended."""
        s: cython.int
        text: cython.Py_ssize_t
        for s in range(_STREAMS):
            if self.piece_count[s] and self.has_room(0):
                self.forget()
                text = self.n_out + _HEAD
                copy(
                    self.out,
                    text,
                    self.kept,
                    s * (_MAX_TEXT + _MAX_TIME) + _MAX_TIME,
                    self.piece_length[s],
                )
                self._join(self.kept, text, text + self.piece_length[s], s, 0, 1)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _join(
        self,
        p: cython.p_uchar,
        text: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        stream: cython.int,
        n_bytes: cython.longlong,
        less: cython.int,
    ) -> cython.void:
        """Write the line that the pieces of a stream make, at the time of its first."""
        count: cython.int = self.piece_count[stream] - less
        n_bytes += self.piece_bytes[stream]
        self.piece_count[stream] = 0
        self.piece_length[stream] = 0
        self.n_joined += count
        if self._line(p, text, end, self.piece_offset[stream], n_bytes, stream):
            self.n_joined_dated += count

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _line(
        self,
        p: cython.p_uchar,
        text: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        offset: cython.longlong,
        n_bytes: cython.longlong,
        stream: cython.int,
    ) -> cython.bint:
        """Write the line whose text stands at out[text:end]; tell whether it has a time."""
        o: cython.Py_ssize_t = self.n_out
        k: cython.Py_ssize_t
        if end - text > _MAX_TEXT:
            end = text + _MAX_TEXT
        k = text if self.has_all_heads else self._behind_stamp(text, end)
        is_dated: cython.bint = k < 0
        if not is_dated:
            o = self._head(p, text, k, stream)
            if o > self.n_out:
                text = k
                is_dated = True
        move(self.out, o, text, end - text)
        self._row(o + (end - text), offset, n_bytes)
        return is_dated

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _row(
        self, end: cython.Py_ssize_t, offset: cython.longlong, n_bytes: cython.longlong
    ) -> cython.void:
        self.out[end] = 10
        self.n_out_bytes += end + 1 - self.n_out
        self.n_out = end + 1
        self.sizes[self.n_rows] = n_bytes
        self.offsets[self.n_rows] = offset
        self.n_outer_bytes += n_bytes
        self.n_rows += 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _text(self, p: cython.p_uchar, o: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Write the text of the message to out[o:], without line ends at its end; -1: none."""
        i: cython.Py_ssize_t = self.begin[MESSAGE]
        e: cython.Py_ssize_t = self.end[MESSAGE]
        k: cython.Py_ssize_t
        kind: cython.int = cython.cast(cython.int, self.kind[MESSAGE])
        if kind == RAW:
            if e > i and p[e - 1] == 10:
                e -= 1
            while True:
                k = find(p, 10, i, e)
                if k < 0:
                    break
                copy(self.out, o, p, i, k - i)
                o = put_byte(self.out, o + (k - i), 10)
                i = k + 1
            copy(self.out, o, p, i, e - i)
            return o + (e - i)
        if kind == STRING:
            copy(self.out, o, p, i, e - i)
            return o + (e - i)
        if kind == ESCAPED:
            return unescape(p, i, e - self.line_end(p, i, e), self.out, o)
        if kind == ARRAY:
            return put_array(p, i, e, self.out, o)
        if kind == OTHER and self.may_be_null:
            return o
        return -1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def line_end(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
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
    def _behind_stamp(self, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Return -1 where out[i:e] has a time stamp of its own, else where its text begins."""
        j: cython.Py_ssize_t = i
        k: cython.Py_ssize_t
        pri: cython.int = 0
        if (
            e - j >= 3
            and self.out[j] == 0xEF
            and self.out[j + 1] == 0xBB
            and self.out[j + 2] == 0xBF
        ):
            j += 3
        if j < e and self.out[j] == 60:
            k = j + 1
            while k < e and k < j + 4 and 48 <= self.out[k] <= 57:
                pri = pri * 10 + self.out[k] - 48
                k += 1
            if k == j + 1 or k >= e or self.out[k] != 62 or pri > 191:
                return i
            j = k + 1
            i = j
            while k + 1 < e and k < j + 2 and 48 <= self.out[k + 1] <= 57:
                k += 1
            if k >= j and k + 1 < e and self.out[j] != 48 and self.out[k + 1] == 32:
                if self._stamp.read(self.out, k + 2, e) >= 0:
                    return -1
        return -1 if self._stamp.read(self.out, j, e) >= 0 else i

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def is_stamp(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
    ) -> cython.bint:
        """Tell whether p[i:e] is a time stamp and nothing else."""
        return self._stamp.read(p, i, e) == e

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _head(
        self,
        p: cython.p_uchar,
        text: cython.Py_ssize_t,
        rest: cython.Py_ssize_t,
        stream: cython.int,
    ) -> cython.Py_ssize_t:
        """Write a syslog head of what the envelope tells, at the end of what is written.

        out[text:rest] is the level that the text itself begins with. Returns where the head ends;
        without a time there is none.
        """
        o: cython.Py_ssize_t = self.n_out
        at: cython.Py_ssize_t
        pid: cython.longlong
        if rest > text:
            move(self.out, o, text, rest - text)
            o += rest - text
        else:
            o = self._pri(p, o)
        at = o
        if stream >= 0 and self.piece_time[stream]:
            copy(self.out, o, self.kept, stream * (_MAX_TEXT + _MAX_TIME), self.piece_time[stream])
            o += self.piece_time[stream]
        else:
            o = self._time(p, o)
        if o == at:
            return self.n_out
        self.out[o] = 32
        o += 1
        at = o
        o = self._name(p, HOST, o)
        if o == at:
            self.out[o] = 45
            o += 1
        elif self.out[at] == 60:
            self.out[at] = 95
        self.out[o] = 32
        o += 1
        at = o
        o = self._name(p, PROCESS, o)
        if o == at:
            return o
        if self.kind[PID] != NONE and self.kind[PID] != ARRAY:
            pid = number(p, self.begin[PID], self.end[PID])
            if pid >= 0:
                self.out[o] = 91
                copy(self.out, o + 1, p, self.begin[PID], self.end[PID] - self.begin[PID])
                o += 1 + self.end[PID] - self.begin[PID]
                self.out[o] = 93
                o += 1
        self.out[o] = 58
        self.out[o + 1] = 32
        return o + 2

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _pri(self, p: cython.p_uchar, o: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Write the level; where only the severity is known, of facility user, as journald does."""
        at: cython.Py_ssize_t = o + 8
        end: cython.Py_ssize_t
        found: cython.int
        if self.kind[SEVERITY] == NONE:
            return o
        end = self._name(p, FACILITY, at)
        if end == at:
            self.out[at] = 49
            end = at + 1
        self.out[end] = 46
        end = self._name(p, SEVERITY, end + 1)
        self.out[end] = 62
        found = level(self.out, at, end + 1, 62)
        if found < 0:
            return o
        found &= 255
        self.out[o] = 60
        o += 1
        if found >= 100:
            self.out[o] = 48 + found // 100
            o += 1
        if found >= 10:
            self.out[o] = 48 + found // 10 % 10
            o += 1
        self.out[o] = 48 + found % 10
        self.out[o + 1] = 62
        return o + 2

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _value(
        self, p: cython.p_uchar, field: cython.int, o: cython.Py_ssize_t, most: cython.Py_ssize_t
    ) -> cython.Py_ssize_t:
        """Write a short field to out[o:]; nothing where there is none, or it is too long."""
        i: cython.Py_ssize_t = self.begin[field]
        e: cython.Py_ssize_t = self.end[field]
        kind: cython.int = cython.cast(cython.int, self.kind[field])
        end: cython.Py_ssize_t
        if kind == NONE or kind == ARRAY or kind == OTHER or e - i > most:
            return o
        if kind == ESCAPED:
            end = unescape(p, i, e, self.out, o)
            return end if o < end <= o + most else o
        copy(self.out, o, p, i, e - i)
        return o + (e - i)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _name(
        self, p: cython.p_uchar, field: cython.int, o: cython.Py_ssize_t
    ) -> cython.Py_ssize_t:
        """Write a field as a word of a head: what would end the word becomes ``_``."""
        k: cython.Py_ssize_t
        c: cython.uchar
        end: cython.Py_ssize_t = self._value(p, field, o, _MAX_NAME)
        for k in range(o, end):
            c = self.out[k]
            if c <= 32 or c == 127 or (field == PROCESS and (c == 58 or c == 91)):
                self.out[k] = 95
        return end

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _time(self, p: cython.p_uchar, o: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Write the time as a stamp; nothing where it is none.

        A stamp, with a blank for its T or before its offset; or seconds since 1970 with a
        fraction, or milli-, micro- or nanoseconds, told apart by their number of digits.
        """
        end: cython.Py_ssize_t = self._value(p, TIME, o, _MAX_TIME - 8)
        k: cython.Py_ssize_t
        if end == o:
            return o
        k = digits_end(self.out, o, end)
        if k > o + 7 and (k == end or self.out[k] == 46):
            return put_epoch(self.out, o, k, end)
        if end - o > 19 and self.out[o + 4] == 45 and self.out[o + 10] == 32:
            self.out[o + 10] = 84
        elif end - o == 19 and self.out[o + 10] == 32:
            self.out[o + 10] = 84
        k = end - 1
        while k > o + 18 and self.out[k] != 32:
            k -= 1
        if k > o + 18:
            if self.out[k + 1] == 43 or self.out[k + 1] == 45:
                move(self.out, k, k + 1, end - k - 1)
                end -= 1
            elif end - k == 4 and (self.out[k + 1] == 85 or self.out[k + 1] == 71):  # UTC, GMT
                self.out[k] = 90
                end = k + 1
        return end if self._stamp.read(self.out, o, end) == end else o
