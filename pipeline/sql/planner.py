"""Take a SELECT apart into map, combine, finish, by DuckDB's own syntax tree.

Each SELECT that reads a relation directly becomes a `Query` of its own; all above it is ordinary
SQL over their finished results, `Plan.final_sql`. See the other modules of this
package: tree → check → names → rows or groups (states, types, aggregates).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pipeline.errors import QueryError, unknown_name
from pipeline.sql.aggregates import additive_columns, contains_aggregate
from pipeline.sql.check import Checker, has_parameters
from pipeline.sql.groups import split_groups
from pipeline.sql.names import Scope, has_window, make_scope, subqueries
from pipeline.sql.picks import picked_values
from pipeline.sql.reads import RESERVED, Read, Reader
from pipeline.sql.rows import Pieces, is_aggregated, split_rows
from pipeline.sql.tree import (
    BindError,
    Node,
    Parser,
    char_position,
    is_expression,
    location,
    quote,
    walk,
)
from pipeline.sql.types import is_lost, needs_restoring

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pipeline.sql.folds import Fold

#: The CTEs that the sections of a report become.
_SECTION = re.compile(r"_s\d+$")


@dataclass(frozen=True, slots=True)
class Branch:
    """One way of rows through map and combine.

    Attributes
    ----------
    map_sql : str
        Over the relation's name; gives rows of partial. Over an empty relation it gives the empty
        partial: without GROUP BY that is one row.
    combine_sql : str
        Over the table ``partials``, partials one after the other in split order; gives rows of
        partial, with the same columns and types. Associative, and the identity on one partial.
    folded_sql : str or None
        Does what ``map_sql`` does, over rows folded by `Query.fold` and counted in ``_n``.
    """

    map_sql: str
    combine_sql: str
    folded_sql: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """One distributed SELECT: reads one relation, runs in two phases.

    The texts are complete and hold for one thread (``threads=1``): order-dependent aggregates such
    as ``list`` follow the order of rows.

    Attributes
    ----------
    name : str
        Name under which the finished result is registered for `Plan.final_sql`.
    relation : str
        Name of the relation that the maps read.
    columns : frozenset of str
        Lower-case names of the relation's columns that the maps touch; ``count(*)`` touches none.
    branches : tuple of Branch
        One, or one more per rewritten aggregate argument (DISTINCT, mode, …).
    finish_sql : str
        Over the tables ``partials0``, ``partials1``, … (the combined partial of each branch);
        gives the SELECT's result. For ``map_only`` without ``limit`` it can be applied to each
        partial by itself.
    map_only : bool
        No aggregates, no grouping, no order: rows stream through in file order.
    limit : int or None
        For ``map_only``: stop reading after so many rows of partial, LIMIT and OFFSET together.
    picked : dict of str to frozenset of str
        Columns that its WHERE limits to some texts, and these: rows with others can be left out.
    fold : Fold or None
        How rows can be brought together before it is asked; None: it needs every row.
    """

    name: str
    relation: str
    columns: frozenset[str]
    branches: tuple[Branch, ...]
    finish_sql: str
    map_only: bool
    limit: int | None
    picked: Mapping[str, frozenset[str]] = field(default_factory=dict)
    fold: Fold | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A question taken apart.

    Attributes
    ----------
    queries : tuple of Query
        In the order of the text; their names differ.
    final_sql : str
        Ordinary SQL over the queries' names.
    columns : tuple of str
        Names of the result's columns, in order, as one plain query would name them. Two may be
        alike; the tables' own names then differ, so rename by position.
    additive : frozenset of str
        Names of columns that are counts or sums: over groups their values may be added up.
    """

    queries: tuple[Query, ...]
    final_sql: str
    columns: tuple[str, ...]
    additive: frozenset[str] = frozenset()


