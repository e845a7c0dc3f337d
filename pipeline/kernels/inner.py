# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Write the lines that stand in envelopes: as they are, or with a syslog head before them.

Whoever opens envelopes (`open_json`, `open_text`, `open_frames`) notes where the fields of one
stand, then lets `Inner.put` write the line.
"""

from mmap import mmap

import cython

if cython.compiled:
    from cython.cimports.pipeline.kernels.envelope_fields import MAX_TEXT, MAX_TIME, EnvelopeFields
    from cython.cimports.pipeline.kernels.spans import copy, move
else:
    from pipeline.kernels.envelope_fields import MAX_TEXT, MAX_TIME, EnvelopeFields
    from pipeline.kernels.spans import copy, move

COMPILED = cython.compiled

#: A head is shorter: level 5, time 64, host and process 255 each, pid 10, and what parts them.
_HEAD = cython.declare(cython.Py_ssize_t, 1024)
_STREAMS = cython.declare(cython.int, 2)
#: Room for a text of four times its length (a line end becomes four bytes) and one put together.
LEAST_BYTES = 7 << 20


@cython.cclass
class Inner(EnvelopeFields):
    """The lines taken out of some envelopes, and of each what its envelope takes in the file.

    Parameters
    ----------
    n_bytes : int
        Room for their text, at least `LEAST_BYTES`.
    max_rows : int
        Lines at most.
    """

    def __init__(self, n_bytes: cython.Py_ssize_t = 8 << 20, max_rows: cython.int = 1 << 17):
        super().__init__(n_bytes)
        self.max_rows = max_rows
        self.size = n_bytes
        self.outer_bytes = memoryview(mmap(-1, 8 * max_rows)).cast("q")
        self.outer_offset = memoryview(mmap(-1, 8 * max_rows)).cast("q")
        self.outer_line = memoryview(mmap(-1, 8 * max_rows)).cast("q")
        self._kept = mmap(-1, _STREAMS * (MAX_TEXT + MAX_TIME))
        if cython.compiled:
            kept: cython.uchar[::1] = self._kept
            sizes: cython.longlong[::1] = self.outer_bytes
            offsets: cython.longlong[::1] = self.outer_offset
            lines: cython.longlong[::1] = self.outer_line
            self.kept = cython.address(kept[0])
            self.sizes = cython.address(sizes[0])
            self.offsets = cython.address(offsets[0])
            self.lines = cython.address(lines[0])
        else:
            self.kept = memoryview(self._kept)
            self.sizes, self.offsets = self.outer_bytes, self.outer_offset
            self.lines = self.outer_line
            self.piece_length, self.piece_count, self.piece_time = [0, 0], [0, 0], [0, 0]
            self.piece_offset, self.piece_bytes, self.piece_line = [0, 0], [0, 0], [0, 0]
        self.has_all_heads = False
        self.has_parts = False
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
    def keep(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
        offset: cython.longlong,
        n_bytes: cython.longlong,
    ) -> cython.void:
        """Write the line p[i:e], which is in no envelope, as it stands."""
        if e - i > MAX_TEXT:
            e = i + MAX_TEXT
        copy(self.out, self.n_out, p, i, e - i)
        self.n_lines += 1
        self._row(self.n_out + (e - i), offset, n_bytes, self.n_lines - 1)

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
        kept: cython.Py_ssize_t = stream * (MAX_TEXT + MAX_TIME)
        n: cython.Py_ssize_t
        end: cython.Py_ssize_t = self.put_message(p, text + before)
        if end < 0:
            return False
        self.n_lines += 1
        self.n_opened += 1
        if not is_whole and not self.has_parts:
            n = end - text - before
            if n > MAX_TEXT - before:
                n = MAX_TEXT - before
            copy(self.kept, kept + MAX_TIME + before, self.out, text + before, n)
            self.piece_length[stream] += n
            if self.piece_count[stream] == 0:
                self.piece_offset[stream] = offset
                self.piece_line[stream] = self.n_lines - 1
                self.piece_bytes[stream] = 0
                n = self.put_time(p, self.n_out) - self.n_out
                copy(self.kept, kept, self.out, self.n_out, n)
                self.piece_time[stream] = n
            self.piece_bytes[stream] += n_bytes
            self.piece_count[stream] += 1
            return True
        if self.piece_count[stream]:
            copy(self.out, text, self.kept, kept + MAX_TIME, before)
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
                    s * (MAX_TEXT + MAX_TIME) + MAX_TIME,
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
        at: cython.Py_ssize_t
        n_time: cython.Py_ssize_t
        if end - text > MAX_TEXT:
            end = text + MAX_TEXT
        k = text if self.has_all_heads else self.behind_stamp(text, end)
        is_dated: cython.bint = k < 0
        if not is_dated:
            n_time = self.piece_time[stream] if stream >= 0 else 0
            at = stream * (MAX_TEXT + MAX_TIME)
            o = self.put_head(p, o, text, k, self.kept, at, n_time)
            if o > self.n_out:
                text = k
                is_dated = True
        move(self.out, o, text, end - text)
        line: cython.longlong = self.piece_line[stream] if stream >= 0 else self.n_lines - 1
        self._row(o + (end - text), offset, n_bytes, line)
        return is_dated

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _row(
        self,
        end: cython.Py_ssize_t,
        offset: cython.longlong,
        n_bytes: cython.longlong,
        line: cython.longlong,
    ) -> cython.void:
        self.out[end] = 10
        self.n_out_bytes += end + 1 - self.n_out
        self.n_out = end + 1
        self.sizes[self.n_rows] = n_bytes
        self.offsets[self.n_rows] = offset
        self.lines[self.n_rows] = line
        self.n_outer_bytes += n_bytes
        self.n_rows += 1
