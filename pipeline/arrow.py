"""Arrow arrays from bytes and texts, without what ``pyarrow.array`` would import."""

from __future__ import annotations

import struct
from array import array
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence


def point_view(views: memoryview, at: int, text: bytes, offset: int) -> None:
    """Write the Arrow string view of a text that lies in the second data buffer."""
    if len(text) <= 12:
        views[at : at + 4] = memoryview(struct.pack("<i12s", len(text), text)).cast("i")
    else:
        packed = struct.pack("<i4sii", len(text), text[:4], 1, offset)
        views[at : at + 4] = memoryview(packed).cast("i")


def strings(texts: Sequence[str]) -> pa.Array:
    """Return texts as an Arrow array; ``pa.array`` would import pandas where it is installed."""
    encoded = [text.encode() for text in texts]
    ends = array("i", accumulate(map(len, encoded), initial=0))
    return pa.StringArray.from_buffers(
        len(encoded), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))
    )


def values_of(column: pa.ChunkedArray) -> list[Any]:
    """Return the values of a column; of a dictionary's each is made once, not for every row."""
    if not pa.types.is_dictionary(column.type):
        return column.to_pylist()  # type: ignore[no-any-return]
    values: list[Any] = []
    for chunk in column.chunks:
        known = [*chunk.dictionary.to_pylist(), None]
        values += [known[-1 if k is None else k] for k in chunk.indices.to_pylist()]
    return values


def clean_text(text: bytes) -> str:
    """Decode; bytes that are not UTF-8 become U+FFFD, since DuckDB must never see them."""
    return text.decode("utf-8", "replace")


def pack_table(table: pa.Table) -> pa.Buffer:
    """Return a table as bytes; pickling it would take what it is a slice of along."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
        stream.write_table(table)
    return sink.getvalue()


def unpack_table(packed: pa.Buffer) -> pa.Table:
    """Return the table that `pack_table` packed."""
    return pa.ipc.open_stream(packed).read_all()
