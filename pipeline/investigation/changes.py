"""When did the level of a series change, for good and not by chance? Plain numbers in and out.

1. Values become logarithms, for a log grows by factors; nothing at all counts as a hundredth of the
   usual. A value that is None is not known, and skipped.
2. With three whole periods or more (weeks of days, days of hours) each place in the period loses
   what sets it apart: the median of its differences from the running median. It is left out where
   the series is not calmer without it.
3. Noise is what neighbours differ by: the median of these differences, as a standard deviation,
   5 % at least. A step is one difference among many and does not raise it.
4. The series is cut into levels such that squared distances and a price for each level are least
   (optimal partitioning, the price of 20 and more variances). A median of three neighbours keeps a
   single odd day from being a level.
5. Neighbouring levels are joined again where their medians lie within a factor of 1.3 or three
   deviations of their difference, or where a quarter of the values lies on the other side of the
   middle between them. The newest value may be a level alone, if it is twice as high as the one
   before and five deviations away: who looks today wants to know of today.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import exp, inf, log
from statistics import median
from sys import float_info
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Levels are as long as that at least: with a known period, and without.
LEAST, LEAST_WITHOUT = 2, 3
#: A change is at least by this factor, and so many deviations of the noise.
FACTOR, DEVIATIONS = 1.3, 3.0
_SURE = 14
_NEWEST_FACTOR, _NEWEST_DEVIATIONS = 2.0, 5.0
_LEAST_NOISE = 0.05
_NOTHING = 0.01
#: So many values that are not 0 are needed to say what is usual.
LEAST_VALUES = 5
#: The search takes the square of this.
MOST_VALUES = 2000


@dataclass(frozen=True, slots=True)
class Change:
    """A step: ``at`` is the index of the first value of the new level.

    ``before`` and ``after`` are the levels, medians of the values, of the stretches between this
    change and its neighbours.
    """

    at: int
    before: float
    after: float

    @property
    def factor(self) -> float:
        """The new level by the old one; infinite where that is nothing."""
        return self.after / self.before if self.before > 0 else inf


def find_changes(
    values: Sequence[float | None], period: int = 0, least_noise: float = 0.0
) -> list[Change]:
    """Return the changes of level, in order; empty where there is none.

    Parameters
    ----------
    values : sequence of float or None
        At equal distances; None: unknown. At most the newest `MOST_VALUES` are looked at.
    period : int
        Values in a week or a day; 0: none.
    least_noise : float
        What chance alone makes of the values, as a share of them: 0.1 where each counts a hundred
        events.

    Examples
    --------
    >>> find_changes([10, 11, 10, 9, 10, 31, 30, 33, 30])
    [Change(at=5, before=10, after=30.5)]
    """
    first = max(0, len(values) - MOST_VALUES)
    known = [n for n in range(first, len(values)) if values[n] is not None]
    numbers = [values[n] or 0.0 for n in known]
    positive = [number for number in numbers if number > 0]
    if len(positive) < LEAST_VALUES:
        return []
    floor = max(_NOTHING * median(positive), float_info.min)
    series = [log(max(number, floor)) for number in numbers]
    is_periodic = False
    if period and len(series) >= 3 * period:
        adjusted = _without_period(series, known, period)
        if _restlessness(adjusted) < _restlessness(series):
            series, is_periodic = adjusted, True
    noise = max(_noise(series), least_noise)
    cuts = _cut(_smooth(series), noise, LEAST if is_periodic else LEAST_WITHOUT)
    cuts = _join(series, cuts, noise)
    cuts = _add_newest(series, cuts, noise)
    levels = [median(numbers[start:stop]) for start, stop in pairwise([0, *cuts, len(series)])]
    return [
        Change(known[at], before, after)
        for at, (before, after) in zip(cuts, pairwise(levels), strict=True)
    ]


def _noise(series: Sequence[float]) -> float:
    """Return the standard deviation of single values, by the median of neighbours' differences."""
    steps = [abs(after - before) for before, after in pairwise(series)]
    return max(_LEAST_NOISE, 1.4826 * median(steps) / 2**0.5)


