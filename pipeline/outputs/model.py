"""What the text formats are given: rows, whole or as they come, and a few wishes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa


class Rows(NamedTuple):
    """One result: its columns, and its rows in order, each batch read once."""

    schema: pa.Schema
    batches: Iterable[pa.RecordBatch | pa.Table]

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        """Return the rows of a whole table."""
        return cls(table.schema, [table])


@dataclass(frozen=True, slots=True)
class Style:
    """How text is written.

    Attributes
    ----------
    visible : bool
        Characters that can't be seen are written as escapes: the reader is a terminal.
    csv_safe : bool
        Cells of text that a spreadsheet would run as a formula get a ``'`` in front.
    """

    visible: bool = False
    csv_safe: bool = False
