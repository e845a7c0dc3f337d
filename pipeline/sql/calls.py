"""Bring aggregate calls that mean the same into one form, the one with the smallest state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.sql.aggregates import BEST_BY, FIRST_IN_ORDER, NULLS_LAST, ORDERED, QUANTILES
from pipeline.sql.tree import Node, Parser, is_expression, literal

if TYPE_CHECKING:
    from collections.abc import Sequence


def normal_call(parser: Parser, call: Node, *, is_ordered: bool = True) -> Node:
    """Return an aggregate call without what makes no difference to its result.

    An ORDER BY inside makes DuckDB's state hold every row, so it goes where it can: order-free
    aggregates drop it, ``first(x ORDER BY y)`` becomes an ``arg_min``, and
    ``quantile_cont(0.3 ORDER BY x DESC)`` becomes ``quantile_cont(x, -0.3)``.

    Where rows come in no order (``is_ordered``), the least value is the first of equals.
    """
    call = {**call, "alias": ""}
    name = call["function_name"].lower()
    if not is_ordered and not call["distinct"]:
        call = _without_ties(parser, call, name)
    orders = call["order_bys"]["orders"]
    if name in NULLS_LAST and len(call["arguments"]) == 2 and not orders and not call["distinct"]:
        return _by_sort_key(parser, call, name)
    if not orders or call["distinct"]:
        return call
    if name in QUANTILES and len(call["arguments"]) == 1 and len(orders) == 1:
        (share,) = call["arguments"]
        value = share["expression"]
        if orders[0]["type"] == "DESCENDING":
            value = _negative(parser, value)
        return _with(call, [orders[0]["expression"], value])
    if name in FIRST_IN_ORDER and len(call["arguments"]) == 1:
        least = parser.expression(f"{FIRST_IN_ORDER[name]}(1)")
        first = call["arguments"][0]["expression"]
        return _with({**least, "filter": call["filter"]}, [first, _sort_key(parser, orders)])
    if name not in ORDERED:
        return _with(call, [argument["expression"] for argument in call["arguments"]])
    return call


def _without_ties(parser: Parser, call: Node, name: str) -> Node:
    """Return a call whose result does not depend on the order of rows that its measure ties."""
    orders = call["order_bys"]["orders"]
    values = [argument["expression"] for argument in call["arguments"]]
    if orders and name in ORDERED and values:
        by_value = {**orders[0], "type": "ORDER_DEFAULT", "null_order": "ORDER_DEFAULT"}
        orders = [*orders, {**by_value, "expression": values[0]}]
        return {**call, "order_bys": {**call["order_bys"], "orders": orders}}
    if name not in BEST_BY or len(values) != 2 or name in NULLS_LAST:
        return call
    value, measure = values
    # A sort key is never NULL, and rows whose measure is NULL don't count.
    known = parser.expression("a IS NOT NULL")
    known["children"] = [measure]
    if call["filter"]:
        both = parser.expression("a AND b")
        both["children"] = [known, call["filter"]]
        known = both
    in_order = "DESC NULLS FIRST" if "max" in name else "ASC NULLS LAST"
    spelled = [parser.expression(literal(order)) for order in ("ASC NULLS LAST", in_order)]
    key = _with(
        parser.expression("create_sort_key(1, 'ASC')"), [measure, spelled[0], value, spelled[1]]
    )
    return _with({**call, "filter": known}, [value, key])


def _with(call: Node, arguments: Sequence[Node]) -> Node:
    """Copy a call with other arguments and no ORDER BY."""
    return {
        **call,
        "arguments": [{"name": "", "expression": value} for value in arguments],
        "order_bys": {**call["order_bys"], "orders": []},
    }


def _by_sort_key(parser: Parser, call: Node, name: str) -> Node:
    """Return ``arg_min_nulls_last(x, y)`` as an ``arg_min_null`` by a sort key."""
    function, order = NULLS_LAST[name]
    value, measure = (argument["expression"] for argument in call["arguments"])
    key = _with(
        parser.expression("create_sort_key(1, '')"), [measure, parser.expression(literal(order))]
    )
    same = parser.expression(f"{function}(1, 1)")
    return _with({**same, "filter": call["filter"]}, [value, key])


def _negative(parser: Parser, share: Node) -> Node:
    if is_expression(share, "FUNCTION") and share["function_name"] == "list_value":
        values = [_negative(parser, argument["expression"]) for argument in share["arguments"]]
        return _with(share, values)
    return parser.expression(f"-({parser.expression_text(share)})")


def _sort_key(parser: Parser, orders: Sequence[Node]) -> Node:
    """Return one value that sorts as an ORDER BY does."""
    values = []
    for order in orders:
        direction = "DESC" if order["type"] == "DESCENDING" else "ASC"
        # NULLS LAST is DuckDB's default for both directions.
        nulls = "NULLS FIRST" if order["null_order"] == "NULLS FIRST" else "NULLS LAST"
        spelled = parser.expression(literal(f"{direction} {nulls}"))
        values += [order["expression"], spelled]
    return _with(parser.expression("create_sort_key(1, 'ASC')"), values)
