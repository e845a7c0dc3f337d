"""Messages and deliveries by the rules, line by line with regular expressions: slow and obvious.

Knows the lines that `tests.support.stitch_logs` draws, stamped ``YYYY-MM-DDThh:mm:ss``, and nothing
of the engine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d) (\S+) (\S+?)(?:\[\d+\])?: (.*)")
_ID = re.compile(r"([0-9A-F]{6,12}|[0-9A-Za-z]{10,16}): (.*)")
_DELIVERY = re.compile(
    r"to=<([^>]*)>, (?:orig_to=<([^>]*)>, )?relay=([^,]*), delay=([\d.]+), delays=\S+, dsn=([\d.]+), "
    r"status=(\w+) \((.*)\)"
)
_RECEIVING = re.compile(r"(reject|milter-reject|hold|discard|filter|warn): ")


@dataclass
class Line:
    """A Postfix line with a queue id."""

    time: datetime
    host: str
    process: list[str]
    queue_id: str
    text: str

    @property
    def phase(self) -> str:
        """What the line does to its message."""
        if re.match(r"client=|uid=", self.text):
            return "opening"
        if re.match(r"(resent-)?message-id=", self.text):
            return "message-id"
        if _RECEIVING.match(self.text):
            return "reception"
        return "removed" if self.text == "removed" else "queue"


@dataclass
class Delivery:
    """What the lines tell of one recipient."""

    lines: list[tuple[Line, re.Match[str]]] = field(default_factory=list)


@dataclass
class Message:
    """The lines of one message."""

    generation: int
    lines: list[Line] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """First and last line are there."""
        return self.lines[0].phase == "opening" and self.lines[-1].phase == "removed"

    def found(self, pattern: str, *, opening: bool = False) -> tuple[str | None, ...]:
        """Groups of the first line that a pattern is found in."""
        for line in self.lines:
            match = re.search(pattern, line.text)
            if match and (line.phase == "opening" or not opening):
                return match.groups()
        return (None,) * re.compile(pattern).groups

    def deliveries(self) -> dict[tuple[str, str | None], Delivery]:
        """Deliveries by recipient and original recipient."""
        found: dict[tuple[str, str | None], Delivery] = {}
        for line in self.lines:
            match = _DELIVERY.match(line.text)
            if match:
                found.setdefault((match[1], match[2]), Delivery()).lines.append((line, match))
        return found


def begins_anew(last: Line, line: Line) -> bool:
    """The rule that tells two messages with one queue id apart."""
    silence = line.time - last.time
    if last.phase == "removed" or line.phase == "opening" or silence > timedelta(days=5):
        return True
    return line.phase == "message-id" and (last.phase == "queue" or silence > timedelta(hours=1))


def read_lines(files: dict[str, bytes]) -> list[Line]:
    """Return the lines with a queue id; files by name, in the order of their first stamps."""
    read = []
    for name, text in files.items():
        lines = [match for line in text.decode().split("\n") if (match := _LINE.fullmatch(line))]
        read.append((lines[0][1] if lines else "9", name, lines))
    found = []
    for _, _, lines in sorted(read, key=lambda one: one[:2]):
        for stamp, host, process, text in (match.groups() for match in lines):
            match = _ID.fullmatch(text)
            if process.startswith("postfix") and match:
                time = datetime.fromisoformat(stamp)
                found.append(Line(time, host, process.split("/"), match[1], match[2]))
    return found


def read_messages(lines: list[Line]) -> dict[tuple[str, str, str], list[Message]]:
    """Return the messages of each host, instance and queue id, in order."""
    found: dict[tuple[str, str, str], list[Message]] = {}
    for line in lines:
        same_id = found.setdefault((line.host, line.process[0], line.queue_id), [])
        if not same_id or begins_anew(same_id[-1].lines[-1], line):
            same_id.append(Message(len(same_id) + 1))
        same_id[-1].lines.append(line)
    return found


def is_ambiguous(messages: dict[tuple[str, str, str], list[Message]]) -> bool:
    """Tell whether a message without opening stands behind a whole one that follows an open one.

    Whole messages leave the engine's sight; see `pipeline.stitch`.
    """
    for same_id in messages.values():
        for k in range(2, len(same_id)):
            i = k - 1
            while i >= 0 and same_id[i].lines[-1].phase == "removed":
                i -= 1
            if 0 <= i < k - 1 and not begins_anew(same_id[i].lines[-1], same_id[k].lines[0]):
                return True
    return False


def message_rows(files: dict[str, bytes]) -> list[dict[str, object]]:
    """Return the rows of ``messages``, in no order."""
    lines = read_lines(files)
    rows = []
    for (host, instance, queue_id), same_id in read_messages(lines).items():
        for message in same_id:
            first, last = message.lines[0], message.lines[-1]
            last_tries = [d.lines[-1][1][6] for d in message.deliveries().values()]
            tries = [match for d in message.deliveries().values() for _, match in d.lines]
            opening = [line for line in message.lines if line.phase == "opening"]
            size, nrcpt = message.found(r"size=(\d+), nrcpt=(\d+)")
            uid = message.found(r"^uid=(\d+)", opening=True)[0]
            client = message.found(r"^client=(\S+\[([^\]]*)\])", opening=True)
            sasl = message.found(r"sasl_method=(\w+), sasl_username=(\S+)", opening=True)
            parent_id, parent_link = _parent(first, lines)
            rows.append(
                {
                    **_identity(host, instance, queue_id, message.generation, first.time),
                    "first": first.time,
                    "last": last.time,
                    "active": next((x.time for x in message.lines if "(queue active)" in x.text), None),
                    "service": opening[0].process[1] if opening else None,
                    "client": client[0],
                    "client_ip": client[1],
                    "helo": message.found(r"helo=<([^>]*)>")[0],
                    "sasl_method": sasl[0],
                    "sasl_user": sasl[1],
                    "uid": _int(uid),
                    "sender": _sender(message),
                    "size": _int(size),
                    "nrcpt": _int(nrcpt),
                    "message_id": message.found(r"^message-id=<([^>]*)>")[0],
                    "recipients": len(last_tries),
                    **{name: last_tries.count(name) for name in ("sent", "deferred", "bounced")},
                    "attempts": len(tries),
                    "deferrals": sum(match[6] == "deferred" for match in tries),
                    "expired": any("status=expired" in line.text for line in message.lines),
                    "removed": last.phase == "removed",
                    "opened": first.phase == "opening",
                    "parent_id": parent_id,
                    "parent_link": parent_link,
                }
            )  # fmt: skip
    return rows


def delivery_rows(files: dict[str, bytes]) -> list[dict[str, object]]:
    """Return the rows of ``deliveries``, less what is cut out of the reason; in no order."""
    rows = []
    of_messages = {(row["host"], row["instance"], row["queue_id"], row["generation"]): row
                   for row in message_rows(files)}  # fmt: skip
    for key, same_id in read_messages(read_lines(files)).items():
        for message in same_id:
            whole = of_messages[(*key, message.generation)]
            for (recipient, orig_to), delivery in message.deliveries().items():
                tries = [match for _, match in delivery.lines]
                (first, _), (last, match) = delivery.lines[0], delivery.lines[-1]
                ip = re.search(r"\[([\d.]+)\]", match[3])
                seconds, _, part = match[4].partition(".")
                rows.append(
                    {
                        **_identity(*key, message.generation, first.time),
                        "recipient": recipient,
                        "orig_to": orig_to,
                        "attempts": len(tries),
                        "deferrals": sum(one[6] == "deferred" for one in tries),
                        "sent": sum(one[6] == "sent" for one in tries),
                        "forwarded": sum(one[7].startswith("forwarded as") for one in tries),
                        "first_attempt": first.time,
                        "last_attempt": last.time,
                        "daemon": last.process[-1],
                        "relay": match[3],
                        "relay_ip": ip[1] if ip else None,
                        "status": match[6],
                        "dsn": match[5],
                        "reason": match[7],
                        "delay": float(match[4]),
                        "delay_us": int(seconds) * 1_000_000 + int((part + "000000")[:6]),
                        **{
                            name: whole[name]
                            for name in ("sender", "size", "client", "client_ip", "sasl_user",
                                         "message_id", "expired", "removed")
                        },
                    }
                )  # fmt: skip
    return rows


def _identity(host, instance, queue_id, generation, time) -> dict[str, object]:
    return {
        "host": host,
        "instance": instance,
        "queue_id": queue_id,
        "generation": generation,
        "time": time,
        "day": time.date(),
        "hour": time.hour,
        "month": time.date().replace(day=1),
    }


def _sender(message: Message) -> str | None:
    """What the queue manager says is rewritten; before that, what was given."""
    queued = message.found(r"^from=<([^>]*)>, size=")[0]
    return queued if queued is not None else message.found(r"\bfrom=<([^>]*)>")[0]


def _parent(first: Line, lines: list[Line]) -> tuple[str | None, str | None]:
    """Return the id of the message that made this one, and how."""
    found = []
    for line in lines:
        child = _child(line.text)
        if child is None or (line.host, child[1]) != (first.host, first.queue_id):
            continue
        if timedelta(seconds=-10) <= line.time - first.time <= timedelta(hours=1):
            found.append((abs(line.time - first.time), line.queue_id, child[0]))
    return min(found)[1:] if found else (None, None)


def _child(text: str) -> tuple[str, str] | None:
    match = re.match(r"sender non-delivery notification: (\w+)", text)
    if match:
        return "bounce", match[1]
    match = _DELIVERY.match(text)
    child = match and re.search(r"(queued|forwarded) as (\w+)", match[7])
    is_ours = match and "[" not in match[3].replace("[127.", "")  # no other host took it
    if not match or not child or (child[1] == "queued" and not is_ours):
        return None
    return child[1], child[2]


def _int(text: str | None) -> int | None:
    return None if text is None else int(text)
