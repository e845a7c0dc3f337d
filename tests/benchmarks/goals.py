"""What runs in turn, what it is measured by, and what is wanted of it.

The engine is the whole process less the same command on a one-line log, run in the same round. A
ratio is taken in each round; the median of the rounds counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.measure import Command, Sample

Round = dict[str, "Sample"]

MAX_PEAK_BYTES = 400_000_000
MAX_DEVIATION = 0.15


@dataclass(frozen=True)
class Time:
    """Seconds added up from commands of one round, less those of others."""

    text: str
    plus: tuple[str, ...]
    minus: tuple[str, ...] = ()

    def seconds(self, samples: Round) -> float:
        """Return the sum for one round; KeyError where a command did not run."""
        plus = sum(samples[name].seconds for name in self.plus)
        return plus - sum(samples[name].seconds for name in self.minus)


@dataclass(frozen=True)
class Goal:
    """``time`` is at most ``limit`` times ``beside``; at most ``limit`` seconds without one.

    Without a limit there is no goal, and the ratio is told for information.
    """

    time: Time
    limit: float | None
    beside: Time | None = None

    def measure(self, rounds: Sequence[Round]) -> Verdict:
        """Return the median of the rounds and what it means."""
        missing = self._find_missing(rounds)
        if missing:
            return Verdict(self, None, missing=missing)
        time = median(self.time.seconds(samples) for samples in rounds)
        if self.beside is None:
            return Verdict(self, time, time)
        beside = [self.beside.seconds(samples) for samples in rounds]
        if min(time, *beside) <= 0:  # a tiny log takes less than two starts differ
            return Verdict(self, None, missing="nothing but noise")
        ratios = [self.time.seconds(samples) / b for samples, b in zip(rounds, beside, strict=True)]
        return Verdict(self, median(ratios), time, median(beside))

    def _find_missing(self, rounds: Sequence[Round]) -> str:
        names = [*self.time.plus, *self.time.minus]
        names += [*self.beside.plus, *self.beside.minus] if self.beside else []
        return ", ".join(name for name in names if name not in rounds[0])


@dataclass(frozen=True)
class Verdict:
    """What a goal came to; ``value`` is a ratio, or seconds; None where it can't be told."""

    goal: Goal
    value: float | None
    seconds: float | None = None
    beside_seconds: float | None = None
    missing: str = ""

    @property
    def is_met(self) -> bool | None:
        """None: no goal, or not measured."""
        if self.value is None or self.goal.limit is None:
            return None
        return self.value <= self.goal.limit


@dataclass(frozen=True)
class Group:
    """Commands that run in turn.

    Attributes
    ----------
    plain_bytes : int
        Of the text that each command reads; 0 where speeds would mean nothing.
    weight : int
        Rounds are as many times those of other groups: short runs need more.
    """

    name: str
    commands: tuple[Command, ...]
    goals: tuple[Goal, ...]
    plain_bytes: int = 0
    weight: int = 1
    sizes: dict[str, float] = field(default_factory=dict)


def whole(name: str) -> Time:
    """Return the time of one command."""
    return Time(name, (name,))


def engine(name: str, one_line: str = "sawlog, one line") -> Time:
    """Return the time of one command less that of one that hardly has anything to do."""
    return Time(f"engine of {name}", (name,), (one_line,))


def per_gb(group: Group, rounds: Sequence[Round]) -> dict[str, float]:
    """Return the engine's seconds per GB for each size of a group of sizes."""
    return {
        name: median(engine(name).seconds(samples) for samples in rounds) / gb
        for name, gb in group.sizes.items()
    }


def deviation(values: Sequence[float]) -> float:
    """Return how far the extremes are from their middle, as a share of it."""
    return (max(values) - min(values)) / (max(values) + min(values))
