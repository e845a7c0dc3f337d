"""Markdown: a pipe table that no log text can break out of; several results as sections.

What Markdown or HTML would take for markup is escaped, white space becomes spaces, and other
characters that can't be seen are written as escapes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from pipeline.outputs.texts import HOSTILE, escape_visibly, glue, join_rows, rewrite
from pipeline.outputs.values import cut_pieces, is_numeric, is_plain, to_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from pipeline.outputs.model import Rows, Style

# The backslash is an entity, because readers differ on whether "\\|" ends a cell.
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\\": "&#92;"}
# An underscore inside a word is no markup, and names like queue_id would be hard to read.
_MARKUP = re.compile(r"[&<>\\]|[|`*~\[\]]|(?<![^\W_])_|_(?![^\W_])")
_SPECIAL = rf"[&<>\\|`*~_\[\]]|{HOSTILE}"


def format_markdown(results: Mapping[str, Rows], style: Style) -> Iterator[bytes]:
    """Yield each result as a table; several have a title each."""
    del style
    before = ""
    for job, rows in results.items():
        if len(results) > 1:
            yield f"{before}## {escape_markdown(job)}\n\n".encode()
        yield from _format_rows(rows)
        before = "\n"


def escape_markdown(text: str) -> str:
    r"""Return the text so that Markdown shows it as it is.

    Examples
    --------
    >>> print(escape_markdown("<b>|x_y\n*z*"))
    &lt;b&gt;\|x_y \*z\*
    """
    # First, because these escapes hold backslashes, which Markdown must take for text.
    text = escape_visibly(re.sub(r"[\t\n\r]+", " ", text))
    return _MARKUP.sub(lambda hit: _ENTITIES.get(hit[0]) or "\\" + hit[0], text)


def _format_rows(rows: Rows) -> Iterator[bytes]:
    marks = ["---:" if is_numeric(field.type) else "---" for field in rows.schema]
    yield f"| {' | '.join(map(escape_markdown, rows.schema.names))} |\n".encode()
    yield f"| {' | '.join(marks)} |\n".encode()
    for piece in cut_pieces(rows.batches):
        cells = [pc.fill_null(_format_column(column), "") for column in piece.columns]
        yield join_rows(glue("| ", glue(*cells, separator=" | "), " |\n"))


def _format_column(column: pa.Array) -> pa.Array:
    texts = to_text(column)
    return texts if is_plain(column.type) else rewrite(texts, _SPECIAL, escape_markdown)
