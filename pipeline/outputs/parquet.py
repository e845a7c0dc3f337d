"""Parquet: zstd, types kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.outputs.values import to_text, unique_names

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_parquet(results: Mapping[str, pa.Table], path: Path) -> None:
    """Write one result; columns of one name are told apart, intervals become text."""
    (table,) = results.values()
    columns = [
        pa.chunked_array(map(to_text, column.chunks), type=pa.large_string())
        if _is_foreign(column.type)
        else column
        for column in table.columns
    ]
    names = unique_names(table.schema.names)
    pq.write_table(pa.Table.from_arrays(columns, names), path, compression="zstd")


def _is_foreign(kind: pa.DataType) -> bool:
    """Tell whether Parquet has no place for a type, or for one inside it."""
    if pa.types.is_interval(kind) or pa.types.is_union(kind):
        return True
    return any(_is_foreign(kind.field(n).type) for n in range(kind.num_fields))
