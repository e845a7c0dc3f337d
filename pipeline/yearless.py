"""Stamps without a year: the rule that gives them one, and its table for the scan kernel."""

from __future__ import annotations

from array import array
from calendar import isleap
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.stamps import YearlessStamp

#: What a `YearTable` holds for days that no year has.
IMPOSSIBLE_DAY = -(1 << 31)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_MONTH_DAYS = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, slots=True)
class YearTable:
    """The resolved day of every month and day.

    Attributes
    ----------
    days : array of 13 * 32 int32
        At ``month * 32 + day``: days since 1970-01-01. `IMPOSSIBLE_DAY` where no year has such a
        day: Feb 30, month or day 0.
    later : array of 13 * 32 int32
        The same for a stamp whose second of the day is greater than ``limit_s``; it differs from
        ``days`` at ``limit_index`` only.
    limit_index, limit_s : int
        ``month * 32 + day`` and second of the day of the file's limit.
    """

    days: array[int]
    later: array[int]
    limit_index: int
    limit_s: int
    limit: datetime

    def __reduce__(self) -> tuple[object, ...]:
        """Travel as the limit alone: there is a table in each task of a cluster."""
        return year_table, (self.limit,)


@dataclass(frozen=True, slots=True)
class Anchor:
    """How late the year-less stamps of a file can be, and how that is known.

    Attributes
    ----------
    limit : datetime
        Anchor plus slack, in naive local time as on the lines: no year-less stamp is later.
    evidence : str
        One of the names in the table of `pipeline.years`, or ``--year``.
    is_guess : bool
        It rests on nothing better than the store's mtime.
    """

    limit: datetime
    evidence: str
    is_guess: bool


def year_of(month: int, day: int, hour: int, minute: int, second: int, limit: datetime) -> int:
    """Return the latest year that has this date and does not put the stamp later than ``limit``.

    The slow reference of `year_table`. Fractions of a second do not count, and a leap second is
    the second before it.

    Raises
    ------
    ValueError
        If no year has such a date.
    """
    if not (1 <= month <= 12 and 1 <= day <= _MONTH_DAYS[month]):
        raise ValueError(f"no year has a day {day} of month {month}")
    limit_stamp = (limit.month, limit.day, limit.hour, limit.minute, limit.second)
    year = limit.year - ((month, day, hour, minute, min(second, 59)) > limit_stamp)
    while (month, day) == (2, 29) and not isleap(year):
        year -= 1
    return year


def resolve_stamp(stamp: YearlessStamp | datetime, limit: datetime) -> datetime:
    """Return the time of a stamp; one that carries its year keeps it."""
    if isinstance(stamp, datetime):
        return stamp
    year = year_of(*stamp, limit)
    return datetime(year, *stamp[:4], min(stamp.second, 59))  # noqa: DTZ001  (as written)


def from_unix(seconds: float) -> datetime | None:
    """Return a naive UTC time, None for 0 and for what no datetime can hold."""
    try:
        return datetime(1970, 1, 1) + timedelta(seconds=seconds) if seconds else None  # noqa: DTZ001
    except (OverflowError, ValueError):
        return None


def later_by(moment: datetime, span: timedelta) -> datetime:
    """Return ``moment + span``, at most the last moment there is: a stamp may say 9999-12-31."""
    return datetime.max if moment > datetime.max - span else moment + span  # noqa: DTZ901  (naive)


@lru_cache(maxsize=64)
def year_table(limit: datetime) -> YearTable:
    """Return the table by which the scan kernel dates the year-less stamps of a file."""
    days, later = _day_tables(limit.date())
    limit_s = (limit.hour * 60 + limit.minute) * 60 + limit.second
    return YearTable(days, later, limit.month * 32 + limit.day, limit_s, limit)


@lru_cache(maxsize=1000)
def _day_tables(limit_day: date) -> tuple[array[int], array[int]]:
    """Return the days of stamps no later, and later in their day than a limit on some day."""
    limit = datetime.combine(limit_day, datetime.min.time())
    days, later = (array("i", [IMPOSSIBLE_DAY]) * (13 * 32) for _ in range(2))
    for month in range(1, 13):
        for day in range(1, _MONTH_DAYS[month] + 1):
            # No limit is earlier in its day than 00:00:00, none is as late as 24:00:00.
            for table, hour in ((days, 0), (later, 24)):
                year = year_of(month, day, hour, 0, 0, limit)
                table[month * 32 + day] = date(year, month, day).toordinal() - _EPOCH_ORDINAL
    return days, later
