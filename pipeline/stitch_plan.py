"""The relations ``messages`` and ``deliveries``: their columns, and the SQL that makes them.

A *fragment* is what some adjacent lines of one message tell of it. Three tables hold fragments:
``_m`` one row a message, ``_d`` one a message and recipient, ``_e`` one for each child that a
message names. Their rows are made from the events of a block and merged by the same expressions,
in file order: ``first``, ``last`` and ``any_value`` depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.filters import glob_condition, time_conditions
from pipeline.formats.addresses import address_sql
from pipeline.formats.mail_view import HOP_COLUMNS, is_hop, mail_columns
from pipeline.formats.syslog import local_time, scanned_columns
from pipeline.kernels.fold import ANY, COUNT, FIRST, LAST
from pipeline.kernels.generations import OPENING, REMOVED
from pipeline.kernels.mail_names import LINKS
from pipeline.selection import Condition, Folding, Kept, Selection

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pipeline.settings import Settings

#: Those of lines with a queue id.
_PHASES = frozenset(range(OPENING, REMOVED + 1))
_TIMES = {"time": "TIMESTAMP", "day": "DATE", "hour": "INTEGER", "month": "DATE"}
_IDENTITY = {
    "host": "VARCHAR",
    "instance": "VARCHAR",
    "queue_id": "VARCHAR",
    "generation": "INTEGER",
}
#: Column → DuckDB type. ``time`` is that of the message's first line, ``active`` that of the first
#: time that the queue manager took it up; ``sent``, ``deferred``, ``bounced`` count recipients by
#: their last status.
MESSAGES: dict[str, str] = {
    **_IDENTITY,
    **_TIMES,
    "first": "TIMESTAMP",
    "last": "TIMESTAMP",
    "active": "TIMESTAMP",
    "service": "VARCHAR",
    "client": "VARCHAR",
    "client_ip": "VARCHAR",
    "helo": "VARCHAR",
    "sasl_method": "VARCHAR",
    "sasl_user": "VARCHAR",
    "uid": "BIGINT",
    "sender": "VARCHAR",
    "size": "BIGINT",
    "nrcpt": "BIGINT",
    "message_id": "VARCHAR",
    "recipients": "BIGINT",
    "sent": "BIGINT",
    "deferred": "BIGINT",
    "bounced": "BIGINT",
    "attempts": "BIGINT",
    "deferrals": "BIGINT",
    "expired": "BOOLEAN",
    "removed": "BOOLEAN",
    "opened": "BOOLEAN",
    "parent_id": "VARCHAR",
    "parent_link": "VARCHAR",
}
#: One row a message, recipient and original recipient. ``time`` is that of the first attempt;
#: status, dsn, reason, relay and delay are those of the last one; ``sent`` counts its deliveries,
#: ``forwarded`` those among them that only made another message.
DELIVERIES: dict[str, str] = {
    **_IDENTITY,
    **_TIMES,
    "recipient": "VARCHAR",
    "orig_to": "VARCHAR",
    "attempts": "BIGINT",
    "deferrals": "BIGINT",
    "sent": "BIGINT",
    "forwarded": "BIGINT",
    "first_attempt": "TIMESTAMP",
    "last_attempt": "TIMESTAMP",
    "daemon": "VARCHAR",
    "relay": "VARCHAR",
    "relay_ip": "VARCHAR",
    "failed_host": "VARCHAR",
    "status": "VARCHAR",
    "dsn": "VARCHAR",
    "reason": "VARCHAR",
    "reason_group": "VARCHAR",
    "reason_class": "VARCHAR",
    "delay": "DOUBLE",
    "delay_us": "BIGINT",
    "sender": "VARCHAR",
    "size": "BIGINT",
    "client": "VARCHAR",
    "client_ip": "VARCHAR",
    "sasl_user": "VARCHAR",
    "message_id": "VARCHAR",
    "expired": "BOOLEAN",
    "removed": "BOOLEAN",
}
#: Columns that depend on other messages, unknown in a fragment.
_LATE = ("generation", "parent_id", "parent_link")


@dataclass(frozen=True, slots=True)
class _Part:
    """A column of fragments: what is kept of lines, and what merges fragments.

    ``shape`` is SQL around what is kept. Where ``event`` is given it is an aggregate over events,
    in place of what is kept.
    """

    kept: Kept
    merge: str
    shape: str = "{}"
    event: str | None = None

    def of_events(self) -> str:
        """Return the aggregate over events."""
        kept = self.kept
        value = _AGGREGATES[kept.kind].format(kept.column)
        if kept.condition is not None:
            name, wanted = kept.condition
            value += f" FILTER (WHERE {name} = {wanted!r})"
        return self.event or self.shape.format(value)


_AGGREGATES = {COUNT: "count(*)", ANY: "any_value({})", FIRST: "first({})", LAST: "last({})"}


def _any(name: str, column: str | None = None, condition: Condition | None = None) -> _Part:
    return _Part(Kept(name, ANY, column or name, condition), f"any_value({name})")


def _counted(name: str, condition: Condition | None = None) -> _Part:
    return _Part(Kept(name, COUNT, None, condition), f"CAST(sum({name}) AS BIGINT)")


def _first(name: str, column: str | None = None, shape: str = "{}") -> _Part:
    return _Part(Kept(name, FIRST, column or name), f"first({name})", shape)


def _last(name: str, column: str | None = None) -> _Part:
    return _Part(Kept(name, LAST, column or name), f"last({name})")


#: Columns of a message's fragment.
_MERGED = {
    **{
        name: _any(name, condition=("phase", OPENING))
        for name in ("service", "client", "client_ip", "sasl_method", "sasl_user", "uid")
    },
    **{name: _any(name) for name in ("helo", "message_id", "size", "nrcpt")},
    # What the queue manager says is rewritten; pickup says what was typed.
    "queued_sender": _any("queued_sender", "sender", ("event", "active")),
    "given_sender": _any("given_sender", "sender"),
    "attempts": _counted("attempts", ("event", "delivery")),
    "deferrals": _counted("deferrals", ("status", "deferred")),
    "active": _any("active", "time", ("event", "active")),
    "expired": _Part(
        Kept("expired", COUNT, None, ("event", "expired")), "bool_or(expired)", "{} > 0"
    ),
}
_KEYS = {
    **{name: _first(name) for name in ("host", "instance", "queue_id")},
    "first_phase": _first("first_phase", "phase"),
    "last_phase": _last("last_phase", "phase"),
    "first": _first("first", "time"),
    "last": _last("last", "time"),
    "local": _first("local"),
    "is_sealed": _first("is_sealed", "begins", "{} = 1"),
}
#: Columns of messages and deliveries that come from the message's fragment under other names.
_FROM_MESSAGE = {
    "sender": ("queued_sender", "given_sender"),
    **{name: (name,) for name in _MERGED if name not in ("queued_sender", "given_sender")},
}
#: What deals fragments out, over lines.
_SHARD = "hash(coalesce(host, ''), queue_id)"
_COUNTED = {
    "recipients": "count(*)",
    **{s: f"count(*) FILTER (WHERE status = '{s}')" for s in ("sent", "deferred", "bounced")},
}
#: Columns of a recipient's fragment that are those of the last attempt.
_LAST = (
    *("daemon", "relay", "relay_ip", "failed_host", "status", "dsn", "reason", "reason_group"),
    *("reason_class", "delay_us"),
)
_RECIPIENTS = {
    "attempts": _counted("attempts"),
    "sent": _counted("sent", ("status", "sent")),
    "deferrals": _counted("deferrals", ("status", "deferred")),
    "forwarded": _counted("forwarded", ("link", "forwarded")),
    "first_attempt": _first("first_attempt", "time"),
    "last_attempt": _last("last_attempt", "time"),
    "local": _first("local"),
    "is_hop": _Part(_last("link").kept, "last(is_hop)", is_hop(), f"last({is_hop()})"),
    # By which `pipeline.shuffle` deals it out.
    "shard": _Part(_first("queue_id").kept, "first(shard)", _SHARD, "first(shard)"),
    **{name: _last(name) for name in _LAST},
}
#: What else must be kept of lines for a column of a recipient's fragment.
_BESIDE = {
    "is_hop": tuple(_last(name).kept for name in ("event", "relay_ip")),
    "shard": (_first("host").kept,),
}


@dataclass(frozen=True, slots=True)
class StitchPlan:
    """How fragments are made and merged, and how relations are made of them.

    Attributes
    ----------
    scanned : frozenset of str
        Columns that the scan must build.
    events : dict of str to Selection
        Table (``_m``, ``_d``, ``_e``) → the lines that it is made of, filters on hosts included.
    folds : dict of str to Folding
        Table → how a kernel makes it of these lines, where it can.
    maps, merges : dict of str to str
        Table → SELECT over these ``_events``; SELECT over its own fragments.
    views : tuple of (str, str)
        Relation and its SELECT over the tables, filters included.
    is_late : bool
        A column depends on other messages (`_LATE`): no row is known before all lines are read.
    """

    scanned: frozenset[str]
    events: dict[str, Selection]
    folds: dict[str, Folding]
    maps: dict[str, str]
    merges: dict[str, str]
    views: tuple[tuple[str, str], ...]
    is_late: bool

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables of fragments that are needed, ``_m`` first."""
        return tuple(self.maps)


