"""Which group each line of a scanned block belongs to, and which lines are kept at all."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline import duck
from pipeline.errors import UsageError, unknown_name
from pipeline.filters import glob_condition, time_conditions
from pipeline.formats.mail_view import mail_columns, mail_expressions
from pipeline.formats.postfix import MAIL
from pipeline.formats.syslog import LINES, lines_view, local_time, scanned_columns
from pipeline.kernels.route import refine

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    from pipeline.extract.pieces import Key
    from pipeline.settings import Settings

_ROW = "row_"
#: Columns of the scan that are whole numbers of 32 bits, or have codes that are.
_SIMPLE = frozenset({"file", "day", "host", "process", "pid"})
_EPOCH = date(1970, 1, 1).toordinal()
_TIMES = frozenset({"time", "instant", "day", "hour", "month"})


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """What is scanned, and how the kept lines and their groups are found in it.

    Attributes
    ----------
    by : tuple of str
        Columns whose values name the groups; none of them: all lines of a file are one group.
    scanned : frozenset of str
        Columns of the scan.
    sql : str or None
        Gives the kept rows and their columns; None where these are columns of the scan, and
        all rows are kept.
    """

    by: tuple[str, ...]
    scanned: frozenset[str]
    sql: str | None
    reasons: str | None = None

    @property
    def looks_inside(self) -> bool:
        """Whether it matters what is in a line, and not only which file it is of."""
        return self.sql is not None or not set(self.by) <= {"file"}


def plan_keys(settings: Settings, where: Collection[str]) -> KeyPlan:
    """Plan how lines are told apart.

    Parameters
    ----------
    where : collection of str
        Columns that ``settings.where`` names.

    Raises
    ------
    UsageError
        A column is unknown, or has a value for each line.
    """
    by = settings.by if settings.by is not None else ("day", "process")
    by = () if by == ("none",) else by
    known = {**LINES, **MAIL}
    for name in by:
        if name not in known:
            raise unknown_name("column in --by", name, known.keys() | {"none"})
        if name in ("offset", "instant"):
            raise UsageError(f"--by {name} would make a file of every line")
    columns = frozenset(by) | frozenset(where)
    columns |= {"host"} if settings.hosts else frozenset()
    columns |= {"process"} if settings.processes else frozenset()
    zones = settings.zones
    bounds = time_conditions(local_time(zones), settings.since, settings.until)
    conditions = (
        *glob_condition("host", settings.hosts),
        *glob_condition("process", settings.processes),
        *([settings.where] if settings.where is not None else []),
    )
    own = frozenset({"bytes", "time"})
    is_plain = not bounds and not conditions and not zones.report
    if is_plain and columns <= _SIMPLE:
        return KeyPlan(by, columns | own, None)
    made = {_ROW: _ROW, **mail_expressions(columns, settings.addresses)}
    view = lines_view(columns, zones, bounds, conditions, made)
    names = ", ".join(f'"{name}"' for name in (_ROW, *by))
    scanned = scanned_columns(columns & LINES.keys(), zones, is_bounded=bool(bounds))
    scanned |= mail_columns(columns) | own
    return KeyPlan(by, scanned, f"SELECT {names} FROM ({view})", settings.reasons)


@dataclass(slots=True)
class Kept:
    """The kept rows of a table: which they are, the code of each, and what the codes mean."""

    rows: Any
    codes: Any
    n: int
    keys: list[Key]


class Keyer:
    """Finds kept rows and their groups; one per thread and file.

    Parameters
    ----------
    schema : pyarrow.Schema
        Of the scanned tables.
    max_rows : int
        Rows of a table at most.
    """

    def __init__(self, plan: KeyPlan, schema: pa.Schema, max_rows: int) -> None:
        self._plan = plan
        self._all = pa.py_buffer(array("i", range(max_rows)))
        self._table: pa.Table | None = None
        self._sql = ""
        # At least twice as long as there are rows, and a power of two.
        slots = memoryview(bytearray(4 << max_rows.bit_length() + 1)).cast("i")
        ints = [memoryview(bytearray(4 * max_rows)).cast("i") for _ in range(2)]
        self._room = slots, *ints, memoryview(bytearray(max_rows))
        self._ones = memoryview(bytearray(b"\xff" * (max_rows // 8 + 1)))
        if plan.sql is not None:
            self._table = self._numbered(schema.empty_table())
            self._sql = f"WITH scanned AS NOT MATERIALIZED (FROM extracted) {plan.sql}"
            duck.forget_prepared()
            duck.cursor().register("extracted", self)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand DuckDB the table at hand."""
        assert self._table is not None
        return self._table.__arrow_c_stream__(requested_schema)

    def find(self, table: pa.Table) -> Kept:
        """Return the kept rows of a scanned table; valid until the next one is scanned."""
        if self._plan.sql is None:
            columns = [table.column(name).chunk(0) for name in self._plan.by]
            n = table.num_rows
            rows = pa.Array.from_buffers(pa.int32(), n, [None, self._all])
        else:
            self._table = self._numbered(table)
            found = duck.query(f"EXECUTE {duck.prepared(self._sql)}").combine_chunks()
            self._table = self._table.slice(0, 0)
            n = found.num_rows
            if not n:
                return Kept(None, None, 0, [])
            rows = found.column(_ROW).chunk(0)
            columns = [found.column(name).chunk(0) for name in self._plan.by]
        codes, keys = self._encode(columns, n)
        return Kept(_ints(rows), codes, n, keys)

    def _numbered(self, table: pa.Table) -> pa.Table:
        rows = pa.Array.from_buffers(pa.int32(), table.num_rows, [None, self._all])
        return table.append_column(_ROW, rows)

    def _encode(self, columns: list[pa.Array], n: int) -> tuple[memoryview, list[Key]]:
        """Return a code for each row, and the key of each code."""
        codes = memoryview(bytearray(4 * max(n, 1))).cast("i")
        keys: list[Key] = [()]
        for column in columns:
            values, texts = column, None
            if not pa.types.is_date32(column.type) and not pa.types.is_int32(column.type):
                coded = _dictionary(column)
                values, texts = coded.indices, coded.dictionary
            n_keys = refine(codes, n, _ints(values), self._valid(values), *self._room)
            olds, news, nulls = self._room[1:]
            made = []
            for code in range(n_keys):
                value = None
                if not nulls[code]:
                    value = (
                        _value(column, news[code]) if texts is None else texts[news[code]].as_py()
                    )
                made.append((*keys[olds[code]], value))
            keys = made
        return codes, keys

    def _valid(self, values: pa.Array) -> memoryview:
        """Return the bits of the values that are there."""
        bits = values.buffers()[0]
        if bits is None:
            return self._ones
        assert not values.offset
        return memoryview(bytearray(bits))


def _value(column: pa.Array, number: int) -> object:
    return date.fromordinal(_EPOCH + number) if pa.types.is_date32(column.type) else number


def _dictionary(column: pa.Array) -> pa.DictionaryArray:
    if pa.types.is_dictionary(column.type):
        return column
    return column.dictionary_encode()


def _ints(numbers: pa.Array) -> memoryview:
    buffer = memoryview(numbers.buffers()[1]).cast("B")[4 * numbers.offset :]
    # A kernel takes writable memory; Arrow's is not.
    return memoryview(bytearray(buffer[: 4 * len(numbers)])).cast("i")


def shown_key(name: str, value: object) -> object:
    """Return a value as its file is called: lines without a time have their own name."""
    return "undated" if value is None and name in _TIMES else value
