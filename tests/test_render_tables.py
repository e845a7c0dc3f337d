"""Tables on a terminal and in a pipe, and the rows that --top keeps."""

from __future__ import annotations

import os

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.outputs.table import cut_cells, measure_cells
from pipeline.outputs.top import take_top_rows
from pipeline.render import render, write_outputs
from tests.support.rendered import Terminal, rendered, run_sql, texts

pytestmark = pytest.mark.usefixtures("known_terminal")


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


def test_styles_are_for_terminals_that_want_them(monkeypatch, one_row):
    """Bold headers on a terminal; none with NO_COLOR, on a dumb terminal or in a pipe."""
    assert "\x1b[1m" in rendered(one_row, "table", Terminal())
    assert "\x1b" not in rendered(one_row, "table")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in rendered(one_row, "table")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in rendered(one_row, "table", Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.delenv("FORCE_COLOR")
    assert "\x1b" not in rendered(one_row, "table", Terminal())


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
