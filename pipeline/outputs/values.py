r"""A column's values as text, exact and vectorised; what the text formats share.

==================  ============================================================================
integer, decimal    exact digits, never an exponent; HUGEINT comes as ``decimal128(38, 0)``
float               the shortest text that reads back as the same number: ``0.1``, ``1e+20``,
                    ``nan``, ``inf`` (JSON: null for the last two)
boolean             ``true``, ``false``
date                ``YYYY-MM-DD``
timestamp           ``YYYY-MM-DD hh:mm:ss[.ffffff]``, the fraction only where it isn't zero (nine
                    digits where nanoseconds are in it); with a zone in UTC and ``+00:00`` after it
time                ``hh:mm:ss[.ffffff]``
±infinity           ``infinity``, ``-infinity`` (dates and timestamps)
interval            ``1 month 2 days 00:00:03.5``
binary              printable ASCII as it is, other bytes and the backslash as ``\xNN``
list, struct, map   JSON
==================  ============================================================================
"""

from __future__ import annotations

import re
from array import array as numbers
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.outputs import compute as pc
from pipeline.outputs.texts import HOSTILE, TEXT, build_texts, glue, quote_json, read_texts, rewrite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

PIECE_ROWS = 1 << 16
PIECE_BYTES = 8 << 20


def cut_pieces(tables: Iterable[Any]) -> Iterator[Any]:
    """Yield the rows as record batches of about ``PIECE_BYTES`` at most, in order.

    Parameters
    ----------
    tables : iterable of pyarrow.Table or pyarrow.RecordBatch
        One result, whole or in batches.
    """
    for table in tables:
        batches = table.to_batches(PIECE_ROWS) if isinstance(table, pa.Table) else [table]
        for batch in batches:
            yield from _halve(batch)


