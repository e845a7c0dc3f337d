"""A chart as a Vega-Lite specification (version 5), plain data.

Text of a log stands in it only as values of data, scales and titles, which Vega never evaluates.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipeline.charts.colors import TOTAL
from pipeline.charts.series import build_series, make_label
from pipeline.charts.units import LONG, SHORT, is_in_bytes
from pipeline.text import in_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from pipeline.charts.choose import Chart
    from pipeline.charts.colors import Palette
    from pipeline.charts.series import Drawn
    from pipeline.outputs.model import About

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
WIDTH, HEIGHT, STEP = 760, 260, 20

#: Labels along an axis at most.
MAX_LABELS = 12

_FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
# Below one, SI would say 500m for a half.
_COUNTED = (
    "abs(datum.value) < 1 ? format(datum.value, '.3~r')"
    " : replace(format(datum.value, '.3~s'), 'G', 'B')"
)
_BYTES = "replace(format(datum.value, '.3~s'), /([kMGTP]?)$/, ' $1B')"


def make_spec(
    table: pa.Table, chart: Chart, about: About, palette: Palette, *, is_page: bool
) -> dict[str, Any] | None:
    """Return the specification of a chart of a result; None where nothing can be drawn.

    Parameters
    ----------
    table : pyarrow.Table
        A result.
    palette : Palette
        One for all charts of a report.
    is_page : bool
        The picture stands in a page: without background, its text and axes in the page's colour.
        Else it stands by itself, on white.
    """
    drawn = build_series(table, chart, is_additive=chart.y in about.additive)
    if drawn is None:
        return None
    make = {"heat": _heat, "rank": _rank}.get(chart.mark, _along)
    title: dict[str, Any] = {"text": make_label(chart.title)}
    if drawn.notes:
        title["subtitle"] = "; ".join(drawn.notes)
    return {
        "$schema": SCHEMA,
        "title": title,
        "data": {"values": _rows(drawn, chart)},
        **make(drawn, chart, palette),
        "background": None if is_page else "white",
        "config": _config("currentColor" if is_page else "#333333"),
    }


def tell_why(chart: Chart, about: About) -> str:
    """Return why `make_spec` made nothing of a result."""
    if chart.y in about.additive:
        return f"no row has both {make_label(chart.x)} and {make_label(chart.y)}"
    return (
        "rows differ in more than the chart shows, and only counts and sums can be added up; "
        "name the other columns in it, or leave them out of the query"
    )


def make_empty_spec(names: Sequence[str]) -> dict[str, Any]:
    """Return the specification of a picture that says that there is nothing in these results."""
    return {
        "$schema": SCHEMA,
        "title": {"text": make_label(", ".join(names)), "subtitle": "no rows to draw"},
        "data": {"values": [{}]},
        "width": WIDTH,
        "height": STEP,
        "mark": {"type": "text", "text": ""},
        "background": "white",
        "config": _config("#333333"),
    }


def stack_specs(specs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return one picture of several, one below the other.

    Raises
    ------
    ValueError
        There is none.
    """
    if not specs:
        raise ValueError("no charts")
    if len(specs) == 1:
        return specs[0]
    shared = {name: specs[0][name] for name in ("$schema", "background", "config")}
    parts = [{k: v for k, v in spec.items() if k not in shared} for spec in specs]
    return {
        **shared,
        "vconcat": parts,
        "spacing": 30,
        "resolve": {"scale": {"color": "independent"}},
    }


def _rows(drawn: Drawn, chart: Chart) -> list[dict[str, Any]]:
    at = {name: n for n, name in enumerate(drawn.names)}
    rows = [
        {"x": _place(x), "y": y, "s": name, "o": at[name], "d": _describe(x, name, y, chart, drawn)}
        for x, name, y in drawn.rows
    ]
    if chart.mark == "area":
        # Vega-Lite stacks areas only after it has made up a row for every place and description.
        # As with bars, what is less than nothing hangs below.
        tops: dict[Any, float] = {}
        for row in rows:
            if row["y"] is not None:
                stack = (row["x"], row["y"] < 0)
                row["low"] = tops.get(stack, 0)
                row["y"] = tops[stack] = row["low"] + row["y"]
    return rows


def _place(x: Any) -> Any:
    return x.isoformat() + "Z" if isinstance(x, datetime) else x


def _describe(x: Any, name: str, y: float | None, chart: Chart, drawn: Drawn) -> str:
    """Return what a tooltip and a screen reader say of a mark."""
    if y is None:
        return ""
    told = f"{y:,.0f}" if float(y).is_integer() else f"{y:,.4g}"
    size = f" ({in_bytes(y)})" if is_in_bytes(chart.y) and y >= 1000 else ""
    where = [x.strftime(LONG[drawn.step]) if isinstance(x, datetime) else str(x)]
    if name and chart.color is not None:
        where.append(name)
    return " · ".join([*where, f"{told} {make_label(chart.y)}{size}"])