def plan_query(
    sql: str,
    relations: Mapping[str, Mapping[str, str]],
    parameters: Mapping[str, object] | None = None,
    unordered: Collection[str] = (),
) -> Plan:
    """Take a SELECT over relations apart.

    Parameters
    ----------
    sql : str
        One SELECT, as its author wrote it.
    relations : mapping of str to mapping of str to str
        Relations that it may read: name to columns, in order, with their DuckDB types.
    parameters : mapping of str to object, optional
        Values for ``$name`` in the text; bound into the tree as constants.
    unordered : collection of str, optional
        Relations whose rows come in an order that the splits decide: no result may depend on it.

    Returns
    -------
    Plan

    Raises
    ------
    QueryError
        If the text is wrong, or can't be split; the message names the way out.

    Examples
    --------
    >>> plan = plan_query("SELECT max(bytes) AS most FROM lines", {"lines": {"bytes": "BIGINT"}})
    >>> plan.queries[0].branches[0].map_sql
    'SELECT max(lines.bytes) EXPORT_STATE AS s0 FROM lines'
    >>> plan.final_sql
    'SELECT * FROM _q0'
    """
    with Parser(relations) as parser:
        return _Planner(parser, sql, relations, parameters or {}, unordered).plan()


def plan_report(
    tables: str,
    sections: Mapping[str, str],
    relations: Mapping[str, Mapping[str, str]],
    parameters: Mapping[str, object] | None = None,
    unordered: Collection[str] = (),
) -> dict[str, Plan]:
    """Take the SELECTs of a report apart, in one go: what they share is planned once.

    Parameters
    ----------
    tables : str
        ``WITH …``, the tables that sections share; may be empty.
    sections : mapping of str to str
        One SELECT each, by the section's name.
    relations, parameters, unordered
        As in `plan_query`.

    Returns
    -------
    dict of str to Plan
        By section. Sections that share a table share its queries: the same object, the same name.

    Raises
    ------
    QueryError
        As `plan_query`.
    """
    names = {name: f"_s{k}" for k, name in enumerate(sections)}
    head = f"{tables.rstrip()}," if tables.strip() else "WITH"
    # The line ends: a comment at the end of a section must not hide the bracket.
    ctes = ",\n".join(f"{names[name]} AS (\n{text}\n)" for name, text in sections.items())
    # What no SELECT names would not be bound, so that its errors would be found too late.
    counts = ", ".join(f"(SELECT count(*) FROM {name})" for name in names.values())
    sql = f"{head} {ctes}\nSELECT {counts}"
    with Parser(relations) as parser:
        plans = _Planner(parser, sql, relations, parameters or {}, unordered).plan_sections()
    return {name: plans[own] for name, own in names.items()}


