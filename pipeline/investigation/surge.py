"""Find when the volume of a log changed, and what carried the change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import duck
from pipeline.errors import UsageError
from pipeline.investigation.surge_growth import measure_growth
from pipeline.investigation.surge_periods import around, find_periods
from pipeline.investigation.surge_series import STEPS, Period, Series, build_series, find_silence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import pyarrow as pa

    from pipeline.investigation.changes import Change
    from pipeline.investigation.surge_growth import Growths, Total


@dataclass(frozen=True, slots=True)
class Surge:
    """What was found.

    Attributes
    ----------
    series : Series
        The volume that was looked at.
    changes : list of Change
        All changes of it, in order; empty where periods were given.
    main : Change or None
        The one that the rest is about.
    before, after : Period or None
        What was compared; no ``before``: nothing, and the growths are all there is.
    growths : Growths
        By dimension, what carries most first.
    totals : dict of str to Total
        Of each measure.
    silence : list of (datetime, datetime)
        Hours without a line.
    attempts : list of (str, dict of datetime to int)
        Of the queue ids that carry most: attempts that failed, by day.
    """

    series: Series
    changes: list[Change]
    main: Change | None
    before: Period | None
    after: Period
    growths: Growths
    totals: dict[str, Total]
    silence: list[tuple[datetime, datetime]]
    attempts: dict[str, dict[datetime, int]]

    @property
    def knows_silence(self) -> bool:
        """Whether there are days enough to say which hours have lines."""
        return self.series.slots[-1] - self.series.slots[0] >= 3 * STEPS["day"]

    @property
    def factor(self) -> float | None:
        """By how much the volume per day or hour was multiplied."""
        total = self.totals["volume"]
        return total.after / total.before if total.before else None


#: Queue ids whose attempts are told by day.
N_TOLD = 3


def find_surge(
    results: Mapping[str, pa.Table], unit: str, before: Period | None, after: Period | None
) -> Surge | None:
    """Find what changed in the results of `surge_jobs`; None where no line has a time.

    Parameters
    ----------
    unit : str
        ``day`` or ``hour``, as the jobs had it.
    before, after : Period or None
        What to compare, where the user says so: both, or ``after`` alone with all that lies before.
    """
    series = build_series(results["volume"], unit)
    if not series.slots:
        return None
    whole = Period(series.slots[0], series.slots[-1] + STEPS[unit])
    changes: list[Change] = []
    main = None
    if after is None:
        changes, main = find_periods(series)
        before, after = (None, whole) if main is None else around(main, changes, series)
    elif before is None:
        before = Period(whole.begin, after.begin)
    for option, period in (("--before", before), ("--after", after)):
        if period is not None and not any(map(period.holds, series.slots)):
            raise UsageError(
                f"{option}: the log has no line from {period.begin} to {period.end}; it reaches "
                f"from {whole.begin} to {whole.end}"
            )
    growths, totals = measure_growth(results, series, before, after)
    ids = [one.value for one in growths.top("queue_id", N_TOLD) if one.value is not None]
    return Surge(
        series,
        changes,
        main,
        before,
        after,
        growths,
        totals,
        find_silence(results["volume"], series),
        {queue_id: _attempts(results["attempts"], queue_id, series.slots[-1]) for queue_id in ids},
    )


def _attempts(attempts: pa.Table, queue_id: str, end: datetime) -> dict[datetime, int]:
    rows = duck.query_over(
        {"attempts": attempts},
        "SELECT CAST(day AS TIMESTAMP) AS day, CAST(sum(lines) AS BIGINT) AS n FROM attempts "
        f"WHERE queue_id = {duck.quote(queue_id)} AND day IS NOT NULL GROUP BY ALL",
    )
    counts: dict[datetime, int] = {row["day"]: row["n"] for row in rows.to_pylist()}
    # To the day after the last, as far as the log reaches: on that it was not tried any more.
    day, last = min(counts), max(counts) + STEPS["day"]
    while day <= min(last, end):
        counts.setdefault(day, 0)
        day += STEPS["day"]
    return dict(sorted(counts.items()))
