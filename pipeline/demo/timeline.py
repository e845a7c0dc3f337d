"""When things happen in the demo: days, rotations, and how many bytes each hour should have.

The clock of the demo's server runs on UTC. Times are whole seconds since the begin of its first
day, 2007-12-09 00:00:00. The proportions are those of the case in DESIGN §1: four weeks kept of
119, 118, 255 and 412 MB and a current file of 78 MB, three to four times the volume from Dec 26.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

HOUR = 3600
DAY = 24 * HOUR

EPOCH = datetime(2007, 12, 9, tzinfo=UTC)
N_DAYS = 30

#: First second of the archive, and the first one after it.
START = 4 * HOUR + 2 * 60 + 4
END = 29 * DAY + 19 * HOUR + 60 + 14

#: Begin of each file but the oldest, Sunday mornings; lines before it are in the older file.
ROTATIONS = (
    7 * DAY + 4 * HOUR + 2 * 60 + 7,
    14 * DAY + 4 * HOUR + 2 * 60 + 5,
    21 * DAY + 4 * HOUR + 2 * 60 + 11,
    28 * DAY + 4 * HOUR + 2 * 60 + 3,
)

#: The surge begins with Dec 26.
SURGE = 17 * DAY

#: Queue lifetime of Postfix, five days by default.
LIFETIME = 5 * DAY

_BORDERS = (START, *ROTATIONS, END)
# Oldest first. The case has 255 MB for the third week; a little more keeps its last four days,
# which share the week with a quiet Christmas, at three times the volume of a usual day.
_FILE_SHARES = (119.0, 118.0, 266.0, 412.0, 78.0)
_TOTAL = sum(_FILE_SHARES)

_MORNING = (0.66, 0.6, 0.58, 0.56, 0.58, 0.64, 0.78, 0.98, 1.22, 1.38, 1.42, 1.38)
_EVENING = (1.3, 1.32, 1.36, 1.34, 1.28, 1.2, 1.1, 1.02, 0.96, 0.88, 0.78, 0.7)
_HOURS = _MORNING + _EVENING
_WEEKDAYS = (1.04, 1.05, 1.05, 1.03, 1.0, 0.94, 0.89)
# Dec 24, 25, 26, Dec 31, Jan 1: people are at home, spammers are not.
_HOLIDAYS = {15: 0.9, 16: 0.84, 17: 0.93, 22: 0.94, 23: 0.87}
# Dec 25 from 20:00 on, as a share of the rate that follows.
_EVE = (16 * DAY + 20 * HOUR, 0.04)

_DATES = [EPOCH + timedelta(days=n) for n in range(N_DAYS)]
DAY_NAMES = [f"{d:%Y-%m-%d}" for d in _DATES]
STAMP_DAYS = [f"{d:%b} {d.day:2d}" for d in _DATES]
COMPACT_DAYS = [f"{d:%Y%m%d}" for d in _DATES]


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of at most one hour inside one file, and the plain bytes wanted in it."""

    start: int
    stop: int
    file: int
    ordinary_bytes: float
    surge_bytes: float


def unix_time(t: int) -> int:
    """Return a time of the demo in Unix seconds."""
    return int(EPOCH.timestamp()) + t


def clock(t: int) -> str:
    """Return a time of the demo as ``YYYY-MM-DD hh:mm:ss``."""
    return f"{EPOCH + timedelta(seconds=t):%Y-%m-%d %H:%M:%S}"


def compact_clock(t: int) -> str:
    """Return a time of the demo as ``YYYYMMDDhhmmss``, as cleanup(8) writes it in message-ids."""
    day, second = divmod(t, DAY)
    return f"{COMPACT_DAYS[day]}{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}"


def plan_segments(size_mb: int) -> list[Segment]:
    """Share out ``size_mb`` million plain bytes over the hours of the archive.

    Returns
    -------
    list of Segment
        In order and without gaps, from `START` to `END`.
    """
    pieces = _cut_hours()
    weights = [_ordinary_weight(start, stop) for start, stop, _ in pieces]
    quiet_weeks = sum(w for w, (_, _, file) in zip(weights, pieces, strict=True) if file < 2)
    unit = (_FILE_SHARES[0] + _FILE_SHARES[1]) / quiet_weeks
    surge_rates = [
        _surge_rate(
            file, unit * sum(w for w, p in zip(weights, pieces, strict=True) if p[2] == file)
        )
        for file in range(len(_FILE_SHARES))
    ]
    scale = size_mb * 1e6 / _TOTAL
    return [
        Segment(start, stop, file, w * unit * scale, _surge_share(start, stop, surge_rates) * scale)
        for w, (start, stop, file) in zip(weights, pieces, strict=True)
    ]


def _cut_hours() -> list[tuple[int, int, int]]:
    """Return start, stop and file of each stretch between full hours and rotations."""
    borders = sorted({*_BORDERS, *range(START - START % HOUR + HOUR, END, HOUR)})
    return [(start, stop, sum(start >= r for r in ROTATIONS)) for start, stop in pairwise(borders)]


def _ordinary_weight(start: int, stop: int) -> float:
    day, second = divmod(start, DAY)
    weekday = _WEEKDAYS[(day + 6) % 7]  # the first day is a Sunday
    return (stop - start) / HOUR * _HOURS[second // HOUR] * weekday * _HOLIDAYS.get(day, 1.0)


def _surge_rate(file: int, ordinary: float) -> float:
    """Return what the surge adds in each second of a file, to bring it to its share."""
    seconds = _BORDERS[file + 1] - max(_BORDERS[file], SURGE)
    return max(0.0, _FILE_SHARES[file] - ordinary) / seconds if seconds > 0 else 0.0


def _surge_share(start: int, stop: int, rates: list[float]) -> float:
    eve, share = _EVE
    rate = rates[sum(start >= r for r in ROTATIONS)]
    if start >= SURGE:
        return rate * (stop - start)
    return rate * share * (stop - start) if start >= eve else 0.0
