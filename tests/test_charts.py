"""Which charts a result has, in which colours, and their specifications."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.charts.choose import Chart, plan_charts
from pipeline.charts.colors import COLORS, OTHER, Palette
from pipeline.charts.spec import make_spec
from pipeline.errors import UsageError
from pipeline.job import read_chart
from pipeline.outputs.model import About
from tests.support.charted import about, make

CASES = sorted((Path(__file__).parent / "cases" / "charts").glob("*.toml"))


@pytest.mark.parametrize(
    ("columns", "keys", "expected"),
    [
        ("day process n", "day process", ("day", "n", "process", "bar")),
        ("day n", "day", ("day", "n", None, "bar")),
        ("hour process n", "hour process", ("hour", "n", "process", "bar")),
        ("day hour n", "day hour", ("day", "n", "hour", "heat")),
        ("host process n", "host process", ("host", "n", "process", "heat")),
        ("process n", "process", ("process", "n", None, "rank")),
        ("month host n m", "", ("month", "n", "host", "bar")),
        ("day process m", "day process", ("day", "m", "process", "line")),
        ("day m", "day", ("day", "m", None, "bar")),
    ],
)
def test_the_types_of_the_columns_choose_the_chart(columns, keys, expected):
    """Here n can be added up and m can't: bars would stack it."""
    types = {"day": pa.date32(), "month": pa.date32(), "hour": pa.int32(), "n": pa.int64(),
             "m": pa.float64()}  # fmt: skip
    schema = pa.schema([(name, types.get(name, pa.string())) for name in columns.split()])

    told = About(keys=tuple(keys.split()), additive=frozenset("n"))
    (chart,) = plan_charts(schema, told)

    assert (chart.x, chart.y, chart.color, chart.mark) == expected


@pytest.mark.parametrize("columns", [{"process": pa.string()}, {"n": pa.int64()}, {}])
def test_nothing_to_tell_apart_or_no_number_is_no_chart(columns):
    assert plan_charts(pa.schema(list(columns.items())), About()) == []


def test_the_header_of_a_job_says_how_it_is_drawn():
    schema = make([], [], []).schema
    told = about(
        "x=day y=bytes mark=bar title='it''s volume'", "x=day y=bytes color=process mark=line"
    )

    first, second = plan_charts(schema, told)

    assert first == Chart("day", "bytes", None, "bar", "it's volume")
    assert (second.color, second.mark) == ("process", "line")


def test_a_chart_follows_the_columns_that_by_left():
    """Another column takes the color's place; a chart that would say nothing new is left out."""
    told = about("x=day y=bytes", "x=day y=bytes color=process mark=line", keys=("day", "host"))
    hosts = pa.schema([("day", pa.date32()), ("host", pa.string()), ("bytes", pa.int64())])
    hours = pa.schema([("hour", pa.int32()), ("lines", pa.int64()), ("bytes", pa.int64())])

    assert [c.color for c in plan_charts(hosts, told)] == [None, "host"]
    (chart,) = plan_charts(hours, about(*told.charts, keys=("hour",)))
    assert (chart.x, chart.y, chart.mark) == ("hour", "bytes", "bar"), "the header's number stays"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x=day", "reads x=COLUMN y=COLUMN"),
        ("x=day y=n mark=pie", "mark of a chart"),
        ("x=day y=n colour=process", "color"),
        ("x=day y=n and more", "reads x=COLUMN"),
    ],
)
def test_a_wrong_header_is_refused(text, said):
    with pytest.raises(UsageError, match=said):
        read_chart(text)


def test_a_wrong_header_is_told_before_anything_is_read(sawlog, tmp_path):
    job = tmp_path / "mine.sql"
    job.write_text(
        "-- chart: x=day y=n mark=pie\nSELECT day, count(*) AS n FROM lines GROUP BY day\n"
    )

    ran = sawlog(job, tmp_path / "nowhere.log")

    assert ran.code == 2
    assert "'pie'" in ran.err


def test_a_name_keeps_its_color_and_no_two_of_a_chart_are_alike():
    palette = Palette()
    one = palette.assign(["a", "b", "other"], "other")
    two = palette.assign(["c", "b", *"defghij"])

    assert one == [*COLORS[:2], OTHER]
    assert two[1] == one[1]
    assert len(set(two)) == len(two) == 9


def test_the_colors_differ_for_color_blind_people():
    """Every two colours differ in lightness or along blue and yellow, which all people see."""

    def seen(color):
        r, g, b = (int(color[n : n + 2], 16) / 255 for n in (1, 3, 5))
        return 100 * (0.3 * r + 0.6 * g + 0.1 * b), 100 * ((r + g) / 2 - b)

    for n, one in enumerate(COLORS):
        for other in (*COLORS[n + 1 :], OTHER):
            (l1, y1), (l2, y2) = seen(one), seen(other)
            assert abs(l1 - l2) + abs(y1 - y2) > 9, (one, other)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_result_becomes_this_specification(path):
    """The golden files hold what a chart draws, and every part of how."""
    case = tomllib.loads(path.read_text(encoding="utf-8"))
    table = pa.table(
        {
            name: pa.array(values, pa.date32() if name == "day" else None)
            for name, values in case["table"].items()
        }
    )
    told = About("", tuple(case["keys"]), tuple(case["charts"]), frozenset(case["additive"]))

    specs = [
        make_spec(table, chart, told, Palette(), is_page=case["is_page"])
        for chart in plan_charts(table.schema, told)
    ]
    for spec in specs:
        del spec["config"]

    assert specs == json.loads(case["specs"])
