"""Take a SELECT apart into map, combine, finish, by DuckDB's own syntax tree.

Each SELECT that reads a relation directly becomes a `Query` of its own; all above it is ordinary
SQL over their finished results, `Plan.final_sql`. See the folder's ``sql_*`` files: tree → check →
names → rows or groups (states, types, aggregates).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import QueryError, unknown_name
from pipeline.sql_aggregates import contains_aggregate
from pipeline.sql_check import Checker, has_parameters
from pipeline.sql_groups import split_groups
from pipeline.sql_names import Scope, has_window, make_scope, subqueries
from pipeline.sql_rows import Pieces, is_aggregated, split_rows
from pipeline.sql_tree import (
    BindError,
    Node,
    Parser,
    char_position,
    is_expression,
    is_query,
    location,
    quote,
    walk,
)
from pipeline.sql_types import is_lost, needs_restoring

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    """

    map_sql: str
    combine_sql: str


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
    """

    name: str
    relation: str
    columns: frozenset[str]
    branches: tuple[Branch, ...]
    finish_sql: str
    map_only: bool
    limit: int | None


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
    """

    queries: tuple[Query, ...]
    final_sql: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class _Cte:
    """A CTE in scope: its entry in the tree, and whether it reads a relation."""

    entry: Node
    reads: bool


@dataclass(frozen=True)
class _Read:
    """A SELECT that reads a relation, with the CTEs that it can see."""

    select: Node
    ctes: Mapping[str, _Cte]


#: Names that the texts made here use.
_RESERVED = re.compile(r"(partials\d*|_q\d+|_g|_r|_b)$")


