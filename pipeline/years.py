"""The years of stamps that carry none: an anchor per file, and the table that the kernel uses.

A stamp without a year gets the latest year in which its date exists and that does not put it
later than its file's limit, which is the file's anchor plus a slack. Evidence, best first:

================  =====================================================================  ========
evidence          anchor                                                                 slack
================  =====================================================================  ========
``dated stamps``  the latest stamp with a year among the first lines                     183 days
``queue ids``     the latest line there with a long Postfix queue id                     183 days
``message-ids``   the latest line there with a message-id that cleanup made              183 days
``envelope``      the latest time that the envelopes of the first lines tell             183 days
``file name``     the date in the name or path, which may be the begin of the period     35 days
``next file``     the first line of the next newer file of the rotated set               1 day
``gzip header``   MTIME, where it is not 0                                               1 day
``file time``     what the store says (a guess: a copy has a new one)                    1 day
``run start``     for standard input, and where the store has no times (a guess)         1 day
================  =====================================================================  ========

File times and MTIME are Unix seconds; they are compared with the local times on the lines as if
these were UTC. The day of slack is more than any zone is off.

The last four are upper bounds. Where the next file's is looser by more than half a year than the
file's own times (the set has a gap, or the next file's own year is a wrong guess), the tighter
one holds. With ``--path-template`` the end of the time that the path tells stands before all of
them, with a day of slack: ``path``.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.rotation import group_sets, newest_first, parse_name
from pipeline.stamps import (
    Evidence,
    YearlessStamp,
    find_evidence,
    first_stamp,
    is_credible,
    last_stamp,
    parse_stamp,
    place_stamp,
)
from pipeline.year_checks import (
    check_years,
    evidence_of,
    evidence_of_anchor,
    provably_outside,
    resolved_stamps,
    years_entry,
)
from pipeline.yearless import (
    IMPOSSIBLE_DAY,
    Anchor,
    YearTable,
    from_unix,
    later_by,
    resolve_stamp,
    year_of,
    year_table,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.model import Head, Place, SourceFile

__all__ = [
    "IMPOSSIBLE_DAY",
    "Anchor",
    "Evidence",
    "YearTable",
    "YearlessStamp",
    "anchor_of_path",
    "check_years",
    "evidence_of",
    "evidence_of_anchor",
    "find_evidence",
    "first_stamp",
    "last_stamp",
    "parse_stamp",
    "provably_outside",
    "resolve_years",
    "resolved_stamps",
    "year_of",
    "year_table",
    "years_entry",
]

_HALF_YEAR = timedelta(days=183)
_NAME_SLACK = timedelta(days=35)
_SLACK = timedelta(days=1)


def resolve_years(
    files: Sequence[tuple[SourceFile, Head]],
    *,
    year: int | None = None,
    newest_stamp: Callable[[SourceFile], YearlessStamp | datetime | None],
    now: datetime,
) -> dict[str, Anchor]:
    """Find the anchor of every file.

    Parameters
    ----------
    files : sequence of (SourceFile, Head)
        All files of the run, in any order.
    year : int, optional
        Year of the run's newest line. It replaces all evidence: the newest file is that of the
        latest mtime among the newest files of the rotated sets; older files of a set take
        ``next file``; other sets end at most a day after the newest line.
    newest_stamp : callable
        Returns the stamp of a file's last line that has one. Called only with ``year``, for the
        newest file, and for further ones as long as it returns None.
    now : datetime
        Begin of the run, naive; UTC or local time does not matter.

    Returns
    -------
    dict of str to Anchor
        By the file's URL, in the order of ``files``.

    Raises
    ------
    UsageError
        If ``year`` has no such day as the newest line's (Feb 29).
    """
    by_url = {file.url: (file, head) for file, head in files}
    forced = None if year is None else _anchor_by_year(by_url, year, newest_stamp, now)
    anchors: dict[str, Anchor] = {}
    for group in group_sets(list(by_url)):
        newer: Anchor | None = None
        for tier in newest_first(group):
            for url in tier:
                if forced:
                    anchors[url] = newer or forced
                else:
                    anchors[url] = _best_anchor(*by_url[url], newer, now)
            newer = _bound_by_first_lines([(by_url[url][1], anchors[url]) for url in tier]) or newer
    return {url: anchors[url] for url in by_url}


def anchor_of_path(place: Place) -> Anchor | None:
    """Return the anchor of a file whose path names its time; None where it names none."""
    if place.end is None:
        return None
    return Anchor(later_by(place.end, _SLACK), "path", is_guess=False)


def _best_anchor(file: SourceFile, head: Head, newer: Anchor | None, now: datetime) -> Anchor:
    """Return the anchor by the best evidence there is."""
    found = head.dates.evidence if head.dates else find_evidence(head.text, now)
    if found:
        return Anchor(
            min(found.time + _HALF_YEAR, max(found.time, now) + _SLACK), found.kind, is_guess=False
        )
    if told := head.wrapped:
        return Anchor(min(told + _HALF_YEAR, max(told, now) + _SLACK), "envelope", is_guess=False)
    name_date = parse_name(file.url).date
    # A name of a year or month in progress lies after now, but not by more than a year.
    if name_date and is_credible(name_date, now + timedelta(days=366)):
        return Anchor(
            min(name_date + _NAME_SLACK, max(name_date, now) + _SLACK), "file name", is_guess=False
        )
    own = list(_own_times(file, head, now))
    if newer:
        tightest = min(own, key=lambda anchor: anchor.limit, default=newer)
        return tightest if newer.limit - tightest.limit > _HALF_YEAR else newer
    return own[0] if own else Anchor(now + _SLACK, "run start", is_guess=True)


def _own_times(file: SourceFile, head: Head, now: datetime) -> Iterator[Anchor]:
    """Yield what the file's own time marks say, best first."""
    header_time = from_unix(head.gzip_mtime)
    if header_time and is_credible(header_time, now):
        yield Anchor(header_time + _SLACK, "gzip header", is_guess=False)
    store_time = from_unix(file.mtime or 0)
    if store_time and is_credible(store_time, max(now, store_time)):
        # No line is from the future, whatever a clock once gave the file.
        yield Anchor(min(store_time, now) + _SLACK, "file time", is_guess=True)


