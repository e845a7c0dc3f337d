"""From jobs and filters to what every map task runs: queries over views of the scanned lines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pipeline.errors import QueryError, UsageError
from pipeline.formats.registry import find_formats
from pipeline.plan_cache import remembered
from pipeline.relations import STITCHED, Read, Views, plan_views, relations_of
from pipeline.sql import Plan, Query, plan_query, plan_report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.formats.base import Format
    from pipeline.job import Job
    from pipeline.python_job import PythonQuery
    from pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class MapPlan:
    """All queries of a run, which share one pass over the lines; sent to every map task.

    Attributes
    ----------
    queries : tuple of Query or PythonQuery
        Those of all jobs, each once.
    views : Views
        What must be scanned, and the relations that are made of it.
    expands_repeats : bool
        Lines that stand for several are written out: a file must be one split.
    repeats : str or None
        Lines that came before are counted (``report``) or left out, too (``once``); likewise.
    """

    queries: tuple[Query | PythonQuery, ...]
    views: Views
    expands_repeats: bool = False
    repeats: str | None = None

    @property
    def needs_whole_files(self) -> bool:
        """What a line says depends on lines that may stand anywhere before it."""
        return self.expands_repeats or self.repeats is not None

    @property
    def scanned(self) -> frozenset[str]:
        """Columns that the scan must build."""
        return self.views.scanned

    @property
    def needs_all_files(self) -> bool:
        """A message of the asked time may have begun before it, or end after it."""
        return self.views.stitch is not None

    @property
    def needs_offset(self) -> bool:
        """A query names the plain offset of lines: splits must know where they begin."""
        return "offset" in self.scanned


@dataclass(frozen=True, slots=True)
class JobPlan:
    """One job of a run, and its last step.

    Attributes
    ----------
    places : tuple of int
        Where its queries stand among those of the `MapPlan`.
    keys : tuple of str
        Columns that it groups by, where it offers a choice of them.
    """

    job: Job
    places: tuple[int, ...]
    plan: Plan
    keys: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """The result is that of the job's one query; nothing is asked of it any more."""
        names = [query.name for query in self.plan.queries]
        return len(names) == 1 and self.plan.final_sql == f"SELECT * FROM {names[0]}"


def plan_jobs(jobs: Sequence[Job], settings: Settings) -> tuple[MapPlan, list[JobPlan]]:
    """Plan jobs that run in one pass.

    Parameters
    ----------
    settings : Settings
        Of it: columns to group by, for jobs that offer it; parameters, of which each must belong
        to at least one job; filters and zones.

    Raises
    ------
    UsageError
        A job can't be split, or an option does not fit it.
    """
    texts = [text for job in jobs for text in (job.sql(settings.by), job.tables or "")]
    # Few queries read a format: none but those that are named need be loaded.
    formats = find_formats(settings.formats, None if any(j.is_python for j in jobs) else texts)
    try:
        return _plan_over(jobs, settings, formats)
    except QueryError:
        every = find_formats(settings.formats)
        if every.keys() == formats.keys():
            raise
        return _plan_over(jobs, settings, every)  # so that the error tells of all there are


def _plan_over(
    jobs: Sequence[Job], settings: Settings, formats: Mapping[str, Format]
) -> tuple[MapPlan, list[JobPlan]]:
    relations = relations_of(formats)
    queries: list[Query | PythonQuery] = []
    plans = []
    reports = _plan_reports(jobs, settings, relations)
    for job in jobs:
        plan = reports.get(job.name) or _plan_job(
            job, settings.by, _own(job, settings.parameters, jobs), relations
        )
        keys = tuple(settings.by or job.by) if job.by else ()
        places = tuple(_place(query, queries) for query in plan.queries)
        plans.append(JobPlan(job, places, plan, keys))
    reads = [
        Read(query.relation, query.columns, query.picked, query.fold)
        if isinstance(query, Query)
        else Read(query.relation, query.columns, {})
        for query in queries
    ]
    where = {}
    if settings.where is not None:
        asked = {read.relation for read in reads} or {"lines"}
        where = {one: columns_of(settings.where, one, relations) for one in asked}
    views = plan_views(reads, settings, where, formats)
    if settings.expand_repeats and "offset" in views.scanned:
        raise UsageError(
            "offset is where a line stands in its file, and lines that --expand-repeats writes out "
            "stand nowhere: leave one of them out"
        )
    if settings.repeats == "once" and "offset" in views.scanned:
        raise UsageError(
            "offset is where a line stands in its file, and --repeats once reads it without the "
            "repeated ones: leave one of them out"
        )
    return MapPlan(tuple(queries), views, settings.expand_repeats, settings.repeats), plans