def plan_stitch(named: Mapping[str, frozenset[str]], settings: Settings) -> StitchPlan:
    """Plan the stitched relations that queries read.

    Parameters
    ----------
    named : mapping of str to frozenset of str
        ``messages`` and ``deliveries``, those that are read, with the columns that are named.
    """
    of_messages = named.get("messages", frozenset())
    of_deliveries = named.get("deliveries")
    every = of_messages | (of_deliveries or frozenset())
    is_once = not settings.count_hops
    is_late = bool(every & set(_LATE)) or (is_once and "messages" in named)
    merged = dict(_KEYS)
    for column in MESSAGES | DELIVERIES:
        if column in of_messages or (column in every and column not in _RECIPIENTS):
            merged |= {name: _MERGED[name] for name in _FROM_MESSAGE.get(column, ())}
    late = {
        name: (f"CAST(NULL AS {MESSAGES[name]})", f"any_value({name})") for name in _LATE if is_late
    }
    recipients = {name for name in _RECIPIENTS if name in (of_deliveries or ())}
    if of_messages & _COUNTED.keys():
        recipients.add("status")
    if "delay" in (of_deliveries or ()):
        recipients.add("delay_us")
    if of_deliveries is not None:
        recipients |= {"first_attempt", "local"} | ({"is_hop"} if is_once else set())
    tables: dict[str, tuple[tuple[str, ...], dict[str, _Part]]] = {"_m": (("fid",), merged)}
    if recipients:
        recipients.add("shard")
        tables["_d"] = (
            ("fid", "recipient", "orig_to"),
            {name: part for name, part in _RECIPIENTS.items() if name in recipients},
        )
    maps, merges, folds = {}, {}, {}
    for name, (keys, parts) in tables.items():
        more = late if name == "_m" else {}
        made = {column: part.of_events() for column, part in parts.items()}
        made |= {column: nothing for column, (nothing, _) in more.items()}
        maps[name] = _grouped(keys, made, "_events", name)
        joined = {column: part.merge for column, part in parts.items()}
        joined |= {column: merge for column, (_, merge) in more.items()}
        merges[name] = _grouped(keys, joined, name)
        if _can_fold(settings):
            nothings = {column: nothing for column, (nothing, _) in more.items()}
            folds[name] = _folding(keys, parts, nothings, settings)
    of_message = {"instance", "queue_id", "event"}
    for name in merged.keys() - _KEYS.keys():
        kept = _MERGED[name].kept
        of_message |= {column for column in (kept.column,) if column is not None}
        of_message |= {kept.condition[0]} if kept.condition is not None else set()
    of_message -= {"phase", "time"}
    events = {"_m": _events_view(frozenset(of_message), settings, phase=_PHASES)}
    if recipients:
        of_recipient = {"recipient", "orig_to", "status", "event"} | (recipients & set(_LAST))
        of_recipient |= {"link"} if "forwarded" in recipients else set()
        of_recipient |= HOP_COLUMNS if "is_hop" in recipients else set()
        outcomes = {} if settings.statuses is None else {"status": settings.statuses}
        events["_d"] = _events_view(
            frozenset(of_recipient), settings, phase=_PHASES, event={"delivery"}, **outcomes
        )
    if every & {"parent_id", "parent_link"} or (is_once and "messages" in named):
        columns = "fid, host, queue_id, child_id, link, time, relay_ip"
        maps["_e"] = f"SELECT {columns} FROM _events WHERE child_id IS NOT NULL"
        merges["_e"] = "SELECT * FROM _e"
        of_child = frozenset({"queue_id", "child_id", "link", "relay_ip"})
        events["_e"] = _events_view(of_child, settings, link=set(LINKS[1:]))
    return StitchPlan(
        frozenset().union(*(selection.columns for selection in events.values())),
        events,
        folds,
        maps,
        merges,
        tuple(_relation_view(name, columns, settings) for name, columns in named.items()),
        is_late,
    )


