# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Open envelopes that are a JSON object on a line of its own."""

import cython

if cython.compiled:
    from cython.cimports.pipeline.kernels.envelope_fields import (
        ARRAY,
        ESCAPED,
        MESSAGE,
        NONE,
        NUMBER,
        OTHER,
        RAW,
        STREAM,
        STRING,
        TIME,
    )
    from cython.cimports.pipeline.kernels.json_text import (
        escaped_line_end,
        skip_blanks,
        skip_string,
        skip_value,
        unescape,
    )
    from cython.cimports.pipeline.kernels.opener import LineOpener
    from cython.cimports.pipeline.kernels.spans import find
else:
    from pipeline.kernels.envelope_fields import (
        ARRAY,
        ESCAPED,
        MESSAGE,
        NONE,
        NUMBER,
        OTHER,
        RAW,
        STREAM,
        STRING,
        TIME,
    )
    from pipeline.kernels.json_text import (
        escaped_line_end,
        skip_blanks,
        skip_string,
        skip_value,
        unescape,
    )
    from pipeline.kernels.opener import LineOpener
    from pipeline.kernels.spans import find

from pipeline.kernels.envelope_fields import FIELDS

COMPILED = cython.compiled

#: Words of a key's entry: begin and end of its text, field or -1, rank, first and last key inside.
_WORDS = cython.declare(cython.int, 6)
_MAX_KEY = cython.declare(cython.Py_ssize_t, 256)


