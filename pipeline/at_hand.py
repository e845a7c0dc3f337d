"""The tables that this thread's queries read at the moment, under the names of relations."""

from __future__ import annotations

import threading
from operator import methodcaller
from typing import TYPE_CHECKING, Any

from pipeline import duck
from pipeline.errors import QueryError
from pipeline.fold import Folder
from pipeline.pick import Picker
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


class _Held:
    """What a name stands for in DuckDB: the table at hand, asked for anew each time.

    Parameters
    ----------
    empty : pyarrow.Table
        Its columns.
    pick : callable, optional
        Makes the table at hand of what is put here, when it is asked for.
    """

    def __init__(self, empty: pa.Table, pick: Callable[[pa.Table], pa.Table] | None = None) -> None:
        self.empty = empty
        self._table = empty
        self._pick = pick
        self._is_picked = True

    def put(self, table: pa.Table) -> None:
        """Let the name stand for another table."""
        self._table = table
        self._is_picked = self._pick is None

    def forget(self) -> None:
        """Let go of the table."""
        self._table, self._is_picked = self.empty, True

    @property
    def table(self) -> pa.Table:
        """The table at hand."""
        if not self._is_picked and self._pick is not None:
            self._table, self._is_picked = self._pick(self._table), True
        return self._table

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
            events=plan.views.events,
            formats=plan.views.formats,
        )
        duck.forget_prepared()
        self._held: dict[str, _Held] = {}
        self._scanned: pa.Table | None = None
        #: Names that stand for some columns and rows of the scanned table.
        self._parts: dict[Any, str] = {}
        #: Of each query, if its rows are folded: its folder, the name of what it folded, and the
        #: text of each branch over that.
        self._folds: list[tuple[Folder, str, list[str]] | None] = []
        #: Likewise of each table of fragments.
        self._fragment_folds: dict[str, tuple[Folder, str]] = {}
        self._texts: list[str | None] = []
        hidden = plan.views.pseudonyms
        self._replacer = None
        if hidden is not None:
            from pipeline.pseudonym_columns import Replacer

            self._replacer = Replacer(hidden)
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
        self._folds = [
            self._fold(k, query, selection)
            for k, (query, selection) in enumerate(
                zip(plan.queries, plan.views.selections, strict=True)
            )
        ]
        if stitch is not None:
            self._maps = {
                name: self._over("_events", selection) + stitch.maps[name]
                for name, selection in stitch.events.items()
            }
            for name, text in self._maps.items():
                self._hold(name, duck.query(text))
            for name, folding in stitch.folds.items():
                folder = Folder(self.scanner.schema, folding, stitch.events[name].picked)
                self._hold(f"folded{name}", folder.table())
                folded = f"WITH scanned AS NOT MATERIALIZED (FROM folded{name}) "
                self._fragment_folds[name] = folder, folded + folding.select
            for relation, text in stitch.views:
                duck.cursor().execute(f"CREATE OR REPLACE TEMP VIEW {relation} AS {text}")
                if self._replacer is not None:
                    duck.cursor().execute(f"DROP VIEW {relation}")
                    self._hold_tokens(relation, text, is_stitched=True)

    def _hold(
        self, name: str, table: pa.Table, pick: Callable[[pa.Table], pa.Table] | None = None
    ) -> None:
        self._held[name] = _Held(table, pick)
        duck.cursor().register(name, self._held[name])

    def _fold(
        self, k: int, query: Query | PythonQuery, selection: Selection | None
    ) -> tuple[Folder, str, list[str]] | None:
        if selection is None or selection.folding is None:
            return None
        folder = Folder(self.scanner.schema, selection.folding, selection.picked)
        name = f"folded{k}"
        self._hold(name, folder.table())
        over = _over(name, query.relation, selection.folding.select)
        return folder, name, [_with(over, branch.folded_sql or "") for branch in query.branches]

    def _over(self, relation: str, selection: Selection) -> str:
        """Return what must stand before a query that reads a relation of the scanned table."""
        if selection.part not in self._parts:
            scanned = self.scanner.schema.empty_table()
            columns = [name for name in scanned.column_names if name in selection.columns]
            pick = (
                Picker(columns, dict(selection.picked)).pick
                if selection.picked
                else methodcaller("select", columns)
            )
            name = self._parts[selection.part] = f"scanned{len(self._parts)}"
            self._hold(name, scanned.select(columns), pick)
        return _over(self._parts[selection.part], relation, selection.select)

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
            self._held[name].put(self._replacer.replace_rows(rows))

    def begin(self) -> None:
        """Begin another split."""
        folders = [fold[0] for fold in self._folds if fold is not None]
        folders += [folder for folder, _ in self._fragment_folds.values()]
        for folder in folders:
            folder.reset()
            folder.is_useful = True

    def scanned(self, table: pa.Table) -> None:
        """Take in what was just scanned."""
        self._scanned = table
        for name in self._parts.values():
            self._held[name].put(table)

    def put(self, name: str, table: pa.Table) -> None:
        """Let a name stand for other fragments."""
        self._held[name].put(table)

    def take_fragments(self) -> tuple[dict[str, pa.Table], bool]:
        """Take in what the scanned lines tell of messages.

        Returns
        -------
        tuple of (dict of str to pyarrow.Table, bool)
            Tables of fragments that nothing folds, and whether `folded_fragments` should be asked.
        """
        tables = {}
        is_full = False
        for name, text in self._maps.items():
            if name in self._fragment_folds:
                folder, _ = self._fragment_folds[name]
                folder.take(self._scanned)
                is_full |= folder.is_full
            else:
                tables[name] = self.ask(text)
        return tables, is_full

    def folded_fragments(self) -> dict[str, pa.Table]:
        """Return the fragments that were folded since they were last asked for."""
        tables = {}
        for name, (folder, text) in self._fragment_folds.items():
            self.put(f"folded{name}", folder.table())
            tables[name] = self.ask(text)
            self._held[f"folded{name}"].forget()
            folder.reset()
        return tables

    def forget(self) -> None:
        """Let go of all tables."""
        self._scanned = None
        for held in self._held.values():
            held.forget()

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

    def map_folded(self, partials: list[list[list[pa.Table]]]) -> None:
        """Append the partials of what was folded since `begin`."""
        for fold, branches in zip(self._folds, partials, strict=True):
            if fold is not None:
                self._ask_folded(fold, branches)

    def _ask_folded(
        self, fold: tuple[Folder, str, list[str]], branches: list[list[pa.Table]]
    ) -> None:
        folder, name, texts = fold
        groups = folder.table()
        if not groups.num_rows:
            return
        self.put(name, groups)
        for text, tables in zip(texts, branches, strict=True):
            table = self.ask(text)
            if table.num_rows:
                tables.append(table)
        self._held[name].forget()
        folder.reset()

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
        selections = self.plan.views.selections
        queries = zip(
            self.plan.queries, selections, self._texts, self._folds, partials, strict=True
        )
        for query, selection, over, fold, branches in queries:
            if not is_read(query.relation):
                continue
            if fold is not None and fold[0].is_useful and fold[0].take(self._scanned):
                if fold[0].is_full or not fold[0].is_useful:
                    self._ask_folded(fold, branches)
                continue
            if selection is not None and selection.picked and self._has_nothing(selection):
                continue
            for branch, tables in zip(query.branches, branches, strict=True):
                table = self._branch(query, branch, over)
                if table.num_rows:
                    tables.append(table)

    def _has_nothing(self, selection: Selection) -> bool:
        """Tell whether no scanned line has what a query asks for: then it needn't be asked."""
        return not self._held[self._parts[selection.part]].table.num_rows

    def _branch(self, query: Query | PythonQuery, branch: Branch, over: str | None) -> pa.Table:
        table = self.ask(_with(over, branch.map_sql))
        return table if isinstance(query, Query) else query.module.map(table)


def _over(scanned: str, relation: str, select: str) -> str:
    """Return what must stand before a query: its relation, over a table."""
    return (
        f"WITH scanned AS NOT MATERIALIZED (FROM {scanned}), "
        f"{relation} AS NOT MATERIALIZED ({select}) "
    )


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
