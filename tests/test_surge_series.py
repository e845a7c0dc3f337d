"""The series of a log's volume: partial days, strays, silence."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.investigation.surge_growth import MEASURES, measure_growth
from pipeline.investigation.surge_periods import find_periods
from pipeline.investigation.surge_series import Period, build_series, find_silence

_FIRST = datetime(2024, 3, 4)


def _volume(hours: dict[datetime, int]) -> pa.Table:
    """Return a result ``volume`` with so many lines of 100 bytes in each hour."""
    return pa.table(
        {
            "day": pa.array([hour.date() for hour in hours], pa.date32()),
            "hour": pa.array([hour.hour for hour in hours], pa.int32()),
            "host": pa.array(["a"] * len(hours)),
            "process": pa.array(["b"] * len(hours)),
            "lines": pa.array(list(hours.values()), pa.int64()),
            "bytes": pa.array([100 * n for n in hours.values()], pa.int64()),
        }
    )


def _day_and_night(begin: int, end: int) -> dict[datetime, int]:
    """Hours with much by day and little by night, the same each day."""
    return {_FIRST + timedelta(hours=n): 400 if 8 <= n % 24 < 20 else 40 for n in range(begin, end)}


@given(begin=st.integers(0, 23), end=st.integers(24 * 9 + 1, 24 * 10))
def test_days_that_are_there_in_part_are_no_change(begin, end):
    """They count by what is usual at these hours; of too short a part nothing is said."""
    series = build_series(_volume(_day_and_night(begin, end)), "day")

    whole = 100 * (12 * 400 + 12 * 40)
    assert all(rate is None or rate == pytest.approx(whole, rel=0.3) for rate in series.rates())
    assert whole == series.rates()[4]
    assert ([], None) == find_periods(series)


@given(st.sampled_from([date(1, 1, 1), date(1970, 1, 1), date(2023, 1, 1), date(9999, 12, 31)]))
def test_a_line_with_a_wrong_date_does_not_stretch_the_log(stray):
    """A stranger can write any date."""
    hours = _day_and_night(0, 240)
    hours[datetime(stray.year, stray.month, stray.day)] = 1

    series = build_series(_volume(hours), "day")

    assert (10, _FIRST) == (len(series.slots), series.slots[0])
    assert ([], None) == find_periods(series)
    assert [] == find_silence(_volume(hours), series)


def test_a_log_that_rests_for_weeks_is_whole():
    """What lies before a gap is no stray where it weighs as much as the rest."""
    hours = _day_and_night(0, 120) | _day_and_night(24 * 40, 24 * 45)

    series = build_series(_volume(hours), "day")

    assert 45 == len(series.slots)
    assert 35 == series.n_bytes.count(0)


@given(begin=st.integers(24, 180), length=st.integers(1, 12))
def test_silent_hours_are_found(begin, length):
    """Exactly those that were taken out, where enough would have been in them."""
    hours = _day_and_night(0, 240)
    gone = [_FIRST + timedelta(hours=n) for n in range(begin, begin + length)]
    for hour in gone:
        del hours[hour]

    found = find_silence(_volume(hours), build_series(_volume(hours), "day"))

    assert [(gone[0], gone[-1] + timedelta(hours=1))] == found


def test_hours_that_are_never_used_are_not_silent():
    """A log of office hours does not fall silent each night."""
    hours = {hour: n for hour, n in _day_and_night(0, 240).items() if n > 100}

    assert [] == find_silence(_volume(hours), build_series(_volume(hours), "day"))


@given(st.integers(1, 9), st.integers(1, 9))
def test_lengths_of_periods_add_up(first, second):
    """Slots that are whole count one each."""
    series = build_series(_volume(_day_and_night(0, 24 * 20)), "day")
    middle, end = first + second, first

    whole = series.length(Period(_FIRST, _FIRST + timedelta(days=middle)))
    begin = series.length(Period(_FIRST, _FIRST + timedelta(days=end)))

    assert second == whole - begin


@settings(max_examples=20)
@given(first=st.integers(0, 400), last=st.integers(0, 400))
def test_hours_that_are_there_in_part_are_left_out(first, last):
    """How much of the first and last hour is there can't be told: neither bytes nor length count."""
    hours = dict.fromkeys((_FIRST + timedelta(hours=n) for n in range(48)), 400)
    hours[_FIRST], hours[_FIRST + timedelta(hours=47)] = first + 1, last + 1
    volume = _volume(hours)
    series = build_series(volume, "hour")

    _, totals = measure_growth(
        {
            name: volume if name == "volume" else _nothing()
            for name in MEASURES
            if "log" not in name
        },
        series,
        Period(_FIRST, _FIRST + timedelta(hours=24)),
        Period(_FIRST + timedelta(hours=24), _FIRST + timedelta(hours=48)),
    )

    assert (40_000, 40_000) == (totals["volume"].before, totals["volume"].after)


def _nothing() -> pa.Table:
    """Return the result of a question about mail, of a log without."""
    names = ("status", "failed_host", "host", "queue_id", "recipient", "reason_class", "sender")
    texts = {name: pa.array([], pa.string()) for name in (*names, "client")}
    return pa.table(
        {
            "day": pa.array([], pa.date32()),
            "hour": pa.array([], pa.int32()),
            **texts,
            "lines": pa.array([], pa.int64()),
        }
    )


def test_a_log_without_times_has_no_slots():
    """Nothing raises."""
    table = _volume({_FIRST: 3})
    for name in ("day", "hour"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.nulls(1, table.schema.field(name).type))

    series = build_series(table, "day")

    assert [] == series.slots
    assert [] == find_silence(table, series)
