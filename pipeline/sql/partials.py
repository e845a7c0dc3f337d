"""Write the partials of a grouped SELECT: what map sends, how it is combined, what finish reads.

Branch 0 holds one row per group with exported states. Each rewritten aggregate (DISTINCT, mode, …)
has a branch of its own: the distinct rows of keys and arguments, maybe counted. Finish reads all
branches as one table, in which ``_b`` tells a row's branch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.sql.aggregates import IN_FILE_ORDER, kind_of
from pipeline.sql.folds import fold_calls, fold_rows
from pipeline.sql.rows import Pieces, touched_columns
from pipeline.sql.states import StateColumn, read_states
from pipeline.sql.tree import Node, canonical, column, rewrite
from pipeline.sql.types import restored, transport, type_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.sql.groups import Groups


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


class Partials:
    """Writes the texts of one grouped SELECT, once its keys and aggregates are known.

    Parameters
    ----------
    groups : Groups
        The keys and aggregates.
    sets : list of list of int
        Grouping sets, as positions of keys; empty for the plain GROUP BY of all keys.
    """

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
        # What the branches need of folded rows, and what each asks of them.
        self.fold = fold_rows([*groups.keys.values(), self._where()])
        self.folded: list[str] = []
        for i, call in enumerate(groups.calls.values()):
            self._place(f"a{i}", call)

    def _place(self, name: str, call: Node) -> None:
        kind = kind_of(call)
        if kind.startswith("refused: "):
            reason = kind.removeprefix("refused: ")
            raise self.scope.error(f"{call['function_name']}() can't be split: {reason}", call)
        function = call["function_name"].lower()
        in_order = function in IN_FILE_ORDER and not call["order_bys"]["orders"]
        if in_order and not call["distinct"] and self._has_sets():
            raise self.scope.error(
                f"{function}() needs an ORDER BY inside it where grouping sets, ROLLUP or CUBE"
                f" bring groups together: {function}(x ORDER BY time)",
                call,
            )
        if in_order and not call["distinct"] and not self.scope.is_ordered:
            raise self.scope.error(
                f"{function}() needs an ORDER BY inside it: the rows of {self.scope.relation} come"
                f" in no order: {function}(x ORDER BY time)",
                call,
            )
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
        branches: list[tuple[str, str]] = []
        sources: list[tuple[int, list[str], str]] = []
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
            fold=self.fold,
            folded=tuple(self.folded) if self.fold is not None else (),
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
        self.key_types = {n: k for n, k in types.items() if n in self.key_names}
        map_sql = self._sent(text, self.key_types, types)
        self._fold(items)
        merged = [f"{state.merged} AS {name}" for name, state in states.items()]
        combine = (
            f"SELECT {_commas([*self.key_names, *merged]) or 'count(*) AS _rows'} FROM partials"
        )
        if self.key_names:
            combine += f" GROUP BY {_commas(self.key_names)}"
        return states, (map_sql, combine)

    def _fold(self, items: list[Node]) -> None:
        """Find out what this branch asks of folded rows, where it can."""
        n_keys = len(self.key_names)
        keys, calls = items[:n_keys], {item["alias"]: item for item in items[n_keys:]}
        if self.fold is None or any(kind == "last" for _, kind in self.state_calls.values()):
            self.fold = None
            return
        fold, folded = fold_calls(self.scope, calls)
        self.fold = self.fold.together(fold)
        if self.fold is None or folded is None:
            return
        items = [*keys, *({**call, "alias": name} for name, call in folded.items())]
        text = self._select(items, n_keys=n_keys)
        self.folded.append(self._sent(text, self.key_types, {item["alias"]: {} for item in items}))

    def _where(self) -> Node | None:
        where: Node | None = self.scope.resolve(self.scope.select["where_clause"])
        return where

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
            "where_clause": self._where(),
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
                message = f"a value of type {spelled} can't be sent between tasks"
                hint = "CAST it, to VARCHAR say"
                raise self.scope.error(f"{message}: {hint}", self.scope.select) from None
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
        if values.counted:
            self.fold = None  # the first of equals is taken
        elif self.fold is not None:
            self.fold = self.fold.together(fold_rows(values.columns.values()))
            self.folded.append(f"SELECT DISTINCT * FROM ({rows})")
        if not values.counted:
            return f"SELECT DISTINCT * FROM ({rows})", "SELECT DISTINCT * FROM partials"
        # Values stay in the order in which they came first: mode() takes the first of equals.
        names, count = _commas(kinds), values.count_name
        first = "min(_place)" if self.scope.is_ordered else names
        in_order = f"GROUP BY {names} ORDER BY {first}"
        placed = "(SELECT *, row_number() OVER () AS _place FROM {})"
        total = f"CAST(sum({count}) AS BIGINT) AS {count}"
        return (
            f"SELECT {names}, count(*) AS {count} FROM {placed.format(f'({rows})')} {in_order}",
            f"SELECT {names}, {total} FROM {placed.format('partials')} {in_order}",
        )

    # Finish.

    def _inner(
        self, states: dict[str, StateColumn], sources: list[tuple[int, list[str], str]]
    ) -> str:
        """Return the text of ``_g``: one row per group, a column per key and aggregate."""
        tables = []
        for i, (branch, names, expand) in enumerate(sources):
            columns = [self._restored(name) for name in [*self.key_names, *names]]
            table = f"SELECT {_commas([f'{branch} AS _b', *columns])} FROM partials{i}{expand}"
            # Grouping sets bring groups together: in an order that the splits don't change.
            in_order = f"({table} ORDER BY {_commas(self.key_names)})"
            tables.append(in_order if branch == 0 and self._has_sets() else table)
        items = list(self.key_names)
        items += [f"{state.finished} AS a{name[1:]}" for name, state in states.items()]
        items += [
            f"{self.parser.expression_text(call)} AS {name}" for name, call in self.outputs.items()
        ]
        items += [f"{text} AS {name}" for text, name in self.groups.groupings.items()]
        # Without any item (SELECT 7 FROM lines GROUP BY ()) there is still one row.
        items = items or ["count(*) AS _rows"]
        text = f"SELECT {_commas(items)} FROM ({' UNION ALL BY NAME '.join(tables)})"
        text += self._grouping()
        # In key order: ties of the user's ORDER BY then come out the same for any splits.
        return text + (f" ORDER BY {_commas(self.key_names)}" if self.key_names else "")

    def _restored(self, name: str) -> str:
        value = restored(name, self.restore.get(name, ""))
        return name if value == name else f"{value} AS {name}"

    def _has_sets(self) -> bool:
        """Tell whether grouping sets leave out keys, or are several."""
        sets = self.sets
        one_whole = len(sets) == 1 and len(set(sets[0])) == len(self.key_names)
        return bool(self.key_names and sets and not one_whole)

    def _grouping(self) -> str:
        if self._has_sets():
            sets = [f"({_commas(self.key_names[i] for i in group)})" for group in self.sets]
            return f" GROUP BY GROUPING SETS ({_commas(sets)})"
        return f" GROUP BY {_commas(self.key_names)}" if self.key_names else ""


def _return_type(expression: Node) -> dict[str, Any]:
    kind: dict[str, Any] = expression.get("return_type") or expression["value"]["type"]
    return kind


def _commas(parts: Iterable[str]) -> str:
    return ", ".join(parts)
