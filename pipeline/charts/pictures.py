"""SVG and PNG: all charts of all results in one picture, one below the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.charts.choose import plan_charts
from pipeline.charts.colors import Palette
from pipeline.charts.draw import draw_png, draw_svg
from pipeline.charts.spec import make_spec, stack_specs
from pipeline.errors import OutputError
from pipeline.outputs.model import About

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
    for job, table in results.items():
        about = style.about.get(job, About())
        for chart in plan_charts(table.schema, about):
            spec = make_spec(table, chart, about, palette, is_page=False)
            if spec is not None:
                specs.append(spec)
    if not specs:
        raise OutputError(
            "there is nothing to draw: a picture needs rows, a number, and a column to tell apart"
        )
    return stack_specs(specs)
