"""Tables ↔ Parquet in memory.

``pyarrow.parquet`` imports every file system that Arrow knows, and ssl: 15 ms, a tenth of what a
run with little that is new takes. What it is made of does the same; where a version of Arrow has it
otherwise, ``pyarrow.parquet`` it is.
"""

from __future__ import annotations

import pyarrow as pa

_HOW = {
    "compression": "zstd",
    # Partials are read whole: nothing asks for what only helps to skip.
    "write_statistics": False,
}


def write_parquet(table: pa.Table) -> bytes:
    """Return a table as a Parquet file."""
    sink = pa.BufferOutputStream()
    try:
        from pyarrow._parquet import ParquetWriter

        writer = ParquetWriter(
            sink, table.schema, version="2.6", writer_engine_version="V2", store_schema=True, **_HOW
        )
        writer.write_table(table)
        writer.close()
    except (ImportError, AttributeError, TypeError):
        import pyarrow.parquet as pq

        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, **_HOW)
    return bytes(sink.getvalue())


def read_parquet(content: bytes) -> pa.Table:
    """Return the table of a Parquet file.

    Raises
    ------
    ValueError, pyarrow.ArrowException
        It is none.
    """
    source = pa.BufferReader(content)
    try:
        from pyarrow._parquet import ParquetReader

        reader = ParquetReader()
        reader.open(source)
        # Threads are started once in a process, for megabytes: these are kilobytes.
        return reader.read_all(use_threads=False)
    except (ImportError, AttributeError, TypeError):
        import pyarrow.parquet as pq

        return pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