def _can_fold(settings: Settings) -> bool:
    """Tell whether lines are taken as they are: not by the clock of another zone, say."""
    return not (settings.addresses or settings.zones.report or settings.cut_messages)


def _folding(
    keys: Sequence[str],
    parts: Mapping[str, _Part],
    nothings: Mapping[str, str],
    settings: Settings,
) -> Folding:
    """Return how a kernel makes fragments of lines."""
    kept = {part.kept.name: part.kept for part in parts.values()}
    for name in parts:
        kept |= {beside.name: beside for beside in _BESIDE.get(name, ())}
    # Without a report's zone this is what the line says.
    kept = {
        name: replace(one, column="time") if one.column == "local" else one
        for name, one in kept.items()
    }
    items = ["message_no AS fid", *keys[1:]]
    items += [f"{part.shape.format(name)} AS {name}" for name, part in parts.items()]
    items += [f"{nothing} AS {name}" for name, nothing in nothings.items()]
    select = f"SELECT {', '.join(items)} FROM scanned"
    conditions = glob_condition("host", settings.hosts)
    if conditions:
        select += f" WHERE {' AND '.join(f'({condition})' for condition in conditions)}"
    names = ["message_no", *keys[1:]]
    return Folding(tuple((name, 1) for name in names), tuple(kept.values()), select)


