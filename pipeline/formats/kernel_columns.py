"""Arrow columns over the buffers of a kernel that writes ``mail_columns.Columns``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.arrow import clean_text, point_view

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.model import Block


def mended(parser: Any, places: Mapping[str, int], block: Block) -> pa.Buffer | None:
    """Write the texts that are no UTF-8 into a buffer of their own; point the views at it."""
    if not parser.n_bad:
        return None
    texts = bytearray()
    names = {column: name for name, column in places.items()}
    bad = parser.buffers["bad"]
    for k in range(parser.n_bad):
        column, row, start, stop = bad[4 * k : 4 * k + 4]
        text = clean_text(bytes(block.buffer[start:stop])).encode()
        point_view(parser.buffers[names[column]], 4 * row, text, len(texts))
        texts += text
    return pa.py_buffer(texts)


def kernel_arrays(
    parser: Any, columns: Sequence[str], layout: Any, block: Block, n_rows: int
) -> list[pa.Array]:
    """Return columns of a kernel, texts as views into the block; a code is told as true or NULL."""
    texts, codes, _, _, _, places = layout
    held = parser.buffers
    beside = mended(parser, places, block)
    arrays = []
    for name in columns:
        valid = pa.py_buffer(held[f"{name}_valid"])
        if name in texts:
            buffers: list[Any] = [valid, pa.py_buffer(held[name]), pa.py_buffer(block.buffer)]
            if beside is not None:
                buffers.append(beside)
            arrays.append(pa.Array.from_buffers(pa.string_view(), n_rows, buffers))
        elif name in codes:
            arrays.append(pa.Array.from_buffers(pa.bool_(), n_rows, [None, valid]))
        else:
            numbers = pa.py_buffer(held[name])
            arrays.append(pa.Array.from_buffers(pa.int64(), n_rows, [valid, numbers]))
    return arrays


def kernel_fields(columns: Sequence[str], layout: Any) -> list[tuple[str, pa.DataType]]:
    """Return the types of what `kernel_arrays` returns."""
    texts, codes, *_ = layout
    return [
        (
            name,
            pa.string_view() if name in texts else pa.bool_() if name in codes else pa.int64(),
        )
        for name in columns
    ]