def _bound_by_first_lines(tier: Sequence[tuple[Head, Anchor]]) -> Anchor | None:
    """Return what the first lines of a tier say about older files; None without a stamp."""
    bounds = []
    for head, anchor in tier:
        if stamp := head.dates.first if head.dates else first_stamp(head.text):
            first = resolve_stamp(stamp, anchor.limit)
            bounds.append(Anchor(later_by(first, _SLACK), "next file", anchor.is_guess))
    return max(bounds, key=lambda anchor: anchor.limit, default=None)


def _anchor_by_year(
    by_url: dict[str, tuple[SourceFile, Head]],
    year: int,
    newest_stamp: Callable[[SourceFile], YearlessStamp | datetime | None],
    now: datetime,
) -> Anchor:
    """Return the anchor of the newest file, whose newest line is of ``year``."""

    def change_time(url: str) -> float:
        file = by_url[url][0]
        is_stream = file.mtime is None and file.size is None
        return (now - datetime(1970, 1, 1)).total_seconds() if is_stream else file.mtime or 0.0  # noqa: DTZ001

    sets = sorted(group_sets(list(by_url)), key=lambda group: change_time(group[-1]))
    for group in reversed(sets):
        for url in reversed(group):
            stamp = newest_stamp(by_url[url][0])
            if stamp is None:
                continue
            time = stamp if isinstance(stamp, datetime) else place_stamp(stamp, year)
            if time is None:
                raise UsageError(
                    f"--year {year}: the newest line of {url} is of Feb 29, which {year} lacks."
                )
            return Anchor(later_by(time, _SLACK), "--year", is_guess=False)
    return Anchor(datetime(year, 12, 31, 23, 59, 59), "--year", is_guess=False)  # noqa: DTZ001
