"""Results come out exact for programs, harmless for people, and whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import stat
import subprocess
import sys
import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path
from unicodedata import category

import duckdb
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.errors import OutputError, UsageError
from pipeline.outputs import duckdb_file
from pipeline.outputs.model import About
from pipeline.outputs.table import cut_cells, measure_cells
from pipeline.outputs.top import take_top_rows
from pipeline.outputs.values import to_json, to_text
from pipeline.render import check_outputs, render, stream_batches, write_outputs
from pipeline.text import escape_visibly

CASES = Path(__file__).parent / "cases" / "render"
SUFFIXES = ["csv", "duckdb", "json", "md", "ndjson", "parquet"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run_sql(name):
    with duckdb.connect() as connection:
        return connection.sql((CASES / name).read_text()).to_arrow_table()


def list_names(folder):
    return sorted(path.name for path in folder.iterdir())


def rendered(table, to, stream=None, **options):
    stream = stream or io.StringIO(newline="")
    render(table if isinstance(table, dict) else {"job": table}, to, stream, **options)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def _known_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def small():
    return pa.table({"day": [date(2007, 12, 25)], "lines": [1234]})


# --- golden cases ---------------------------------------------------------------------------


def read_about(told):
    return About(
        keys=tuple(told["keys"]),
        charts=tuple(told["charts"]),
        additive=frozenset(told["additive"]),
    )


@pytest.mark.parametrize("path", sorted(CASES.glob("*.toml")), ids=lambda path: path.stem)
def test_results_look_as_in_the_golden_case(path, monkeypatch):
    """Each case names its queries, its options and the text that comes out."""
    case = tomllib.loads(path.read_text())
    monkeypatch.setenv("NO_COLOR", "1")
    results = {job: run_sql(name) for job, name in case["results"].items()}
    stream = Terminal(newline="") if case.get("terminal") else io.StringIO(newline="")

    about = {job: read_about(told) for job, told in case.get("about", {}).items()}
    render(results, case["to"], stream, about=about, **case.get("options", {}))

    assert case["output"] == stream.getvalue()
    if case["to"] == "table" and "width" in case.get("options", {}):
        width = case["options"]["width"]
        rows = case["output"].splitlines()
        assert [row for row in rows if measure_cells(row) > width and row[0] != "…"] == []


# --- exactness: the other reader is the standard library ------------------------------------

# Often the characters that have a meaning in some format, and pieces that end in them.
texts = st.text(
    st.sampled_from("ab,\"'\r\n\0\\|=\x1b\x85\u202e\u2028é漢😀 ") | st.characters(codec="utf-8"),
    max_size=8,
)
whole = st.integers(-(2**63), 2**63 - 1)
times = st.datetimes()
floats = st.floats() | st.integers(-(10**17), 10**17).map(float)


def columns(values, kind):
    return st.lists(st.none() | values, min_size=3, max_size=3).map(lambda v: pa.array(v, kind))


@given(
    text=columns(texts, pa.string()),
    view=columns(texts, pa.string_view()),
    interned=columns(texts, pa.string()),
    number=columns(whole, pa.int64()),
    ratio=columns(floats, pa.float64()),
)
def test_csv_reads_back_as_the_values_themselves(text, view, interned, number, ratio):
    """Python's csv module gives every text unchanged, every number equal, NULL as nothing."""
    table = pa.table([text, view, interned.dictionary_encode(), number, ratio], list("abcde"))

    head, *rows = csv.reader(io.StringIO(rendered(table, "csv"), newline=""), strict=True)

    assert list("abcde") == head
    expected = [
        ["" if v is None else repr(v) if isinstance(v, float) else str(v) for v in row.values()]
        for row in table.to_pylist()
    ]
    assert expected == rows


