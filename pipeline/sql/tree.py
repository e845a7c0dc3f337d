"""Walk and rebuild DuckDB's syntax tree, the JSON of ``json_serialize_sql``.

A node is a dict. Expressions carry a ``class``, tables and SELECTs only a ``type``. What is
rebuilt here is always a copy of a node that the parser made, with some fields exchanged, so that
fields this module does not know survive.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from pipeline import duck
from pipeline.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

Node: TypeAlias = dict[str, Any]

#: DuckDB's mark for "no location".
NOWHERE = (1 << 64) - 1

_QUERY_TYPES = ("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE")
_MISSING_COLUMN = re.compile(
    r'(?:Referenced column|Table ".*" does not have a column named) "(.*)"(?: not found.*)?$'
)
_NOISE = frozenset({"alias", "query_location", "query_location_length", "qualified_name"})


class Parser:
    """DuckDB's own parser and binder, on a cursor without access to anything outside.

    Parameters
    ----------
    relations : mapping of str to mapping of str to str
        Empty tables to bind against: name to columns and their DuckDB types.
    """

    def __init__(self, relations: Mapping[str, Mapping[str, str]]) -> None:
        import duckdb

        self._error = duckdb.Error
        self._connection = duck.new_cursor()
        # One transaction: now() is the same moment in every call, and the tables stay its own.
        self._connection.execute("BEGIN")
        for name, columns in relations.items():
            fields = ", ".join(f"{quote(column)} {kind}" for column, kind in columns.items())
            self._connection.execute(f"CREATE TABLE {quote(name)} ({fields})")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.execute("ROLLBACK")
        self._connection.close()

    def statements(self, sql: str) -> list[Node]:
        """Parse a text into its statements' query nodes; `QueryError` with the place if wrong."""
        tree = json.loads(self._value("SELECT json_serialize_sql($1)", sql))
        if tree["error"]:
            raise _error_at(tree, sql)
        return [statement["node"] for statement in tree["statements"]]

    def parse(self, sql: str) -> Node:
        """Parse a text made here: exactly one SELECT."""
        (node,) = self.statements(sql)
        return node

    def expression(self, sql: str) -> Node:
        """Parse one expression made here; its nodes have no location in the user's text."""
        expression: Node = self.parse(f"SELECT {sql}")["select_list"][0]
        for node in walk(expression):
            if "query_location" in node:
                node["query_location"] = NOWHERE
        return expression

    def text(self, node: Node) -> str:
        """Turn a query node back into SQL."""
        tree = {"error": False, "statements": [{"node": node, "named_param_map": []}]}
        text: str = self._value("SELECT json_deserialize_sql($1::JSON)", json.dumps(tree))
        return text

    def expression_text(self, expression: Node) -> str:
        """Turn an expression back into SQL."""
        # The parser's own SELECT around it: its text begins with "SELECT ".
        select = self.parse("SELECT 1")
        select["select_list"] = [{**expression, "alias": ""}]
        return self.text(select).removeprefix("SELECT ")

    def describe(self, sql: str, origin: str | None = None) -> tuple[list[str], list[str]]:
        """Names and types of a query's columns, without running it.

        Parameters
        ----------
        sql : str
            The query.
        origin : str, optional
            The user's text, where ``sql`` is not it; errors then have no position.

        Raises
        ------
        QueryError
            If DuckDB can't bind the query.
        """
        try:
            relation = self._connection.sql(sql)
            return list(relation.columns), [str(kind) for kind in relation.types]
        except self._error as error:
            # The failed statement ended the transaction; the binder tells the place only as JSON.
            raise self._bind_error(sql, origin) or QueryError(
                _first_line(str(error)), sql
            ) from None

    def plan(self, sql: str) -> Node:
        """Return the bound, not optimized plan of a query; `QueryError` if it can't be bound."""
        plan = json.loads(self._plan_text(sql))
        if plan["error"]:
            raise _error_at(plan, sql, with_position=False)
        bound: Node = plan["plans"][0]
        return bound

    def constant(self, expression: str) -> tuple[str | None, str]:
        """Value as text and type of an expression that reads nothing."""
        query = f"SELECT CAST(({expression}) AS VARCHAR), typeof({expression})"
        try:
            ((value, kind),) = self._connection.execute(query).fetchall()
        except self._error as error:
            raise QueryError(_first_line(str(error))) from None
        return value, kind

    def macro(self, name: str) -> tuple[list[str], str]:
        """Parameters and definition of one of DuckDB's own macros."""
        rows = self._connection.execute(
            "SELECT parameters, macro_definition FROM duckdb_functions()"
            " WHERE function_name = $1 AND function_type = 'macro'",
            [name],
        ).fetchall()
        return rows[0][0], rows[0][1]

    def _bind_error(self, sql: str, origin: str | None) -> QueryError | None:
        answer = json.loads(self._plan_text(sql))
        if not answer["error"]:
            return None
        return _error_at(answer, origin or sql, with_position=origin in (None, sql))

    def _plan_text(self, sql: str) -> str:
        text: str = self._value(
            "SELECT json_serialize_plan($1, optimize := false, skip_null := true,"
            " skip_empty := true, skip_default := true)",
            sql,
        )
        return text

    def _value(self, query: str, argument: str) -> Any:
        # fetchall, not fetchone: a result left unfinished blocks the connection (2.0.0).
        ((value,),) = self._connection.execute(query, [argument]).fetchall()
        return value


