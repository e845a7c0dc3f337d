"""The relations that jobs can query, and how they are made of scanned tables.

``lines`` and ``mail`` are rows of the scan; ``messages`` and ``deliveries`` are stitched together
from lines that may lie in different blocks, splits and files (`pipeline.stitch`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.filters import glob_condition, time_conditions
from pipeline.formats.mail_view import HOP_COLUMNS, is_hop, mail_columns, mail_expressions
from pipeline.formats.postfix import MAIL
from pipeline.formats.syslog import LINES, lines_view, local_time, scanned_columns
from pipeline.kernels.fold import COUNT, GREATEST, LEAST, SUM
from pipeline.kernels.mail_names import CODES, INTS
from pipeline.selection import Folding, Kept, Selection
from pipeline.stitch_plan import DELIVERIES, MESSAGES, StitchPlan, plan_stitch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.formats.base import Format
    from pipeline.pseudonyms import Pseudonyms
    from pipeline.settings import Settings
    from pipeline.sql_folds import Fold

#: Relation → column → DuckDB type: what jobs can query, beside what `pipeline.formats.registry`
#: finds.
RELATIONS: dict[str, dict[str, str]] = {
    "lines": LINES,
    "mail": {**LINES, **MAIL},
    "messages": MESSAGES,
    "deliveries": DELIVERIES,
}
STITCHED = ("messages", "deliveries")


#: Integers as they are scanned: a kernel can add them up.
_MEASURES = frozenset({"bytes", "pid", *INTS})
#: Columns in which lines hardly ever agree.
_UNLIKE = frozenset({"message", "offset", "detail", "tally"})
_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Read:
    """What one query reads.

    Attributes
    ----------
    relation : str
        Its name.
    columns : frozenset of str
        Of these.
    picked : mapping of str to frozenset of str
        The values that its WHERE limits some of them to.
    fold : Fold or None
        How rows can be brought together before it is asked.
    """

    relation: str
    columns: frozenset[str]
    picked: Mapping[str, frozenset[str]]
    fold: Fold | None = None


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
    events : frozenset of str or None
        Of Postfix lines nobody reads any but these; None: all.
    pseudonyms : Pseudonyms or None
        Queries see tokens in the place of addresses, logins, hosts and IP addresses.
    formats : tuple of Format
        Those of the relations that queries read.
    """

    scanned: frozenset[str]
    selections: tuple[Selection | None, ...]
    stitch: StitchPlan | None = None
    reasons: str | None = None
    events: frozenset[str] | None = None
    pseudonyms: Pseudonyms | None = None
    formats: tuple[Format, ...] = ()


def plan_views(
    reads: Sequence[Read],
    settings: Settings,
    where: Mapping[str, frozenset[str]],
    formats: Mapping[str, Format] = MappingProxyType({}),
) -> Views:
    """Plan the relations that some queries read.

    Parameters
    ----------
    reads : sequence of Read
        What each query reads.
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
    for read in reads:
        filters = where.get(read.relation, frozenset())
        if read.relation in STITCHED:
            known = stitched.get(read.relation, frozenset())
            stitched[read.relation] = known | read.columns | filters
            selections.append(None)
        elif read.relation == "lines" and settings.formats.only in formats:
            one = formats[settings.formats.only or ""]
            selections.append(_of_lines(one, read.columns | filters, settings))
        elif read.relation in formats:
            one = formats[read.relation]
            selections.append(_of_format(one, read.columns | filters, settings))
        else:
            selection = _selection(read.relation, read.columns | filters, read.picked, settings)
            folding = None
            if read.fold is not None and settings.pseudonyms is None:
                folding = _folding(read, read.fold, filters, settings)
            selections.append(replace(selection, folding=folding))
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
        events=None if stitch is not None else _events(picks),
        pseudonyms=settings.pseudonyms,
        formats=tuple(
            one
            for name, one in formats.items()
            if name == settings.formats.only or any(name == read.relation for read in reads)
        ),
    )


def _events(picks: Sequence[Mapping[str, frozenset[str]]]) -> frozenset[str] | None:
    """Return the events of the lines that matter; None where any may."""
    wanted: set[str] = set()
    for picked in picks:
        if picked.get("status", _OTHERS) <= _OUTCOMES:
            wanted.add("delivery")
        elif "event" in picked:
            wanted |= picked["event"]
        else:
            return None
    return frozenset(wanted)


#: What only attempts to deliver end in; `expired` is the queue manager's.
_OUTCOMES = frozenset({"sent", "deferred", "bounced", "deliverable", "undeliverable"})
_OTHERS = frozenset({"expired"})
#: Rows are to be counted: a table must have a column.
_ROWS = frozenset({"bytes"})


def _folding(read: Read, fold: Fold, filters: frozenset[str], settings: Settings) -> Folding | None:
    """Return how rows are folded for a query; None where that would be wrong, or no use."""
    measures = fold.sums | fold.extremes
    named = fold.keys | filters
    if not fold.sums <= _MEASURES or not fold.extremes <= _MEASURES | {"time"}:
        return None
    more = {name: f'"{name}"' for name in (*sorted(measures), "_n")}
    over = _selection(read.relation, named, read.picked, settings, more)
    keys = over.columns if named or over.columns != _ROWS else frozenset()
    if keys & (measures | _UNLIKE):
        return None
    # Who asks for the hour and nothing finer doesn't need the microsecond.
    is_fine = bool(named & {"time", "instant"}) or "utc_offset" in keys
    bounds = [bound for bound in (settings.since, settings.until) if bound is not None]
    is_fine |= any(bound.minute or bound.second or bound.microsecond for bound in bounds)
    if "time" in keys and is_fine:
        return None
    kept = [Kept("_n", COUNT), *(Kept(name, SUM, name) for name in sorted(fold.sums))]
    for name in sorted(fold.extremes):
        kept += [Kept(name, LEAST, name), Kept(name, GREATEST, name)]
    units = tuple((name, _HOUR_US if name == "time" else 1) for name in sorted(keys))
    return Folding(units, tuple(kept), over.select)


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
    more: Mapping[str, str] = MappingProxyType({}),
) -> Selection:
    zones = settings.zones
    columns, bounds, conditions = _filtered(columns, settings)
    scanned = scanned_columns(columns, zones, is_bounded=bool(bounds))
    if relation == "lines":
        return Selection(scanned or _ROWS, lines_view(columns, zones, bounds, conditions, more))
    if settings.pseudonyms is not None and "detail" in columns:
        columns |= {"stage"}  # tells whether it is a line of a message
    scanned |= mail_columns(columns) | {"event"}
    made = mail_expressions(columns, settings.addresses)
    only = "event IS NOT NULL"
    if not settings.count_hops:
        scanned |= HOP_COLUMNS
        only += f" AND NOT {is_hop()}"
    select = lines_view(columns, zones, bounds, conditions, {**made, **more}, only)
    codes = tuple(sorted((name, wanted) for name, wanted in picked.items() if name in CODES))
    return Selection(scanned | {name for name, _ in codes}, select, codes)
