"""From jobs and filters to what every map task runs: queries over one view of the lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.formats.syslog import LINES, Zones, lines_view, scanned_columns
from pipeline.sql import Plan, Query, plan_query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.job import Job
    from pipeline.python_job import PythonQuery

#: Relation → column → DuckDB type: what jobs can query.
RELATIONS: dict[str, dict[str, str]] = {"lines": LINES}


@dataclass(frozen=True, slots=True)
class MapPlan:
    """All queries of a run, which share one pass over the lines; sent to every map task.

    Attributes
    ----------
    queries : tuple of Query or PythonQuery
        Those of all jobs, one after the other.
    scanned : frozenset of str
        Columns that the scan must build.
    view : str
        The SELECT over ``scanned`` that is the relation ``lines``, filters included.
    """

    queries: tuple[Query | PythonQuery, ...]
    scanned: frozenset[str]
    view: str

    @property
    def key(self) -> tuple[str, frozenset[str]]:
        """Two plans with equal keys can share a scanner and a view."""
        return self.view, self.scanned

    @property
    def needs_offset(self) -> bool:
        """A query names the plain offset of lines: splits must know where they begin."""
        return "offset" in self.scanned


@dataclass(frozen=True, slots=True)
class JobPlan:
    """One job of a run: where its queries stand among those of the `MapPlan`, and its last step.

    ``keys`` are the columns that it groups by, where it offers a choice of them.
    """

    job: Job
    first: int
    plan: Plan
    keys: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """The result is that of the job's one query; nothing is asked of it any more."""
        names = [query.name for query in self.plan.queries]
        return len(names) == 1 and self.plan.final_sql == f"SELECT * FROM {names[0]}"


def plan_jobs(
    jobs: Sequence[Job],
    zones: Zones,
    bounds: tuple[str, ...] = (),
    conditions: tuple[str, ...] = (),
    by: Sequence[str] | None = None,
    parameters: Mapping[str, str] | None = None,
    where: str | None = None,
) -> tuple[MapPlan, list[JobPlan]]:
    """Plan jobs that run in one pass.

    Parameters
    ----------
    bounds, conditions : tuple of str
        Filters over the time, and over quoted columns of ``lines``, made by `pipeline.filters`.
    by : sequence of str, optional
        Columns to group by, for jobs that offer it.
    parameters : mapping of str to str, optional
        ``-p NAME=VALUE``; a name must belong to at least one job.
    where : str, optional
        A condition that the user typed.

    Raises
    ------
    UsageError
        A job can't be split, or an option does not fit it.
    """
    given = dict(parameters or {})
    queries: list[Query | PythonQuery] = []
    plans = []
    for job in jobs:
        plan = _plan_job(job, by, _own(job, given, jobs))
        keys = tuple(by or job.by) if job.by else ()
        plans.append(JobPlan(job, len(queries), plan, keys))
        queries.extend(plan.queries)
    columns: frozenset[str] = frozenset().union(*(query.columns for query in queries))
    if where is not None:
        columns |= _columns_of(where)
        conditions = (*conditions, where)
    for condition in conditions:
        columns |= {name for name in LINES if f'"{name}"' in condition}
    scanned = scanned_columns(columns, zones, is_bounded=bool(bounds))
    if queries and not scanned:
        scanned = frozenset({"bytes"})  # rows are to be counted: a table must have a column
    return MapPlan(tuple(queries), scanned, lines_view(columns, zones, bounds, conditions)), plans


def _plan_job(job: Job, by: Sequence[str] | None, given: Mapping[str, str]) -> Plan:
    if job.is_python:
        from pipeline.python_job import plan_python

        return plan_python(job, RELATIONS)
    return plan_query(job.sql(by), RELATIONS, job.values(given))


def _own(job: Job, given: Mapping[str, str], jobs: Sequence[Job]) -> Mapping[str, str]:
    """Return the parameters meant for a job; of several jobs each takes those it declares."""
    if len(jobs) == 1:
        return given
    known = {p.name for p in job.parameters}
    elsewhere = {p.name for other in jobs for p in other.parameters} - known
    return {name: value for name, value in given.items() if name not in elsewhere}


def _columns_of(where: str) -> frozenset[str]:
    """Return the columns that a condition names; checks it on the way."""
    from pipeline.errors import QueryError, UsageError

    try:
        # The line end: a comment at the end of the condition must not hide the bracket.
        plan = plan_query(f"SELECT 1 FROM lines WHERE ({where}\n)", RELATIONS)
        # Between other brackets it must hold, too: else its own are not balanced.
        plan_query(f"SELECT 1 FROM lines WHERE [{where}\n] IS NOT NULL", RELATIONS)
    except QueryError as error:
        raise UsageError(f"--where takes a condition on one line: {error.message}") from None
    query = plan.queries[0]
    if len(plan.queries) != 1 or not query.map_only:
        raise UsageError(f"--where takes a condition on one line, without aggregates: {where}")
    return query.columns
