"""The bytes of a log by day or hour, from its first to its last, and how much of each it holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING

from pipeline import duck
from pipeline.investigation.changes import MOST_VALUES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

STEPS = {"day": timedelta(days=1), "hour": timedelta(hours=1)}
#: Slots of a week, of a day.
PERIODS = {"day": 7, "hour": 24}
#: Of less than this share of a day nothing is said about the day.
_LEAST_HELD = 0.15
#: Days before a gap that are as empty as this hold lines with a wrong date.
_STRAY, _GAP = 0.01, 3
_CHANCE = 20
_NEVER = datetime(1, 1, 1)  # noqa: DTZ001  # naive, as written on the lines


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of time: [begin, end)."""

    begin: datetime
    end: datetime

    def holds(self, moment: datetime) -> bool:
        """Tell whether a moment lies in it."""
        return self.begin <= moment < self.end


@dataclass(frozen=True, slots=True)
class Series:
    """Bytes and lines by day or hour.

    Attributes
    ----------
    unit : str
        ``day`` or ``hour``.
    slots : list of datetime
        Begins, without gap.
    n_bytes, lines : list of int
        In each; 0 where there is no line.
    held : list of float
        The share of each slot that the log holds: by what is usual at these hours, for it seldom
        begins or ends at midnight.
    """

    unit: str
    slots: list[datetime]
    n_bytes: list[int]
    lines: list[int]
    held: list[float]

    def rates(self) -> list[float | None]:
        """Return the bytes of whole slots, as far as the part that is there tells."""
        return self.spread(self.n_bytes)

    def spread(self, counts: Sequence[float]) -> list[float | None]:
        """Return counts by slot as those of whole slots, None where too little of one is there."""
        return [
            n / held if held >= _LEAST_HELD else None
            for n, held in zip(counts, self.held, strict=True)
        ]

    def length(self, period: Period) -> float:
        """Return how many slots of a stretch the log holds; of one that is there in part, one.

        A log of two hours is told as it is: nobody asks what a day of it would be.
        """
        held = [h for slot, h in zip(self.slots, self.held, strict=True) if period.holds(slot)]
        return max(sum(held), 1.0) if held else 0.0


def build_series(volume: pa.Table, unit: str) -> Series:
    """Return the series of the result ``volume``; without slots where no line has a time."""
    hours = _count_hours(volume)
    slots: dict[datetime, tuple[int, int]] = {}
    for hour, (lines, n_bytes) in hours.items():
        slot = hour if unit == "hour" else hour.replace(hour=0)
        known = slots.get(slot, (0, 0))
        slots[slot] = known[0] + lines, known[1] + n_bytes
    days = _without_strays(sorted(slots), [slots[slot][1] for slot in sorted(slots)], STEPS[unit])
    if not days:
        return Series(unit, [], [], [], [])
    every = _fill(days[0], days[-1], STEPS[unit])
    counts = [slots.get(slot, (0, 0)) for slot in every]
    inside = [hour for hour in hours if every[0] <= hour < every[-1] + STEPS[unit]]
    return Series(
        unit,
        every,
        [n_bytes for _, n_bytes in counts],
        [lines for lines, _ in counts],
        _held(every, {hour: hours[hour][1] for hour in inside}, unit),
    )


def find_silence(volume: pa.Table, series: Series) -> list[tuple[datetime, datetime]]:
    """Return the stretches of hours without a line, where other days have many: [begin, end).

    Lines are expected where an hour of the day has some on four of five days at least, three days
    being known. Where these hours usually have fewer than 20 lines together it may be chance.
    """
    if not series.slots:
        return []
    lines = {hour: lines for hour, (lines, _) in _count_hours(volume).items()}
    first, last = series.slots[0], series.slots[-1] + STEPS[series.unit]
    inside = [hour for hour in lines if first <= hour < last]
    every = _fill(min(inside), max(inside), STEPS["hour"])
    known: list[list[int]] = [[] for _ in range(24)]
    for hour in every:
        known[hour.hour].append(lines.get(hour, 0))
    is_expected = [len(of) >= 3 and sum(map(bool, of)) >= 0.8 * len(of) for of in known]
    found: list[tuple[datetime, datetime]] = []
    for hour in every:
        if hour in lines or not is_expected[hour.hour]:
            continue
        if found and found[-1][1] == hour:
            found[-1] = found[-1][0], hour + STEPS["hour"]
        else:
            found.append((hour, hour + STEPS["hour"]))
    usual = [median(of) if of else 0 for of in known]
    return [
        (begin, end)
        for begin, end in found
        if sum(usual[hour.hour] for hour in _fill(begin, end, STEPS["hour"])[:-1]) >= _CHANCE
    ]


def _count_hours(volume: pa.Table) -> dict[datetime, tuple[int, int]]:
    rows = duck.query_over(
        {"volume": volume},
        "SELECT day + to_hours(hour) AS moment, CAST(sum(lines) AS BIGINT) AS lines, "
        "CAST(sum(bytes) AS BIGINT) AS bytes FROM volume WHERE day IS NOT NULL GROUP BY moment",
    )
    return {row["moment"]: (row["lines"], row["bytes"]) for row in rows.to_pylist()}


def _without_strays(
    slots: Sequence[datetime], n_bytes: Sequence[int], step: timedelta
) -> Sequence[datetime]:
    """Return the slots less those, at the ends, of a few lines whose date is wrong."""
    if not slots:
        return []
    # A stranger can write any date: what is as far away as this is not looked at.
    begin = 0
    least = _STRAY * median(n_bytes)
    end = len(slots)
    for n in range(1, len(slots)):
        if slots[n] - slots[n - 1] > _GAP * step:
            if sum(n_bytes[:n]) <= least * n:
                begin = n
            elif sum(n_bytes[n:]) <= least * (len(slots) - n):
                end = n
                break
    kept = slots[begin:end]
    oldest = kept[-1] - min(MOST_VALUES * step, kept[-1] - _NEVER)
    return [slot for slot in kept if slot >= oldest]


def _fill(first: datetime, last: datetime, step: timedelta) -> list[datetime]:
    return [first + n * step for n in range((last - first) // step + 1)]


def _held(slots: Sequence[datetime], hours: dict[datetime, int], unit: str) -> list[float]:
    held = [1.0] * len(slots)
    first, last = min(hours), max(hours)
    if unit == "hour":
        # How much of the first and last hour is there can't be told by hours.
        if any(first < hour < last for hour in hours):
            held[0] = held[-1] = 0.0
        return held
    usual = _usual_hours(slots, hours)
    before = sum(usual[: first.hour]) + usual[first.hour] / 2
    behind = sum(usual[last.hour + 1 :]) + usual[last.hour] / 2
    held[0] -= before if first.hour else 0.0
    held[-1] -= behind if last.hour < 23 else 0.0
    return [max(0.0, share) for share in held]


def _usual_hours(slots: Sequence[datetime], hours: dict[datetime, int]) -> list[float]:
    """Return the share of each hour in a whole day, by the median of the days."""
    whole = [
        slot for slot in slots[1:-1] if any(slot + n * STEPS["hour"] in hours for n in range(24))
    ]
    if len(whole) < 3:
        return [1 / 24] * 24
    shares: list[list[float]] = [[] for _ in range(24)]
    for slot in whole:
        of_day = [hours.get(slot + n * STEPS["hour"], 0) for n in range(24)]
        total = sum(of_day)
        for n, value in enumerate(of_day):
            shares[n].append(value / total)
    usual = [median(values) for values in shares]
    total_usual = sum(usual)
    return [value / total_usual for value in usual] if total_usual else [1 / 24] * 24
