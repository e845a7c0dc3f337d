"""The command ``sawlog surge``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.investigation.surge_series import Period

_UNITS = {None: None, "day": "day", "hour": "hour", "day,hour": "hour"}


def run_surge_command(
    sources: Sequence[str], *, before: str | None, after: str | None, **options: Any
) -> int:
    """Find what changed in the logs, and show it; return the exit code."""
    from pipeline.commands import begin, check_written, end, occasion_of, progress_of
    from pipeline.handing_on import Veil
    from pipeline.investigation.surge import find_surge
    from pipeline.investigation.surge_periods import read_period, unit_of
    from pipeline.investigation.surge_queries import surge_jobs
    from pipeline.investigation.surge_show import (
        part_outputs,
        print_tables,
        write_tables,
        write_text,
    )
    from pipeline.investigation.surge_tables import MAIN_TABLE, TABLES, surge_tables
    from pipeline.investigation.surge_text import tell_surge
    from pipeline.investigation.surge_unit import choose_unit
    from pipeline.run import find_inputs, run_jobs

    asked = _read_unit(options["by"])
    options = {**options, "by": None}
    settings = begin(sources, options)
    if before is not None and after is None:
        raise UsageError("--before is compared with --after: give both, or --after alone")
    periods: list[Period | None] = [
        None if text is None else read_period(option, text, settings.now)
        for option, text in (("--before", before), ("--after", after))
    ]
    given = [period for period in periods if period is not None]
    inputs = find_inputs(sources, settings)
    unit = asked or (unit_of(given) if given else choose_unit(inputs, settings))
    if given and unit == "day" and unit_of(given) == "hour":
        raise UsageError("the periods begin or end within a day: leave --by day out")
    several, single = part_outputs(options["outputs"])
    check_written(sources, {**options, "outputs": several}, list(TABLES))
    check_written(sources, {**options, "outputs": single}, [MAIN_TABLE])
    progress = progress_of(options)
    try:
        jobs = surge_jobs(unit)
        done = run_jobs(jobs, sources, settings, progress.take, progress.plan, inputs=inputs)
    finally:
        progress.clear()
    veil = Veil(settings.pseudonyms)
    results = {name: veil.table(table) for name, table in done.results.items()}
    account, warnings = veil.account(done.account), veil.texts(done.warnings)
    surge = find_surge(results, unit, *periods)
    command = veil.command(sys.argv[1:], ["surge"], sources, options)
    occasion = occasion_of(settings, account, warnings, command)
    tables = surge_tables(surge, unit)
    write_tables(tables, options, occasion, settings.storage_options)
    if options["to"] == "table":
        write_text(lambda look: tell_surge(surge, look, options["top"]), sys.stdout)
    else:
        print_tables(tables, options)
    return end(account, warnings, options)


def _read_unit(by: str | None) -> str | None:
    if by is not None:
        by = by.replace(" ", "").lower()
    if by not in _UNITS:
        raise UsageError(f"surge goes by day or by hour, not by {by!r}")
    return _UNITS[by]
