"""Split a SELECT with groups or aggregates into map, combine, finish.

    map      SELECT key AS k0, sum(bytes) EXPORT_STATE AS s0 FROM lines WHERE … GROUP BY 1
    combine  SELECT k0, combine_aggr(to_aggregate_state(s0, 'sum', ['BIGINT'])) AS s0 … GROUP BY k0
    finish   SELECT _g.k0 AS day, _g.a0 AS total FROM (SELECT k0, finalize(…) AS a0 …) AS _g …

What stands above the groups (HAVING, windows, DISTINCT, ORDER BY, LIMIT, expressions) becomes an
ordinary SELECT over ``_g``. Grouping sets are rolled up over the states, at finish.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.sql.aggregates import contains_aggregate, is_aggregate
from pipeline.sql.calls import normal_call
from pipeline.sql.partials import Partials
from pipeline.sql.tree import (
    Node,
    canonical,
    column,
    constant,
    integer_of,
    is_expression,
    is_query,
    lambda_names,
    rewrite,
    walk,
)

if TYPE_CHECKING:
    from pipeline.sql.names import Scope
    from pipeline.sql.rows import Pieces

_NOTHING: frozenset[str] = frozenset()


@dataclass
class Groups:
    """What the finish of one grouped SELECT refers to; filled while its expressions are read."""

    scope: Scope
    keys: dict[str, Node] = field(default_factory=dict)  # canonical text -> expression
    calls: dict[str, Node] = field(default_factory=dict)  # canonical text -> aggregate call
    groupings: dict[str, str] = field(default_factory=dict)  # GROUPING(k0, …) -> name

    def key_name(self, expression: Node) -> str | None:
        """Name of the key that a resolved expression is, None if it is none."""
        same = canonical(expression)
        return next((f"k{i}" for i, key in enumerate(self.keys) if key == same), None)

    def above(
        self, tree: Any, bound: frozenset[str] = _NOTHING, active: frozenset[str] = _NOTHING
    ) -> Any:
        """Copy expressions with keys and aggregates replaced by the columns of ``_g``."""

        def change(node: Node) -> Any | None:
            if is_query(node):
                return node
            kind = node.get("class")
            if kind is None or kind in ("CONSTANT", "TYPE", "STAR"):
                return None
            if kind == "LAMBDA" and (names := lambda_names(node)):
                return {**node, "expr": self.above(node["expr"], bound | names, active)}
            if kind == "COLUMN_REF":
                return self._reference(node, bound, active)
            if is_aggregate(node):
                return self._named(node, self._call_name(self.scope.resolve(node, bound, active)))
            if node.get("type") == "GROUPING_FUNCTION":
                return self._named(node, self._grouping_name(node))
            name = self.key_name(self.scope.resolve(node, bound, active))
            return None if name is None else self._named(node, name)

        return rewrite(tree, change)

    def _named(self, node: Node, name: str) -> Node:
        return {**column("_g", name), "alias": node.get("alias", "")}

    def _reference(self, node: Node, bound: frozenset[str], active: frozenset[str]) -> Node:
        real = self.scope.real_column(node, bound)
        if real is not None:
            if node["column_names"][0].lower() in bound:
                return node
            name = self.key_name(real)
            if name is not None:
                return self._named(node, name)
            if len(real["column_names"]) > 2:  # a field of a struct that is a key
                whole = {**real, "column_names": real["column_names"][:2]}
                name = self.key_name(whole)
                if name is not None:
                    return column("_g", name, *real["column_names"][2:])
        alias = self.scope.alias_of(node, active)
        if alias is not None:
            value: Node = self.above(self.scope.aliases[alias], _NOTHING, active | {alias})
            return value
        if real is not None:
            raise self.scope.error(
                f"column {real['column_names'][1]!r} must be in GROUP BY or in an aggregate", node
            )
        if self.scope.is_session_word(node):
            return node
        raise self.scope.unknown(node)

    def _call_name(self, call: Node) -> str:
        call = normal_call(self.scope.parser, call, is_ordered=self.scope.is_ordered)
        names = list(self.calls)
        same = canonical(call)
        if same not in self.calls:
            self.calls[same] = call
            names.append(same)
        return f"a{names.index(same)}"

    def _grouping_name(self, node: Node) -> str:
        names = []
        for child in node["children"]:
            name = self.key_name(self.scope.resolve(child))
            if name is None:
                raise self.scope.error("GROUPING takes expressions of GROUP BY", child)
            names.append(name)
        return self.groupings.setdefault(f"GROUPING({', '.join(names)})", f"g{len(self.groupings)}")


def split_groups(scope: Scope, names: list[str], *, is_distinct: bool = False) -> Pieces:
    """Take a SELECT with groups or aggregates apart.

    Parameters
    ----------
    scope : Scope
        The SELECT.
    names : list of str
        Of its result's columns.
    is_distinct : bool, default False
        It is a plain SELECT DISTINCT: its items are the keys.
    """
    select = scope.select
    items = expand_stars(scope)
    groups = Groups(scope)
    sets: list[list[int]] | None = None
    if is_distinct:
        expressions = items
    elif select["aggregate_handling"] == "FORCE_AGGREGATES":
        expressions = _all_keys(scope, items)
    else:
        expressions = [_group_expression(scope, items, g) for g in select["group_expressions"]]
        sets = select["group_sets"]
    order = []
    for expression in expressions:
        resolved = scope.resolve(expression)
        groups.keys.setdefault(canonical(resolved), resolved)
        order.append(list(groups.keys).index(canonical(resolved)))
    if sets and len(sets) > 1:
        _check_sets(groups, [[order[i] for i in group] for group in sets])
    above = _above(groups, items, names)
    return Partials(groups, [[order[i] for i in group] for group in sets or []]).pieces(above)


def _check_sets(groups: Groups, sets: list[list[int]]) -> None:
    """Refuse keys for which DuckDB's rollup differs from one over states (2.0.0)."""
    scope = groups.scope
    place = scope.select["group_expressions"][0]
    if any(len(set(group)) < len(group) for group in sets):
        # DuckDB keeps equal keys apart and shows the first one's value.
        raise scope.error("a key stands twice in one of the grouping sets", place)
    if any(scope.is_constant(key) for key in groups.keys.values()):
        # A constant shows its value where it is rolled up, a key NULL.
        raise scope.error("a constant can't be a key of grouping sets", place)


