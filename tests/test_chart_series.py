"""Of which rows a chart is drawn: the largest, the others, gaps, steps of time."""

from __future__ import annotations

from datetime import datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.charts.bars import draw_bars
from pipeline.charts.choose import Chart
from pipeline.charts.series import MAX_LABEL, build_series
from pipeline.job import sql_job
from pipeline.outputs.model import About
from pipeline.query import plan_jobs
from pipeline.settings import Settings
from tests.support.charted import about, make, spec_of


def test_the_largest_nine_are_drawn_and_the_rest_is_other():
    names = [f"p{n:02}" for n in range(30)]
    table = make([1] * 30 + [2] * 30, names * 2, list(range(60)))

    drawn = build_series(table, Chart("day", "bytes", "process", "bar", ""), is_additive=True)

    assert drawn.names == [*[f"p{n:02}" for n in range(29, 20, -1)], "other"]
    assert drawn.other == "other"
    assert sum(y for *_, y in drawn.rows) == sum(range(60)), "nothing is lost in other"


def test_ten_series_are_drawn_as_they_are():
    table = make([1] * 10, [f"p{n}" for n in range(10)], range(10))

    drawn = build_series(table, Chart("day", "bytes", "process", "bar", ""), is_additive=True)

    assert (len(drawn.names), drawn.other) == (10, None)


@pytest.mark.parametrize("n", [9, 10, 11])
def test_series_about_the_limit_have_a_color_each(n):
    """Ten series are drawn, and once were one more than there were colours."""
    table = make([1, 2] * n, [f"p{k // 2:02}" for k in range(2 * n)], range(2 * n))

    scale = spec_of(table, about())["encoding"]["color"]["scale"]

    assert len(set(scale["range"])) == len(scale["domain"]) == min(n, 10)


def test_a_process_named_other_is_not_the_others():
    names = ["other", *[f"p{n:02}" for n in range(30)]]
    table = make([1] * 31, names, [1000, *range(30)])

    drawn = build_series(table, Chart("day", "bytes", "process", "bar", ""), is_additive=True)

    assert drawn.names[0] == "other"
    assert drawn.other == "(all others)"


def test_days_without_lines_are_gaps_and_a_silent_process_is_zero():
    table = make([1, 1, 2, 5], ["a", "b", "a", "a"], [1, 2, 3, 4])

    drawn = build_series(table, Chart("day", "bytes", "process", "line", ""), is_additive=True)
    values = {(x.day, name): y for x, name, y in drawn.rows}

    assert [place.day for place in drawn.places] == [1, 2, 3, 4, 5]
    assert values[2, "b"] == 0
    assert values[3, "a"] is values[4, "b"] is None


@pytest.mark.parametrize("y", ["bytes", "mean"])
def test_rows_without_a_time_are_no_picture(y):
    """A file that is no log has one group, of undated lines."""
    chart = Chart("day", y, "process", "bar", "")
    told = About("", ("day", "process"))

    assert build_series(make([None], [None], [9], y), chart, is_additive=y == "bytes") is None
    assert draw_bars(make([None], [None], [9], y), told, 80) == []


def test_averages_are_never_added_up():
    """Without the other keys a chart of them is not drawn; of many series the rest is left out."""
    table = make([1, 1, 2], ["a", "b", "a"], [1, 2, 3], y="mean")
    many = make([1] * 30, [f"p{n:02}" for n in range(30)], range(30), y="mean")

    assert build_series(table, Chart("day", "mean", None, "bar", ""), is_additive=False) is None
    drawn = build_series(many, Chart("day", "mean", "process", "bar", ""), is_additive=False)
    assert drawn.other is None
    assert len(drawn.names) == 9
    assert drawn.notes == ["the largest 9 only"]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("count(*) AS n, sum(bytes)::BIGINT AS b, avg(bytes) AS m", {"n", "b"}),
        ("count(DISTINCT host) AS d, max(bytes) AS x, count_if(bytes > 9) AS c", {"c"}),
        ("count(*) / 2 AS half, sum(bytes)", {"sum"}),
    ],
)
def test_counts_and_sums_may_be_added_up(sql, expected):
    job = sql_job("j", f"SELECT day, {sql} FROM lines GROUP BY day")
    _, (plan,) = plan_jobs([job], Settings())

    assert plan.plan.additive == expected


@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 2, 3, 9]), st.sampled_from("abcdefghijklmnop"), st.integers(0, 99)
        ),
        min_size=1,
    )
)
def test_what_is_drawn_adds_up_to_the_result(rows):
    table = make(*map(list, zip(*rows, strict=True)))

    for chart in (
        Chart("day", "bytes", "process", "bar", ""),
        Chart("day", "bytes", None, "line", ""),
        Chart("process", "bytes", None, "rank", ""),
    ):
        drawn = build_series(table, chart, is_additive=True)
        assert sum(y or 0 for *_, y in drawn.rows) == sum(y for *_, y in rows)
        assert len(drawn.names) == len(set(drawn.names)) <= 10


@pytest.mark.parametrize(
    ("length", "step"),
    [(timedelta(seconds=1), "second"), (timedelta(minutes=1), "minute"),
     (timedelta(hours=1), "hour"), (timedelta(days=1), "day")],
)  # fmt: skip
def test_times_are_drawn_by_their_own_step_and_many_by_a_coarser_one(length, step):
    few = [datetime(2008, 1, 1) + n * length for n in range(5)]
    many = [datetime(2008, 1, 1) + n * length for n in range(200_000)]
    chart = Chart("t", "n", None, "bar", "")

    def drawn(times):
        table = pa.table({"t": pa.array(times, pa.timestamp("us")), "n": [1] * len(times)})
        return build_series(table, chart, is_additive=True)

    assert drawn(few).step == step
    assert len(drawn(many).places) <= 6600
    assert sum(y or 0 for *_, y in drawn(many).rows) == len(many)


def test_infinite_and_missing_times_and_numbers_do_not_stop_the_picture():
    table = make([1, None, 2], ["a", "b", None], [1, 2, None])
    held = pa.table(
        {"day": table["day"], "process": table["process"],
         "x": pa.array([float("inf"), float("nan"), 2.0])}
    )  # fmt: skip

    assert build_series(table, Chart("day", "bytes", "process", "bar", ""), is_additive=True)
    drawn = build_series(held, Chart("process", "x", None, "rank", ""), is_additive=True)
    assert drawn.rows == [("(none)", "", 2.0)]


def test_names_that_are_alike_when_cut_can_still_be_told_apart():
    names = ["a" * 3000 + middle + "b" * 3000 for middle in "xyz"]
    table = make([1, 1, 1], names, [1, 2, 3])

    drawn = build_series(table, Chart("day", "bytes", "process", "bar", ""), is_additive=True)

    assert len(set(drawn.names)) == 3
    assert max(map(len, drawn.names)) <= MAX_LABEL + 4
