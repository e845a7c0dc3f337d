"""Charts: which ones, of which rows, in which colours, and what is drawn."""

from __future__ import annotations

import json
import struct
import tomllib
import zlib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.charts.bars import draw_bars
from pipeline.charts.choose import Chart, plan_charts
from pipeline.charts.colors import COLORS, OTHER, Palette
from pipeline.charts.draw import draw_svg
from pipeline.charts.series import MAX_LABEL, build_series, make_label
from pipeline.charts.spec import make_spec, stack_specs
from pipeline.charts.units import in_units
from pipeline.errors import UsageError
from pipeline.job import read_chart, sql_job
from pipeline.outputs.model import About
from pipeline.query import plan_jobs
from pipeline.settings import Settings
from tests.support.hostile import HOSTILE

CASES = sorted((Path(__file__).parent / "cases" / "charts").glob("*.toml"))


def make(days, names, values, y="bytes"):
    return pa.table(
        {
            "day": pa.array([None if d is None else date(2008, 1, d) for d in days], pa.date32()),
            "process": pa.array(names, pa.string()),
            y: pa.array(values, pa.float64() if y == "mean" else pa.int64()),
        }
    )


def about(*charts, additive=("bytes",), keys=("day", "process")):
    return About("", keys, charts, frozenset(additive))


def spec_of(table, told, palette=None):
    (chart, *_) = plan_charts(table.schema, told)
    return make_spec(table, chart, told, palette or Palette(), is_page=False)


# Which charts.


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


# Which rows.


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


# In which colours.


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


# As specifications, and as pictures.


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


def paths_of(mark, table):
    """Return, of each series, the pieces of its path as lists of corners."""
    chart = Chart("day", "bytes", "process", mark, "")
    root = ET.fromstring(draw_svg(make_spec(table, chart, about(), Palette(), is_page=False)))
    drawn = [e for e in root.iter() if e.get("aria-roledescription") == f"{mark} mark"]
    return [
        [
            [tuple(map(float, corner.split(","))) for corner in piece.strip("Z").split("L")]
            for piece in element.get("d").split("M")[1:]
        ]
        for element in drawn
    ]


@pytest.mark.parametrize("mark", ["area", "line"])
def test_a_path_has_a_corner_for_each_day_and_ends_at_a_gap(mark):
    """Areas went up from nothing to each value, and over gaps: rows had been made up for them."""
    table = make([1, 2, 4, 5] * 2, ["a"] * 4 + ["b"] * 4, [40, 40, 40, 40, 20, 20, 20, 20])

    paths = paths_of(mark, table)
    corners = [len(piece) for path in paths for piece in path]

    assert corners == [4 if mark == "area" else 2] * 4
    if mark == "area":
        heights = [{y for piece in path for _, y in piece} for path in paths]
        (bottom, between), (same, top) = (sorted(ys, reverse=True) for ys in heights)
        assert same == between, "b stands on a"
        assert bottom - between == pytest.approx(2 * (between - top), rel=0.01)


@pytest.mark.parametrize(
    ("values", "y", "mark", "expected"),
    [
        ([0.5, 1.2], "mean", "line", "0.2"),
        ([0.001, 0.002], "mean", "line", "0.002"),
        ([12_448_034, 427_708], "bytes", "heat", "12.4 MB"),
        ([3_000_000_000, 1], "bytes", "line", "3 GB"),
    ],
)
def test_an_axis_and_a_legend_tell_numbers_as_people_do(values, y, mark, expected):
    """Once a fifth was ``200m``, and a legend's end ``12.448 MB``."""
    chart = Chart("day", y, "process", mark, "")
    table = make([1, 2], ["a", "b"], values, y)

    spec = make_spec(table, chart, about(), Palette(), is_page=False)
    texts = [e.text for e in ET.fromstring(draw_svg(spec)).iter() if e.tag.endswith("text")]

    assert expected in texts


def test_areas_below_nothing_hang_from_the_axis():
    table = make([1, 2] * 3, ["a", "a", "b", "b", "c", "c"], [9, 9, -5, -5, -2, -2])
    chart = Chart("day", "bytes", "process", "area", "")

    rows = make_spec(table, chart, about(), Palette(), is_page=False)["data"]["values"]

    assert [(row["low"], row["y"]) for row in rows[::2]] == [(0, 9), (0, -5), (-5, -7)]