class BindError(QueryError):
    """A column that is not there; ``name`` lets the caller say which columns there are."""

    name: str = ""


def _error_at(answer: Node, sql: str, *, with_position: bool = True) -> QueryError:
    message = _first_line(answer["error_message"])
    if message.startswith("Only SELECT"):
        return QueryError("only SELECT can be run; write the question as one SELECT", sql)
    where = answer.get("position") if with_position else None
    position = None if where is None else char_position(sql, int(where))
    missing = _MISSING_COLUMN.match(message)
    if missing:
        error = BindError(message, sql, position)
        error.name = missing[1].replace('""', '"')
        return error
    return QueryError(message, sql, position)


def _first_line(message: str) -> str:
    lines = message.strip().split("\n")
    hint = next((line for line in lines[1:] if line.startswith(("Did you mean", "Either"))), "")
    return f"{lines[0]} {hint}".strip()


def char_position(sql: str, byte_position: int) -> int:
    """DuckDB counts bytes of UTF-8; errors point at characters."""
    return len(sql.encode()[:byte_position].decode(errors="ignore"))


def words(text: str) -> frozenset[str]:
    """Return the words of a text, for tables of names."""
    return frozenset(text.split())


def quote(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as a SQL string."""
    return "'" + text.replace("'", "''") + "'"


def is_expression(node: Node, kind: str) -> bool:
    """Tell whether a node is an expression of this class."""
    return node.get("class") == kind


def is_query(node: Node) -> bool:
    """Tell whether a node is a query: a SELECT, a set operation, a recursive CTE."""
    return "class" not in node and node.get("type") in _QUERY_TYPES


def walk(tree: Any) -> Iterator[Node]:
    """Every dict in a tree, the outer before the inner."""
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from walk(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from walk(value)


def rewrite(tree: Any, change: Callable[[Node], Any | None]) -> Any:
    """Copy a tree; where ``change`` returns something for a dict, that stands in its place."""
    if isinstance(tree, dict):
        changed = change(tree)
        if changed is not None:
            return changed
        return {key: rewrite(value, change) for key, value in tree.items()}
    if isinstance(tree, list):
        return [rewrite(value, change) for value in tree]
    return tree


def canonical(expression: Any) -> str:
    """Two expressions are the same to GROUP BY when their canonical texts are."""

    def strip(tree: Any) -> Any:
        if isinstance(tree, dict):
            return {key: strip(value) for key, value in tree.items() if key not in _NOISE}
        if isinstance(tree, list):
            return [strip(value) for value in tree]
        return tree

    return json.dumps(strip(expression), sort_keys=True)


def column(*names: str) -> Node:
    """Return the node of a column reference."""
    return {
        "class": "COLUMN_REF",
        "type": "COLUMN_REF",
        "alias": "",
        "query_location": NOWHERE,
        "query_location_length": 0,
        "column_names": list(names),
    }


def constant(kind: str, text: str) -> Node:
    """Return the node of a constant; kinds as the parser names them: INTEGER, STRING, …."""
    return {
        "class": "CONSTANT",
        "type": "VALUE_CONSTANT",
        "alias": "",
        "query_location": NOWHERE,
        "query_location_length": 0,
        "literal": {"kind": kind, "text": text},
    }


def integer_of(expression: Node) -> int | None:
    """Return the value of a bare integer, as in GROUP BY 1; None for anything else."""
    if is_expression(expression, "CONSTANT"):
        value = expression["literal"]
        if value["kind"] == "INTEGER":
            return int(value["text"])
    return None


def location(node: Node) -> int | None:
    """Byte offset of a node in the text it was parsed from, None where the parser kept none."""
    where = node.get("query_location", NOWHERE)
    if where != NOWHERE:
        return int(where)
    found = (inner["query_location"] for inner in walk(node) if "query_location" in inner)
    return min((where for where in found if where != NOWHERE), default=None)


def lambda_names(node: Node) -> set[str]:
    """Parameters of a lambda, in lower case; empty for the JSON operator ``->``."""
    if node.get("syntax_type") == "SINGLE_ARROW":
        return set()
    return {
        inner["column_names"][0].lower()
        for inner in walk(node["lhs"])
        if is_expression(inner, "COLUMN_REF")
    }
