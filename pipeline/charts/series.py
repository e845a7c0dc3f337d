"""The rows of a chart: summed up to what it tells apart, the largest series and "other", gaps.

A result may have a million rows and names; a picture shows at most `MAX_POINTS` places along its
axis, the nine largest series and what all others add up to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline import duck
from pipeline.charts.choose import is_time
from pipeline.text import escape_visibly

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.charts.choose import Chart

#: Series that are drawn, and with more than ten the largest of them beside "other".
MAX_SERIES, TOP_SERIES = 10, 9
#: Bars of a ranking, rows and columns of a heat map, places along a time axis.
MAX_RANKED = 20
MAX_CELLS = 40
MAX_POINTS = 1500
#: Characters of a name.
MAX_LABEL = 40

#: Steps of a time axis: seconds, and the part of a date that DuckDB cuts to.
_STEPS = (
    (1, "second"),
    (60, "minute"),
    (3600, "hour"),
    (86_400, "day"),
    (30 * 86_400, "month"),
    (365 * 86_400, "year"),
)
_DAY = 3


@dataclass(slots=True)
class Drawn:
    """What a chart draws.

    Attributes
    ----------
    rows : list of (x, name of the series, value)
        Ordered by series, then x. ``x`` is a date, a datetime, a number or a label; a value of None
        is a gap.
    names : list of str
        The series, the largest first, "other" last; their labels differ.
    other : str or None
        The name that stands for the rest.
    step : str
        ``second`` … ``year`` where x is a time on the calendar, else empty.
    places : list
        All x in order, gaps included.
    notes : list of str
        What the picture leaves out.
    """

    rows: list[tuple[Any, str, Any]]
    names: list[str]
    other: str | None
    step: str
    places: list[Any]
    notes: list[str] = field(default_factory=list)


def build_series(table: pa.Table, chart: Chart, *, is_additive: bool) -> Drawn | None:
    """Return what a chart of a result draws; None where nothing can be drawn.

    Parameters
    ----------
    is_additive : bool
        Values may be added up. If not, and the result tells more apart than the chart does,
        nothing can be drawn; and there is no "other".
    """
    if not len(table):
        return None
    schema = table.schema
    step = ""
    x = _quoted(chart.x)
    if is_time(schema, chart.x) and not _is_number(schema, chart.x):
        step = _find_step(table, chart.x, is_additive=is_additive)
        x = f"date_trunc('{step}', {x})::TIMESTAMP"
    held = {"drawn": _cut_columns(table, chart)}
    summed = "sum(y)" if is_additive else "any_value(y)"
    series = "NULL::VARCHAR" if chart.color is None else f"{_quoted(chart.color)}::VARCHAR"
    source = (
        f"SELECT {x} AS x, {series} AS s, {_quoted(chart.y)}::DOUBLE AS y, "
        f"{_quoted(chart.x)}::VARCHAR AS label FROM drawn "
        f"WHERE isfinite({_quoted(chart.y)}::DOUBLE)"
    )
    if not is_additive and _query(
        f"SELECT 1 FROM ({source}) GROUP BY x, s HAVING count(*) > 1 LIMIT 1", held
    ):
        return None
    if chart.mark == "rank":
        return _rank(source, held, is_additive=is_additive)
    if step or (is_time(schema, chart.x) and _is_number(schema, chart.x)):
        source = f"SELECT * FROM ({source}) WHERE x IS NOT NULL"
    limit = MAX_CELLS if chart.mark == "heat" else MAX_SERIES
    ranked = [
        name
        for name, _ in _query(
            f"SELECT s, sum(abs(y)) AS n FROM ({source}) GROUP BY s ORDER BY n DESC, s NULLS LAST "
            f"LIMIT {limit + 1}",
            held,
        )
    ]
    is_cut = len(ranked) > limit
    top = ranked[: (TOP_SERIES if chart.mark != "heat" else limit)] if is_cut else ranked
    labels = _label_all(top)
    other = _other(labels.values()) if is_cut and is_additive and chart.mark != "heat" else None
    held["top"] = pa.table(
        {"s": pa.array(top, pa.string()), "k": pa.array(range(len(top)), pa.int32())}
    )
    rows = _query(
        f"SELECT x, coalesce(k, {len(top)}) AS k, {summed} AS y "
        f"FROM ({source}) AS d {'LEFT' if other else ''} JOIN top "
        "ON d.s IS NOT DISTINCT FROM top.s GROUP BY ALL ORDER BY 2, 1",
        held,
    )
    if not rows:
        return None
    names = [*labels.values(), *([other] if other else [])]
    drawn = Drawn([(x, names[k], y) for x, k, y in rows], names, other, step, [])
    if is_cut and other is None:
        drawn.notes.append(f"the largest {len(top)} only")
    _place(drawn, chart, is_additive=is_additive)
    return drawn


def _cut_columns(table: pa.Table, chart: Chart) -> pa.Table:
    names = dict.fromkeys((*chart.keys, chart.y))
    return table.select(list(names))


def _query(sql: str, held: Mapping[str, pa.Table]) -> list[tuple[Any, ...]]:
    cursor = duck.cursor()
    for name, table in held.items():
        cursor.register(name, table)
    try:
        columns = [column.to_pylist() for column in duck.query(sql).columns]
        return list(zip(*columns, strict=True))
    finally:
        for name in held:
            cursor.unregister(name)


def _rank(source: str, held: Mapping[str, pa.Table], *, is_additive: bool) -> Drawn | None:
    summed = "sum(y)" if is_additive else "any_value(y)"
    ranked = f"SELECT label, {summed} AS y FROM ({source}) GROUP BY label"
    rows = _query(f"{ranked} ORDER BY y DESC, label NULLS LAST LIMIT {MAX_RANKED + 1}", held)
    if not rows:
        return None
    notes = []
    kept = rows if len(rows) <= MAX_RANKED else rows[: MAX_RANKED - 1]
    labels = _label_all([name for name, _ in kept])
    drawn = [(labels[name], y) for name, y in kept]
    if len(kept) < len(rows):
        if is_additive:
            ((total,),) = _query(f"SELECT sum(y) FROM ({source})", held)
            drawn.append((_other(labels.values()), total - sum(y for _, y in kept)))
        else:
            notes.append(f"the largest {len(kept)} only")
    places = [name for name, _ in drawn]
    return Drawn([(name, "", y) for name, y in drawn], [""], None, "", places, notes)


def _place(drawn: Drawn, chart: Chart, *, is_additive: bool) -> None:
    """Order the places along x; fill in those that are missing between them."""
    seen = {row[0]: None for row in drawn.rows}
    if drawn.step:
        drawn.places = _calendar(min(seen), max(seen), drawn.step)
    elif all(isinstance(x, int) for x in seen):
        hours = chart.x == "hour" and all(0 <= x <= 23 for x in seen)
        drawn.places = list(range(24)) if hours else sorted(seen)
    else:
        total: dict[Any, float] = {}
        for x, _, y in drawn.rows:
            total[x] = total.get(x, 0) + abs(y)
        drawn.places = sorted(total, key=lambda x: (-total[x], str(x)))[:MAX_CELLS]
        if len(drawn.places) < len(total):
            drawn.notes.append(f"the largest {len(drawn.places)} columns only")
        labels = _label_all(drawn.places)
        drawn.rows = [(labels[x], name, y) for x, name, y in drawn.rows if x in labels]
        drawn.places = list(labels.values())
        return
    values = {(x, name): y for x, name, y in drawn.rows}
    # A process without lines on a day has none; a day without any lines is a gap.
    missing = 0.0 if is_additive and chart.mark != "heat" else None
    drawn.rows = [
        (x, name, values.get((x, name), missing if x in seen else None))
        for name in drawn.names
        for x in drawn.places
    ]


def _find_step(table: pa.Table, column: str, *, is_additive: bool) -> str:
    """Return the coarsest step that tells the column's times apart, or a coarser one for many."""
    held = {"drawn": table.select([column])}
    time = f"{_quoted(column)}::TIMESTAMP"
    on = ", ".join(f"bool_and(date_trunc('{step}', {time}) = {time})" for _, step in _STEPS)
    ((first, last, *fits),) = _query(
        f"SELECT min({time}), max({time}), {on} FROM drawn WHERE isfinite({_quoted(column)})", held
    )
    if first is None:
        return "day"
    at = max((n for n, fit in enumerate(fits) if fit), default=0)
    if first == last:
        at = min(at, _DAY)  # one day that is the first of its month is a day
    seconds = (last - first).total_seconds()
    while is_additive and seconds / _STEPS[at][0] > MAX_POINTS and at + 1 < len(_STEPS):
        at += 1
    return _STEPS[at][1]


