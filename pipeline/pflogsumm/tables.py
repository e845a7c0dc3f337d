"""The sections that are tables: traffic per day and hour, domains, connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.pflogsumm.period import MONTHS
from pipeline.pflogsumm.rows import HourTraffic
from pipeline.pflogsumm.units import clock, count, delay

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date

    from pipeline.pflogsumm.arguments import Arguments
    from pipeline.pflogsumm.rows import Report

_TRAFFIC = "          received  delivered   deferred    bounced     rejected"
_RULE = "    " + 68 * "-"


def heading(title: str) -> Iterator[str]:
    """Yield a title, underlined in full length; a blank at its end counts."""
    yield from ("", title, "-" * len(title))


def days(report: Report, arguments: Arguments) -> Iterator[str]:
    """Yield the traffic per day.

    Without ``--zero-fill`` a row ends at its last column that is not 0, and a day without any is
    left out.
    """
    yield from heading("Per-Day Traffic Summary")
    yield from (f"    date{_TRAFFIC}", _RULE)
    for row in sorted(report.get("days", [])):
        columns = list(row[1:])
        if not arguments.zero_fill:
            while columns and not columns[-1]:
                columns.pop()
        if columns:
            yield _day(row.day, arguments) + _cells(columns)


def hours(report: Report, arguments: Arguments, n_days: int) -> Iterator[str]:
    """Yield the traffic per hour of the day: of several days the rounded average."""
    yield from heading(f"Per-Hour Traffic {'Daily Average' if n_days > 1 else 'Summary'}")
    yield from (f"    time{_TRAFFIC}", _RULE)
    rows = {row.hour: row for row in report.get("hours", [])}
    for hour in range(24):
        columns = rows.get(hour, HourTraffic(hour))[1:]
        yield _hour(hour, arguments) + _cells(_rounded(value, n_days) for value in columns)


def recipient_domains(report: Report, arguments: Arguments) -> Iterator[str]:
    """Yield what was delivered to each domain."""
    if not (limit := arguments.hosts):
        return
    yield from heading(_limited("Host/Domain Summary: Message Delivery", limit))
    yield " sent cnt  bytes   defers   avg dly max dly host/domain"
    yield " -------- -------  -------  ------- ------- -----------"
    rows = sorted(
        report.get("recipient_domains", []), key=lambda row: (-row.sent, -row.bytes, row.domain)
    )
    for row in rows[_first(limit)]:
        average = row.delay_us / row.sent / 1e6 if row.sent else 0.0
        numbers = " ".join(count(number) for number in (row.sent, row.bytes, row.deferrals))
        yield f"{numbers}  {delay(average)}  {delay(row.longest_us / 1e6)}  {row.domain}"


def sender_domains(report: Report, arguments: Arguments) -> Iterator[str]:
    """Yield what was received from each domain."""
    if not (limit := arguments.hosts):
        return
    yield from heading(_limited("Host/Domain Summary: Messages Received", limit))
    yield " msg cnt   bytes   host/domain"
    yield " -------- -------  -----------"
    rows = sorted(
        report.get("sender_domains", []), key=lambda row: (-row.messages, -row.bytes, row.domain)
    )
    for row in rows[_first(limit)]:
        yield f"{count(row.messages)} {count(row.bytes)}  {row.domain}"


def day_connections(report: Report, arguments: Arguments) -> Iterator[str]:
    """Yield the connections per day."""
    yield from heading("Per-Day SMTPD Connection Summary")
    yield from ("    date        connections    time conn.    avg./conn.   max. time", _RULE)
    for row in sorted(report.get("day_connections", [])):
        if row.connections:
            average = int(row.seconds / row.connections + 0.5)
            yield (
                f"{_day(row.day, arguments)}  {count(row.connections)}       {clock(row.seconds)}"
                f"      {average:6d}s      {row.longest:6d}s"
            )


def hour_connections(report: Report, arguments: Arguments, n_days: int) -> Iterator[str]:
    """Yield the connections per hour of the day: of several days the average; no empty hours."""
    several = n_days > 1
    yield from heading(f"Per-Hour SMTPD Connection {'Daily Average' if several else 'Summary'}")
    yield "    hour        connections    time conn." + (
        "" if several else "    avg./conn.   max. time"
    )
    yield "    " + 37 * "-" if several else _RULE
    for row in sorted(report.get("hour_connections", [])):
        if not row.connections:
            continue
        n, seconds = row.connections, float(row.seconds)
        average = int(seconds / n + 0.5)
        line = f"{_hour(row.hour, arguments)}  "
        if several:
            line += f"{count(n / n_days + 0.5)}       {clock(seconds / n_days + 0.5)}"
        else:
            line += f"{count(n)}       {clock(seconds)}      {average:6d}s      {row.longest:6d}s"
        yield line


def host_connections(report: Report, arguments: Arguments) -> Iterator[str]:
    """Yield the connections per domain."""
    if not (limit := arguments.hosts):
        return
    yield from heading(_limited("Host/Domain Summary: SMTPD Connections", limit))
    yield " connections  time conn.  avg./conn.  max. time  host/domain"
    yield " -----------  ----------  ----------  ---------  -----------"
    rows = sorted(
        report.get("host_connections", []), key=lambda row: (-row.connections, -row.seconds, row)
    )
    for row in rows[_first(limit)]:
        average = int(row.seconds / row.connections + 0.5) if row.connections else 0
        yield (
            f" {count(row.connections)}      {clock(row.seconds)}     {average:6d}s"
            f"    {row.longest:6d}s   {row.host}"
        )


def _day(day: date, arguments: Arguments) -> str:
    if arguments.iso_dates:
        return f"    {day.isoformat()} "
    return f"    {MONTHS[day.month - 1]} {day.day:2d} {day.year}"


def _hour(hour: int, arguments: Arguments) -> str:
    if arguments.iso_dates:
        return f"    {hour:02d}:00-{hour + 1:02d}:00"
    return f"    {hour:02d}00-{hour + 1:02d}00  "


def _cells(columns: Iterable[float]) -> str:
    return "".join(f"   {count(value)}" for value in columns)


def _rounded(value: int, n_days: int) -> float:
    """Return what `count` cuts to the rounded average."""
    return value / n_days + 0.5 if n_days else value


def _limited(title: str, limit: int) -> str:
    # Without a limit the title ends in a blank, which is underlined, too.
    return f"{title} (top {limit})" if limit > 0 else f"{title} "


def _first(limit: int) -> slice:
    return slice(limit) if limit > 0 else slice(None)
