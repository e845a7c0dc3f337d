"""What a query reads of the scanned table: which columns, which rows, under what view."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """What one query reads under its relation's name.

    Attributes
    ----------
    columns : frozenset of str
        Of the scanned table: no more are handed to the query, since DuckDB would convert them all.
    select : str
        The relation, over a table ``scanned`` with these columns, filters included.
    picked : tuple of (str, frozenset of str)
        Rows with other values in these columns can't matter, and are left out.
    """

    columns: frozenset[str]
    select: str
    picked: tuple[tuple[str, frozenset[str]], ...] = ()

    @property
    def part(self) -> tuple[frozenset[str], tuple[tuple[str, frozenset[str]], ...]]:
        """Queries with equal parts read the same table."""
        return self.columns, self.picked
