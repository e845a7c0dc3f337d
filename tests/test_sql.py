"""Two-phase SQL: any cut of the table gives what one plain query gives, or the query is refused."""

from __future__ import annotations

import datetime as dt
import random
import tomllib
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import QueryError
from pipeline.sql import plan_query
from tests.support.processes import run_python
from tests.support.two_phase import RELATIONS, ask, assert_equal, cut_tables, lines, plan, run_plan

CASES = Path(__file__).parent / "cases" / "sql"


def _load(name: str) -> list:
    cases = tomllib.loads((CASES / name).read_text(encoding="utf-8"))["case"]
    return [pytest.param(case, id=" ".join(case["sql"].split())[:70]) for case in cases]


@pytest.mark.parametrize("case", _load("equal.toml"))
@settings(max_examples=3)
@given(pieces=cut_tables(), data=st.data())
def test_any_cut_gives_what_one_plain_query_gives(case, pieces, data):
    """However the table is cut and its partials are combined, names, types and rows are the same."""
    plain = ask(case["sql"], lines=pa.concat_tables(pieces))

    result = run_plan(plan(case["sql"]), pieces, lambda n: data.draw(st.integers(0, n - 1)))

    assert_equal(plain, result, ordered=case.get("ordered", False))


@pytest.mark.parametrize("case", _load("equal.toml"))
def test_an_empty_relation_gives_what_one_plain_query_gives(case):
    """The map of an empty relation is the empty partial; an aggregate has its one row."""
    plain = ask(case["sql"], lines=lines([]))

    assert_equal(plain, run_plan(plan(case["sql"]), [lines([])]), ordered=False)


@pytest.mark.parametrize("case", _load("refused.toml"))
def test_what_cant_be_split_is_refused_with_the_way_out(case):
    """The message says what is wrong, what next, and points at the place."""
    with pytest.raises(QueryError) as caught:
        plan_query(case["sql"], RELATIONS)

    assert case["error"] == str(caught.value)


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT count(*) FROM lines", ""),
        ("SELECT 1 FROM lines", ""),
        ("SELECT * FROM lines", "bytes day message pid process time"),
        ("SELECT * EXCLUDE (message, time) FROM lines", "bytes day pid process"),
        ("SELECT COLUMNS('^p') FROM lines", "pid process"),
        ('SELECT max(l."Bytes") FROM lines AS l WHERE PID > 1', "bytes pid"),
        ("SELECT day AS message, count(*) FROM lines GROUP BY ALL ORDER BY message", "day"),
        ("SELECT count(DISTINCT pid) FILTER (WHERE bytes > 1), last(time) FROM lines",
         "bytes pid time"),
        ("SELECT process FROM lines ORDER BY time LIMIT 3", "process time"),
        ("SELECT process FROM lines WHERE day IN (SELECT DATE '2020-01-01')", "day process"),
        ("SELECT pid FROM lines QUALIFY row_number() OVER (ORDER BY bytes) = 1", "bytes pid"),
    ],
)  # fmt: skip
def test_only_touched_columns_are_named(sql, columns):
    """The kernel builds just the columns that a query names."""
    assert set(columns.split()) == plan(sql).queries[0].columns


@pytest.mark.parametrize(
    ("sql", "map_only", "limit"),
    [
        ("SELECT process FROM lines", True, None),
        ("SELECT process FROM lines LIMIT 3", True, 3),
        ("SELECT process FROM lines LIMIT 1 + 2 OFFSET 4", True, 7),
        ("SELECT process FROM lines OFFSET 4", False, None),
        ("SELECT process FROM lines LIMIT 10%", False, None),
        ("SELECT process FROM lines ORDER BY pid LIMIT 3", False, None),
        ("SELECT DISTINCT process FROM lines LIMIT 3", False, None),
        ("SELECT count(*) FROM lines LIMIT 3", False, None),
        ("SELECT count(*) OVER () FROM lines", False, None),
    ],
)
def test_rows_stream_where_each_stands_alone(sql, map_only, limit):
    """Only a SELECT without aggregates, order and windows can be streamed and ended early."""
    query = plan(sql).queries[0]

    assert (map_only, limit) == (query.map_only, query.limit)


def test_top_rows_of_a_big_table_travel_alone():
    """ORDER BY with LIMIT keeps no more rows in a partial than can be in the result."""
    branch = (
        plan("SELECT process FROM lines ORDER BY bytes LIMIT 2 OFFSET 1").queries[0].branches[0]
    )
    table = lines([("2020-01-01", "smtp", i, "a", None, 1) for i in range(9)])

    mapped = ask(branch.map_sql, lines=table)
    combined = ask(branch.combine_sql, partials=pa.concat_tables([mapped, mapped]))

    assert (3, 3) == (mapped.num_rows, combined.num_rows)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT pid FROM lines ORDER BY bytes DESC LIMIT 2000",
        "SELECT process, count(*) AS n FROM lines GROUP BY process",
        "SELECT process, count(*) AS n FROM lines GROUP BY process ORDER BY n DESC LIMIT 20",
    ],
)
def test_ties_come_out_the_same_for_any_cut(sql):
    """Equal input gives equal results, also where ORDER BY leaves the order open."""
    n_rows = 200_000
    rng = random.Random(1)
    table = pa.table(
        {
            "pid": pa.array([rng.randrange(n_rows) for _ in range(n_rows)], pa.int32()),
            "bytes": pa.array([rng.randrange(3) for _ in range(n_rows)], pa.int64()),
            "process": pa.array([f"p{i * 7919 % 160_000}" for i in range(n_rows)]),
        }
    )
    whole, *others = (
        run_plan(plan(sql), [table.slice(i, step) for i in range(0, n_rows, step)])
        for step in (n_rows, n_rows // 2 + 1, n_rows // 3, 9_000)
    )

    assert all(whole == other for other in others)


# Parameters


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        7,
        -7,
        2**70,
        Decimal("-1.50"),
        1.5,
        float("inf"),
        "it's; DROP TABLE lines --",
        '$x ? \\ " \n é',
        "",
        dt.date(2020, 1, 2),
        dt.datetime(2020, 1, 2, 3, 4, 5, 6),
        [1, 2, 3],
        ["a", "b'c"],
    ],
    ids=repr,
)
def test_a_parameter_keeps_its_value(value):
    """Whatever a parameter holds, it arrives as that value and not as SQL."""
    made = plan_query("SELECT $x AS x, count(*) AS n FROM lines", RELATIONS, {"x": value})

    (row,) = run_plan(made, [lines([])]).to_pylist()

    assert (value, 0) == (row["x"], row["n"])