def expand_stars(scope: Scope) -> list[Node]:
    """Select items with ``*`` replaced by the columns that it stands for."""
    items: list[Node] = []
    for item in scope.select["select_list"]:
        if not is_expression(item, "STAR"):
            if any(is_expression(node, "STAR") for node in walk(item)):
                raise scope.error("COLUMNS can't be used beside aggregates: name the columns", item)
            items.append(item)
            continue
        if item["columns"] or item["replace_list"] or item["rename_list"]:
            raise scope.error("only a plain * can be used here: name the columns", item)
        hidden = {name.lower() for name in item["exclude_list"]}
        hidden |= {name["column"].lower() for name in item["qualified_exclude_list"]}
        items += [column(real) for name, real in scope.columns.items() if name not in hidden]
    return items


def _all_keys(scope: Scope, items: list[Node]) -> list[Node]:
    """GROUP BY ALL: the items that are neither constant nor have an aggregate in them."""
    resolved = ((item, scope.resolve(item)) for item in items)
    return [i for i, r in resolved if not contains_aggregate(r) and not scope.is_constant(r)]


def _group_expression(scope: Scope, items: list[Node], expression: Node) -> Node:
    position = integer_of(expression)
    if position is None:
        return expression
    if not 1 <= position <= len(items):
        raise scope.error(f"GROUP BY {position}: there are {len(items)} columns", expression)
    return items[position - 1]


