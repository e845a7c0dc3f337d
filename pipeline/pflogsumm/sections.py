"""Facts → the rows of each section: addresses folded, reasons cut, equal ones added up."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from pipeline.pflogsumm import reasons
from pipeline.pflogsumm.addresses import (
    client_domain,
    cut_verp,
    fold_recipient,
    fold_sender,
    recipient_domain,
    sender_domain,
)
from pipeline.pflogsumm.rows import (
    DayConnections,
    DayTraffic,
    Detail,
    HostConnections,
    HourConnections,
    HourTraffic,
    Message,
    NoSize,
    RecipientDomain,
    Report,
    SenderDomain,
    Totals,
    User,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from pipeline.pflogsumm.arguments import Arguments
    from pipeline.pflogsumm.facts import Connections, Copies, Facts, Refusal, Traffic

_NO_SENDER = "(sender not in log)"
_UNKNOWN_USER = ["User", "unknown"]


def build_report(facts: Facts, arguments: Arguments) -> Report:
    """Return the rows of all sections."""
    report = Report(
        days=_traffic(facts.traffic, DayTraffic, lambda row: row.day),
        hours=_traffic(facts.traffic, HourTraffic, lambda row: row.hour),
        day_connections=_connections(facts, DayConnections, lambda row: row.day),
        hour_connections=_connections(facts, HourConnections, lambda row: row.hour),
        host_connections=_connections(
            facts, HostConnections, lambda row: client_domain(row.client)
        ),
        no_size=[NoSize(i, fold_recipient(to, arguments)) for i, to in facts.no_size],
        messages=[_message(copies, arguments) for copies in facts.copies],
    )
    _add_senders(report, facts, arguments)
    _add_recipients(report, facts, arguments)
    _add_failures(report, facts, arguments)
    _add_refusals(report, facts, arguments)
    _add_notices(report, facts, arguments)
    report["totals"] = [_totals(report, facts)]
    return report


def _totals(report: Report, facts: Facts) -> Totals:
    def lines(column: str) -> int:
        return sum(getattr(row, column) for row in facts.traffic)

    received = [row for row in report["recipients"] if row.messages]
    return Totals(
        received=lines("received"),
        delivered=lines("delivered"),
        forwarded=lines("forwarded"),
        deferred=facts.deferred_messages,
        deferrals=lines("deferred"),
        bounced=lines("bounced"),
        rejected=lines("rejected"),
        reject_warnings=lines("reject_warnings"),
        held=lines("held"),
        discarded=lines("discarded"),
        bytes_received=sum(row.bytes for row in report["senders"]),
        bytes_delivered=sum(row.bytes for row in received),
        senders=len(report["senders"]),
        sender_domains=len(report["sender_domains"]),
        recipients=len(received),
        # A domain that only deferred is in the table, but not in the number.
        recipient_domains=sum(row.sent > 0 for row in report["recipient_domains"]),
    )


def _traffic(rows: list[Traffic], make: Any, key: Callable[[Traffic], Hashable]) -> list[Any]:
    added: dict[Hashable, list[int]] = defaultdict(lambda: [0] * 5)
    for row in rows:
        refused = row.rejected + row.reject_warnings + row.held + row.discarded
        columns = (row.received, row.delivered, row.deferred, row.bounced, refused)
        sums = added[key(row)]
        for i, value in enumerate(columns):
            sums[i] += value
    return [make(name, *sums) for name, sums in added.items()]


def _connections(facts: Facts, make: Any, key: Callable[[Connections], Hashable]) -> list[Any]:
    added: dict[Hashable, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in facts.connections:
        sums = added[key(row)]
        sums[0] += row.connections
        sums[1] += row.seconds
        sums[2] = max(sums[2], row.longest)
    return [make(name, *sums) for name, sums in added.items()]


def _add_senders(report: Report, facts: Facts, arguments: Arguments) -> None:
    users: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    domains: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in facts.sent:
        address = fold_sender(row.sender, arguments)
        for sums in (users[address], domains[sender_domain(address, row.client)]):
            sums[0] += row.messages
            sums[1] += row.bytes
    report["senders"] = [User(name, *sums) for name, sums in users.items()]
    report["sender_domains"] = [SenderDomain(name, *sums) for name, sums in domains.items()]


def _add_recipients(report: Report, facts: Facts, arguments: Arguments) -> None:
    users: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    domains: dict[str, list[int]] = defaultdict(lambda: [0] * 5)
    for row in facts.received:
        address = fold_recipient(row.recipient, arguments)
        if row.sent or row.bytes:
            users[address][0] += row.sent
            users[address][1] += row.bytes
        sums = domains[recipient_domain(address)]
        for i, value in enumerate((row.sent, row.bytes, row.deferrals, row.delay_us)):
            sums[i] += value
        sums[4] = max(sums[4], row.longest_us)
    report["recipients"] = [User(name, *sums) for name, sums in users.items()]
    report["recipient_domains"] = [
        RecipientDomain(name, *sums) for name, sums in domains.items() if sums[0] or sums[2]
    ]


def _add_failures(report: Report, facts: Facts, arguments: Arguments) -> None:
    deferrals: Counter[tuple[str, ...]] = Counter()
    bounces: Counter[tuple[str, ...]] = Counter()
    for row in facts.failures:
        if row.status == "deferred":
            # Only here the first closing parenthesis ends the reason.
            reason = row.reason.partition(")")[0]
            if not arguments.verbose_reasons:
                reason = reasons.deferral_reason(reason)
            deferrals[row.daemon, reason] += row.lines
        else:
            reason = row.reason
            if not arguments.verbose_reasons:
                reason = reasons.bounce_reason(reason)
            relay = row.relay.lower() if arguments.ignore_case else row.relay
            bounces[relay, reason] += row.lines
    report["deferrals"] = _details(deferrals)
    report["bounces"] = _details(bounces)


def _add_refusals(report: Report, facts: Facts, arguments: Arguments) -> None:
    kinds: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for row in facts.refusals:
        if row.daemon == "cleanup":
            is_whole = arguments.verbose_reasons
            text = row.reason if is_whole else reasons.check_text(row.reason)
            path = ("cleanup", row.stage, text)
        else:
            path = _refusal_path(row, arguments, is_cut=facts.are_cut)
        kinds[row.kind][path] += row.lines
    report["rejects"] = _details(kinds["rejects"])
    report["reject_warnings"] = _details(kinds["reject_warnings"])
    report["holds"] = _details(kinds["holds"])
    report["discards"] = _details(kinds["discards"])


def _refusal_path(row: Refusal, arguments: Arguments, *, is_cut: bool) -> tuple[str, str, str]:
    """Return stage, reason, and whom it met: sender, recipient or client, as the reason is."""
    reason = row.reason
    if not (is_cut or arguments.verbose_reasons):
        reason = reasons.refusal_reason(row.stage, reason)
    reason = reasons.name_local(reason)
    sender = cut_verp(row.sender, arguments.verp_level)
    recipient = row.recipient
    if arguments.ignore_case:
        sender, recipient = sender.lower(), recipient.lower()
    beside = f"  ({sender})" if arguments.add_sender else ""
    if arguments.add_recipient:
        beside += f"  (to {recipient})"
    if reason.startswith("Sender address rejected:"):
        return row.stage, reason, sender
    if reason.startswith("Recipient address rejected:") or reason.split(" ")[:2] == _UNKNOWN_USER:
        return row.stage, reason, recipient + (f"  ({sender})" if arguments.add_sender else "")
    if reason == reasons.PIPELINING and row.stage != "MAIL":
        return row.stage, reason, row.client.partition(":")[0]
    return row.stage, reason, client_domain(row.client) + beside


def _add_notices(report: Report, facts: Facts, arguments: Arguments) -> None:
    kinds: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for row in facts.notices:
        text = row.text
        if row.kind in {"warnings", "fatals", "panics"} and not arguments.verbose_reasons:
            text = reasons.shorten(text, reasons.NOTICE_LENGTH)
        path: tuple[str, ...] = (row.name, text)
        if row.kind == "master":
            path = (text,)
        elif row.kind == "smtp_failures":
            path = (text.lower(), row.name)
        kinds[row.kind][path] += row.lines
    report["warnings"] = _details(kinds["warnings"])
    report["fatals"] = _details(kinds["fatals"])
    report["panics"] = _details(kinds["panics"])
    report["master"] = _details(kinds["master"])
    report["smtp_failures"] = _details(kinds["smtp_failures"])
    report["postscreen"] = _details(kinds["postscreen"])


def _message(copies: Copies, arguments: Arguments) -> Message:
    entries = [] if copies.size is None else [fold_sender(copies.sender, arguments)]
    for recipient in copies.recipients:
        # Said again for every recipient, as it is there.
        entries += [] if copies.size else [_NO_SENDER]
        entries.append(fold_recipient(recipient, arguments))
    return Message(copies.queue_id, tuple(entries))


def _details(counter: Counter[tuple[str, ...]]) -> list[Detail]:
    return [Detail(path, lines) for path, lines in counter.items()]
