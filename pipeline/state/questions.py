"""Questions about a time: ``--since``, ``--until``, ``--day``. Most of them are asked once.

``--since 7d`` and ``--day yesterday`` are another question every night. Segments whose lines lie
out of the time asked for have nothing to tell: they count as answered, and aren't mapped. What such
a question has kept goes when nobody can ask it any more, or has not for long.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.query import MapPlan
    from pipeline.settings import Settings
    from pipeline.state.contents import Content, Segment
    from pipeline.state.ledger import Ledger
    from pipeline.state.parts import Unit

#: In the place of an object's name: the segment has no line in the time asked for.
NOTHING = ""
#: What was not asked for so long is dropped: more than a month, for who asks once a month.
KEPT_DAYS = 40
#: Zones of hosts and of reports lie a day apart at most; one more.
_SLACK = timedelta(days=2)
#: Rows of other relations may have times of their own.
_TIMED = frozenset({"lines", "mail"})


def skip_outside(ledger: Ledger, units: Iterable[Unit], plan: MapPlan, settings: Settings) -> None:
    """Mark the known segments that have nothing to tell a question about a time.

    A question that was never asked has no segments of its own yet: it takes those of another one.
    """
    if settings.since is None and settings.until is None:
        return
    for unit in units:
        if any(plan.queries[place].relation not in _TIMED for place in unit.queries):
            continue
        for content in ledger.contents.values():
            for segment in _others(content, unit.key, settings.envelope):
                if _is_outside(segment, settings):
                    segment.units[unit.key] = NOTHING


def note_asked(ledger: Ledger, units: Iterable[Unit], settings: Settings) -> None:
    """Note when questions about a time were asked; drop those that won't be asked again.

    A span before now (``7d``) has a begin that never comes again: it goes with the next run. Others
    go after `KEPT_DAYS`. Questions about all time are kept for ever: what they know may be gone.
    """
    today = settings.now.date()
    asked = {unit.key for unit in units}
    if settings.since is not None or settings.until is not None:
        is_moving = any(one and one.microsecond for one in (settings.since, settings.until))
        for key in asked:
            told = [today.isoformat(), is_moving]
            ledger.is_changed |= ledger.questions.get(key) != told
            ledger.questions[key] = told
    drop_stale(ledger, settings.now, asked)


def drop_stale(ledger: Ledger, now: datetime, asked: Iterable[str] = ()) -> int:
    """Drop what questions about a time have kept that won't be asked again; return how many."""
    oldest = (now - timedelta(days=KEPT_DAYS)).date().isoformat()
    stale = {
        key
        for key, (day, is_moving) in ledger.questions.items()
        if key not in asked and (is_moving or day < oldest)
    }
    if not stale:
        return 0
    ledger.is_changed = True
    for key in stale:
        del ledger.questions[key]
    for content in ledger.contents.values():
        for segment in content.segments:
            for key in stale & segment.units.keys():
                del segment.units[key]
        content.segments = [one for one in content.segments if one.units]
    return len(stale)


def _others(content: Content, key: str, envelope: str) -> list[Segment]:
    """Return the segments of a question that has all of a content, if this one has none of it.

    Lines that were looked for in other envelopes may have had other times, or none.
    """
    if any(key in segment.units for segment in content.segments):
        return []
    for other in {one: None for segment in content.segments for one in segment.units}:
        segments = content.segments_of(other)
        if not content.missing(other) and all(s.envelope_option == envelope for s in segments):
            return segments
    return []


def _is_outside(segment: Segment, settings: Settings) -> bool:
    """Tell whether no line of a segment is of a time, whatever the zones."""
    since, until = settings.since, settings.until
    earliest, latest = segment.lines.get("earliest"), segment.lines.get("latest")
    if earliest is None or latest is None:
        return True  # undated lines are of no time
    is_told = settings.year is not None or segment.year.get("evidence") == "--year"
    if is_told and segment.lines.get("yearless"):
        return False  # the year is the other question's
    begin, end = (
        datetime.fromtimestamp(us / 1e6, UTC).replace(tzinfo=None) for us in (earliest, latest)
    )
    return (since is not None and end < since - _SLACK) or (
        until is not None and begin >= until + _SLACK
    )
