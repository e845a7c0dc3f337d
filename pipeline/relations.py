"""The relations that jobs can query, and how they are made of scanned tables.

``lines`` and ``mail`` are rows of the scan; ``messages`` and ``deliveries`` are stitched together
from lines that may lie in different blocks, splits and files (`pipeline.stitch`).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.filters import glob_condition, time_conditions
from pipeline.formats.mail_view import HOP_COLUMNS, is_hop, mail_columns, mail_expressions
from pipeline.formats.postfix import MAIL
from pipeline.formats.syslog import LINES, lines_view, local_time, scanned_columns
from pipeline.kernels.mail_names import CODES
from pipeline.selection import Selection
from pipeline.stitch_plan import DELIVERIES, MESSAGES, StitchPlan, plan_stitch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.formats.base import Format
    from pipeline.pseudonyms import Pseudonyms
    from pipeline.settings import Settings

#: Relation → column → DuckDB type: what jobs can query, beside what `pipeline.formats.registry`
#: finds.
RELATIONS: dict[str, dict[str, str]] = {
    "lines": LINES,
    "mail": {**LINES, **MAIL},
    "messages": MESSAGES,
    "deliveries": DELIVERIES,
}
STITCHED = ("messages", "deliveries")


def relations_of(formats: Mapping[str, Format]) -> dict[str, Mapping[str, str]]:
    """Return the columns of every relation, those of formats included."""
    return {**RELATIONS, **{name: {**LINES, **one.columns} for name, one in formats.items()}}


@dataclass(frozen=True, slots=True)
class Views:
    """What a map task must scan, and what its queries read.

    Attributes
    ----------
    scanned : frozenset of str
        Columns that the scan must build.
    selections : tuple of Selection or None
        One a query; None where it reads a stitched relation.
    stitch : StitchPlan or None
        How messages are put together, where a query reads them.
    reasons : str or None
        File with the user's own rules for ``reason_class``.
    only_deliveries : bool
        Of Postfix lines nobody reads any but attempts to deliver.
    pseudonyms : Pseudonyms or None
        Queries see tokens in the place of addresses, logins, hosts and IP addresses.
    formats : tuple of Format
        Those of the relations that queries read.
    """

    scanned: frozenset[str]
    selections: tuple[Selection | None, ...]
    stitch: StitchPlan | None = None
    reasons: str | None = None
    only_deliveries: bool = False
    pseudonyms: Pseudonyms | None = None
    formats: tuple[Format, ...] = ()


def plan_views(
    reads: Sequence[tuple[str, frozenset[str], Mapping[str, frozenset[str]]]],
    settings: Settings,
    where: Mapping[str, frozenset[str]],
    formats: Mapping[str, Format] = MappingProxyType({}),
) -> Views:
    """Plan the relations that some queries read.

    Parameters
    ----------
    reads : sequence of (str, frozenset of str, mapping of str to frozenset of str)
        The relation that each query reads, the columns that it names, and the values that its
        WHERE limits some of them to.
    settings : Settings
        Zones and filters.
    where : mapping of str to frozenset of str
        The columns that ``settings.where`` names in each relation; empty where there is none.
    formats : mapping of str to Format
        By the names of their relations.

    Raises
    ------
    UsageError
        A filter does not fit a relation.
    """
    selections: list[Selection | None] = []
    stitched: dict[str, frozenset[str]] = {}
    for relation, columns, picked in reads:
        every = columns | where.get(relation, frozenset())
        if relation in STITCHED:
            stitched[relation] = stitched.get(relation, frozenset()) | every
            selections.append(None)
        elif relation == "lines" and settings.formats.only in formats:
            one = formats[settings.formats.only or ""]
            selections.append(_of_lines(one, every, settings))
        elif relation in formats:
            selections.append(_of_format(formats[relation], every, settings))
        else:
            selections.append(_selection(relation, every, picked, settings))
    scanned = frozenset().union(*(one.columns for one in selections if one is not None))
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
    picks = [dict(one.picked) for one in selections if one is not None and "event" in one.columns]
    return Views(
        scanned or _ROWS,
        tuple(selections),
        stitch,
        settings.reasons,
        only_deliveries=stitch is None and all(map(_is_of_deliveries, picks)),
        pseudonyms=settings.pseudonyms,
        formats=tuple(
            one
            for name, one in formats.items()
            if name == settings.formats.only or any(name == read for read, _, _ in reads)
        ),
    )


def _is_of_deliveries(picked: Mapping[str, frozenset[str]]) -> bool:
    return (
        picked.get("event", _OTHERS) == {"delivery"} or picked.get("status", _OTHERS) <= _OUTCOMES
    )


#: What only attempts to deliver end in; `expired` is the queue manager's.
_OUTCOMES = frozenset({"sent", "deferred", "bounced", "deliverable", "undeliverable"})
_OTHERS = frozenset({"expired"})
#: Rows are to be counted: a table must have a column.
_ROWS = frozenset({"bytes"})


def _filtered(
    columns: frozenset[str], settings: Settings
) -> tuple[frozenset[str], tuple[str, ...], tuple[str, ...]]:
    """Return the columns with those that filters name, the bounds of time, other conditions."""
    bounds = time_conditions(local_time(settings.zones), settings.since, settings.until)
    conditions = (
        *glob_condition("host", settings.hosts),
        *glob_condition("process", settings.processes),
        *([settings.where] if settings.where is not None else []),
    )
    columns |= {"host"} if settings.hosts else frozenset()
    columns |= {"process"} if settings.processes else frozenset()
    return columns, tuple(bounds), conditions


def _of_format(one: Format, columns: frozenset[str], settings: Settings) -> Selection:
    zones = settings.zones
    columns, bounds, conditions = _filtered(columns, settings)
    own = columns & one.columns.keys()
    lines = scanned_columns(columns - own, zones, is_bounded=bool(bounds))
    scanned = lines | one.scanned(own, lines)
    select = lines_view(
        columns - own,
        zones,
        bounds,
        conditions,
        one.expressions(own),
        one.condition,
        one.source(scanned),
    )
    return Selection(scanned, select)


def _of_lines(one: Format, columns: frozenset[str], settings: Settings) -> Selection:
    """Return ``lines`` with the times that a format reads: what it does not know stays as it is."""
    columns, bounds, conditions = _filtered(columns, settings)
    lines = scanned_columns(columns, settings.zones, is_bounded=bool(bounds))
    scanned = lines | one.scanned(frozenset(), lines)
    source = one.source(scanned)
    select = lines_view(columns, settings.zones, bounds, conditions, source=source)
    return Selection(scanned, select)


def _selection(
    relation: str,
    columns: frozenset[str],
    picked: Mapping[str, frozenset[str]],
    settings: Settings,
) -> Selection:
    zones = settings.zones
    columns, bounds, conditions = _filtered(columns, settings)
    scanned = scanned_columns(columns, zones, is_bounded=bool(bounds))
    if relation == "lines":
        return Selection(scanned or _ROWS, lines_view(columns, zones, bounds, conditions))
    if settings.pseudonyms is not None and "detail" in columns:
        columns |= {"stage"}  # tells whether it is a line of a message
    scanned |= mail_columns(columns) | {"event"}
    made = mail_expressions(columns, settings.addresses)
    only = "event IS NOT NULL"
    if not settings.count_hops:
        scanned |= HOP_COLUMNS
        only += f" AND NOT {is_hop()}"
    select = lines_view(columns, zones, bounds, conditions, made, only)
    codes = tuple(sorted((name, wanted) for name, wanted in picked.items() if name in CODES))
    return Selection(scanned | {name for name, _ in codes}, select, codes)
