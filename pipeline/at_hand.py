"""The tables that this thread's queries read at the moment, under the names of relations."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline import duck
from pipeline.relations import STITCHED
from pipeline.scan import LineScanner
from pipeline.sql import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa

    from pipeline.python_job import PythonQuery
    from pipeline.query import MapPlan
    from pipeline.sql import Branch

_local = threading.local()


@dataclass(slots=True)
class _Held:
    """What a name stands for in DuckDB: the table at hand, asked for anew each time."""

    table: pa.Table
    empty: pa.Table = field(init=False)

    def __post_init__(self) -> None:
        self.empty = self.table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


class AtHand:
    """This thread's scanner, and what its queries read; one plan at a time.

    ``scanned`` is the scanner's table; ``_m``, ``_d``, ``_e`` are fragments of messages.
    """

    def __init__(self, plan: MapPlan) -> None:
        self.plan = plan
        self.scanner = LineScanner(plan.views.scanned)
        self._held = {"scanned": _Held(self.scanner.schema.empty_table())}
        duck.forget_prepared()
        if not plan.queries:
            return
        cursor = duck.cursor()
        cursor.register("scanned", self._held["scanned"])
        views = [*plan.views.direct]
        stitch = plan.views.stitch
        if stitch is not None:
            cursor.execute(f"CREATE OR REPLACE TEMP VIEW _events AS {stitch.events}")
            for name, text in stitch.maps:
                self._held[name] = _Held(duck.query(text))
                cursor.register(name, self._held[name])
            views += stitch.views
        for relation, text in views:
            cursor.execute(f"CREATE OR REPLACE TEMP VIEW {relation} AS {text}")

    def put(self, name: str, table: pa.Table) -> None:
        """Let a name stand for another table, of the same schema."""
        self._held[name].table = table

    def forget(self) -> None:
        """Let go of all tables."""
        for held in self._held.values():
            held.table = held.empty

    def ask(self, sql: str) -> pa.Table:
        """Run a query over the tables at hand, prepared once."""
        return duck.query(f"EXECUTE {duck.prepared(sql)}")

    def ask_with(self, sql: str, **tables: pa.Table) -> pa.Table:
        """Run a query over the tables at hand and others."""
        cursor = duck.cursor()
        for name, table in tables.items():
            cursor.register(name, table)
        try:
            return duck.query(sql)
        finally:
            for name in tables:
                cursor.unregister(name)

    def schema(self, name: str) -> pa.Schema:
        """Return the schema of the tables that a name stands for."""
        return self._held[name].empty.schema

    def map_scanned(self, partials: list[list[list[pa.Table]]]) -> None:
        """Append the partials of the scanned table, of queries over ``lines`` and ``mail``."""
        self._map(partials, lambda relation: relation not in STITCHED)

    def map_stitched(
        self, tables: Mapping[str, pa.Table], partials: list[list[list[pa.Table]]]
    ) -> None:
        """Append the partials of whole messages, of queries over them."""
        if not tables["_m"].num_rows:
            return
        for name, table in tables.items():
            self.put(name, table)
        self._map(partials, lambda relation: relation in STITCHED)

    def empty_partials(self) -> list[list[pa.Table]]:
        """Return the partials of no lines at all: they have the right types."""
        self.forget()
        return [
            [self._branch(query, branch) for branch in query.branches]
            for query in self.plan.queries
        ]

    def _map(
        self, partials: list[list[list[pa.Table]]], is_read: Callable[[str], bool]
    ) -> None:
        for query, branches in zip(self.plan.queries, partials, strict=True):
            if not is_read(query.relation):
                continue
            for branch, tables in zip(query.branches, branches, strict=True):
                table = self._branch(query, branch)
                if table.num_rows:
                    tables.append(table)

    def _branch(self, query: Query | PythonQuery, branch: Branch) -> pa.Table:
        table = self.ask(branch.map_sql)
        return table if isinstance(query, Query) else query.module.map(table)


def at_hand(plan: MapPlan) -> AtHand:
    """Return this thread's tables for a plan."""
    held: AtHand | None = getattr(_local, "held", None)
    if held is None or held.plan.views != plan.views or (plan.queries and not held.plan.queries):
        held = _local.held = AtHand(plan)
    held.plan = plan
    return held
