# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""The way into a block that all openers of envelopes share; each adds how its own are read."""

import cython

if cython.compiled:
    from cython.cimports.pipeline.kernels.envelope_fields import MAX_TEXT
    from cython.cimports.pipeline.kernels.inner import Inner
else:
    from pipeline.kernels.envelope_fields import MAX_TEXT
    from pipeline.kernels.inner import Inner
    from pipeline.kernels.spans import find

COMPILED = cython.compiled

if not cython.compiled:  # else it stands in the .pxd, from which others can inline it

    def line_end(p, i, stop, is_last):
        """Return the place of the line end of p[i:stop], ``stop`` without one; -1: read more.

        A line that is too long is cut at ``stop``.
        """
        end = find(p, 10, i, stop)
        return stop if end < 0 and (is_last or stop - i >= MAX_TEXT) else end


@cython.cclass
class Opener:
    """Takes lines out of the envelopes of blocks; they are written to ``inner``."""

    def __init__(self):
        self.inner = Inner()

    def open(
        self,
        block: cython.uchar[::1],
        start: cython.Py_ssize_t,
        stop: cython.Py_ssize_t,
        offset: cython.longlong,
        extra_bytes: cython.longlong = 0,
        is_last: cython.bint = True,
    ):
        """Open envelopes of block[start:stop] until ``inner`` is full, or one isn't whole.

        Parameters
        ----------
        offset : int
            Plain offset of block[0] in its file.
        extra_bytes : int
            Bytes of the last line that were left out of the block, since it was too long. Only a
            block of whole lines has such.
        is_last : bool
            Nothing follows: what isn't whole is kept as it stands. A last line without a line end
            is whole, where the block is one of whole lines.

        Returns
        -------
        int
            Where to go on.
        """
        if stop <= start:
            return stop
        self.extra_bytes = extra_bytes
        self.is_last = is_last
        at: cython.Py_ssize_t
        if cython.compiled:
            p: cython.p_uchar = cython.address(block[0])
            with cython.nogil:
                at = self._open(p, start, stop, offset)
        else:
            at = self._open(block, start, stop, offset)
        return at

    @cython.ccall
    def begin(self):
        """Forget what was begun, for another file."""

    def end(self):
        """Write what was begun and never ended."""

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _open(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        stop: cython.Py_ssize_t,
        offset: cython.longlong,
    ) -> cython.Py_ssize_t:
        """Do what `open` does; each kind of envelope has its own."""

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _keep(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        offset: cython.longlong,
    ) -> cython.bint:
        """Write the line p[i:e], in no envelope, with its line end p[i:end]; False: no room."""
        if not self.inner.has_room(min(MAX_TEXT, e - i)):
            return False
        self.inner.keep(p, i, e, offset + i, end - i)
        return True


@cython.cclass
class LineOpener(Opener):
    """Opens envelopes that are a line each, in blocks of whole lines."""

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _open(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        stop: cython.Py_ssize_t,
        offset: cython.longlong,
    ) -> cython.Py_ssize_t:
        e: cython.Py_ssize_t
        end: cython.Py_ssize_t
        n_bytes: cython.longlong
        while i < stop:
            e = line_end(p, i, stop, True)
            end = min(e + 1, stop)
            n_bytes = end - i
            if end == stop:
                n_bytes += self.extra_bytes
            if not self.inner.has_room(e - i):
                if self.inner.n_rows:
                    break
                # No envelope is as long as that: as it stands, cut as any overlong line is.
                self.inner.keep(p, i, e, offset + i, n_bytes)
            elif not self._line(p, i, e, offset + i, n_bytes):
                self.inner.keep(p, i, e, offset + i, n_bytes)
            i = end
        return i

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _line(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
        offset: cython.longlong,
        n_bytes: cython.longlong,
    ) -> cython.bint:
        """Open the line p[i:e]; False where it is no envelope."""
