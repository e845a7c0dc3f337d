"""The sessions that brought messages, followed over the blocks of a split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.kernels.find import Finder, count_lines
from pipeline.model import Block

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

#: A parsed line: `pipeline.trace.search.COLUMNS`, and where it stands.
Row = dict[str, Any]
#: Begin and end of a line in a block.
Span = tuple[int, int]
#: What tells a session apart while it lasts.
SESSION = ("host", "process", "pid")
Session = tuple[object, object, object]

#: So much of a block is kept until the next is searched: sessions begin in it.
CARRIED_BYTES = 1 << 18
#: The lines of more sessions than this are not looked for one by one: all lines are parsed.
MAX_MARKS = 24


class Sessions:
    """Finds the lines of sessions, from connect to disconnect.

    Parameters
    ----------
    parse : callable
        Yields the lines in some spans of a block, parsed, of some sessions or of all.
    """

    def __init__(
        self, parse: Callable[[Block, Sequence[Span], Container[Session] | None], Iterator[Row]]
    ) -> None:
        self._parse = parse
        self._beyond: set[Session] = set()
        self._waiting: set[Session] = set()  # begun, and not ended yet
        self._carried: Block | None = None
        self._before: dict[Session, list[Row]] | None = None  # lines of what is carried

    def take(self, block: Block, clients: Iterable[Row], n_before: int) -> list[Row]:
        """Return lines without a queue id of the sessions of some ``client=`` lines of a block.

        And of those that go on from blocks before. Rows of earlier blocks have their ``line``.

        Parameters
        ----------
        n_before : int
            Lines of the split before the block.
        """
        wanted: dict[Session, set[int]] = {session: set() for session in self._waiting}
        for row in clients:
            wanted.setdefault(session_of(row), set()).add(row["place"])
        rows: list[Row] = []
        if wanted:
            lines = self._lines(block, wanted)
            for session, places in wanted.items():
                rows += self._follow(session, lines.get(session, []), places, n_before)
        # Of lines in envelopes only the block at hand knows where they stand.
        self._carried = None if block.outer is not None else _tail(block)
        self._before = None
        kept = [row for row in rows if row["queue_id"] is None]
        for row in kept:
            row["matched"] = False
        return kept

    def end(self) -> set[Session]:
        """Return the sessions that begin or end in another split, or too far before."""
        return self._beyond | self._waiting

    def _follow(
        self, session: Session, lines: Iterable[Row], clients: Container[int], n_before: int
    ) -> list[Row]:
        """Return those of the lines of one process that are of a session of some clients."""
        found: list[Row] = []
        is_wanted = session in self._waiting
        self._waiting.discard(session)
        # Of the session at hand; None: its begin has not been seen.
        current: list[Row] | None = [] if is_wanted else None
        headless: list[Row] = []
        for row in lines:
            if row["event"] == "connect":
                found += current if current is not None and is_wanted else []
                current, is_wanted = [], False
            if current is None:
                headless.append(row)
                if row["place"] in clients:
                    begin = self._begin(session, n_before)
                    if begin:
                        current, is_wanted = [*begin, *headless], True
                    else:
                        self._beyond.add(session)
            else:
                current.append(row)
                is_wanted |= row["place"] in clients
            if row["event"] == "disconnect":
                found += current if current is not None and is_wanted else []
                current, is_wanted = None, False
                headless = []
        if current is not None and is_wanted:
            found += current
            self._waiting.add(session)
        return found

    def _begin(self, session: Session, n_before: int) -> list[Row]:
        """Return the lines with which a session begins in the block before; none: not there."""
        carried = self._carried
        if carried is None:
            return []
        if self._before is None:
            self._before = self._lines(carried, None)
        rows = self._before.get(session, [])
        at = max((k for k, row in enumerate(rows) if row["event"] == "connect"), default=-1)
        if at < 0 or rows[-1]["event"] == "disconnect":
            return []
        for row in rows[at:]:
            place = row["place"] - carried.offset
            row["line"] = n_before - count_lines(carried.buffer, place, carried.stop)
        return rows[at:]

    def _lines(
        self, block: Block, sessions: dict[Session, set[int]] | None
    ) -> dict[Session, list[Row]]:
        """Return the lines of some sessions, or of all, by session."""
        pids = {pid for *_, pid in sessions or () if isinstance(pid, int)}
        spans = [(0, block.stop)]
        if sessions is not None and len(pids) <= MAX_MARKS:
            spans = _spans(block, [b"[%d]: " % pid for pid in pids])
        lines: dict[Session, list[Row]] = {}
        for row in self._parse(block, spans, sessions):
            lines.setdefault(session_of(row), []).append(row)
        return lines


def _spans(block: Block, marks: Sequence[bytes]) -> list[Span]:
    finder: Any = Finder([(mark, False) for mark in marks], 1)  # type: ignore[no-untyped-call]
    found = memoryview(bytearray(8 * 4 << 10)).cast("q")
    spans, at = [], 0
    while at < block.stop:
        n, at, _ = finder.find(block.buffer, at, block.stop, found)
        spans += [(found[k], found[k + 1]) for k in range(0, 4 * n, 4)]
    return spans


def _tail(block: Block) -> Block:
    begin = max(0, block.stop - CARRIED_BYTES)
    if begin:
        begin = block.buffer.find(b"\n", begin, block.stop) + 1 or block.stop
    text = bytearray(block.buffer[begin : block.stop])
    return Block(text, len(text), block.offset + begin)


def session_of(row: Row) -> Session:
    """Return what tells the session of a line apart, while it lasts."""
    return row["host"], row["process"], row["pid"]
