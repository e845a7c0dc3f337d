# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Open envelopes that are no lines: frames behind their length, and entries of the journal."""

from mmap import mmap

import cython

if cython.compiled:
    from cython.cimports.pipeline.kernels.envelope_fields import MAX_TEXT, MESSAGE, NONE, OTHER, RAW
    from cython.cimports.pipeline.kernels.opener import Opener, line_end
    from cython.cimports.pipeline.kernels.spans import copy
else:
    from pipeline.kernels.envelope_fields import MAX_TEXT, MESSAGE, NONE, OTHER, RAW
    from pipeline.kernels.opener import Opener, line_end
    from pipeline.kernels.spans import copy

from pipeline.kernels.envelope_fields import FIELDS

COMPILED = cython.compiled

_MAX_FIELD = cython.declare(cython.Py_ssize_t, 256)
#: What a journal holds in one field at most, and some.
_MAX_LENGTH = cython.declare(cython.ulonglong, 1 << 30)


@cython.cclass
class FrameOpener(Opener):
    """Opens frames as RFC 6587 counts them, ``LENGTH <PRI>…``; a line end may follow each."""

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
        k: cython.Py_ssize_t
        n: cython.Py_ssize_t
        end: cython.Py_ssize_t
        while i < stop:
            n = 0
            k = i
            while k < stop and k < i + 7 and 48 <= p[k] <= 57:
                n = n * 10 + p[k] - 48
                k += 1
            if k + 1 >= stop and not self.is_last:
                return i
            if k > i and k + 1 < stop and p[k] == 32 and p[k + 1] == 60 and n <= MAX_TEXT:
                end = k + 1 + n
                # One byte more: a line end that isn't counted belongs to it.
                if end + 1 > stop and not self.is_last:
                    return i
                if end <= stop:
                    if not self.inner.has_room(n):
                        return i
                    self.inner.forget()
                    self.inner.note(MESSAGE, RAW, k + 1, end)
                    if end < stop and p[end] == 10:
                        end += 1
                    self.inner.put(p, offset + i, end - i, 0, True)
                    i = end
                    continue
            k = line_end(p, i, stop, self.is_last)
            end = min(k + 1, stop)
            if k < 0 or not self._keep(p, i, k, end, offset):
                return i
            i = end
        return i


