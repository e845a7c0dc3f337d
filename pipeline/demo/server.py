"""What the sessions of the demo share: queue ids, process ids, and the lines of every message."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from pipeline.demo.log import BOUNCE, CLEANUP, LOCAL, QMGR, SMTPD
from pipeline.demo.names import HOST_NAME
from pipeline.demo.timeline import compact_clock

if TYPE_CHECKING:
    from random import Random

    from pipeline.demo.log import Log
    from pipeline.demo.names import Client, Names

#: The message of the case; its id is given to no other.
STORY_ID = "90442C9CB29"

QMGR_PID = 2811
PICKUP_PID = 2810


class Server:
    """The mail server, as far as it remembers anything between two lines.

    Attributes
    ----------
    log, names : Log, Names
        Where lines go, and who takes part.
    random, bits : callable
        ``Random.random`` and ``Random.getrandbits``, bound.
    """

    def __init__(self, log: Log, names: Names, random: Random) -> None:
        self.log = log
        self.names = names
        self.random = random.random
        self.bits = random.getrandbits
        self._n_ids = 0
        self._last_pid = 2900
        self._free: list[tuple[int, int]] = []
        self._workers = [2899]
        self._turn = 0
        self._delays = [self._draw_delays() for _ in range(600)]

    def begin_hour(self, n_workers: int) -> None:
        """Let daemons end, as they do after some time: new processes, new ids."""
        self._free.clear()
        self._workers = [self.new_pid() for _ in range(n_workers)]
        self._turn = 0

    def new_id(self) -> str:
        """Return a short queue id: microseconds and inode, upper hex, never given twice."""
        while True:
            n = self._n_ids
            self._n_ids += 1
            # One inode comes back after 65536 messages, then with other microseconds.
            queue_id = f"{n * 618033 % 1000000:05X}{0xC90000 + n % 65536:06X}"
            if queue_id != STORY_ID:
                return queue_id

    def new_pid(self) -> int:
        """Return the next process id, as Linux counts them."""
        self._last_pid += 1 + self.bits(3)
        if self._last_pid > 32767:
            self._last_pid = 3000
        return self._last_pid

    def worker(self) -> int:
        """Return the process id of one of this hour's cleanup, local and smtp processes."""
        self._turn = (self._turn + 1) % len(self._workers)
        return self._workers[self._turn]

    def delays(self) -> str:
        """Return ``delay=…, delays=…`` of a quick delivery."""
        return self._delays[int(self.random() * 600)]

    def own_message_id(self, t: int, queue_id: str) -> str:
        """Return the message-id that cleanup makes for a message without one."""
        return f"{compact_clock(t)}.{queue_id}@{HOST_NAME}"

    def some_message_id(self, domain: str) -> str:
        """Return a message-id as other people's programs make them."""
        return f"{self.bits(48):012X}@{domain}"

    def queue(self, t: int, queue_id: str, message_id: str, sender: str, n_recipients: int) -> int:
        """Log what cleanup and qmgr say of a new message; return its size in bytes."""
        self.log.put(
            t, CLEANUP, f"postfix/cleanup[{self.worker()}]: {queue_id}: message-id=<{message_id}>"
        )
        size = 700 + self.bits(12) + (self.bits(17) if self.random() < 0.2 else 0)
        self.activate(t, queue_id, sender, size, n_recipients)
        return size

    def activate(self, t: int, queue_id: str, sender: str, size: int, n_recipients: int) -> None:
        """Log that a message enters the active queue."""
        self.log.put(
            t,
            QMGR,
            f"postfix/qmgr[{QMGR_PID}]: {queue_id}: from=<{sender}>, size={size}, "
            f"nrcpt={n_recipients} (queue active)",
        )

    def remove(self, t: int, queue_id: str) -> None:
        """Log the end of a message."""
        self.log.put(t, QMGR, f"postfix/qmgr[{QMGR_PID}]: {queue_id}: removed")

    def notify(self, t: int, queue_id: str, sender: str) -> None:
        """Log the bounce of a message to its sender, a local user, until it is delivered."""
        bounce_id = self.new_id()
        message_id = self.own_message_id(t, bounce_id)
        worker = self.worker()
        self.log.put(
            t, CLEANUP, f"postfix/cleanup[{worker}]: {bounce_id}: message-id=<{message_id}>"
        )
        self.log.put(
            t,
            BOUNCE,
            f"postfix/bounce[{worker + 1}]: {queue_id}: sender non-delivery notification: "
            f"{bounce_id}",
        )
        self.activate(t, bounce_id, "", 2400 + self.bits(11), 1)
        self.deliver_here(t, bounce_id, sender)
        self.remove(t, bounce_id)

    def deliver_here(self, t: int, queue_id: str, to: str) -> None:
        """Log a delivery to a local mailbox."""
        self.log.deliver(
            t, LOCAL, self.worker(), queue_id, to, "local", self.delays(), "2.0.0", "sent",
            "delivered to maildir",
        )  # fmt: skip

    def connect(self, t: int, client: Client) -> int:
        """Log a connect and return the process id of the smtpd that serves it."""
        is_idle = self._free and self._free[0][0] <= t
        pid = heappop(self._free)[1] if is_idle else self.new_pid()
        self.log.put(t, SMTPD, f"postfix/smtpd[{pid}]: connect from {client.name}")
        return pid

    def disconnect(self, t: int, pid: int, client: Client) -> None:
        """Log a disconnect; the process takes its next client a second later."""
        self.log.put(t, SMTPD, f"postfix/smtpd[{pid}]: disconnect from {client.name}")
        heappush(self._free, (t + 1, pid))

    def _draw_delays(self) -> str:
        before, wait, setup, send = (self.random() ** 3 * top for top in (2.0, 0.05, 0.6, 2.5))
        total = before + wait + setup + send
        parts = "/".join(f"{round(part, 2):.2g}" for part in (before, wait, setup, send))
        return f"delay={round(total, 2):.2g}, delays={parts}"
