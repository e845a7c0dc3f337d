# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""The fields of an envelope: its message, and what a syslog head is made of."""

from mmap import mmap

import cython

if cython.compiled:
    from cython.cimports.pipeline.kernels.epoch import put_epoch
    from cython.cimports.pipeline.kernels.json_text import (
        escaped_line_end,
        put_array,
        put_byte,
        unescape,
    )
    from cython.cimports.pipeline.kernels.marks import level, number
    from cython.cimports.pipeline.kernels.spans import copy, digits_end, find, is_digit, move
    from cython.cimports.pipeline.kernels.stamp import Stamp
else:
    from pipeline.kernels.epoch import put_epoch
    from pipeline.kernels.json_text import escaped_line_end, put_array, put_byte, unescape
    from pipeline.kernels.marks import level, number
    from pipeline.kernels.spans import copy, digits_end, find, is_digit, move
    from pipeline.kernels.stamp import Stamp

COMPILED = cython.compiled

#: The fields of an envelope, by place.
FIELDS = ("message", "time", "host", "process", "pid", "severity", "facility", "stream")

if not cython.compiled:  # else these stand in the .pxd
    MESSAGE, TIME, HOST, PROCESS, PID, SEVERITY, FACILITY, STREAM = range(8)
    # What a field holds. NONE: it is missing. RAW: bytes that are meant as they are.
    NONE, RAW, STRING, ESCAPED, NUMBER, ARRAY, OTHER = range(7)
    MAX_TEXT = 1 << 20  # model.MAX_LINE_BYTES
    MAX_TIME = 64

_MAX_NAME = cython.declare(cython.Py_ssize_t, 255)


@cython.cclass
class EnvelopeFields:
    """Where the fields of the envelope at hand stand, to be written to ``text``.

    Parameters
    ----------
    n_bytes : int
        Room for what is written.
    """

    def __init__(self, n_bytes: cython.Py_ssize_t):
        self.text = mmap(-1, n_bytes)
        self._fields = memoryview(bytearray(8 * 4 * 8)).cast("q")
        self._stamp = Stamp()
        if cython.compiled:
            text: cython.uchar[::1] = self.text
            fields: cython.longlong[::1] = self._fields
            self.out = cython.address(text[0])
            self.begin = cython.address(fields[0])
            self.end = cython.address(fields[8])
            self.kind = cython.address(fields[16])
            self.rank = cython.address(fields[24])
        else:
            self.out = memoryview(self.text)
            self.begin, self.end = self._fields[0:8], self._fields[8:16]
            self.kind, self.rank = self._fields[16:24], self._fields[24:32]
        self.may_be_null = False

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def forget(self) -> cython.void:
        """Forget the fields of the envelope before."""
        k: cython.int
        for k in range(8):
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
    def put_message(self, p: cython.p_uchar, o: cython.Py_ssize_t) -> cython.Py_ssize_t:
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
            return unescape(p, i, e - escaped_line_end(p, i, e), self.out, o)
        if kind == ARRAY:
            return put_array(p, i, e, self.out, o)
        if kind == OTHER and self.may_be_null:
            return o
        return -1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def behind_stamp(self, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.Py_ssize_t:
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
            while k < e and k < j + 4 and is_digit(self.out[k]):
                pri = pri * 10 + self.out[k] - 48
                k += 1
            if k == j + 1 or k >= e or self.out[k] != 62 or pri > 191:
                return i
            j = k + 1
            i = j
            while k + 1 < e and k < j + 2 and is_digit(self.out[k + 1]):
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
    def put_head(
        self,
        p: cython.p_uchar,
        o: cython.Py_ssize_t,
        text: cython.Py_ssize_t,
        rest: cython.Py_ssize_t,
        times: cython.p_uchar,
        i: cython.Py_ssize_t,
        n: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        """Write a syslog head of what the envelope tells to out[o:]; return where it ends.

        Without a time there is none. out[text:rest] is the level that the text itself begins with;
        times[i:i+n] is the time, where another envelope's counts.
        """
        start: cython.Py_ssize_t = o
        at: cython.Py_ssize_t
        pid: cython.longlong
        if rest > text:
            move(self.out, o, text, rest - text)
            o += rest - text
        else:
            o = self._pri(p, o)
        at = o
        if n:
            copy(self.out, o, times, i, n)
            o += n
        else:
            o = self.put_time(p, o)
        if o == at:
            return start
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
    def put_time(self, p: cython.p_uchar, o: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Write the time as a stamp; nothing where it is none.

        A stamp, with a blank for its T or before its offset; or seconds since 1970 with a
        fraction, or milli-, micro- or nanoseconds, told apart by their number of digits.
        """
        end: cython.Py_ssize_t = self._value(p, TIME, o, MAX_TIME - 8)
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
