"""The whole story of a run, in order; the only module that knows it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.errors import SourceError
from pipeline.model import split_known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from pipeline.combine import FileCounts, Mapped
    from pipeline.executors import Executor
    from pipeline.inputs import Inputs
    from pipeline.job import Job
    from pipeline.model import Account, SourceFile
    from pipeline.query import JobPlan, MapPlan
    from pipeline.settings import Settings
    from pipeline.task import MapTask

    #: The queries of a run's map tasks, and what becomes of them for each job.
    Planned = tuple[MapPlan, list[JobPlan]]


#: Large enough that a query's own cost does not show, small enough for the processor's cache.
BLOCK_BYTES = 8 << 20


@dataclass(slots=True)
class RunResult:
    """Result tables by job, the account, and the counts of each file by URL.

    ``latest`` is the time of the newest line, as written, in microseconds since 1970.
    """

    results: dict[str, pa.Table]
    account: Account
    counts: dict[str, FileCounts]
    warnings: list[str]
    latest: int | None = None


def run_jobs(
    jobs: Sequence[Job],
    arguments: Sequence[str],
    settings: Settings,
    on_done: Callable[[Mapped], None] = lambda _: None,
    on_found: Callable[[Inputs], None] = lambda _: None,
    inputs: Inputs | None = None,
    planned: Planned | None = None,
) -> RunResult:
    """Find, split, map, reduce: answer the jobs in one pass over the sources.

    Parameters
    ----------
    on_done : callable
        Told of each mapped split, from any thread.
    on_found : callable
        Told of the inputs before they are read.
    inputs : Inputs, optional
        What `find_inputs` returned for these arguments, where the caller needs it, too.
    planned : tuple, optional
        What `plan_queries` returned for these jobs; likewise.

    Raises
    ------
    UsageError
        A job or an option is wrong; nothing has been read.
    SourceError
        Nothing could be read at all.
    """
    from pipeline.inputs import find_inputs
    from pipeline.reduce import reduce_partials

    begin = time.monotonic()
    plan, plans = planned or plan_queries(jobs, settings)
    settings = as_read(settings, plan)
    inputs = inputs or find_inputs(arguments, settings, needs_all=plan.needs_all_files)
    on_found(inputs)
    tasks = plan_tasks(inputs, plan, settings)
    merged = None
    if tasks:
        executor = executor_for(settings, tasks)
        merged = executor.reduce(tasks, plan, on_done)
    counts = merged.files if merged is not None else {}
    take_counts(inputs, counts, settings, plan)
    results = reduce_partials(merged, plan, plans)
    inputs.account.seconds = round(time.monotonic() - begin, 3)
    latest = [one.lines.latest for one in counts.values() if one.lines.latest is not None]
    return RunResult(results, inputs.account, counts, inputs.warnings, max(latest, default=None))


def stream_rows(
    planned: Planned,
    arguments: Sequence[str],
    settings: Settings,
    on_done: Callable[[Mapped], None] = lambda _: None,
    on_found: Callable[[Inputs], None] = lambda _: None,
) -> tuple[pa.Schema, Iterator[pa.Table], Inputs] | None:
    """Answer a job that only maps: rows in the order of the lines, as they come.

    Parameters
    ----------
    on_done, on_found
        As in `run_jobs`.

    Returns
    -------
    tuple of (pyarrow.Schema, iterator of pyarrow.Table, Inputs), or None
        The account in ``Inputs`` is complete when the iterator has ended. None: the job
        aggregates or sorts, so that there is no row before the last line is read.
    """
    from pipeline.inputs import find_inputs
    from pipeline.reduce import reduce_partials

    plan, plans = planned
    job = plans[0].job
    if not _is_streaming(plan, plans[0]):
        return None
    settings = as_read(settings, plan)
    begin = time.monotonic()
    inputs = find_inputs(arguments, settings)
    on_found(inputs)
    tasks = plan_tasks(inputs, plan, settings)

    def rows() -> Iterator[pa.Table]:
        counts: dict[str, FileCounts] = {}
        limit = plan.queries[0].limit
        n_rows = 0
        if tasks:
            executor = executor_for(settings, tasks)
            for part in executor.stream(tasks, plan):
                on_done(part)
                if not take_part(counts, part):
                    continue
                table = reduce_partials(part, plan, plans)[job.name]
                n_rows += table.num_rows
                yield table
                if limit is not None and n_rows >= limit:
                    break
        if limit is not None and n_rows >= limit:
            for file, _ in inputs.files:
                if file.url not in counts or counts[file.url].is_cut:
                    inputs.account.skipped.append(
                        {"file": file.url, "why": "the LIMIT was reached"}
                    )
        take_counts(inputs, counts, settings, plan)
        inputs.account.seconds = round(time.monotonic() - begin, 3)

    return reduce_partials(None, plan, plans)[job.name].schema, rows(), inputs


def empty_results(planned: Planned) -> dict[str, pa.Table]:
    """Return the result of each job over no input: its columns and their types."""
    from pipeline.reduce import reduce_partials

    return reduce_partials(None, *planned)


def as_read(settings: Settings, plan: MapPlan) -> Settings:
    """Return the settings with which files are read for a plan.

    JSON lines are what a query over ``json`` asks for: none are taken for envelopes.
    """
    if settings.envelope == "auto" and any(one.name == "json" for one in plan.views.formats):
        return replace(settings, envelope="none")
    return settings


def plan_queries(jobs: Sequence[Job], settings: Settings) -> Planned:
    """Plan what every map task runs."""
    from pipeline.query import plan_jobs

    return plan_jobs(jobs, settings)


def plan_tasks(
    inputs: Inputs, plan: MapPlan, settings: Settings, *, needs_offset: bool = False
) -> list[list[MapTask]]:
    """Cut the files into splits and make a map task of each; per file, in order.

    ``needs_offset``: splits must know the plain offset at which they begin.
    """
    from pipeline.split import choose_target_bytes, find_index, plan_splits
    from pipeline.task import MapTask
    from pipeline.years import year_table

    kinds = [(file, head.compression) for file, head in inputs.files]
    found = [head.envelope for _, head in inputs.files]
    target = settings.split_bytes or choose_target_bytes(kinds, settings.n_workers)
    tasks: list[list[MapTask]] = []
    n_tasks = 0
    for (file, kind), wrapped in zip(kinds, found, strict=True):
        envelope = None if wrapped is None else wrapped.envelope
        identity, index = None, None
        is_whole = plan.needs_whole_files or (envelope is not None and envelope.is_whole)
        if settings.index and not settings.is_elsewhere and not is_whole:
            identity, index = find_index(file, kind, settings.n_workers)
        splits = plan_splits(
            file,
            kind,
            target,
            is_exact=settings.split_bytes is not None,
            needs_offset=plan.needs_offset or needs_offset,
            is_whole=is_whole,
            index=index,
        )
        years = year_table(inputs.anchors[file.url].limit)
        block_bytes = _block_bytes(file, target, is_plain=kind == "plain")
        tasks.append(
            [
                MapTask(
                    split,
                    years,
                    plan,
                    block_bytes=block_bytes,
                    index=None if index is None else identity,
                    build=identity if index is None else None,
                    number=n_tasks + split.index,
                    envelope=envelope,
                    place=inputs.places.get(file.url),
                    read_rate=settings.read_rate,
                )
                for split in splits
            ]
        )
        n_tasks += len(splits)
    # With fewer splits than workers a second core would idle: let it decode ahead.
    if sum(map(len, tasks)) < settings.n_workers and settings.scheduler != "inline":
        tasks = [[replace(task, is_ahead=True) for task in of_file] for of_file in tasks]
    return tasks


def take_counts(
    inputs: Inputs, counts: dict[str, FileCounts], settings: Settings, plan: MapPlan
) -> None:
    """Complete the account with what was read, and the warnings that follow from it.

    Raises
    ------
    SourceError
        There is damage, and the run was told to stop for it.
    """
    from pipeline.repeats import tell_cut
    from pipeline.years import check_years, years_entry

    account = inputs.account
    for file, head in inputs.files:
        of_file = counts.get(file.url)
        if of_file is None:
            continue
        if head.envelope is not None:
            account.peeled.append(
                {
                    "file": file.url,
                    "envelope": head.envelope.envelope.name,
                    "lines": of_file.n_peeled,
                    "not_peeled": of_file.n_not_peeled,
                }
            )
        lines = of_file.lines
        account.lines += lines.lines
        account.dated_lines += lines.dated
        account.plain_bytes += lines.plain_bytes
        account.read_bytes += of_file.stored_bytes
        if file.size is None:
            account.stored_bytes += of_file.stored_bytes
        if of_file.damage is not None:
            account.damaged.append(of_file.damage)
        account.years.append(years_entry(file.url, lines, inputs.anchors[file.url]))
        if of_file.n_repeats_cut:
            inputs.warnings.append(tell_cut(file.url, of_file.n_repeats_cut, of_file.most_repeats))
    if plan.repeats:
        from pipeline.redelivery import note_repeated

        read = [(f.url, counts[f.url].lines) for f, _ in inputs.files if f.url in counts]
        note_repeated(account, read, leaves_out=plan.repeats == "once")
    account.undated_lines = account.lines - account.dated_lines
    stop_on_damage(account, settings)
    inputs.warnings += check_years(inputs.files, inputs.anchors, counts)
    # A format may have times of its own.
    if account.lines and not account.dated_lines and not plan.views.formats:
        inputs.warnings.append(
            "no line has a time stamp: is this a log? All lines are counted as undated."
        )


def stop_on_damage(account: Account, settings: Settings) -> None:
    """Raise SourceError where there is damage that is not known, and the run shall stop for it."""
    if not settings.stop_on_damage:
        return
    for first in split_known(account.damaged, settings.known_damage)[0]:
        raise SourceError(first.file, first.kind, first.detail)


def take_part(counts: dict[str, FileCounts], part: Mapped) -> bool:
    """Take in the counts of a split that follows; False when it lies behind damage."""
    ((url, later),) = part.files.items()
    earlier = counts.get(url)
    if earlier is None:
        counts[url] = later
        return True
    if earlier.damage is not None:
        return False
    earlier.lines.add(later.lines)
    earlier.stored_bytes += later.stored_bytes
    earlier.damage = later.damage
    earlier.is_cut = later.is_cut
    earlier.n_peeled += later.n_peeled
    earlier.n_not_peeled += later.n_not_peeled
    return True


def _is_streaming(plan: MapPlan, job: JobPlan) -> bool:
    from pipeline.relations import STITCHED

    (query, *others) = plan.queries or (None,)
    return (
        query is not None
        and not others
        and query.map_only
        and query.relation not in STITCHED
        and job.is_plain
    )


def executor_for(settings: Settings, tasks: Sequence[Sequence[MapTask]]) -> Executor:
    """Return the executor; of one split alone ``inline``, where threads would only wait."""
    from pipeline.executors import get_executor
    from pipeline.task import begin_run

    begin_run()
    n_splits = sum(map(len, tasks))
    alone = settings.scheduler == "threads" and n_splits == 1
    return get_executor(
        "inline" if alone else settings.scheduler,
        settings.n_workers,
        n_splits,
        settings.cluster,
        is_insecure=settings.insecure,
    )


def _block_bytes(file: SourceFile, target: int, *, is_plain: bool) -> int:
    """Return the size of a file's blocks: no larger than there is text for them."""
    if file.size is None:
        return BLOCK_BYTES
    text = min(file.size, target) if is_plain else 32 * file.size
    return min(BLOCK_BYTES, max(1 << 20, text))
