"""Redistribute rows by hash of their key: what is too much for one reducer is taken in parts.

A `Pile` keeps tables in order and moves them to disk when they are large; `partition_piles` deals
the rows of some piles out, so that rows with equal keys lie in one partition, still in order.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline import duck

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Bytes of a pile that stay in memory.
PILE_BYTES = 16 << 20
#: Rows of a partition, roughly: what is merged at once.
PARTITION_ROWS = 400_000
MAX_PARTITIONS = 256


class Pile:
    """Tables of one schema, in order; on disk beyond `PILE_BYTES`.

    Its files lie in the process's private temporary folder and go with the pile.
    """

    def __init__(self) -> None:
        self.n_rows = 0
        self._parts: list[pa.Table | _Stored] = []
        self._n_bytes = 0  # of the tables in memory

    def add(self, table: pa.Table) -> None:
        """Put a table on top."""
        if not table.num_rows:
            return
        self.n_rows += table.num_rows
        self._parts.append(table)
        self._n_bytes += table.nbytes
        if self._n_bytes > PILE_BYTES:
            self._store()

    def extend(self, later: Pile) -> None:
        """Put the tables of another pile on top; that one must not be used any more."""
        self.n_rows += later.n_rows
        self._parts += later._parts
        self._n_bytes += later._n_bytes
        if self._n_bytes > PILE_BYTES:
            self._store()

    def tables(self) -> Iterator[pa.Table]:
        """Yield the tables in order."""
        for part in self._parts:
            if isinstance(part, _Stored):
                yield from part.tables()
            else:
                yield part

    def _store(self) -> None:
        parts: list[pa.Table | _Stored] = []
        in_memory: list[pa.Table] = []
        for part in [*self._parts, None]:
            if isinstance(part, pa.Table):
                in_memory.append(part)
                continue
            if in_memory:
                writer = _Writer(in_memory[0].schema)
                for table in in_memory:
                    writer.write(table)
                parts.append(writer.finish())
                in_memory = []
            if part is not None:
                parts.append(part)
        self._parts = parts
        self._n_bytes = 0


class _Stored:
    """Tables in a file, which is removed with the object."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __del__(self) -> None:
        self.path.unlink(missing_ok=True)

    def tables(self) -> Iterator[pa.Table]:
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_stream(file) as reader:
            for batch in reader:
                yield pa.Table.from_batches([batch])


class _Writer:
    def __init__(self, schema: pa.Schema) -> None:
        handle, name = tempfile.mkstemp(suffix=".arrow", dir=duck.spill_folder())
        self._path = Path(name)
        self._file: Any = open(handle, "wb")  # noqa: SIM115, PTH123  # closed by finish
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._stream = pa.ipc.new_stream(self._file, schema, options=options)

    def write(self, table: pa.Table) -> None:
        self._stream.write_table(table)

    def finish(self) -> _Stored:
        self._stream.close()
        self._file.close()
        return _Stored(self._path)


def partition_piles(
    piles: Mapping[str, Pile], keys: Mapping[str, str], schemas: Mapping[str, pa.Schema]
) -> Iterator[dict[str, pa.Table]]:
    """Deal the rows of piles out by their keys.

    Parameters
    ----------
    piles : mapping of str to Pile
        By name.
    keys : mapping of str to str
        SQL of each pile's key, over its columns; equal values lie in one partition, whatever pile
        they come from.
    schemas : mapping of str to pyarrow.Schema
        Of each pile, for the case that it is empty.

    Yields
    ------
    dict of str to pyarrow.Table
        One partition: the rows of each pile, in their order.
    """
    n_rows = max((pile.n_rows for pile in piles.values()), default=0)
    n = min(MAX_PARTITIONS, -(-n_rows // PARTITION_ROWS))
    if n <= 1:
        yield {name: _whole([*pile.tables()], schemas[name]) for name, pile in piles.items()}
        return
    dealt = {name: _deal(pile, keys[name], n) for name, pile in piles.items()}
    for k in range(n):
        yield {name: _whole([*parts[k].tables()], schemas[name]) for name, parts in dealt.items()}


def _whole(tables: list[pa.Table], schema: pa.Schema) -> pa.Table:
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _deal(pile: Pile, key: str, n: int) -> list[Pile]:
    parts = [Pile() for _ in range(n)]
    cursor = duck.new_cursor()
    try:
        for table in pile.tables():
            cursor.register("_dealt", table)
            dealt = cursor.sql(
                f"SELECT * EXCLUDE (_place) FROM (SELECT CAST(hash({key}) % {n} AS INTEGER) AS "
                "_part, row_number() OVER () AS _place, * FROM _dealt) ORDER BY _part, _place"
            ).to_arrow_table()
            counts = dict(
                cursor.sql(
                    f"SELECT CAST(hash({key}) % {n} AS INTEGER), count(*) FROM _dealt GROUP BY ALL"
                ).fetchall()
            )
            cursor.unregister("_dealt")
            rows = dealt.drop_columns(["_part"])
            at = 0
            for k in range(n):
                parts[k].add(rows.slice(at, counts.get(k, 0)))
                at += counts.get(k, 0)
    finally:
        cursor.close()
    return parts
