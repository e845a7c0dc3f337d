"""The relation ``lines``: one row a line of syslog text, whatever dialect it is written in."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from pipeline.duck import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Column → DuckDB type, in the order that ``SELECT *`` gives.
LINES: dict[str, str] = {
    "file": "VARCHAR",
    "offset": "BIGINT",
    "time": "TIMESTAMP",
    "instant": "TIMESTAMP WITH TIME ZONE",
    "day": "DATE",
    "hour": "INTEGER",
    "month": "DATE",
    "host": "VARCHAR",
    "process": "VARCHAR",
    "pid": "INTEGER",
    "severity": "VARCHAR",
    "facility": "VARCHAR",
    "message": "VARCHAR",
    "bytes": "BIGINT",
}

#: What `scanned_columns` answers in, and the types of the scanned table.
SCANNED: dict[str, str] = {
    **{name: kind for name, kind in LINES.items() if name not in ("instant", "hour", "month")},
    "utc_offset": "INTEGER",
}

#: Lines of each dialect with the host, process, pid and message that they must give.
SAMPLES: tuple[tuple[str, str | None, str | None, int | None, str], ...] = (
    ("Dec  9 04:02:11 mx postfix/smtpd[81]: connect", "mx", "postfix/smtpd", 81, "connect"),
    (
        "Jan 4 21:51:05 mx kernel: [   30.61] loop6: up",
        "mx",
        "kernel",
        None,
        "[   30.61] loop6: up",
    ),
    ("2016-12-05T20:31:55-08:00 nas : ERROR: stat", "nas", "(no tag)", None, ": ERROR: stat"),
    ("2024-03-22T08:00:01.5Z mx postfix/smtps/smtpd[9]: x", "mx", "postfix/smtps/smtpd", 9, "x"),
    ("<34>1 2003-10-11T22:14:15.003Z mx su - ID47 - failed", "mx", "su", None, "failed"),
    ("<22>Dec 26 00:00:01 mx sshd(pam_unix)[7]: in", "mx", "sshd(pam_unix)", 7, "in"),
    ("Mar 15 15:15:21 <mail.info> bsd sendmail[5]: x", "bsd", "sendmail", 5, "x"),
    ("Mar 15 15:15:21 sun su[5]: [ID 366847 auth.notice] ok", "sun", "su", 5, "ok"),
    (
        "Dec  9 04:02:11 mx last message repeated 3 times",
        *("mx", "(last message repeated)", None, "last message repeated 3 times"),
    ),
    ("Dec  9 04:02:11 mx -- MARK --", "mx", "(mark)", None, "-- MARK --"),
    (
        '192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 2326',
        *(None, "(no tag)", None),
        '192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 2326',
    ),
    ("2024-03-22T08:00:01Z - su[5]: x", None, "su", 5, "x"),
    ("    continued", None, None, None, "    continued"),
)


@dataclass(frozen=True, slots=True)
class Zones:
    """Time zones of a run, as names of the IANA database.

    Attributes
    ----------
    log : str or None
        Zone of stamps that carry no offset.
    hosts : tuple of (str, str)
        Host → zone, where hosts differ.
    report : str or None
        Zone of days and hours in results; None: as written on the line.
    """

    log: str | None = None
    hosts: tuple[tuple[str, str], ...] = ()
    report: str | None = None


def scanned_columns(
    columns: frozenset[str], zones: Zones, *, is_bounded: bool = False
) -> frozenset[str]:
    """Return the scanned columns that the columns of ``lines`` are made from.

    ``is_bounded``: conditions over `local_time` are to be checked, too.
    """
    needed = set(columns)
    if "hour" in needed or is_bounded:
        needed.add("time")
    if "month" in needed:
        needed.add("day")
    if "instant" in needed or (zones.report and needed & {"day", "hour", "month", "time"}):
        needed |= {"time", "utc_offset"} | ({"host"} if zones.hosts else set())
    return frozenset(needed & SCANNED.keys())


def lines_view(
    columns: frozenset[str],
    zones: Zones,
    bounds: tuple[str, ...] = (),
    conditions: tuple[str, ...] = (),
    more: Mapping[str, str] = MappingProxyType({}),
    only: str | None = None,
    source: str = "scanned",
) -> str:
    """Return the SELECT that makes ``lines`` of the table ``scanned``.

    Parameters
    ----------
    columns : frozenset of str
        Columns that the conditions or later queries name.
    zones : Zones
        Zones of stamps and results.
    bounds : tuple of str
        SQL conditions over `local_time`; a row stays when all of them are true.
    conditions : tuple of str
        SQL conditions over ``lines``; likewise.
    more : mapping of str to str
        Further columns and their SQL over ``scanned``, of a relation that adds some to ``lines``.
    only : str, optional
        SQL condition over ``scanned``: which lines belong to that relation.
    source : str
        What is read in the place of ``scanned``: a SELECT over it, in brackets.
    """
    made = {name: _quoted(name) for name in SCANNED}
    made["hour"] = "CAST(extract(hour FROM time) AS INTEGER)"
    made["month"] = "CAST(date_trunc('month', day) AS DATE)"
    made["instant"] = _instant(zones)
    if zones.report:
        local = local_time(zones)
        made["day"] = f"CAST({local} AS DATE)"
        made["hour"] = f"CAST(extract(hour FROM {local}) AS INTEGER)"
        made["month"] = f"CAST(date_trunc('month', {local}) AS DATE)"
    picked = [f"{made[name]} AS {_quoted(name)}" for name in LINES if name in columns]
    picked += [f"{text} AS {_quoted(name)}" for name, text in more.items()]
    select = f"SELECT {', '.join(picked) or '1'} FROM {source}"
    if only is not None:
        bounds = (only, *bounds)
    if bounds:
        select += f" WHERE {' AND '.join(bounds)}"
    for condition in conditions:
        select = f"SELECT * FROM ({select}) WHERE ({condition}\n)"
    return select


def local_time(zones: Zones) -> str:
    """Return the SQL, over ``scanned``, of the time by which days and filters go."""
    if not zones.report:
        return "time"
    # Where no zone is known the line is taken to be written in the zone of the report.
    return f"coalesce(timezone({quote(zones.report)}, {_instant(zones)}), time)"


def _instant(zones: Zones) -> str:
    """Return the SQL of the moment in UTC: by the line's own offset, else by its host's zone."""
    written = "timezone('UTC', time - to_seconds(utc_offset))"
    zone = f"timezone({quote(zones.log)}, time)" if zones.log else "NULL::TIMESTAMPTZ"
    for host, name in zones.hosts:
        zone = f"CASE WHEN host = {quote(host)} THEN timezone({quote(name)}, time) ELSE {zone} END"
    return f"CASE WHEN utc_offset IS NOT NULL THEN {written} ELSE {zone} END"


def _quoted(name: str) -> str:
    return f'"{name}"'
