"""What every format must do: its samples, hostile lines, splits; whatever file adds it."""

from __future__ import annotations

import csv
import io
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.formats.base import FormatOptions
from pipeline.formats.registry import builtin_formats, load_builtin
from pipeline.formats.syslog import LINES
from pipeline.recognise import compare_sample, read_sample, select_rows
from tests.support.strategies import hostile_text

_NOW = datetime(2007, 12, 31, 23, 59, 59)
_NAMES = sorted(builtin_formats())


def _format(name: str):
    return load_builtin(name, FormatOptions(json_columns=_JSON_COLUMNS))


#: What the samples of `json` tell of.
_JSON_COLUMNS = "level,status:int,took=request.took:double,a.b.c,ok:bool,msg=message,host"


def _rows(one, text: bytes, max_rows: int = 1 << 10) -> list[dict[str, object]]:
    """Return all columns of the rows of a text."""
    columns = frozenset({*LINES, *one.columns})
    return select_rows(one.name, columns, {one.name: one}, text, max_rows=max_rows, now=_NOW)


def _samples():
    for name in _NAMES:
        for k, sample in enumerate(_format(name).samples()):
            yield pytest.param(name, sample, id=f"{name}-{k}")


@pytest.mark.parametrize(("name", "sample"), [*_samples()])
def test_sample(name, sample):
    """A sample gives its fields; own columns that it does not name are NULL."""
    assert [] == compare_sample(sample, read_sample(_format(name), sample, _NOW))


@pytest.mark.parametrize("name", _NAMES)
def test_samples_show_every_column_and_what_is_no_row(name):
    """Whoever adds a column or a rule adds its line."""
    one = _format(name)
    samples = one.samples()

    seen = {column for sample in samples for column in sample.fields or ()}
    assert set() == set(one.columns) - seen - {"ident"}
    assert any(sample.fields is None for sample in samples)


@pytest.mark.parametrize("name", _NAMES)
@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_hostile_lines_give_at_most_a_row_each(name, data):
    """Samples that are cut, have bytes changed, or stand among any others do no harm to these."""
    one = _format(name)
    sample = data.draw(st.sampled_from([s for s in one.samples() if len(s.line) < 1000]))
    at = data.draw(st.integers(0, len(sample.line)))
    damaged = sample.line[:at] + data.draw(st.binary(max_size=3)) + sample.line[at + 1 :]
    text = damaged.replace(b"\n", b" ") + b"\n" + data.draw(hostile_text()).strip(b"\n") + b"\n"

    rows = _rows(one, text, data.draw(st.integers(1, 5)))
    alone = _rows(one, sample.line + b"\n")
    together = _rows(one, text + sample.line + b"\n", 3)

    assert len(rows) <= text.count(b"\n")
    for row in rows:
        assert row["bytes"] > 0
    whole = [{**row, "offset": 0} for row in together[len(rows) :]]
    assert alone == whole


@pytest.mark.parametrize("name", _NAMES)
def test_however_it_is_cut_the_rows_are_the_same(sawlog, tmp_path, name):
    """The command line gives the same with small splits as with one."""
    one = _format(name)
    log = tmp_path / "log"
    log.write_bytes(b"".join(s.line + b"\n" for s in one.samples() if len(s.line) < 1000) * 20)
    column = next(c for c in one.columns if one.columns[c] == "VARCHAR" and c not in LINES)
    asked = f'SELECT "{column}" AS c, count(*) AS n, sum(bytes) AS bytes FROM {name} GROUP BY ALL ORDER BY ALL'
    options = ("--columns", _JSON_COLUMNS) if name == "json" else ()

    whole, cut = (
        sawlog("sql", asked, log, "--to", "csv", "--split-size", size, *options)
        for size in (1 << 30, 300)
    )

    assert (0, 0) == (whole.code, cut.code), whole.err
    assert whole.out == cut.out
    assert 20 <= sum(int(row["n"]) for row in csv.DictReader(io.StringIO(whole.out)))
