"""Lines → messages, reused queue ids told apart → stories: what is tied together, in time order."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pipeline.kernels.generations import begins_anew
from pipeline.trace.sessions import session_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.trace.sessions import Row

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # times as written
#: A line that names another message stands at most so long before that one's first line.
_AHEAD = timedelta(hours=1)


@dataclass(slots=True, eq=False)
class Message:
    """All lines of one message, in order of the input."""

    host: str | None
    queue_id: str
    generation: int
    rows: list[Row] = field(default_factory=list)
    session: list[Row] = field(default_factory=list)
    ties: dict[Message, str] = field(default_factory=dict)

    @property
    def first(self) -> datetime:
        """Time of its first line."""
        return min((row["time"] for row in self.rows if row["time"]), default=_EPOCH)

    @property
    def last(self) -> datetime:
        """Time of its last line."""
        return max((row["time"] for row in self.rows if row["time"]), default=_EPOCH)

    def value(self, name: str) -> object:
        """Return the first value that its lines have in a column."""
        return next((row[name] for row in self.rows if row[name] is not None), None)


@dataclass(slots=True)
class Story:
    """Messages that are tied together, and all lines of theirs in order of time.

    ``messages`` is empty where a line that matched belongs to none.
    """

    messages: list[Message]
    rows: list[Row]

    @property
    def first(self) -> datetime:
        """Time of the first line."""
        return next((row["time"] for row in self.rows if row["time"]), _EPOCH)


def number_messages(rows: Iterable[Row]) -> list[Message]:
    """Put lines in order of the input together into messages.

    The rule is that of `pipeline.kernels.generations`, so that an id that was used again is
    another message here, too.
    """
    known: dict[tuple[object, object, str], tuple[Message, int, int]] = {}
    messages = []
    for row in rows:
        if row["queue_id"] is None:
            continue
        place = row["host"], row["instance"], row["queue_id"]
        time = _microseconds(row["time"])
        held = known.get(place)
        if held is None or _begins_anew(held[1], held[2], row["phase"], time):
            generation = 1 if held is None else held[0].generation + 1
            message = Message(row["host"], row["queue_id"], generation)
            messages.append(message)
        else:
            message = held[0]
        message.rows.append(row)
        known[place] = message, row["phase"], time
    return messages


def _begins_anew(last_phase: int, last_time: int, phase: int, time: int) -> bool:
    anew: bool = begins_anew(last_phase, last_time, phase, time)  # type: ignore[no-untyped-call]
    return anew


def tie_messages(messages: Sequence[Message]) -> None:
    """Tie every message to those that its lines name."""
    by_id: dict[str, list[Message]] = {}
    for message in messages:
        by_id.setdefault(message.queue_id, []).append(message)
    for message in messages:
        for row in message.rows:
            child = _named(row, by_id.get(row["child_id"] or "", []))
            if child is not None and child is not message:
                message.ties.setdefault(child, row["link"] or "")
                child.ties.setdefault(message, "")


def _named(row: Row, candidates: Sequence[Message]) -> Message | None:
    """Return the message that a line means by a queue id: of those that had it, the nearest."""
    time = row["time"]
    if time is None:
        return None
    fits = [one for one in candidates if one.first <= time + _AHEAD and one.last >= time - _AHEAD]
    return min(fits, key=lambda one: abs(one.first - time), default=None)


def add_sessions(messages: Iterable[Message], rows: Sequence[Row]) -> None:
    """Give each message the lines of the session that brought it, but those of other messages."""
    of_session: dict[object, list[Row]] = {}
    for row in rows:
        if row["event"] and row["pid"] is not None:
            of_session.setdefault(session_of(row), []).append(row)
    for message in messages:
        for client in (row for row in message.rows if row["event"] == "client"):
            session = of_session[session_of(client)]
            at = next(k for k, row in enumerate(session) if row is client)
            begin = at
            while begin and session[begin]["event"] != "connect":
                begin -= 1
            end = at
            while end < len(session) - 1 and session[end]["event"] != "disconnect":
                end += 1
            if session[begin]["event"] != "connect":
                begin = at
            if session[end]["event"] != "disconnect":
                end = at
            message.session += [r for r in session[begin : end + 1] if r["queue_id"] is None]


def tell_stories(rows: Sequence[Row]) -> list[Story]:
    """Return the stories of the lines that matched, by their first line.

    Parameters
    ----------
    rows : sequence of dict
        Lines in order of the input: of all messages with the ids that may matter, and sessions.
    """
    messages = number_messages(rows)
    tie_messages(messages)
    add_sessions(messages, rows)
    stories = []
    seen: set[Message] = set()
    for message in messages:
        if message in seen or not any(row["matched"] for row in message.rows):
            continue
        tied = [message]
        seen.add(message)
        for one in tied:
            tied += [other for other in one.ties if other not in seen]
            seen.update(one.ties)
        tied.sort(key=lambda one: (one.first, one.queue_id))
        lines = {id(row): row for one in tied for row in (*one.session, *one.rows)}
        stories.append(Story(tied, _by_time(lines.values())))
    told = {id(row) for story in stories for row in story.rows}
    loose = [row for row in rows if row["matched"] and id(row) not in told]
    if loose:
        stories.append(Story([], _by_time(loose)))
    return sorted(stories, key=lambda story: (not story.messages, story.first))


def _by_time(rows: Iterable[Row]) -> list[Row]:
    """Sort by time; lines of one second, and those without a time, as they stand in the input."""
    ordered = sorted(rows, key=lambda row: row["order"])
    last = _EPOCH
    keyed = []
    for row in ordered:
        last = row["time"] or last
        keyed.append((last, row["order"], row))
    return [row for *_, row in sorted(keyed, key=lambda one: one[:2])]


def _microseconds(time: datetime | None) -> int:
    return 0 if time is None else (time - _EPOCH) // timedelta(microseconds=1)
