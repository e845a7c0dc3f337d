"""Which values of a column a WHERE lets through, where it says so plainly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.sql.tree import Node, is_expression

if TYPE_CHECKING:
    from collections.abc import Sequence


def picked_values(where: Node | None, columns: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return, of each column that a condition limits to some texts, these texts.

    A row with another value, or NULL, can't pass the condition; one of these may or may not.

    Examples
    --------
    ``event = 'client' AND size > 3 AND status IN ('sent', 'bounced')`` gives ``client`` of event,
    ``sent`` and ``bounced`` of status.
    """
    picked: dict[str, frozenset[str]] = {}
    for condition in _conjuncts(where):
        found = _values(condition)
        if found is not None and found[0] in columns:
            name, values = found
            picked[name] = picked.get(name, values) & values
    return picked


def _conjuncts(where: Node | None) -> list[Node]:
    if where is None:
        return []
    if where.get("type") == "CONJUNCTION_AND":
        return [part for child in where["children"] for part in _conjuncts(child)]
    return [where]


def _values(condition: Node) -> tuple[str, frozenset[str]] | None:
    """Return column and texts of ``column = 'a'`` and ``column IN ('a', 'b')``."""
    if condition.get("type") == "COMPARE_EQUAL":
        sides = [condition["left"], condition["right"]]
    elif condition.get("type") == "COMPARE_IN":
        sides = condition["children"]
    else:
        return None
    column, *texts = sides
    if not is_expression(column, "COLUMN_REF"):
        column, texts = texts[0], [column]
        if len(sides) != 2 or not is_expression(column, "COLUMN_REF"):
            return None
    values = [_text(node) for node in texts]
    if None in values:
        return None
    return column["column_names"][-1].lower(), frozenset(v for v in values if v is not None)


def _text(node: Node) -> str | None:
    literal: Any = node.get("literal") if node.get("class") == "CONSTANT" else None
    return literal["text"] if literal and literal.get("kind") == "STRING" else None
