"""What the commands do: settings from options, a run, its results and its account."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import SourceError, UsageError
from pipeline.handing_on import Veil
from pipeline.model import split_known

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa

    from pipeline.job import Job
    from pipeline.model import Account
    from pipeline.outputs.model import About, Occasion
    from pipeline.run import Planned, RunResult
    from pipeline.settings import Settings
    from pipeline.watch.watch import Watch

_DAMAGED = 3
_ALERT = 4


def run_jobs_command(
    jobs: Sequence[Job], sources: Sequence[str], *, title: str = "", name: str = "", **options: Any
) -> int:
    """Run jobs over sources; return the exit code.

    ``title`` stands above a report; without one the jobs' names do. ``name`` is what the run is
    called in metrics.
    """
    from pipeline.render import check_format
    from pipeline.run import empty_results, plan_queries

    names = [job.name for job in jobs]
    watch = _watch(name or ",".join(names), options)
    settings = begin(sources, options, is_watched=True)
    check_written(sources, options, names)
    check_format(options["to"], names)
    jobs = [*jobs, *(watch.jobs if watch else [])]
    planned = plan_queries(jobs, settings)
    if watch and watch.alerts and not any(job.is_python for job in jobs):
        watch.check(empty_results(planned))
    is_by_row = options["to"] in ("csv", "values", "ndjson") and not watch
    if (
        len(jobs) == 1
        and is_by_row
        and settings.state is None
        and not options["outputs"]
        and options["top"] is None
    ):
        code = _stream(planned, sources, settings, options)
        if code is not None:
            return code
    progress = progress_of(options)
    try:
        done = _runner(settings)(
            jobs, sources, settings, progress.take, progress.plan, planned=planned
        )
    finally:
        progress.clear()
    silent = watch.take_silent(done.results) if watch else []
    if silent and settings.stop_on_damage:
        raise SourceError(silent[0].file, silent[0].kind, silent[0].detail)
    done.account.damaged += silent
    veil = Veil(settings.pseudonyms)
    account, warnings = veil.account(done.account), veil.texts(done.warnings)
    command = veil.command(sys.argv[1:], names, sources, options)
    results = {name: veil.table(table) for name, table in done.results.items()}
    fired = watch.ask(results) if watch else {}
    occasion = occasion_of(settings, account, warnings, command)
    occasion = replace(occasion, title=title, alerts=fired)
    _show(results, settings, options, veil.about(about(planned)), occasion)
    for told in watch.tell(fired) if watch else []:
        print(told, file=sys.stderr)
    damaged = end(account, warnings, options)
    code = _ALERT if fired else damaged
    if watch and watch.metrics:
        _write_metrics(watch, code, account, done, results, fired, settings)
    return code


def _watch(name: str, options: dict[str, Any]) -> Watch | None:
    """Return what the run is watched for, where it is."""
    if not (options["alerts"] or options["expect_hosts"] or options["metrics"]):
        return None
    from pipeline.watch.watch import read_watch

    return read_watch(name, options)


def _write_metrics(
    watch: Watch,
    code: int,
    account: Account,
    done: RunResult,
    results: dict[str, pa.Table],
    fired: dict[str, pa.Table],
    settings: Settings,
) -> None:
    from zoneinfo import ZoneInfo

    watch.write_metrics(
        account,
        code,
        begun=settings.now.astimezone(),
        latest=done.latest,
        zone=ZoneInfo(settings.zones.log) if settings.zones.log else None,
        n_known=len(split_known(account.damaged, settings.known_damage)[1]),
        results=results,
        fired=fired,
    )


def _runner(settings: Settings) -> Callable[..., RunResult]:
    """Return what runs jobs: from scratch, or with what earlier runs have kept."""
    if settings.state is None:
        from pipeline.run import run_jobs

        return run_jobs
    from pipeline.state.run import run_incrementally

    return run_incrementally


def about(planned: Planned) -> dict[str, About]:
    """Return what results are about, by job."""
    from pipeline.outputs.model import About

    return {
        plan.job.name: About(plan.job.question, plan.keys, plan.job.charts, plan.plan.additive)
        for plan in planned[1]
    }


def _show(
    results: dict[str, pa.Table],
    settings: Settings,
    options: dict[str, Any],
    about: Mapping[str, About],
    occasion: Occasion,
) -> None:
    """Write the results to their files, then to stdout."""
    from pipeline.render import render, write_outputs

    shared = {"csv_safe": options["csv_safe"], "top": options["top"], "about": about}
    write_outputs(
        results,
        options["outputs"],
        occasion=occasion,
        storage_options=settings.storage_options,
        **shared,
    )
    render(results, options["to"], sys.stdout, occasion=occasion, **shared)


def occasion_of(
    settings: Settings, account: Account, warnings: Sequence[str], command: str
) -> Occasion:
    """Return what a report says of the run."""
    from pipeline.account import account_warnings
    from pipeline.outputs.model import Occasion
    from pipeline.text import escape_visibly

    return Occasion(
        command=escape_visibly(command),
        begun=settings.now.astimezone(),
        account=account,
        warnings=(
            *account_warnings(account, settings.known_damage),
            *map(escape_visibly, warnings),
        ),
        letter=settings.letter,
    )


def _stream(
    planned: Planned, sources: Sequence[str], settings: Settings, options: dict[str, Any]
) -> int | None:
    """Print the rows of a job without aggregates as they come; None where it has some."""
    from pipeline.render import stream_batches
    from pipeline.run import stream_rows

    veil = Veil(settings.pseudonyms)
    # Rows on a terminal show by themselves how far the run is.
    progress = progress_of(
        {**options, "no_progress": options["no_progress"] or sys.stdout.isatty()}
    )
    try:
        streamed = stream_rows(planned, sources, settings, progress.take, progress.plan)
        if streamed is None:
            return None
        schema, rows, inputs = streamed
        schema, rows = veil.table(schema.empty_table()).schema, map(veil.table, rows)
        stream_batches(schema, rows, options["to"], sys.stdout, csv_safe=options["csv_safe"])
    finally:
        progress.clear()
    return end(veil.account(inputs.account), veil.texts(inputs.warnings), options)


def run_files_command(sources: Sequence[str], *, quick: bool, **options: Any) -> int:
    """Tell of each file; return the exit code."""
    from pipeline.files import describe_files, describe_quickly
    from pipeline.inputs import find_inputs
    from pipeline.outputs.model import About
    from pipeline.run import run_jobs

    if quick and options["repeats"]:
        raise UsageError("--repeats is told by a full read: leave it or --quick out")
    settings = begin(sources, options)
    check_written(sources, options, ["files"])
    inputs = find_inputs(sources, settings)
    if quick:
        table = describe_quickly(inputs)
        account, warnings = inputs.account, inputs.warnings
    else:
        progress = progress_of(options)
        try:
            done = run_jobs([], sources, settings, progress.take, progress.plan, inputs=inputs)
        finally:
            progress.clear()
        table = describe_files(inputs, done.counts)
        account, warnings = done.account, done.warnings
    sizes = tuple(name for name in ("plain_bytes", "stored_bytes") if name in table.schema.names)
    charts = tuple(f"x=file y={size} mark=rank" for size in sizes)
    told = About("What is in each file, and how it was dated?", ("file",), charts, frozenset(sizes))
    return tell_table("files", table, told, settings, (account, warnings), sources, options)


def tell_table(
    name: str,
    table: pa.Table,
    about: About,
    settings: Settings,
    run: tuple[Account, Sequence[str]],
    sources: Sequence[str],
    options: dict[str, Any],
) -> int:
    """Show the one table that a command has made, then the account; return the exit code.

    Parameters
    ----------
    run : tuple of (Account, sequence of str)
        What was read, and warnings.
    """
    veil = Veil(settings.pseudonyms)
    account, warnings = veil.account(run[0]), veil.texts(run[1])
    command = veil.command(sys.argv[1:], [name], sources, options)
    occasion = occasion_of(settings, account, warnings, command)
    _show({name: veil.table(table)}, settings, options, {name: about}, occasion)
    return end(account, warnings, options)


def run_plan_command(jobs: Sequence[Job], sources: Sequence[str], **options: Any) -> int:
    """Tell what a run would do; return the exit code."""
    from pipeline.files import describe_plan
    from pipeline.inputs import find_inputs
    from pipeline.render import render
    from pipeline.run import plan_queries, plan_tasks

    settings = begin(sources, options)
    plan, _ = plan_queries(jobs, settings)
    inputs = find_inputs(sources, settings, needs_all=plan.needs_all_files)
    tasks = plan_tasks(inputs, plan, settings)
    table, summary = describe_plan(inputs, tasks, plan, settings)
    render(
        {"plan": Veil(settings.pseudonyms).table(table)},
        options["to"],
        sys.stdout,
        top=options["top"],
    )
    if not options["quiet"]:
        for line in summary:
            print(line, file=sys.stderr)
    return _DAMAGED if split_known(inputs.account.damaged, settings.known_damage)[0] else 0


def check_written(sources: Sequence[str], options: dict[str, Any], names: Sequence[str]) -> None:
    """Refuse before the run what could not be written after it, or would be written over."""
    from pipeline.render import check_outputs

    check_outputs(options["outputs"], names)
    beside = {"--account": options["account_path"], "--metrics": options["metrics"]}
    for flag, place in beside.items():
        if place and "://" not in place and not Path(place).absolute().parent.is_dir():
            raise UsageError(f"{flag} {place}: there is no such folder")
    written = [*options["outputs"], *filter(None, beside.values())]
    for path in map(Path, written):
        if path.exists() and any(Path(s).exists() and path.samefile(s) for s in sources):
            raise UsageError(f"{path} is one of the sources; it would be overwritten")
        if path.exists() and options["key_path"] and path.samefile(options["key_path"]):
            raise UsageError(f"{path} is the key file; it would be overwritten")


def begin(sources: Sequence[str], options: dict[str, Any], *, is_watched: bool = False) -> Settings:
    """Read the options into settings; lower the process's priority.

    ``is_watched``: the run heeds what is asked of its results, see `pipeline.watch`.
    """
    from pipeline.priority import lower_priority
    from pipeline.sources.rate import limit_read_rate

    if not sources:
        raise UsageError(
            "name the logs to read: a file, a directory, a glob, a URL, or - for standard input"
        )
    if not is_watched and _watch("", options):
        raise UsageError("--alert, --expect-hosts and --metrics are for jobs: here they do nothing")
    from pipeline.read_options import read_settings

    settings = read_settings(options)
    if settings.pseudonyms is not None:
        from pipeline.pseudonyms import is_open

        if is_open(options["key_path"]):
            print(
                "warning: others can read the key file of --pseudonymise, and who has the key can "
                "try out whom a token stands for: chmod 600 it",
                file=sys.stderr,
            )
    lower_priority(options["nice"])
    limit_read_rate(settings.read_rate)
    return settings


def progress_of(options: dict[str, Any]) -> Any:
    """Return what tells on stderr how far a run is, or is silent."""
    from pipeline.progress import Progress

    return Progress(is_wanted=not (options["quiet"] or options["no_progress"]))


def end(account: Account, warnings: Sequence[str], options: dict[str, Any]) -> int:
    """Tell the account; return the exit code."""
    from pipeline.account import account_json, account_line, account_notes, account_warnings
    from pipeline.kernels import are_compiled
    from pipeline.read_options import known_damage
    from pipeline.text import escape_visibly

    if options["account_path"]:
        from pipeline.outputs.files import put_files

        text = account_json(account)
        put_files([(options["account_path"], lambda path: _write_text(path, text))])
    known = known_damage(options)
    told = account_warnings(account, known, tells_guesses=options.get("tells_guesses", True))
    for note in [*told, *map(escape_visibly, warnings)]:
        print(f"warning: {note}", file=sys.stderr)
    if not options["quiet"]:
        if not are_compiled():
            print(
                "the kernels are not compiled here: a run takes some hundred times longer",
                file=sys.stderr,
            )
        for note in account_notes(account, known):
            print(note, file=sys.stderr)
        print(account_line(account), file=sys.stderr)
    return _DAMAGED if split_known(account.damaged, known)[0] else 0


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
