"""What the queries return: a class for each of them, a field for each column.

They are grouped: equal rows may come once with their number, or in pieces that add up. Texts may be
cut already by the rules of `pipeline.pflogsumm.reasons`, as far as these take what is cut as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date


class Traffic(NamedTuple):
    """Lines of an hour: all hours that have a Postfix line of any kind."""

    day: date
    hour: int
    received: int = 0
    delivered: int = 0  # status=sent, but not "forwarded as"
    forwarded: int = 0
    deferred: int = 0
    bounced: int = 0
    rejected: int = 0
    reject_warnings: int = 0
    held: int = 0
    discarded: int = 0


class Failure(NamedTuple):
    """Lines with ``status=deferred`` or ``status=bounced``."""

    status: str
    daemon: str
    relay: str
    reason: str  # the text in the parentheses
    lines: int


class Refusal(NamedTuple):
    """Lines that turned something away.

    ``kind`` is the section: rejects, reject_warnings, holds or discards. Of cleanup the stage is
    ``header``, ``body`` or ``END-OF-MESSAGE`` and the reason all that follows it; the others are
    empty. Of smtpd and postscreen the reason is what follows the client, whole or by
    `pipeline.pflogsumm.reasons.refusal_reason`; sender and recipient are as `find_parties` gives
    them, and may be left out where the report does not show them.
    """

    kind: str
    daemon: str
    stage: str
    reason: str
    client: str = ""
    sender: str = "<>"
    recipient: str = "<>"
    lines: int = 1


class Notice(NamedTuple):
    """Lines of other kinds: warnings, fatals, panics, master, smtp_failures, postscreen.

    ``text`` of a warning, fatal error, panic is what follows the last ``warning: `` …; of master
    what follows the last colon; of a failed connect the reason, of a postscreen event the client.
    ``name`` is the daemon; of a failed connect the host, of a postscreen event its name.
    """

    kind: str
    name: str
    text: str
    lines: int


class Sent(NamedTuple):
    """Messages that were received here and became active; by sender and client.

    ``client`` is None for those that pickup brought.
    """

    sender: str | None
    client: str | None
    messages: int
    bytes: int


class Received(NamedTuple):
    """Lines of deliveries, by recipient: of those sent also the bytes of their messages."""

    recipient: str
    sent: int = 0
    bytes: int = 0
    deferrals: int = 0
    delay_us: int = 0  # of those sent, added up
    longest_us: int = 0  # of those sent and deferred


class Connections(NamedTuple):
    """Connections of smtpd, by the hour of their end."""

    day: date
    hour: int
    client: str
    connections: int
    seconds: int
    longest: int


class Copies(NamedTuple):
    """A message of the message detail; recipients of copies sent, in the order of their lines."""

    queue_id: str
    sender: str | None
    size: int | None  # None: no line tells sender and size
    recipients: tuple[str, ...] = ()


@dataclass(slots=True)
class Facts:
    """All rows of a report. What its arguments do not ask for may be left empty."""

    traffic: list[Traffic] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    # Queue id and last recipient of messages delivered whose size is not known.
    no_size: list[tuple[str, str]] = field(default_factory=list)
    connections: list[Connections] = field(default_factory=list)
    copies: list[Copies] = field(default_factory=list)
    # Lines that were not understood.
    unprocessed: list[str] = field(default_factory=list)
    # The reasons of refusals went through `reasons.refusal_reason` (twice would be too often).
    are_cut: bool = False
    # Messages that were deferred once or more.
    deferred_messages: int = 0


def gather_facts(results: Mapping[str, Iterable[tuple[Any, ...]]]) -> Facts:
    """Return the facts of the rows of queries, by the query's name (`pipeline.pflogsumm.queries`).

    Those that were not asked may be missing.
    """

    def rows(name: str) -> Iterable[tuple[Any, ...]]:
        return results.get(name, ())

    facts = Facts(are_cut=True)
    facts.traffic = [Traffic(*row) for row in rows("traffic")]
    facts.sent = [Sent(*row) for row in rows("sent")]
    facts.received = [Received(*row) for name in ("received", "copies_sent") for row in rows(name)]
    facts.failures = [Failure(*row) for row in rows("failures")]
    facts.refusals = [Refusal(*row) for row in rows("refusals")]
    notices = ("notices", "connect_errors", "postscreen")
    facts.notices = [Notice(*row) for name in notices for row in rows(name)]
    facts.no_size = [(queue_id, to) for queue_id, to in rows("no_size")]
    facts.deferred_messages = sum(messages for (messages,) in rows("deferred_messages"))
    facts.connections = [Connections(*row) for row in rows("connections")]
    facts.unprocessed = [line for (line,) in rows("unprocessed")]
    recipients: dict[tuple[Any, ...], tuple[str, ...]] = {}
    for *key, names, times in rows("copies"):
        pairs = zip(names, times, strict=True)
        recipients[tuple(key)] = tuple(name for name, n in pairs for _ in range(n))
    for *key, sender, size in rows("senders_of_copies"):
        to = recipients.pop(tuple(key), ())
        if size is not None or to:
            facts.copies.append(Copies(key[2], sender, size, to))
    return facts