@cython.cclass
class JsonOpener(LineOpener):
    """Opens JSON envelopes of one mapping.

    Parameters
    ----------
    mapping : sequence of (str, sequence of str)
        Of each field the paths at which it may stand, best first. A path ``a.b`` means the key b
        in the object a, and the key ``a.b`` too.
    joins : bool
        A text without a line end goes on in the next of its stream, as in Docker's files.
    may_be_null : bool
        An object whose message is null is a line without text.
    has_prefix : bool
        A time and a tag, each ended by a tab, may stand before the object.
    """

    def __init__(self, mapping, joins=False, may_be_null=False, has_prefix=False):
        super().__init__()
        self.inner.may_be_null = may_be_null
        self._joins = joins
        self._has_prefix = has_prefix
        tree: dict = {}
        for name, paths in mapping:
            for rank, path in enumerate(paths):
                _add(tree, path.split("."), (FIELDS.index(name), rank))
        entries, texts = [], []
        self._n_top = _lay(tree, entries, texts)
        self._texts = bytearray(b"".join(texts)) + b"\0"
        self._keys = memoryview(bytearray(4 * (len(entries) + 1))).cast("i")
        self._scratch = bytearray(8 * _MAX_KEY)
        k: cython.Py_ssize_t
        for k in range(len(entries)):
            self._keys[k] = entries[k]
        if cython.compiled:
            held: cython.uchar[::1] = self._texts
            keys: cython.int[::1] = self._keys
            scratch: cython.uchar[::1] = self._scratch
            self.texts = cython.address(held[0])
            self.keys = cython.address(keys[0])
            self.scratch = cython.address(scratch[0])
        else:
            self.texts, self.keys = self._texts, self._keys
            self.scratch = memoryview(self._scratch)

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
        is_whole: cython.bint = True
        stream: cython.int = 0
        k: cython.Py_ssize_t
        self.inner.forget()
        if e - i >= 3 and p[i] == 0xEF and p[i + 1] == 0xBB and p[i + 2] == 0xBF:
            i += 3
        if self._has_prefix and i < e and p[i] != 123:
            k = find(p, 9, i, e)
            if k < 0:
                return False
            self.inner.note(TIME, RAW, i, k)
            self.inner.rank[TIME] = -1
            i = find(p, 9, k + 1, e) + 1
            if i <= 0:
                return False
        i = skip_blanks(p, i, e)
        if i >= e or p[i] != 123:
            return False
        i = self._object(p, i + 1, e, 0, self._n_top)
        if i < 0 or skip_blanks(p, i, e) < e:
            return False
        if self._joins:
            k = self.inner.end[MESSAGE]
            is_whole = self.inner.kind[MESSAGE] != STRING and (
                self.inner.kind[MESSAGE] != ESCAPED
                or escaped_line_end(p, self.inner.begin[MESSAGE], k) > 0
            )
            # stdout or stderr
            if (
                self.inner.kind[STREAM] == STRING
                and self.inner.end[STREAM] > self.inner.begin[STREAM]
            ):
                stream = p[self.inner.end[STREAM] - 1] == 114
        return self.inner.put(p, offset, n_bytes, stream, is_whole)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _object(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
        first: cython.int,
        last: cython.int,
    ) -> cython.Py_ssize_t:
        """Note the fields in the object whose text begins at p[i]; return its end, or -1.

        Parameters
        ----------
        first, last : int
            The entries of the keys that are looked for.
        """
        k: cython.Py_ssize_t
        j: cython.Py_ssize_t
        n: cython.int
        i = skip_blanks(p, i, e)
        if i < e and p[i] == 125:
            return i + 1
        while True:
            if i >= e or p[i] != 34:
                return -1
            k = skip_string(p, i + 1, e)
            if k < 0:
                return -1
            n = self._key(p, i + 1, k - 1, first, last)
            i = skip_blanks(p, k, e)
            if i >= e or p[i] != 58:
                return -1
            i = skip_blanks(p, i + 1, e)
            if i >= e:
                return -1
            if n < 0:
                j = skip_value(p, i, e)
            elif p[i] == 123 and self.keys[n + 5] > self.keys[n + 4]:
                j = self._object(p, i + 1, e, self.keys[n + 4], self.keys[n + 5])
            else:
                j = skip_value(p, i, e)
                if j >= 0 and self.keys[n + 2] >= 0:
                    self._take(p, self.keys[n + 2], self.keys[n + 3], i, j)
            if j < 0:
                return -1
            i = skip_blanks(p, j, e)
            if i >= e:
                return -1
            if p[i] == 125:
                return i + 1
            if p[i] != 44:
                return -1
            i = skip_blanks(p, i + 1, e)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _key(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
        first: cython.int,
        last: cython.int,
    ) -> cython.int:
        """Return the entry of the key p[i:e] among some, or -1."""
        n: cython.int
        k: cython.Py_ssize_t
        length: cython.Py_ssize_t = e - i
        if length <= _MAX_KEY and find(p, 92, i, e) >= 0:
            e = unescape(p, i, e, self.scratch, 0)
            if e < 0:
                return -1
            p = self.scratch
            i = 0
            length = e
        n = first
        while n < last:
            if self.keys[n + 1] - self.keys[n] == length:
                k = 0
                while k < length and p[i + k] == self.texts[self.keys[n] + k]:
                    k += 1
                if k == length:
                    return n
            n += _WORDS
        return -1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _take(
        self,
        p: cython.p_uchar,
        field: cython.int,
        rank: cython.int,
        i: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
    ) -> cython.void:
        """Note the value p[i:e] of a field, unless a better one is known.

        Of two that stand at the same path the last counts; null is worse than any other.
        """
        kind: cython.int = OTHER
        if p[i] == 34:
            i += 1
            e -= 1
            kind = ESCAPED if find(p, 92, i, e) >= 0 else STRING
        elif 48 <= p[i] <= 57 or p[i] == 45:
            kind = NUMBER
        elif p[i] == 91:
            kind = ARRAY
        if self.inner.kind[field] != NONE and self.inner.rank[field] != rank:
            if kind == OTHER or (self.inner.kind[field] != OTHER and self.inner.rank[field] < rank):
                return
        self.inner.note(field, kind, i, e)
        self.inner.rank[field] = rank


def _add(tree, parts, place):
    """Put a path into the tree of keys, however its parts are joined to keys."""
    for n in range(1, len(parts) + 1):
        node = tree.setdefault(".".join(parts[:n]), [None, {}])
        if n < len(parts):
            _add(node[1], parts[n:], place)
        elif node[0] is None:
            node[0] = place


def _lay(tree, entries, texts):
    """Lay a tree of keys out, one level after the other; return the end of its first level."""
    first = len(entries)
    entries.extend([0] * (6 * len(tree)))
    end = len(entries)
    for n, (key, (place, below)) in enumerate(tree.items()):
        text = key.encode("utf-8", "surrogateescape")
        begin = sum(map(len, texts))
        texts.append(text)
        field, rank = place or (-1, 0)
        at = len(entries)
        inside = _lay(below, entries, texts) if below else at
        entries[first + 6 * n : first + 6 * n + 6] = [
            begin, begin + len(text), field, rank, at, inside
        ]  # fmt: skip
    return end
