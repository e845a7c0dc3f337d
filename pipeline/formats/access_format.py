"""The relation ``access``: one row a line of a web server, Apache's or nginx's.

What a client wrote stays as the server escaped it. ``-`` is NULL.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.formats.base import FormatOptions, Sample, load_toml_samples, quoted, scanned_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from pipeline.formats.base import RowReader
    from pipeline.kernels.scan import Scanner
    from pipeline.model import Block

COLUMNS: dict[str, str] = {
    **dict.fromkeys(("vhost", "client_ip", "ident", "user"), "VARCHAR"),
    **dict.fromkeys(("method", "path", "query", "protocol"), "VARCHAR"),
    "status": "BIGINT",
    "size": "BIGINT",
    "referer": "VARCHAR",
    "user_agent": "VARCHAR",
    "bot": "VARCHAR",
    "request_time": "DOUBLE",
    "request_time_us": "BIGINT",
}
_MADE = {"bot": "user_agent", "request_time": "request_time_us"}
_IS_ROW = scanned_name("access", "is_row")


@dataclass(frozen=True, slots=True)
class AccessFormat:
    """Lines of web servers; ``bots`` is a file of the user's own rules."""

    bots: str | None = None
    name: ClassVar[str] = "access"
    columns: ClassVar[Mapping[str, str]] = COLUMNS
    needs: ClassVar[frozenset[str]] = frozenset({"text", "line"})
    condition: ClassVar[str] = quoted(_IS_ROW)

    def scanned(self, columns: frozenset[str], lines: frozenset[str]) -> frozenset[str]:
        """Return what the kernel must build."""
        del lines
        return frozenset(
            {_IS_ROW} | {scanned_name("access", _MADE.get(name, name)) for name in columns}
        )

    def source(self, scanned: frozenset[str]) -> str:
        """Return the scanned table: a line's time is the scanner's."""
        del scanned
        return "scanned"

    def expressions(self, columns: frozenset[str]) -> dict[str, str]:
        """Return the SQL of each column."""
        made = {}
        for name in COLUMNS:
            if name not in columns:
                continue
            text = quoted(scanned_name("access", _MADE.get(name, name)))
            if name == "request_time":
                text = f"{text} / 1e6"
            elif name == "bot":
                from pipeline.formats.bots import bot_sql

                text = bot_sql(text, self.bots)
            made[name] = text
        return made

    def reader(self, scanner: Scanner, columns: frozenset[str], max_rows: int) -> RowReader:
        """Return the compiled reader."""
        return _Reader(scanner, columns, max_rows)

    def samples(self) -> list[Sample]:
        """Return the lines beside this file."""
        path = Path(__file__).with_name("access_samples.toml")
        return load_toml_samples(path.read_text(encoding="utf-8"))


def make_format(options: FormatOptions) -> AccessFormat:
    """Return the format as the user wants it."""
    return AccessFormat(options.bots)


class _Reader:
    def __init__(self, scanner: Any, columns: frozenset[str], max_rows: int) -> None:
        from pipeline.formats.kernel_columns import kernel_fields
        from pipeline.kernels import access

        self._scanner = scanner
        self._layout = access.LAYOUT
        self._columns = [name for name in access.COLUMNS if name in columns]
        self.fields: list[tuple[str, pa.DataType]] = kernel_fields(self._columns, self._layout)
        mask = sum(access.COLUMNS[name] for name in self._columns)
        self._parser = access.AccessParser(max_rows, mask)

    def read(self, block: Block) -> list[pa.Array]:
        from pipeline.formats.kernel_columns import kernel_arrays

        s = self._scanner
        held = s.buffers
        self._parser.parse(block.buffer, s.n_rows, held["text"], held["line"], s.is_clean)
        return kernel_arrays(self._parser, self._columns, self._layout, block, s.n_rows)