def plan_query(
    sql: str,
    relations: Mapping[str, Mapping[str, str]],
    parameters: Mapping[str, object] | None = None,
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
    'SELECT max("lines".bytes) EXPORT_STATE AS s0 FROM "lines"'
    >>> plan.final_sql
    'SELECT * FROM _q0'
    """
    with Parser(relations) as parser:
        return _Planner(parser, sql, relations, parameters or {}).plan()


class _Planner:
    def __init__(
        self,
        parser: Parser,
        sql: str,
        relations: Mapping[str, Mapping[str, str]],
        parameters: Mapping[str, object],
    ) -> None:
        self.parser = parser
        self.sql = sql
        self.relations = {name.lower(): name for name in relations}
        self.columns = relations
        every = {column.lower() for columns in relations.values() for column in columns}
        self.checker = Checker(parser, sql, every, parameters)

    def plan(self) -> Plan:
        statements = self.parser.statements(self.sql)
        if len(statements) != 1:
            raise QueryError(f"one SELECT is needed, got {len(statements)}; use WITH or UNION ALL")
        original = statements[0]
        query = self.checker.prepare(original)
        reads: list[_Read] = []
        self._find_reads(query, {}, reads)
        if not reads:
            known = ", ".join(sorted(self.columns))
            raise QueryError(f"the query reads no relation: SELECT … FROM one of {known}", self.sql)
        text = self.parser.text(query) if has_parameters(original) else self.sql
        try:
            names, types = self.parser.describe(text, self.sql)
        except BindError as error:
            raise self._unknown_column(error, query, reads) from None
        queries = []
        is_plain = reads[0].select is query
        for read in reads:
            name = f"_q{len(queries)}"
            made, result = self._split(read, name)
            queries.append(made)
            read.select.clear()
            read.select.update(self.parser.parse(_result_select(name, *result, is_top=is_plain)))
        return Plan(tuple(queries), self.parser.text(query), tuple(names))

    # Finding the SELECTs that read a relation.

    def _find_reads(self, tree: Any, ctes: Mapping[str, _Cte], reads: list[_Read]) -> None:
        if isinstance(tree, list):
            for value in tree:
                self._find_reads(value, ctes, reads)
        if not isinstance(tree, dict):
            return
        if is_query(tree):
            if self._relation_of(tree, self._with_ctes(tree, ctes, None)) is not None:
                reads.append(_Read(tree, self._with_ctes(tree, ctes, None)))
                return
            ctes = self._with_ctes(tree, ctes, reads)
            if tree["type"] == "RECURSIVE_CTE_NODE":
                ctes = {**ctes, tree["cte_name"].lower(): _Cte({}, reads=True)}
            tree = {key: value for key, value in tree.items() if key != "cte_map"}
        elif "class" not in tree and tree.get("type") == "BASE_TABLE":
            self._check_table(tree, ctes)
        for value in tree.values():
            self._find_reads(value, ctes, reads)

    def _with_ctes(
        self, query: Node, outer: Mapping[str, _Cte], reads: list[_Read] | None
    ) -> dict[str, _Cte]:
        """CTEs in scope of a query; their own reads are added to ``reads``, where given."""
        ctes = dict(outer)
        for entry in query["cte_map"]["map"]:
            name, node = entry["key"], entry["value"]["query_node"]
            if _RESERVED.match(name.lower()):
                raise QueryError(f"a CTE can't be named {name}: the name is used here", self.sql)
            does_read = self._reads(node, ctes)
            if reads is not None:
                self._find_reads(node, ctes, reads)
            ctes[name.lower()] = _Cte(entry, does_read)
        return ctes

    def _reads(self, tree: Any, ctes: Mapping[str, _Cte]) -> bool:
        """Tell whether a query reads a relation, itself or through a CTE."""
        for node in walk(tree):
            if "class" not in node and node.get("type") == "BASE_TABLE":
                cte = ctes.get(node["table_name"].lower())
                if cte.reads if cte else node["table_name"].lower() in self.relations:
                    return True
        return False

    def _relation_of(self, query: Node, ctes: Mapping[str, _Cte]) -> str | None:
        table = query.get("from_table")
        if query["type"] != "SELECT_NODE" or table is None or table["type"] != "BASE_TABLE":
            return None
        path = table["qualified_name"]["path"]
        name = path[0].lower()
        return None if len(path) > 1 or name in ctes else self.relations.get(name)

    def _check_table(self, table: Node, ctes: Mapping[str, _Cte]) -> None:
        path = table["qualified_name"]["path"]
        name = ".".join(path)
        if len(path) == 1 and name.lower() in ctes:
            return
        if name.lower() in self.relations:
            raise self.checker.error(
                f"{name} can't be joined with another table: put SELECT … FROM {name} into a CTE"
                " of its own and join the CTE, or combine relations by UNION ALL",
                table,
            )
        raise self.checker.error(str(unknown_name("relation", name, self.columns)), table)

    def _unknown_column(self, error: BindError, query: Node, reads: list[_Read]) -> QueryError:
        """Name the columns that there are, where the unknown one stands in a distributed SELECT."""
        for read in reads:
            relation = self._relation_of(read.select, read.ctes)
            for node in walk(read.select):
                if is_expression(node, "COLUMN_REF") and node["column_names"] == [error.name]:
                    known = self.columns[relation or ""]
                    message = str(unknown_name("column", error.name, known))
                    return self.checker.error(message, node)
        for node in walk(query):
            if is_expression(node, "COLUMN_REF") and node["column_names"] == [error.name]:
                return self.checker.error(error.message, node)
        return error

    # Splitting one.

    def _split(self, read: _Read, name: str) -> tuple[Query, tuple[list[str], list[str], list[str]]]:
        """Return a query and its result: names of its table, names, types."""
        relation = self._relation_of(read.select, read.ctes)
        assert relation is not None
        select = {**read.select, "cte_map": {"map": self._carried(read)}}
        scope = make_scope(self.parser, select, relation, self.columns[relation], self.sql)
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
            branches=tuple(Branch(*texts) for texts in pieces.branches),
            finish_sql=pieces.finish_sql,
            map_only=pieces.map_only,
            limit=pieces.limit,
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

    def _carried(self, read: _Read) -> list[Node]:
        """Entries of the CTEs that a distributed SELECT's subqueries may use: no relation in them."""
        parts = {key: value for key, value in read.select.items() if key != "cte_map"}
        inner = subqueries(parts)
        if not inner:
            return []
        carried = [cte.entry for cte in read.ctes.values() if not cte.reads]
        for subquery in inner:
            node = subquery["subquery"]["node"]
            if self._reads(node, read.ctes):
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
