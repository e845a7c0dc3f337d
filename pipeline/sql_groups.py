"""Split a SELECT with groups or aggregates into map, combine, finish.

    map      SELECT key AS k0, sum(bytes) EXPORT_STATE AS s0 FROM lines WHERE … GROUP BY 1
    combine  SELECT k0, combine_aggr(to_aggregate_state(s0, 'sum', ['BIGINT'])) AS s0 … GROUP BY k0
    finish   SELECT _g.k0 AS day, _g.a0 AS total FROM (SELECT k0, finalize(…) AS a0 …) AS _g …

What stands above the groups (HAVING, windows, DISTINCT, ORDER BY, LIMIT, expressions) becomes an
ordinary SELECT over ``_g``. Grouping sets are rolled up over the states, at finish.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipeline.sql_aggregates import contains_aggregate, is_aggregate, kind_of
from pipeline.sql_calls import normal_call
from pipeline.sql_names import Scope
from pipeline.sql_rows import Pieces, touched_columns
from pipeline.sql_states import StateColumn, read_states
from pipeline.sql_tree import (
    Node,
    canonical,
    column,
    integer_of,
    is_expression,
    is_query,
    lambda_names,

    rewrite,
    walk,
)
from pipeline.sql_types import restored, transport, type_text

_NOTHING: frozenset[str] = frozenset()


@dataclass
class Values:
    """One rewritten aggregate's own branch: each distinct row of its arguments, maybe counted."""

    index: int
    counted: bool
    columns: dict[str, Node]  # name in the partial -> expression over the relation

    @property
    def count_name(self) -> str:
        """Name of the column that counts equal rows."""
        return f"n{self.index}"


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
        call = normal_call(self.scope.parser, call)
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
    above = _above(groups, items, names)
    assembly = _Assembly(groups, [[order[i] for i in group] for group in sets or []])
    return assembly.pieces(above)


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
        "where_clause": groups.above(select["having"]),
        "having": None,
        "qualify": groups.above(select["qualify"]),
        "modifiers": [_modifier(groups, modifier) for modifier in select["modifiers"]],
        "group_expressions": [],
        "group_sets": [],
        "aggregate_handling": "STANDARD_HANDLING",
    }


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
    """ORDER BY sees the aliases of the select list first: those stay as they are."""
    if is_expression(expression, "COLUMN_REF"):
        known = groups.scope.alias_of(expression)
        if known is not None or groups.scope.real_column(expression) is None:
            return expression
    above: Node = groups.above(expression)
    return above


