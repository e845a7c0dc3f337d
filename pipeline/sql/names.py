"""Which column, or which alias, a name in a SELECT over one relation means.

DuckDB's rules (2.0.0): a column of the relation comes before an alias of the select list; only a
bare name in ORDER BY takes the alias first, and HAVING falls back to the alias where the column is
no group key.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import QueryError, unknown_name
from pipeline.sql.tree import (
    Node,
    Parser,
    canonical,
    char_position,
    is_expression,
    is_query,
    lambda_names,
    location,
    rewrite,
    walk,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOTHING: frozenset[str] = frozenset()
#: Words that DuckDB answers itself where no column has their name.
_SESSION_WORDS = words(
    """
    current_catalog current_role current_schema current_user session_user user
    """
)


@dataclass(frozen=True)
class Scope:
    """One distributed SELECT and what its names mean.

    Attributes
    ----------
    select : dict
        Its node.
    relation, qualifier : str
        The relation that it reads, and the name it goes by there.
    columns : mapping of str to str
        The relation's columns: lower-case to real name, in the relation's order.
    sql : str
        The user's text; positions in errors point into it.
    """

    parser: Parser
    select: Node
    relation: str
    qualifier: str
    columns: Mapping[str, str]
    sql: str
    aliases: Mapping[str, Node] = field(default_factory=dict)
    doubled: frozenset[str] = _NOTHING  # aliases of two different items: DuckDB takes either
    is_ordered: bool = True  # rows come in the order of the lines, however those are cut

    def error(self, message: str, node: Node) -> QueryError:
        """Return an error that points at a node."""
        where = location(node)
        return QueryError(
            message, self.sql, None if where is None else char_position(self.sql, where)
        )

    def resolve(
        self, tree: Any, bound: frozenset[str] = _NOTHING, active: frozenset[str] = _NOTHING
    ) -> Any:
        """Copy a tree with every column qualified and every alias replaced by what it names.

        Parameters
        ----------
        tree : node or list of nodes
            Expressions as the user wrote them.
        bound : frozenset of str
            Parameters of the lambdas around it, in lower case.
        active : frozenset of str
            Aliases being replaced, so that none is replaced inside itself.
        """

        def change(node: Node) -> Any | None:
            if is_query(node):
                return node  # a subquery stands alone, with names of its own
            if is_expression(node, "LAMBDA") and (names := lambda_names(node)):
                return {**node, "expr": self.resolve(node["expr"], bound | names, active)}
            if is_expression(node, "COLUMN_REF"):
                return self._column(node, bound, active)
            return None

        return rewrite(tree, change)

    def real_column(self, node: Node, bound: frozenset[str] = _NOTHING) -> Node | None:
        """Return a reference qualified, None if it names no column of the relation."""
        names = node["column_names"]
        if names[0].lower() in bound:
            return node
        for i in range(min(3, len(names) - 1)):
            # main.lines.day and memory.main.lines.day are lines.day
            if names[i].lower() == self.qualifier.lower() and _is_path(names[:i]):
                names = names[i + 1 :]
                break
        real = self.columns.get(names[0].lower())
        if real is None:
            return None
        return {**node, "column_names": [self.qualifier, real, *names[1:]]}

    def alias_of(self, node: Node, active: frozenset[str] = _NOTHING) -> str | None:
        """Name of the alias that a reference can mean, in lower case."""
        name: str = node["column_names"][0].lower()
        if len(node["column_names"]) > 1 or name not in self.aliases or name in active:
            return None
        if name == self.qualifier.lower():
            raise self.unknown(node)  # DuckDB takes it for the whole row
        if name in self.doubled:
            raise self.error(f"two columns are named {name}: give them different names", node)
        return name

    def is_constant(self, resolved: Any) -> bool:
        """Tell whether a resolved expression is the same for every row."""
        return not any(
            is_expression(node, "COLUMN_REF") and node["column_names"][0] == self.qualifier
            for node in walk(resolved)
        )

    def is_session_word(self, node: Node) -> bool:
        """Tell whether a reference is a word such as ``user`` that names no column here."""
        names = node["column_names"]
        return len(names) == 1 and names[0].lower() in _SESSION_WORDS

    def _column(self, node: Node, bound: frozenset[str], active: frozenset[str]) -> Node:
        real = self.real_column(node, bound)
        if real is not None:
            return real
        name = self.alias_of(node, active)
        if name is not None:
            resolved: Node = self.resolve(self.aliases[name], _NOTHING, active | {name})
            return resolved
        if self.is_session_word(node):
            return node
        raise self.unknown(node)

    def unknown(self, node: Node) -> QueryError:
        """Return the error for a reference that names nothing here."""
        names = node["column_names"]
        if len(names) == 1 and names[0].lower() == self.qualifier.lower():
            return self.error(f"{names[0]} is a whole row; name one of its columns", node)
        if len(names) > 1:
            return self.error(
                f"{'.'.join(names)} is not in {self.qualifier}. A SELECT that reads a relation"
                " can't refer to tables around it: join its finished result instead",
                node,
            )
        return self.error(str(unknown_name("column", names[0], self.columns.values())), node)


def make_scope(
    parser: Parser, select: Node, relation: str, columns: Mapping[str, str], sql: str
) -> Scope:
    """Return the scope of a SELECT whose FROM is one relation."""
    table = select["from_table"]
    known = {name.lower(): name for name in columns}
    scope = Scope(parser, select, relation, table["alias"] or relation, known, sql)
    if table["column_name_alias"]:
        raise scope.error("columns can't be renamed in FROM: use AS in the select list", table)
    for node in walk(_without_subqueries({**select, "cte_map": None, "type": ""})):
        if is_expression(node, "POSITIONAL_REFERENCE"):
            raise scope.error(f"#{node['index']} can't be used here: name the column", node)
    aliases: dict[str, Node] = {}
    doubled = set()
    for item in select["select_list"]:
        name = (item.get("alias") or "").lower()
        if name and canonical(aliases.setdefault(name, item)) != canonical(item):
            doubled.add(name)
    return replace(scope, aliases=aliases, doubled=frozenset(doubled))


def has_window(tree: Any) -> bool:
    """Tell whether expressions have a window function of their own SELECT in them."""
    return any(is_expression(node, "WINDOW") for node in walk(_without_subqueries(tree)))


def subqueries(tree: Any) -> list[Node]:
    """Subquery expressions in expressions, the outermost only."""
    found: list[Node] = []

    def collect(node: Node) -> Any | None:
        if is_expression(node, "SUBQUERY"):
            found.append(node)
            rewrite(node["child"], collect)
            return node
        return None

    rewrite(tree, collect)
    return found


def _without_subqueries(tree: Any) -> Any:
    return rewrite(tree, lambda node: {} if is_query(node) else None)


def _is_path(names: list[str]) -> bool:
    return [name.lower() for name in names] in ([], ["main"], ["memory", "main"])
