"""CSV as RFC 4180 has it, with LF: quotes only where they are needed.

A cell is quoted that holds a comma, a quote, CR, LF or NUL; all else stands as it is, so whatever
a log holds reads back exactly. NULL is empty and the empty text is ``""``. In a table of one column
NULL is ``""`` too: readers take an empty line for no row.

On a terminal, characters that can't be seen are written as escapes (`escape_visibly`): there
the harm that log text can do counts more than exactness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.outputs import compute as pc
from pipeline.outputs.texts import HOSTILE, build_texts, glue, join_rows, rewrite
from pipeline.outputs.values import cut_pieces, is_plain, to_text
from pipeline.text import escape_visibly

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from pipeline.outputs.model import Rows, Style

_QUOTED = r'[",\r\n\x00]|^$'
# As OWASP lists them; the full-width forms count as well in some spreadsheets.
_FORMULA = r"^[=+\-@\t\r\n\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]"


def format_csv(results: Mapping[str, Rows], style: Style) -> Iterator[bytes]:
    """Yield one result as CSV with a header, in chunks that end on a row."""
    (rows,) = results.values()
    names = _quote(_make_safe(build_texts(rows.schema.names), style))
    yield b",".join(name.as_buffer().to_pybytes() for name in names) + b"\n"
    yield from format_values(results, style)


def format_values(results: Mapping[str, Rows], style: Style) -> Iterator[bytes]:
    """Yield one result as CSV without a header, in chunks that end on a row."""
    (rows,) = results.values()
    null = '""' if len(rows.schema) == 1 else ""
    for piece in cut_pieces(rows.batches):
        cells = [pc.fill_null(_format_column(column, style), null) for column in piece.columns]
        yield join_rows(glue(glue(*cells, separator=","), "\n"))


def _format_column(column: pa.Array, style: Style) -> pa.Array:
    texts = to_text(column)
    return texts if is_plain(column.type) else _quote(_make_safe(texts, style))


def _make_safe(texts: pa.Array, style: Style) -> pa.Array:
    if style.csv_safe:
        texts = rewrite(texts, _FORMULA, lambda text: "'" + text)
    return rewrite(texts, HOSTILE, escape_visibly) if style.visible else texts


def _quote(texts: pa.Array) -> pa.Array:
    hits = pc.matches(texts, _QUOTED)
    if not pc.any_true(hits):
        return texts
    doubled = pc.replace(texts, '"', '""')
    return pc.if_else(hits, glue('"', doubled, '"'), texts)
