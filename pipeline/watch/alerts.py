"""Alerts: queries over the results of a run; a row that one gives is a reason to wake somebody."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import QueryError, UsageError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

_TYPED = re.compile(r"(?s)\s*(?:([\w.-]+):\s)?(.*)")
_KEYS = ("name", "sql")


@dataclass(frozen=True, slots=True)
class Alert:
    """A query that fires when it gives rows; tables in it are results, by their jobs' names."""

    name: str
    sql: str


def read_alerts(items: Sequence[Any]) -> list[Alert]:
    """Read ``--alert '[NAME: ]SELECT …'``, or the tables ``[[alert]]`` of a job file.

    Raises
    ------
    UsageError
        A table holds something else, or two have one name.
    """
    alerts = [_read_one(item, n) for n, item in enumerate(items, 1)]
    names = [alert.name for alert in alerts]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two alerts are called {name!r}")
    return alerts


def _read_one(item: Any, n: int) -> Alert:
    if isinstance(item, str):
        match = _TYPED.fullmatch(item)
        assert match is not None
        return Alert(match[1] or f"alert{n}", match[2])
    if not isinstance(item, dict):
        raise UsageError(f"alert takes tables: [[alert]] sql = …, got {item!r}")
    for key, value in item.items():
        if key not in _KEYS:
            raise unknown_name("key in [[alert]]", key, _KEYS)
        if not isinstance(value, str):
            raise UsageError(f"[[alert]] {key} is a text, got {value!r}")
    if "sql" not in item:
        raise UsageError(f"an [[alert]] needs sql = 'SELECT … FROM JOB WHERE …': {item!r}")
    return Alert(item.get("name") or f"alert{n}", item["sql"])


def run_alerts(alerts: Sequence[Alert], results: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Ask each alert; return the rows of those that have some, by name.

    One that can't be answered (``'abc'::INTEGER``) fires, too, with what was said: the run is
    done, and somebody must look.
    """
    import pyarrow as pa

    fired = {}
    for alert in alerts:
        try:
            rows = _ask(alert, results)
        except QueryError as error:
            rows = pa.table({"error": pa.array([str(error)], pa.string())})
        if len(rows):
            fired[alert.name] = rows
    return fired


def check_alerts(alerts: Sequence[Alert], results: Mapping[str, pa.Table]) -> None:
    """Ask each alert of empty results, before the run.

    Raises
    ------
    QueryError
        One is wrong: it is no SELECT, or names what no result holds.
    """
    for alert in alerts:
        _ask(alert, results)


def _ask(alert: Alert, results: Mapping[str, pa.Table]) -> pa.Table:
    """Run one query where nothing but the results is in reach."""
    import duckdb

    from pipeline import duck

    _check_select(alert)
    held = duck.new_cursor()
    try:
        for name, table in results.items():
            held.register(name, table)
        return held.sql(alert.sql).to_arrow_table()
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except duckdb.CatalogException as error:
        raise QueryError(
            f"the alert {alert.name!r}: {error}\nAn alert reads the results of this run: "
            f"{', '.join(sorted(results))}"
        ) from None
    except duckdb.Error as error:
        raise QueryError(f"the alert {alert.name!r}: {error}") from None
    finally:
        held.close()


def _check_select(alert: Alert) -> None:
    """Refuse what is not one SELECT: nothing else could fire."""
    from pipeline.sql.tree import Parser

    with Parser({}) as parser:
        try:
            statements = parser.statements(alert.sql)
        except QueryError as error:
            raise QueryError(
                f"the alert {alert.name!r}: {error.message}", error.sql, error.position
            ) from None
    if len(statements) != 1:
        raise QueryError(f"the alert {alert.name!r} takes one SELECT, got {len(statements)}")
