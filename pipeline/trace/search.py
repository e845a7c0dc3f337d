"""Search a split: lines that hold one of some literals are parsed, all others only counted."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pipeline.arrow import values_of
from pipeline.combine import FileCounts
from pipeline.kernels.find import Finder, count_lines
from pipeline.model import Block
from pipeline.scan import LineCounts, LineScanner
from pipeline.task import make_peeler, open_task
from pipeline.trace.sessions import SESSION, Row, Session, Sessions, Span, session_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    import pyarrow as pa

    from pipeline.task import MapTask
    from pipeline.trace.query import Queries

#: Parsed columns of a line.
COLUMNS = (
    *("time", "host", "process", "pid", "instance", "daemon", "queue_id", "event", "phase"),
    *("sender", "recipient", "orig_to", "relay", "relay_ip", "status", "dsn", "reason"),
    *("delay_us", "size", "nrcpt", "client", "client_ip", "helo", "sasl_user", "message_id"),
    *("child_id", "link"),
)
_PARSED = frozenset(COLUMNS)
_TIES = frozenset({"queue_id", "child_id"})
#: Lines that are parsed at a time: few are found, and room for many takes time to be made.
MAX_ROWS = 1 << 13
#: Lines that name a message's bounce, or its copy: rare enough to look at all of them. Those that
#: name what a filter here made of it are many; they hold the query mostly.
LINKS = (b"notification: ", b"forwarded as ")
HOPS = (b"[127.0.0.1]:", b"[::1]:")
#: So many of these lines are parsed together.
MANY_LINKS = 1 << 14
#: Lines of a run that are kept in memory; the rest is counted.
MAX_LINES = 1_000_000

#: Numbers that the kernel writes of a line that it has found.
_FOUND = 4
#: Blocks are small, so that what was read is still in the processor's cache when it is searched.
BLOCK_BYTES = 4 << 20

Needle = tuple[bytes, bool]


@dataclass(frozen=True, slots=True)
class Search:
    """What one pass looks for.

    Attributes
    ----------
    queries : Queries or None
        Lines that match are kept; None in the second pass.
    needles, links : tuple of (bytes, bool)
        Literals, and whether letters may have any case. Lines with one of ``needles`` are parsed,
        None: all; of those with one of ``links`` only what they tie.
    ids : frozenset of str
        Lines with these queue ids are kept.
    sessions : frozenset of Session
        Lines of these without a queue id are kept.
    """

    queries: Queries | None
    needles: tuple[Needle, ...] | None
    links: tuple[Needle, ...] = ()
    ids: frozenset[str] = frozenset()
    sessions: frozenset[Session] = frozenset()


@dataclass(slots=True)
class Found:
    """What was found in one split.

    Attributes
    ----------
    rows : list of dict
        Lines that are kept: `COLUMNS`, ``raw``, ``matched``, ``place`` (byte in the split),
        ``line`` (counted in the split from 0). Of lines in envelopes they hold what is inside,
        and the place of the envelope.
    links : list of (str, str)
        Queue ids that a line ties.
    open_sessions : set of Session
        They begin or end in another split.
    n_more : int
        Lines that were not kept, since there are too many.
    """

    url: str
    counts: FileCounts = field(default_factory=FileCounts)
    rows: list[Row] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    open_sessions: set[Session] = field(default_factory=set)
    n_more: int = 0


class Searcher:
    """Searches splits; every thread has buffers of its own."""

    def __init__(self, search: Search, max_lines: int = MAX_LINES) -> None:
        self._search = search
        needles = search.needles or ()
        self._finder: Any = Finder([*needles, *search.links], len(needles))  # type: ignore[no-untyped-call]
        self._local = threading.local()
        self._left = max_lines

    def search(self, task: MapTask) -> Found:
        """Search one split; never raises for what is in the input: that stands in the counts."""
        local = self._local
        if not hasattr(local, "found"):
            local.found = memoryview(bytearray(8 * _FOUND << 13)).cast("q")
            local.scanners = {}
        local.begin = task.split.file.url, task.years
        local.began = set()
        local.texts = []  # lines of ties, not parsed yet
        local.sessions = Sessions(self._parse)
        found = Found(task.split.file.url)
        n_lines = n_bytes = 0
        task = replace(task, block_bytes=min(task.block_bytes, BLOCK_BYTES))
        reading = open_task(task, found.counts)
        if reading is None:
            return found
        peeler = make_peeler(task)
        with closing(reading.visit_inside(found.counts, peeler)) as blocks:
            for block in blocks:
                n_lines += self._take(block, found, n_lines)
                n_bytes += block.stop + block.extra_bytes
        self._take_links(local.texts, found)
        found.open_sessions = local.sessions.end()
        # Lines are not dated by a search that only looks for some.
        found.counts.lines = LineCounts(lines=n_lines, dated=n_lines, plain_bytes=n_bytes)
        if peeler is not None:
            peeler.correct(found.counts.lines)
            found.counts.lines.dated = found.counts.lines.lines
            found.counts.n_peeled = peeler.n_peeled
            found.counts.n_not_peeled = peeler.n_not_peeled
        return found

    def _scan(self, text: bytearray, columns: frozenset[str]) -> Iterator[pa.Table]:
        """Yield lines as tables; what parses them is made when there are some."""
        local = self._local
        scanner: LineScanner | None = local.scanners.get(columns)
        if scanner is None:
            scanner = local.scanners[columns] = LineScanner(columns, MAX_ROWS)
        if columns not in local.began:
            scanner.begin_file(*local.begin)
            local.began.add(columns)
        return scanner.scan(Block(text, len(text), 0))

    def _take(self, block: Block, found: Found, n_before: int) -> int:
        """Keep what matters of a block; return its lines."""
        search = self._search
        spans, tied, befores, n_lines = self._find(block)
        if tied:
            texts = self._local.texts
            texts += [_ended(bytes(block.buffer[begin:end])) for begin, end in tied]
            if len(texts) > MANY_LINKS:
                self._take_links(texts, found)
        n_rows = len(found.rows)
        for row in self._parse(block, spans, search.sessions or None):
            self._judge(row, found)
        if search.queries is not None or search.ids:
            clients = [row for row in found.rows[n_rows:] if row["event"] == "client"]
            for row in self._local.sessions.take(block, clients, n_before):
                self._keep(row, found)
        at = n_at = 0
        fresh = [row for row in found.rows[n_rows:] if "line" not in row]
        for row in sorted(fresh, key=lambda row: row["place"]):
            place = row["place"] - block.offset
            n_at = (
                befores[place] if place in befores else n_at + count_lines(block.buffer, at, place)
            )
            at = place
            row["line"] = n_before + n_at
            if block.outer is not None:
                row["place"], row["line"] = block.outer.offset[n_at], block.outer.line[n_at]
        return n_lines

    def _find(self, block: Block) -> tuple[list[Span], list[Span], dict[int, int], int]:
        """Return where lines are that are parsed, and where others that tie ids.

        With how many lines are before each of them, by its begin, and how many there are.
        """
        spans: list[Span] = []
        tied: list[Span] = []
        befores: dict[int, int] = {}
        buffer, stop, found = block.buffer, block.stop, self._local.found
        at = n_lines = 0
        while at < stop:
            n, at, n_ends = self._finder.find(buffer, at, stop, found)
            for k in range(0, _FOUND * n, _FOUND):
                begin, end, n_before, is_kept = found[k : k + _FOUND]
                (spans if is_kept else tied).append((begin, end))
                befores[begin] = n_lines + n_before
            n_lines += n_ends
        if self._search.needles is None:
            spans = [(0, stop)] if stop else []
        return spans, tied, befores, n_lines + (1 if stop and buffer[stop - 1] != 10 else 0)

    def _take_links(self, texts: list[bytes], found: Found) -> None:
        """Take from lines that do not match which queue ids they tie; forget the lines."""
        text = bytearray(b"".join(texts))
        texts.clear()
        for table in self._scan(text, _TIES) if text else ():
            ids = [table[name].to_pylist() for name in ("queue_id", "child_id")]
            pairs = zip(*ids, strict=True)
            found.links += [(one, other) for one, other in pairs if one and other]

    def _parse(
        self, block: Block, spans: Sequence[Span], sessions: Container[Session] | None = None
    ) -> Iterator[Row]:
        """Yield the lines that lie in some spans of a block, parsed; of some sessions or of all."""
        if not spans:
            return
        pieces = [bytes(block.buffer[a:b]) for a, b in spans]
        text = bytearray(b"".join(pieces))
        # A position in the text is one in the block, so much further on.
        moves, length = [], 0
        for (start, _), piece in zip(spans, pieces, strict=True):
            moves.append((length, start - length))
            length += len(piece)
        at = k = 0
        for table in self._scan(text, _PARSED):
            names = [name for name in table.column_names if name in COLUMNS]
            columns = {name: values_of(table[name]) for name in names}
            keys = zip(*(columns[name] for name in SESSION), strict=True)
            rows = zip(keys, zip(*columns.values(), strict=True), strict=True)
            for key, values in rows:
                end = text.find(b"\n", at) + 1 or len(text)
                while k + 1 < len(moves) and moves[k + 1][0] <= at:
                    k += 1
                if sessions is None or key in sessions:
                    row: Row = dict(zip(names, values, strict=True))
                    row["raw"] = bytes(text[at:end])
                    row["place"] = block.offset + at + moves[k][1]
                    yield row
                at = end

    def _judge(self, row: Row, found: Found) -> None:
        search = self._search
        row["matched"] = search.queries is not None and search.queries.matches(row, row["raw"])
        if row["child_id"] and row["queue_id"]:
            found.links.append((row["queue_id"], row["child_id"]))
        is_kept = row["matched"] or row["queue_id"] in search.ids
        if not is_kept and search.sessions and row["queue_id"] is None:
            is_kept = session_of(row) in search.sessions
        if is_kept:
            self._keep(row, found)

    def _keep(self, row: Row, found: Found) -> None:
        if self._left <= 0:
            found.n_more += 1
            return
        self._left -= 1
        found.rows.append(row)


def _ended(line: bytes) -> bytes:
    return line if line.endswith(b"\n") else line + b"\n"
