"""The years of stamps that carry none: an anchor per file, and the table that the kernel uses.

A stamp without a year gets the latest year in which its date exists and that does not put it
later than its file's limit, which is the file's anchor plus a slack. Evidence, best first:

================  =====================================================================  ========
evidence          anchor                                                                 slack
================  =====================================================================  ========
``dated stamps``  the latest stamp with a year among the first lines                     183 days
``queue ids``     the latest line there with a long Postfix queue id                     183 days
``message-ids``   the latest line there with a message-id that cleanup made              183 days
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
one holds.
"""

from __future__ import annotations

from array import array
from calendar import isleap
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.rotation import group_sets, parse_name
from pipeline.stamps import (
    YearlessStamp,
    find_evidence,
    first_stamp,
    is_credible,
    last_stamp,
    place_stamp,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.model import Head, SourceFile

__all__ = [
    "IMPOSSIBLE_DAY",
    "Anchor",
    "FileTimes",
    "YearlessStamp",
    "check_years",
    "find_evidence",
    "first_stamp",
    "last_stamp",
    "resolve_years",
    "year_of",
    "year_table",
]

HALF_YEAR = timedelta(days=183)
_NAME_SLACK = timedelta(days=35)
_SLACK = timedelta(days=1)

#: What `year_table` holds for days that no year has.
IMPOSSIBLE_DAY = -(1 << 31)
_TABLE_LENGTH = 13 * 32
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_MONTH_DAYS = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, slots=True)
class Anchor:
    """How late the year-less stamps of a file can be, and how that is known.

    Attributes
    ----------
    limit : datetime
        Anchor plus slack, in naive local time as on the lines: no year-less stamp is later.
    evidence : str
        One of the names in the table above, or ``--year``.
    is_guess : bool
        It rests on nothing better than the store's mtime.
    """

    limit: datetime
    evidence: str
    is_guess: bool


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
        for tier in _newest_first(group):
            for url in tier:
                if forced:
                    anchors[url] = newer or forced
                else:
                    anchors[url] = _best_anchor(*by_url[url], newer, now)
            newer = _bound_by_first_lines([(by_url[url][1], anchors[url]) for url in tier]) or newer
    return {url: anchors[url] for url in by_url}


def year_of(month: int, day: int, hour: int, minute: int, second: int, limit: datetime) -> int:  # noqa: PLR0917
    """Return the latest year that has this date and does not put the stamp later than ``limit``.

    The slow reference of `year_table`. Fractions of a second do not count; ``second`` may be 60.

    Raises
    ------
    ValueError
        If no year has such a date.
    """
    if not (1 <= month <= 12 and 1 <= day <= _MONTH_DAYS[month]):
        raise ValueError(f"no year has a day {day} of month {month}")
    limit_stamp = (limit.month, limit.day, limit.hour, limit.minute, limit.second)
    year = limit.year - ((month, day, hour, minute, second) > limit_stamp)
    while (month, day) == (2, 29) and not isleap(year):
        year -= 1
    return year


def year_table(limit: datetime) -> array[int]:
    """Return the resolved day of every month and day, for the scan kernel.

    Returns
    -------
    array of 2 x 13 * 32 int32
        At ``month * 32 + day``: days since 1970-01-01 in the resolved year of a stamp whose
        second of the day is at most that of ``limit`` (``hour * 3600 + minute * 60 + second``);
        416 further that of a later one. They differ only on the limit's own month and day.
        `IMPOSSIBLE_DAY` where no year has such a day (Feb 30; month or day 0).
    """
    table = array("i", [IMPOSSIBLE_DAY]) * (2 * _TABLE_LENGTH)
    for month in range(1, 13):
        for day in range(1, _MONTH_DAYS[month] + 1):
            # 24:00:00 is later than any limit of the same day, 00:00:00 than none.
            for half, hour in ((0, 0), (1, 24)):
                year = year_of(month, day, hour, 0, 0, limit)
                place = half * _TABLE_LENGTH + month * 32 + day
                table[place] = date(year, month, day).toordinal() - _EPOCH_ORDINAL
    return table


@dataclass(frozen=True, slots=True)
class FileTimes:
    """What the scan of one file found, with years resolved; None where no line has a time.

    Attributes
    ----------
    url : str
        The file.
    evidence : str
        Of its `Anchor`.
    first, last : datetime or None
        Times of the first and the last dated line in file order.
    earliest, latest : datetime or None
        Least and greatest time.
    steps_back : bool
        Somewhere a line is more than 183 days earlier than the dated line before it.
    """

    url: str
    evidence: str
    first: datetime | None
    last: datetime | None
    earliest: datetime | None
    latest: datetime | None
    steps_back: bool = False


_SURE = ("dated stamps", "queue ids", "message-ids", "file name")


