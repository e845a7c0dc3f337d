"""Values come out exact; the other reader is the standard library."""

from __future__ import annotations

import csv
import io
import json
import re
from decimal import Decimal
from unicodedata import category

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.outputs.table import measure_cells
from pipeline.outputs.values import to_json, to_text
from pipeline.render import render, write_outputs
from pipeline.text import escape_visibly
from tests.support.rendered import SUFFIXES, Terminal, rendered, texts

pytestmark = pytest.mark.usefixtures("known_terminal")

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
