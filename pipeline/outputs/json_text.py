r"""JSON: one row a line, in a list (``json``) or bare (``ndjson``).

Several results are one object keyed by job. Integers and decimals are written with all their
digits, dates and times as strings, NaN and infinities as null. Inside strings, characters that
can't be seen are ``\uXXXX``, on a terminal or not: it reads back exactly and harms nobody.
Columns of one name are told apart as ``a``, ``a_2``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.outputs.texts import glue, join_rows, quote_json
from pipeline.outputs.values import cut_pieces, to_json, unique_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.outputs.model import Rows, Style


def format_json(results: Mapping[str, Rows], style: Style) -> Iterator[bytes]:
    """Yield one result as a list of objects, several as an object of such lists."""
    del style
    if len(results) == 1:
        (rows,) = results.values()
        yield from _format_list(rows)
    else:
        before = "{"
        for job, rows in results.items():
            yield f"{before}{quote_json(job)}: ".encode()
            yield from _format_list(rows)
            before = ",\n"
        yield b"}"
    yield b"\n"


def _format_list(rows: Rows) -> Iterator[bytes]:
    chunks = _format_objects(rows, ",\n")
    # Every row has ",\n" before it; the first one has "[\n".
    yield b"[\n" + next(chunks, b",\n")[2:]
    yield from chunks
    yield b"\n]"


def format_ndjson(results: Mapping[str, Rows], style: Style) -> Iterator[bytes]:
    """Yield one result as an object a line."""
    del style
    (rows,) = results.values()
    yield from _format_objects(rows, "", "\n")


def _format_objects(rows: Rows, before: str, after: str = "") -> Iterator[bytes]:
    names = [quote_json(name) for name in unique_names(rows.schema.names)]
    for piece in cut_pieces(rows.batches):
        fields = [
            glue(f"{name}: ", to_json(column))
            for name, column in zip(names, piece.columns, strict=True)
        ]
        objects = glue(*fields, separator=", ")
        yield join_rows(glue(before + "{", objects, "}" + after))
