"""The tables that this thread's queries read at the moment, under the names of relations."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline import duck
from pipeline.errors import QueryError
from pipeline.pick import Picker
from pipeline.pseudonym_columns import Replacer
from pipeline.relations import STITCHED
from pipeline.scan import LineScanner
from pipeline.sql import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa

    from pipeline.python_job import PythonQuery
    from pipeline.query import MapPlan
    from pipeline.selection import Selection
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
    """The thread's scanner, and what its queries read; one plan at a time.

    ``scanned0``, ``scanned1``, … have the columns of the scanned table that a query asks for;
    ``_m``, ``_d``, ``_e`` are fragments of messages. With ``--pseudonymise`` ``rows0``, ``rows1``,
    … are the rows of ``lines`` and ``mail`` that queries read, with tokens in them; ``messages``
    and ``deliveries`` hold tokens, too.
    """

    def __init__(self, plan: MapPlan) -> None:
        self.plan = plan
        self.scanner = LineScanner(
            plan.views.scanned,
            reasons=plan.views.reasons,
            only_deliveries=plan.views.only_deliveries,
            formats=plan.views.formats,
        )
        duck.forget_prepared()
        self._held: dict[str, _Held] = {}
        #: Names that stand for some columns and rows of the scanned table.
        self._parts: dict[Any, tuple[str, list[str], Picker | None]] = {}
        self._texts: list[str | None] = []
        hidden = plan.views.pseudonyms
        self._replacer = Replacer(hidden) if hidden is not None else None
        #: Names that stand for rows with tokens in them: whether they are stitched, and the SELECT
        #: of what is written.
        self._rows: dict[str, tuple[bool, str]] = {}
        if not plan.queries:
            return
        stitch = plan.views.stitch
        over = self._over if self._replacer is None else self._over_tokens
        self._texts = [
            None if selection is None else over(query.relation, selection)
            for query, selection in zip(plan.queries, plan.views.selections, strict=True)
        ]
        if stitch is not None:
            self._maps = {
                name: self._over("_events", selection) + stitch.maps[name]
                for name, selection in stitch.events.items()
            }
            for name, text in self._maps.items():
                self._hold(name, duck.query(text))
            for relation, text in stitch.views:
                duck.cursor().execute(f"CREATE OR REPLACE TEMP VIEW {relation} AS {text}")
                if self._replacer is not None:
                    duck.cursor().execute(f"DROP VIEW {relation}")
                    self._hold_tokens(relation, text, is_stitched=True)

    def _hold(self, name: str, table: pa.Table) -> None:
        self._held[name] = _Held(table)
        duck.cursor().register(name, self._held[name])

    def _over(self, relation: str, selection: Selection) -> str:
        """Return what must stand before a query that reads a relation of the scanned table."""
        if selection.part not in self._parts:
            scanned = self.scanner.schema.empty_table()
            columns = [name for name in scanned.column_names if name in selection.columns]
            picker = Picker(columns, dict(selection.picked)) if selection.picked else None
            self._parts[selection.part] = f"scanned{len(self._parts)}", columns, picker
            self._hold(self._parts[selection.part][0], scanned.select(columns))
        name, _, _ = self._parts[selection.part]
        scanned = f"scanned AS NOT MATERIALIZED (FROM {name})"
        return f"WITH {scanned}, {relation} AS NOT MATERIALIZED ({selection.select}) "

    def _over_tokens(self, relation: str, selection: Selection) -> str:
        """Do what `_over` does, where queries see tokens: filters see what is written."""
        select = f"{self._over(relation, selection)}FROM {relation}"
        known = [name for name, (_, other) in self._rows.items() if other == select]
        name = known[0] if known else f"rows{len(self._rows)}"
        if not known:
            self._hold_tokens(name, select, is_stitched=False)
        return f"WITH {relation} AS NOT MATERIALIZED (FROM {name}) "

    def _hold_tokens(self, name: str, select: str, *, is_stitched: bool) -> None:
        assert self._replacer is not None
        self._rows[name] = is_stitched, select
        self._hold(name, self._replacer.replace_rows(duck.query(select)))

    def _put_tokens(self, *, is_stitched: bool) -> None:
        """Put tokens into the rows at hand that queries read."""
        for name, (is_it, select) in self._rows.items():
            if self._replacer is None or is_it != is_stitched:
                continue
            try:
                rows = self.ask(select)
            except QueryError:
                # What the error says may quote the line.
                raise QueryError(
                    "--where fails on some line; without --pseudonymise it is told on what"
                ) from None
            self._held[name].table = self._replacer.replace_rows(rows)

    def scanned(self, table: pa.Table) -> None:
        """Take in what was just scanned."""
        for name, columns, picker in self._parts.values():
            part = table.select(columns) if picker is None else picker.pick(table)
            self._held[name].table = part

    def put(self, name: str, table: pa.Table) -> None:
        """Let a name stand for other fragments."""
        self._held[name].table = table

    def fragments(self, name: str) -> pa.Table:
        """Return the fragments, for one of the tables of messages, that the scanned lines make."""
        return self.ask(self._maps[name])

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
        self._put_tokens(is_stitched=False)
        self._map(partials, lambda relation: relation not in STITCHED)

    def map_stitched(
        self, tables: Mapping[str, pa.Table], partials: list[list[list[pa.Table]]]
    ) -> None:
        """Append the partials of whole messages, of queries over them."""
        if not tables["_m"].num_rows:
            return
        for name, table in tables.items():
            self.put(name, table)
        self._put_tokens(is_stitched=True)
        self._map(partials, lambda relation: relation in STITCHED)

    def empty_partials(self) -> list[list[pa.Table]]:
        """Return the partials of no lines at all: they have the right types."""
        self.forget()
        return [
            [self._branch(query, branch, over) for branch in query.branches]
            for query, over in zip(self.plan.queries, self._texts, strict=True)
        ]

    def _map(self, partials: list[list[list[pa.Table]]], is_read: Callable[[str], bool]) -> None:
        queries = zip(self.plan.queries, self._texts, partials, strict=True)
        for query, over, branches in queries:
            if not is_read(query.relation):
                continue
            for branch, tables in zip(query.branches, branches, strict=True):
                table = self._branch(query, branch, over)
                if table.num_rows:
                    tables.append(table)

    def _branch(self, query: Query | PythonQuery, branch: Branch, over: str | None) -> pa.Table:
        table = self.ask(_with(over, branch.map_sql))
        return table if isinstance(query, Query) else query.module.map(table)


def _with(over: str | None, sql: str) -> str:
    """Put tables before a query that may have some of its own."""
    if over is None:
        return sql
    if sql.startswith("WITH "):
        return f"{over.rstrip()}, {sql.removeprefix('WITH ')}"
    return over + sql


def at_hand(plan: MapPlan) -> AtHand:
    """Return this thread's tables for a plan."""
    held: AtHand | None = getattr(_local, "held", None)
    if held is None or held.plan.views != plan.views or held.plan.queries != plan.queries:
        held = _local.held = AtHand(plan)
    held.plan = plan
    return held
