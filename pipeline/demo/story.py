"""The case itself: spam with forged senders, a list that answers it, answers nobody can deliver.

1. Spam reaches the mailing list. Its sender is forged: a domain without working mail server.
2. The list refuses posts of non-members and tells the author so, in a mail from ``<>``.
3. That mail is tried again and again, for the five days of the queue lifetime.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.demo.log import QMGR, SMTP
from pipeline.demo.mail import post_spam, reject_post, submit
from pipeline.demo.names import FORGED_SENDER
from pipeline.demo.server import QMGR_PID, STORY_ID
from pipeline.demo.timeline import DAY, END, HOUR, LIFETIME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.demo.server import Server
    from pipeline.demo.timeline import Segment

#: Attempts to deliver the message of the case, from Dec 25 to 30; the same at every size.
STORY_ATTEMPTS = (14, 261, 461, 287, 345, 102)
_STORY_DAY = 16
_STORY_BORN = _STORY_DAY * DAY + 20 * HOUR + 8 * 60 + 14

# The spammer came three times: begin and end of each wave, and its share of the messages.
_WAVES = (
    (16 * DAY + 20 * HOUR + 600, 17 * DAY + 8 * HOUR, 0.36),
    (17 * DAY + 8 * HOUR, 21 * DAY + 12 * HOUR, 0.10),
    (21 * DAY + 12 * HOUR, 22 * DAY + 16 * HOUR, 0.30),
    (22 * DAY + 16 * HOUR, 26 * DAY + 12 * HOUR, 0.06),
    (26 * DAY + 12 * HOUR, 27 * DAY + 10 * HOUR, 0.18),
)
# One in so many undeliverable mails is a user's own.
_USERS_SHARE = 25
_TIMEOUT_S = 30
_MIN_INTERVAL_S = 45.0


@dataclass(slots=True)
class Stuck:
    """A message that can't be delivered.

    Attributes
    ----------
    born, expires : int
        Arrival, and the end of its lifetime.
    weight : float
        How often it is tried, against the others.
    wait : int
        Seconds until an attempt has failed.
    next, ready : float
        When the next attempt is due, and when the last one is surely over.
    last : int
        Last failure. ``given_up`` is None while the message waits.
    schedule : list of int
        Attempts with fixed times, latest first.
    """

    queue_id: str
    sender: str
    to: str
    relay: str
    size: int
    born: int
    weight: float
    wait: int
    dsn: str
    reason: str
    spam_id: str = ""
    client: str = ""
    next: float = 0.0
    ready: float = 0.0
    attempts: int = 0
    last: int = 0
    given_up: int | None = None
    is_over: bool = False
    schedule: list[int] = field(default_factory=list)

    @property
    def expires(self) -> int:
        """End of the lifetime; the attempt after it is the last."""
        return self.born + LIFETIME


_Due = tuple[float, int, Stuck]


def count_stuck(size_mb: int) -> int:
    """Return how many rejection mails get stuck: 300, but for tiny and huge archives.

    A tiny archive has no room for the lives of 300 messages; in a huge one more of them share
    the attempts, so that no other is tried more often than the message of the case.
    """
    return round(max(min(300, 30 * size_mb), 1.6 * size_mb))


class Story:
    """Lets messages get stuck and tries them again, until the surge has its bytes."""

    def __init__(self, server: Server, size_mb: int) -> None:
        self._server = server
        self.stuck: list[Stuck] = []
        self.surge_bytes = 0
        self._births = list(self._plan_births(count_stuck(size_mb)))
        self._births.sort(reverse=True)
        self._alive: list[Stuck] = []
        self._smtp_pids = [0]
        self._turn = 0
        self._n_attempts = 20
        self._attempt_bytes = 20 * 380
        self._debt = 0.0

    def run(self, segment: Segment) -> None:
        """Log what gets stuck in a segment and every attempt in it."""
        log = self._server.log
        wanted_bytes = segment.surge_bytes + self._debt
        n_before = self.surge_bytes
        attempts: list[_Due] = [(m.born, n, m) for n, m in enumerate(self._birth(segment))]
        attempts += self._schedule(segment, wanted_bytes - (self.surge_bytes - n_before))
        attempts.sort(key=lambda due: due[:2])
        # A process is busy until its attempt has failed, so its turn must not come before.
        n_pids = 20 + round(len(attempts) * 2.0 * _TIMEOUT_S / (segment.stop - segment.start))
        self._smtp_pids = [self._server.new_pid() for _ in range(n_pids if attempts else 1)]
        self._turn = 0
        n_put = log.n_bytes
        for t, _, message in attempts:
            self._attempt(int(t), message)
        self._alive = [m for m in self._alive if not m.is_over]
        self.surge_bytes += log.n_bytes - n_put
        self._attempt_bytes += log.n_bytes - n_put
        self._n_attempts += len(attempts)
        debt = wanted_bytes - (self.surge_bytes - n_before)
        self._debt = max(-0.5 * segment.surge_bytes, min(0.5 * segment.surge_bytes, debt))

    # ---- births ---------------------------------------------------------------------------

    def _plan_births(self, n_stuck: int) -> Iterator[tuple[int, str]]:
        """Yield when a message gets stuck, and whose: the story's, a list's or a user's."""
        yield _STORY_BORN, "story"
        made = 1
        for number, (start, stop, share) in enumerate(_WAVES):
            is_last = number == len(_WAVES) - 1
            n = n_stuck - made if is_last else round(n_stuck * share)
            for k in range(n):
                yield start + int((stop - start) * (k + self._server.random()) / n), "list"
            made += n
        for k in range(n_stuck // _USERS_SHARE):
            first, last = _WAVES[0][0], _WAVES[-1][1]
            yield first + int((last - first) * self._server.random()), f"user {k}"

    def _birth(self, segment: Segment) -> list[Stuck]:
        """Log how the segment's messages get stuck; return them, due at once."""
        born = []
        while self._births and self._births[-1][0] < segment.stop:
            t, kind = self._births.pop()
            t = max(t, segment.start + 2)
            message = self._strand(t) if kind.startswith("user") else self._refuse(t, kind)
            born.append(message)
        self._alive += born
        self.stuck += born
        return born

    def _refuse(self, t: int, kind: str) -> Stuck:
        """Log spam for the list and the rejection mail that it causes."""
        server = self._server
        is_story = kind == "story"
        sender = FORGED_SENDER if is_story else server.names.forge()
        spam_id, client = post_spam(server, t - 2, sender)
        n_before = server.log.n_bytes
        queue_id = STORY_ID if is_story else server.new_id()
        size = reject_post(server, t, sender, queue_id)
        self.surge_bytes += server.log.n_bytes - n_before
        message = self._fail(t, queue_id, "", sender, size, kind)
        message.spam_id, message.client = spam_id, client.name
        if is_story:
            message.schedule = self._plan_story()
        return message

    def _strand(self, t: int) -> Stuck:
        """Log a user's mail to a domain that is out of order."""
        queue_id, sender, size = submit(self._server, t, 1)
        return self._fail(t, queue_id, sender, self._server.names.forge(), size, "user")

    def _fail(self, t: int, queue_id: str, sender: str, to: str, size: int, kind: str) -> Stuck:
        """Return the message with the fate of its domain."""
        server = self._server
        domain = to.rpartition("@")[2]
        relay = server.names.dead_relays[domain]
        fate = server.names.dead_domains.index(domain) % 14
        weight = 0.6 + 0.55 * server.random()
        if kind == "story" or fate < 10:
            wait, dsn, reason = _TIMEOUT_S, "4.4.1", f"connect to {relay}: Connection timed out"
        elif fate < 13:
            wait, dsn, reason = 1, "4.4.1", f"connect to {relay}: Connection refused"
        else:
            wait, dsn = 4, "4.4.3"
            reason = (
                "Host or domain name not found. Name service error for "
                f"name={domain} type=MX: Host not found, try again"
            )
        return Stuck(
            queue_id,
            sender,
            to,
            relay,
            size,
            t,
            weight,
            wait,
            dsn,
            reason,
            next=t + DAY,
            ready=t + wait + 10,
        )

    # ---- attempts -------------------------------------------------------------------------

    def _plan_story(self) -> list[int]:
        """Return the times of all attempts of the story's message but the first, latest first."""
        times = []
        for number, n in enumerate(STORY_ATTEMPTS):
            start = (_STORY_DAY + number) * DAY
            stop = start + DAY - 2 * _TIMEOUT_S
            n_planned = n
            if number == 0:
                start, n_planned = _STORY_BORN + 600, n - 1
            if number == len(STORY_ATTEMPTS) - 1:
                stop, n_planned = _STORY_BORN + LIFETIME - 300, n - 1
            slot = (stop - start) / n_planned
            times += [
                int(start + slot * (k + 0.6 * self._server.random())) for k in range(n_planned)
            ]
        times.append(_STORY_BORN + LIFETIME + 3)
        return times[::-1]

    def _schedule(self, segment: Segment, wanted_bytes: float) -> Iterator[_Due]:
        """Yield the segment's attempts, those of one message in order of time."""
        attempt_bytes = self._attempt_bytes / self._n_attempts
        others = []
        for m in self._alive:
            if m.queue_id != STORY_ID:
                others.append(m)
            while m.schedule and m.schedule[-1] < segment.stop:
                wanted_bytes -= attempt_bytes
                yield m.schedule.pop(), -1, m
        # Seconds between two attempts of a message of weight 1. However little is wanted, every
        # message is tried once in some days.
        n_attempts = max(wanted_bytes / attempt_bytes, 0.01)
        pace = sum(m.weight for m in others) * (segment.stop - segment.start) / n_attempts
        for n, m in enumerate(others):
            yield from self._repeat(m, n, max(_MIN_INTERVAL_S, pace / m.weight), segment)

    def _repeat(self, m: Stuck, n: int, interval: float, segment: Segment) -> Iterator[_Due]:
        random = self._server.random
        t = m.next
        if t > segment.start + 2 * interval:
            # The pace has grown since this attempt was planned.
            t = segment.start + interval * random()
        t = max(t, m.ready)
        while t < segment.stop and t < m.expires:
            yield t, n, m
            m.ready = t + m.wait + 10
            t = max(m.ready, t + interval * (0.8 + 0.4 * random()))
        m.next = t
        if m.expires < segment.stop:
            yield max(m.ready, m.expires), n, m

    def _attempt(self, t: int, m: Stuck) -> None:
        """Log one attempt, and at the end of the lifetime that the message is given up."""
        server = self._server
        if t > m.born:
            server.activate(t, m.queue_id, m.sender, m.size, 1)
        age, lot = t - m.born, server.random()
        reason, process, pid, done = m.reason, SMTP, self._smtp_pids[self._turn], t + m.wait
        self._turn = (self._turn + 1) % len(self._smtp_pids)
        if m.queue_id == STORY_ID and lot < 0.22:
            reason, done = reason.replace("timed out", "refused"), t
        elif m.queue_id != STORY_ID and lot < 0.28 and age:
            # A dead destination: qmgr doesn't even ask smtp.
            reason, process, pid = f"delivery temporarily suspended: {reason}", QMGR, QMGR_PID
            done = t
        if process == SMTP and reason.startswith("connect"):
            server.log.put(done, SMTP, f"postfix/smtp[{pid}]: {reason} (port 25)")
        delays = f"delay={done - m.born}, delays={age}/0.0{1 + int(lot * 9)}/{done - t}/0"
        server.log.deliver(
            done, process, pid, m.queue_id, m.to, "none", delays, m.dsn, "deferred", reason
        )
        if done < END:
            m.attempts += 1
            m.last = done
        if t >= m.expires:
            self._give_up(done, m)

    def _give_up(self, t: int, m: Stuck) -> None:
        """Log the end: a user gets the message back; what came from ``<>`` just vanishes."""
        server = self._server
        server.log.put(
            t,
            QMGR,
            f"postfix/qmgr[{QMGR_PID}]: {m.queue_id}: from=<{m.sender}>, status=expired, "
            "returned to sender",
        )
        if m.sender:
            server.notify(t, m.queue_id, m.sender)
        server.remove(t, m.queue_id)
        m.is_over = True
        m.given_up = t if t < END else None