def test_a_duration_is_an_interval():
    """Days, seconds and microseconds of a duration arrive apart, as in DuckDB's INTERVAL."""
    value = dt.timedelta(days=-1, seconds=2, microseconds=3)
    made = plan_query("SELECT $x::VARCHAR AS x, count(*) FROM lines", RELATIONS, {"x": value})

    assert "-1 day 00:00:02.000003" == run_plan(made, [lines([])]).to_pylist()[0]["x"]


def test_a_parameter_in_a_condition_and_in_a_limit():
    """Parameters stand wherever a constant may; the column keeps its derived name."""
    sql = "SELECT process, bytes > $least FROM lines WHERE process = $p LIMIT $n"
    made = plan_query(sql, RELATIONS, {"least": 1, "p": "smtp", "n": 1, "unused": 0})
    table = lines([("2020-01-01", name, 5, "a", None, 1) for name in ("qmgr", "smtp", "smtp")])

    assert ("process", "(bytes > $least)") == made.columns
    assert 1 == made.queries[0].limit
    assert [("smtp", True)] == [tuple(row.values()) for row in run_plan(made, [table]).to_pylist()]


def test_an_unknown_parameter_names_the_nearest():
    """A misspelt parameter is an error in the query, with its place."""
    with pytest.raises(QueryError) as caught:
        plan_query("SELECT $statsu FROM lines", RELATIONS, {"status": 1})

    assert str(caught.value) == (
        "unknown parameter 'statsu'. Did you mean 'status'? Known: status.\n"
        "  line 1: SELECT $statsu FROM lines\n"
        "                 ^"
    )


def test_an_error_beside_a_parameter_points_into_the_users_text():
    """Positions are those of the text as written, not of the text with values in it."""
    with pytest.raises(QueryError) as caught:
        plan_query("SELECT $a,\n  dya FROM lines", RELATIONS, {"a": "a long value"})

    assert str(caught.value).endswith("\n  line 2:   dya FROM lines\n            ^")


# The moment


@pytest.mark.parametrize(
    "word", ["now()", "today()", "current_date", "current_timestamp", "localtimestamp"]
)
def test_the_moment_is_fixed_at_planning(word):
    """Every task sees the moment of the plan; the column's name stays."""
    made = plan_query(f"SELECT {word}, count(*) FROM lines", RELATIONS)

    texts = made.final_sql + made.queries[0].finish_sql + made.queries[0].branches[0].map_sql
    without_names = texts.replace(f'AS "{word}"', "").replace(f"AS {word}", "")

    assert word == made.columns[0]
    assert word not in without_names


def test_age_counts_from_the_day_of_the_plan():
    """age(x) hides a current_date."""
    sql = "SELECT max(extract(day FROM age(day::TIMESTAMP))) AS age FROM lines"
    table = lines([("2020-01-03", "smtp", 1, "a", None, 1)])
    made = plan_query(sql, RELATIONS)

    assert "CAST('2" in made.queries[0].branches[0].map_sql
    assert ask(sql, lines=table) == run_plan(made, [table])


def test_a_column_hides_the_word_of_the_moment():
    """A relation may have a column named like a word that DuckDB answers itself."""
    made = plan_query("SELECT localtime, user FROM t", {"t": {"localtime": "TIME", "user": "INT"}})

    assert {"localtime", "user"} == made.queries[0].columns


# Plans


def test_selects_over_different_relations_share_a_statement():
    """Each SELECT that reads a relation is a query of its own."""
    made = plan_query(
        "SELECT day, count(*) FROM LINES GROUP BY day UNION ALL SELECT day, 0 FROM mail", RELATIONS
    )

    assert [("_q0", "lines"), ("_q1", "mail")] == [(q.name, q.relation) for q in made.queries]


def test_the_simplest_query_needs_no_final_work():
    """A single distributed SELECT is its own result."""
    made = plan("SELECT day, sum(bytes) FROM lines GROUP BY day")

    assert "SELECT * FROM _q0" == made.final_sql
    assert ("day", "sum(bytes)") == made.columns


def test_one_state_serves_equal_aggregates():
    """An aggregate named twice is computed once."""
    made = plan("SELECT sum(bytes), SUM(lines.bytes) * 2 FROM lines HAVING sum(bytes) > 1")

    assert 1 == made.queries[0].branches[0].map_sql.count("EXPORT_STATE")


def test_planning_leaves_no_connection_open():
    """DuckDB 2.0.0 prints a warning at exit for every connection left open."""
    code = (
        "from pipeline.sql import plan_query\n"
        "plan_query('SELECT count(*) FROM t', {'t': {'a': 'INT'}})\n"
        "try: plan_query('SELECT b FROM t', {'t': {'a': 'INT'}})\n"
        "except Exception: pass\n"
    )

    ran = run_python(code, "-W", "error")

    assert (0, "", "") == (ran.returncode, ran.stdout, ran.stderr)
