"""An overview as tables, for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.investigation.surge_tables import TABLES as SURGE_TABLES
from pipeline.investigation.surge_tables import make_table, surge_tables
from pipeline.investigation.surge_text import Look

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from pipeline.charts.bars import Part
    from pipeline.investigation.overview import Overview

#: What formats of one table hold: the screen, line by line.
MAIN_TABLE = "overview"
TABLES = (MAIN_TABLE, "files", *SURGE_TABLES, "queue", "causes")
#: No line is wrapped for a program.
_WIDE = Look(10_000)


def overview_tables(
    overview: Overview, tell: Callable[[Look], Sequence[Sequence[Part]]], unit: str
) -> dict[str, pa.Table]:
    """Return the tables, by name: those of `surge_tables`, and what only the overview knows."""
    import pyarrow as pa

    screen = []
    section = ""
    for line in tell(_WIDE):
        if line and line[0].kind == "name" and line[0].text.strip().isupper():
            section = line[0].text.strip()
        text = "".join(part.text for part in line).strip()
        screen.append((section or "LOG", text.removeprefix(section).strip()))
    queue, stuck = overview.queue, overview.stuck
    rows = []
    if queue is not None and stuck is not None:
        oldest = None if queue.oldest is None else int(queue.oldest.total_seconds())
        rows.append((
            queue.waiting, queue.nobodys, oldest, queue.came, queue.gone, stuck.messages,
            stuck.nobodys, stuck.attempts,
        ))  # fmt: skip
    counts = ("waiting", "waiting_from_nobody", "oldest_seconds", "came", "gone")
    kinds = {name: pa.float64() if name in ("came", "gone") else pa.int64() for name in counts}
    kinds |= dict.fromkeys(("stuck", "stuck_from_nobody", "stuck_attempts"), pa.int64())
    stamp = pa.timestamp("us")
    return {
        MAIN_TABLE: make_table({"section": pa.string(), "text": pa.string()}, screen),
        "files": make_table(
            {"file": pa.string(), "bytes": pa.int64(), "first": stamp, "last": stamp},
            [(one.name, one.plain_bytes, one.first, one.last) for one in overview.files],
        ),
        **surge_tables(overview.surge, unit),
        "queue": make_table(kinds, rows),
        "causes": make_table(
            {
                "kind": pa.string(),
                "name": pa.string(),
                "share": pa.float64(),
                "detail": pa.string(),
            },
            [tuple(cause) for cause in overview.causes],
        ),
    }