@cython.cclass
class EntryOpener(Opener):
    """Opens entries of ``journalctl -o export``: fields on lines, or with a length; an empty line.

    Parameters
    ----------
    mapping : sequence of (str, sequence of str)
        Of each field of `pipeline.kernels.inner.FIELDS` the journal's, best first.
    """

    def __init__(self, mapping):
        super().__init__()
        self.inner.may_be_null = True
        keys = [
            (path.encode(), FIELDS.index(name), rank)
            for name, paths in mapping
            for rank, path in enumerate(paths)
        ]
        self._n_keys = len(keys)
        self._texts = bytearray(b"".join(key.ljust(32, b"\0") for key, _, _ in keys))
        self._keys = memoryview(bytearray(4 * 3 * len(keys))).cast("i")
        k: cython.Py_ssize_t
        for k in range(len(keys)):
            self._keys[3 * k] = len(keys[k][0])
            self._keys[3 * k + 1] = keys[k][1]
            self._keys[3 * k + 2] = keys[k][2]
        self._held = mmap(-1, MAX_TEXT + len(FIELDS) * _MAX_FIELD)
        if cython.compiled:
            texts: cython.uchar[::1] = self._texts
            numbers: cython.int[::1] = self._keys
            held: cython.uchar[::1] = self._held
            self.texts = cython.address(texts[0])
            self.keys = cython.address(numbers[0])
            self.held = cython.address(held[0])
        else:
            self.texts, self.keys = self._texts, self._keys
            self.held = memoryview(self._held)
        self.begin()

    @cython.ccall
    def begin(self):
        """Forget the entry at hand, for another file."""
        self.left = 0
        self.n_bytes = 0
        self.has_fields = False
        self.is_cut = False
        self._forget()

    def end(self):
        """Write the entry that no empty line ends."""
        if self.has_fields:
            self._put()
        self.inner.n_outer_bytes += self.n_bytes
        self.n_bytes = 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _forget(self) -> cython.void:
        self.inner.forget()
        self.inner.note(MESSAGE, OTHER, 0, 0)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _put(self) -> cython.void:
        """Write the line of the entry at hand."""
        self.inner.put(self.held, self.offset, self.n_bytes, 0, True)
        self.n_bytes = 0
        self.has_fields = False
        self._forget()

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
        end: cython.Py_ssize_t
        next_: cython.Py_ssize_t
        equals: cython.Py_ssize_t
        n: cython.Py_ssize_t
        length: cython.ulonglong
        while i < stop:
            if self.left:  # of a long field that isn't wanted
                n = stop - i if self.left > stop - i else cython.cast(cython.Py_ssize_t, self.left)
                i += n
                self.left -= n
                self.n_bytes += n
                continue
            end = line_end(p, i, stop, self.is_last)
            next_ = min(end + 1, stop)
            if end < 0:
                return i
            if self.is_cut:  # the rest of a line that was too long
                self.is_cut = next_ == end
                self.n_bytes += next_ - i
                i = next_
                continue
            if self.n_bytes == 0:
                self.offset = offset + i
            if end == i:
                if not self.inner.has_room(self.inner.end[MESSAGE] - self.inner.begin[MESSAGE]):
                    return i
                self.n_bytes += 1
                i += 1
                if self.has_fields:
                    self._put()
                continue
            equals = self._key_end(p, i, end)
            if equals > i and equals == end and next_ > end:
                if next_ + 8 > stop and not self.is_last:
                    return i
                length = _MAX_LENGTH + 1
                if next_ + 8 <= stop:
                    length = self._length(p, next_)
                if length <= _MAX_LENGTH:
                    n = cython.cast(cython.Py_ssize_t, length)
                    if next_ + 8 + n + 1 > stop and not self.is_last and n < MAX_TEXT:
                        return i
                    if n > stop - next_ - 8:
                        n = stop - next_ - 8
                    self._take(p, i, end, next_ + 8, next_ + 8 + n)
                    self.n_bytes += next_ + 8 + n - i
                    self.left = length - n + 1
                    i = next_ + 8 + n
                    continue
            elif equals > i and equals < end:
                self._take(p, i, equals, equals + 1, end)
                self.n_bytes += next_ - i
                self.is_cut = next_ == end and not self.is_last
                i = next_
                continue
            if not self._keep(p, i, end, next_, offset):
                return i
            i = next_
        return i

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _key_end(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
    ) -> cython.Py_ssize_t:
        """Return where the name of a field that begins at p[i] ends, at = or at e; -1: no name."""
        while i < e and (65 <= p[i] <= 90 or p[i] == 95 or 48 <= p[i] <= 57):
            i += 1
        return i if i == e or p[i] == 61 else -1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _length(self, p: cython.p_uchar, i: cython.Py_ssize_t) -> cython.ulonglong:
        """Return the 64 bits at p[i], little endian."""
        n: cython.ulonglong = 0
        k: cython.int
        for k in range(7, -1, -1):
            n = (n << 8) | p[i + k]
        return n

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _take(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        key_end: cython.Py_ssize_t,
        begin: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
    ) -> cython.void:
        """Keep the field p[i:key_end], p[begin:end], if it is wanted and no better one is known."""
        n: cython.int
        k: cython.Py_ssize_t
        field: cython.int
        rank: cython.int
        at: cython.Py_ssize_t
        most: cython.Py_ssize_t
        self.has_fields = True
        for n in range(self._n_keys):
            if self.keys[3 * n] != key_end - i:
                continue
            k = 0
            while k < key_end - i and p[i + k] == self.texts[32 * n + k]:
                k += 1
            if k < key_end - i:
                continue
            field = self.keys[3 * n + 1]
            rank = self.keys[3 * n + 2]
            if field != MESSAGE and self.inner.kind[field] != NONE:
                if self.inner.rank[field] < rank:
                    return
            at = 0
            most = MAX_TEXT
            if field != MESSAGE:
                at = MAX_TEXT + (field - 1) * _MAX_FIELD
                most = _MAX_FIELD
            if end - begin > most:
                end = begin + most
            copy(self.held, at, p, begin, end - begin)
            self.inner.note(field, RAW, at, at + end - begin)
            self.inner.rank[field] = rank
            return
