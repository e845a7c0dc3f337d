"""Results on standard output: as text for people, as streams for programs."""

from __future__ import annotations

import csv
import io
import os
import tomllib

import pyarrow as pa
import pytest

from pipeline.errors import UsageError
from pipeline.outputs.model import About
from pipeline.outputs.table import measure_cells
from pipeline.render import render, stream_batches
from tests.support.processes import run_python
from tests.support.rendered import CASES, Terminal, rendered, run_sql

pytestmark = pytest.mark.usefixtures("known_terminal")


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


def test_several_jobs_need_a_format_that_holds_them(one_row):
    """The way out is named."""
    for to in ("csv", "values", "ndjson"):
        with pytest.raises(UsageError, match=r"-o '\{job\}\.(csv|ndjson)'"):
            rendered({"a": one_row, "b": one_row}, to)
    with pytest.raises(UsageError, match="'markdown'"):
        rendered(one_row, "markdwon")
    with pytest.raises(UsageError, match="row by row"):
        stream_batches(one_row.schema, [one_row], "table", io.StringIO())


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


def test_nothing_heavy_is_imported_before_it_is_needed(tmp_path, one_row):
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
