"""Stories → text for people, objects for JSON, and a table of messages and recipients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.arrow import clean_text
from pipeline.text import clean, escape_visibly

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from pipeline.trace.sessions import Row
    from pipeline.trace.story import Message, Story


def text_lines(stories: Sequence[Story], limit: int) -> Iterator[str]:
    """Yield stories as text: what each is about, then its lines, ``limit`` of all at most.

    A limit of 0 is none. What is not shown is told in the last line.
    """
    left = limit or sum(len(story.rows) for story in stories)
    n_hidden = 0
    for number, story in enumerate(stories):
        if left <= 0:
            n_hidden += len(story.rows)
            continue
        if number:
            yield ""
        for message in story.messages:
            yield escape_visibly(tell_message(message))
        if not story.messages:
            yield "lines that belong to no message"
        yield ""
        for row in story.rows[:left]:
            yield f"{where(row)}: {escape_visibly(line_text(row))}"
        n_hidden += max(0, len(story.rows) - left)
        left -= len(story.rows)
    if n_hidden:
        yield ""
        yield f"… {n_hidden:,} more lines: --limit 0 shows all, --to json and -o FILE hold all"


def where(row: Row) -> str:
    """Return the file and line of a line, as grep and editors write it."""
    return f"{escape_visibly(clean(row['file']))}:{row['number']}"


def line_text(row: Row) -> str:
    """Return a line as text, without its line end."""
    return clean_text(row["raw"].removesuffix(b"\n").removesuffix(b"\r"))


def tell_message(message: Message) -> str:
    """Return what became of a message, in one line."""
    attempts = [row for row in message.rows if row["event"] == "delivery"]
    outcome: dict[str, int] = {}
    for row in attempts:
        outcome[row["status"] or "?"] = outcome.get(row["status"] or "?", 0) + 1
    ends = [row["event"] for row in message.rows if row["event"] in ("expired", "removed")]
    state = "given up" if "expired" in ends else "gone" if "removed" in ends else "still waiting"
    to = list(dict.fromkeys(row["recipient"] for row in attempts if row["recipient"] is not None))
    shown = ", ".join(f"<{one}>" for one in to[:3]) + (f" and {len(to) - 3} more" if to[3:] else "")
    counts = ", ".join(f"{n:,} x {status}" for status, n in outcome.items())
    sender = message.value("sender")
    again = f" (use {message.generation} of this id)" if message.generation > 1 else ""
    parts = [
        f"{message.queue_id}{again}",
        f"{message.first:%Y-%m-%d %H:%M:%S} … {message.last:%Y-%m-%d %H:%M:%S}",
        f"<{sender if sender is not None else '?'}> → {shown or '?'}",
        *([counts] if counts else []),
        state,
    ]
    ties = [f"{link or 'of'} {other.queue_id}" for other, link in message.ties.items()]
    return "  ".join(parts) + (f"  [{', '.join(ties)}]" if ties else "")


def stories_json(stories: Sequence[Story]) -> list[dict[str, Any]]:
    """Return stories as objects for JSON."""
    return [
        {
            "messages": [
                {
                    "host": one.host,
                    "queue_id": one.queue_id,
                    "generation": one.generation,
                    "first": str(one.first),
                    "last": str(one.last),
                    "sender": one.value("sender"),
                    "message_id": one.value("message_id"),
                    "client": one.value("client"),
                    "tied_to": [
                        {"queue_id": other.queue_id, "link": link or None}
                        for other, link in one.ties.items()
                    ],
                    "recipients": [_recipient(to, rows) for to, rows in _by_recipient(one)],
                }
                for one in story.messages
            ],
            "lines": [
                {
                    "time": None if row["time"] is None else str(row["time"]),
                    "file": clean(row["file"]),
                    "line": row["number"],
                    "host": row["host"],
                    "process": row["process"],
                    "queue_id": row["queue_id"],
                    "matched": row["matched"],
                    "text": line_text(row),
                }
                for row in story.rows
            ],
        }
        for story in stories
    ]


def _by_recipient(message: Message) -> list[tuple[tuple[Any, Any], list[Row]]]:
    groups: dict[tuple[Any, Any], list[Row]] = {}
    for row in message.rows:
        if row["event"] == "delivery":
            groups.setdefault((row["recipient"], row["orig_to"]), []).append(row)
    return sorted(groups.items(), key=lambda one: tuple(map(str, one[0])))


def _recipient(to: tuple[Any, Any], rows: Sequence[Row]) -> dict[str, Any]:
    last = rows[-1]
    return {
        "recipient": to[0],
        "orig_to": to[1],
        "attempts": len(rows),
        "first_attempt": None if rows[0]["time"] is None else str(rows[0]["time"]),
        "last_attempt": None if last["time"] is None else str(last["time"]),
        **{name: last[name] for name in ("status", "dsn", "reason", "relay")},
    }


def deliveries_table(stories: Sequence[Story]) -> pa.Table:
    """Return a row for each message and recipient, in order of the stories."""
    import pyarrow as pa

    rows = []
    for number, story in enumerate(stories, 1):
        for message in story.messages:
            for to, attempts in _by_recipient(message) or [((None, None), [])]:
                rows.append(_delivery(number, message, to, attempts))
    kinds = {
        **dict.fromkeys(("story", "generation", "size", "attempts"), pa.int64()),
        **dict.fromkeys(("first", "last", "last_attempt"), pa.timestamp("us")),
        "removed": pa.bool_(),
        "expired": pa.bool_(),
    }
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in _TABLE])
    return pa.Table.from_pylist(rows, schema=schema)


_TABLE = (
    *("story", "host", "queue_id", "generation", "first", "last", "sender", "recipient"),
    *("orig_to", "attempts", "status", "dsn", "reason", "relay", "last_attempt", "client"),
    *("sasl_user", "message_id", "size", "expired", "removed", "tied_to"),
)


def _delivery(
    number: int, message: Message, to: tuple[Any, Any], attempts: Sequence[Row]
) -> dict[str, Any]:
    last = attempts[-1] if attempts else {}
    events = {row["event"] for row in message.rows}
    return {
        "story": number,
        "host": message.host,
        "queue_id": message.queue_id,
        "generation": message.generation,
        "first": message.first,
        "last": message.last,
        "recipient": to[0],
        "orig_to": to[1],
        "attempts": len(attempts),
        "last_attempt": last.get("time"),
        "expired": "expired" in events,
        "removed": "removed" in events,
        "tied_to": " ".join(other.queue_id for other in message.ties) or None,
        **{name: last.get(name) for name in ("status", "dsn", "reason", "relay")},
        **{
            name: message.value(name)
            for name in ("sender", "client", "sasl_user", "message_id", "size")
        },
    }
