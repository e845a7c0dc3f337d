"""Markdown: a pipe table that no log text can break out of; several results as sections.

What Markdown or HTML would take for markup is escaped, white space becomes spaces, and other
characters that can't be seen are written as escapes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.outputs import compute as pc
from pipeline.outputs.texts import (
    HOSTILE,
    build_texts,
    glue,
    join_rows,
    read_texts,
    rewrite,
)
from pipeline.outputs.values import cut_pieces, is_numeric, is_plain, to_text
from pipeline.text import escape_visibly

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from pipeline.outputs.model import Rows, Style

# The backslash is an entity, because readers differ on whether "\\|" ends a cell.
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\\": "&#92;"}
_MARKUP = r"([|`*~\[\]])"
# An underscore inside a word is no markup, and names like queue_id would be hard to read.
_EDGE = r"(?:^|[^0-9A-Za-z])_|_(?:[^0-9A-Za-z]|$)"
_OUTER = re.compile(r"(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")


def format_markdown(results: Mapping[str, Rows], style: Style) -> Iterator[bytes]:
    """Yield each result as a table; several have a title each."""
    del style
    before = ""
    for job, rows in results.items():
        if len(results) > 1:
            (title,) = read_texts(_escape_markdown(build_texts([job])))
            yield f"{before}## {title}\n\n".encode()
        yield from _format_rows(rows)
        before = "\n"


def _format_rows(rows: Rows) -> Iterator[bytes]:
    names = read_texts(_escape_markdown(build_texts(rows.schema.names)))
    marks = ["---:" if is_numeric(field.type) else "---" for field in rows.schema]
    yield f"| {' | '.join(name or '' for name in names)} |\n".encode()
    yield f"| {' | '.join(marks)} |\n".encode()
    for piece in cut_pieces(rows.batches):
        cells = [pc.fill_null(_format_column(column), "") for column in piece.columns]
        yield join_rows(glue("| ", glue(*cells, separator=" | "), " |\n"))


def _format_column(column: pa.Array) -> pa.Array:
    texts = to_text(column)
    return texts if is_plain(column.type) else _escape_markdown(texts)


def _escape_markdown(texts: pa.Array) -> pa.Array:
    """Return the texts so that Markdown shows them as they are."""
    # First, because these escapes hold backslashes, which are text to Markdown.
    texts = rewrite(texts, HOSTILE, lambda text: escape_visibly(re.sub(r"[\t\n\r]+", " ", text)))
    for character, entity in _ENTITIES.items():
        texts = pc.replace(texts, character, entity)
    texts = pc.replace_matches(texts, _MARKUP, r"\\\1")
    return rewrite(texts, _EDGE, lambda text: _OUTER.sub(r"\\_", text))
