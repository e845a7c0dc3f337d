"""Last merge and finish: partials → the result table of each job."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline import duck
from pipeline.at_hand import at_hand
from pipeline.combine import combine_tables
from pipeline.sql import Query
from pipeline.stitch import stitch_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.combine import Mapped
    from pipeline.python_job import PythonQuery
    from pipeline.query import JobPlan, MapPlan

#: Queries that are finished at the same time.
THREADS = 4


def reduce_partials(
    mapped: Mapped | None, plan: MapPlan, jobs: Sequence[JobPlan]
) -> dict[str, pa.Table]:
    """Return each job's result, by the job's name.

    Parameters
    ----------
    mapped : Mapped or None
        All partials of the run; None when there was no input to map.
    """
    if mapped is not None and mapped.fragments:
        in_order = [url for url in mapped.order_by_time() if url in mapped.fragments]
        stitch_all((mapped.fragments[url] for url in in_order), plan, mapped.partials)
    partials = (
        mapped.partials if mapped is not None else [[[] for _ in q.branches] for q in plan.queries]
    )
    if any(not tables for branches in partials for tables in branches):
        empty = at_hand(plan).empty_partials()
        partials = [
            [tables or [nothing] for tables, nothing in zip(branches, nothings, strict=True)]
            for branches, nothings in zip(partials, empty, strict=True)
        ]
    finished = _in_threads(_finish_query, plan.queries, partials)
    results = _in_threads(partial(_finish_job, finished), jobs)
    return {job.job.name: result for job, result in zip(jobs, results, strict=True)}


def _in_threads(work: Callable[..., pa.Table], *items: Sequence[Any]) -> list[pa.Table]:
    """Call for each of some items, on a few threads: DuckDB releases the GIL."""
    if len(items[0]) < 2:
        return list(map(work, *items))
    with ThreadPoolExecutor(THREADS, thread_name_prefix="sawlog-finish") as pool:
        return list(pool.map(work, *items))


def _finish_job(finished: Sequence[pa.Table], job: JobPlan) -> pa.Table:
    if job.is_plain:
        result = finished[job.places[0]]
    else:
        names = [query.name for query in job.plan.queries]
        result = duck.query_over(
            {name: finished[k] for name, k in zip(names, job.places, strict=True)},
            job.plan.final_sql,
        )
    # Two columns of a result may have one name; DuckDB's own tables give them two.
    return result.rename_columns(job.plan.columns) if job.plan.columns else result


def _finish_query(query: Query | PythonQuery, branches: list[list[pa.Table]]) -> pa.Table:
    if not isinstance(query, Query):
        return query.module.finish(combine_tables(branches[0], query, query.branches[0]))
    merged = {
        f"partials{k}": pa.concat_tables(tables)
        if query.map_only or len(tables) == 1  # combining one partial gives itself
        else combine_tables(tables, query, query.branches[k])
        for k, tables in enumerate(branches)
    }
    return duck.query_over(merged, query.finish_sql)
