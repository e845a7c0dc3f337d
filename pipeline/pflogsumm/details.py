"""The sections that are lists and trees of counts: users, problems, messages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.pflogsumm.units import count, name_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.pflogsumm.arguments import Arguments
    from pipeline.pflogsumm.rows import Detail, Message, Report


def users(report: Report, arguments: Arguments) -> Iterator[str]:
    """Yield senders and recipients, by the number of their messages and by their bytes."""
    if not (limit := arguments.users):
        return
    senders, recipients = report.get("senders", []), report.get("recipients", [])
    for what, column in (("count", 1), ("size", 2)):
        for name, rows in (("Senders", senders), ("Recipients", recipients)):
            top = f"top {limit} " if limit > 0 else ""
            yield from _heading(f"{top}{name} by message {what}", rows, arguments)
            yield from _counts([(row[0], int(row[column])) for row in rows], limit, "")


def no_size(report: Report, arguments: Arguments) -> Iterator[str]:
    """Yield the messages whose size is not known; nothing at all if there is none."""
    rows = report.get("no_size", [])
    if rows and arguments.no_size_report:
        yield from _heading("Messages with no size data", rows, arguments)
        for row in sorted(rows):
            yield f" {row.queue_id}  {row.recipient}"


def problems(report: Report, arguments: Arguments) -> Iterator[str]:
    """Yield all that went wrong: deferrals to the messages of master."""
    rejects = arguments.reject_detail
    for title, rows, limit in (
        ("message deferral detail", report.get("deferrals", []), arguments.deferral_detail),
        ("message bounce detail (by relay)", report.get("bounces", []), arguments.bounce_detail),
        ("message reject detail", report.get("rejects", []), rejects),
        ("message reject warning detail", report.get("reject_warnings", []), rejects),
        ("message hold detail", report.get("holds", []), rejects),
        ("message discard detail", report.get("discards", []), rejects),
        ("postscreen detail", report.get("postscreen", []), arguments.postscreen_detail),
        ("smtp delivery failures", report.get("smtp_failures", []), arguments.smtp_detail),
        ("Warnings", report.get("warnings", []), arguments.warning_detail),
        # These have no limit, whatever --detail says.
        ("Fatal Errors", report.get("fatals", []), -1),
        ("Panics", report.get("panics", []), -1),
    ):
        if limit:
            yield from _heading(title, rows, arguments)
            yield from _tree(rows, limit, 0)
    master = report.get("master", [])
    yield from _heading("Master daemon messages", master, arguments)
    yield from _counts([(row.path[-1], row.lines) for row in master], -1, "")


def messages(report: Report, arguments: Arguments) -> Iterator[str]:
    """Yield every message with sender and recipients, by the domain of its sender."""
    rows = report.get("messages", [])
    yield from _heading("Message detail", rows, arguments)
    for row in sorted(rows, key=_sender_key):
        first, *others = row.entries or ("",)
        yield f" {row.queue_id}  {first}"
        yield from (f"   {entry}" for entry in others)
        yield ""


def _heading(title: str, rows: Sequence[object], arguments: Arguments) -> Iterator[str]:
    if rows:
        yield from ("", title, "-" * len(title))
    elif not arguments.quiet:
        yield from ("", f"{title}: none")


def _tree(rows: Sequence[Detail], limit: int, level: int) -> Iterator[str]:
    """Yield the rows below one node; all their paths have the same length."""
    if not rows:
        return
    indent = "  " * (level + 1)
    depth = len(rows[0].path) - level
    if depth == 1:
        yield from _counts([(row.path[level], row.lines) for row in rows], limit, indent[1:])
        return
    nodes: dict[str, list[Detail]] = {}
    for row in rows:
        nodes.setdefault(row.path[level], []).append(row)
    for name, children in sorted(nodes.items()):
        beside = ""
        if depth == 2:
            top = f" (top {limit})" if limit > 0 else ""
            beside = f"{top} (total: {sum(row.lines for row in children)})"
        yield f"{indent}{name}{beside}"
        yield from _tree(children, limit, level + 1)


def _counts(rows: list[tuple[str, int]], limit: int, indent: str) -> Iterator[str]:
    """Yield names with their counts, the largest first, equal ones by name."""
    rows.sort(key=lambda row: (-row[1], name_key(row[0]), row[0]))
    for name, n in rows[:limit] if limit > 0 else rows:
        yield f"{indent}{count(n)}  {name}"


def _sender_key(message: Message) -> tuple[str, str, str]:
    """Return (domain, user, queue id), the domain turned so that its hosts stand together."""
    entry = message.entries[0] if message.entries else ""
    parts = entry.split("@")
    user, domain = parts[0], parts[1] if len(parts) > 1 else ""
    if not domain and "!" in entry:
        *_, domain, user = entry.split("!")
    domain = re.sub(r"^(.*)\.([^.]+)\.([^.]{3}|[^.]{2,3}\.[^.]{2})$", r"\2.\3.\1", domain, count=1)
    return domain, user.rpartition("!")[2], message.queue_id
