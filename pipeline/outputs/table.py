"""A table for people: aligned in columns, with thousands separators, on a terminal with rich.

Nothing that log text holds can move the cursor, change colours or turn the line round:
characters that can't be seen are written as escapes, on a terminal or not.

On a terminal, or with a width given, text columns are cut so that rows fit, the last one first;
numbers and dates are never cut. Otherwise all text is there, and only padding has an upper limit.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from itertools import chain
from math import isfinite
from typing import IO, TYPE_CHECKING, cast

import pyarrow as pa

from pipeline.outputs import compute as pc
from pipeline.outputs.streams import Screen
from pipeline.outputs.texts import read_texts
from pipeline.outputs.top import KEY_NUMBERS
from pipeline.outputs.values import cut_pieces, is_numeric, is_plain, to_text
from pipeline.text import escape_visibly

if TYPE_CHECKING:
    from collections.abc import Iterator

GAP = "  "
# A single cell of 10,000 characters must not make a million rows as long.
MAX_PADDING = 100
# Text columns are cut to the first width, one by one, before any is cut to the second.
_READABLE, _LEAST = 12, 4
# Cells of a bar beside a row.
_LEAST_BAR, _MOST_BAR = 10, 30
_EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(slots=True)
class _Column:
    name: str
    kind: pa.DataType
    is_right: bool
    can_be_cut: bool
    decimals: int
    separated: bool
    width: int = 0


def write_table(
    table: pa.Table,
    stream: Screen,
    *,
    title: str,
    note: str,
    width: int | None,
    terminal: bool,
) -> None:
    """Write a result as a table.

    Parameters
    ----------
    title, note : str
        Lines to write above and below it; empty: none.
    width : int or None
        Cells that a row may take; None: no limit.
    terminal : bool
        Write with rich: bold headers, unless ``NO_COLOR`` is set, and bars where there is room.
    """
    columns = _lay_out(table, width)
    note = note or ("" if len(table) else "(no rows)")
    title = escape_visibly(title)
    if terminal:
        _write_rich(title, columns, table, width, note, stream)
    else:
        _write_plain(title, columns, _format_rows(table, columns, width), note, stream)


def table_text(table: pa.Table, most: int, *, title: str = "", n_rows: int = 0) -> str:
    """Return the first rows of a result as a table in a text.

    Parameters
    ----------
    most : int
        Rows to show.
    n_rows : int
        Rows of the whole result, where it is not all in ``table``.
    """
    text = io.StringIO()
    more = max(n_rows, len(table)) - min(most, len(table))
    note = f"… {more:,} more row{'s' * (more != 1)}" if more else ""
    write_table(
        table.slice(0, most), Screen(text), title=title, note=note, width=None, terminal=False
    )
    return text.getvalue()


def _lay_out(table: pa.Table, width: int | None) -> list[_Column]:
    columns = [
        _Column(
            name=escape_visibly(field.name),
            kind=field.type,
            is_right=is_numeric(field.type),
            can_be_cut=not is_plain(field.type),
            decimals=_choose_decimals(values),
            separated=is_numeric(field.type) and field.name not in KEY_NUMBERS,
        )
        for field, values in zip(table.schema, table.columns, strict=True)
    ]
    _measure_columns(table, columns, MAX_PADDING if width is None else width)
    if width is not None and _shrink(columns, width, _READABLE) > 0:
        # Names can be told apart a little longer when the numbers go without their commas.
        for column in columns:
            column.separated = False
        _measure_columns(table, columns, width)
        if _shrink(columns, width, _READABLE) > 0:
            _shrink(columns, width, _LEAST)
    for column in columns:
        column.name = cut_cells(column.name, column.width)
    return columns


def _measure_columns(table: pa.Table, columns: list[_Column], most: int) -> None:
    for column in columns:
        column.width = measure_cells(column.name)
    for cells_of_piece in _format_pieces(table, columns):
        for column, cells in zip(columns, cells_of_piece, strict=True):
            longest = max(map(measure_cells, cells))
            column.width = max(column.width, min(longest, most) if column.can_be_cut else longest)


def _shrink(columns: list[_Column], width: int, least: int) -> int:
    """Cut text columns down to ``least``, the last one first; return what is still too much."""
    excess = sum(column.width for column in columns) + len(GAP) * (len(columns) - 1) - width
    for column in reversed(columns):
        if column.can_be_cut and excess > 0:
            spare = max(0, min(excess, column.width - least))
            column.width -= spare
            excess -= spare
    return excess


def _choose_decimals(column: pa.ChunkedArray) -> int:
    """Return the decimals that give a column of floats about four digits that count."""
    if not pa.types.is_floating(column.type):
        return 0
    finite = pc.pick(column, pc.is_finite(column))
    most = pc.largest(pc.absolute(finite)) or 0.0
    return 1 if most >= 1000 else 2 if most >= 10 else 4


def _format_rows(table: pa.Table, columns: list[_Column], width: int | None) -> Iterator[list[str]]:
    for cells_of_piece in _format_pieces(table, columns):
        for row in zip(*cells_of_piece, strict=True):
            if width is None:
                yield list(row)
            else:
                yield [
                    cut_cells(cell, column.width) if column.can_be_cut else cell
                    for cell, column in zip(row, columns, strict=True)
                ]


def _format_pieces(table: pa.Table, columns: list[_Column]) -> Iterator[list[list[str]]]:
    for piece in cut_pieces([table]):
        yield [
            _format_cells(values, column)
            for values, column in zip(piece.columns, columns, strict=True)
        ]


def _format_cells(values: pa.Array, column: _Column) -> list[str]:
    if pa.types.is_floating(column.kind):
        return [
            "" if value is None else _format_float(value, column) for value in values.to_pylist()
        ]
    texts = read_texts(to_text(values))
    if column.is_right:
        if not column.separated:
            return [text or "" for text in texts]
        return [_separate_thousands(text) if text else "" for text in texts]
    return [escape_visibly(text) if text else "" for text in texts]


def _format_float(value: float, column: _Column) -> str:
    if value and (abs(value) >= 1e15 or round(value, column.decimals) == 0):
        return f"{value:.4g}"
    comma = "," if column.separated else ""
    return f"{value:{comma}.{column.decimals}f}"


def _separate_thousands(number: str) -> str:
    digits, point, fraction = number.partition(".")
    # int("-0") would lose the sign of -0.5.
    sign = "-" if digits.startswith("-") else ""
    return f"{sign}{int(digits.lstrip('-')):,}{point}{fraction}"


def measure_cells(text: str) -> int:
    """Return how many cells of a terminal the text takes; wide characters take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def cut_cells(text: str, width: int) -> str:
    """Return the text cut to that many cells, an ellipsis where something went.

    Sentences lose their end. Names lose their middle, because their ends tell them apart:
    ``postfix/smtp`` and ``postfix/smtpd``, files of one directory.
    """
    # Any number of combining characters fits in one cell: limit the characters as well.
    if len(text) <= 8 * width and measure_cells(text) <= width:
        return text
    tail = ""
    if " " not in text:
        tail = text[-4 * width :]
        while measure_cells(tail) > width // 2:
            tail = tail[1:]
    from rich.cells import set_cell_size

    head = set_cell_size(text[: 4 * width], width - 1 - measure_cells(tail))
    return head.rstrip() + "…" + tail