@given(column=columns(texts, pa.string()), number=columns(whole, pa.int64()))
def test_json_reads_back_as_the_values_themselves(column, number):
    """json.loads gives the rows, and the text holds nothing that can't be seen."""
    table = pa.table({'a"\x1b': column, "n": number})

    text = rendered(table, "json")
    lines = rendered(table, "ndjson")

    assert table.to_pylist() == json.loads(text)
    assert table.to_pylist() == [json.loads(line) for line in lines.split("\n")[:-1]]
    assert hostile_characters(text) == []


@given(column=columns(texts | st.text(), pa.string()), data=st.data())
def test_tables_show_no_character_that_cannot_be_seen(column, data):
    """Whatever the text, the width and the terminal: nothing raw, one line a row, in the width."""
    table = pa.table({"process": column, "lines": pa.array([1, 22, 333])})
    width = data.draw(st.none() | st.integers(20, 90))
    stream = data.draw(st.sampled_from([io.StringIO, Terminal]))(newline="")

    render({"job": table}, "table", stream, width=width)

    text = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert hostile_characters(text.replace("\n", "")) == []
    assert text.count("\n") == 5
    widths = {measure_cells(line) for line in text.splitlines()}
    assert width is None or max(widths) <= width
    assert hostile_characters(rendered(table, "markdown").replace("\n", "")) == []
    assert rendered(table, "markdown").count("\n") == 5


def hostile_characters(text):
    """The reference: by category, character for character."""
    return [c for c in text if category(c) in ("Cc", "Cf", "Zl", "Zp") and c != "\n"]


_markup = st.text(st.sampled_from("|\\\\`*_~[]()!<>&#x5;a \n\x1b\u202e"), max_size=12)


@given(column=columns(_markup | texts, pa.string()))
def test_markdown_shows_every_text_as_it_is(column):
    """An independent reader finds one cell a value, holding nothing but its text."""
    table = pa.table({"n": [1, 2, 3], "process": column})

    tokens = MarkdownIt("commonmark").enable(["table"]).parse(rendered(table, "markdown"))

    cells = [token.children for token in tokens if token.type == "inline"]
    assert {child.type for cell in cells for child in cell} == {"text"}
    # That reader takes off no-break spaces, too.
    expected = [
        escape_visibly(re.sub(r"[\t\r\n]+", " ", text or "")).strip() for text in column.to_pylist()
    ]
    found = ["".join(child.content for child in cell).strip() for cell in cells]
    assert found == ["n", "process", "1", expected[0], "2", expected[1], "3", expected[2]]


@given(data=st.data())
def test_nested_values_are_json_wherever_the_array_was_cut(data):
    """A slice of a column of lists, structs and maps gives what its own rows say."""
    value = st.fixed_dictionaries({"n": st.none() | whole, "s": st.none() | texts})
    kind = pa.struct([("n", pa.int64()), ("s", pa.string())])
    values = data.draw(st.lists(st.none() | st.lists(st.none() | value, max_size=3), max_size=6))
    start = data.draw(st.integers(0, len(values)))
    shape = data.draw(st.sampled_from([pa.list_, pa.large_list, pa.list_view]))
    array = pa.array(values, shape(kind)).slice(start)

    assert values[start:] == [json.loads(text) for text in to_json(array).to_pylist()]


@given(
    values=st.lists(st.none() | st.dictionaries(texts, st.integers(0, 9), max_size=3)),
    data=st.data(),
)
def test_maps_are_json_objects(values, data):
    """Keys are text; a slice gives its own rows."""
    start = data.draw(st.integers(0, len(values)))
    pairs = [None if v is None else list(v.items()) for v in values]
    array = pa.array(pairs, pa.map_(pa.string(), pa.int64())).slice(start)

    assert values[start:] == [json.loads(text) for text in to_json(array).to_pylist()]


@given(
    value=st.decimals(
        allow_nan=False, allow_infinity=False, places=9, max_value=10**20, min_value=-(10**20)
    )
)
def test_decimals_keep_every_digit_and_have_no_exponent(value):
    """The text is the decimal itself."""
    text = to_text(pa.array([value], pa.decimal128(38, 9)))[0].as_py()

    assert value == Decimal(text)
    assert "E" not in text.upper()


