"""Last merge and finish: partials → the result table of each job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline import duck
from pipeline.at_hand import at_hand
from pipeline.combine import combine_tables
from pipeline.sql import Query
from pipeline.stitch import stitch_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.combine import Mapped
    from pipeline.python_job import PythonQuery
    from pipeline.query import JobPlan, MapPlan
    from pipeline.stitch import Fragments


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
        stitch_all(_in_order(mapped), plan, mapped.partials)
    partials = (
        mapped.partials if mapped is not None else [[[] for _ in q.branches] for q in plan.queries]
    )
    if any(not tables for branches in partials for tables in branches):
        empty = at_hand(plan).empty_partials()
        partials = [
            [tables or [nothing] for tables, nothing in zip(branches, nothings, strict=True)]
            for branches, nothings in zip(partials, empty, strict=True)
        ]
    finished = [
        _finish_query(query, branches)
        for query, branches in zip(plan.queries, partials, strict=True)
    ]
    results = {}
    for job in jobs:
        if job.is_plain:
            result = finished[job.places[0]]
        else:
            names = [query.name for query in job.plan.queries]
            tables = {name: finished[k] for name, k in zip(names, job.places, strict=True)}
            result = duck.query_over(tables, job.plan.final_sql)
        # Two columns of a result may have one name; DuckDB's own tables give them two.
        results[job.job.name] = (
            result.rename_columns(job.plan.columns) if job.plan.columns else result
        )
    return results


def _in_order(mapped: Mapped) -> list[Fragments]:
    """Return the fragments of each file, by the time of its first line: however files are named."""
    firsts = {url: mapped.files[url].lines.first for url in mapped.fragments}
    order = sorted(firsts, key=lambda url: (firsts[url] is None, firsts[url] or 0, url))
    return [mapped.fragments[url] for url in order]


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
