"""Redistribute rows by hash of their key: what is too much for one reducer is taken in parts.

A `Pile` keeps tables in order and moves them to disk when they are large; `partition_piles` deals
the rows of some piles out, so that rows with equal keys lie in one partition, still in order.
"""

from __future__ import annotations

import os
import tempfile
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline import duck
from pipeline.arrow import pack_table, unpack_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: Bytes of a pile that stay in memory.
PILE_BYTES = 4 << 20
#: Rows of a partition, roughly: what is merged at once.
PARTITION_ROWS = 100_000
MAX_PARTITIONS = 256


class Pile:
    """Tables of one schema, in order; on disk beyond `PILE_BYTES`.

    Its files lie in the process's private temporary folder and go with the pile.
    """

    def __init__(self) -> None:
        self.n_rows = 0
        self._parts: list[pa.Table | _Stored] = []
        self._n_bytes = 0  # of the tables in memory

    def __reduce__(self) -> tuple[Any, ...]:
        """Pack the pile for another process, all of it."""
        return _unpack_pile, ([pack_table(table) for table in self.tables()],)

    @property
    def held_bytes(self) -> int:
        """Bytes of the tables that are in memory."""
        return self._n_bytes

    def copy(self) -> Pile:
        """Return a pile of the same tables; what is put on top of it does not change this one."""
        copied = Pile()
        copied.n_rows, copied._parts, copied._n_bytes = self.n_rows, [*self._parts], self._n_bytes
        for part in copied._parts:
            if isinstance(part, _Stored):
                part.is_shared = True
        return copied

    def add(self, table: pa.Table) -> None:
        """Put a table on top."""
        if not table.num_rows:
            return
        self.n_rows += table.num_rows
        self._parts.append(table)
        self._n_bytes += table.nbytes
        if self._n_bytes > PILE_BYTES:
            self.store()

    def extend(self, later: Pile) -> None:
        """Put the tables of another pile on top; that one must not be used any more."""
        self.n_rows += later.n_rows
        self._parts += later._parts
        self._n_bytes += later._n_bytes
        if self._n_bytes > PILE_BYTES:
            self.store()

    def tables(self) -> Iterator[pa.Table]:
        """Yield the tables in order."""
        for part in self._parts:
            if isinstance(part, _Stored):
                yield from part.tables()
            else:
                yield part

    def whole(self, schema: pa.Schema) -> pa.Table:
        """Return all rows; ``schema`` is that of a pile without any."""
        tables = [*self.tables()]
        return pa.concat_tables(tables) if tables else schema.empty_table()

    def store(self) -> None:
        """Move what is in memory to disk."""
        parts: list[pa.Table | _Stored] = []
        for is_table, group in groupby(self._parts, lambda part: isinstance(part, pa.Table)):
            if not is_table:
                parts += group
                continue
            last = parts[-1] if parts else None
            if not isinstance(last, _Stored) or last.is_shared:
                last = _Stored()
                parts.append(last)
            last.append([*group])
        self._parts = parts
        self._n_bytes = 0


class _Stored:
    """Tables in a file, which is removed with the object."""

    def __init__(self) -> None:
        handle, name = tempfile.mkstemp(suffix=".arrow", dir=duck.spill_folder())
        os.close(handle)
        self.path = Path(name)
        self.is_shared = False  # another pile reads it, too: nothing must be put behind

    def __del__(self) -> None:
        self.path.unlink(missing_ok=True)

    def append(self, tables: list[pa.Table]) -> None:
        """Write tables behind those that are there: another Arrow stream in the same file."""
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with (
            self.path.open("ab") as file,
            pa.ipc.new_stream(file, tables[0].schema, options=options) as stream,
        ):
            for table in tables:
                stream.write_table(table)

    def tables(self) -> Iterator[pa.Table]:
        with pa.OSFile(str(self.path)) as file:
            n_bytes = file.size()
            while file.tell() < n_bytes:
                for batch in pa.ipc.open_stream(file):
                    yield pa.Table.from_batches([batch])


def _unpack_pile(packed: Sequence[pa.Buffer]) -> Pile:
    pile = Pile()
    for one in packed:
        pile.add(unpack_table(one))
    return pile


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
    n = count_partitions(n_rows, MAX_PARTITIONS)
    if n == 1:
        yield {name: pile.whole(schemas[name]) for name, pile in piles.items()}
        return
    dealt = {name: deal_pile(pile, keys[name], n) for name, pile in piles.items()}
    for _ in range(n):
        yield {name: parts.pop(0).whole(schemas[name]) for name, parts in dealt.items()}


def count_partitions(n_rows: int, most: int) -> int:
    """Return in how many partitions so many rows are dealt out."""
    return max(1, min(most, -(-n_rows // PARTITION_ROWS)))


def deal_pile(pile: Pile, key: str, n: int) -> list[Pile]:
    """Deal the rows of a pile out to ``n`` piles by the SQL of their key, in their order."""
    parts = [Pile() for _ in range(n)]
    cursor = duck.new_cursor()
    try:
        for rows, is_all in _batches(pile):
            cursor.register("_rows", rows)
            part = f"CAST(hash({key}) % {n} AS INTEGER)"
            dealt = cursor.sql(
                f"SELECT * EXCLUDE (_part, _place) FROM (SELECT {part} AS _part, row_number() OVER "
                "() AS _place, * FROM _rows) ORDER BY _part, _place"
            ).to_arrow_table()
            counts = dict(cursor.sql(f"SELECT {part}, count(*) FROM _rows GROUP BY ALL").fetchall())
            cursor.unregister("_rows")
            at = 0
            for k in range(n):
                parts[k].add(dealt.slice(at, counts.get(k, 0)))
                at += counts.get(k, 0)
            if not is_all:
                # A slice holds on to the whole table, and so many small piles are a large one.
                for small in parts:
                    small.store()
    finally:
        cursor.close()
    return parts


def _batches(pile: Pile) -> Iterator[tuple[pa.Table, bool]]:
    """Yield a pile's rows, about `PILE_BYTES` at a time, and whether that is all of them."""
    n_bytes = 0
    held: list[pa.Table] = []
    is_all = True
    for table in pile.tables():
        if held and n_bytes + table.nbytes > PILE_BYTES:
            is_all = False
            yield pa.concat_tables(held), is_all
            n_bytes, held = 0, []
        held.append(table)
        n_bytes += table.nbytes
    if held:
        yield pa.concat_tables(held), is_all