@given(value=times, unit=st.sampled_from(["us", "ms", "s"]))
def test_timestamps_have_a_fraction_only_where_it_is_not_zero(value, unit):
    """The same text as datetime's own, whatever the unit."""
    value = value.replace(
        microsecond={"us": value.microsecond, "ms": value.microsecond // 1000 * 1000, "s": 0}[unit]
    )

    text = to_text(pa.array([value], pa.timestamp(unit)))[0].as_py()

    assert str(value) == text


def test_null_of_a_single_column_is_no_empty_line():
    """Readers take an empty line for no row, so the only NULL of a row is quoted."""
    table = pa.table({"a": [None, "", "x"]})

    assert rendered(table, "csv") == 'a\n""\n""\nx\n'
    assert len(list(csv.reader(io.StringIO(rendered(table, "csv"))))) == 4


def test_columns_of_one_name_are_told_apart_where_they_must_be(tmp_path):
    """SELECT a, a, A: CSV has it as it is; an object, a database and a Parquet file can't."""
    table = pa.table([[1], [2], [3]], ["a", "a", "A"])
    write_outputs({"j": table}, [f"{tmp_path}/j.{suffix}" for suffix in SUFFIXES])

    assert rendered(table, "csv") == "a,a,A\n1,2,3\n"
    assert json.loads(rendered(table, "json")) == [{"a": 1, "a_2": 2, "A": 3}]
    assert pq.read_table(tmp_path / "j.parquet").column_names == ["a", "a_2", "A"]
    with duckdb.connect(tmp_path / "j.duckdb", read_only=True) as connection:
        assert connection.table("j").columns == ["a", "a_2", "A_3"]


def test_bytes_that_are_not_utf8_do_not_stop_the_output():
    """A column that holds them all the same is written with U+FFFD."""
    column = pa.array([b"a\xff\x1b,"]).view(pa.string())

    for to in ("table", "csv", "json", "markdown"):
        assert "a\ufffd" in rendered(pa.table({"a": column}), to)


# --- streams ---------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["csv", "json", "markdown", "ndjson", "values"])
@pytest.mark.parametrize("rows", [0, 1, 7])
def test_batches_stream_to_the_bytes_of_the_whole(to, rows):
    """However the rows are cut into batches, one header and the same rows come out."""
    table = run_sql("volume.sql").slice(0, rows)
    batches = [table.slice(0, 1), table.slice(1, 0), *table.slice(1).to_batches(max_chunksize=2)]
    stream = io.StringIO(newline="")

    stream_batches(table.schema, iter(batches), to, stream)

    assert rendered(table, to) == stream.getvalue()


def test_batches_are_handed_on_as_they_come():
    """A reader sees the header before the first batch and each batch before the next."""
    seen = []
    table = pa.table({"a": [1]})

    def batches():
        for _ in range(2):
            seen.append(raw.getvalue())
            yield table

    raw = io.BytesIO()
    stream_batches(table.schema, batches(), "csv", io.TextIOWrapper(raw, encoding="ascii"))

    assert seen == [b"a\n", b"a\n1\n"]


def test_big_results_are_written_in_pieces_that_fit_together():
    """More rows than a piece holds, and one row larger than a piece."""
    table = pa.table({"n": list(range(70_000)), "s": ["x" * (9 << 20)] + ["y"] * 69_999})

    lines = rendered(table, "values").split("\n")

    assert [str(n) for n in range(70_000)] == [line.split(",")[0] for line in lines[:-1]]
    assert len(lines[0]) - 2 == 9 << 20


def test_programs_get_utf8_whatever_the_locale():
    """A latin-1 standard output still carries UTF-8, with LF."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="latin-1", newline="\r\n")

    render({"j": pa.table({"a": ["é漢"]})}, "csv", stream)

    assert "a\né漢\n".encode() == raw.getvalue()


def test_terminals_get_only_what_they_can_show():
    """A latin-1 terminal gets escapes for the rest: UTF-8 bytes could be its control codes."""

    class Latin(io.TextIOWrapper):
        def isatty(self):
            return True

    for to in ("csv", "table"):
        raw = io.BytesIO()
        stream = Latin(raw, encoding="latin-1")
        render({"j": pa.table({"a": ["é\u069b" * 2]})}, to, stream, width=30)
        assert b"\xe9\\u069b\xe9\\u069b" in raw.getvalue()


@pytest.mark.parametrize("to", ["csv", "json", "markdown", "table"])
def test_a_closed_pipe_is_the_callers_to_handle(to):
    """BrokenPipeError comes out of render itself, not out of the exit of the program."""
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")

    with pytest.raises(BrokenPipeError):
        render({"j": pa.table({"a": [1]})}, to, stream)

    # What the stream still holds can't be written either.
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_several_jobs_need_a_format_that_holds_them(small):
    """The way out is named."""
    for to in ("csv", "values", "ndjson"):
        with pytest.raises(UsageError, match=r"-o '\{job\}\.(csv|ndjson)'"):
            rendered({"a": small, "b": small}, to)
    with pytest.raises(UsageError, match="'markdown'"):
        rendered(small, "markdwon")
    with pytest.raises(UsageError, match="row by row"):
        stream_batches(small.schema, [small], "table", io.StringIO())


# --- tables ----------------------------------------------------------------------------------


def test_a_terminal_shows_a_page_and_says_what_it_left_out():
    """200 rows and a line; a pipe gets all of them and no such line."""
    table = pa.table({"n": list(range(1434))})

    shown = rendered(table, "table", Terminal(), width=80)

    assert (
        shown.splitlines()[-1].replace("\x1b[2m", "").replace("\x1b[0m", "")
        == "… 1,234 more rows (-o FILE.csv or --to csv for all)"
    )
    assert shown.count("\n") == 203
    assert rendered(table, "table").count("\n") == 1436


def test_styles_are_for_terminals_that_want_them(monkeypatch, small):
    """Bold headers on a terminal; none with NO_COLOR, on a dumb terminal or in a pipe."""
    assert "\x1b[1m" in rendered(small, "table", Terminal())
    assert "\x1b" not in rendered(small, "table")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in rendered(small, "table")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in rendered(small, "table", Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("FORCE_COLOR")
    assert "\x1b" not in rendered(small, "table", Terminal())


def test_the_width_is_the_terminals(monkeypatch):
    """COLUMNS, the terminal itself, else 80."""
    table = pa.table({"a": ["x" * 200]})

    assert max(map(len, rendered(table, "table", Terminal()).split("\n")[1:])) == 80
    monkeypatch.setenv("COLUMNS", "50")
    assert max(map(len, rendered(table, "table", Terminal()).split("\n")[1:])) == 50
    primary, secondary = os.openpty()
    monkeypatch.delenv("COLUMNS")
    import fcntl
    import struct
    import termios

    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 33, 0, 0))
    with os.fdopen(secondary, "w") as stream:
        render({"j": table}, "table", stream)
        shown = os.read(primary, 10_000).decode()
    os.close(primary)
    assert len(shown.splitlines()[2]) == 33


def test_a_long_name_makes_only_its_own_row_long():
    """In a pipe nothing is cut, and other rows are not padded to 10,000 cells."""
    table = pa.table({"process": ["x" * 10_000, "y"], "lines": [1, 2]})

    lines = rendered(table, "table").splitlines()

    assert "x" * 10_000 in lines[2]
    assert max(len(lines[0]), len(lines[3])) < 120
    shown = rendered(table, "table", Terminal(), width=40)
    assert "…" in shown
    assert len(shown) < 400


@given(text=texts | st.text(), width=st.integers(1, 30))
def test_cut_text_fits_and_keeps_its_ends(text, width):
    """Never wider than asked; unchanged where it fits."""
    text = "".join(c for c in text if c.isprintable() and c != "…")

    cut = cut_cells(text, width)

    head, ellipsis, tail = cut.partition("…")
    assert measure_cells(cut) <= width
    assert cut == text or (ellipsis and text.startswith(head) and text.endswith(tail))
    assert cut == text or measure_cells(text) > width or len(text) > 8 * width


def test_combining_characters_cannot_fill_the_screen():
    """10,000 accents take no cell at all, but are cut."""
    assert len(cut_cells("e" + "\u0301" * 10_000, 20)) < 200


# --- top -------------------------------------------------------------------------------------


def ranked(rows, n, **options):
    names = ["day", "process", "lines", "bytes"]
    table = pa.table([pa.array(v) for v in zip(*rows, strict=True)], names)
    return [tuple(row.values())[:3] for row in take_top_rows(table, n, **options).to_pylist()]


def test_top_keeps_the_largest_rows_of_each_day_in_their_order():
    """The last key is ranked by the first number; ties go to the first, NULL and NaN rank last."""
    rows = [
        ("d1", "a", 1.0, 9), ("d1", "b", 5.0, 8), ("d1", "c", None, 7), ("d1", "d", 5.0, 9),
        ("d2", "a", float("nan"), 1), ("d2", "b", 0.0, 2), (None, None, 3.0, 3),
    ]  # fmt: skip

    assert ranked(rows, 1) == [("d1", "b", 5.0), ("d2", "b", 0.0), (None, None, 3.0)]
    assert ranked(rows, 2)[:2] == [("d1", "b", 5.0), ("d1", "d", 5.0)]
    assert len(ranked(rows, 2, keys=["process"])) == 2


def test_top_rows_stay_in_the_order_of_the_table():
    """Neither the rank nor the group moves a row."""
    rows = [("d1", "a", 1, 0), ("d2", "a", 2, 0), ("d1", "b", 3, 0), ("d2", "b", 1, 0)]

    assert ranked(rows, 2) == [row[:3] for row in rows]
    assert ranked(rows, 1) == [("d2", "a", 2), ("d1", "b", 3)]


def test_top_keeps_the_first_rows_of_a_query_that_ranked_them():
    """ORDER BY bytes DESC: the author's order counts, though lines come first."""
    rows = [("d1", "a", 1, 9), ("d1", "b", 5, 8), ("d1", "c", 7, 7)]

    assert ranked(rows, 1) == [("d1", "a", 1)]


def test_top_without_a_number_keeps_the_first_rows():
    """There is nothing to rank by."""
    assert take_top_rows(pa.table({"a": ["x", "y"]}), 1).to_pydict() == {"a": ["x"]}


def test_top_holds_for_every_output_and_is_told_in_a_table(tmp_path):
    """Files and csv are whole unless it is given."""
    table = run_sql("volume.sql")
    write_outputs({"v": table}, [f"{tmp_path}/v.csv"], top=1)

    assert (tmp_path / "v.csv").read_text().count("\n") == 4
    assert rendered(table, "csv", top=1).count("\n") == 4
    assert rendered(table, "table", top=1).endswith("… 4 more rows (shown: --top 1)\n")


# --- files -----------------------------------------------------------------------------------


def test_every_kind_of_file_holds_the_result(tmp_path):
    """Six files from one result, with their types; nothing else is left in the directory."""
    table = run_sql("volume.sql")
    write_outputs({"volume": table}, [f"{tmp_path}/v.{suffix}" for suffix in SUFFIXES])

    assert [f"v.{suffix}" for suffix in SUFFIXES] == list_names(tmp_path)
    for suffix, to in [("csv", "csv"), ("json", "json"), ("md", "markdown"), ("ndjson", "ndjson")]:
        assert rendered(table, to) == (tmp_path / f"v.{suffix}").read_text()
    assert table == pq.read_table(tmp_path / "v.parquet")
    assert (
        pq.ParquetFile(tmp_path / "v.parquet").metadata.row_group(0).column(0).compression == "ZSTD"
    )
    with duckdb.connect(tmp_path / "v.duckdb", read_only=True) as connection:
        assert table.to_pylist() == connection.table("volume").to_arrow_table().to_pylist()


def test_every_type_can_be_written_to_every_kind_of_file(tmp_path):
    """Parquet has no intervals: there they are text."""
    table = run_sql("types.sql")
    write_outputs({"types": table}, [f"{tmp_path}/t.{suffix}" for suffix in SUFFIXES])

    written = pq.read_table(tmp_path / "t.parquet")
    assert table.drop(["span"]).schema.types == written.drop(["span"]).schema.types
    assert written["span"][0].as_py() == "-1 month 2 days 00:00:03.500000"
    assert json.loads((tmp_path / "t.json").read_text())[1] == dict.fromkeys(table.schema.names)


def test_several_jobs_share_a_file_or_get_one_each(tmp_path, small):
    """{job} in the name, tables in a database, keys in an object, sections in a page."""
    results = dict.fromkeys(["volume", "a b/../c", 'x"y', "Volume", "../.z"], small)
    paths = [
        f"{tmp_path}/r.json",
        f"{tmp_path}/r.md",
        f"{tmp_path}/r.duckdb",
        f"{tmp_path}/{{job}}.csv",
    ]

    write_outputs(results, paths)

    assert list(results) == list(json.loads((tmp_path / "r.json").read_text()))
    assert (tmp_path / "r.md").read_text().count("## ") == 5
    with duckdb.connect(tmp_path / "r.duckdb", read_only=True) as connection:
        names = [name for (name,) in connection.sql("SHOW TABLES").fetchall()]
    assert sorted(["volume", "a b/../c", 'x"y', "Volume_2", "../.z"]) == sorted(names)
    csv_names = sorted(path.name for path in tmp_path.glob("*.csv"))
    assert csv_names == ["Volume.csv", "_.z.csv", "a_b_.._c.csv", "volume.csv", "x_y.csv"]


class DiskError(Exception):
    pass


@pytest.mark.parametrize("failure", [DiskError, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("old", [b"old", None])
def test_a_failure_leaves_every_place_as_it_was(tmp_path, monkeypatch, small, failure, old):
    """The last of three writers fails: no new file, no temporary one, old ones untouched."""

    def fail(results, path):
        path.write_bytes(b"half")
        (path.parent / "x.wal").write_bytes(b"")
        raise failure("disk")

    monkeypatch.setattr(duckdb_file, "write_duckdb", fail)
    places = [tmp_path / "a.csv", tmp_path / "b.parquet", tmp_path / "c.duckdb"]
    if old:
        for place in places:
            place.write_bytes(old)
    before = list_names(tmp_path)

    expected = KeyboardInterrupt if failure is KeyboardInterrupt else OutputError
    with pytest.raises(expected):
        write_outputs({"j": small}, [*map(str, places), "memory://render/d.csv"])

    assert before == list_names(tmp_path)
    assert all(old == place.read_bytes() for place in places if old)
    assert not fsspec.filesystem("memory").exists("/render/d.csv")


def test_a_full_disk_leaves_nothing_and_names_the_file(tmp_path):
    """A real failure of the system: a limit on the size of files."""
    code = f"""
import resource, signal, pyarrow as pa
from pipeline.errors import OutputError
from pipeline.render import write_outputs
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
table = pa.table({{"a": [str(n) * 5 for n in range(50000)]}})
for suffix in {SUFFIXES}:
    try:
        write_outputs({{"j": table}}, [{str(tmp_path)!r} + "/j." + suffix])
    except OutputError as error:
        print(error)
"""
    done = run_python(code)

    assert done.stderr == ""
    assert [
        line.split(": ")[0].rpartition(".")[2]
        for line in done.stdout.splitlines()
        if line.startswith(str(tmp_path))
    ] == SUFFIXES
    assert list_names(tmp_path) == []


def test_files_are_as_readable_as_others_and_keep_the_mode_they_had(tmp_path, small):
    """The umask holds for a new file, and an old one keeps its mode, and its symbolic link."""
    (tmp_path / "old.csv").write_text("old")
    (tmp_path / "old.csv").chmod(0o640)
    (tmp_path / "link.csv").symlink_to("old.csv")
    (tmp_path / "plain").write_text("")

    write_outputs(
        {"j": small}, [f"{tmp_path}/new.csv", f"{tmp_path}/new.duckdb", f"{tmp_path}/link.csv"]
    )

    usual = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert usual == stat.S_IMODE((tmp_path / "new.csv").stat().st_mode)
    assert usual == stat.S_IMODE((tmp_path / "new.duckdb").stat().st_mode)
    assert stat.S_IMODE((tmp_path / "old.csv").stat().st_mode) == 0o640
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "old.csv").read_text() == "day,lines\n2007-12-25,1234\n"


def test_urls_are_written_through_fsspec(small):
    """In one piece, for every format."""
    write_outputs({"j": small}, [f"memory://out/{{job}}.{suffix}" for suffix in SUFFIXES])

    memory = fsspec.filesystem("memory")
    assert memory.cat_file("/out/j.csv") == b"day,lines\n2007-12-25,1234\n"
    assert [Path(path).suffix[1:] for path in sorted(memory.ls("/out", detail=False))] == SUFFIXES


def test_a_store_that_refuses_leaves_the_local_files_as_they_were(tmp_path, monkeypatch, small):
    """What goes over a network is sent before anything local is moved."""

    def refuse(self, path, value, **options):
        raise PermissionError(13, "no credentials")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "pipe_file", refuse)

    with pytest.raises(OutputError, match=r"memory://x/j\.csv: can't be written: no credentials"):
        write_outputs({"j": small}, [f"{tmp_path}/j.csv", "memory://x/j.csv"])

    assert list_names(tmp_path) == []


@pytest.mark.parametrize("fails", [True, False])
def test_on_a_remote_file_system_the_name_appears_last(monkeypatch, small, fails):
    """Where half a file could be seen, it is sent under another name and renamed."""
    memory = fsspec.filesystem("memory")
    monkeypatch.setattr(type(memory), "protocol", "sftp")
    names = []

    def move(self, source, target, **options):
        names.append((source, target))
        if fails:
            raise OSError("gone")
        self.pipe_file(target, self.cat_file(source))
        self.rm_file(source)

    monkeypatch.setattr(type(memory), "mv", move)
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda url, **options: (memory, "/far/j.csv"))
    memory.makedirs("/far", exist_ok=True)

    if fails:
        with pytest.raises(OutputError, match=r"memory://far/j\.csv: .*gone"):
            write_outputs({"j": small}, ["memory://far/j.csv"])
    else:
        write_outputs({"j": small}, ["memory://far/j.csv"])

    assert names[0][1] == "/far/j.csv"
    assert ([] if fails else ["/far/j.csv"]) == memory.ls("/far", detail=False)
    memory.rm("/far", recursive=True)


