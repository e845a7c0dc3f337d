"""Ask a grouped SELECT of rows that were folded: equal ones once, with how many they were.

A kernel (`pipeline.kernels.fold`) can bring rows together that agree in the columns which keys and
conditions name. Over what it leaves, counts are sums of ``_n``, sums are sums of sums; extremes and
their like don't mind how often a value comes. Anything else needs the rows themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.sql.names import subqueries
from pipeline.sql.tree import is_expression, walk, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.sql.names import Scope
    from pipeline.sql.tree import Node

#: Aggregates of which equal rows count as one.
_IDEMPOTENT = words("approx_count_distinct bool_and bool_or max min")
_WEIGHED = "SELECT CAST(coalesce(sum(_n), 0) AS BIGINT)"


@dataclass(frozen=True, slots=True)
class Fold:
    """What a SELECT needs of its rows, in lower-case names of the relation's columns.

    Attributes
    ----------
    keys : frozenset of str
        Rows that agree in these are one.
    sums, extremes : frozenset of str
        Of these, sums do, or the least and the greatest value; they are named nowhere else.
    """

    keys: frozenset[str]
    sums: frozenset[str] = frozenset()
    extremes: frozenset[str] = frozenset()

    def together(self, other: Fold | None) -> Fold | None:
        """Return what both need; None where one's measure is the other's key."""
        if other is None:
            return None
        both = Fold(self.keys | other.keys, self.sums | other.sums, self.extremes | other.extremes)
        return both if both._is_sound() else None

    def _is_sound(self) -> bool:
        measures = self.sums | self.extremes
        return not (measures & self.keys or self.sums & self.extremes)


def fold_rows(expressions: Iterable[Node | None]) -> Fold | None:
    """Return the fold for expressions over the relation that don't mind how often a row comes."""
    keys: set[str] = set()
    for expression in expressions:
        if subqueries(expression):
            return None
        keys |= _columns(expression)
    return Fold(frozenset(keys))


def fold_calls(
    scope: Scope, calls: Mapping[str, Node]
) -> tuple[Fold, dict[str, Node]] | tuple[None, None]:
    """Return the fold for aggregate calls, and the calls over folded rows.

    Parameters
    ----------
    calls : mapping of str to dict
        By name in the partial, as they are sent: with their states exported.

    Returns
    -------
    tuple
        Of None where one of them needs the rows themselves.
    """
    keys: set[str] = set()
    measured: dict[str, set[str]] = {"sum": set(), "extreme": set()}
    folded = {}
    for name, call in calls.items():
        function = call.get("function_name", "").lower()
        arguments = [argument["expression"] for argument in call.get("arguments", [])]
        if call.get("distinct") or call.get("order_bys", {}).get("orders") or subqueries(call):
            return None, None
        keys |= _columns(call["filter"])
        folded[name] = call
        if function in ("count", "count_star"):
            folded[name] = _weighed(scope, call, arguments)
            keys |= _columns(arguments)
        elif function == "sum" and _is_column(arguments):
            measured["sum"] |= _columns(arguments)
        elif function in ("min", "max") and _is_column(arguments):
            measured["extreme"] |= _columns(arguments)
        elif function in _IDEMPOTENT:
            keys |= _columns(arguments)
        else:
            return None, None
    # The least value of a key is that of its rows.
    extremes = frozenset(measured["extreme"] - keys)
    fold = Fold(frozenset(keys), frozenset(measured["sum"]), extremes)
    return (fold, folded) if fold._is_sound() else (None, None)  # noqa: SLF001


def _weighed(scope: Scope, call: Node, arguments: list[Node]) -> Node:
    """Return what a count is over folded rows."""
    item: Node = scope.parser.parse(_WEIGHED)["select_list"][0]
    (inner,) = (
        node
        for node in walk(item)
        if is_expression(node, "FUNCTION") and node["function_name"] == "sum"
    )
    conditions: list[Node] = [call["filter"]] if call["filter"] else []
    for argument in arguments:
        (known,) = scope.parser.parse("SELECT 1 IS NOT NULL")["select_list"]
        known["children"] = [argument]
        conditions.append(known)
    if len(conditions) == 2:
        (both,) = scope.parser.parse("SELECT true AND true")["select_list"]
        both["children"] = conditions
        conditions = [both]
    inner["filter"] = conditions[0] if conditions else None
    return item


def _is_column(arguments: list[Node]) -> bool:
    return len(arguments) == 1 and (
        is_expression(arguments[0], "COLUMN_REF") and len(arguments[0]["column_names"]) == 2
    )


def _columns(tree: Any) -> set[str]:
    """Return the relation's columns that resolved expressions name."""
    return {
        node["column_names"][1].lower()
        for node in walk(tree)
        if is_expression(node, "COLUMN_REF") and len(node["column_names"]) > 1
    }
