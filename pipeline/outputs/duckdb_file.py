"""A DuckDB database with a table per job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from pipeline.outputs.values import unique_names

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa

# Its defaults are 80 % of the machine, and extensions from the network.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "threads": "1",
    "memory_limit": "512MB",
    "autoinstall_known_extensions": "false",
}


def write_duckdb(results: Mapping[str, pa.Table], path: Path) -> None:
    """Write a new database; a table is called after its job, whatever characters that has."""
    with duckdb.connect(str(path), config=_CONFIG) as connection:
        tables = unique_names((job or "result" for job in results), ignore_case=True)
        for name, table in zip(tables, results.values(), strict=True):
            columns = unique_names(table.schema.names, ignore_case=True)
            connection.register("sawlog rows", table.rename_columns(columns))
            quoted = name.replace("\0", "").replace('"', '""')
            connection.execute(f'CREATE TABLE "{quoted}" AS SELECT * FROM "sawlog rows"')
            connection.unregister("sawlog rows")
        # Closing writes the rest, and says nothing when the disk is full.
        connection.execute("CHECKPOINT")
