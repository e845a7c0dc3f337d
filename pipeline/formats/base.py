"""The contract of a format: what relation it makes of lines, and how.

A format is one file, ``pipeline/formats/NAME_format.py`` or ``NAME_format.toml``; README.md tells
how to write one. Its relation has a row for each line that it knows, with the columns of ``lines``
and its own. Own columns come from a reader, which works on the rows of a block while it is scanned,
or are SQL over what was scanned, or both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from pipeline.kernels.scan import Scanner
    from pipeline.model import Block


@dataclass(frozen=True, slots=True)
class FormatOptions:
    """What the user says of formats.

    Attributes
    ----------
    bots : str or None
        File with rules that tell bots by their user agent, before the built-in ones.
    json_columns : str or None
        Columns of the relation ``json``: ``level,status:int,a.b.c``.
    patterns : tuple of str
        Files of the user's own patterns.
    only : str or None
        The one format that sources have, whatever their heads look like.
    """

    bots: str | None = None
    json_columns: str | None = None
    patterns: tuple[str, ...] = ()
    only: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """A line and the columns that it must give; ``fields`` None: it is no row of the relation."""

    line: bytes
    fields: Mapping[str, object] | None


class RowReader(Protocol):
    """Builds columns of a format for the rows that a scanner holds; one per thread."""

    #: Name and type of each column, in the order in which `read` returns them.
    fields: list[tuple[str, pa.DataType]]

    def read(self, block: Block) -> list[pa.Array]:
        """Return the columns; valid until the next call."""


class Format(Protocol):
    """A format; hashable, comparable and picklable, since it is sent to the map tasks."""

    @property
    def name(self) -> str:
        """The name of its relation."""

    @property
    def columns(self) -> Mapping[str, str]:
        """Own columns, with their DuckDB types; one of ``lines`` among them takes its place."""

    @property
    def needs(self) -> frozenset[str]:
        """What a reader needs of the scanner: names of `pipeline.kernels.line_columns.COLUMNS`."""

    def scanned(self, columns: frozenset[str], lines: frozenset[str]) -> frozenset[str]:
        """Return the scanned columns that are needed beside ``lines``, those of any line.

        Columns that the format's reader builds are called ``NAME:COLUMN``.
        """

    def source(self, scanned: frozenset[str]) -> str:
        """Return what stands behind FROM; ``scanned`` itself where nothing is to be replaced.

        It has a row for each one of ``scanned``: with ``--format`` the times of ``lines`` are its.
        """

    def expressions(self, columns: frozenset[str]) -> dict[str, str]:
        """Return the SQL of own columns, over `source`."""

    @property
    def condition(self) -> str:
        """SQL condition, over `source`: which lines are rows."""

    def reader(self, scanner: Scanner, columns: frozenset[str], max_rows: int) -> RowReader | None:
        """Return what builds ``columns``, scanned names without their prefix."""

    def samples(self) -> list[Sample]:
        """Return lines of every kind that the format knows, and some that it must not know."""


def scanned_name(name: str, column: str) -> str:
    """Return the name of a format's column in scanned tables; no relation has a column like it."""
    return f"{name}:{column}"


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def load_toml_samples(text: str) -> list[Sample]:
    r"""Read ``[[sample]]`` tables of a TOML text: ``line`` and ``fields``, or ``is_row = false``.

    ``bytes`` in the place of ``line`` is text with ``\xNN`` escapes, for lines that are no UTF-8.
    ``repeat`` gives words of the line that are to be repeated so many times: ``{ A = 65536 }``.
    """
    import tomllib

    samples = []
    for table in tomllib.loads(text).get("sample", []):
        if "bytes" in table:
            line = table["bytes"].encode("latin-1").decode("unicode_escape").encode("latin-1")
        else:
            line = table["line"].encode()
        fields = dict(table.get("fields", {}))
        for word, times in table.get("repeat", {}).items():
            line = line.replace(word.encode(), word[:1].encode() * times)
            fields = {
                name: value.replace(word, word[:1] * times) if isinstance(value, str) else value
                for name, value in fields.items()
            }
        samples.append(Sample(line, fields if table.get("is_row", True) else None))
    return samples
