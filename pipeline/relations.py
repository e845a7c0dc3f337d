"""The relations that jobs can query, and how they are made of scanned tables.

``lines`` and ``mail`` are rows of the scan; ``messages`` and ``deliveries`` are stitched together
from lines that may lie in different blocks, splits and files (`pipeline.stitch`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.filters import glob_condition, time_conditions
from pipeline.formats.mail_view import mail_columns, mail_expressions
from pipeline.formats.postfix import MAIL
from pipeline.formats.syslog import LINES, lines_view, local_time, scanned_columns
from pipeline.stitch_plan import DELIVERIES, MESSAGES, StitchPlan, plan_stitch

if TYPE_CHECKING:
    from collections.abc import Mapping

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
class Views:
    """What a map task must scan, and the relations that are made of it.

    Attributes
    ----------
    scanned : frozenset of str
        Columns that the scan must build.
    direct : tuple of (str, str)
        Relation and its SELECT over ``scanned``, filters included.
    stitch : StitchPlan or None
        How messages are put together, where a query reads them.
    """

    scanned: frozenset[str]
    direct: tuple[tuple[str, str], ...]
    stitch: StitchPlan | None = None


def plan_views(
    named: Mapping[str, frozenset[str]], settings: Settings, where: Mapping[str, frozenset[str]]
) -> Views:
    """Plan the relations that some queries read.

    Parameters
    ----------
    named : mapping of str to frozenset of str
        Each relation that is read, with the columns that queries name.
    settings : Settings
        Zones and filters.
    where : mapping of str to frozenset of str
        The columns that ``settings.where`` names in each relation; empty where there is none.

    Raises
    ------
    UsageError
        A filter does not fit a relation.
    """
    zones = settings.zones
    bounds = time_conditions(local_time(zones), settings.since, settings.until)
    conditions = (
        *glob_condition("host", settings.hosts),
        *glob_condition("process", settings.processes),
        *([settings.where] if settings.where is not None else []),
    )
    filtered = {"host"} if settings.hosts else set()
    filtered |= {"process"} if settings.processes else set()
    scanned: frozenset[str] = frozenset()
    direct = []
    for relation in ("lines", "mail"):
        if relation not in named:
            continue
        columns = named[relation] | where.get(relation, frozenset()) | filtered
        scanned |= scanned_columns(columns, zones, is_bounded=bool(bounds))
        made = mail_expressions(columns, settings.addresses) if relation == "mail" else {}
        if relation == "mail":
            scanned |= mail_columns(columns) | {"event"}
        only = "event IS NOT NULL" if relation == "mail" else None
        direct.append((relation, lines_view(columns, zones, bounds, conditions, made, only)))
    stitched = {relation: named[relation] for relation in STITCHED if relation in named}
    stitch = None
    if stitched:
        if settings.processes:
            raise UsageError(
                "--process keeps lines, and messages are made of the lines of several processes: "
                "ask the relation mail, or leave --process out"
            )
        stitch = plan_stitch(
            {name: columns | where.get(name, frozenset()) for name, columns in stitched.items()},
            settings,
        )
        scanned |= stitch.scanned
    if not scanned:
        scanned = frozenset({"bytes"})  # rows are to be counted: a table must have a column
    return Views(scanned, tuple(direct), stitch)
