"""The relations that jobs can query, and how they are made of scanned tables.

``lines`` and ``mail`` are rows of the scan; ``messages`` and ``deliveries`` are stitched together
from lines that may lie in different blocks, splits and files (`pipeline.stitch`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.filters import glob_condition, time_conditions
from pipeline.formats.mail_view import HOP_COLUMNS, is_hop, mail_columns, mail_expressions
from pipeline.formats.postfix import MAIL
from pipeline.formats.syslog import LINES, lines_view, local_time, scanned_columns
from pipeline.stitch_plan import DELIVERIES, MESSAGES, StitchPlan, plan_stitch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.settings import Settings

#: Relation → column → DuckDB type: what jobs can query.
RELATIONS: dict[str, dict[str, str]] = {
    "lines": LINES,
    "mail": {**LINES, **MAIL},
    "messages": MESSAGES,
    "deliveries": DELIVERIES,
}
STITCHED = ("messages", "deliveries")


@dataclass(frozen=True, slots=True)
class Source:
    """What one query reads under its relation's name.

    Attributes
    ----------
    columns : frozenset of str
        Of the scanned table: no more are handed to the query, since DuckDB would convert them all.
    select : str
        The relation, over a table ``scanned`` with these columns, filters included.
    """

    columns: frozenset[str]
    select: str


@dataclass(frozen=True, slots=True)
class Views:
    """What a map task must scan, and what its queries read.

    Attributes
    ----------
    scanned : frozenset of str
        Columns that the scan must build.
    sources : tuple of Source or None
        One a query; None where it reads a stitched relation.
    stitch : StitchPlan or None
        How messages are put together, where a query reads them.
    reasons : str or None
        File with the user's own rules for ``reason_class``.
    """

    scanned: frozenset[str]
    sources: tuple[Source | None, ...]
    stitch: StitchPlan | None = None
    reasons: str | None = None


def plan_views(
    reads: Sequence[tuple[str, frozenset[str]]],
    settings: Settings,
    where: Mapping[str, frozenset[str]],
) -> Views:
    """Plan the relations that some queries read.

    Parameters
    ----------
    reads : sequence of (str, frozenset of str)
        The relation that each query reads, and the columns that it names.
    settings : Settings
        Zones and filters.
    where : mapping of str to frozenset of str
        The columns that ``settings.where`` names in each relation; empty where there is none.

    Raises
    ------
    UsageError
        A filter does not fit a relation.
    """
    sources: list[Source | None] = []
    stitched: dict[str, frozenset[str]] = {}
    for relation, columns in reads:
        every = columns | where.get(relation, frozenset())
        if relation in STITCHED:
            stitched[relation] = stitched.get(relation, frozenset()) | every
            sources.append(None)
        else:
            sources.append(_source(relation, every, settings))
    scanned = frozenset().union(*(source.columns for source in sources if source is not None))
    stitch = None
    if stitched:
        if settings.processes:
            raise UsageError(
                "--process keeps lines, and messages are made of the lines of several processes: "
                "ask the relation mail, or leave --process out"
            )
        stitch = plan_stitch(stitched, settings)
        scanned |= stitch.scanned
    if settings.reasons is not None:
        from pipeline.formats.reasons import load_rules

        load_rules(settings.reasons)  # what is wrong in it is told before anything is read
    return Views(scanned or _ROWS, tuple(sources), stitch, settings.reasons)


#: Rows are to be counted: a table must have a column.
_ROWS = frozenset({"bytes"})


def _source(relation: str, columns: frozenset[str], settings: Settings) -> Source:
    zones = settings.zones
    bounds = time_conditions(local_time(zones), settings.since, settings.until)
    conditions = (
        *glob_condition("host", settings.hosts),
        *glob_condition("process", settings.processes),
        *([settings.where] if settings.where is not None else []),
    )
    columns |= {"host"} if settings.hosts else frozenset()
    columns |= {"process"} if settings.processes else frozenset()
    scanned = scanned_columns(columns, zones, is_bounded=bool(bounds))
    if relation == "lines":
        return Source(scanned or _ROWS, lines_view(columns, zones, bounds, conditions))
    scanned |= mail_columns(columns) | {"event"}
    made = mail_expressions(columns)
    only = "event IS NOT NULL"
    if not settings.count_hops:
        scanned |= HOP_COLUMNS
        only += f" AND NOT {is_hop()}"
    select = lines_view(columns, zones, bounds, conditions, made, only)
    return Source(scanned, select)