def _plan_reports(
    jobs: Sequence[Job], settings: Settings, relations: Mapping[str, Mapping[str, str]]
) -> dict[str, Plan]:
    """Plan the sections of each report together; by the section's name."""
    reports: dict[tuple[object, str], list[Job]] = {}
    for job in jobs:
        if job.tables is not None:
            reports.setdefault((job.path, job.tables), []).append(job)
    plans: dict[str, Plan] = {}
    for (_, tables), sections in reports.items():
        values: dict[str, object] = {}
        for job in sections:
            values |= job.values(_own(job, settings.parameters, jobs))
        texts = {job.name: job.sql(settings.by) for job in sections}
        plans |= remembered(
            [tables, texts, relations, STITCHED, _told(values)],
            "\n".join((tables, *texts.values())),
            partial(plan_report, tables, texts, relations, values, STITCHED),
        )
    return plans


def _place(query: Query | PythonQuery, queries: list[Query | PythonQuery]) -> int:
    """Return where a query stands; one that says the same as an earlier one is that one."""
    for k, known in enumerate(queries):
        if _same(query) == _same(known):
            return k
    queries.append(query)
    return len(queries) - 1


def _same(query: Query | PythonQuery) -> tuple[object, ...]:
    if isinstance(query, Query):
        return query.relation, query.branches, query.finish_sql, query.map_only, query.limit
    return (query.path,)


def _plan_job(
    job: Job,
    by: Sequence[str] | None,
    given: Mapping[str, str],
    relations: Mapping[str, Mapping[str, str]],
) -> Plan:
    if job.is_python:
        from pipeline.python_job import plan_python

        return plan_python(job, relations)
    text, values = job.sql(by), job.values(given)
    plans = remembered(
        [text, relations, STITCHED, _told(values)],
        text,
        lambda: {"": plan_query(text, relations, values, unordered=STITCHED)},
    )
    return plans[""]


def _told(values: Mapping[str, object]) -> list[str]:
    """Return the values of parameters so that no two that differ are told alike."""
    return sorted(f"{name}={value!r}" for name, value in values.items())


def _own(job: Job, given: Mapping[str, str], jobs: Sequence[Job]) -> Mapping[str, str]:
    """Return the parameters meant for a job; of several jobs each takes those it declares."""
    if len(jobs) == 1:
        return given
    known = {p.name for p in job.parameters}
    elsewhere = {p.name for other in jobs for p in other.parameters} - known
    return {name: value for name, value in given.items() if name not in elsewhere}


def columns_of(
    where: str, relation: str, relations: Mapping[str, Mapping[str, str]]
) -> frozenset[str]:
    """Return the columns that a condition names; checks it on the way."""
    what = "message" if relation in STITCHED else "line"
    try:
        # The line end: a comment at the end of the condition must not hide the bracket.
        plan = plan_query(f"SELECT 1 FROM {relation} WHERE ({where}\n)", relations)
        # Between other brackets it must hold, too: else its own are not balanced.
        plan_query(f"SELECT 1 FROM {relation} WHERE [{where}\n] IS NOT NULL", relations)
    except QueryError as error:
        raise UsageError(f"--where takes a condition on one {what}: {error.message}") from None
    query = plan.queries[0]
    if len(plan.queries) != 1 or not query.map_only:
        raise UsageError(f"--where takes a condition on one {what}, without aggregates: {where}")
    return query.columns
