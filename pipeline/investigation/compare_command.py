"""``sawlog JOB --compare previous|A..B``: a job over two periods, side by side."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.job import Job


def run_compare_command(
    jobs: Sequence[Job], sources: Sequence[str], *, compare: str, title: str = "", **options: Any
) -> int:
    """Run jobs over two periods and show them side by side; return the exit code.

    The sources are read twice, those that can't hold a line of a period not for that one.
    """
    from pipeline.commands import begin, check_written, end, occasion_of, progress_of
    from pipeline.handing_on import Veil
    from pipeline.investigation.compare import (
        compare_results,
        join_accounts,
        read_compared,
        tell_lengths,
        without_times,
    )
    from pipeline.outputs.model import About
    from pipeline.render import check_format, render, write_outputs
    from pipeline.run import plan_queries, run_jobs

    if "-" in sources:
        raise UsageError("--compare reads the sources twice, and standard input can't be")
    settings = begin(sources, options)
    jobs = [without_times(job, settings.by) for job in jobs]
    earlier, later = read_compared(compare, replace(settings, by=None))
    names = [job.name for job in jobs]
    check_format(options["to"], names)
    check_written(sources, options, names)
    runs = []
    for period in (later, earlier):
        planned = plan_queries(jobs, period)
        if any(getattr(query, "map_only", False) for query in planned[0].queries):
            raise UsageError("--compare compares what a job counts; this one lists rows")
        progress = progress_of(options)
        try:
            runs.append(
                run_jobs(jobs, sources, period, progress.take, progress.plan, planned=planned)
            )
        finally:
            progress.clear()
    plans = {plan.job.name: plan for plan in planned[1]}
    veil = Veil(settings.pseudonyms)
    results = {}
    for name, after in runs[0].results.items():
        plan = plans[name]
        table = compare_results(runs[1].results[name], after, plan.keys, plan.plan.additive)
        if table is not None:
            # What changed most stands first, up or down: no column ranks by itself.
            results[name] = veil.table(table.slice(0, options["top"]))
    if not results:
        raise UsageError("--compare: there is no number in the result that could be compared")
    account = veil.account(join_accounts(runs[0], runs[1]))
    warnings = veil.texts(dict.fromkeys([*runs[0].warnings, *runs[1].warnings]))
    lengths = tell_lengths(earlier, later)
    if lengths is not None and not options["quiet"]:
        print(lengths, file=sys.stderr)
    command = veil.command(sys.argv[1:], names, sources, options)
    occasion = replace(occasion_of(settings, account, warnings, command), title=title)
    about = veil.about({n: About(plans[n].job.question, charts=("none",)) for n in results})
    shared: dict[str, Any] = {"csv_safe": options["csv_safe"], "about": about}
    write_outputs(
        results,
        options["outputs"],
        occasion=occasion,
        storage_options=settings.storage_options,
        **shared,
    )
    render(results, options["to"], sys.stdout, **shared)
    return end(account, warnings, options)