def check_years(files: Sequence[FileTimes]) -> list[str]:
    """Return what contradicts the resolved years, one sentence each.

    Parameters
    ----------
    files : sequence of FileTimes
        In any order; rotated sets are found by name.
    """
    by_url = {file.url: file for file in files}
    messages = [message for file in by_url.values() for message in _check_file(file)]
    for group in group_sets(list(by_url)):
        # Twins (maillog.1 beside maillog.1.gz) have no order: the first stands for its tier.
        tiers = [tier[0] for tier in reversed(list(_newest_first(group)))]
        dated = [by_url[url] for url in tiers if by_url[url].latest is not None]
        for older, newer in pairwise(dated):
            messages += _check_neighbours(older, newer)
    return messages


def _check_file(file: FileTimes) -> Iterator[str]:
    if not (file.earliest and file.latest):
        return
    days = (file.latest - file.earliest).days
    if days > 366 and (file.earliest.month, file.earliest.day) == (2, 29):
        yield (
            f"{file.url}: a line of Feb 29 can only be of {file.earliest.year}, but other lines "
            f"are of {file.latest.year}. Is {file.latest.year} right? --year sets it."
        )
    elif file.steps_back or days > 366:
        yield (
            f"{file.url}: the times run from {file.earliest:%Y-%m-%d} to {file.latest:%Y-%m-%d} "
            f"and {'go back by more than half a year' if file.steps_back else 'span over a year'}: "
            "the file holds more than a year, or lines out of order; their years may be wrong."
        )


def _check_neighbours(older: FileTimes, newer: FileTimes) -> Iterator[str]:
    """Compare two neighbours of a rotated set, both with times."""
    assert older.latest
    assert newer.earliest
    begin = newer.first or newer.earliest
    if older.latest - begin > HALF_YEAR:
        yield (
            f"{older.url} ends at {older.latest:%Y-%m-%d}, but {newer.url}, which should be newer, "
            f"begins at {begin:%Y-%m-%d}: their years or the order of the rotated set are wrong."
        )
    elif older.latest - begin > _SLACK:
        yield (
            f"{older.url} ends at {older.latest:%Y-%m-%d}, later than {newer.url} begins "
            f"({begin:%Y-%m-%d}): the rotated set is out of order or overlaps."
        )
    elif begin - older.latest > HALF_YEAR and not (
        older.evidence in _SURE and newer.evidence in _SURE
    ):
        yield (
            f"Between the end of {older.url} ({older.latest:%Y-%m-%d}) and the begin of "
            f"{newer.url} ({begin:%Y-%m-%d}) lies more than half a year: "
            "one of their years may be wrong. --year sets that of the newest line."
        )


def _newest_first(group: Sequence[str]) -> Iterator[list[str]]:
    """Yield the files of a rotated set by place, newest first; twins share one place."""
    tiers = [list(tier) for _, tier in groupby(group, key=lambda url: parse_name(url).order)]
    return reversed(tiers)


def _best_anchor(file: SourceFile, head: Head, newer: Anchor | None, now: datetime) -> Anchor:
    """Return the anchor by the best evidence there is."""
    if found := find_evidence(head.text, now):
        return Anchor(found.time + HALF_YEAR, found.kind, is_guess=False)
    name_date = parse_name(file.url).date
    # A name of a year or month in progress lies after now, but not by more than a year.
    if name_date and is_credible(name_date, now + timedelta(days=366)):
        return Anchor(name_date + _NAME_SLACK, "file name", is_guess=False)
    own = list(_own_times(file, head, now))
    if newer:
        tightest = min(own, key=lambda anchor: anchor.limit, default=newer)
        return tightest if newer.limit - tightest.limit > HALF_YEAR else newer
    return own[0] if own else Anchor(now + _SLACK, "run start", is_guess=True)


def _own_times(file: SourceFile, head: Head, now: datetime) -> Iterator[Anchor]:
    """Yield what the file's own time marks say, best first."""
    header_time = _from_unix(head.gzip_mtime)
    if header_time and is_credible(header_time, now):
        yield Anchor(header_time + _SLACK, "gzip header", is_guess=False)
    store_time = _from_unix(file.mtime or 0)
    if store_time and is_credible(store_time, max(now, store_time)):
        # No line is from the future, whatever a clock once gave the file.
        yield Anchor(min(store_time, now) + _SLACK, "file time", is_guess=True)


def _from_unix(seconds: float) -> datetime | None:
    """Return a naive UTC time, None for 0 and what is out of range."""
    try:
        return datetime(1970, 1, 1) + timedelta(seconds=seconds) if seconds else None  # noqa: DTZ001
    except (OverflowError, ValueError):
        return None


def _bound_by_first_lines(tier: Sequence[tuple[Head, Anchor]]) -> Anchor | None:
    """Return what the first lines of a tier say about older files; None without a stamp."""
    bounds = []
    for head, anchor in tier:
        stamp = first_stamp(head.text)
        if isinstance(stamp, YearlessStamp):
            stamp = place_stamp(stamp, year_of(*stamp, anchor.limit))
        if stamp:
            bounds.append(Anchor(stamp + _SLACK, "next file", anchor.is_guess))
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
            return Anchor(time + _SLACK, "--year", is_guess=False)
    return Anchor(datetime(year, 12, 31, 23, 59, 59), "--year", is_guess=False)  # noqa: DTZ001
