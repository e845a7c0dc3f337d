"""Scan blocks of text into Arrow tables: the columns that a query asks for, and no more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.arrow import clean_text, point_view, strings
from pipeline.formats.syslog import SCANNED
from pipeline.kernels import scan as kernel
from pipeline.kernels.line_columns import COLUMNS
from pipeline.kernels.marks import FACILITIES, SEVERITIES
from pipeline.scan_mail import MailScanner, lines_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.formats.base import Format, RowReader
    from pipeline.model import Block, Place
    from pipeline.yearless import YearTable

_TYPES = {
    "time": pa.timestamp("us"),
    "day": pa.date32(),
    "pid": pa.int32(),
    "bytes": pa.int64(),
    "offset": pa.int64(),
    "utc_offset": pa.int32(),
}
_BITS = {
    "pid": "with_pid",
    "utc_offset": "with_utc",
    "severity": "with_level",
    "facility": "with_level",
}
_LEVELS = {"severity": SEVERITIES, "facility": FACILITIES}
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
_LEVEL = pa.dictionary(pa.int8(), pa.string())


@dataclass(slots=True)
class LineCounts:
    """What the scan counted, before any filter. Times are µs since 1970 as written; file order.

    ``steps_back`` counts places where the time falls back by more than half a year; ``repeated``
    lines that came before, as far as that is looked for, ``repeated_first`` and ``repeated_last``
    are the least and the greatest of their times.
    """

    lines: int = 0
    dated: int = 0
    yearless: int = 0
    plain_bytes: int = 0
    steps_back: int = 0
    first: int | None = None
    last: int | None = None
    earliest: int | None = None
    latest: int | None = None
    repeated: int = 0
    repeated_first: int | None = None
    repeated_last: int | None = None

    def add(self, later: LineCounts) -> None:
        """Take in the counts of what follows in the same file."""
        self.lines += later.lines
        self.dated += later.dated
        self.yearless += later.yearless
        self.plain_bytes += later.plain_bytes
        self.steps_back += later.steps_back
        self._add_repeated(later)
        if later.first is None or later.last is None:
            return
        if self.first is None or self.last is None:
            self.first, self.earliest, self.latest = later.first, later.earliest, later.latest
        else:
            self.steps_back += self.last - later.first > kernel.HALF_YEAR_US
            self.earliest = min(self.earliest or 0, later.earliest or 0)
            self.latest = max(self.latest or 0, later.latest or 0)
        self.last = later.last

    def _add_repeated(self, later: LineCounts) -> None:
        self.repeated += later.repeated
        if later.repeated_first is None or later.repeated_last is None:
            return
        if self.repeated_first is None or self.repeated_last is None:
            self.repeated_first, self.repeated_last = later.repeated_first, later.repeated_last
        self.repeated_first = min(self.repeated_first, later.repeated_first)
        self.repeated_last = max(self.repeated_last, later.repeated_last)


class LineScanner:
    """Scans the blocks of one file after the other; one per thread, since its buffers are reused.

    Parameters
    ----------
    columns : frozenset of str
        Columns of ``pipeline.formats.syslog.SCANNED`` to build, and of ``mail``.
    max_rows : int
        Rows of a table at most; the buffers have room for so many.
    reasons : str, optional
        File with the user's own rules for ``reason_class``.
    events : frozenset of str, optional
        Of Postfix lines, only these are asked for.
    formats : sequence of Format
        Whose columns are among ``columns``.
    """

    def __init__(
        self,
        columns: frozenset[str],
        max_rows: int = 1 << 17,
        reasons: str | None = None,
        *,
        events: frozenset[str] | None = None,
        formats: Sequence[Format] = (),
    ) -> None:
        bits = 0
        of_mail = lines_columns(columns)
        of_formats = frozenset().union(*(one.needs for one in formats))
        for name in columns | of_mail | of_formats:
            bits |= COLUMNS.get(name, 0)
        self.columns = [name for name in SCANNED if name in columns]
        self._scanner = kernel.Scanner(max_rows, bits)
        self._plain_bytes = 0
        #: Columns that lack no value, since the path of the file gives one.
        self._is_filled: dict[str, bool] = {}
        self._row = 0  # of the block at hand: rows before those that the scanner holds
        self._file = strings([""])
        self._zeros = pa.py_buffer(bytes(4 * max_rows))
        self._fixed = {name: strings(names) for name, names in _LEVELS.items()}
        self._named: dict[str, tuple[int, pa.Array]] = {}
        self._mail = None
        if of_mail:
            self._mail = MailScanner(self._scanner, columns, max_rows, reasons, events=events)
        fields = [(name, _arrow_type(name)) for name in self.columns]
        fields += self._mail.fields if self._mail else []
        self._readers: list[RowReader] = []
        for one in formats:
            own = {name.partition(":")[2] for name in columns if name.startswith(f"{one.name}:")}
            reader = one.reader(self._scanner, frozenset(own), max_rows) if own else None
            if reader is not None:
                self._readers.append(reader)
                fields += [(f"{one.name}:{name}", kind) for name, kind in reader.fields]
        self.schema = pa.schema(fields)

    def begin_file(
        self, url: str, years: YearTable, first_number: int = 0, place: Place | None = None
    ) -> None:
        """Set the file that the next blocks belong to.

        Parameters
        ----------
        first_number : int
            Messages are numbered from here on.
        place : Place, optional
            What lines lack, from the path of the file.
        """
        if self._mail is not None:
            self._mail.begin_file(first_number)
        self._scanner.begin_file(years.days, years.later, years.limit_index, years.limit_s)
        self._is_filled = {"day": False, "process": False}
        day, host, process = None, b"", b""
        if place is not None:
            day = None if place.day is None else place.day.toordinal() - _EPOCH_ORDINAL
            host = (place.host or "").encode("utf-8", "surrogateescape")
            process = (place.process or "").encode("utf-8", "surrogateescape")
            self._is_filled = {"day": day is not None, "process": bool(process)}
        self._scanner.fill(host, process, day or 0)
        self._plain_bytes = 0
        self._file = strings([clean_text(url.encode("utf-8", "surrogateescape"))])

    def scan(self, block: Block) -> Iterator[pa.Table]:
        """Yield tables of the block's lines; each is valid only until the next is asked for."""
        for table, _ in self.scan_to(block):
            yield table

    @property
    def buffers(self) -> dict[str, Any]:
        """What the kernel wrote for the rows of the last table, by column."""
        return self._scanner.buffers  # type: ignore[no-any-return]

    def scan_to(self, block: Block) -> Iterator[tuple[pa.Table, int]]:
        """Yield tables as `scan` does, each with where in the block its lines end."""
        at = 0
        self._row = 0
        while at < block.stop:
            at = self._scanner.scan(block.buffer, at, block.stop, block.offset, block.extra_bytes)
            yield self._table(block), at
            self._row += self._scanner.n_rows
        self._plain_bytes += block.stop + block.extra_bytes

    def counts(self) -> LineCounts:
        """Return the counts since `begin_file`."""
        s = self._scanner
        is_dated = s.n_dated > 0
        return LineCounts(
            lines=s.n_lines,
            dated=s.n_dated,
            yearless=s.n_yearless,
            plain_bytes=self._plain_bytes,
            steps_back=s.n_steps_back,
            first=s.first_time if is_dated else None,
            last=s.last_time if is_dated else None,
            earliest=s.min_time if is_dated else None,
            latest=s.max_time if is_dated else None,
        )

    def _table(self, block: Block) -> pa.Table:
        n = self._scanner.n_rows
        arrays = [self._column(name, n, block) for name in self.columns]
        if self._mail is not None:
            arrays += self._mail.scan(block)
        for reader in self._readers:
            arrays += reader.read(block)
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def _column(self, name: str, n: int, block: Block) -> pa.Array:
        s = self._scanner
        held = s.buffers
        if name == "file":
            index = pa.Array.from_buffers(pa.int32(), n, [None, self._zeros])
            return pa.DictionaryArray.from_arrays(index, self._file)
        if name == "message":
            return self._messages(n, block)
        if block.outer is not None and name in ("bytes", "offset"):
            taken = block.outer.bytes if name == "bytes" else block.outer.offset
            of_rows = pa.py_buffer(taken[self._row : self._row + n])
            return pa.Array.from_buffers(pa.int64(), n, [None, of_rows])
        if name in ("host", "process"):
            n_lack = s.n_hostless_rows if name == "host" else s.n_undated_rows
            is_full = not n_lack or self._is_filled.get(name, False)
            valid = None if is_full else pa.py_buffer(held["hosted" if name == "host" else "dated"])
            index = pa.Array.from_buffers(pa.int32(), n, [valid, pa.py_buffer(held[name])])
            return pa.DictionaryArray.from_arrays(index, self._names(name), safe=False)
        valid = None
        if name in _BITS:
            valid = pa.py_buffer(held[_BITS[name]])
        elif name in ("time", "day") and s.n_undated_rows and not self._is_filled.get(name, False):
            valid = pa.py_buffer(held["dated"])
        if name in _LEVELS:
            index = pa.Array.from_buffers(pa.int8(), n, [valid, pa.py_buffer(held[name])])
            return pa.DictionaryArray.from_arrays(index, self._fixed[name], safe=False)
        return pa.Array.from_buffers(_TYPES[name], n, [valid, pa.py_buffer(held[name])])

    def _names(self, name: str) -> pa.Array:
        """Return the dictionary of a column; the same object as long as no name was added."""
        interner = self._scanner.hosts if name == "host" else self._scanner.processes
        known = self._named.get(name)
        if known is None or known[0] != interner.version:
            texts = [clean_text(text) for text in interner.names()] or [""]
            known = self._named[name] = (interner.version, strings(texts))
        return known[1]

    def _messages(self, n: int, block: Block) -> pa.Array:
        """Return views into the block's own buffer; text that is no UTF-8 is mended beside it."""
        s = self._scanner
        views = s.buffers["message"]
        buffers: list[Any] = [None, pa.py_buffer(views), pa.py_buffer(block.buffer)]
        if s.n_bad:
            mended = bytearray()
            bad = s.buffers["bad"]
            for k in range(s.n_bad):
                row, start, stop = bad[3 * k : 3 * k + 3]
                text = clean_text(bytes(block.buffer[start:stop])).encode()
                point_view(views, 4 * row, text, len(mended))
                mended += text
            buffers.append(pa.py_buffer(mended))
        return pa.Array.from_buffers(pa.string_view(), n, buffers)


def _arrow_type(name: str) -> pa.DataType:
    if name in _LEVELS:
        return _LEVEL
    if name == "message":
        return pa.string_view()
    return _TYPES.get(name, _DICTIONARY)
