"""Stories as one self-contained HTML page: a timeline of each message, and the lines below it.

No script, nothing from any network; what strangers wrote is escaped text and nothing else.
"""

from __future__ import annotations

from datetime import timedelta
from html import escape
from typing import TYPE_CHECKING

from pipeline.text import escape_visibly
from pipeline.trace.show import line_text, tell_message, where

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.trace.sessions import Row
    from pipeline.trace.story import Message, Story

_STYLE = """
body{font:14px/1.5 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em}
body{color:#222;background:#fff}
pre{overflow-x:auto;background:#f6f6f4;padding:1em;font-size:12px}
.track{position:relative;height:16px;background:#eeeeea;margin:2px 0 12px}
.track i{position:absolute;top:0;bottom:0;width:2px;background:#4a7ab5}
.track i.deferred{background:#d08a2e}.track i.bounced,.track i.expired{background:#b33a3a}
.track i.sent{background:#3d8f5a}
.scale{display:flex;justify-content:space-between;color:#666;font-size:12px}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre,.track{background:#262626}}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
#: Marks of a track: more could not be told apart.
_MAX_MARKS = 600


def timeline_page(stories: Sequence[Story]) -> str:
    """Return the page."""
    head = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>sawlog trace</title><style>{_STYLE}</style><h1>Trace</h1>"
    )
    return head + "".join(part for story in stories for part in _story(story)) + "</html>\n"


def _story(story: Story) -> Iterator[str]:
    times = [row["time"] for row in story.rows if row["time"] is not None]
    name = story.messages[0].queue_id if story.messages else "lines that belong to no message"
    yield f"<h2>{_text(name)}</h2>"
    if times:
        first, last = min(times), max(times)
        for message in story.messages:
            yield f"<p>{_text(tell_message(message))}</p>"
            marks = "".join(_marks(message, first, max(last - first, timedelta(seconds=1))))
            yield f'<div class="track">{marks}</div>'
        yield f'<div class="scale"><span>{first}</span><span>{last}</span></div>'
    lines = "\n".join(f"{where(row)}: {escape_visibly(line_text(row))}" for row in story.rows)
    yield f"<pre>{escape(lines)}</pre>"


def _marks(message: Message, first: object, length: timedelta) -> Iterator[str]:
    seen = set()
    for row in (*message.session, *message.rows):
        if row["time"] is None:
            continue
        at = round(_MAX_MARKS * ((row["time"] - first) / length))
        kind = _kind(row)
        if (at, kind) not in seen:
            seen.add((at, kind))
            left = f"{100 * at / _MAX_MARKS:.2f}"
            title = f"{row['time']} {row['event'] or ''}"
            yield f'<i class="{kind}" style="left:{left}%" title="{_text(title)}"></i>'


def _kind(row: Row) -> str:
    if row["event"] == "delivery" and row["status"] in ("sent", "deferred", "bounced"):
        return str(row["status"])
    return "expired" if row["event"] == "expired" else "line"


def _text(text: str) -> str:
    return escape(escape_visibly(text))
