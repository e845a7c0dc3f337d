"""What the text formats are given: rows, whole or as they come, and a few wishes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    import pyarrow as pa

    from pipeline.model import Account, Letter


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a job beside its rows; all of it may be missing.

    Attributes
    ----------
    question : str
        What the job answers, one line.
    keys : tuple of str
        The columns it groups by; empty: to be guessed from the types.
    charts : tuple of str
        How it wants to be drawn, as its header says: ``x=day y=bytes color=process mark=bar``.
    additive : frozenset of str
        Columns whose values may be added up over groups: counts and sums, no averages.
    """

    question: str = ""
    keys: tuple[str, ...] = ()
    charts: tuple[str, ...] = ()
    additive: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Occasion:
    """The run that results are of, for reports.

    Attributes
    ----------
    command : str
        The command line, as it could be typed again.
    begun : datetime
        When the run began, in local time with its zone.
    account : Account
        What was read.
    warnings : tuple of str
        What was said on stderr, escaped already.
    title : str
        What was asked; empty: the names of the results.
    alerts : mapping of str to pyarrow.Table
        Rows of the alerts that fired, by name.
    letter : Letter or None
        Of a message: its headers.
    """

    command: str
    begun: datetime
    account: Account
    warnings: tuple[str, ...] = ()
    title: str = ""
    alerts: Mapping[str, pa.Table] = field(default_factory=dict)
    letter: Letter | None = None


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
    about : mapping of str to About
        What is known of each job.
    occasion : Occasion or None
        The run, where there was one.
    """

    visible: bool = False
    csv_safe: bool = False
    about: Mapping[str, About] = field(default_factory=dict)
    occasion: Occasion | None = None
