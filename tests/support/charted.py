"""Small results to draw, and what a chart of them is told."""

from __future__ import annotations

from datetime import date

import pyarrow as pa

from pipeline.charts.choose import plan_charts
from pipeline.charts.colors import Palette
from pipeline.charts.spec import make_spec
from pipeline.outputs.model import About


def make(days, names, values, y="bytes"):
    return pa.table(
        {
            "day": pa.array([None if d is None else date(2008, 1, d) for d in days], pa.date32()),
            "process": pa.array(names, pa.string()),
            y: pa.array(values, pa.float64() if y == "mean" else pa.int64()),
        }
    )


def about(*charts, additive=("bytes",), keys=("day", "process")):
    return About("", keys, charts, frozenset(additive))


def spec_of(table, told, palette=None):
    (chart, *_) = plan_charts(table.schema, told)
    return make_spec(table, chart, told, palette or Palette(), is_page=False)
