"""Split a SELECT without aggregates: its rows are the partial, in file order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.sql.aggregates import contains_aggregate
from pipeline.sql.names import Scope, has_window
from pipeline.sql.tree import (
    Node,
    column,
    constant,
    integer_of,
    is_expression,
    quote,
    rewrite,
    walk,
)
from pipeline.sql.types import is_lost_in_partial, restored, transport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.sql.folds import Fold


@dataclass(frozen=True, slots=True)
class Pieces:
    """The texts that one distributed SELECT is taken apart into.

    ``branches`` are pairs of map and combine; ``columns`` are those of the relation that the maps
    touch. ``folded``: what each branch asks of rows that were brought together by ``fold``.
    """

    branches: tuple[tuple[str, str], ...]
    finish_sql: str
    columns: frozenset[str]
    map_only: bool = False
    limit: int | None = None
    fold: Fold | None = None
    folded: tuple[str, ...] = ()


def split_rows(scope: Scope, names: Sequence[str], types: Sequence[str]) -> Pieces:
    """Take a SELECT without aggregates apart.

    Parameters
    ----------
    scope : Scope
        The SELECT.
    names, types : sequence of str
        Of its result's columns; names as they shall be, unlike each other.
    """
    select = scope.select
    for part in ("select_list", "qualify"):
        scope.resolve(select[part])
    touched: Sequence[str] = touched_columns(scope, scope.parser.text(select))
    if any(node.get("replace_list") or node.get("rename_list") for node in walk(select)):
        touched = list(scope.columns.values())  # REPLACE and RENAME name columns unread
    if _is_stream(scope):
        return _stream(scope, names, types, touched)
    return _collect(scope, names, touched)


def _is_stream(scope: Scope) -> bool:
    """Tell whether each row's result depends on that row alone."""
    select = scope.select
    if has_window(select["select_list"]) or select["qualify"]:
        return False
    kinds = [modifier["type"] for modifier in select["modifiers"]]
    return kinds == [] or (kinds == ["LIMIT_MODIFIER"] and limit_of(scope) is not None)


def _stream(
    scope: Scope, names: Sequence[str], types: Sequence[str], touched: Sequence[str]
) -> Pieces:
    """Everything runs in map; finish gives the columns their names and cuts at LIMIT."""
    parser, select = scope.parser, scope.select
    n_rows = limit_of(scope)
    items = _stars_over(scope.resolve(select["select_list"]), touched)
    body = {**select, "modifiers": [], "select_list": items}
    if touched:
        # The rows go through a subquery with the columns in the relation's order, for SELECT *.
        body["from_table"] = _subquery(scope, _filtered(scope, touched))
        body["where_clause"] = None
    else:
        body["where_clause"] = scope.resolve(select["where_clause"])
    cells = [f"c{i}" for i in range(len(names))]
    casts = ", ".join(_sent(scope, c, kind) for c, kind in zip(cells, types, strict=True))
    in_order = "" if scope.is_ordered else " ORDER BY ALL"
    cut = "" if n_rows is None else f"{in_order} LIMIT {n_rows}"
    rows = f"SELECT {casts} FROM ({parser.text(body)}) AS _r({', '.join(cells)}){cut}"
    fields = ", ".join(
        f"{restored(quote(c), kind)} AS {quote(name)}"
        for c, name, kind in zip(cells, names, types, strict=True)
    )
    finish = parser.parse(f"SELECT {fields} FROM (SELECT * FROM partials0{in_order})")
    finish["modifiers"] = select["modifiers"]
    return Pieces(
        branches=((rows, f"SELECT * FROM partials{cut}"),),
        finish_sql=parser.text(finish),
        columns=frozenset(name.lower() for name in touched),
        map_only=True,
        limit=n_rows,
    )


def _collect(scope: Scope, names: Sequence[str], touched: Sequence[str]) -> Pieces:
    """Map filters; the whole SELECT runs at finish over the rows that passed."""
    parser, select = scope.parser, scope.select
    rows = parser.text(_filtered(scope, touched))
    kinds = dict(zip(*parser.describe(rows), strict=True))
    sent = ", ".join(_sent(scope, quote(name), kind) for name, kind in kinds.items())
    back = ", ".join(
        f"{restored(quote(name), kind)} AS {quote(name)}" for name, kind in kinds.items()
    )
    in_order = "" if scope.is_ordered else " ORDER BY ALL"
    top = _top_order(scope) if not any(is_lost_in_partial(k) for k in kinds.values()) else None
    map_sql, combine_sql = f"SELECT {sent} FROM ({rows})", "SELECT * FROM partials"
    if top is not None:
        map_sql = _top(scope, top, map_sql)
        combine_sql = _top(scope, top, combine_sql)
    finish = {
        **select,
        "select_list": _stars_over(select["select_list"], touched),
        "where_clause": None,
        "from_table": _subquery(scope, parser.parse(f"SELECT {back} FROM partials0{in_order}")),
    }
    fields = ", ".join(quote(name) for name in names)
    return Pieces(
        branches=((map_sql, combine_sql),),
        # Two columns of the user's may have one name.
        finish_sql=f"SELECT * FROM ({parser.text(finish)}) AS _r({fields})",
        columns=frozenset(name.lower() for name in touched),
    )


