"""A surge as tables, for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.investigation.surge_series import STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from pipeline.investigation.surge import Surge

#: What formats of one table hold.
MAIN_TABLE = "growth"
TABLES = ("change", "growth", "volume", "attempts", "silence")


def surge_tables(surge: Surge | None, unit: str) -> dict[str, pa.Table]:
    """Return the tables, by name.

    ``change``: a row for each change of the volume, ``is_main`` for the one that ``growth`` is
    about; or for the two given periods. ``growth``: a row for each value of each dimension.
    ``volume``: lines and bytes by day or hour. ``attempts``: failed attempts by day of the queue
    ids that carry most. ``silence``: stretches of hours without a line.
    """
    import pyarrow as pa

    moment = pa.timestamp("us") if unit == "hour" else pa.date32()
    stamp = pa.timestamp("us")
    change = {
        "begins": stamp, "before_begins": stamp, "after_ends": stamp,
        f"before_per_{unit}": pa.float64(), f"after_per_{unit}": pa.float64(),
        "factor": pa.float64(), "is_main": pa.bool_(),
    }  # fmt: skip
    growth = {
        "dimension": pa.string(), "value": pa.string(), "measure": pa.string(),
        f"before_per_{unit}": pa.float64(), f"after_per_{unit}": pa.float64(),
        "growth": pa.float64(), "share": pa.float64(), "detail": pa.string(),
    }  # fmt: skip
    volume = {unit: moment, "lines": pa.int64(), "bytes": pa.int64(), "held": pa.float64()}
    attempts = {"queue_id": pa.string(), "day": pa.date32(), "attempts": pa.int64()}
    silence = {"begins": stamp, "ends": stamp, "hours": pa.int64()}
    return {
        "change": make_table(change, _changes(surge)),
        "growth": _growths(surge, growth),
        "volume": make_table(volume, _volume(surge)),
        "attempts": make_table(attempts, _attempts(surge)),
        "silence": make_table(silence, _silence(surge)),
    }


def make_table(columns: dict[str, pa.DataType], rows: Sequence[tuple[object, ...]]) -> pa.Table:
    """Return the table of some rows, whose columns have these types."""
    import pyarrow as pa

    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    arrays = [pa.array(v, kind) for v, kind in zip(values, columns.values(), strict=True)]
    return pa.table(arrays, schema=pa.schema(list(columns.items())))


def _changes(surge: Surge | None) -> list[tuple[object, ...]]:
    if surge is None:
        return []
    if surge.before is not None and surge.main is None:
        total = surge.totals["volume"]
        periods = surge.after.begin, surge.before.begin, surge.after.end
        return [(*periods, total.before, total.after, surge.factor, True)]
    slots = [*surge.series.slots, surge.series.slots[-1] + STEPS[surge.series.unit]]
    borders = [0, *(change.at for change in surge.changes), len(slots) - 1]
    return [
        (
            slots[change.at],
            slots[borders[k]],
            slots[borders[k + 2]],
            change.before,
            change.after,
            change.factor if change.before else None,
            change is surge.main,
        )
        for k, change in enumerate(surge.changes)
    ]


def _growths(surge: Surge | None, columns: dict[str, pa.DataType]) -> pa.Table:
    if surge is None:
        return make_table(columns, [])
    return surge.growths.table().rename_columns(list(columns))


def _volume(surge: Surge | None) -> list[tuple[object, ...]]:
    if surge is None:
        return []
    series = surge.series
    return list(zip(series.slots, series.lines, series.n_bytes, series.held, strict=True))


def _attempts(surge: Surge | None) -> list[tuple[object, ...]]:
    return [
        (queue_id, day, n)
        for queue_id, days in (surge.attempts if surge is not None else {}).items()
        for day, n in days.items()
    ]


def _silence(surge: Surge | None) -> list[tuple[object, ...]]:
    return [
        (begin, end, (end - begin) // STEPS["hour"])
        for begin, end in (surge.silence if surge is not None else [])
    ]