def _along(drawn: Drawn, chart: Chart, palette: Palette) -> dict[str, Any]:
    """Bars, lines or areas along x."""
    encoding: dict[str, Any] = {
        "x": _along_x(drawn, chart),
        "y": {
            "field": "y",
            "type": "quantitative",
            "stack": "zero" if chart.mark == "bar" else None,
            "axis": _number_axis(chart),
        },
        "description": {"field": "d"},
        "order": {"field": "o", "type": "quantitative"},
        "color": _color(drawn, chart, palette),
    }
    mark: dict[str, Any] = {"type": chart.mark}
    if chart.mark == "area":
        encoding["y2"] = {"field": "low"}
        mark["opacity"] = 1
    if chart.mark in ("area", "line"):
        # Points, too: a day between two gaps is no line; and they are what a tooltip hangs on.
        mark |= {"strokeWidth": 2, "point": {"size": 28}, "interpolate": "linear"}
        del encoding["order"]
    return {"width": WIDTH, "height": HEIGHT, "mark": mark, "encoding": encoding}


def _along_x(drawn: Drawn, chart: Chart) -> dict[str, Any]:
    """Return the axis: it has a place for every step, so that gaps are as wide as they lasted."""
    places = [_place(place) for place in drawn.places]
    axis: dict[str, Any] = {"title": make_label(chart.x), "grid": False, "labelAngle": 0}
    if drawn.step:
        first, last = (drawn.places[n].strftime(LONG[drawn.step]) for n in (0, -1))
        axis["title"] += f", {first} to {last}" if first != last else f", {first}"
        axis["labelExpr"] = f"utcFormat(toDate(datum.value), '{SHORT[drawn.step]}')"
    if not all(isinstance(place, int) for place in drawn.places) and not drawn.step:
        axis["labelAngle"] = -40
    else:
        axis["values"] = places[:: -(-len(places) // MAX_LABELS)]
    scale = {"domain": places, "paddingInner": 0.1, "paddingOuter": 0.1}
    return {"field": "x", "type": "ordinal", "scale": scale, "axis": axis}


def _heat(drawn: Drawn, chart: Chart, palette: Palette) -> dict[str, Any]:
    del palette
    return {
        "width": WIDTH,
        "height": {"step": STEP},
        "mark": {"type": "rect"},
        "encoding": {
            "x": _along_x(drawn, chart),
            "y": {
                "field": "s",
                "type": "ordinal",
                "scale": {"domain": drawn.names},
                "axis": {"title": make_label(chart.color), "labelLimit": 280},
            },
            "color": {
                "field": "y",
                "type": "quantitative",
                "scale": {"scheme": "viridis"},
                "legend": {"title": make_label(chart.y), "labelExpr": _label_expression(chart)},
            },
            "description": {"field": "d"},
        },
    }


def _rank(drawn: Drawn, chart: Chart, palette: Palette) -> dict[str, Any]:
    del palette
    return {
        "width": WIDTH - 160,
        "height": {"step": STEP},
        "mark": {"type": "bar", "color": TOTAL},
        "encoding": {
            "x": {"field": "y", "type": "quantitative", "axis": _number_axis(chart)},
            "y": {
                "field": "x",
                "type": "ordinal",
                "scale": {"domain": drawn.places},
                "axis": {"title": make_label(chart.x), "labelLimit": 280, "ticks": False},
            },
            "description": {"field": "d"},
        },
    }


def _color(drawn: Drawn, chart: Chart, palette: Palette) -> dict[str, Any]:
    colors = palette.assign(drawn.names, drawn.other) if chart.color else [TOTAL]
    scale = {"domain": drawn.names, "range": colors}
    legend = {"title": make_label(chart.color)} if chart.color is not None else None
    return {"field": "s", "type": "nominal", "scale": scale, "legend": legend}


def _number_axis(chart: Chart) -> dict[str, Any]:
    return {"title": make_label(chart.y), "labelExpr": _label_expression(chart), "tickCount": 6}


def _label_expression(chart: Chart) -> str:
    return _BYTES if is_in_bytes(chart.y) else _COUNTED


def _config(color: str) -> dict[str, Any]:
    axis = {
        "labelColor": color,
        "titleColor": color,
        "domainColor": color,
        "tickColor": color,
        "gridColor": color,
        "gridOpacity": 0.15,
        "domainOpacity": 0.4,
        "tickOpacity": 0.4,
        "titleFontWeight": "normal",
        "titleOpacity": 0.7,
        "titlePadding": 8,
    }
    return {
        "font": _FONT,
        "axis": axis,
        "legend": {
            "labelColor": color,
            "titleColor": color,
            "labelLimit": 260,
            "symbolType": "square",
        },
        "title": {
            "color": color,
            "subtitleColor": color,
            "anchor": "start",
            "fontSize": 15,
            "fontWeight": 600,
            "offset": 12,
        },
        "view": {"stroke": None},
    }