@pytest.mark.parametrize("at", range(0, len(HOSTILE), 8))
@pytest.mark.parametrize("mark", ["bar", "rank", "heat"])
def test_hostile_names_are_text_in_a_picture(mark, at):
    names = HOSTILE[at : at + 8]
    table = make([1] * len(names), names, range(1, len(names) + 1))
    x, color = ("process", None) if mark == "rank" else ("day", "process")
    chart = Chart(x, "bytes", color, mark, HOSTILE[1])

    svg = draw_svg(make_spec(table, chart, about(), Palette(), is_page=False))
    root = ET.fromstring(svg)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    attributes = {name for element in root.iter() for name in element.attrib}
    text = "".join(root.itertext())

    assert tags <= {"svg", "g", "path", "text", "rect", "line", "tspan", "defs"} | {
        "clipPath", "linearGradient", "stop",
    }  # fmt: skip
    assert not [name for name in attributes if name.startswith("on") or "href" in name]
    assert all(character.isprintable() for character in text)
    assert make_label(names[0])[:15] in text
    assert "x" * (MAX_LABEL + 1) not in svg


def test_names_that_are_alike_when_cut_can_still_be_told_apart():
    names = ["a" * 3000 + middle + "b" * 3000 for middle in "xyz"]
    table = make([1, 1, 1], names, [1, 2, 3])

    drawn = build_series(table, Chart("day", "bytes", "process", "bar", ""), is_additive=True)

    assert len(set(drawn.names)) == 3
    assert max(map(len, drawn.names)) <= MAX_LABEL + 4


def test_a_picture_is_written_as_svg_and_png(sawlog, demo, tmp_path):
    svg, png = tmp_path / "v.svg", tmp_path / "v.png"

    ran = sawlog("volume", demo / "maillog.4.xz", "-o", svg, "-o", png, "-q", "--to", "csv")

    assert ran.code == 0
    root = ET.parse(svg).getroot()
    said = [e.attrib["aria-label"] for e in root.iter() if "aria-label" in e.attrib]
    assert any(label.startswith("2007-12-10 · postfix/smtpd · ") for label in said)
    assert png.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    chunks = read_chunks(png.read_bytes())
    width, height = struct.unpack_from(">II", chunks["IHDR"])
    assert width > 1500
    pixels = zlib.decompress(chunks["IDAT"])
    assert height * (4 * width + 1) == len(pixels)
    assert 20 * len(chunks["IDAT"]) < len(pixels)
    assert "IEND" == [*chunks][-1]


def read_chunks(png):
    """The chunks of a PNG file, their checksums checked."""
    chunks, at = {}, 8
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        body = png[at + 4 : at + 8 + length]
        assert struct.pack(">I", zlib.crc32(body)) == png[at + 8 + length : at + 12 + length]
        chunks[kind.decode()] = body[4:]
        at += 12 + length
    return chunks


def test_the_sizes_of_files_are_drawn(sawlog, demo, tmp_path):
    """Once a heat map of files and compressions, each file's cell the only one of its column."""
    ran = sawlog("files", demo / "maillog.4.xz", demo / "maillog.3.zst", "-o", tmp_path / "f.svg")
    texts = [e.text for e in ET.parse(tmp_path / "f.svg").getroot().iter() if e.text]

    assert ran.code == 0
    assert "plain_bytes by file" in texts
    assert "stored_bytes by file" in texts


def test_several_jobs_are_one_picture_one_below_the_other(sawlog, demo, tmp_path):
    job = tmp_path / "hosts.sql"
    job.write_text("SELECT host, count(*) AS n FROM lines GROUP BY host\n")
    path = tmp_path / "both.svg"

    ran = sawlog(f"volume,{job}", demo / "maillog.4.xz", "-o", path, "-q")

    assert ran.code == 0
    text = path.read_text()
    assert text.index("volume per day<") < text.index("n by host<")


def test_a_result_that_cannot_be_drawn_says_so(sawlog, demo, tmp_path):
    path = tmp_path / "no.svg"

    ran = sawlog("sql", "SELECT process FROM lines LIMIT 3", demo / "maillog.4.xz", "-o", path)

    assert ran.code == 1
    assert "nothing to draw" in ran.err
    assert not path.exists()