def make_bar(value: float, largest: float, width: int, *, is_ascii: bool) -> str:
    """Return a bar as long as the value's share of the largest; at least a trace of it.

    Examples
    --------
    >>> make_bar(3, 4, 2, is_ascii=False)
    '█▌'
    """
    if not (isfinite(value) and 0 < value <= largest):
        return ""
    if is_ascii:
        return "#" * max(1, round(width * value / largest))
    eighths = max(1, round(8 * width * value / largest))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _pad(text: str, column: _Column) -> str:
    padding = " " * (column.width - measure_cells(text))
    return padding + text if column.is_right else text + padding


def _write_plain(
    title: str,
    columns: list[_Column],
    rows: Iterator[list[str]],
    note: str,
    stream: Screen,
) -> None:
    if title:
        stream.write(f"{title}\n")
    head = [[column.name for column in columns], ["-" * column.width for column in columns]]
    stream.writelines(_join(cells, columns) for cells in chain(head, rows))
    if note:
        stream.write(f"{note}\n")


def _join(cells: list[str], columns: list[_Column]) -> str:
    return GAP.join(map(_pad, cells, columns)).rstrip() + "\n"


def _write_rich(
    title: str,
    columns: list[_Column],
    table: pa.Table,
    limit: int | None,
    note: str,
    stream: Screen,
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Where numbers alone are wider than the terminal, its own wrapping loses nothing; rich
    # would cut digits.
    width = sum(column.width for column in columns) + len(GAP) * len(columns)
    bars = _make_bars(table, columns, (limit or 0) - width, is_ascii=not stream.has_blocks)
    console = Console(
        file=cast("IO[str]", stream),
        width=max(width, limit or 0, 20),
        color_system=None if os.environ.get("NO_COLOR") else "auto",
    )
    shown = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        shown.add_column(
            Text(column.name),
            justify="right" if column.is_right else "left",
            width=column.width,
            no_wrap=True,
        )
    if bars:
        shown.add_column("", width=max(map(len, bars)), no_wrap=True)
    for n, cells in enumerate(_format_rows(table, columns, limit)):
        shown.add_row(*map(Text, cells), *([Text(bars[n], style="cyan")] if bars else []))
    if title:
        console.print(Text(title, style="bold"))
    console.print(shown)
    if note:
        console.print(Text(note, style="dim"), soft_wrap=True)


def _make_bars(table: pa.Table, columns: list[_Column], room: int, *, is_ascii: bool) -> list[str]:
    """Return a bar for each row, of its last number; none where there is too little room."""
    measured = [n for n, column in enumerate(columns) if column.separated or column.decimals]
    if room < _LEAST_BAR or not measured or len(table) < 2:
        return []
    values = table.column(measured[-1]).to_pylist()
    numbers = [float(value) if value is not None else 0.0 for value in values]
    largest = max((n for n in numbers if isfinite(n)), default=0.0)
    return [
        make_bar(number, largest, min(room, _MOST_BAR), is_ascii=is_ascii) for number in numbers
    ]
