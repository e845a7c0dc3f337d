"""Fold the rows of scanned tables into groups, as a query or a message needs them.

The kernel works on 64-bit words; here Arrow's columns become those, and groups become a table.
"""

from __future__ import annotations

import secrets
from array import array
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.kernels import columns as words
from pipeline.kernels import fold as kernel
from pipeline.kernels.mail_names import CODES
from pipeline.pick import Finder, only_chunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.selection import Condition, Folding

#: A stranger who writes log lines can't guess it, so they can't make all groups collide.
_SEED = secrets.randbits(64)
#: Groups and rows from which on what is held is handed on; sums of more rows might overflow.
MAX_GROUPS = 1 << 17
MAX_ROWS = 1 << 21
MAX_BYTES = 1 << 28
#: Rows after which it shows whether folding is of use.
ENOUGH_ROWS = 1 << 14


class Folder:
    """Groups over the blocks of a split.

    Parameters
    ----------
    schema : pyarrow.Schema
        Of the scanned tables.
    folding : Folding
        What they are grouped by, and what is kept.
    picked : sequence of (str, frozenset)
        Which rows matter, see `pipeline.pick.Finder`.
    """

    def __init__(
        self,
        schema: pa.Schema,
        folding: Folding,
        picked: Sequence[tuple[str, frozenset[Any]]] = (),
    ) -> None:
        self._schema = schema
        self._finder = Finder(dict(picked))
        self._keys = [name for name, _ in folding.keys]
        self._kept = kept = folding.kept
        self._conditions = [_code(fold.condition) for fold in kept]
        self._kernel: Any = kernel.Folder(
            [unit for _, unit in folding.keys], [fold.kind for fold in kept], _SEED
        )
        named = [*self._keys, *(fold.column for fold in kept if fold.column is not None)]
        named += [condition[0] for condition in self._conditions if condition is not None]
        self._columns = {name: _Column(schema.field(name).type) for name in named}
        self.n_rows = 0
        self.is_useful = True  # rows do agree

    @property
    def n_groups(self) -> int:
        """Groups that are held."""
        return int(self._kernel.n_groups)

    @property
    def is_full(self) -> bool:
        """So much is held that it should be handed on."""
        texts = self._kernel.texts
        return (
            self.n_groups > MAX_GROUPS or self.n_rows > MAX_ROWS or len(texts.arena()) > MAX_BYTES
        )

    def take(self, table: pa.Table) -> bool:
        """Take in the rows of a scanned table that matter.

        Returns
        -------
        bool
            False: nothing was taken, a number is too large to be added up.
        """
        rows, n = self._finder.find(table)
        for name, column in self._columns.items():
            column.point(only_chunk(table, name), self._kernel.texts)
        at_hand = {name: column.at_hand for name, column in self._columns.items()}
        if not all(
            self._kernel.is_foldable(at_hand[fold.column], rows, n)
            for fold in self._kept
            if fold.kind == kernel.SUM and fold.column is not None
        ):
            return False
        self._kernel.add(
            [at_hand[name] for name in self._keys],
            [None if fold.column is None else at_hand[fold.column] for fold in self._kept],
            [
                None if condition is None else (at_hand[condition[0]], condition[1])
                for condition in self._conditions
            ],
            rows,
            n,
        )
        self.n_rows += n
        self.is_useful = self.n_rows < ENOUGH_ROWS or 2 * self.n_groups < self.n_rows
        return True

    def table(self) -> pa.Table:
        """Return the groups, in the order of their first rows; valid until more is taken in.

        Where the greatest value of a column is kept, too, each group has a second row further
        down, that stands for no rows and has the greatest values.
        """
        rows: dict[str, pa.Array] = {}
        second: dict[str, pa.Array] = {}
        for k, name in enumerate(self._keys):
            kind = self._schema.field(name).type
            rows[name] = second[name] = self._array(kind, *self._kernel.key(k))
        for k, fold in enumerate(self._kept):
            values, bits = self._kernel.fold(k)
            kind = pa.int64() if fold.column is None else self._schema.field(fold.column).type
            if fold.kind == kernel.GREATEST:
                second[fold.name] = self._array(kind, values, bits)
                continue
            rows[fold.name] = self._array(kind, values, None if fold.column is None else bits)
            nothing = bytes(8 * self.n_groups)
            second[fold.name] = (
                pa.Array.from_buffers(
                    rows[fold.name].type,
                    self.n_groups,
                    [None if fold.column is None else pa.py_buffer(nothing), pa.py_buffer(nothing)],
                )
                if fold.kind in (kernel.COUNT, kernel.SUM)
                else rows[fold.name]
            )
        has_second = any(fold.kind == kernel.GREATEST for fold in self._kept)
        return pa.concat_tables(
            pa.Table.from_arrays(list(part.values()), names=list(part))
            for part in ((rows, second) if has_second else (rows,))
        )

    def reset(self) -> None:
        """Forget all groups."""
        self._kernel.reset()
        self.n_rows = 0
        for column in self._columns.values():
            column.forget()

    def _array(self, kind: pa.DataType, values: memoryview, bits: bytearray | None) -> pa.Array:
        n = len(values)
        valid = None if bits is None else pa.py_buffer(bits)
        if _is_text(kind):
            views = bytearray(16 * max(n, 1))
            self._kernel.texts.write_views(values, n, memoryview(views).cast("i"))
            arena = pa.py_buffer(self._kernel.texts.arena())
            return pa.Array.from_buffers(pa.string_view(), n, [valid, pa.py_buffer(views), arena])
        width = kind.bit_width
        held = values if width == 64 else array({8: "B", 32: "i"}[width], values)
        return pa.Array.from_buffers(kind, n, [valid, pa.py_buffer(held)])


class _Column:
    """A column of scanned tables, and how its dictionary is translated."""

    def __init__(self, kind: pa.DataType) -> None:
        self.at_hand: Any = words.Column()
        self._is_coded = pa.types.is_dictionary(kind)
        values = kind.index_type if self._is_coded else kind
        self._kind = (
            words.TEXT
            if _is_text(values)
            else {8: words.BYTE, 32: words.INT, 64: words.LONG}[values.bit_width]
        )
        self._dictionary: pa.Array | None = None
        self._codes: memoryview | None = None

    def point(self, chunk: pa.Array, texts: Any) -> None:
        """Let the kernel read another chunk."""
        if self._is_coded:
            self._translate(chunk.dictionary, texts)
            chunk = chunk.indices
        valid, values, *data = chunk.buffers()
        self.at_hand.point(self._kind, values, valid, self._codes, data)

    def forget(self) -> None:
        """Forget the codes of texts."""
        self._dictionary = None

    def _translate(self, dictionary: pa.Array, texts: Any) -> None:
        known = self._dictionary
        # The array that is held keeps its memory: another one can't lie there.
        if (
            known is not None
            and len(known) == len(dictionary)
            and (
                known.buffers()[2].address == dictionary.buffers()[2].address
                and known.buffers()[1].address == dictionary.buffers()[1].address
            )
        ):
            return
        self._dictionary = dictionary
        self._codes = memoryview(bytearray(8 * max(len(dictionary), 1))).cast("q")
        _, offsets, data = dictionary.buffers()
        texts.translate(len(dictionary), offsets, data, self._codes)


def _code(condition: Condition | None) -> tuple[str, int] | None:
    """Return a condition with the code of its name."""
    if condition is None:
        return None
    name, value = condition
    return name, value if isinstance(value, int) else CODES[name].index(value)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(kind) or kind == pa.string_view())