def _stars_over(items: list[Node], touched: Sequence[str]) -> list[Node]:
    """Copy select items; ``* EXCLUDE`` then names only columns that are there."""
    there = {name.lower() for name in touched}

    def change(node: Node) -> Node | None:
        if not is_expression(node, "STAR"):
            return None
        hidden = [name for name in node["exclude_list"] if name.lower() in there]
        qualified = [n for n in node["qualified_exclude_list"] if n["column"].lower() in there]
        return {**node, "exclude_list": hidden, "qualified_exclude_list": qualified}

    changed: list[Node] = rewrite(items, change)
    return changed


def _filtered(scope: Scope, touched: Sequence[str]) -> Node:
    """Return the SELECT of the touched columns of the rows that pass WHERE."""
    items = [{**column(scope.qualifier, name), "alias": name} for name in touched]
    # A SELECT needs an item, and count(*) over rows without columns needs the rows.
    items = items or [{**constant("BOOLEAN", "true"), "alias": "_row"}]
    where = scope.resolve(scope.select["where_clause"])
    return {
        **scope.select,
        "select_list": items,
        "where_clause": where,
        "modifiers": [],
        "qualify": None,
    }


def _subquery(scope: Scope, select: Node) -> Node:
    table: Node = scope.parser.parse("SELECT 1 FROM (SELECT 1) AS t")["from_table"]
    table["subquery"]["node"] = select
    return {**table, "alias": scope.qualifier}


def _sent(scope: Scope, name: str, kind: str) -> str:
    """Return the item that sends a column into a partial."""
    try:
        on_its_way = transport(kind)
    except ValueError:
        raise scope.error(
            f"a column of type {kind} can't be sent between tasks: CAST it, to VARCHAR say",
            scope.select,
        ) from None
    return name if on_its_way is None else f"CAST({name} AS {on_its_way}) AS {name}"


def _top_order(scope: Scope) -> tuple[list[Node], int] | None:
    """Return ORDER BY over the relation's columns and the number of rows, where only they count."""
    select = scope.select
    n_rows = limit_of(scope)
    kinds = [modifier["type"] for modifier in select["modifiers"]]
    if n_rows is None or kinds != ["ORDER_MODIFIER", "LIMIT_MODIFIER"] or select["qualify"]:
        return None
    if has_window(select["select_list"]) or _may_unnest(select["select_list"]):
        return None
    orders = []
    for order in select["modifiers"][0]["orders"]:
        expression = order["expression"]
        position = integer_of(expression)
        if any(is_expression(node, "STAR") for node in [*select["select_list"], expression]):
            return None
        if position is not None:
            expression = select["select_list"][position - 1]
        elif is_expression(expression, "COLUMN_REF") and (name := scope.alias_of(expression)):
            expression = scope.aliases[name]
        orders.append({**order, "expression": scope.resolve(expression)})
    if any(has_window(order["expression"]) for order in orders):
        return None
    return orders, n_rows


def _may_unnest(items: list[Node]) -> bool:
    return any(node.get("function_name", "").lower() == "unnest" for node in walk(items))


def _top(scope: Scope, top: tuple[list[Node], int], rows: str) -> str:
    """Return the first rows in an order; ties stay in file order, whatever the splits."""
    parser = scope.parser
    orders, n_rows = top
    if not scope.is_ordered:
        rows = f"SELECT * FROM ({rows}) ORDER BY ALL"
    select = parser.parse(
        f"SELECT * EXCLUDE (_place) FROM (SELECT *, row_number() OVER () AS _place FROM ({rows}))"
        f" AS {quote(scope.qualifier)} ORDER BY _place LIMIT {n_rows}"
    )
    place = select["modifiers"][0]["orders"]
    select["modifiers"][0]["orders"] = [*orders, *place]
    return parser.text(select)


def limit_of(scope: Scope) -> int | None:
    """Rows that LIMIT and OFFSET together ask for; None without LIMIT or where it is no number."""
    for modifier in scope.select["modifiers"]:
        if modifier["type"] == "LIMIT_MODIFIER" and modifier["limit_type"] == "ROW_COUNT":
            numbers = [_number(scope, modifier[part]) for part in ("limit", "offset")]
            if modifier["limit"] is None or None in numbers:
                return None
            return sum(number for number in numbers if number is not None)
    return None


def _number(scope: Scope, expression: Node | None) -> int | None:
    """Return the value of a constant expression; 0 where there is none."""
    if expression is None:
        return 0
    plain = integer_of(expression)
    if plain is not None:
        return plain
    if any(is_expression(node, "SUBQUERY") for node in walk(expression)):
        return None
    value, _ = scope.parser.constant(f"CAST({scope.parser.expression_text(expression)} AS BIGINT)")
    return None if value is None else int(value)


def touched_columns(scope: Scope, *texts: str) -> list[str]:
    """Columns of the relation that queries touch, in the relation's order."""
    touched = set()
    for text in texts:
        for node in walk(scope.parser.plan(text)):
            if node.get("type") == "LOGICAL_GET" and "names" in node:
                if node.get("function_data", {}).get("table") != scope.relation:
                    continue
                indexes = [column.get("index", 0) for column in node["column_indexes"]]
                touched |= {node["names"][i] for i in indexes if i < len(node["names"])}
    return [name for name in scope.columns.values() if name in touched]


def is_aggregated(select: Node) -> bool:
    """Tell whether a SELECT groups or aggregates."""
    return bool(
        select["group_expressions"]
        or select["group_sets"]
        or select["aggregate_handling"] == "FORCE_AGGREGATES"
        or select["having"]
        or any(contains_aggregate(select[part]) for part in ("select_list", "qualify", "modifiers"))
    )
