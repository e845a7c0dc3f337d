"""Match the patterns of a format against the rows of a block: gather, extract, point at values."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow._compute import ExtractRegexOptions, call_function

from pipeline.arrow import clean_text, strings
from pipeline.kernels.texts import gather_texts, take_rows

if TYPE_CHECKING:
    from pipeline.formats.patterns import Pattern, PatternFormat
    from pipeline.kernels.scan import Scanner
    from pipeline.model import Block

_TEXTS = pa.dictionary(pa.int32(), pa.string())
_CODED = pa.dictionary(pa.uint8(), pa.string())
#: Codes of an interner at most.
_ROOM = 1 << 15


class PatternReader:
    """Builds columns of a `PatternFormat`; see `pipeline.formats.base.RowReader`."""

    def __init__(
        self, made: PatternFormat, scanner: Scanner, columns: frozenset[str], max_rows: int
    ) -> None:
        self._patterns = made.patterns
        self._scanner: Any = scanner
        self._options = [ExtractRegexOptions(_capturing(one, columns)) for one in made.patterns]
        self._literals = [memoryview(bytearray(one.literal or b"\0")) for one in made.patterns]
        groups = {name for one in made.patterns for name in _groups(one)}
        self._fields = [name for name in sorted(columns) if name in groups]
        self._sets = [name for name in sorted(columns) if name.startswith("set ")]
        codes = [("pattern", _CODED)] if "pattern" in columns else []
        self.fields: list[tuple[str, pa.DataType]] = [
            *codes,
            *((name, _TEXTS) for name in self._fields),
            *((name, _CODED) for name in self._sets),
        ]
        self._fixed = {"pattern": strings([one.name for one in made.patterns])}
        for name in self._sets:
            values = [dict(one.set).get(name.removeprefix("set ")) for one in made.patterns]
            self._fixed[name] = pa.array(values, pa.string())
        self._known = -1
        self._wanted = [memoryview(bytearray(_ROOM)) for _ in made.patterns]
        self._rows = _ints(max_rows)
        self._offsets = _ints(max_rows + 1)
        self._bad = _ints(max_rows)
        self._index = _ints(max_rows)
        self._taken = memoryview(bytearray(max_rows))
        self._codes = memoryview(bytearray(max_rows))
        self._bits = memoryview(bytearray(max_rows // 8 + 1))
        self._out = memoryview(bytearray(1))

    def read(self, block: Block) -> list[pa.Array]:
        """Return the columns of the rows that the scanner holds."""
        s = self._scanner
        n = s.n_rows
        self._learn_processes()
        for held in (self._taken, self._codes, self._bits):
            held[:] = bytes(len(held))
        self._index[:n] = memoryview(bytes(4 * n)).cast("i")
        if len(self._out) < block.stop + 1:
            self._out = memoryview(bytearray(block.stop + 1))
        values: dict[str, list[pa.Array]] = {name: [] for name in self._fields}
        n_matched: int = 0
        for k, pattern in enumerate(self._patterns):
            n_matched = self._match(k, pattern, block, values, n_matched)
        valid = pa.py_buffer(self._bits)
        codes = pa.Array.from_buffers(pa.uint8(), n, [valid, pa.py_buffer(self._codes)])
        index = pa.Array.from_buffers(pa.int32(), n, [valid, pa.py_buffer(self._index)])
        arrays = []
        for name, kind in self.fields:
            if kind == _CODED:
                arrays.append(pa.DictionaryArray.from_arrays(codes, self._fixed[name], safe=False))
            else:
                pieces = [piece for piece in values[name] if len(piece)]
                texts = pa.concat_arrays(pieces) if pieces else strings([""])
                arrays.append(pa.DictionaryArray.from_arrays(index, texts, safe=False))
        return arrays

    def _match(
        self, k: int, pattern: Pattern, block: Block, values: dict[str, list[pa.Array]], first: int
    ) -> int:
        """Match a pattern against the rows that no earlier one took; return how many are taken."""
        s = self._scanner
        held = s.buffers
        n, n_bytes, n_bad = gather_texts(
            block.buffer,
            s.n_rows,
            held["text"],
            held["line"],
            held["process"],
            self._wanted[k],
            self._taken,
            self._literals[k],
            len(pattern.literal),
            pattern.over,
            s.is_clean,
            self._rows,
            self._offsets,
            self._bad,
            self._out,
        )
        if not n:
            return first
        texts = self._texts(n, n_bytes, n_bad)
        found = call_function("extract_regex", [texts], self._options[k])
        if found.null_count == n:
            return first
        valid = found.buffers()[0]
        is_whole = found.null_count == 0
        last: int = take_rows(
            self._rows,
            n,
            _writable(valid),
            not is_whole,
            first,
            k,
            self._taken,
            self._index,
            self._bits,
            self._codes,
        )
        if values:
            matched = found if is_whole else call_function("drop_null", [found])
            names = [one.name for one in matched.type]
            for name, pieces in values.items():
                if name in names:
                    pieces.append(matched.field(names.index(name)))
                else:
                    pieces.append(pa.nulls(last - first, pa.string()))
        return last

    def _texts(self, n: int, n_bytes: int, n_bad: int) -> pa.Array:
        if not n_bad:
            # RE2's groups are copied: the buffers may be used again.
            buffers = [None, pa.py_buffer(self._offsets), pa.py_buffer(self._out)]
            return pa.Array.from_buffers(pa.string(), n, buffers)
        offsets, out = self._offsets, self._out
        pieces = [bytes(out[offsets[j] : offsets[j + 1]]) for j in range(n)]
        del n_bytes
        return strings([clean_text(piece) for piece in pieces])

    def _learn_processes(self) -> None:
        processes = self._scanner.processes
        if self._known == processes.version:
            return
        names = [clean_text(name) for name in processes.names()]
        for pattern, wanted in zip(self._patterns, self._wanted, strict=True):
            for code, name in enumerate(names):
                wanted[code] = any(fnmatchcase(name, glob) for glob in pattern.process)
        self._known = processes.version


def _capturing(pattern: Pattern, columns: frozenset[str]) -> str:
    """Return the regex with no more named groups than are asked for, but one: each costs."""
    names = _groups(pattern)
    kept = [name for name in names if name in columns] or names[:1]
    regex = pattern.regex
    for name in names:
        if name not in kept:
            # Behind a backslash it may be no group.
            regex = re.sub(rf"(?<!\\)\(\?P<{name}>", "(?:", regex)
    return regex


def _groups(pattern: Pattern) -> list[str]:
    return [*dict(pattern.types), *([pattern.time.field] if pattern.time is not None else [])]


def _ints(n: int) -> memoryview:
    return memoryview(bytearray(4 * n)).cast("i")


def _writable(bits: Any) -> memoryview:
    """Return bits as kernels take them; they are some thousand bytes."""
    return memoryview(bytearray(bits if bits is not None else 1))
