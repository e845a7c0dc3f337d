"""Charts made of characters: a bar for each day, a sparkline for each series, what stands out.

2007-12-25   486 kB  ████████▊
2007-12-26   1.6 MB  █████████████████████████████▎  ▲ 3.0x

process            bytes  2007-12-09 to 2008-01-07
postfix/smtp      9.8 MB  ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▇▇▇▇█████▇▆▅
"""

from __future__ import annotations

import os
from statistics import median
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from pipeline.charts.choose import plan_charts
from pipeline.charts.series import build_series, make_label
from pipeline.charts.units import LONG, in_units
from pipeline.outputs.table import cut_cells, make_bar, measure_cells

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import pyarrow as pa

    from pipeline.charts.choose import Chart
    from pipeline.charts.series import Drawn
    from pipeline.outputs.model import About
    from pipeline.outputs.streams import Screen

#: More places than this get no bar each: the sparklines tell them.
MAX_BARS = 62
#: A day stands out from so many times the median, or from so small a part of it, and beyond three
#: standard deviations, as the median absolute deviation estimates them.
_HIGH, _LOW = 1.5, 0.25
_DEVIATIONS = 3 * 1.4826
#: So many places are needed to say what is usual.
_USUAL = 5

_LEVELS = "▁▂▃▄▅▆▇█"
_ASCII_LEVELS = ".:-=+*#@"


class Part(NamedTuple):
    """A piece of a line, and what it is: ``""``, ``name``, ``bar``, ``high`` or ``low``."""

    text: str
    kind: str = ""


def draw_bars(
    table: pa.Table, about: About, width: int, *, is_ascii: bool = False
) -> list[list[Part]]:
    """Return the lines of a result's chart over time; none where it has no time or no number.

    Parameters
    ----------
    width : int
        Cells of a line.
    is_ascii : bool
        The terminal has no block characters.
    """
    charts = [c for c in plan_charts(table.schema, about) if c.mark in ("area", "bar", "line")]
    if not charts:
        return []
    chart = next((c for c in charts if c.color is not None), charts[0])
    is_additive = chart.y in about.additive
    drawn = build_series(table, chart, is_additive=is_additive)
    if drawn is None or len(drawn.places) < 2 or not _is_time(drawn):
        return []
    lines: list[list[Part]] = []
    if is_additive or len(drawn.names) == 1:
        lines += _draw_places(drawn, chart, width, is_ascii=is_ascii)
    if chart.color is not None or not lines:
        lines += [[Part("")]] if lines else []
        lines += _draw_series(drawn, chart, width, is_additive=is_additive, is_ascii=is_ascii)
        lines += [[Part(cut_cells(f"({note})", width))] for note in drawn.notes]
    return lines


def write_bars(lines: Sequence[Sequence[Part]], stream: Screen) -> None:
    """Write the lines with rich, in few colours, none of which says anything alone."""
    from rich.console import Console
    from rich.text import Text

    styles = {"": "", "name": "bold", "bar": "cyan", "high": "bold yellow", "low": "bold magenta"}
    console = Console(
        file=cast("IO[str]", stream),
        width=1 << 16,  # they are cut to the width already
        color_system=None if os.environ.get("NO_COLOR") else "auto",
    )
    for line in lines:
        text = Text(no_wrap=True)
        for part in line:
            text.append(part.text, style=styles[part.kind])
        console.print(text)


def _is_time(drawn: Drawn) -> bool:
    return bool(drawn.step) or all(isinstance(place, int) for place in drawn.places)


def _draw_places(drawn: Drawn, chart: Chart, width: int, *, is_ascii: bool) -> list[list[Part]]:
    totals = _add_up(drawn)
    if len(drawn.places) > MAX_BARS:
        return []
    marks = _find_outstanding(totals, is_ascii=is_ascii)
    labels = [_label(place, drawn) for place in drawn.places]
    values = ["" if total is None else in_units(total, chart.y) for total in totals]
    label_width, value_width = (max(map(len, texts)) for texts in (labels, values))
    mark_width = max(map(len, marks))
    room = width - label_width - value_width - 4 - (mark_width + 2 if mark_width else 0)
    largest = max((total for total in totals if total is not None), default=0)
    lines = [[Part(cut_cells(f"{make_label(chart.y)} by {make_label(chart.x)}", width), "name")]]
    for label, value, total, mark in zip(labels, values, totals, marks, strict=True):
        bar = make_bar(total or 0, largest, max(room, 4), is_ascii=is_ascii)
        line = [Part(f"{label:{label_width}}  {value:>{value_width}}  "), Part(bar, "bar")]
        if mark:
            kind = "low" if mark[0] in "▼-" else "high"
            line += [Part("  "), Part(mark, kind)]
        lines.append(line)
    return lines


