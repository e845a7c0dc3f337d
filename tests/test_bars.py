"""Charts as text: bars, sparklines, and numbers with their units."""

from __future__ import annotations

import pyarrow as pa

from pipeline.charts.bars import draw_bars
from pipeline.charts.units import in_units
from pipeline.outputs.model import About
from tests.support.charted import about, make


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