def _above(groups: Groups, items: list[Node], names: list[str]) -> Node:
    """Return the ordinary SELECT over ``_g``; its FROM is still the relation."""
    select = groups.scope.select
    outputs = []
    for item, name in zip(items, names, strict=True):
        key = groups.key_name(groups.scope.resolve(item))
        value = groups.above(item) if key is None else column("_g", key)
        outputs.append({**value, "alias": name})
    return {
        **select,
        "select_list": outputs,
        "where_clause": groups.above(_with_aliases(groups, select["having"])),
        "having": None,
        "qualify": groups.above(select["qualify"]),
        "modifiers": [_modifier(groups, modifier) for modifier in select["modifiers"]],
        "group_expressions": [],
        "group_sets": [],
        "aggregate_handling": "STANDARD_HANDLING",
    }


def _is_column(item: Node, name: str) -> bool:
    return is_expression(item, "COLUMN_REF") and item["column_names"][-1].lower() == name


def _with_aliases(groups: Groups, having: Any) -> Any:
    """Copy HAVING with aliases put in; there they come before columns that are no key."""
    scope = groups.scope
    is_all = scope.select["aggregate_handling"] == "FORCE_AGGREGATES"

    def change(node: Node) -> Any | None:
        if is_query(node) or is_aggregate(node):
            return node
        if is_expression(node, "LAMBDA") and lambda_names(node):
            return node  # its parameters may be named like an alias: columns first, as elsewhere
        if is_expression(node, "COLUMN_REF") and (name := scope.alias_of(node)):
            real = scope.real_column(node)
            if real is None or groups.key_name(real) is None:
                return scope.aliases[name]
            if is_all and canonical(scope.resolve(scope.aliases[name])) != canonical(real):
                raise scope.error(f"{name} is a column and an alias: which is meant?", node)
        return None

    aliased = rewrite(having, change)
    if is_all:
        _refuse_bare_columns(groups, aliased)
    return aliased


def _refuse_bare_columns(groups: Groups, having: Any) -> None:
    """With GROUP BY ALL, DuckDB also groups by the columns in HAVING that are no key (2.0.0)."""

    def check(node: Node) -> Any | None:
        if is_query(node) or is_aggregate(node):
            return node
        if is_expression(node, "COLUMN_REF"):
            real = groups.scope.real_column(node)
            if real is not None and groups.key_name(real) is None:
                raise groups.scope.error(
                    "HAVING after GROUP BY ALL splits the groups by this column: name the keys"
                    " in GROUP BY",
                    node,
                )
        return None

    rewrite(having, check)


def _modifier(groups: Groups, modifier: Node) -> Node:
    if modifier["type"] == "ORDER_MODIFIER":
        orders = [
            {**order, "expression": _order_expression(groups, order["expression"])}
            for order in modifier["orders"]
        ]
        return {**modifier, "orders": orders}
    if modifier["type"] == "DISTINCT_MODIFIER":
        targets = [_order_expression(groups, target) for target in modifier["distinct_on_targets"]]
        return {**modifier, "distinct_on_targets": targets}
    return modifier


def _order_expression(groups: Groups, expression: Node) -> Node:
    """ORDER BY sees the aliases of the select list first: it names those by their position."""
    scope = groups.scope
    if is_expression(expression, "COLUMN_REF"):
        name = scope.alias_of(expression)
        if name is not None:
            # By position, since two columns may have one name and are renamed then.
            items = expand_stars(scope)
            named = [item.get("alias", "").lower() for item in items]
            if any(
                not alias and _is_column(item, name)
                for alias, item in zip(named, items, strict=True)
            ):
                raise scope.error(f"two columns are named {name}: which comes first?", expression)
            return constant("INTEGER", str(named.index(name) + 1))
        if scope.real_column(expression) is None:
            return expression
    above: Node = groups.above(expression)
    return above
