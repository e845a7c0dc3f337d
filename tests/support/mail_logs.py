"""Random but consistent Postfix logs, for comparing pflogsumm with sawlog on the same lines.

The lines are ordered, carry no year and lie in the last days before today, since pflogsumm knows
no other year. Queue ids are never used twice, the tag is always ``postfix/…``: what pflogsumm gets
wrong, or does not see, has tests of its own.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_USERS = ("ann", "Bob", "carl.x", "dora+tag", "list-return-36-eve=example.net", "root", "O'Neil")
_DOMAINS = (
    "example.com", "Example.ORG", "mail.example.net", "a.b.example.co.uk", "example.info", "x.y",
)  # fmt: skip
_CLIENTS = (
    "mail.example.com[192.0.2.10]", "MX1.Example.ORG[192.0.2.11]", "unknown[198.51.100.7]",
    "host.dialup.example.co.uk[198.51.100.99]", "smtp.example.info[203.0.113.5]",
    "localhost[127.0.0.1]", "a.mail.example.de[203.0.113.20]",
)  # fmt: skip
_CLIENTS_6 = ("unknown[2001:db8::25]", "mx6.example.com[2001:db8::53]")
_RELAYS = (
    "mx.example.com[192.0.2.80]:25", "mx2.example.org[192.0.2.81]:25", "none", "local", "virtual",
    "127.0.0.1[127.0.0.1]:10024",
)  # fmt: skip
_DEFERRALS = (
    "connect to mx.example.net[192.0.2.82]:25: Connection timed out",
    "delivery temporarily suspended: connect to mx.example.net[192.0.2.82]:25: Connection refused",
    ("host mx.example.com[192.0.2.80] said: 450 4.2.0 <{to}>: Recipient address rejected: "
    "Greylisted, see http://postgrey.example/help/{to}.html (in reply to RCPT TO command)"),
    "450 4.7.1 try again later",
    "mail transport unavailable",
    ("Host or domain name not found. Name service error for name=example.net type=MX: "
    "Host not found, try again"),
    "lost connection with mx.example.com[192.0.2.80] while receiving the initial server greeting",
    ("conversation with mx.example.com[192.0.2.80] timed out while sending end of data -- message "
    "may be sent more than once"),
)  # fmt: skip
_BOUNCES = (
    ("host mx.example.com[192.0.2.80] said: 550 5.1.1 <{to}>: Recipient address rejected: User "
    "unknown in virtual mailbox table (in reply to RCPT TO command)"),
    'unknown user: "{to}"',
    "550 no such user",
    ("Host or domain name not found. Name service error for name=nowhere.example type=A: "
    "Host not found"),
    "mail for nowhere.example loops back to myself",
)  # fmt: skip
_RCPT = (
    "550 5.1.1 <{to}>: Recipient address rejected: User unknown in local recipient table",
    "554 5.7.1 <{to}>: Relay access denied",
    ("554 5.7.1 Service unavailable; Client host [{ip}] blocked using zen.dnsbl.example; "
    "https://www.dnsbl.example/query/ip/{ip}"),
    "450 4.7.25 Client host rejected: cannot find your hostname, [{ip}]",
    "450 4.1.8 <{sender}>: Sender address rejected: Domain not found",
    "553 5.7.1 <{sender}>: Sender address rejected: not owned by user Bob",
    "504 5.5.2 <{helo}>: Helo command rejected: need fully-qualified hostname",
    "450 4.2.0 <{to}>: Recipient address rejected: Greylisted, see http://postgrey.example/{to}",
    "452 4.3.1 Insufficient system storage",
    "451 4.3.0 <{to}>: Temporary lookup failure",
    "451 Server configuration error",
    "550 <{to}>: User unknown in local recipient table",
    "501 5.1.7 Bad sender address syntax",
    ("450 4.1.2 <{to}>: Recipient address rejected: unverified address: connect to "
    "mx.example.net[192.0.2.82]:25: Connection timed out"),
)  # fmt: skip
_DSN = {"s": "2.0.0", "d": "4.4.1", "b": "5.1.1"}
_WARNINGS = (
    ("smtpd", ("hostname static.example.net does not resolve to address 198.51.100.7: Name or "
     "service not known")),
    ("smtpd", "unknown[198.51.100.7]: SASL LOGIN authentication failed: authentication failure"),
    ("smtpd", "numeric domain name in resource data of MX record for example.info: 192.0.2.1"),
    ("smtp", "no MX host for example.info has a valid address record"),
    ("qmgr", "connect to transport private/lmtp: Connection refused"),
    ("trivial-rewrite", ("do not list domain example.com in BOTH mydestination and "
     "virtual_alias_domains")),
    ("master", "process /usr/lib/postfix/sbin/smtpd pid 4711 exit status 1"),
    ("master", "/usr/lib/postfix/sbin/smtpd: bad command startup -- throttling"),
)  # fmt: skip
_FATALS = (
    ("smtpd", "no SASL authentication mechanisms"),
    ("cleanup", "open database /etc/postfix/header_checks.db: No such file or directory"),
    ("postqueue", "Queue report unavailable - mail system is down"),
)
_PANICS = (("qmgr", "qmgr_entry_done: queue is dead"), ("smtp", "myfree: corrupt memory block"))
_MASTER = (
    "daemon started -- version 3.7.11, configuration /etc/postfix",
    "terminating on signal 15",
    "reload -- version 3.7.11, configuration /etc/postfix",
)


@dataclass
class MailLog:
    """Lines that are collected in any order and written in the order of their time."""

    random: random.Random
    first_day: date
    days: int
    lines: list[tuple[datetime, int, str]] = field(default_factory=list)
    messages: int = 0

    def add(self, time: datetime, tag: str, text: str) -> None:
        """Add a line, unless it falls outside the days."""
        if self.first_day <= time.date() < self.first_day + timedelta(self.days):
            stamp = f"{time:%b} {time.day:2d} {time:%H:%M:%S}"
            self.lines.append((time, len(self.lines), f"{stamp} mx1 postfix/{tag}: {text}\n"))

    def activate(self, time: datetime, text: str) -> None:
        """Add the line of qmgr that tells sender and size, if there is one."""
        if text:
            self.add(time, "qmgr[902]", text)

    def some_time(self) -> datetime:
        """Return any second of the days."""
        seconds = self.random.randrange(86_400 * self.days)
        return datetime.combine(self.first_day, datetime.min.time()) + timedelta(seconds=seconds)

    def address(self) -> str:
        """Return an address; a few have no domain."""
        user = self.random.choice(_USERS)
        return user if self.random.random() < 0.05 else f"{user}@{self.random.choice(_DOMAINS)}"

    def queue_id(self) -> str:
        """Return a queue id that was not used before, short or long."""
        self.messages += 1
        if self.messages % 3:
            return f"{self.messages * 7919 % 0xFFFFF:05X}{self.messages:06X}"
        return f"4PL3j{self.messages:05d}z30Ms"

    def text(self) -> str:
        """Return the log."""
        return "".join(line for _, _, line in sorted(self.lines))


def mail_log(seed: int, *, messages: int = 60, days: int = 3, last_day: date | None = None) -> str:
    """Return a log of about ``messages`` messages and as many other things, on some days.

    Parameters
    ----------
    seed : int
        The same seed gives the same lines, for the same last day.
    messages : int, default 60
        Messages that are received.
    days : int, default 3
        Days that the log covers; a log never goes beyond its last day.
    last_day : date, default yesterday
        pflogsumm takes a month later than the present one for last year's.
    """
    last_day = last_day or date.today() - timedelta(1)  # noqa: DTZ011
    log = MailLog(random.Random(seed), last_day - timedelta(days - 1), days)
    for _ in range(messages):
        _message(log)
        log.random.choice(_OTHERS)(log)
    return log.text()


def _message(log: MailLog) -> None:
    """Add the whole life of a message."""
    choose, chance = log.random.choice, log.random.random
    time, queue_id = log.some_time(), log.queue_id()
    sender = "" if chance() < 0.15 else log.address()
    if chance() < 0.2:
        log.add(time, "pickup[900]", f"{queue_id}: uid={choose((0, 33, 1000))} from=<{sender}>")
    elif chance() < 0.9:
        _receive(log, time, queue_id)
    # Else it was born here: a bounce, or its client's line lies before the log.
    log.add(time, "cleanup[901]", f"{queue_id}: message-id=<{queue_id}@example.com>")
    size = choose((0, 1)) * log.random.randrange(1, 900_000) + log.random.randrange(1, 3000)
    recipients = [log.address() for _ in range(choose((1, 1, 1, 2, 4)))]
    active = f"{queue_id}: from=<{sender}>, size={size}, nrcpt={len(recipients)} (queue active)"
    if chance() < 0.05:
        # No line tells the size. Were a later one to do so, sawlog would know it and pflogsumm not.
        active = ""
    log.activate(time + timedelta(seconds=1), active)
    for recipient in recipients:
        _deliver(log, time, queue_id, recipient, active)
    if chance() < 0.1:
        later = time + timedelta(days=5)
        log.add(
            later, "qmgr[902]", f"{queue_id}: from=<{sender}>, status=expired, returned to sender"
        )
        log.add(later, "bounce[905]", f"{queue_id}: sender non-delivery notification: 0{queue_id}")
    log.add(time + timedelta(days=1), "qmgr[902]", f"{queue_id}: removed")


def _receive(log: MailLog, time: datetime, queue_id: str) -> None:
    """Add a session of smtpd that hands in a message."""
    choose, pid = log.random.choice, 10_000 + log.messages
    client = choose(_CLIENTS + _CLIENTS_6)
    service = choose(("", "", "submission/", "smtps/"))
    tag = f"{service}smtpd[{pid}]"
    login = f", sasl_method=PLAIN, sasl_username={choose(_USERS)}" if service else ""
    log.add(time - timedelta(seconds=choose((0, 1, 3))), tag, f"connect from {client}")
    log.add(time, tag, f"{queue_id}: client={client}{login}")
    # IPv6 clients are told without tallies, which make pflogsumm misread the address.
    tally = "" if client in _CLIENTS_6 else " ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5"
    seconds = choose((1, 2, 59, 61, 300, 4000))
    log.add(time + timedelta(seconds=seconds), tag, f"disconnect from {client}{tally}")


def _deliver(log: MailLog, time: datetime, queue_id: str, recipient: str, active: str) -> None:
    """Add the attempts of one recipient, deferred ones first."""
    choose, chance = log.random.choice, log.random.random
    waited = choose((0.05, 0.4, 1.2, 7, 33)) if chance() < 0.9 else 70.0
    to = f"to=<{recipient}>, orig_to=<root>" if chance() < 0.2 else f"to=<{recipient}>"
    while chance() < 0.35:
        reason = choose(_DEFERRALS).format(to=recipient)
        _attempt(log, time, queue_id, to, waited, f"deferred ({reason})")
        waited = waited * 3 + 300
        log.activate(time + timedelta(seconds=waited), active)
    if chance() < 0.12:
        _attempt(
            log, time, queue_id, to, waited, f"bounced ({choose(_BOUNCES).format(to=recipient)})"
        )
    elif chance() < 0.1:
        _attempt(log, time, queue_id, to, waited, f"sent (forwarded as {log.queue_id()})")
    elif chance() < 0.95:
        reply = choose(("250 2.0.0 Ok: queued as 4A1B2C", "delivered to mailbox", "250 ok (fine)"))
        _attempt(log, time, queue_id, to, waited, f"sent ({reply})")


def _attempt(
    log: MailLog, time: datetime, queue_id: str, to: str, waited: float, status: str
) -> None:
    choose = log.random.choice
    daemon = choose(("smtp", "smtp", "lmtp", "local", "virtual", "pipe", "error"))
    reused = "conn_use=2, " if daemon == "smtp" and log.random.random() < 0.2 else ""
    delay = f"{waited:.2g}" if waited < 10 else f"{waited:.0f}"
    log.add(
        time + timedelta(seconds=waited + 1),
        f"{daemon}[{choose((903, 904))}]",
        f"{queue_id}: {to}, relay={choose(_RELAYS)}, {reused}delay={delay}, delays=0/0/0/{delay}, "
        f"dsn={_DSN[status[0]]}, status={status}",
    )


def _reject(log: MailLog) -> None:
    """Add a refusal of any stage, or a warning, hold, discard in the same form."""
    choose = log.random.choice
    client = choose(_CLIENTS + _CLIENTS_6)
    values = {
        "to": log.address(), "sender": log.address(), "helo": choose(("friend", "mx.example.com")),
        "ip": client.partition("[")[2].rstrip("]"),
    }  # fmt: skip
    envelope = "from=<{sender}> to=<{to}> proto=ESMTP helo=<{helo}>"
    rcpt = f"RCPT from {client}: {choose(_RCPT)}; {envelope}"
    text = choose((
        rcpt, rcpt, rcpt,
        f"MAIL from {client}: 552 5.3.4 Message size exceeds fixed limit; proto=ESMTP helo=<{{helo}}>",
        (f"MAIL from {client}: 450 <{{sender}}>: Sender address rejected: Domain not found; "
        "from=<{sender}> proto=ESMTP"),
        (f"EHLO from {client}: 504 5.5.2 <{{helo}}>: Helo command rejected: need fully-qualified "
        "hostname; proto=SMTP helo=<{helo}>"),
        (f"DATA from {client}: 503 5.5.0 <DATA>: Data command rejected: Improper use of SMTP command "
        f"pipelining; {envelope}"),
        f"CONNECT from {client}: 554 5.7.1 <{client}>: Client host rejected: Access denied; proto=SMTP",
        (f"END-OF-MESSAGE from {client}: 554 5.7.1 <END-OF-MESSAGE>: End-of-data rejected: spam; "
        f"{envelope}"),
        f"VRFY from {client}: 550 5.1.1 <{{to}}>: Recipient address rejected: User unknown; to=<{{to}}>",
        (f"RCPT from {client}: 554 5.7.1 <{{sender}}>: Sender address rejected: null; "
        "from=<> to=<> proto=SMTP helo=<x>"),
    )).format(**values)  # fmt: skip
    event = choose(("reject", "reject", "reject", "reject_warning", "hold", "discard"))
    queue_id = "NOQUEUE" if log.random.random() < 0.8 else log.queue_id()
    log.add(log.some_time(), f"smtpd[{choose((920, 921))}]", f"{queue_id}: {event}: {text}")


def _cleanup_check(log: MailLog) -> None:
    """Add an action of header_checks, body_checks or a milter."""
    choose = log.random.choice
    client, queue_id = choose((*_CLIENTS, "local")), log.queue_id()
    envelope = f"from=<{log.address()}> to=<{log.address()}> proto=ESMTP helo=<x>"
    event = choose(("reject", "warning", "hold", "discard", "redirect", "replace", "milter-reject"))
    if event == "milter-reject":
        text = f"END-OF-MESSAGE from {client}: 5.7.1 Command rejected; {envelope}"
    else:
        subject = choose(("buy now", "a very long subject that goes on and on until it is cut off"))
        text = (
            f"{choose(('header Subject:', 'body'))} {subject} from {client}; {envelope}: 5.7.1 no"
        )
    log.add(log.some_time(), "cleanup[901]", f"{queue_id}: {event}: {text}")


def _postscreen(log: MailLog) -> None:
    choose = log.random.choice
    address = choose(("198.51.100.7", "2001:db8::25", "203.0.113.77"))
    peer = f"[{address}]:{log.random.randrange(1024, 65_536)}"
    text = choose((
        f"CONNECT from {peer} to [192.0.2.1]:25",
        f"PASS OLD {peer}",
        f"PREGREET 11 after 0.1 from {peer}: EHLO x\\r\\n",
        f"DNSBL rank 6 for {peer}",
        f"HANGUP after 0.2 from {peer} in tests before SMTP handshake",
        (f"NOQUEUE: reject: RCPT from {peer}: 550 5.7.1 Service unavailable; client [{address}] "
        f"blocked using zen.dnsbl.example; from=<{log.address()}>, to=<{log.address()}>, "
        "proto=ESMTP, helo=<x>"),
        f"NOQUEUE: reject: CONNECT from {peer}: all screening ports busy",
        f"DISCONNECT {peer}",
    ))  # fmt: skip
    log.add(log.some_time(), "postscreen[930]", text)


def _session(log: MailLog) -> None:
    """Add a session without a message; some have no end, some no begin."""
    choose, chance, time = log.random.choice, log.random.random, log.some_time()
    client = choose(_CLIENTS)
    log.messages += 1
    tag = f"smtpd[{10_000 + log.messages}]"
    if chance() < 0.9:
        log.add(time, tag, f"connect from {client}")
    if chance() < 0.3:
        log.add(time + timedelta(seconds=3), tag, f"lost connection after EHLO from {client}")
    if chance() < 0.9:
        end = time + timedelta(seconds=choose((0, 4, 30, 305)))
        log.add(end, tag, f"disconnect from {client} ehlo=1 quit=1 commands=2")


def _notice(log: MailLog) -> None:
    """Add a warning, fatal error, panic or a line of master."""
    choose, time = log.random.choice, log.some_time()
    kind = choose(("warning", "warning", "warning", "fatal", "panic", "master"))
    if kind == "master":
        log.add(time, "master[1]", choose(_MASTER))
    else:
        daemon, text = choose({"warning": _WARNINGS, "fatal": _FATALS, "panic": _PANICS}[kind])
        log.add(time, f"{daemon}[940]", f"{kind}: {text}")


def _smtp_failure(log: MailLog) -> None:
    """Add a failed connect in the two forms that pflogsumm knows."""
    choose = log.random.choice
    reason = choose(("Connection refused", "Connection timed out", "No route to host"))
    text = choose((
        f"connect to mx.example.net[192.0.2.82]: {reason} (port 25)",
        ("connect to mx.example.info[192.0.2.83]: server refused mail service; "
        "address 192.0.2.83 port 25"),
    ))  # fmt: skip
    log.add(log.some_time(), "smtp[903]", text)


def _sundry(log: MailLog) -> None:
    """Add a line that counts nowhere."""
    daemon, text = log.random.choice((
        ("anvil", "statistics: max connection rate 1/60s for (smtp:198.51.100.7) at Nov  1 10:00:00"),
        ("scache", "statistics: start interval Nov  1 10:00:00"),
        ("smtp", "ABCDEF: host mx.example.com[192.0.2.80] refused to talk to me: 421 busy"),
        ("smtpd", "timeout after DATA from unknown[198.51.100.7]"),
        ("tlsmgr", "statistics: none"),
        ("smtp", "ABCDEF: lost connection with mx.example.com[192.0.2.80] while sending RCPT TO"),
        ("verify", "cache btree:/var/lib/postfix/verify_cache full cleanup: retained=1 dropped=0"),
        ("smtp", ("ABCDEF: to=<probe@example.com>, relay=none, delay=1, delays=0/0/0/1, dsn=4.4.1, "
         "status=undeliverable (connect to x[192.0.2.9]:25: Connection refused)")),
        ("postfix-script", "refreshing the Postfix mail system"),
    ))  # fmt: skip
    log.add(log.some_time(), f"{daemon}[950]", text)


_OTHERS: tuple[Callable[[MailLog], None], ...] = (
    _reject, _reject, _cleanup_check, _postscreen, _session, _notice, _smtp_failure, _sundry,
)  # fmt: skip
