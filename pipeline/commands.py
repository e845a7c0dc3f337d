"""What the commands do: settings from options, a run, its results and its account."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import SourceError, UsageError
from pipeline.handing_on import Veil
from pipeline.model import split_known

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    import pyarrow as pa

    from cluster.profile import Profile
    from pipeline.job import Job
    from pipeline.model import Account, KnownDamage, Letter
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
    _show(results, settings, options, veil.about(_about(planned)), occasion)
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


def _letter(options: dict[str, Any]) -> Letter | None:
    """Read the headers of a message before the run, where one is to be written."""
    if options["to"] != "eml" and not any(
        path.lower().endswith(".eml") for path in options["outputs"]
    ):
        return None
    from pipeline.report.mail import read_letter

    return read_letter(options["mail_from"], options["mail_to"], options["mail_subject"])


def _runner(settings: Settings) -> Callable[..., RunResult]:
    """Return what runs jobs: from scratch, or with what earlier runs have kept."""
    if settings.state is None:
        from pipeline.run import run_jobs

        return run_jobs
    from pipeline.state.run import run_incrementally

    return run_incrementally


def _about(planned: Planned) -> dict[str, About]:
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


def run_jobs_list(to: str) -> int:
    """List the built-in jobs; return the exit code."""
    import pyarrow as pa

    from pipeline.job import builtin_jobs, read_job
    from pipeline.render import render

    jobs = [read_job(path) for path in builtin_jobs().values()]
    table = pa.table(
        {
            "job": pa.array([job.name for job in jobs], pa.string()),
            "question": pa.array([job.question for job in jobs], pa.string()),
            "by": pa.array([", ".join(job.by_choices) or None for job in jobs], pa.string()),
        }
    )
    render({"jobs": table}, to, sys.stdout)
    return 0


def run_formats_list(to: str) -> int:
    """List the built-in formats; return the exit code."""
    import pyarrow as pa

    from pipeline.formats.base import FormatOptions
    from pipeline.formats.registry import find_formats
    from pipeline.render import render

    formats = find_formats(FormatOptions())
    table = pa.table(
        {
            "format": pa.array([*formats], pa.string()),
            "columns": pa.array(
                [", ".join(one.columns) or None for one in formats.values()], pa.string()
            ),
            "samples": pa.array([len(one.samples()) for one in formats.values()], pa.int64()),
        }
    )
    render({"formats": table}, to, sys.stdout)
    return 0


def run_formats_check(paths: Sequence[str]) -> int:
    """Run the samples of files of patterns; return the exit code: 1 where one fails."""
    from pipeline.formats.patterns import read_patterns
    from pipeline.recognise import check_samples
    from pipeline.text import escape_visibly

    code = 0
    for path in paths:
        one = read_patterns(Path(path))
        wrong = check_samples(one)
        for problem in wrong:
            shown = "\n".join(map(escape_visibly, problem.split("\n")))
            print(f"{path}: {shown}", file=sys.stderr)
        if wrong:
            code = 1
        else:
            n_patterns, n_samples = len(one.patterns), len(one.samples())
            print(f"{path}: {one.name}: {n_patterns} patterns, {n_samples} samples, all as told")
    return code


def run_demo_command(directory: str, size_mb: int | None) -> int:
    """Make the sample archive and a report of it; return the exit code."""
    from pipeline.demo import DEFAULT_SIZE_MB, make_demo
    from pipeline.text import in_bytes

    done = make_demo(Path(directory), DEFAULT_SIZE_MB if size_mb is None else size_mb)
    size = in_bytes(done.plain_bytes)
    print(f"{done.lines:,} lines, {size} of text in {len(done.paths)} files", file=sys.stderr)
    print(f"sawlog volume {directory}/maillog*")
    return _report_demo(directory, [str(path) for path in done.paths])


def _report_demo(directory: str, sources: Sequence[str]) -> int:
    """Write a report of the sample archive and print its path, where pictures can be drawn."""
    from pipeline.charts.draw import check_drawing
    from pipeline.job import find_job
    from pipeline.render import write_outputs
    from pipeline.run import plan_queries, run_jobs
    from pipeline.settings import Settings

    try:
        check_drawing(is_page=True)
    except UsageError as error:
        print(f"no report of it: {error}", file=sys.stderr)
        return 0
    path = f"{directory}/report.html"
    jobs, settings = [find_job("volume")], Settings()
    planned = plan_queries(jobs, settings)
    done = run_jobs(jobs, sources, settings, planned=planned)
    command = f"sawlog volume {shlex.quote(directory)}/maillog* -o {shlex.quote(path)}"
    occasion = occasion_of(settings, done.account, done.warnings, command)
    write_outputs(done.results, [path], about=_about(planned), occasion=occasion)
    print(path)
    return 0


def _read_retention(text: str | None, state: str | None) -> timedelta | None:
    if text is None:
        return None
    if state is None:
        raise UsageError("--retention is about what --state keeps: name that, too")
    number = text.removesuffix("d")
    if not number.isdecimal() or not 0 < int(number) < 100_000:
        raise UsageError(f"--retention takes days, as 400d, got {text!r}")
    return timedelta(days=int(number))


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


def read_settings(options: dict[str, Any]) -> Settings:
    """Read the shared options.

    Raises
    ------
    UsageError
        One of them is wrong.
    """
    from pipeline.formats.addresses import read_rules
    from pipeline.formats.base import FormatOptions
    from pipeline.settings import Settings, read_rate, read_size, read_zones

    split_size = options["split_size"]
    pseudonyms, parameters = None, pairs("-p", options["parameters"])
    if options["key_path"] is not None:
        from pipeline.pseudonym_columns import Replacer
        from pipeline.pseudonyms import read_key

        pseudonyms = read_key(options["key_path"], options["keep"])
        # A job looks for what it sees, and that is tokens.
        names = Replacer(pseudonyms).names
        parameters = {name: names(value) for name, value in parameters.items()}
    elif options["keep"] is not None:
        raise UsageError("--keep says what --pseudonymise KEYFILE keeps; give both")
    settings = Settings(
        hosts=options["hosts"],
        processes=options["processes"],
        where=options["where"],
        by=None
        if options["by"] is None
        else tuple(name.strip().lower() for name in options["by"].split(",")),
        parameters=parameters,
        year=options["year"],
        zones=read_zones(options["log_tz"], options["report_tz"]),
        workers=options["workers"] or 0,
        split_bytes=None if split_size is None else read_size(split_size),
        scheduler=options["scheduler"],
        cluster=_cluster(options),
        insecure=options["insecure"],
        storage_options=pairs("--storage-option", options["storage_options"]),
        read_rate=read_rate(options["max_read_rate"]) if options["max_read_rate"] else None,
        rotated=options["rotated"],
        stop_on_damage=options["on_damage"] == "stop",
        count_duplicates=options["duplicates"] == "all",
        count_hops=options["count"] == "lines",
        reasons=options["reasons"],
        index=options["index"] == "auto",
        addresses=read_rules(options["addresses"]) if options["addresses"] is not None else (),
        expand_repeats=options["expand_repeats"],
        formats=FormatOptions(
            options["bots"], options["columns"], tuple(options["patterns"]), options["format"]
        ),
        envelope=_envelope(options["envelope"]),
        path_template=options["path_template"],
        pseudonyms=pseudonyms,
        known_damage=_known_damage(options),
        letter=_letter(options),
        state=options["state"],
        verify_content=options["verify_content"],
        retention=_read_retention(options["retention"], options["state"]),
    )
    since, until = _read_period(options, settings.now)
    return replace(settings, since=since, until=until)


def _envelope(asked: str) -> str:
    if asked not in ("auto", "none"):
        from pipeline.envelopes import read_envelope

        read_envelope(asked)
    return asked


def _cluster(options: dict[str, Any]) -> Profile | None:
    """Read the profile of ``--cluster``; ``--workers`` goes before what it says."""
    if options["cluster"] is None:
        return None
    from cluster.profile import read_profile

    if options["scheduler"] != "threads":
        raise UsageError("--scheduler joins a cluster, --cluster starts one: give either")
    profile = read_profile(options["cluster"], is_insecure=options["insecure"])
    if options["workers"] is not None:
        profile = replace(profile, values={**profile.values, "workers": options["workers"]})
    return profile


def _read_period(options: dict[str, Any], now: datetime) -> tuple[datetime | None, datetime | None]:
    from pipeline.filters import read_day, read_time

    if options["day"] is not None:
        if options["since"] or options["until"]:
            raise UsageError("--day stands for --since and --until together; give either")
        if read_day(options["day"], now.date()) is None:
            raise UsageError(
                f"no day can be read from {options['day']!r}. Write 2007-12-26, today or yesterday"
            )
        return read_time(options["day"], now), read_time(options["day"], now, is_end=True)
    since = read_time(options["since"], now) if options["since"] else None
    until = read_time(options["until"], now, is_end=True) if options["until"] else None
    if since is not None and until is not None and since >= until:
        raise UsageError("--since is later than --until: no line can match")
    return since, until


def _known_damage(options: dict[str, Any]) -> tuple[KnownDamage, ...]:
    if not options["known_damage"]:
        return ()
    from pipeline.watch.known_damage import read_known_damage

    return read_known_damage(options["known_damage"])


def pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=VALUE`` again and again."""
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise UsageError(f"{option} takes NAME=VALUE, got {text!r}")
        pairs[name] = value
    return pairs


def progress_of(options: dict[str, Any]) -> Any:
    """Return what tells on stderr how far a run is, or is silent."""
    from pipeline.progress import Progress

    return Progress(is_wanted=not (options["quiet"] or options["no_progress"]))


def end(account: Account, warnings: Sequence[str], options: dict[str, Any]) -> int:
    """Tell the account; return the exit code."""
    from pipeline.account import account_json, account_line, account_notes, account_warnings
    from pipeline.kernels import are_compiled
    from pipeline.text import escape_visibly

    if options["account_path"]:
        from pipeline.outputs.files import put_files

        text = account_json(account)
        put_files([(options["account_path"], lambda path: _write_text(path, text))])
    known = _known_damage(options)
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
