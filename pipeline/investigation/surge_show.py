"""Show what an investigation found: text for people, tables for programs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from pipeline.investigation.surge_tables import MAIN_TABLE
from pipeline.investigation.surge_text import Look
from pipeline.outputs.model import About
from pipeline.outputs.streams import Screen, measure_width, write_bytes
from pipeline.render import TEXT_FORMATS, render, takes_one, write_outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TextIO

    import pyarrow as pa

    from pipeline.charts.bars import Part
    from pipeline.outputs.model import Occasion

#: Cells of a line where nothing says how many there are.
USUAL_WIDTH = 100
_ASCII = str.maketrans({"→": "->", "\N{MULTIPLICATION SIGN}": "x", "·": "-", "…": "~"})


def write_text(tell: Callable[[Look], Sequence[Sequence[Part]]], stream: TextIO) -> None:
    """Write lines: on a terminal with colours and cut to its width, else plain."""
    screen = Screen(stream)
    is_terminal = stream.isatty()
    is_said = os.environ.get("COLUMNS", "").isdecimal()
    width = measure_width(stream) if is_terminal or is_said else USUAL_WIDTH
    lines = tell(Look(width, is_ascii=is_terminal and not screen.has_blocks))
    if is_terminal:
        from pipeline.charts.bars import write_bars

        if not screen.has_blocks:
            lines = [
                [part._replace(text=part.text.translate(_ASCII)) for part in line] for line in lines
            ]
        write_bars(lines, screen)
        screen.flush()
    else:
        text = "".join(f"{''.join(part.text for part in line).rstrip()}\n" for line in lines)
        write_bytes(stream, text.encode())


def part_outputs(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the paths given with ``-o`` that get all tables, and those that hold the main one."""
    single = [path for path in paths if takes_one(path)]
    return [path for path in paths if path not in single], single


def write_tables(
    tables: Mapping[str, pa.Table],
    options: Mapping[str, Any],
    occasion: Occasion,
    storage_options: Mapping[str, Any],
    main: str = MAIN_TABLE,
) -> None:
    """Write the tables to the files that are asked for."""
    several, single = part_outputs(options["outputs"])
    shared: dict[str, Any] = {
        "csv_safe": options["csv_safe"],
        "occasion": occasion,
        "storage_options": storage_options,
        "about": _about(tables),
    }
    write_outputs(tables, several, **shared)
    write_outputs({main: tables[main]}, single, **shared)


def print_tables(
    tables: Mapping[str, pa.Table], options: Mapping[str, Any], main: str = MAIN_TABLE
) -> None:
    """Print all tables, or the main one where the format holds one."""
    shown = tables if TEXT_FORMATS[options["to"]].holds_several else {main: tables[main]}
    render(shown, options["to"], sys.stdout, csv_safe=options["csv_safe"], about=_about(tables))


def _about(tables: Mapping[str, pa.Table]) -> dict[str, About]:
    """Return how they are drawn: the volume over time, and nothing else."""
    charts = {
        name: f"x={table.schema.names[0]} y=bytes mark=bar" if name == "volume" else "none"
        for name, table in tables.items()
    }
    additive = frozenset({"bytes", "lines", "attempts"})
    return {name: About("", (), (chart,), additive) for name, chart in charts.items()}
