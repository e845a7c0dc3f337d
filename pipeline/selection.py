"""What a query reads of the scanned table: which columns, which rows, under what view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

#: A column of bytes or codes, and the value that a row must have there.
Condition: TypeAlias = tuple[str, str | int]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a kernel keeps of each group of rows.

    Attributes
    ----------
    name : str
        Of the column that the folded table has for it.
    kind : int
        ``COUNT`` … ``LAST`` of `pipeline.kernels.fold`.
    column : str or None
        Of the scanned table; None to count rows.
    condition : tuple of (str, str or int), optional
        Only rows that meet it count; of ``COUNT`` and ``ANY``.
    """

    name: str
    kind: int
    column: str | None = None
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Folding:
    """How a kernel brings rows of the scanned table together before a query is asked.

    Attributes
    ----------
    keys : tuple of (str, int)
        Scanned columns, and to what multiple their values are rounded down; 1: not at all.
    kept : tuple of Kept
        What is kept of rows that agree in these.
    select : str
        The relation, over a table ``scanned`` of what was folded.
    """

    keys: tuple[tuple[str, int], ...]
    kept: tuple[Kept, ...]
    select: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What one query reads under its relation's name.

    Attributes
    ----------
    columns : frozenset of str
        Of the scanned table: no more are handed to the query, since DuckDB would convert them all.
    select : str
        The relation, over a table ``scanned`` with these columns, filters included.
    picked : tuple of (str, frozenset of str or int)
        Rows with other values in these columns can't matter, and are left out.
    folding : Folding or None
        None: the query needs every row.
    """

    columns: frozenset[str]
    select: str
    picked: tuple[tuple[str, frozenset[Any]], ...] = ()
    folding: Folding | None = None

    @property
    def part(self) -> tuple[frozenset[str], tuple[tuple[str, frozenset[str]], ...]]:
        """Queries with equal parts read the same table."""
        return self.columns, self.picked