def _add_up(drawn: Drawn) -> list[float | None]:
    """Return the total of each place; None for a gap."""
    totals: dict[object, float | None] = dict.fromkeys(drawn.places)
    for x, _, y in drawn.rows:
        if y is not None:
            totals[x] = (totals[x] or 0) + y
    return list(totals.values())


def _find_outstanding(totals: Sequence[float | None], *, is_ascii: bool) -> list[str]:
    """Return a mark for each place, empty where it is as usual."""
    known = [total for total in totals if total is not None]
    usual = median(known) if known else 0
    if len(known) < _USUAL or usual <= 0:
        return [""] * len(totals)
    spread = _DEVIATIONS * median(abs(total - usual) for total in known)
    high, low = "+-" if is_ascii else "▲▼"
    marks = []
    for n, total in enumerate(totals):
        mark = ""
        is_end = n in (0, len(totals) - 1)  # a log seldom begins or ends at midnight
        if total is not None and total >= _HIGH * usual and total > usual + spread:
            mark = f"{high} {total / usual:.1f}x"
        elif total is not None and not is_end and total <= _LOW * usual and total < usual - spread:
            mark = f"{low} {total / usual:.1f}x"
        marks.append(mark)
    return marks


def _draw_series(
    drawn: Drawn, chart: Chart, width: int, *, is_additive: bool, is_ascii: bool
) -> list[list[Part]]:
    names = drawn.names if chart.color is not None else ["all"]
    series: dict[str, list[float | None]] = {name: [] for name in names}
    by_place = {(x, name if chart.color is not None else "all"): y for x, name, y in drawn.rows}
    for name, values in series.items():
        values += [by_place.get((place, name)) for place in drawn.places]
    sums = {
        name: in_units(_measure(values, is_additive=is_additive), chart.y)
        for name, values in series.items()
    }
    head = make_label(chart.color) if chart.color is not None else ""
    measured = make_label(chart.y) if is_additive else f"max {make_label(chart.y)}"
    most = max(12, width // 3)
    name_width = min(most, max(measure_cells(name) for name in (head, *names)))
    measured = cut_cells(measured, max(8, width // 5))
    value_width = max(map(measure_cells, (measured, *sums.values())))
    room = max(width - name_width - value_width - 4, 4)
    first, last = _label(drawn.places[0], drawn), _label(drawn.places[-1], drawn)
    span = cut_cells(f"{first} to {last}", room)
    lines = [[Part(f"{_pad(head, name_width)}  {measured:>{value_width}}  {span}", "name")]]
    for name, values in series.items():
        spark = make_spark(values, room, is_ascii=is_ascii)
        text = f"{_pad(cut_cells(name, name_width), name_width)}  {sums[name]:>{value_width}}  "
        lines.append([Part(text), Part(spark, "bar")])
    return lines


def _measure(values: Sequence[float | None], *, is_additive: bool) -> float:
    known = [value for value in values if value is not None]
    return (sum(known) if is_additive else max(known)) if known else 0


def make_spark(values: Sequence[float | None], room: int, *, is_ascii: bool) -> str:
    """Return a character for each place; where there are more of them than cells, for several."""
    levels = _ASCII_LEVELS if is_ascii else _LEVELS
    n_cells = min(room, len(values))
    cells = []
    for n in range(n_cells):
        part = values[n * len(values) // n_cells : (n + 1) * len(values) // n_cells]
        known = [value for value in part if value is not None]
        cells.append(max(known) if known else None)
    largest = max((cell for cell in cells if cell is not None), default=0)
    if largest <= 0:
        return "".join(" " if cell is None else levels[0] for cell in cells)
    return "".join(
        " " if cell is None else levels[min(int(8 * max(cell, 0) / largest), 7)] for cell in cells
    )


def _label(place: datetime | int, drawn: Drawn) -> str:
    return f"{place:02}" if isinstance(place, int) else place.strftime(LONG[drawn.step])


def _pad(text: str, width: int) -> str:
    return text + " " * (width - measure_cells(text))