def _restlessness(series: Sequence[float]) -> float:
    """Return how much neighbours differ in all: weekends count, few as they are."""
    return sum(abs(after - before) for before, after in pairwise(series))


def _without_period(series: Sequence[float], known: Sequence[int], period: int) -> list[float]:
    """Return the series less what is usual at each place of the period."""
    half = period // 2
    rest: list[list[float]] = [[] for _ in range(period)]
    for n, value in enumerate(series):
        around = median(series[max(0, n - half) : n + half + 1])
        rest[known[n] % period].append(value - around)
    usual = [median(values) if values else 0.0 for values in rest]
    middle = median(usual)
    return [value - usual[known[n] % period] + middle for n, value in enumerate(series)]


def _smooth(series: Sequence[float]) -> list[float]:
    """Return the median of each three neighbours: single odd values go, steps stay where they are.

    The ends stay, too.
    """
    inner = [median(series[n - 1 : n + 2]) for n in range(1, len(series) - 1)]
    return [series[0], *inner, series[-1]]


def _cut(series: Sequence[float], noise: float, least: int) -> list[int]:
    """Return where the levels begin but the first, such that their costs are least."""
    n = len(series)
    price = noise**2 * (4 * log(n) + 8)
    sums = [0.0, *accumulate(series)]
    squares = [0.0, *accumulate(value * value for value in series)]
    costs = [-price] + [inf] * n
    begins = [0] * (n + 1)
    for stop in range(least, n + 1):
        of_sum, of_square, best, begin = sums[stop], squares[stop], inf, 0
        for start in range(stop - least + 1):
            if costs[start] < best:
                total = of_sum - sums[start]
                cost = costs[start] + of_square - squares[start] - total * total / (stop - start)
                if cost < best:
                    best, begin = cost, start
        costs[stop], begins[stop] = best + price, begin
    cuts: list[int] = []
    at = begins[n]
    while at > 0:
        cuts.append(at)
        at = begins[at]
    return cuts[::-1]


def _join(series: Sequence[float], cuts: list[int], noise: float) -> list[int]:
    """Join the levels that are not told apart clearly, the closest first."""
    while cuts:
        borders = [0, *cuts, len(series)]
        weights = [
            _weight(series[borders[k] : borders[k + 1]], series[borders[k + 1] : borders[k + 2]])
            for k in range(len(cuts))
        ]
        weakest = min(range(len(cuts)), key=weights.__getitem__)
        # Of a median; long levels don't grow surer for ever, since logs drift.
        lengths = (
            borders[weakest + 1] - borders[weakest],
            borders[weakest + 2] - borders[weakest + 1],
        )
        deviation = 1.25 * noise * sum(1 / min(length, _SURE) for length in lengths) ** 0.5
        if weights[weakest] >= max(log(FACTOR), DEVIATIONS * deviation):
            return cuts
        cuts = cuts[:weakest] + cuts[weakest + 1 :]
    return cuts


def _weight(before: Sequence[float], after: Sequence[float]) -> float:
    """Return how far two levels lie from each other; 0 where many values lie on the wrong side."""
    low, high = median(before), median(after)
    if low == high:
        return 0.0
    middle, sign = (low + high) / 2, 1 if high > low else -1
    for values, side in ((before, -sign), (after, sign)):
        if sum((value - middle) * side > 0 for value in values) < 0.75 * len(values):
            return 0.0
    return abs(high - low)


def _add_newest(series: Sequence[float], cuts: list[int], noise: float) -> list[int]:
    last = len(series) - 1
    begin = cuts[-1] if cuts else 0
    if last - begin < LEAST_VALUES - 1:
        return cuts
    rise = series[last] - median(series[begin:last])
    # A longer level ends here; is the newest value far above all of it?
    is_high = rise > max(log(_NEWEST_FACTOR), _NEWEST_DEVIATIONS * noise)
    return [*cuts, last] if is_high and series[last] > max(series[begin:last]) else cuts


def exp_factor(change: Change) -> float:
    """Return the size of a step, whichever way it goes: 3 for a third as for the threefold."""
    if change.before <= 0 or change.after <= 0:
        return 1 / _NOTHING
    return exp(abs(log(change.after / change.before)))
