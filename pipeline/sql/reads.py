"""Find the SELECTs that read a relation directly; refuse what reads one in any other way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import QueryError, unknown_name
from pipeline.sql.tree import Node, is_query, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Cte:
    """A CTE in scope: its entry in the tree, and whether it reads a relation."""

    entry: Node
    reads: bool


@dataclass(frozen=True)
class Read:
    """A SELECT that reads a relation, with the CTEs that it can see."""

    select: Node
    ctes: Mapping[str, Cte]


#: Names that the texts made here use.
RESERVED = re.compile(r"(partials\d*|_q\d+|_g|_r|_b)$")


class Reader:
    """Looks for relations in a query.

    Parameters
    ----------
    relations : mapping of str to anything
        Names of the relations.
    sql : str
        The user's text.
    error : function of str and dict to QueryError
        Makes an error that points at a node.
    """

    def __init__(
        self, relations: Mapping[str, object], sql: str, error: Callable[[str, Node], QueryError]
    ) -> None:
        self.names = relations
        self.relations = {name.lower(): name for name in relations}
        self.sql = sql
        self.error = error

    def find(self, tree: Any, ctes: Mapping[str, Cte], reads: list[Read]) -> None:
        """Add the SELECTs in a tree that read a relation to ``reads``.

        Raises
        ------
        QueryError
            If a relation is read in any other way, or a table is unknown.
        """
        if isinstance(tree, list):
            for value in tree:
                self.find(value, ctes, reads)
        if not isinstance(tree, dict):
            return
        if is_query(tree):
            if self.relation_of(tree, self._with_ctes(tree, ctes, None)) is not None:
                reads.append(Read(tree, self._with_ctes(tree, ctes, None)))
                return
            ctes = self._with_ctes(tree, ctes, reads)
            if tree["type"] == "RECURSIVE_CTE_NODE":
                ctes = {**ctes, tree["cte_name"].lower(): Cte({}, reads=True)}
            tree = {key: value for key, value in tree.items() if key != "cte_map"}
        elif "class" not in tree and tree.get("type") == "BASE_TABLE":
            self._check_table(tree, ctes)
        for value in tree.values():
            self.find(value, ctes, reads)

    def _with_ctes(
        self, query: Node, outer: Mapping[str, Cte], reads: list[Read] | None
    ) -> dict[str, Cte]:
        """CTEs in scope of a query; their own reads are added to ``reads``, where given."""
        ctes = dict(outer)
        for entry in query["cte_map"]["map"]:
            name, node = entry["key"], entry["value"]["query_node"]
            if RESERVED.match(name.lower()):
                raise QueryError(f"a CTE can't be named {name}: the name is used here", self.sql)
            does_read = self.reads(node, ctes)
            if reads is not None:
                self.find(node, ctes, reads)
            ctes[name.lower()] = Cte(entry, does_read)
        return ctes

    def reads(self, tree: Any, ctes: Mapping[str, Cte]) -> bool:
        """Tell whether a query reads a relation, itself or through a CTE."""
        for node in walk(tree):
            if "class" not in node and node.get("type") == "BASE_TABLE":
                cte = ctes.get(node["table_name"].lower())
                if cte.reads if cte else node["table_name"].lower() in self.relations:
                    return True
        return False

    def relation_of(self, query: Node, ctes: Mapping[str, Cte]) -> str | None:
        """Name of the relation that a query's FROM is, None if it is something else."""
        table = query.get("from_table")
        if query["type"] != "SELECT_NODE" or table is None or table["type"] != "BASE_TABLE":
            return None
        path = table["qualified_name"]["path"]
        name = path[0].lower()
        return None if len(path) > 1 or name in ctes else self.relations.get(name)

    def _check_table(self, table: Node, ctes: Mapping[str, Cte]) -> None:
        path = table["qualified_name"]["path"]
        name = ".".join(path)
        if len(path) == 1 and name.lower() in ctes:
            return
        if name.lower() in self.relations:
            raise self.error(
                f"{name} can't be joined or pivoted itself: put SELECT … FROM {name} into a CTE of"
                " its own and join the CTE, or combine relations by UNION ALL",
                table,
            )
        raise self.error(str(unknown_name("relation", name, self.names)), table)