def _halve(batch: Any) -> Iterator[Any]:
    rows = batch.num_rows
    if rows > 1 and (batch.nbytes > PIECE_BYTES or rows > PIECE_ROWS):
        yield from _halve(batch.slice(0, rows // 2))
        yield from _halve(batch.slice(rows // 2))
    elif rows:
        yield batch


def take_rows(table: pa.Table, places: Iterable[int]) -> pa.Table:
    """Return the rows at these places, in their order."""
    wanted = numbers("q", places)
    return table.take(
        pa.Int64Array.from_buffers(pa.int64(), len(wanted), [None, pa.py_buffer(wanted)])
    )


def unique_names(names: Iterable[str], *, ignore_case: bool = False) -> list[str]:
    """Return the names with ``_2``, ``_3`` … after those that came before.

    ``SELECT a, a`` gives two columns of one name, which a JSON object or a database can't hold.
    """
    seen: set[str] = set()
    unique = []
    for name in names:
        n, new = 2, name
        while (new.casefold() if ignore_case else new) in seen:
            n, new = n + 1, f"{name}_{n}"
        seen.add(new.casefold() if ignore_case else new)
        unique.append(new)
    return unique


def to_text(array: pa.Array) -> pa.Array:
    """Return a column's values as a string array, nulls kept; the forms stand above.

    Parameters
    ----------
    array : pyarrow.Array
        Any type that DuckDB exports.
    """
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return to_text(array.storage)
    if pa.types.is_dictionary(kind):
        if len(array.dictionary) > len(array):
            return to_text(array.dictionary_decode())
        return to_text(array.dictionary).take(array.indices)
    for belongs, convert in _CONVERTERS:
        if belongs(kind):
            return convert(array)
    return _convert_each(array, str)


def to_json(array: pa.Array) -> pa.Array:
    r"""Return a column's values as JSON texts in a string array without nulls (``null`` is text).

    Characters that can't be seen are ``\uXXXX`` inside strings, which reads back exactly.
    """
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return to_json(array.storage)
    if pa.types.is_dictionary(kind):
        return to_json(array.dictionary_decode())
    texts = to_text(array)
    if pa.types.is_floating(kind):
        # JSON has no word for these.
        texts = pc.if_else(pc.is_finite(array), texts, pa.scalar(None, TEXT))
    elif not (_is_bare(kind) or _is_nested(kind)):
        texts = rewrite(texts, rf'["\\]|{HOSTILE}', lambda text: quote_json(text)[1:-1])
        texts = glue('"', texts, '"')
    return pc.fill_null(texts, "null")


def _is_bare(kind: pa.DataType) -> bool:
    """Tell whether JSON shows this type without quotes."""
    is_of = pa.types
    return bool(is_of.is_integer(kind) or is_of.is_decimal(kind) or is_of.is_boolean(kind))


def is_numeric(kind: pa.DataType) -> bool:
    """Tell whether a type holds numbers: right aligned, bare in JSON, rankable."""
    is_of = pa.types
    return bool(is_of.is_integer(kind) or is_of.is_decimal(kind) or is_of.is_floating(kind))


def is_plain(kind: pa.DataType) -> bool:
    """Tell whether the text of a type is digits and letters only, with nothing to escape."""
    is_of = pa.types
    return bool(is_numeric(kind) or is_of.is_boolean(kind) or is_of.is_temporal(kind))


def _is_list(kind: pa.DataType) -> bool:
    is_of = pa.types
    return bool(
        is_of.is_list(kind)
        or is_of.is_large_list(kind)
        or is_of.is_fixed_size_list(kind)
        or is_of.is_list_view(kind)
        or is_of.is_large_list_view(kind)
    )


def _is_nested(kind: pa.DataType) -> bool:
    is_of = pa.types
    return bool(
        _is_list(kind) or is_of.is_struct(kind) or is_of.is_map(kind) or is_of.is_union(kind)
    )


def _is_string(kind: pa.DataType) -> bool:
    is_of = pa.types
    return bool(is_of.is_string(kind) or is_of.is_large_string(kind) or is_of.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    is_of = pa.types
    return bool(
        is_of.is_binary(kind)
        or is_of.is_large_binary(kind)
        or is_of.is_binary_view(kind)
        or is_of.is_fixed_size_binary(kind)
    )


def _convert_each(array: pa.Array, change: Callable[[Any], str]) -> pa.Array:
    """Convert value by value in Python: for types that are rare in results."""
    values = array.to_pylist()
    texts = build_texts("" if value is None else change(value) for value in values)
    return pc.if_else(pc.is_valid(array), texts, pa.scalar(None, TEXT))


def _convert_plainly(array: pa.Array) -> pa.Array:
    return pc.cast(array, TEXT)


def _convert_float(array: pa.Array) -> pa.Array:
    texts = pc.replace_matches(pc.cast(array, TEXT), r"^(-?[0-9]+)$", r"\1.0")
    # Arrow's exponents begin elsewhere than Python's; the digits are the same.
    return rewrite(texts, r"e|^-?0\.0000", lambda text: repr(float(text)))


def _convert_decimal(array: pa.Array) -> pa.Array:
    # Arrow writes small ones as 1E-9.
    return rewrite(pc.cast(array, TEXT), "E", lambda text: format(Decimal(text), "f"))


def _convert_date(array: pa.Array) -> pa.Array:
    return rewrite(pc.cast(array, TEXT), "^<", _name_infinity)


def _convert_timestamp(array: pa.Array) -> pa.Array:
    kind = array.type
    # Without its zone a timestamp is UTC, and Arrow needs no zone database to write it.
    texts = pc.cast(pc.cast(pc.cast(array, pa.int64()), pa.timestamp(kind.unit)), TEXT)
    texts = _shorten_fraction(texts, kind.unit)
    if kind.tz is not None:
        texts = glue(texts, "+00:00")
    return rewrite(texts, "^<", _name_infinity)


def _convert_time(array: pa.Array) -> pa.Array:
    return _shorten_fraction(pc.cast(array, TEXT), array.type.unit)


def _shorten_fraction(texts: pa.Array, unit: str) -> pa.Array:
    if unit == "s":
        return texts
    texts = pc.replace_matches(texts, r"\.0+$", "")
    if unit == "ms":
        return pc.replace_matches(texts, r"(\.[0-9]{3})$", r"\1000")
    return pc.replace_matches(texts, r"(\.[0-9]{6})000$", r"\1")


def _name_infinity(text: str) -> str:
    """Name DuckDB's infinities, the ends of the integer range; keep what else is out of range."""
    found = re.search(r"-?\d+", text)
    number = int(found[0]) if found else 0
    if abs(number) not in ((1 << 31) - 1, (1 << 63) - 1):
        return text
    return "infinity" if number > 0 else "-infinity"


def _convert_binary(array: pa.Array) -> pa.Array:
    return _convert_each(array, lambda value: "".join(map(_BYTES.__getitem__, value)))


def _convert_interval(array: pa.Array) -> pa.Array:
    return _convert_each(array, _format_interval)


def _format_interval(value: Any) -> str:
    months, days, nanoseconds = value
    words = []
    for number, unit in ((months, "month"), (days, "day")):
        if number:
            words.append(f"{number} {unit}" + ("s" if abs(number) != 1 else ""))
    if nanoseconds or not words:
        sign = "-" if nanoseconds < 0 else ""
        seconds, fraction = divmod(abs(nanoseconds) // 1000, 1_000_000)
        clock = f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        words.append(clock + (f".{fraction:06}" if fraction else ""))
    return " ".join(words)


def _convert_list(array: pa.Array) -> pa.Array:
    if pa.types.is_fixed_size_list(array.type):
        array = pc.cast(array, pa.large_list(array.type.value_type))
    spans = _find_spans(array)
    items = read_texts(to_json(_cut_child(array.values, spans)))
    return _join_items(array, items, spans, "[]")


def _convert_map(array: pa.Array) -> pa.Array:
    spans = _find_spans(array)
    keys = read_texts(to_text(_cut_child(array.keys, spans)))
    values = read_texts(to_json(_cut_child(array.items, spans)))
    items = [f"{quote_json(key or '')}: {value}" for key, value in zip(keys, values, strict=True)]
    return _join_items(array, items, spans, "{}")


def _find_spans(array: pa.Array) -> list[tuple[int, int]]:
    """Return the places of each row's items in the child; they don't heed a slice of the parent."""
    offsets = array.offsets.to_pylist()
    if not hasattr(array, "sizes"):
        return list(pairwise(offsets))
    # A list view. pyarrow 26 casts those to lists with wrong offsets.
    return [(a, a + size) for a, size in zip(offsets, array.sizes.to_pylist(), strict=True)]


def _cut_child(child: pa.Array, spans: list[tuple[int, int]]) -> pa.Array:
    start = min((start for start, _ in spans), default=0)
    return child.slice(start, max((stop for _, stop in spans), default=0) - start)


def _join_items(
    array: pa.Array, items: Sequence[str | None], spans: list[tuple[int, int]], brackets: str
) -> pa.Array:
    begin = min((start for start, _ in spans), default=0)
    texts = build_texts(
        brackets[0]
        + ", ".join(item or "" for item in items[start - begin : stop - begin])
        + brackets[1]
        for start, stop in spans
    )
    return pc.if_else(pc.is_valid(array), texts, pa.scalar(None, TEXT))


def _convert_struct(array: pa.Array) -> pa.Array:
    names = unique_names(field.name for field in array.type)
    fields = [
        glue(f"{quote_json(name)}: ", to_json(values))
        for name, values in zip(names, array.flatten(), strict=True)
    ]
    texts = glue("{", glue(*fields, separator=", "), "}")
    return pc.if_else(pc.is_valid(array), texts, pa.scalar(None, TEXT))


def _convert_union(array: pa.Array) -> pa.Array:
    return _convert_each(array, lambda value: quote_json(str(value)))


_BYTES = [
    chr(byte) if 0x20 <= byte < 0x7F and byte != 0x5C else f"\\x{byte:02X}" for byte in range(256)
]
_CONVERTERS: list[tuple[Callable[[Any], bool], Callable[[Any], Any]]] = [
    (_is_string, _convert_plainly),
    (pa.types.is_integer, _convert_plainly),
    (pa.types.is_boolean, _convert_plainly),
    (pa.types.is_null, _convert_plainly),
    (pa.types.is_floating, _convert_float),
    (pa.types.is_decimal, _convert_decimal),
    (pa.types.is_date, _convert_date),
    (pa.types.is_timestamp, _convert_timestamp),
    (pa.types.is_time, _convert_time),
    (pa.types.is_interval, _convert_interval),
    (_is_binary, _convert_binary),
    (_is_list, _convert_list),
    (pa.types.is_map, _convert_map),
    (pa.types.is_struct, _convert_struct),
    (pa.types.is_union, _convert_union),
]
