"""Run a query plan the way the pipeline does, and the query itself by one plain DuckDB query."""

from __future__ import annotations

import io
import math
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from pipeline import duck
from pipeline.sql import Plan, plan_query

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LINES = {
    "day": "DATE",
    "process": "VARCHAR",
    "bytes": "BIGINT",
    "message": "VARCHAR",
    "time": "TIMESTAMP",
    "pid": "INTEGER",
}
RELATIONS = {"lines": LINES, "mail": {"day": "DATE", "queue_id": "VARCHAR"}}

# Few values, so that groups meet across the cuts and ties are common.
_row = st.tuples(
    st.sampled_from(["2020-01-01", "2020-01-02", "2020-01-03", None]),
    st.sampled_from(["smtp", "smtpd", "qmgr", None]),
    st.sampled_from([1, 2, 3, 100, -7, None]),
    st.sampled_from(["a", "b", "err x", None]),
    st.sampled_from(["2020-01-01 01:02:03", "2020-01-02 03:00:00.5", None]),
    st.sampled_from([1, 2, 30, None]),
)


@st.composite
def cut_tables(draw: st.DrawFn) -> list[pa.Table]:
    """Some small `lines`, cut into 1 to 5 pieces in order, empty ones among them."""
    table = lines(draw(st.lists(_row, min_size=3, max_size=14)))
    cuts = sorted(draw(st.lists(st.integers(0, table.num_rows), max_size=4)))
    edges = zip([0, *cuts], [*cuts, table.num_rows], strict=True)
    return [table.slice(start, stop - start) for start, stop in edges]


def lines(rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    """`lines` from rows of plain Python values; days and times as text."""
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in LINES]
    kinds = [pa.string(), pa.string(), pa.int64(), pa.string(), pa.string(), pa.int32()]
    texts = pa.table(
        [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)], list(LINES)
    )
    casts = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in LINES.items())
    return ask(f"SELECT {casts} FROM texts", texts=texts)


def ask(sql: str, **tables: pa.Table) -> pa.Table:
    """Run a query over Arrow tables, on the engine that jobs run on."""
    cursor = duck.new_cursor()  # a map task's own has a view `lines` already
    try:
        for name, table in tables.items():
            cursor.register(name, table)
        return cursor.sql(sql).to_arrow_table()
    finally:
        cursor.close()


@cache
def plan(sql: str) -> Plan:
    """Plan over `LINES`, once per text."""
    return plan_query(sql, RELATIONS)


def run_plan(
    made: Plan,
    pieces: Sequence[pa.Table],
    choose: Callable[[int], int] = lambda _: 0,
    relation: str = "lines",
) -> pa.Table:
    """Map every piece, combine neighbours as a tree that ``choose`` decides, finish.

    ``choose(n)`` gives a number below n; partials go through Parquet where it says so.
    """
    finished = {}
    for query in made.queries:
        combined = {}
        for i, branch in enumerate(query.branches):
            partials = [ask(branch.map_sql, **{relation: piece}) for piece in pieces]
            while len(partials) > 1:
                at, width = choose(len(partials) - 1), 2 + choose(2)
                joined = pa.concat_tables(partials[at : at + width])
                if choose(2):
                    joined = _through_parquet(joined)
                partials[at : at + width] = [ask(branch.combine_sql, partials=joined)]
            if choose(2):
                again = ask(branch.combine_sql, partials=partials[0])
                assert again.schema == partials[0].schema
                partials = [again]
            combined[f"partials{i}"] = partials[0]
        finished[query.name] = ask(query.finish_sql, **combined)
    result = ask(made.final_sql, **finished)
    return result.rename_columns(list(made.columns))


def _through_parquet(table: pa.Table) -> pa.Table:
    file = io.BytesIO()
    pq.write_table(table, file)
    file.seek(0)
    return pq.read_table(file)


def assert_equal(expected: pa.Table, got: pa.Table, *, ordered: bool) -> None:
    """Same names, same types, same rows; DOUBLE within 1e-9."""
    assert expected.schema.names == got.schema.names
    assert expected.schema.types == got.schema.types
    left, right = _rows(expected), _rows(got)
    if not ordered:
        left.sort(key=_sort_key)
        right.sort(key=_sort_key)
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        assert _is_near(one, other), (one, other)


def _rows(table: pa.Table) -> list[tuple[Any, ...]]:
    columns = [column.to_pylist() for column in table.columns]
    return list(zip(*columns, strict=True)) if columns else []


def _sort_key(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_sort_key, value))}]"
    return repr(value)


def _is_near(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        same = one == other or (math.isnan(one) and math.isnan(other))
        return same or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_near(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_is_near, one, other))
    return type(one) is type(other) and one == other
