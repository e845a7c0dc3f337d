"""Find lines that came before: batches that a forwarder delivered twice, with whatever cuts.

A line with a time that equals, in every byte, one of the `WINDOW` lines before it in its file is a
*repeat*: host and second stand in it. A line without a time (a stack trace) belongs to the line
before it, and is a repeat where all from the last line with a time on is. Batches are not looked
for as such: where one begins and ends shows nowhere, and their cuts differ. So two events of one
second that read the same can't be told from one that came twice.

The lines before decide: a file is one split. In envelopes lines are compared as the file has them;
where those are no lines, as they come out.
"""

from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipeline.kernels.line_columns import COLUMNS
from pipeline.kernels.scan import Scanner
from pipeline.kernels.seen import SeenLines, close_up, close_up_numbers, copy_marked
from pipeline.model import Block
from pipeline.peel import Peeler
from pipeline.read import Unowned

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.envelopes import Envelope
    from pipeline.model import Account
    from pipeline.scan import LineCounts
    from pipeline.yearless import YearTable

#: Lines before a line that it is compared with: some 30 MB of text, in 25 MB of memory a thread.
WINDOW = 1 << 18
TABLE_BYTES = 96 * WINDOW
_ROWS = 1 << 17
#: Of this process: nobody who writes a log can know it.
_KEY = secrets.token_bytes(16)
_local = threading.local()


class RepeatFinder:
    """Finds the repeats among the blocks of one file, in order; one per thread at a time.

    Parameters
    ----------
    leaves_out : bool
        Repeats are taken out of the blocks; else they are only counted.
    envelope : Envelope, optional
        What the lines stand in, where they are still to be taken out of it.
    """

    def __init__(
        self, years: YearTable, *, leaves_out: bool, envelope: Envelope | None = None
    ) -> None:
        self._leaves_out = leaves_out
        self._envelope, self._years = envelope, years
        self._peeler: Peeler | None = None
        self._scanner = Scanner(_ROWS, COLUMNS["offset"])
        self._repeated = Scanner(_ROWS, 0)
        # The same table of years: a stamp that is none to the scan must be none here.
        table = years.days, years.later, years.limit_index, years.limit_s
        self._scanner.begin_file(*table)
        self._repeated.begin_file(*table)
        self._marks = bytearray(_ROWS)
        self._text = bytearray()
        self._n = self._n_bytes = 0
        self._seen: Any = _seen_lines()
        self._seen.begin_file()

    def find(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Yield the blocks, as short as they are without repeats where these are left out."""
        for block in blocks:
            self._look(block)
            yield block

    def correct(self, counts: LineCounts) -> None:
        """Note the repeats in the counts of a scan, and add those that it did not see."""
        repeated = self._repeated
        counts.repeated = self._n
        if repeated.n_dated:
            counts.repeated_first, counts.repeated_last = repeated.min_time, repeated.max_time
        if self._leaves_out:
            counts.lines += self._n
            counts.dated += repeated.n_dated + (self._peeler.n_joined_dated if self._peeler else 0)
            counts.yearless += repeated.n_yearless
            counts.plain_bytes += self._n_bytes

    def _look(self, block: Block) -> None:
        """Mark the repeats of a block, note them, and close it up over them."""
        at = end = row = end_row = 0
        stop = block.stop
        scanner, marks = self._scanner, self._marks
        begins = scanner.buffers["offset"]
        while at < stop:
            at = scanner.scan(block.buffer, at, stop, 0, block.extra_bytes)
            n = scanner.n_rows
            is_cut = at == stop and block.extra_bytes > 0
            found = self._seen.mark(
                block.buffer, begins, n, at, scanner.buffers["dated"], is_cut, marks
            )
            if found:
                self._note(block, n, at, found)
            if not self._leaves_out:
                continue
            if block.outer is not None and (found or end_row < row):
                for numbers in (block.outer.bytes, block.outer.offset, block.outer.line):
                    kept = close_up_numbers(numbers, row, n, marks, end_row)
                end_row = kept
            else:
                end_row += n
            row += n
            end = close_up(block.buffer, begins, n, at, marks, end)
        if self._leaves_out:
            block.stop = end

    def _note(self, block: Block, n: int, stop: int, found: int) -> None:
        """Count the marked lines, and scan them for their times."""
        begins, marks = self._scanner.buffers["offset"], self._marks
        begin = begins[0]
        if len(self._text) <= stop - begin:
            self._text = bytearray(stop - begin + 1)
        length = copy_marked(block.buffer, begins, n, stop, marks, self._text)
        self._n += found
        self._n_bytes += length
        last = block.buffer[stop - 1]
        if marks[n - 1] and last != 10:
            self._n_bytes -= 1  # it had no line end
        for text in self._peel(Block(self._text, length, 0)):
            at = 0
            while at < text.stop:
                at = self._repeated.scan(text.buffer, at, text.stop, 0)

    def _peel(self, repeated: Block) -> Iterator[Block]:
        if self._envelope is None:
            return iter([repeated])
        if self._peeler is None:
            self._peeler = Peeler(self._envelope, self._years, is_second=True)
        return self._peeler.peel(iter([repeated]), Unowned())


def note_repeated(
    account: Account, files: Iterable[tuple[str, LineCounts]], *, leaves_out: bool
) -> None:
    """Complete the account with the repeats of each file."""
    account.repeated_lines = 0
    for url, lines in files:
        if lines.repeated:
            account.repeated_lines += lines.repeated
            account.repeated.append(
                {
                    "file": url,
                    "lines": lines.repeated,
                    "counted": not leaves_out,
                    "first": _say_time(lines.repeated_first),
                    "last": _say_time(lines.repeated_last),
                }
            )


def _say_time(time_us: int | None) -> str | None:
    if time_us is None:
        return None
    return f"{datetime.fromtimestamp(time_us // 1_000_000, UTC):%Y-%m-%d %H:%M:%S}"


def _seen_lines() -> Any:
    """Return this thread's table: files come by the thousand, and it is large."""
    held: Any = getattr(_local, "seen", None)
    if held is None or held.window != WINDOW:
        held = _local.seen = SeenLines(WINDOW, _KEY)
    return held