class _Assembly:
    """Writes the texts, once keys and aggregates are known."""

    def __init__(self, groups: Groups, sets: list[list[int]]) -> None:
        self.groups = groups
        self.scope = groups.scope
        self.parser = groups.scope.parser
        self.sets = sets
        self.key_names = [f"k{i}" for i in range(len(groups.keys))]
        self.state_calls: dict[str, tuple[Node, str]] = {}  # s0 -> call, split or last
        self.outputs: dict[str, Node] = {}  # a0 -> call over a branch's rows
        self.values: dict[str, Values] = {}
        self.restore: dict[str, str] = {}  # column of a partial -> its type
        self.texts: list[str] = []  # whose plans tell the touched columns
        for i, call in enumerate(groups.calls.values()):
            self._place(f"a{i}", call)

    def _place(self, name: str, call: Node) -> None:
        kind = kind_of(call)
        if kind.startswith("refused: "):
            reason = kind.removeprefix("refused: ")
            raise self.scope.error(f"{call['function_name']}() can't be split: {reason}", call)
        if kind in ("split", "last"):
            self.state_calls["s" + name[1:]] = (call, kind)
        else:
            self.outputs[name] = self._values_call(call, counted=kind == "counted")

    def _values_call(self, call: Node, *, counted: bool) -> Node:
        """Return a call over the rows of its own branch; equal branches are one."""
        parts: list[Node] = [argument["expression"] for argument in call["arguments"]]
        parts = [part for part in parts if not self.scope.is_constant(part)] or parts[:1]
        parts += [order["expression"] for order in call["order_bys"]["orders"]]
        if call["filter"]:
            parts.append(call["filter"])
        same = canonical([counted, parts])
        values = self.values.get(same)
        if values is None:
            index = len(self.values) + 1
            unique = {canonical(part): part for part in parts}
            values = Values(
                index, counted, {f"d{index}_{i}": p for i, p in enumerate(unique.values())}
            )
            self.values[same] = values
        names = {canonical(part): name for name, part in values.columns.items()}

        def put(node: Node) -> Any | None:
            if node is call or "class" not in node:
                return None
            name = names.get(canonical(node))
            return None if name is None else column(name)

        over: Node = rewrite(call, put)
        own = f"_b = {values.index}"
        if over["filter"]:
            own += f" AND {over['filter']['column_names'][0]}"
        return {**over, "filter": self.parser.expression(own)}

    def pieces(self, above: Node) -> Pieces:
        """Return the finished texts."""
        branches, sources = [], []
        if self.state_calls or not self.values:
            states, branch = self._state_branch()
            branches.append(branch)
            sources.append((0, list(states), ""))
        else:
            states = {}
        for values in self.values.values():
            branches.append(self._values_branch(values))
            expand = f", range({values.count_name})" if values.counted else ""
            sources.append((values.index, list(values.columns), expand))
        inner = self._inner(states, sources)
        table = self.parser.parse(f"SELECT 1 FROM ({inner}) AS _g")["from_table"]
        return Pieces(
            branches=tuple(branches),
            finish_sql=self.parser.text({**above, "from_table": table}),
            columns=frozenset(c.lower() for c in touched_columns(self.scope, *self.texts)),
        )

    # Branch 0: one row per group with the exported states.

    def _state_branch(self) -> tuple[dict[str, StateColumn], tuple[str, str]]:
        items = self._key_items()
        calls = self.state_calls
        for name, (call, kind) in calls.items():
            # last() merges wrongly as a state, so its plain value travels, wrapped to tell
            # a last NULL from no row at all.
            item = self._wrapped_last(call) if kind == "last" else {**call, "export_state": True}
            items.append({**item, "alias": name})
        if not items:
            items.append({**self.parser.expression("count(*)"), "alias": "_rows"})
        text = self._select(items, n_keys=len(self.key_names))
        self.texts.append(text)
        types = self._types(text, items)
        states = read_states(self.scope, calls, types)
        map_sql = self._sent(text, {n: k for n, k in types.items() if n in self.key_names}, types)
        merged = [f"{state.merge()} AS {name}" for name, state in states.items()]
        combine = f"SELECT {_commas([*self.key_names, *merged]) or 'count(*) AS _rows'} FROM partials"
        if self.key_names:
            combine += f" GROUP BY {_commas(self.key_names)}"
        return states, (map_sql, combine)

    def _wrapped_last(self, call: Node) -> Node:
        wrap = self.parser.expression("struct_pack(v := 1)")
        wrap["arguments"][0]["expression"] = {**call["arguments"][0]["expression"], "alias": "v"}
        return {**call, "arguments": [{"name": "", "expression": wrap}]}

    def _types(self, text: str, items: list[Node]) -> dict[str, dict[str, Any]]:
        """Bound types of a query's columns."""
        plan = self.parser.plan(text)
        while plan["type"] != "LOGICAL_PROJECTION":  # below the CTEs that it may have
            plan = plan["children"][-1]
        names = (item["alias"] for item in items)
        return dict(zip(names, map(_return_type, plan["expressions"]), strict=True))

    def _key_items(self) -> list[Node]:
        keys = self.groups.keys.values()
        return [{**key, "alias": f"k{i}"} for i, key in enumerate(keys)]

    def _select(self, items: list[Node], n_keys: int = 0) -> str:
        """Return a SELECT of items over the filtered relation, grouped by the first ``n_keys``."""
        select = self.scope.select
        body = {
            **select,
            "select_list": items,
            "where_clause": self.scope.resolve(select["where_clause"]),
            "group_expressions": [],
            "group_sets": [],
            "aggregate_handling": "STANDARD_HANDLING",
            "having": None,
            "qualify": None,
            "modifiers": [],
        }
        if n_keys:
            positions = ", ".join(str(i + 1) for i in range(n_keys))
            grouped = self.parser.parse(f"SELECT 1 GROUP BY {positions}")
            body["group_expressions"] = grouped["group_expressions"]
            body["group_sets"] = grouped["group_sets"]
        return self.parser.text(body)

    def _sent(self, text: str, plain: dict[str, dict[str, Any]], order: dict[str, Any]) -> str:
        """Cast columns of a map that would not survive their way; remember how to get them back."""
        casts = {}
        for name, kind in plain.items():
            spelled = type_text(kind)
            try:
                on_its_way = transport(spelled)
            except ValueError:
                raise self.scope.error(
                    f"a value of type {spelled} can't be sent between tasks: CAST it, to VARCHAR say",
                    self.scope.select,
                ) from None
            if on_its_way is not None:
                casts[name] = f"CAST({name} AS {on_its_way}) AS {name}"
            self.restore[name] = spelled
        if not casts:
            return text
        return f"SELECT {_commas([casts.get(name, name) for name in order])} FROM ({text})"

    # Further branches: the distinct rows of a rewritten aggregate's arguments.

    def _values_branch(self, values: Values) -> tuple[str, str]:
        items = self._key_items()
        items += [{**part, "alias": name} for name, part in values.columns.items()]
        text = self._select(items)
        self.texts.append(text)
        kinds = self._types(text, items)
        rows = self._sent(text, kinds, kinds)
        if not values.counted:
            return f"SELECT DISTINCT * FROM ({rows})", "SELECT DISTINCT * FROM partials"
        # Values stay in the order in which they came first: mode() takes the first of equals.
        names, count = _commas(kinds), values.count_name
        return (
            f"SELECT {names}, count(*) AS {count} FROM (SELECT *, row_number() OVER () AS _place"
            f" FROM ({rows})) GROUP BY {names} ORDER BY min(_place)",
            f"SELECT {names}, CAST(sum({count}) AS BIGINT) AS {count} FROM (SELECT *,"
            f" row_number() OVER () AS _place FROM partials) GROUP BY {names} ORDER BY min(_place)",
        )

    # Finish.

    def _inner(
        self, states: dict[str, StateColumn], sources: list[tuple[int, list[str], str]]
    ) -> str:
        """Return the text of ``_g``: one row per group, a column per key and aggregate."""
        tables = []
        for i, (branch, names, expand) in enumerate(sources):
            columns = [self._restored(name) for name in [*self.key_names, *names]]
            tables.append(f"SELECT {_commas([f'{branch} AS _b', *columns])} FROM partials{i}{expand}")
        own = "_b = 0" if len(sources) > 1 else None
        items = list(self.key_names)
        items += [f"{state.finish(own)} AS a{name[1:]}" for name, state in states.items()]
        items += [
            f"{self.parser.expression_text(call)} AS {name}" for name, call in self.outputs.items()
        ]
        items += [f"{text} AS {name}" for text, name in self.groups.groupings.items()]
        text = f"SELECT {_commas(items) or '1 AS _one'} FROM ({' UNION ALL BY NAME '.join(tables)})"
        if not items:
            text = f"SELECT 1 AS _one, count(*) AS _rows FROM ({' UNION ALL BY NAME '.join(tables)})"
        text += self._grouping()
        # In key order: ties of the user's ORDER BY then come out the same for any splits.
        return text + (f" ORDER BY {_commas(self.key_names)}" if self.key_names else "")

    def _restored(self, name: str) -> str:
        value = restored(name, self.restore.get(name, ""))
        return name if value == name else f"{value} AS {name}"

    def _grouping(self) -> str:
        if not self.key_names:
            return ""
        sets = [[f"k{i}" for i in group] for group in self.sets]
        if len(sets) > 1 or (sets and len(set(sets[0])) < len(self.key_names)):
            texts = [f"({_commas(group)})" for group in sets]
            return f" GROUP BY GROUPING SETS ({_commas(texts)})"
        return f" GROUP BY {_commas(self.key_names)}"


def _return_type(expression: Node) -> dict[str, Any]:
    kind: dict[str, Any] = expression.get("return_type") or expression["value"]["type"]
    return kind


def _commas(parts: Any) -> str:
    return ", ".join(parts)