class _Planner:
    def __init__(
        self,
        parser: Parser,
        sql: str,
        relations: Mapping[str, Mapping[str, str]],
        parameters: Mapping[str, object],
        unordered: Collection[str],
    ) -> None:
        self.unordered = unordered
        self.parser = parser
        self.sql = sql
        self.columns = relations
        every = {column.lower() for columns in relations.values() for column in columns}
        self.checker = Checker(parser, sql, every, parameters)
        self.reader = Reader(relations, sql, self.checker.error)

    def plan(self) -> Plan:
        original, query = self._prepare()
        _drop_unused(query)
        names, queries = self._split_all(original, query)
        return Plan(
            tuple(queries), self.parser.text(query), tuple(names), additive_columns(original)
        )

    def plan_sections(self) -> dict[str, Plan]:
        """Return a plan for each CTE called ``_s0``, ``_s1``, … ."""
        original, query = self._prepare()
        written = {
            entry["key"]: entry["value"]["query_node"] for entry in original["cte_map"]["map"]
        }
        additive = {name: additive_columns(node) for name, node in written.items()}
        _, queries = self._split_all(original, query)
        by_name = {made.name: made for made in queries}
        entries = query["cte_map"]["map"]
        shared = [entry for entry in entries if not _SECTION.match(entry["key"])]
        known = {entry["key"].lower(): _tables(entry) for entry in shared}
        plans = {}
        for entry in entries[len(shared) :]:
            node = entry["value"]["query_node"]
            # Where a section has tables of its own these stand behind what is shared.
            node["cte_map"]["map"] = shared + node["cte_map"]["map"]
            _drop_unused(node, known)
            used = [by_name[name] for name in sorted(_tables(node) & by_name.keys(), key=_number)]
            text = self.parser.text(node)
            plans[entry["key"]] = Plan(tuple(used), text, (), additive[entry["key"]])
        return plans

    def _prepare(self) -> tuple[Node, Node]:
        """Return the query as it is written, and made ready to be split."""
        statements = self.parser.statements(self.sql)
        if len(statements) != 1:
            raise QueryError(f"one SELECT is needed, got {len(statements)}; use WITH or UNION ALL")
        return statements[0], self.checker.prepare(statements[0])

    def _split_all(self, original: Node, query: Node) -> tuple[list[str], list[Query]]:
        """Put results in the place of SELECTs that read a relation; return names, and queries."""
        reads: list[Read] = []
        self.reader.find(query, {}, reads)
        if not reads:
            known = ", ".join(sorted(self.columns))
            raise QueryError(f"the query reads no relation: SELECT … FROM one of {known}", self.sql)
        text = self.parser.text(query) if has_parameters(original) else self.sql
        try:
            names, _ = self.parser.describe(text, self.sql)
        except BindError as error:
            raise self._unknown_column(error, query, reads) from None
        queries: list[Query] = []
        is_plain = reads[0].select is query
        for read in reads:
            name = f"_q{len(queries)}"
            made, result = self._split(read, name)
            queries.append(made)
            read.select.clear()
            read.select.update(self.parser.parse(_result_select(name, *result, is_top=is_plain)))
        return names, queries

    def _unknown_column(self, error: BindError, query: Node, reads: list[Read]) -> QueryError:
        """Name the columns that there are, where the unknown one stands in a distributed SELECT."""
        for read in reads:
            relation = self.reader.relation_of(read.select, read.ctes)
            assert relation is not None
            for node in walk(read.select):
                if _ends_with(node, error.name):
                    known = self.columns[relation]
                    message = str(unknown_name("column", error.name, known))
                    return self.checker.error(message, node)
        found = (node for node in walk(query) if _ends_with(node, error.name))
        place = next(found, None)
        return error if place is None else self.checker.error(error.message, place)

    # Splitting one.

    def _split(self, read: Read, name: str) -> tuple[Query, tuple[list[str], list[str], list[str]]]:
        """Return a query and its result: names of its table, names, types."""
        relation = self.reader.relation_of(read.select, read.ctes)
        assert relation is not None
        select = {**read.select, "cte_map": {"map": self._carried(read)}}
        scope = make_scope(self.parser, select, relation, self.columns[relation], self.sql)
        scope = replace(scope, is_ordered=relation not in self.unordered)
        names, types = self._describe(scope)
        for column, kind in zip(names, types, strict=True):
            if is_lost(kind):
                message = f"column {column!r} has the type {kind}: CAST it, to VARCHAR say"
                raise scope.error(message, select)
        own = names if _all_differ(names) else [f"c{i}" for i in range(len(names))]
        pieces = _pieces(scope, own, types)
        query = Query(
            name=name,
            relation=relation,
            columns=pieces.columns,
            branches=tuple(
                Branch(map_sql, combine_sql, folded)
                for (map_sql, combine_sql), folded in zip_longest(pieces.branches, pieces.folded)
            ),
            finish_sql=pieces.finish_sql,
            map_only=pieces.map_only,
            limit=pieces.limit,
            picked=picked_values(scope.resolve(select["where_clause"]), tuple(scope.columns)),
            fold=pieces.fold,
        )
        return query, (own, names, types)

    def _describe(self, scope: Scope) -> tuple[list[str], list[str]]:
        try:
            return self.parser.describe(self.parser.text(scope.select), self.sql)
        except QueryError as error:
            where = location(scope.select["from_table"])
            position = None if where is None else char_position(self.sql, where)
            raise QueryError(
                f"{error.message} (a SELECT that reads a relation must stand alone: it can't"
                " refer to tables around it)",
                self.sql,
                position,
            ) from None

    def _carried(self, read: Read) -> list[Node]:
        """Entries of the CTEs that subqueries may use: those that read no relation."""
        parts = {key: value for key, value in read.select.items() if key != "cte_map"}
        inner = subqueries(parts)
        if not inner:
            return []
        carried = [cte.entry for cte in read.ctes.values() if not cte.reads]
        for subquery in inner:
            node = subquery["subquery"]["node"]
            if self.reader.reads(node, read.ctes):
                raise self.checker.error(
                    "a subquery inside of a SELECT that reads a relation can't read one itself:"
                    " put both SELECTs into CTEs and join those",
                    subquery,
                )
            alone = {**node, "cte_map": {"map": carried + node["cte_map"]["map"]}}
            try:
                self.parser.describe(self.parser.text(alone), self.sql)
            except QueryError as error:
                raise self.checker.error(
                    "a subquery inside of a SELECT that reads a relation must stand alone:"
                    f" {error.message}",
                    subquery,
                ) from None
        return carried


