"""The rows of each section, as plain numbers, before limits, units and rounding.

A `Report` holds a list of rows for each section. What is not in it was not asked for and is printed
as if it were empty. Rows may stand in any order; the layout sorts and limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypedDict

if TYPE_CHECKING:
    from datetime import date


class Totals(NamedTuple):
    """The grand totals. Bytes are of all messages received, of all copies delivered."""

    received: int = 0
    delivered: int = 0
    forwarded: int = 0
    deferred: int = 0  # messages
    deferrals: int = 0  # attempts
    bounced: int = 0
    rejected: int = 0
    reject_warnings: int = 0
    held: int = 0
    discarded: int = 0
    bytes_received: int = 0
    bytes_delivered: int = 0
    senders: int = 0
    sender_domains: int = 0
    recipients: int = 0
    recipient_domains: int = 0


class DayTraffic(NamedTuple):
    """A day that has any Postfix line, even if it adds nothing to a column.

    ``rejected`` counts rejections, reject warnings, holds and discards; here and for the hours.
    """

    day: date
    received: int = 0
    delivered: int = 0
    deferred: int = 0
    bounced: int = 0
    rejected: int = 0


class HourTraffic(NamedTuple):
    """An hour of the day, the sum of all days. Hours without traffic may be missing."""

    hour: int
    received: int = 0
    delivered: int = 0
    deferred: int = 0
    bounced: int = 0
    rejected: int = 0


class RecipientDomain(NamedTuple):
    """A domain that mail was delivered to, or deferred for.

    ``delay_us`` is the sum over the deliveries, ``longest_us`` the maximum of these and of the
    deferrals; microseconds.
    """

    domain: str
    sent: int = 0
    bytes: int = 0
    deferrals: int = 0
    delay_us: int = 0
    longest_us: int = 0


class SenderDomain(NamedTuple):
    """A domain, or client, that messages came from."""

    domain: str
    messages: int = 0
    bytes: int = 0


class DayConnections(NamedTuple):
    """The connections that ended on a day."""

    day: date
    connections: int = 0
    seconds: int = 0
    longest: int = 0


class HourConnections(NamedTuple):
    """The connections that ended in an hour of the day, the sum of all days."""

    hour: int
    connections: int = 0
    seconds: int = 0
    longest: int = 0


class HostConnections(NamedTuple):
    """The connections of a domain, or client."""

    host: str
    connections: int = 0
    seconds: int = 0
    longest: int = 0


class User(NamedTuple):
    """A sender or recipient: messages, and their bytes."""

    address: str
    messages: int = 0
    bytes: int = 0


class NoSize(NamedTuple):
    """A message that was delivered and whose size no line told."""

    queue_id: str
    recipient: str


class Detail(NamedTuple):
    """A leaf of a tree of counts.

    ``path`` is (daemon, reason) of deferrals, warnings, fatal errors and panics; (relay, reason) of
    bounces; (stage, reason, client or address) of rejections, reject warnings, holds and discards;
    (reason, host) of failed connects; (text,) of master; (event, client) of postscreen.
    """

    path: tuple[str, ...]
    lines: int


class Message(NamedTuple):
    """A message of the message detail. Entries are the sender and the recipients, in order."""

    queue_id: str
    entries: tuple[str, ...]


class Report(TypedDict, total=False):
    """Rows by section."""

    totals: list[Totals]
    days: list[DayTraffic]
    hours: list[HourTraffic]
    recipient_domains: list[RecipientDomain]
    sender_domains: list[SenderDomain]
    day_connections: list[DayConnections]
    hour_connections: list[HourConnections]
    host_connections: list[HostConnections]
    senders: list[User]
    recipients: list[User]
    no_size: list[NoSize]
    messages: list[Message]
    deferrals: list[Detail]
    bounces: list[Detail]
    rejects: list[Detail]
    reject_warnings: list[Detail]
    holds: list[Detail]
    discards: list[Detail]
    smtp_failures: list[Detail]
    warnings: list[Detail]
    fatals: list[Detail]
    panics: list[Detail]
    master: list[Detail]
    postscreen: list[Detail]