@pytest.mark.parametrize("text", [b"", b"no stamp\n"])
def test_a_result_without_rows_is_a_picture_that_says_so(sawlog, tmp_path, text):
    """A night without lines must not fail the run, nor keep the other files from being written."""
    (tmp_path / "empty.log").write_bytes(text)
    places = [tmp_path / f"volume.{kind}" for kind in ("svg", "png", "csv")]

    ran = sawlog("volume", tmp_path / "empty.log", *(f"-o{place}" for place in places))
    told = "".join(ET.parse(places[0]).getroot().itertext())

    assert ran.code == 0
    assert "volume" in told
    assert "no rows to draw" in told
    assert places[1].read_bytes().startswith(b"\x89PNG")
    assert places[2].read_text().startswith("day,process,lines,bytes\n")


def test_a_mean_that_cannot_be_drawn_says_why(sawlog, demo, tmp_path):
    job = tmp_path / "mean.sql"
    job.write_text(
        "-- Mean?\n-- chart: x=day y=mean\n"
        "SELECT day, process, avg(bytes) AS mean FROM lines GROUP BY day, process"
    )

    ran = sawlog(job, demo / "maillog.4.xz", "-o", tmp_path / "mean.svg")

    assert ran.code == 1
    assert "only counts and sums can be added up" in ran.err


def test_a_million_rows_draw_in_seconds():
    n = 1_000_000
    table = pa.table(
        {
            "time": pa.array([1_199_000_000_000_000 + k * 1_000_003 for k in range(n)],
                             pa.timestamp("us")),
            "name": pa.array([f"name-{k % 5000}" for k in range(n)]),
            "n": pa.array(range(n)),
        }
    )  # fmt: skip
    told = About("", ("time", "name"), (), frozenset({"n"}))
    begin = datetime.now(UTC)

    svg = draw_svg(spec_of(table, told))

    assert len(svg) < 8_000_000
    assert (datetime.now(UTC) - begin).total_seconds() < 10


def test_a_run_without_a_picture_imports_nothing_of_it():
    import subprocess
    import sys

    script = (
        "import sys; from pipeline.cli import run_command_line;"
        "run_command_line(['volume', '-', '--to', 'csv', '-q', '--nice', '0']);"
        "print([m for m in sys.modules if m.split('.')[0] in"
        " ('rich', 'jinja2', 'vl_convert', 'markupsafe')"
        " or m.startswith(('pipeline.charts', 'pipeline.report'))])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], input=b"Dec 26 10:00:00 mx a[1]: b\n",
        capture_output=True, check=True,
    )  # fmt: skip

    assert ran.stdout.splitlines()[-1] == b"[]"


def test_numbers_have_units():
    assert [in_units(n, "bytes") for n in (999, 12_300, 1_612_000)] == [
        "999 B",
        "12.3 kB",
        "1.6 MB",
    ]
    assert [in_units(n, "n") for n in (461, 999, 1000, 999_600, 5e9)] == [
        "461", "999", "1.0k", "1.0M", "5.0G",
    ]  # fmt: skip


def test_many_places_without_series_are_one_sparkline_of_all():
    """There is no room for a bar each; the line's name was \"(none)\"."""
    hours = [1_199_000_000_000_000 + n * 3_600_000_000 for n in range(100)]
    table = pa.table({"time": pa.array(hours, pa.timestamp("us")), "n": pa.array(range(100))})

    lines = draw_bars(table, About("", ("time",), (), frozenset("n")), 80)
    texts = ["".join(part.text for part in line) for line in lines]

    assert len(texts) == 2
    assert texts[1].startswith("all  ")
    assert texts[1].endswith("█")


def test_sparklines_say_that_they_are_not_all():
    """The rest can't be added up to "other"."""
    names = [f"p{n:02}" for n in range(12)]
    table = make([1] * 12 + [2] * 12, names * 2, [1.5] * 24, "mean")

    lines = draw_bars(table, about(), 80)

    assert len(lines) == 11
    assert lines[-1][0].text == "(the largest 9 only)"


def test_bars_of_text_are_none_where_there_is_no_time():
    table = pa.table({"process": ["a", "b"], "n": [1, 2]})

    assert draw_bars(table, About("", ("process",)), 80) == []


def test_a_picture_of_none_is_refused():
    with pytest.raises(ValueError, match="no charts"):
        stack_specs([])