def _drop_unused(query: Node, known: Mapping[str, set[str]] = MappingProxyType({})) -> None:
    """Drop the CTEs at the top that nothing names: their relations needn't be read.

    ``known`` holds the tables that some of them read, by the CTE's name.
    """
    named = _tables({key: value for key, value in query.items() if key != "cte_map"})
    kept: list[Node] = []
    for entry in reversed(query["cte_map"]["map"]):  # one can be named by those behind it
        name = entry["key"].lower()
        if name in named or RESERVED.match(name):  # the latter is refused
            kept.insert(0, entry)
            named |= known[name] if name in known else _tables(entry)
    query["cte_map"]["map"] = kept


def _tables(tree: Any) -> set[str]:
    """Return the names of all tables that a tree reads, lower case."""
    return {
        node["table_name"].lower()
        for node in walk(tree)
        if "class" not in node and node.get("type") == "BASE_TABLE"
    }


def _number(name: str) -> int:
    return int(name.removeprefix("_q"))


def _ends_with(node: Node, name: str) -> bool:
    return is_expression(node, "COLUMN_REF") and node["column_names"][-1] == name


def _pieces(scope: Scope, names: list[str], types: list[str]) -> Pieces:
    select = scope.select
    if select["aggregate_handling"] == "FORCE_AGGREGATES" and _is_all_constant(scope):
        select = {**select, "aggregate_handling": "STANDARD_HANDLING"}
        scope = replace(scope, select=select)
    if is_aggregated(select):
        return split_groups(scope, names)
    if select["modifiers"] and select["modifiers"][0]["type"] == "DISTINCT_MODIFIER":
        pieces = _split_distinct(scope, names)
        if pieces is not None:
            return pieces
    return split_rows(scope, names, types)


def _is_all_constant(scope: Scope) -> bool:
    """GROUP BY ALL with nothing to group by and no aggregate does not group at all."""
    resolved = scope.resolve(scope.select["select_list"])
    stars = any(is_expression(node, "STAR") for node in walk(resolved))
    return not stars and not contains_aggregate(resolved) and scope.is_constant(resolved)


def _split_distinct(scope: Scope, names: list[str]) -> Pieces | None:
    """SELECT DISTINCT without more is a grouping by all of its items: far fewer rows travel."""
    select = scope.select
    first, *others = select["modifiers"]
    if first["distinct_on_targets"] or select["qualify"] or has_window(select["select_list"]):
        return None
    grouped = replace(scope, select={**select, "modifiers": others})
    try:
        return split_groups(grouped, names, is_distinct=True)
    except QueryError:
        return None  # ordered by what is no item, or COLUMNS: over the rows, at finish


def _all_differ(names: list[str]) -> bool:
    return len({name.lower() for name in names}) == len(names)


def _result_select(
    name: str, own: list[str], names: list[str], types: list[str], *, is_top: bool
) -> str:
    """Return the SELECT that stands in a distributed SELECT's place."""
    fields = []
    for column, shown, kind in zip(own, names, types, strict=True):
        # At the top HUGEINT may stay DECIMAL(38,0), which it is in any Arrow result.
        restore = needs_restoring(kind) and not (is_top and kind == "HUGEINT")
        value = f"CAST({quote(column)} AS {kind})" if restore else quote(column)
        fields.append(value if value == quote(shown) else f"{value} AS {quote(shown)}")
    if fields == [quote(column) for column in own]:
        return f"SELECT * FROM {name}"
    return f"SELECT {', '.join(fields)} FROM {name}"
