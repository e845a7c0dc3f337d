"""Every aggregate of DuckDB is split, rewritten or refused, and gives the plain query's result."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import QueryError
from pipeline.sql import plan_query
from pipeline.sql.aggregates import MACROS, NAMES, REFUSED, REWRITTEN, SPLIT, unlisted
from tests.support.two_phase import RELATIONS, ask, assert_equal, cut_tables, lines, plan, run_plan

CALLS = (Path(__file__).parent / "cases/sql/aggregates.txt").read_text("utf-8").splitlines()
#: Several calls share a query, to save time; neighbours in the list are of a kind.
BATCHES = [CALLS[i : i + 8] for i in range(0, len(CALLS), 8)]


def _functions(kind: str, what: str) -> list[tuple]:
    table = ask(f"SELECT DISTINCT {what} FROM duckdb_functions() WHERE function_type = '{kind}'")
    return [tuple(row.values()) for row in table.to_pylist()]


def test_every_aggregate_of_duckdb_is_listed():
    """A new DuckDB with a new aggregate fails here, not in a user's numbers."""
    assert set() == unlisted(name for (name,) in _functions("aggregate", "function_name"))


def test_the_lists_share_no_name():
    """An aggregate is treated in one way."""
    assert len(NAMES) == len(SPLIT) + len(REWRITTEN) + len(REFUSED)


def test_every_macro_over_aggregates_is_listed():
    """A macro drops EXPORT_STATE without a word, so each must be known and replaced."""
    macros = _functions("macro", "function_name, macro_definition")

    over = {
        name
        for name, definition in macros
        if {word.lower() for word in re.findall(r"(\w+)\"?\(", definition)} & (NAMES | MACROS)
    }

    assert over == MACROS


def test_every_split_or_rewritten_aggregate_is_tried():
    """The list of calls leaves out none (approx_top_k has a test of its own)."""
    tried = {re.match(r"\w+", call)[0].lower() for call in CALLS} | {"count_star", "approx_top_k"}

    assert set() == (SPLIT | REWRITTEN | MACROS) - tried - {
        "geometric_mean", "json_group_object", "json_group_structure", "variant_group_array",
        "wavg", "weighted_avg",
    }  # fmt: skip


@pytest.mark.parametrize("key", ["", "day, "], ids=["whole", "grouped"])
@pytest.mark.parametrize("calls", BATCHES, ids=lambda calls: calls[0][:30])
@settings(max_examples=5)
@given(pieces=cut_tables(), data=st.data())
def test_any_cut_gives_what_one_plain_query_gives(calls, key, pieces, data):
    """Exactly for integers, decimals, text and order; within 1e-9 for DOUBLE."""
    items = ", ".join(f"{call} AS x{i}" for i, call in enumerate(calls))
    sql = f"SELECT {key}{items} FROM lines" + (" GROUP BY day" if key else "")

    result = run_plan(plan(sql), pieces, lambda n: data.draw(st.integers(0, n - 1)))

    assert_equal(ask(sql, lines=pa.concat_tables(pieces)), result, ordered=False)


def test_the_most_frequent_values_stay_the_same_over_many_partials():
    """approx_top_k is a sketch, exact while no more than k values are frequent."""
    names = ["smtp"] * 60 + ["smtpd"] * 30 + ["qmgr"] * 10
    table = lines([(None, names[i * 37 % 100], i, None, None, None) for i in range(100)])
    pieces = [table.slice(i, 9) for i in range(0, 100, 9)]

    result = run_plan(plan("SELECT approx_top_k(process, 3) AS top FROM lines"), pieces)

    assert [{"top": ["smtp", "smtpd", "qmgr"]}] == result.to_pylist()


def test_sketches_stay_within_their_error():
    """approx_count_distinct merges exactly; a t-digest's median stays near the true one."""
    rows = [(None, f"p{i % 5000}", i * 7919 % 20_000, None, None, None) for i in range(20_000)]
    table = lines(rows)
    sql = "SELECT approx_count_distinct(process) AS n, approx_quantile(bytes, 0.5) AS m FROM lines"

    (row,) = run_plan(plan(sql), [table.slice(i, 1500) for i in range(0, 20_000, 1500)]).to_pylist()

    assert ask(sql, lines=table).to_pylist()[0]["n"] == row["n"]
    assert 9_800 < row["m"] < 10_200


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_refused_aggregate_names_the_way_out(name):
    """The message is more than a no."""
    arguments = {"lttb": "bytes, pid, 3", "reservoir_quantile": "bytes, 0.5"}
    arguments["variant_group_object"] = "process, pid::VARIANT"

    with pytest.raises(QueryError, match=r"use|over|itself|program"):
        call = f"{name}({arguments.get(name, 'bytes')})::VARCHAR"
        plan_query(f"SELECT {call} FROM lines", RELATIONS)


def test_a_wide_group_keeps_file_order():
    """list() follows the order of rows also with more groups than one block holds."""
    table = pa.table({"pid": pa.array([i * 7919 % 3000 for i in range(30_000)], pa.int32()),
                      "bytes": pa.array(range(30_000), pa.int64())})  # fmt: skip
    made = plan(
        "SELECT pid, list(bytes) AS x, first(bytes) AS f, last(bytes) AS l FROM lines GROUP BY pid"
    )

    result = run_plan(made, [table.slice(i, 4000) for i in range(0, 30_000, 4000)]).to_pylist()

    assert 3000 == len(result)
    assert all(
        row["x"] == sorted(row["x"]) and (row["x"][0], row["x"][-1]) == (row["f"], row["l"])
        for row in result
    )
