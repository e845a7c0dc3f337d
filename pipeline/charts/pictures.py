"""SVG and PNG: all charts of all results in one picture, one below the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.charts.choose import plan_charts
from pipeline.charts.colors import Palette
from pipeline.charts.draw import draw_png, draw_svg
from pipeline.charts.spec import make_empty_spec, make_spec, stack_specs, tell_why
from pipeline.errors import OutputError
from pipeline.outputs.model import About
from pipeline.text import escape_visibly

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa

    from pipeline.outputs.model import Style


def write_svg(results: Mapping[str, pa.Table], place: Path, style: Style) -> None:
    """Write the charts of the results as an SVG file."""
    place.write_text(draw_svg(_make_specs(results, style)) + "\n", encoding="utf-8")


def write_png(results: Mapping[str, pa.Table], place: Path, style: Style) -> None:
    """Write the charts of the results as a PNG file."""
    place.write_bytes(draw_png(_make_specs(results, style)))


def _make_specs(results: Mapping[str, pa.Table], style: Style) -> dict[str, Any]:
    palette = Palette()
    specs = []
    why = "a picture needs a number, and a column to tell apart"
    is_empty = not any(len(table) for table in results.values())
    for job, table in results.items():
        about = style.about.get(job, About())
        for chart in plan_charts(table.schema, about):
            spec = make_spec(table, chart, about, palette, is_page=False)
            if spec is not None:
                specs.append(spec)
            elif chart.y in about.additive:
                is_empty = True
            else:
                why = f"{escape_visibly(chart.title)}: {tell_why(chart, about)}"
    if not specs and is_empty:
        return make_empty_spec(list(results))
    if not specs:
        raise OutputError(f"there is nothing to draw: {why}")
    return stack_specs(specs)
