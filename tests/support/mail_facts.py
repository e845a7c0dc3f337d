"""The facts of a report, read from a log line by line: the slow version that needs no engine.

It follows the meaning of the relations, not pflogsumm's order of tests, and knows only what
`tests.support.mail_logs` writes: ordered lines of one host, one instance, queue ids used once.
"""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import date, datetime
from typing import Any

from pipeline.pflogsumm.facts import (
    Connections,
    Copies,
    Facts,
    Failure,
    Notice,
    Received,
    Refusal,
    Sent,
    Traffic,
)
from pipeline.pflogsumm.reasons import find_parties

_LINE = re.compile(r"(\w{3} [ \d]\d \S+) \S+ postfix/(?:.*/)?([\w-]+)\[(\d+)\]: (.*)")
_DELIVERY = re.compile(r"to=<(.*?)>, .*?relay=(.*?), .*?delay=([\d.]+), .*?status=(\w+) \((.*)\)")
_REFUSAL = re.compile(r"(reject|reject_warning|hold|discard): (\S+) from (\S+?): (.*)")
_CHECK = re.compile(
    r"(reject|milter-reject|warning|hold|discard): (header|body|END-OF-MESSAGE) (.*)"
)
_CONNECT = re.compile(r"connect to ([^\[]+).*: (.*?) \(port|connect to (.*?): (.*); address")
_COLUMNS = {
    "reject": "rejected", "milter-reject": "rejected", "reject_warning": "reject_warnings",
    "warning": "reject_warnings", "hold": "held", "discard": "discarded",
}  # fmt: skip
_KINDS = {
    "rejected": "rejects", "reject_warnings": "reject_warnings", "held": "holds",
    "discarded": "discards",
}  # fmt: skip


class _Reader:
    """State between lines: what is known of each message and each open connection."""

    def __init__(self, last_day: date) -> None:
        self.last_day = last_day
        self.facts = Facts()
        self.traffic: Any = defaultdict(lambda: defaultdict(int))
        self.messages: Any = defaultdict(dict)
        self.open: dict[str, datetime] = {}

    def read(self, line: str) -> None:
        """Take in one line."""
        if not (found := _LINE.fullmatch(line)):
            return
        stamp, daemon, pid, text = found.groups()
        time = self._time(stamp)
        hour = self.traffic[time.date(), time.hour]
        first, _, rest = text.partition(": ")
        message = self.messages[first]
        if first in {"warning", "fatal", "panic"}:
            self.facts.notices.append(
                Notice({"warning": "warnings"}.get(first, f"{first}s"), daemon, rest, 1)
            )
        elif daemon == "master":
            self.facts.notices.append(Notice("master", daemon, text.split(": ")[-1], 1))
        elif daemon == "cleanup" and (check := _CHECK.match(rest)):
            self._refuse(hour, check[1], Refusal("", "cleanup", check[2], check[3]))
        elif refusal := _REFUSAL.match(rest):
            kind, stage, client, why = refusal.groups()
            self._refuse(hour, kind, Refusal("", daemon, stage, why, client, *find_parties(why)))
        elif rest.startswith("client="):
            hour["received"] += 1
            message["client"] = rest[7:].split(",")[0]
        elif daemon == "pickup":
            hour["received"] += 1
            message["client"] = None
        elif size := re.match(r"from=<(.*)>, size=(\d+)", rest):
            if "size" not in message:
                message |= {"size": int(size[2]), "sender": size[1]}
                if "client" in message:
                    self.facts.sent.append(Sent(size[1], message["client"], 1, int(size[2])))
        elif delivery := _DELIVERY.match(rest):
            self._deliver(hour, daemon, message, first, delivery)
        elif daemon == "smtpd":
            self._connect(time, pid, text)
        elif daemon == "smtp" and (failed := _CONNECT.match(text)):
            host, why = failed[1] or failed[3], failed[2] or failed[4]
            self.facts.notices.append(Notice("smtp_failures", host, why, 1))

    def _time(self, stamp: str) -> datetime:
        """Return the time of a stamp without a year: the latest that is not after the last day."""
        time = datetime.strptime(f"{self.last_day.year} {stamp}", "%Y %b %d %H:%M:%S")  # noqa: DTZ007
        return time if time.date() <= self.last_day else time.replace(year=time.year - 1)

    def _refuse(self, hour: Any, word: str, refusal: Refusal) -> None:
        hour[_COLUMNS[word]] += 1
        self.facts.refusals.append(refusal._replace(kind=_KINDS[_COLUMNS[word]]))

    def _deliver(self, hour: Any, daemon: str, message: Any, queue_id: str, found: Any) -> None:
        recipient, relay, delay, status, reason = found.groups()
        delay_us = round(float(delay) * 1e6)
        if status == "sent" and "forwarded as " in reason:
            hour["forwarded"] += 1
        elif status == "sent":
            hour["delivered"] += 1
            size = message.get("size", 0)
            self.facts.received.append(Received(recipient, 1, size, 0, delay_us, delay_us))
            message.setdefault("recipients", []).append(recipient)
            if "size" not in message:
                message["no size"] = (queue_id, recipient)
        elif status in {"deferred", "bounced"}:
            hour[status] += 1
            self.facts.failures.append(Failure(status, daemon, relay, reason, 1))
            if status == "deferred":
                self.facts.received.append(Received(recipient, 0, 0, 1, 0, delay_us))
                message["deferred"] = True

    def _connect(self, time: datetime, pid: str, text: str) -> None:
        if text.startswith("connect from "):
            self.open[pid] = time
        elif text.startswith("disconnect from ") and pid in self.open:
            seconds = int((time - self.open.pop(pid)).total_seconds())
            client = text.split(" ")[2]
            self.facts.connections.append(
                Connections(time.date(), time.hour, client, 1, seconds, seconds)
            )


def read_facts(text: str, last_day: date) -> Facts:
    """Return the facts of a log."""
    reader = _Reader(last_day)
    for line in text.splitlines():
        reader.read(line)
    facts = reader.facts
    facts.traffic = [Traffic(*hour, **columns) for hour, columns in reader.traffic.items()]
    messages = reader.messages.items()
    facts.deferred_messages = sum("deferred" in message for _, message in messages)
    facts.no_size = [message["no size"] for _, message in messages if "no size" in message]
    facts.copies = [
        Copies(i, m.get("sender"), m.get("size"), tuple(m.get("recipients", ())))
        for i, m in messages
        if "size" in m or "recipients" in m
    ]
    return facts