# --- checks before the run -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paths", "jobs", "message"),
    [
        (["v.parqet"], ["a"], r"Did you mean '\.parquet'\? Known: \.csv, \.duckdb"),
        (["v"], ["a"], "the suffix says what to write"),
        (["-"], ["a"], "For standard output use --to"),
        (["v.csv"], ["a", "b"], r"-o 'v-\{job\}\.csv'"),
        (["v.ndjson"], ["a", "b"], "holds one result"),
        (["v.csv", "./v.csv"], ["a"], r"the same file as -o v\.csv"),
        (["{job}.csv"], ["a b", "a_b"], "the same file"),
        (["{job}.json", "a.json"], ["a", "b"], "the same file"),
        (["memory://v.csv", "memory://v.csv"], ["a"], "the same file"),
        (["none/v.csv"], ["a"], "there is no directory"),
        (["dir.csv"], ["a"], "no regular file"),
        (["null.csv"], ["a"], "no regular file"),
        (["open.duckdb"], ["a"], r"open\.duckdb\.wal stands beside it"),
        (["nope://v.csv"], ["a"], "nope"),
    ],
)  # fmt: skip
def test_what_would_fail_after_the_run_is_refused_before_it(
    tmp_path, monkeypatch, paths, jobs, message
):
    """Each mistake is named, with the way out."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dir.csv").mkdir()
    (tmp_path / "null.csv").symlink_to("/dev/null")
    (tmp_path / "open.duckdb.wal").write_text("")

    with pytest.raises(UsageError, match=message):
        check_outputs(paths, jobs)


def test_good_outputs_pass_and_nothing_is_touched(tmp_path):
    """Before the run nothing is written."""
    paths = [f"{tmp_path}/{{job}}.CSV", f"file://{tmp_path}/r.md", "memory://x/r.json"]
    check_outputs(paths, ["a", "b"])

    assert list_names(tmp_path) == []


def test_places_without_permission_are_refused(tmp_path, monkeypatch):
    """A directory that can't be written to, a file that is read-only."""
    (tmp_path / "old.csv").write_text("")
    for denied in (tmp_path, tmp_path / "old.csv"):
        monkeypatch.setattr("os.access", lambda path, mode, denied=denied: Path(path) != denied)
        with pytest.raises(UsageError, match="no permission"):
            check_outputs([f"{tmp_path}/old.csv"], ["a"])


