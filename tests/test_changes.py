"""The search for changes of level: planted steps are found, noise is none."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.investigation.changes import FACTOR, Change, exp_factor, find_changes

_seeds = st.integers(0, 1 << 32)


def _noisy(levels: list[float], noise: float, seed: int) -> list[float]:
    random = Random(seed)
    return [level * math.exp(random.uniform(-noise, noise)) for level in levels]


def _week(n: int) -> float:
    return 0.3 if n % 7 in (5, 6) else 1.0


@given(n=st.integers(0, 90), noise=st.floats(0, 0.25), seed=_seeds)
def test_noise_around_one_level_is_no_change(n, noise, seed):
    """However long the series and whatever its level; weekdays asked for or not."""
    values = _noisy([1000.0] * n, noise, seed)

    assert [] == find_changes(values)
    assert [] == find_changes(values, 7)


@given(
    before=st.integers(4, 40),
    after=st.integers(4, 40),
    factor=st.sampled_from([1 / 8, 1 / 3, 1 / 2, 2, 3, 8]),
    noise=st.floats(0, 0.1),
    seed=_seeds,
)
def test_a_planted_step_is_found_where_it_is(before, after, factor, noise, seed):
    """One change, at the first value of the new level, up or down."""
    values = _noisy([1000.0] * before + [1000.0 * factor] * after, noise, seed)

    (found,) = find_changes(values)

    assert before == found.at
    assert found.factor == pytest.approx(factor, rel=0.15)


@given(before=st.integers(15, 40), after=st.integers(8, 40), noise=st.floats(0, 0.1), seed=_seeds)
def test_a_step_is_found_among_quiet_weekends(before, after, noise, seed):
    """Weekends of a third are no changes with three weeks or more; the step is one."""
    levels = [1000.0 * (3 if n >= before else 1) * _week(n) for n in range(before + after)]

    found = find_changes(_noisy(levels, noise, seed), 7)

    # A quiet weekend right at the step may hide where it is, by its length.
    assert 1 == len(found)
    assert abs(before - found[0].at) <= 2


@given(n=st.integers(21, 90), noise=st.floats(0, 0.1), seed=_seeds)
def test_weekends_are_no_changes(n, noise, seed):
    """Weeks enough: the weekdays lose what sets them apart."""
    assert [] == find_changes(_noisy([1000.0 * _week(k) for k in range(n)], noise, seed), 7)


@given(n=st.integers(5, 20), seed=_seeds)
def test_weekends_of_short_logs_are_no_changes(n, seed):
    """With less than three weeks a level must hold longer than a weekend."""
    assert [] == find_changes(_noisy([1000.0 * _week(k) for k in range(n)], 0.1, seed), 7)


@given(n=st.integers(10, 60), at=st.integers(1, 58), height=st.sampled_from([0.0, 0.1, 30.0]))
def test_a_single_odd_day_is_no_change(n, at, height):
    """One day of noise or of silence is not a new level, but for the newest."""
    values = [1000.0] * n
    values[min(at, n - 2)] *= height

    assert [] == find_changes(values)


@given(
    st.lists(st.tuples(st.integers(2, 37), st.sampled_from([0.05, 0.2, 5, 30])), max_size=4),
    st.floats(0, 0.1),
    _seeds,
)
def test_odd_days_do_not_hide_a_step(odd, noise, seed):
    """Single days of noise or silence beside a real change, which stays where it is."""
    levels = [1000.0 * (4 if n >= 20 else 1) for n in range(40)]
    for at, height in odd:
        if at not in range(17, 23) and all(abs(at - other) > 2 or at == other for other, _ in odd):
            levels[at] *= height

    assert [20] == [change.at for change in find_changes(_noisy(levels, noise, seed), 7)]


def test_the_newest_day_may_stand_alone():
    """Who looks today wants to know of today."""
    assert [Change(9, 100, 400)] == find_changes([100.0] * 9 + [400.0])
    assert [] == find_changes([100.0] * 9 + [150.0])


def test_two_changes_are_told_apart():
    """Up, and down again."""
    found = find_changes([10.0] * 9 + [50.0] * 8 + [20.0] * 9)

    assert [(9, 5.0), (17, 0.4)] == [(change.at, change.factor) for change in found]


def test_silence_is_a_change():
    """Nothing at all counts as a hundredth of the usual; so does the return from it."""
    found = find_changes([100.0] * 8 + [0.0] * 5 + [100.0] * 8)

    assert [(8, 100.0, 0.0), (13, 0.0, 100.0)] == [(c.at, c.before, c.after) for c in found]
    assert math.inf == found[1].factor
    assert 100 == exp_factor(found[0]) == exp_factor(found[1])


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e15)), max_size=60), st.sampled_from([0, 7, 24]))
def test_any_series_gives_changes_in_order(values, period):
    """Each of a known value, by a factor that matters; nothing raises."""
    found = find_changes(values, period)

    assert [c.at for c in found] == sorted({c.at for c in found})
    assert all(values[c.at] is not None for c in found)


@given(st.lists(st.sampled_from([1.0, 1.2, 5.0]), max_size=40), _seeds)
def test_unknown_values_are_skipped(values, seed):
    """They change neither where a change is, nor its levels."""
    random = Random(seed)
    with_gaps: list[float | None] = []
    for value in values:
        with_gaps += [None] * random.randrange(2) + [value]

    found = find_changes(with_gaps)

    known = [n for n, value in enumerate(with_gaps) if value is not None]
    assert found == [Change(known[c.at], c.before, c.after) for c in find_changes(values)]
    assert FACTOR > 1
