"""Write lines that stand for several out: each becomes the lines that it stands for.

``last message repeated N times`` stands for N lines like the one before it of its host, at its own
time; ``message repeated N times: [ text]`` for N lines of that text. It is text that is written
out, between reader and scanner, so that all relations see the same lines. The line before may stand
anywhere in the file, so that a file is one split then. Counts of the input stay those of the file:
`Expander.correct` takes out what was added.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING

from pipeline.kernels.latest import note_latest
from pipeline.kernels.line_columns import COLUMNS
from pipeline.kernels.scan import Scanner
from pipeline.model import Block
from pipeline.text import in_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

    from pipeline.read import Buffers, Unowned
    from pipeline.scan import LineCounts
    from pipeline.yearless import YearTable

#: Lines that one line may stand for, and bytes of their text: its number may be anybody's.
MAX_REPEATS = 100_000
MAX_BYTES = 64 << 20
#: Bytes of a line that is remembered, and hosts whose last line is.
MAX_LINE = 16 << 10
MAX_HOSTS = 1 << 14
#: Text is handed on in blocks of about this size.
_BLOCK_BYTES = 4 << 20
_ROWS = 1 << 17
#: Codes of an interner at most.
_CODES = 1 << 15
_LAST_REPEATED = 1  # its code as a process, see `pipeline.kernels.marks`
_WORDS = b"message repeated "
_COUNT = re.compile(rb"message repeated (\d+) time")
_BRACKETS = re.compile(rb"message repeated (\d+) times?: \[ ?(.*?)\]?\s*\Z", re.DOTALL)
_STAMP = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:<\d{1,3}>(?:\d{1,3} )?)?"
    rb"([A-Za-z]{3} {1,2}\d{1,2} \d\d:\d\d:\d\d(?:\.\d+)?"
    rb"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d+)?(?:[Zz]|[+-]\d\d(?::?\d\d)?)?)"
)


class Expander:
    """Expands the blocks of one file, in order.

    Attributes
    ----------
    n_cut : int
        Lines that stand for more lines than are written out.
    most : int
        The largest number that such a line gave.
    """

    def __init__(self, years: YearTable) -> None:
        bits = COLUMNS["host"] | COLUMNS["process"] | COLUMNS["text"] | COLUMNS["offset"]
        self._scanner = Scanner(_ROWS, bits)
        # The same table of years: a stamp that is none to the scan must be none here.
        self._scanner.begin_file(years.days, years.later, years.limit_index, years.limit_s)
        self._latest = memoryview(bytearray(4 * _CODES)).cast("i")
        self._nowhere = b"\xff" * (4 * _CODES)
        self._known: dict[bytes | None, bytes] = {}  # last line by host; None: whatever its host
        self._out = bytearray()
        self._lines = self._bytes = self._yearless = 0
        self.n_cut = self.most = 0

    def expand(self, blocks: Iterator[Block], buffers: Buffers | Unowned) -> Iterator[Block]:
        """Yield the text of the blocks, expanded; gives their buffers back itself."""
        for block in blocks:
            try:
                yield from self._expand(block)
            finally:
                buffers.give_back(block.buffer)

    def correct(self, counts: LineCounts) -> None:
        """Take what was added out of the counts of a scan: lines are those of the file."""
        counts.lines -= self._lines
        counts.dated -= self._lines
        counts.yearless -= self._yearless
        counts.plain_bytes -= self._bytes

    def _expand(self, block: Block) -> Iterator[Block]:
        text = memoryview(block.buffer)
        at = done = 0
        while at < block.stop:
            start, at = at, self._scanner.scan(block.buffer, at, block.stop, 0, block.extra_bytes)
            latest = self._latest
            latest.cast("B")[:] = self._nowhere
            rows = _Rows(self._scanner, block.buffer, at, latest)
            for row in rows.find_repeats(start):
                found = self._read(rows, row)
                if found is None:
                    continue
                line, copy, count = found
                begin = rows.begin(row)
                self._out += text[done:begin]
                done = begin + len(line)
                yield from self._put(copy, count)
                self._lines += count - 1
                self._bytes += count * len(copy) - len(line)
                self._yearless += (count - 1) * _stamp_of(line)[:1].isalpha()
            rows.note(self._scanner.n_rows)
            self._remember(rows)
        if done == 0 and not self._out:
            yield block
            return
        self._out += text[done : block.stop]
        if self._out:
            yield self._take(block.extra_bytes)

    def _read(self, rows: _Rows, row: int) -> tuple[bytes, bytes, int] | None:
        """Return a line, the line that it stands for, and how often; None where it stays."""
        line = rows.line(row)
        end = line[len(line.rstrip(b"\r\n")) :]
        if not end.endswith(b"\n"):  # the last line of a file
            end += b"\n"
        if rows.is_last_repeated(row):
            rows.note(row)
            rows.skip(row)
            host = rows.host(row)
            before = rows.latest(row) if rows.has_latest(row) else self._known.get(host)
            match = _COUNT.search(line)
            stamps = None if before is None else (_STAMP.match(before), _STAMP.match(line))
            if before is None or match is None or stamps is None or not all(stamps):
                return None
            old, new = stamps
            assert old is not None
            assert new is not None
            copy = before[: old.start(1)] + new[1] + before[old.end(1) :]
        else:
            begin = rows.text_begin(row)
            match = _BRACKETS.match(line, begin)
            if match is None:
                return None
            copy = line[:begin] + match[2]
            if int(match[1]):
                rows.stand_for(row, copy)
        count = self._cap(int(match[1]), len(copy) + 1)
        return (line, copy + end, count) if count else None

    def _cap(self, count: int, n_bytes: int) -> int:
        most = min(MAX_REPEATS, max(1, MAX_BYTES // n_bytes))
        if count > most:
            self.n_cut += 1
            self.most = max(self.most, count)
        return min(count, most)

    def _put(self, copy: bytes, count: int) -> Iterator[Block]:
        at_once = max(1, _BLOCK_BYTES // len(copy))
        while count:
            n = min(count, at_once)
            self._out += copy * n
            count -= n
            if len(self._out) >= _BLOCK_BYTES:
                yield self._take()

    def _take(self, extra_bytes: int = 0) -> Block:
        out, self._out = self._out, bytearray()
        return Block(out, len(out), 0, extra_bytes)

    def _remember(self, rows: _Rows) -> None:
        """Keep the last line of each host for the rows that follow."""
        for host, row in rows.all_latest():
            self._known.pop(host, None)
            line = rows.line_stood_for(row)
            if len(line) <= MAX_LINE:
                self._known[host] = line
        for host in [*self._known][: max(0, len(self._known) - MAX_HOSTS)]:
            del self._known[host]


def tell_cut(url: str, n: int, most: int) -> str:
    """Return the warning that n lines of a file stand for more lines than were written out."""
    return (
        f"{url}: {n:,} line{'s' * (n != 1)} say{'s' * (n == 1)} that a message was repeated "
        f"{most:,} times{' at most' * (n != 1)}; each counts as {MAX_REPEATS:,} lines, or "
        f"{in_bytes(MAX_BYTES)} of them"
    )


class _Rows:
    """The rows that the scanner holds, and the latest of each host so far."""

    def __init__(
        self, scanner: Scanner, buffer: mmap | bytearray, stop: int, latest: memoryview
    ) -> None:
        self._held = scanner.buffers
        self._n = scanner.n_rows
        self._names = scanner.hosts.names()
        self._buffer, self._stop = buffer, stop
        self._latest = latest
        self._last = -1  # whatever its host
        self._noted = 0
        self._other: dict[int, bytes] = {}

    def begin(self, row: int) -> int:
        begin: int = self._held["offset"][row]
        return begin

    def line(self, row: int) -> bytes:
        stop = self.begin(row + 1) if row + 1 < self._n else self._stop
        return bytes(self._buffer[self.begin(row) : stop])

    def line_stood_for(self, row: int) -> bytes:
        """Return a row's line without its end; of a repeat the last of its lines."""
        return self._other.get(row) or self.line(row).rstrip(b"\r\n")

    def text_begin(self, row: int) -> int:
        """Return where the message begins in the row's line."""
        begin: int = self._held["text"][2 * row] - self.begin(row)
        return begin

    def host(self, row: int) -> bytes | None:
        is_hosted = self._held["hosted"][row >> 3] >> (row & 7) & 1
        return self._names[self._held["host"][row]] if is_hosted else None

    def is_last_repeated(self, row: int) -> bool:
        is_it: bool = self._held["process"][row] == _LAST_REPEATED
        return is_it

    def find_repeats(self, start: int) -> Iterator[int]:
        """Yield the rows that may be repeats, in order."""
        begins, row = self._held["offset"], -1
        at = self._buffer.find(_WORDS, start, self._stop)
        while at >= 0:
            row = bisect_right(begins, at, max(row, 0), self._n) - 1
            begin = self._held["text"][2 * row]
            if begin >= 0 and (self.is_last_repeated(row) or begin == at):
                yield row
            after = begins[row + 1] if row + 1 < self._n else self._stop
            at = self._buffer.find(_WORDS, after if begin <= at else at + 1, self._stop)

    def note(self, stop: int) -> None:
        """Take in the rows before ``stop``."""
        held = self._held
        last = note_latest(
            held["host"], held["hosted"], held["text"], self._noted, stop, self._latest
        )
        self._last = max(self._last, last)
        self._noted = max(self._noted, stop)

    def skip(self, row: int) -> None:
        """Leave a row out that is no line of its own."""
        self._noted = row + 1

    def stand_for(self, row: int, line: bytes) -> None:
        """Let a row stand for another line."""
        self._other[row] = line

    def has_latest(self, row: int) -> bool:
        """Tell whether the line before a row, of its host, is among these."""
        return self._before(row) >= 0

    def latest(self, row: int) -> bytes | None:
        """Return the line before a row, of its host; None where it is too long."""
        line = self.line_stood_for(self._before(row))
        return line if len(line) <= MAX_LINE else None

    def _before(self, row: int) -> int:
        if self.host(row) is None:
            return self._last
        before: int = self._latest[self._held["host"][row]]
        return before

    def all_latest(self) -> Iterator[tuple[bytes | None, int]]:
        """Yield each host with its last row; None with the last row of all."""
        for code, name in enumerate(self._names):
            if self._latest[code] >= 0:
                yield name, self._latest[code]
        if self._last >= 0:
            yield None, self._last


def _stamp_of(line: bytes) -> bytes:
    match = _STAMP.match(line)
    return match[1] if match else b""
