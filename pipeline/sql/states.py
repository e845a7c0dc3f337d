"""Exported aggregate states: their bound signature, how they are merged and finished.

Through Arrow and Parquet a state becomes a plain value; ``to_aggregate_state`` makes it a state
again, if told the function's name and *bound* argument types (``sum(UBIGINT)`` is
``sum(HUGEINT)``), its constant arguments, and its ORDER BY. The bound plan of the map query tells
all but the constants, which are taken from the syntax tree. (duckdb 2.0.0)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.sql.tree import Node, literal
from pipeline.sql.types import NULL_TYPES, is_lost_in_partial, type_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.sql.names import Scope


@dataclass(frozen=True)
class StateColumn:
    """One column of states in a partial. A NULL among the states counts for nothing.

    Attributes
    ----------
    merged : str
        Aggregate over rows of partial that merges their states.
    finished : str
        The same, and the aggregate's result from it.
    """

    merged: str
    finished: str


def read_states(
    scope: Scope,
    calls: Mapping[str, tuple[Node, str]],
    types: Mapping[str, dict[str, Any]],
) -> dict[str, StateColumn]:
    """Return the state columns of a map query.

    Parameters
    ----------
    scope : Scope
        For errors.
    calls : mapping of str to (dict, str)
        Column name to the call as written and how it is taken apart.
    types : mapping of str to dict
        Column name to its type in the bound plan.
    """
    states: dict[str, StateColumn] = {}
    for name, (call, kind) in calls.items():
        bound = types[name]
        spelled = type_text(bound)
        if is_lost_in_partial(spelled):
            raise scope.error(
                f"{call['function_name']}() can't be split over this type, {spelled}: make its"
                " argument a number or a text, by epoch() or CAST(… AS VARCHAR)",
                call,
            )
        if kind == "last":
            states[name] = _last_column(name, bound)
        else:
            merged = f"combine_aggr({_as_state(scope, name, call, bound)})"
            states[name] = StateColumn(merged, f"finalize({merged})")
    return states


def _last_column(name: str, bound: dict[str, Any]) -> StateColumn:
    """Return the column of ``last``: its value in a struct, NULL where a partial has no row."""
    kind = type_text(bound["type_info"]["child_types"][0]["second"])
    last = f"last({name}) FILTER (WHERE {name} IS NOT NULL)"
    return StateColumn(last, "NULL" if kind in NULL_TYPES else f"CAST(({last}).v AS {kind})")


def _as_state(scope: Scope, name: str, call: Node, bound: dict[str, Any]) -> str:
    """Return the expression that makes a plain value a state again."""
    properties = {
        entry["key"]: entry["value"]["value"]
        for entry in bound["type_info"]["extension_info"]["properties"]
    }
    kinds, constants = [], []
    for i, parameter in enumerate(_children(properties.get("parameters"))):
        kind, constant = _parameter(parameter)
        kinds.append(literal(kind))
        expression = call["arguments"][i]["expression"] if constant else None
        constants.append(scope.parser.expression_text(expression) if expression else "NULL")
    arguments = [name, literal(properties["function_name"]), f"[{', '.join(kinds)}]"]
    orders = [_order(order) for order in _children(properties.get("order_bys"))]
    if orders or any(constant != "NULL" for constant in constants):
        arguments.append(f"[{', '.join(constants)}]")
    if orders:
        arguments.append(f"[{', '.join(orders)}]")
    return f"to_aggregate_state({', '.join(arguments)})"


def _children(value: Any) -> list[Any]:
    """Values of a serialized list; an empty one is left out of the plan."""
    return [child["value"] for child in (value or {}).get("children", [])]


def _parameter(parameter: dict[str, Any]) -> tuple[str, bool]:
    """Return type of an argument, and whether the state's signature needs its constant value."""
    if "children" in parameter:
        kind, constant = parameter["children"]
        return type_text(kind["value"]), not constant["is_null"]
    return type_text(parameter), False


def _order(order: dict[str, Any]) -> str:
    column, direction = (child["value"] for child in order["children"])
    return f"{{'column': {column}, 'order': {literal(direction)}}}"
