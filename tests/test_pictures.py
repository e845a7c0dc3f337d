"""What is drawn: SVG and PNG, from specifications and by the command line."""

from __future__ import annotations

import struct
import zlib
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pyarrow as pa
import pytest

from pipeline.charts.choose import Chart
from pipeline.charts.colors import Palette
from pipeline.charts.draw import draw_svg
from pipeline.charts.series import MAX_LABEL, make_label
from pipeline.charts.spec import make_spec, stack_specs
from pipeline.outputs.model import About
from tests.support.charted import about, make, spec_of
from tests.support.hostile import HOSTILE
from tests.support.processes import run_python


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
    """Each would be felt at every start."""
    code = (
        "import sys; from pipeline.cli import run_command_line;"
        "run_command_line(['volume', '-', '--to', 'csv', '-q', '--nice', '0']);"
        "print([m for m in sys.modules if m.split('.')[0] in"
        " ('rich', 'jinja2', 'vl_convert', 'markupsafe')"
        " or m.startswith(('pipeline.charts', 'pipeline.report'))])"
    )

    ran = run_python(code, stdin="Dec 26 10:00:00 mx a[1]: b\n")

    assert 0 == ran.returncode, ran.stderr
    assert "[]" == ran.stdout.splitlines()[-1]


def test_a_picture_of_none_is_refused():
    with pytest.raises(ValueError, match="no charts"):
        stack_specs([])
