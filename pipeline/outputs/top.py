"""Choose the rows of each group that ``--top`` keeps."""

from __future__ import annotations

from heapq import nsmallest
from itertools import pairwise
from math import inf, isnan
from typing import TYPE_CHECKING, Any

from pipeline.outputs.texts import read_texts
from pipeline.outputs.values import is_numeric, take_rows, to_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

#: Numbers that are grouped by rather than measured.
KEY_NUMBERS = frozenset({"hour", "offset", "pid", "year"})


def take_top_rows(table: pa.Table, n: int, keys: Sequence[str] | None = None) -> pa.Table:
    """Return the n rows of each group that count most, in the order of the table.

    The last key column is what is ranked, the ones before it make the groups: of
    ``day, process, lines, bytes`` the n processes of each day. Rows rank by the first number
    after the keys; but where some number falls from row to row in every group, the query has
    ranked its rows itself, and the first n stay. Without numbers the first n rows of all stay.

    Parameters
    ----------
    table : pyarrow.Table
        A result.
    n : int
        Rows to keep of each group; a group may have fewer.
    keys : sequence of str, optional
        The columns grouped by; default: the columns before the first number that is measured.
    """
    names = table.schema.names
    if keys is None:
        keys = guess_keys(table.schema)
    measured = [
        place
        for place, field in enumerate(table.schema)
        if field.name not in keys and is_numeric(field.type)
    ]
    if not measured:
        return table.slice(0, n)
    group_places = [names.index(key) for key in keys[:-1]]
    groups = _group_rows(table, group_places)
    kept: list[int] = []
    ranks = [_read_ranks(table.column(place)) for place in measured]
    ranked_already = any(_falls(values, groups) for values in ranks)
    for rows in groups:
        # Ties stay in the order of the table: nsmallest is stable.
        best = rows[:n] if ranked_already else nsmallest(n, rows, key=ranks[0].__getitem__)
        kept += best
    return table if len(kept) == len(table) else take_rows(table, sorted(kept))


def count_groups(table: pa.Table, keys: Sequence[str]) -> int:
    """Return how many groups there are whose rows `take_top_rows` ranks."""
    names = table.schema.names
    return len(_group_rows(table, [names.index(key) for key in keys[:-1] if key in names]))


def cut_rows(table: pa.Table, most: int | None, keys: Sequence[str]) -> tuple[pa.Table, str]:
    """Return what people are shown of a table, and what a terminal says of the rest.

    Of groups it shows the largest rows of each, where they have room: the first rows of all would
    be those of the first days.
    """
    if most is None or len(table) <= most:
        return table, ""
    shown, said = table.slice(0, most), ""
    keys = list(keys or guess_keys(table.schema))
    n_groups = count_groups(table, keys)
    if 1 < n_groups <= most:
        largest = take_top_rows(table, most // n_groups, keys)
        if len(largest) <= most:
            shown, said = largest, f"shown: the {most // n_groups} largest of each {keys[0]}; "
    more = len(table) - len(shown)
    return shown, f"… {more:,} more rows ({said}-o FILE.csv or --to csv for all)"


def guess_keys(schema: pa.Schema) -> list[str]:
    """Return the columns before the first number that is measured."""
    keys = []
    for field in schema:
        if is_numeric(field.type) and field.name not in KEY_NUMBERS:
            break
        keys.append(field.name)
    return keys


def _group_rows(table: pa.Table, places: list[int]) -> list[list[int]]:
    if not places:
        return [list(range(len(table)))]
    groups: dict[tuple[str | None, ...], list[int]] = {}
    columns = [_read_column(table.column(place)) for place in places]
    for row, group in enumerate(zip(*columns, strict=True)):
        groups.setdefault(group, []).append(row)
    return list(groups.values())


def _read_column(column: pa.ChunkedArray) -> list[str | None]:
    return [text for chunk in column.chunks for text in read_texts(to_text(chunk))]


def _read_ranks(column: pa.ChunkedArray) -> list[Any]:
    """Return the values negated, so that the largest sorts first, and NULL and NaN last."""
    values = column.to_pylist()
    return [
        inf if value is None or (isinstance(value, float) and isnan(value)) else -value
        for value in values
    ]


def _falls(ranks: list[Any], groups: list[list[int]]) -> bool:
    in_order = all(ranks[a] <= ranks[b] for rows in groups for a, b in pairwise(rows))
    return in_order and any(ranks[rows[0]] < ranks[rows[-1]] for rows in groups if rows)