def _calendar(first: datetime, last: datetime, step: str) -> list[datetime]:
    if step == "month":
        months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
        return [datetime(n // 12, n % 12 + 1, 1) for n in months]  # noqa: DTZ001
    if step == "year":
        return [datetime(year, 1, 1) for year in range(first.year, last.year + 1)]  # noqa: DTZ001
    length = timedelta(seconds={name: n for n, name in _STEPS}[step])
    n_steps = min(int((last - first) / length), 4 * MAX_POINTS)
    return [first + n * length for n in range(n_steps + 1)]


def _label_all(names: list[Any]) -> dict[Any, str]:
    """Return what stands in the picture for each name; no two alike."""
    labels: dict[Any, str] = {}
    used: set[str] = set()
    for name in names:
        text = label = make_label(name)
        n = 2
        while label in used:
            label = f"{text} ({n})"
            n += 1
        used.add(label)
        labels[name] = label
    return labels


def make_label(name: Any) -> str:
    """Return a name as it can be shown: what can't be seen as an escape, the middle left out."""
    if name is None:
        return "(none)"
    # A date is not a stranger's; a name of a megabyte is cut before it is looked through.
    text = str(name)
    if len(text) > 8 * MAX_LABEL:
        text = text[: 4 * MAX_LABEL] + "…" + text[-4 * MAX_LABEL :]
    text = escape_visibly(text)
    if len(text) > MAX_LABEL:
        text = text[: MAX_LABEL // 2] + "…" + text[-(MAX_LABEL // 2 - 1) :]
    return text or "(empty)"


def _other(names: Any) -> str:
    return "other" if "other" not in names else "(all others)"


def _is_number(schema: pa.Schema, column: str) -> bool:
    from pipeline.outputs.values import is_numeric

    return is_numeric(schema.field(column).type)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
