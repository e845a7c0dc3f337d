"""Hand a query the rows that can matter to it: those with the events and outcomes that it names.

Most questions about mail are about a few kinds of lines. DuckDB would turn all columns of all lines
into its own form before it looks at the event.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.kernels.mail_names import CODES
from pipeline.kernels.pick import find_rows, gather, gather_bits, keep_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence


class Finder:
    """Finds the rows with some codes in scanned tables.

    Parameters
    ----------
    picked : mapping of str to collection of str or of int
        Column → the names (`pipeline.kernels.mail_names.CODES`) or bytes that are wanted; a row
        must have a wanted one in each. Empty: every row is found.
    """

    def __init__(self, picked: Mapping[str, Collection[str] | Collection[int]]) -> None:
        self._wanted = {name: _wanted(name, wanted) for name, wanted in picked.items()}
        self._rows = memoryview(bytearray(4)).cast("i")

    def find(self, table: pa.Table) -> tuple[memoryview, int]:
        """Return the rows, and how many they are; valid until the next call."""
        n = table.num_rows
        if len(self._rows) < n + 1:
            self._rows = memoryview(array("i", range(2 * n + 1)))
        find: Any = find_rows
        for name, wanted in self._wanted.items():
            column = only_chunk(table, name)
            codes = column.indices if pa.types.is_dictionary(column.type) else column
            n = find(codes.buffers()[1], n, wanted, self._rows)
            find = keep_rows
        return self._rows, n


class Picker:
    """Takes some columns, of the rows with some codes, out of scanned tables.

    Parameters
    ----------
    columns : sequence of str
        To be taken.
    picked : mapping of str to frozenset of str
        See `Finder`.
    """

    def __init__(self, columns: Sequence[str], picked: Mapping[str, frozenset[str]]) -> None:
        self._columns = columns
        self._finder = Finder(picked)
        self._held: dict[str, bytearray] = {}

    def pick(self, table: pa.Table) -> pa.Table:
        """Return the rows; valid until the next call."""
        self._rows, n = self._finder.find(table)
        arrays = [self._gather(name, only_chunk(table, name), n) for name in self._columns]
        return pa.Table.from_arrays(arrays, names=self._columns)

    def _gather(self, name: str, array: pa.Array, n: int) -> pa.Array:
        if pa.types.is_dictionary(array.type):
            index = self._gather(name, array.indices, n)
            return pa.DictionaryArray.from_arrays(index, array.dictionary, safe=False)
        kind = array.type
        valid, values, *texts = array.buffers()
        width = 16 if kind == pa.string_view() else kind.bit_width // 8
        out = self._room(name, n * width)
        gather(values, width, self._rows, n, out)
        bits = None
        if valid is not None:
            bits = self._room(f"{name} valid", (n + 7) // 8)
            gather_bits(valid, self._rows, n, bits)
            bits = pa.py_buffer(bits)
        return pa.Array.from_buffers(kind, n, [bits, pa.py_buffer(out), *texts])

    def _room(self, name: str, size: int) -> bytearray:
        """Return the buffer of a column, which is used again for the next rows."""
        held = self._held.get(name)
        if held is None or len(held) < size:
            held = self._held[name] = bytearray(max(64, size + size // 4))
        return held


def only_chunk(table: pa.Table, name: str) -> pa.Array:
    """Return a column of a scanned table, which is in one piece."""
    return table.column(name).chunk(0)


def _wanted(name: str, wanted: Collection[str] | Collection[int]) -> memoryview:
    known = CODES.get(name, range(256))
    return memoryview(bytearray(code in wanted for code in known).ljust(256, b"\0"))