def _grouped(keys: Iterable[str], columns: Mapping[str, str], source: str, table: str = "") -> str:
    items = [*keys, *(f"{expression} AS {name}" for name, expression in columns.items())]
    where = " WHERE event = 'delivery'" if table == "_d" else ""
    # Numbers follow the lines, and groups come in any order: messages with one id are told apart
    # by the fragments that stand next to each other.
    order = " ORDER BY fid" if source == "_m" else ""
    return f"SELECT {', '.join(items)} FROM {source}{where} GROUP BY {', '.join(keys)}{order}"


def _events_view(
    columns: frozenset[str], settings: Settings, **picked: Collection[Any]
) -> Selection:
    """Return the lines with a queue id; ``picked`` limits columns of codes to some values."""
    zones = settings.zones
    # The queue id deals fragments out, and costs nothing: the number is told from it.
    scanned = mail_columns(columns) | {"message_no", "phase", "begins", "queue_id"}
    named = frozenset({"time", "host", *(() if zones.report is None else ("day",))})
    scanned |= scanned_columns(named, zones, is_bounded=False)
    named_columns = sorted(columns - {"host"})
    made = ", ".join(
        f'{address_sql(name, settings.addresses)} AS "{name}"' for name in named_columns
    )
    view = (
        f"SELECT message_no AS fid, phase, begins, time, {local_time(zones)} AS local, host,"
        f" {made}, {_SHARD} AS shard FROM scanned WHERE message_no > 0"
    )
    for condition in glob_condition("host", settings.hosts):
        view += f" AND ({condition})"
    if settings.cut_messages:
        for condition in time_conditions("local", settings.since, settings.until):
            view = f"SELECT * FROM ({view}) WHERE {condition}"
    wanted = tuple((name, frozenset(values)) for name, values in picked.items())
    return Selection(frozenset(scanned), view, wanted)


def _relation_view(relation: str, columns: frozenset[str], settings: Settings) -> tuple[str, str]:
    """Return a relation's name and its SELECT over tables of whole messages."""
    is_messages = relation == "messages"
    local = "m.local" if is_messages else "d.local"
    made = {name: f"m.{name}" for name in ("host", "instance", "queue_id", *_LATE, *_MERGED)}
    made["time"] = "m.first" if is_messages else "d.first_attempt"
    made["day"] = f"CAST({local} AS DATE)"
    made["hour"] = f"CAST(extract(hour FROM {local}) AS INTEGER)"
    made["month"] = f"CAST(date_trunc('month', {local}) AS DATE)"
    made["sender"] = "coalesce(m.queued_sender, m.given_sender)"
    made["removed"] = "m.last_phase = 5"
    made["opened"] = "m.first_phase = 1"
    made["first"], made["last"] = "m.first", "m.last"
    if is_messages:
        made |= {name: f"coalesce(r.{name}, 0)" for name in _COUNTED}
        source = "_m AS m"
        if columns & _COUNTED.keys():
            counts = ", ".join(f"{text} AS {name}" for name, text in _COUNTED.items())
            source += f" LEFT JOIN (SELECT fid, {counts} FROM _d GROUP BY fid) AS r USING (fid)"
    else:
        made |= {name: f"d.{name}" for name in ("recipient", "orig_to", *_RECIPIENTS)}
        made["delay"] = "d.delay_us / 1e6"
        source = "_d AS d JOIN _m AS m USING (fid)"
    every = MESSAGES if is_messages else DELIVERIES
    picked = [f'{made[name]} AS "{name}"' for name in every if name in columns]
    select = f"SELECT {', '.join(picked) or '1'} FROM {source}"
    bounds: tuple[str, ...] = ()
    if not settings.cut_messages:
        bounds = time_conditions(local, settings.since, settings.until)
    if not settings.count_hops:
        once = "m.parent_link IS DISTINCT FROM 'queued'" if is_messages else "NOT d.is_hop"
        bounds = (once, *bounds)
    if bounds:
        select += f" WHERE {' AND '.join(bounds)}"
    if settings.where is not None:
        select = f"SELECT * FROM ({select}) WHERE ({settings.where}\n)"
    return relation, select