# --- hostile cells, formulas -----------------------------------------------------------------


def test_csv_is_exact_unless_safety_is_asked_for():
    """With --csv-safe only texts that begin a formula change; numbers never do."""
    table = pa.table({"a": ["=1", "+1", "-1", "@a", "\t=1", "＝1", "a=1", None], "n": [-1] * 8})

    safe = list(csv.reader(io.StringIO(rendered(table, "values", csv_safe=True))))

    assert (
        table["a"].to_pylist()[:-1]
        == [row[0] for row in csv.reader(io.StringIO(rendered(table, "values")))][:-1]
    )
    assert [row[0] for row in safe] == ["'=1", "'+1", "'-1", "'@a", "'\t=1", "'＝1", "a=1", ""]
    assert {"-1"} == {row[1] for row in safe}


# --- start-up --------------------------------------------------------------------------------


def test_nothing_heavy_is_imported_before_it_is_needed(tmp_path, small):
    """No pyarrow for checks; no rich, duckdb or parquet for CSV; no pandas or numpy for anything."""
    for name in ("numpy", "pandas"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} was asked for')")
    code = """
import sys
from pipeline.render import check_outputs, render, stream_batches, write_outputs
check_outputs(["x.csv"], ["a"])
heavy = {"pyarrow", "rich", "duckdb", "fsspec", "pandas", "numpy"}
print(sorted(heavy & set(sys.modules)))
import pyarrow as pa
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            print("asked for", name)
sys.meta_path.insert(0, Watch())
array = pa.LargeStringArray.from_buffers(1, pa.py_buffer((0).to_bytes(8, "little") + (3).to_bytes(8, "little")), pa.py_buffer(b"\\x1b,'"))
table = pa.Table.from_arrays([array], ["a"])
render({"j": table}, "csv", open("/dev/null", "w"))
print(sorted(heavy & set(sys.modules)))
render({"j": table}, "json", open("/dev/null", "w"))
render({"j": table}, "table", open("/dev/null", "w"), top=1)
write_outputs({"j": table}, [OUT + "/j.parquet"])
print(sorted({"pandas", "numpy"} & set(sys.modules)))
""".replace("OUT", repr(str(tmp_path)))
    done = run_python(code, path=tmp_path)

    assert (done.stdout, done.stderr) == ("[]\n['pyarrow']\n[]\n", "")


def run_python(code, path=None):
    root = Path(__file__).parent.parent
    paths = os.pathsep.join(map(str, [*([path] if path else []), root]))
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
