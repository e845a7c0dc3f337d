"""What the resolved years say: evidence in words, contradictions, and files out of a time span."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from pipeline.rotation import group_sets, newest_first
from pipeline.stamps import first_stamp, has_years, is_credible, last_stamp
from pipeline.yearless import from_unix, later_by, resolve_stamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pipeline.model import Head, SourceFile
    from pipeline.yearless import Anchor

_HALF_YEAR = timedelta(days=183)
_SLACK = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (times as written on the lines)
_SURE = ("dated stamps", "queue ids", "message-ids", "envelope", "path", "file name")


class LineTimes(Protocol):
    """What the scan counted in a file: microseconds since 1970, None where no line has a time.

    ``first`` and ``last`` in file order; ``steps_back`` places where the time falls by more than
    half a year.
    """

    dated: int
    yearless: int
    steps_back: int
    first: int | None
    last: int | None
    earliest: int | None
    latest: int | None


class Counted(Protocol):
    """Something that holds the `LineTimes` of a file as ``lines``."""

    @property
    def lines(self) -> LineTimes: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class _FileTimes:
    url: str
    evidence: str
    has_yearless: bool
    steps_back: bool
    first: datetime
    earliest: datetime
    latest: datetime


def evidence_of_anchor(anchor: Anchor) -> str:
    """Return the evidence in words; ``(guessed)`` where it is nothing better than the mtime."""
    return f"{anchor.evidence} (guessed)" if anchor.is_guess else anchor.evidence


def evidence_of(lines: LineTimes, anchor: Anchor) -> str:
    """Return the evidence of the years on these lines.

    Where every stamp carries its year that is ``dated stamps``, and ``no stamps`` where no line
    has one, whatever the anchor rests on.
    """
    if not lines.dated:
        return "no stamps"
    return evidence_of_anchor(anchor) if lines.yearless else "dated stamps"


def years_entry(url: str, lines: LineTimes, anchor: Anchor) -> dict[str, object]:
    """Return what the account says of the years of a file."""
    first, last = lines.earliest, lines.latest
    return {
        "file": url,
        "first": None if first is None else (_EPOCH + timedelta(microseconds=first)).year,
        "last": None if last is None else (_EPOCH + timedelta(microseconds=last)).year,
        "evidence": evidence_of(lines, anchor),
    }


def resolved_stamps(
    head_text: bytes, tail_text: bytes | None, anchor: Anchor
) -> tuple[datetime | None, datetime | None]:
    """Return the times of the first stamp in a head and the last in a tail; None where none is."""
    stamps = (first_stamp(head_text), last_stamp(tail_text or b""))
    first, last = (stamp and resolve_stamp(stamp, anchor.limit) for stamp in stamps)
    return first, last


def provably_outside(
    files: Sequence[tuple[SourceFile, Head]],
    anchors: Mapping[str, Anchor],
    since: datetime | None,
    until: datetime | None,
) -> dict[str, str]:
    """Return the files that hold no line in [since, until), with why; only what is sure.

    A file was last written at its store's mtime, and where no stamp among its first lines carries
    a year, none is later than the anchor's limit. A file of a rotated set that began after
    ``until`` by more than a day has nothing before it. A day is left for time zones.
    """
    outside = {}
    for file, head in files:
        anchor = anchors[file.url]
        first = head.dates.first if head.dates else first_stamp(head.text)
        end = _latest_possible(file, head, anchor)
        if since and end and later_by(end, _SLACK) < since:
            outside[file.url] = f"ends by {end:%Y-%m-%d}, before --since"
        elif until and first:
            begin = resolve_stamp(first, anchor.limit)
            if begin >= later_by(until, _SLACK):
                outside[file.url] = f"begins at {begin:%Y-%m-%d}, after --until"
    return outside


def check_years(
    files: Sequence[tuple[SourceFile, Head]],
    anchors: Mapping[str, Anchor],
    counts: Mapping[str, Counted],
) -> list[str]:
    """Return what contradicts the resolved years, one sentence each.

    A Feb 29 in another year than the lines around it, a file that spans more than a year, a
    rotated set out of order or with an unlikely gap. Files whose stamps all carry their year
    contradict nothing.

    Parameters
    ----------
    files : sequence of (SourceFile, Head)
        In any order; rotated sets are found by name.
    anchors : mapping of str to Anchor
        By URL.
    counts : mapping of str to Counted
        By URL; files without an entry were not read.
    """
    by_url = {}
    for file, _ in files:
        if file.url in counts:
            times = _file_times(file.url, counts[file.url].lines, anchors[file.url])
            if times:
                by_url[file.url] = times
    messages = [message for times in by_url.values() for message in _check_file(times)]
    for rotated_set in group_sets(list(by_url)):
        # Twins (maillog.1 beside maillog.1.gz) have no order: the first stands for both.
        oldest_first = [by_url[place[0]] for place in reversed(newest_first(rotated_set))]
        for older, newer in pairwise(oldest_first):
            if older.has_yearless or newer.has_yearless:
                messages += _check_neighbours(older, newer)
    return messages


def _file_times(url: str, lines: LineTimes, anchor: Anchor) -> _FileTimes | None:
    if lines.first is None or lines.earliest is None or lines.latest is None:
        return None
    moments = (lines.first, lines.earliest, lines.latest)
    first, earliest, latest = (_EPOCH + timedelta(microseconds=us) for us in moments)
    evidence = evidence_of(lines, anchor)
    return _FileTimes(
        url, evidence, lines.yearless > 0, lines.steps_back > 0, first, earliest, latest
    )


def _check_file(file: _FileTimes) -> Iterator[str]:
    if not file.has_yearless:
        return
    days = (file.latest - file.earliest).days
    if days > 366 and (file.earliest.month, file.earliest.day) == (2, 29):
        yield (
            f"{file.url}: a line of Feb 29 can only be of {file.earliest.year}, but other lines "
            f"are of {file.latest.year}: their year may be wrong. --year sets that of the newest "
            "line."
        )
    elif file.steps_back or days > 366:
        how = "go back by more than half a year" if file.steps_back else "span more than a year"
        yield (
            f"{file.url}: the times {how} ({file.earliest:%Y-%m-%d} to {file.latest:%Y-%m-%d}): "
            "the file holds more than a year of lines without one, or lines out of order. "
            "Their years may be wrong."
        )


def _check_neighbours(older: _FileTimes, newer: _FileTimes) -> Iterator[str]:
    if older.latest - newer.first > _SLACK:
        yield (
            f"{older.url} ends at {older.latest:%Y-%m-%d}, but {newer.url}, which should follow, "
            f"begins at {newer.first:%Y-%m-%d}: rotated files out of order, or wrong years."
        )
    elif newer.first - older.latest > _HALF_YEAR and not (
        older.evidence in _SURE and newer.evidence in _SURE
    ):
        yield (
            f"between the end of {older.url} ({older.latest:%Y-%m-%d}) and the begin of "
            f"{newer.url} ({newer.first:%Y-%m-%d}) lies more than half a year: one of their years "
            "may be wrong. --year sets that of the newest line."
        )


def _latest_possible(file: SourceFile, head: Head, anchor: Anchor) -> datetime | None:
    """Return the time that no line of the file can be later than; None where nothing says."""
    written = from_unix(file.mtime or 0)
    bounds = [later_by(written, _SLACK)] if written and is_credible(written, written) else []
    if not (head.dates.has_years if head.dates else has_years(head.text)):
        bounds.append(anchor.limit)
    return min(bounds, default=None)
