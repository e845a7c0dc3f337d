"""The sessions that brought messages, followed over the blocks of a split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.kernels.find import Finder, count_lines
from pipeline.model import Block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

#: A parsed line: `pipeline.trace.search.COLUMNS`, and where it stands.
Row = dict[str, Any]
#: Begin and end of a line in a block.
Span = tuple[int, int]
#: Host, process and pid of a session.
Session = tuple[object, object, object]

_CONNECT, _DISCONNECT = b"connect from ", b"disconnect from "
#: So much of a block is kept until the next is searched: sessions begin in it.
CARRIED_BYTES = 1 << 18


class Sessions:
    """Finds the lines of sessions, from connect to disconnect.

    Parameters
    ----------
    parse : callable
        Yields the lines in some spans of a block, parsed.

    Attributes
    ----------
    beyond : set of Session
        They begin or end in another split, or too far before.
    """

    def __init__(self, parse: Callable[[Block, Sequence[Span]], Iterator[Row]]) -> None:
        self.beyond: set[Session] = set()
        self._parse = parse
        self._carried: Block | None = None
        self._waiting: dict[Session, bytes] = {}  # begun, and what their lines hold

    def take(self, block: Block, clients: Iterable[Row], n_before: int) -> list[Row]:
        """Return lines without a queue id of the sessions of some ``client=`` lines of a block.

        And of those that go on from blocks before. Rows of earlier blocks have their ``line``.

        Parameters
        ----------
        n_before : int
            Lines of the split before the block.
        """
        rows: list[Row] = []
        followed = set(self._waiting)
        for session in followed:
            rows += self._go_on(block, session)
        for client in clients:
            rows += self._find(block, client, n_before, followed)
        # Of lines in envelopes only the block at hand knows where they stand.
        self._carried = None if block.outer is not None else _tail(block)
        kept = [row for row in rows if row["queue_id"] is None]
        for row in kept:
            row["matched"] = False
        return kept

    def end(self) -> set[Session]:
        """Return ``beyond``, with those that have not ended."""
        return self.beyond | self._waiting.keys()

    def _find(self, block: Block, client: Row, n_before: int, followed: set[Session]) -> list[Row]:
        """Return the lines of a session, as far as the block reaches."""
        session, mark = session_of(client), b"[%d]: " % (client["pid"] or 0)
        place = client["place"] - block.offset
        rows: list[Row] = []
        begin = block.buffer.rfind(mark + _CONNECT, 0, place)
        if begin < 0 and session in followed:
            return []  # its lines are there
        if begin < 0:
            rows = self._before(session, mark, n_before)
        stop, has_end = _end(block, mark, place)
        rows += self._of(session, mark, block, _line_begin(block, max(begin, 0)), stop)
        has_begin = bool(rows) and rows[0]["event"] == "connect"
        if not has_begin or (has_end and rows[-1]["event"] != "disconnect"):
            self.beyond.add(session)
            return []
        if not has_end:
            self._waiting[session] = mark
        return rows

    def _before(self, session: Session, mark: bytes, n_before: int) -> list[Row]:
        carried = self._carried
        begin = -1 if carried is None else carried.buffer.rfind(mark + _CONNECT)
        if carried is None or begin < 0:
            return []
        rows = list(self._of(session, mark, carried, _line_begin(carried, begin), carried.stop))
        for row in rows:
            place = row["place"] - carried.offset
            row["line"] = n_before - count_lines(carried.buffer, place, carried.stop)
        return rows

    def _go_on(self, block: Block, session: Session) -> list[Row]:
        """Return the lines of a session that began before."""
        mark = self._waiting[session]
        stop, has_end = _end(block, mark, 0)
        rows = list(self._of(session, mark, block, 0, stop))
        if has_end:
            del self._waiting[session]
            if not rows or rows[-1]["event"] != "disconnect":
                self.beyond.add(session)
        return rows

    def _of(
        self, session: Session, mark: bytes, block: Block, begin: int, stop: int
    ) -> Iterator[Row]:
        finder: Any = Finder([(mark, False)], 1)  # type: ignore[no-untyped-call]
        found = memoryview(bytearray(8 * 4 << 10)).cast("q")
        spans, at = [], begin
        while at < stop:
            n, at, _ = finder.find(block.buffer, at, stop, found)
            spans += [(found[k], found[k + 1]) for k in range(0, 4 * n, 4)]
        return (row for row in self._parse(block, spans) if session_of(row) == session)


def _end(block: Block, mark: bytes, at: int) -> tuple[int, bool]:
    """Return where the line ends that ends a session, and whether it is in the block."""
    end = block.buffer.find(mark + _DISCONNECT, at, block.stop)
    if end < 0:
        return block.stop, False
    return block.buffer.find(b"\n", end, block.stop) + 1 or block.stop, True


def _line_begin(block: Block, at: int) -> int:
    return block.buffer.rfind(b"\n", 0, at) + 1


def _tail(block: Block) -> Block:
    begin = max(0, block.stop - CARRIED_BYTES)
    if begin:
        begin = block.buffer.find(b"\n", begin, block.stop) + 1 or block.stop
    text = bytearray(block.buffer[begin : block.stop])
    return Block(text, len(text), block.offset + begin)


def session_of(row: Row) -> Session:
    """Return what tells the session of a line apart, while it lasts."""
    return row["host"], row["process"], row["pid"]
