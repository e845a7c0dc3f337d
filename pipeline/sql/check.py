"""Make a parsed query safe to run in many places: fix what varies, refuse what reaches outside."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pipeline.errors import QueryError, unknown_name
from pipeline.sql.aggregates import MACROS
from pipeline.sql.tree import (
    Node,
    Parser,
    canonical,
    char_position,
    constant,
    is_expression,
    is_query,
    literal,
    location,
    rewrite,
    walk,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

#: Functions of the present moment; each becomes a literal at planning.
_MOMENTS = words(
    """
    current_date current_localtime current_localtimestamp get_current_time get_current_timestamp
    now today transaction_timestamp
    """
)
#: The same, spelled without parentheses.
_MOMENT_WORDS = words("current_date current_time current_timestamp localtime localtimestamp")
_RANDOM = "its value would change with every retry of a task; hash(message) is steady"
_OUTSIDE = "it looks outside of the query"
_REFUSED = {
    **dict.fromkeys(words("gen_random_uuid random setseed uuid uuidv4 uuidv7"), _RANDOM),
    **dict.fromkeys(
        words(
            """
            current_connection_id current_query current_query_id current_setting
            current_transaction_id currval getenv getvariable json_execute_serialized_sql
            nextval parse_duckdb_log_message pg_sleep read_blob read_text setval sleep_ms stats
            txid_current vector_type which_secret write_log
            """
        ),
        _OUTSIDE,
    ),
    **dict.fromkeys(
        words("combine combine_aggr finalize to_aggregate_state"),
        "states are exported, merged and finished by this program",
    ),
}
_TABLE_FUNCTIONS = words("generate_series json_each json_tree range repeat unnest")


@dataclass(frozen=True)
class Checker:
    """What a query is checked and rewritten against.

    Attributes
    ----------
    sql : str
        The user's text; positions in errors point into it.
    columns : set of str
        Lower-case names of all columns of all relations: they hide words such as ``localtime``.
    """

    parser: Parser
    sql: str
    columns: AbstractSet[str]
    parameters: Mapping[str, object]

    def error(self, message: str, node: Node) -> QueryError:
        """Return an error that points at a node."""
        where = location(node)
        return QueryError(
            message, self.sql, None if where is None else char_position(self.sql, where)
        )

    def prepare(self, query: Node) -> Node:
        """Bind parameters, fix the moment, expand macros; refuse what can't be distributed.

        Select items that change keep the name that they had.

        Raises
        ------
        QueryError
            If the query has something in it that can't run in many places.
        """
        changed: Node = rewrite(query, self._change)
        return changed

    def _change(self, node: Node) -> Any | None:
        if is_query(node):
            return self._query(node)
        kind = node.get("class")
        if kind is None:
            self._refuse_table(node)
        elif kind == "PARAMETER":
            return self._parameter(node)
        elif kind == "FUNCTION":
            return self._function(node)
        elif kind == "COLUMN_REF":
            name = node["column_names"][0].lower()
            if len(node["column_names"]) == 1 and name in _MOMENT_WORDS - self.columns:
                return {**self._moment(name), "alias": node["alias"]}
        return None

    def _query(self, query: Node) -> Node:
        if query.get("sample"):
            raise self.error("SAMPLE can't be repeated: filter by hash(message) % 100 = 0", query)
        changed = {key: rewrite(value, self._change) for key, value in query.items()}
        for old, new in zip(
            query.get("select_list", ()), changed.get("select_list", ()), strict=True
        ):
            if not new.get("alias") and canonical(old) != canonical(new):
                new["alias"] = self.parser.expression_text(old)
        return changed

    def _refuse_table(self, node: Node) -> None:
        kind = node.get("type")
        if node.get("sample"):
            raise self.error("SAMPLE can't be repeated: filter by hash(message) % 100 = 0", node)
        if node.get("at_clause"):
            raise self.error("AT asks for a version of a table; the relations have none", node)
        if kind == "SHOW_REF":
            raise self.error("only SELECT can be run: DESCRIBE, SHOW and SUMMARIZE can't", node)
        if isinstance(kind, str) and kind.endswith("_QUERY_NODE"):
            raise self.error("only SELECT can be run: the query must not change anything", node)
        if kind == "TABLE_FUNCTION":
            name = node["function"].get("function_name", "").lower()
            if name not in _TABLE_FUNCTIONS:
                raise self.error(
                    f"the table function {name}() can't be used: {_OUTSIDE}."
                    f" Allowed: {', '.join(sorted(_TABLE_FUNCTIONS))}",
                    node,
                )

    def _function(self, node: Node) -> Node | None:
        name = node["function_name"].lower()
        if node["export_state"]:
            raise self.error(f"EXPORT_STATE can't be used: {_REFUSED['finalize']}", node)
        if name in _REFUSED:
            raise self.error(f"{name}() can't be used: {_REFUSED[name]}", node)
        if name in _MOMENTS and not node["arguments"]:
            return {**self._moment(f"{name}()"), "alias": node["alias"]}
        if name == "age" and len(node["arguments"]) == 1:
            today = {"name": "", "expression": self._moment("current_date")}
            arguments = [today, *rewrite(node["arguments"], self._change)]
            return {**node, "arguments": arguments}
        if name in MACROS or name == "ago":
            return self._expand(node, name)
        return None

    def _moment(self, expression: str) -> Node:
        value, kind = self.parser.constant(expression)
        return self.parser.expression(f"CAST({literal(value or '')} AS {kind})")

    def _expand(self, call: Node, name: str) -> Node:
        """Put a macro's definition in place of its call."""
        for field in ("distinct", "filter"):
            if call[field]:
                raise self.error(f"{name}() is a macro: it takes no {field.upper()}", call)
        names, definition = self.parser.macro(name)
        values = [argument["expression"] for argument in call["arguments"]]
        if len(values) != len(names):
            raise self.error(f"{name}() takes {len(names)} arguments, got {len(values)}", call)
        given = dict(zip(names, values, strict=True))

        def put(node: Node) -> Any | None:
            if is_expression(node, "COLUMN_REF") and len(node["column_names"]) == 1:
                return given.get(node["column_names"][0])
            return None

        body = rewrite(self.parser.expression(definition), put)
        expanded: Node = rewrite(body, self._change)
        return {**expanded, "alias": call["alias"]}

    def _parameter(self, node: Node) -> Node:
        name = node["identifier"]
        if name.isdigit():
            raise self.error("parameters have names: write $name", node)
        if name not in self.parameters:
            error = unknown_name("parameter", name, self.parameters) if self.parameters else None
            message = str(error or f"no value for the parameter ${name}: give -p {name}=VALUE")
            raise self.error(message, node)
        try:
            bound = self._value(self.parameters[name])
        except TypeError as error:
            raise self.error(f"parameter ${name}: {error}", node) from None
        return {**bound, "alias": node["alias"]}

    def _value(self, value: object) -> Node:
        if value is None:
            return constant("NULL_LITERAL", "")
        if isinstance(value, bool):
            return constant("BOOLEAN", str(value).lower())
        if isinstance(value, str):
            return constant("STRING", value)
        if isinstance(value, (list, tuple)):
            call = self.parser.expression("list_value(1)")
            call["arguments"] = [{"name": "", "expression": self._value(v)} for v in value]
            return call
        if isinstance(value, (int, Decimal)):
            return self.parser.expression(
                f"{value:f}" if isinstance(value, Decimal) else str(value)
            )
        if isinstance(value, dt.timedelta):
            parts = f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"
            return self._cast(parts, "INTERVAL")
        for kind, name in _TYPES:
            if isinstance(value, kind):
                zoned = isinstance(value, dt.datetime) and value.tzinfo is not None
                return self._cast(str(value), "TIMESTAMPTZ" if zoned else name)
        raise TypeError(f"a value of type {type(value).__name__} can't be bound")

    def _cast(self, text: str, kind: str) -> Node:
        cast = self.parser.expression(f"CAST('' AS {kind})")
        cast["child"] = constant("STRING", text)
        return cast


_TYPES: tuple[tuple[type, str], ...] = (
    (float, "DOUBLE"),
    (dt.datetime, "TIMESTAMP"),
    (dt.date, "DATE"),
    (dt.time, "TIME"),
)


def has_parameters(query: Node) -> bool:
    """Tell whether a query has parameters left."""
    return any(is_expression(node, "PARAMETER") for node in walk(query))
