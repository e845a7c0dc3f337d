"""Print a report in pflogsumm's layout: which sections, in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.pflogsumm import details, tables
from pipeline.pflogsumm.rows import Totals
from pipeline.pflogsumm.units import clock, count, short_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.pflogsumm.arguments import Arguments
    from pipeline.pflogsumm.rows import Report


def lay_out(
    report: Report, arguments: Arguments, *, title: str = "", mail_queue: str | None = None
) -> str:
    """Return the text of a report.

    Parameters
    ----------
    report : Report
        Rows by section.
    arguments : Arguments
        What to show of it, and how.
    title : str, optional
        The days it is limited to (`pipeline.pflogsumm.period.Period.title`).
    mail_queue : str, optional
        What ``mailq`` printed; shown last.
    """
    lines = [*_lines(report, arguments, title)]
    if mail_queue is not None:
        lines += [*tables.heading("Current Mail Queue"), *mail_queue.splitlines()]
    return "".join(f"{line}\n" for line in lines)


def _lines(report: Report, arguments: Arguments, title: str) -> Iterator[str]:
    n_days = len(report.get("days", []))
    if title:
        yield f"Postfix log summaries for {title}"
    yield from _totals((report.get("totals") or [Totals()])[0])
    if arguments.smtpd_stats:
        yield from _smtpd_totals(report)
    if arguments.postscreen_stats:
        yield from _postscreen_totals(report)
    yield ""
    if arguments.problems_first:
        yield from details.problems(report, arguments)
    if n_days > 1:
        yield from tables.days(report, arguments)
    yield from tables.hours(report, arguments, n_days)
    yield from tables.recipient_domains(report, arguments)
    yield from tables.sender_domains(report, arguments)
    if arguments.smtpd_stats:
        if n_days > 1:
            yield from tables.day_connections(report, arguments)
        yield from tables.hour_connections(report, arguments, n_days)
        yield from tables.host_connections(report, arguments)
    yield from details.users(report, arguments)
    yield from details.no_size(report, arguments)
    if not arguments.problems_first:
        yield from details.problems(report, arguments)
    if arguments.message_detail:
        yield from details.messages(report, arguments)


def _totals(totals: Totals) -> Iterator[str]:
    yield from tables.heading("Grand Totals")
    yield from ("messages", "")
    yield f"{count(totals.received)}  received"
    yield f"{count(totals.delivered)}  delivered"
    yield f"{count(totals.forwarded)}  forwarded"
    attempts = f"  ({short_count(totals.deferrals)} deferrals)" if totals.deferrals else ""
    yield f"{count(totals.deferred)}  deferred{attempts}"
    yield f"{count(totals.bounced)}  bounced"
    yield f"{count(totals.rejected)}  rejected ({_percent(totals.rejected, totals)}%)"
    yield f"{count(totals.reject_warnings)}  reject warnings"
    yield f"{count(totals.held)}  held"
    yield f"{count(totals.discarded)}  discarded ({_percent(totals.discarded, totals)}%)"
    yield ""
    yield f"{count(totals.bytes_received)}  bytes received"
    yield f"{count(totals.bytes_delivered)}  bytes delivered"
    yield f"{count(totals.senders)}  senders"
    yield f"{count(totals.sender_domains)}  sending hosts/domains"
    yield f"{count(totals.recipients)}  recipients"
    yield f"{count(totals.recipient_domains)}  recipient hosts/domains"


def _percent(part: int, totals: Totals) -> int:
    """Return the share of what was delivered or turned away, in percent, cut."""
    whole = totals.delivered + totals.rejected + totals.discarded
    # A quotient of doubles times 100, as there: 29 of 50 is 57 %, since 0.58 * 100 is 57.99….
    return int(part / whole * 100) if whole else 0


def _smtpd_totals(report: Report) -> Iterator[str]:
    rows = report.get("host_connections", [])
    connections = sum(row.connections for row in rows)
    seconds = sum(row.seconds for row in rows)
    yield from ("", "smtpd", "")
    yield f" {count(connections)}  connections"
    yield f" {count(len(rows))}  hosts/domains"
    average = int(seconds / connections + 0.5) if connections else 0
    yield f"  {average:6d}   avg. connect time (seconds)"
    yield f" {clock(seconds)}  total connect time"


def _postscreen_totals(report: Report) -> Iterator[str]:
    counts: dict[str, int] = {}
    for row in report.get("postscreen", []):
        counts[row.path[0]] = counts.get(row.path[0], 0) + row.lines
    yield from ("", "postscreen", "")
    for event, n in sorted(counts.items()):
        yield f"{count(n)}  {event}"
