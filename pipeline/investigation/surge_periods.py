"""Which stretch of the log is compared with which: as asked, or around the change that matters."""

from __future__ import annotations

from math import log, sqrt
from statistics import median
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.filters import read_time
from pipeline.investigation.changes import exp_factor, find_changes
from pipeline.investigation.surge_series import PERIODS, STEPS, Period

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pipeline.investigation.changes import Change
    from pipeline.investigation.surge_series import Series

#: Levels that last longer than this weigh no more.
_LONG = 7


def read_period(option: str, text: str, now: datetime) -> Period:
    """Read ``A..B``: days or times, days inclusive; ``A`` alone is a day.

    Raises
    ------
    UsageError
        It is none, or ends before it begins.
    """
    first, separator, last = text.partition("..")
    if not first or (separator and not last):
        raise UsageError(f"{option} takes a period like 2007-12-26..2007-12-31, got {text!r}")
    begin = read_time(first, now)
    end = read_time(last or first, now, is_end=True)
    if begin >= end:
        raise UsageError(f"{option} {text}: it ends before it begins")
    return Period(begin, end)


def unit_of(periods: Sequence[Period]) -> str:
    """Return the coarsest unit at whose borders periods begin and end.

    Raises
    ------
    UsageError
        Some begin or end within an hour.
    """
    edges = [edge for period in periods for edge in (period.begin, period.end)]
    if any(edge.minute or edge.second or edge.microsecond for edge in edges):
        raise UsageError("periods to compare begin and end at full hours, or are days")
    return "hour" if any(edge.hour for edge in edges) else "day"


def find_periods(series: Series) -> tuple[list[Change], Change | None]:
    """Return all changes of a series, and the one that matters most."""
    usual = median([lines for lines in series.lines if lines] or [1])
    changes = find_changes(series.rates(), PERIODS[series.unit], least_noise=usual**-0.5)
    if not changes:
        return [], None
    borders = [0, *(change.at for change in changes), len(series.slots)]

    def weigh(k: int) -> float:
        """Return the size of a change, by how long the levels beside it last."""
        length = min(borders[k + 1] - borders[k], borders[k + 2] - borders[k + 1])
        return log(exp_factor(changes[k])) * sqrt(min(length, _LONG))

    return changes, changes[max(range(len(changes)), key=weigh)]


def around(change: Change, changes: Sequence[Change], series: Series) -> tuple[Period, Period]:
    """Return the stretches before and after a change, each up to the change next to it."""
    borders = [0, *(one.at for one in changes), len(series.slots)]
    k = borders.index(change.at, 1)
    moments = [*series.slots, series.slots[-1] + STEPS[series.unit]]
    before, at, after = (moments[borders[n]] for n in (k - 1, k, k + 1))
    return Period(before, at), Period(at, after)
