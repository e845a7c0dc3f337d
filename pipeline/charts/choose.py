"""Choose how a result is drawn: as its job's header says, else by the types of its columns.

    -- chart: x=day y=bytes color=process mark=bar

=======  ===========================================================================
mark     what is drawn
=======  ===========================================================================
bar      bars along x, stacked by color
line     a line for each color along x
area     like line, filled and stacked
heat     a cell for each x and color, the darker the larger y
rank     a horizontal bar for each of the largest x
=======  ===========================================================================

By default: a time and a number are bars over the time, stacked by the first other column, or lines
where the numbers can't be added up; two columns to group by are a heat map; anything else is a
ranking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.job import NO_CHART, read_chart
from pipeline.outputs.top import guess_keys
from pipeline.outputs.values import is_numeric

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from pipeline.outputs.model import About

#: Columns of these names are times, whatever their type.
_TIMES = ("day", "hour", "month", "time", "instant", "week", "year")


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture of a result.

    Attributes
    ----------
    x : str
        The column along the axis; for a ranking, what is ranked.
    y : str
        The number that is drawn.
    color : str or None
        The column that makes series; for a heat map its rows.
    mark : str
        One of `pipeline.job.MARKS`.
    title : str
    """

    x: str
    y: str
    color: str | None
    mark: str
    title: str

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that it tells apart; the others are summed up."""
        return (self.x,) if self.color is None else (self.x, self.color)


def plan_charts(schema: pa.Schema, about: About) -> list[Chart]:
    """Return the charts of a result; none where there is no number in it, or nothing to tell apart.

    A chart of the header whose columns the result lacks (because of ``--by``) is drawn by another
    column to group by, or left out; without any left the default is drawn.
    """
    keys = [key for key in about.keys or guess_keys(schema) if key in schema.names]
    if NO_CHART in about.charts:
        return []
    wishes = [read_chart(text) for text in about.charts]
    asked = (_adapt(parts, schema, keys, about) for parts in wishes)
    charts = list(dict.fromkeys(chart for chart in asked if chart is not None))
    return charts or _choose(schema, keys, [parts["y"] for parts in wishes], about)


def is_time(schema: pa.Schema, column: str) -> bool:
    """Tell whether a column is a time: a date, a timestamp, or an hour of the day."""
    import pyarrow as pa

    kind = schema.field(column).type
    return (
        pa.types.is_date(kind)
        or pa.types.is_timestamp(kind)
        or (column in _TIMES and is_numeric(kind))
    )


def _adapt(
    parts: dict[str, str], schema: pa.Schema, keys: Sequence[str], about: About
) -> Chart | None:
    x, y, color = parts["x"], parts["y"], parts.get("color")
    if x not in schema.names or not _is_number(schema, y):
        return None
    mark = parts.get("mark") or _bars_or_lines(y, color, about)
    if color is None or color in schema.names:
        return _make(x, y, color, mark, parts.get("title"))
    # Its title may name the column that is not there.
    others = [key for key in keys if key != x and not is_time(schema, key)]
    return _make(x, y, others[0], mark) if others else None


def _bars_or_lines(y: str, color: str | None, about: About) -> str:
    """Return what draws y over a time: bars would stack means, and say a sum that is none."""
    return "bar" if color is None or y in about.additive else "line"


def _choose(
    schema: pa.Schema, keys: Sequence[str], wished: Sequence[str], about: About
) -> list[Chart]:
    measured = [name for name in schema.names if name not in keys and _is_number(schema, name)]
    if not measured or not keys:
        return []
    y = next((name for name in wished if name in measured), measured[0])
    times = [key for key in keys if is_time(schema, key)]
    others = [key for key in keys if key not in times]
    if len(times) >= 2 and not others:
        return [_make(times[0], y, times[1], "heat")]
    if times:
        color = others[0] if others else None
        return [_make(times[0], y, color, _bars_or_lines(y, color, about))]
    if len(others) >= 2:
        return [_make(others[0], y, others[1], "heat")]
    return [_make(others[0], y, None, "rank")]


def _make(x: str, y: str, color: str | None, mark: str, title: str | None = None) -> Chart:
    if title is None:
        title = f"{y} by {x}" if color is None else f"{y} by {x} and {color}"
    return Chart(x, y, color, mark, title)


def _is_number(schema: pa.Schema, column: str) -> bool:
    return column in schema.names and is_numeric(schema.field(column).type)
