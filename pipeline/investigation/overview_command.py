"""The command ``sawlog SOURCE…``: one pass, one screen."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def run_overview_command(sources: Sequence[str], commands: Collection[str], **options: Any) -> int:
    """Show what is in the logs, what changed and why; return the exit code.

    ``commands``: what may be proposed next.
    """
    from pipeline.commands import begin, check_written, end, occasion_of, progress_of
    from pipeline.handing_on import Veil
    from pipeline.investigation.overview import gather_overview
    from pipeline.investigation.overview_files import find_missing, list_files
    from pipeline.investigation.overview_queries import overview_jobs
    from pipeline.investigation.overview_tables import MAIN_TABLE, TABLES, overview_tables
    from pipeline.investigation.overview_text import tell_overview
    from pipeline.investigation.surge import find_surge
    from pipeline.investigation.surge_queries import surge_jobs
    from pipeline.investigation.surge_show import (
        part_outputs,
        print_tables,
        write_tables,
        write_text,
    )
    from pipeline.investigation.surge_unit import choose_unit
    from pipeline.run import find_inputs, run_jobs

    if options["by"] is not None:
        raise UsageError("the overview has no --by: ask `sawlog surge` or `sawlog volume`")
    settings = begin(sources, options)
    several, single = part_outputs(options["outputs"])
    check_written(sources, {**options, "outputs": several}, list(TABLES))
    check_written(sources, {**options, "outputs": single}, [MAIN_TABLE])
    # Messages are made of the lines of several processes.
    has_messages = not settings.processes and settings.where is None
    inputs = find_inputs(sources, settings, needs_all=has_messages)
    unit = choose_unit(inputs, settings)
    jobs = surge_jobs(unit) + overview_jobs(unit, has_messages=has_messages)
    progress = progress_of(options)
    try:
        done = run_jobs(jobs, sources, settings, progress.take, progress.plan, inputs=inputs)
    finally:
        progress.clear()
    veil = Veil(settings.pseudonyms)
    results = {name: veil.table(table) for name, table in done.results.items()}
    account, warnings = veil.account(done.account), veil.texts(done.warnings)
    surge = find_surge(results, unit, None, None)
    urls = [file.url for file, _ in inputs.files]
    files = list_files(inputs, done.counts)
    names = veil.texts(one.name for one in files)
    files = [replace(one, name=name) for one, name in zip(files, names, strict=True)]
    overview = gather_overview(results, surge, files, find_missing(urls))
    tell = tell_overview(overview, veil.texts(sources), commands)
    tables = overview_tables(overview, tell, unit)
    command = veil.command(sys.argv[1:], ["overview"], sources, options)
    occasion = occasion_of(settings, account, warnings, command)
    write_tables(tables, options, occasion, settings.storage_options, MAIN_TABLE)
    if options["to"] == "table":
        write_text(tell, sys.stdout)
    else:
        print_tables(tables, options, MAIN_TABLE)
    return end(account, warnings, options)
