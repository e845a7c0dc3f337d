"""The lines of the demo on their way to the files, and every count of the truth on the way."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from pipeline.demo.timeline import DAY, DAY_NAMES, END, N_DAYS, STAMP_DAYS

HOST = "mx1"

#: Processes as the column ``process`` names them; the constants below are places in it.
PROCESSES = (
    "postfix/smtpd", "postfix/cleanup", "postfix/qmgr", "postfix/smtp", "postfix/local",
    "postfix/pickup", "postfix/bounce", "postfix/anvil", "postfix/scache", "dovecot", "crond",
    "kernel", "sshd", "sshd(pam_unix)", "listmgr", "spamd", "ntpd", "logrotate",
    "(last message repeated)", "(no tag)", "(mark)", "postfix/pipe",
)  # fmt: skip
(
    SMTPD, CLEANUP, QMGR, SMTP, LOCAL, PICKUP, BOUNCE, ANVIL, SCACHE, DOVECOT, CROND,
    KERNEL, SSHD, SSHD_PAM, LISTMGR, SPAMD, NTPD, LOGROTATE, REPEATED, NO_TAG, MARK, PIPE,
) = range(len(PROCESSES))  # fmt: skip
_N = len(PROCESSES)

# "Dec  9 04:02:04 mx1 " before a line and LF after it: the same length in every line.
_FRAME_BYTES = len(f"{STAMP_DAYS[0]} 00:00:00 {HOST} ") + 1
# A tally is one integer, lines above this bit and bytes below: `put` is called millions of times.
_LINES_BIT = 44
_ONE_LINE = (1 << _LINES_BIT) + _FRAME_BYTES
_BYTES_MASK = (1 << _LINES_BIT) - 1


@dataclass(slots=True)
class Retry:
    """A day's attempts for one message, and what the last of them said."""

    attempts: int = 0
    last: int = 0
    reason: str = ""
    recipient: str = ""
    relay: str = ""


class Log:
    """Lines by the second, in the order in which they were put, until they are taken.

    Lines hold one character a byte (Latin-1), so that ``len`` counts bytes. What lies after the
    end of the archive is neither kept nor counted.

    Attributes
    ----------
    deliveries : dict
        Lines with ``to=`` and ``status=``, by day and status.
    retries : dict
        The deferred ones by day and queue id.
    rejects : dict
        Reject lines by day, reason and client.
    """

    def __init__(self) -> None:
        self.deliveries: defaultdict[tuple[int, str], int] = defaultdict(int)
        self.retries: dict[tuple[int, str], Retry] = {}
        self.rejects: defaultdict[tuple[int, str, str], int] = defaultdict(int)
        self._seconds: defaultdict[int, list[str]] = defaultdict(list)
        self._tallies = [0] * (N_DAYS * _N)
        self._undated_lines = 0
        self._undated_bytes = 0
        self._clock = [
            f"{h:02d}:{m:02d}:{s:02d}" for h in range(24) for m in range(60) for s in range(60)
        ]

    @property
    def n_bytes(self) -> int:
        """Plain bytes put so far."""
        return (sum(self._tallies) & _BYTES_MASK) + self._undated_bytes

    def put(self, t: int, process: int, body: str) -> None:
        """Add a line; ``body`` is what follows the host name, tag included."""
        if t < END:
            self._seconds[t].append(body)
            self._tallies[t // DAY * _N + process] += len(body) + _ONE_LINE

    def put_undated(self, t: int, text: str) -> None:
        """Add a line without stamp behind the line that was put last for this second."""
        if t < END:
            self._seconds[t][-1] += "\n" + text
            self._undated_lines += 1
            self._undated_bytes += len(text) + 1

    def deliver(
        self, t: int, process: int, pid: int, queue_id: str, to: str, relay: str, delays: str,
        dsn: str, status: str, reason: str,
    ) -> None:  # fmt: skip
        """Add a delivery line; ``delays`` is the text ``delay=…, delays=…``."""
        if t >= END:
            return
        self.put(
            t,
            process,
            f"{PROCESSES[process]}[{pid}]: {queue_id}: to=<{to}>, relay={relay}, {delays}, "
            f"dsn={dsn}, status={status} ({reason})",
        )
        self.deliveries[t // DAY, status] += 1
        if status == "deferred":
            self._note_retry(t, queue_id, reason, to, relay)

    def _note_retry(self, t: int, queue_id: str, reason: str, to: str, relay: str) -> None:
        key = t // DAY, queue_id
        retry = self.retries.get(key)
        if retry is None:
            retry = self.retries[key] = Retry()
        retry.attempts += 1
        # Lines of one second stand in the order in which they were put: the later call wins.
        if retry.last <= t:
            retry.last, retry.reason, retry.recipient, retry.relay = t, reason, to, relay

    def reject(self, t: int, pid: int, client: str, reply: str, reason: str, envelope: str) -> None:
        """Add a reject by smtpd; ``reason`` is ``reply`` less its codes, addresses and links."""
        if t < END:
            line = f"postfix/smtpd[{pid}]: NOQUEUE: reject: RCPT from {client}: {reply}; {envelope}"
            self.put(t, SMTPD, line)
            self.rejects[t // DAY, reason, client] += 1

    def take(self, stop: int) -> tuple[bytes, int, int, int]:
        """Take all lines before ``stop`` out, in order of time.

        Returns
        -------
        tuple
            The plain bytes, their lines, and the times of the first and the last dated line
            (-1 when there is none).
        """
        times = sorted(t for t in self._seconds if t < stop)
        text = []
        for t in times:
            day, second = divmod(t, DAY)
            head = f"{STAMP_DAYS[day]} {self._clock[second]} {HOST} "
            bodies = self._seconds.pop(t)
            text.append(head + ("\n" + head).join(bodies) + "\n")
        plain = "".join(text).encode("latin-1")
        first, last = (times[0], times[-1]) if times else (-1, -1)
        return plain, plain.count(b"\n"), first, last

    def volume(self) -> list[tuple[str, str, int, int]]:
        """Return day, process, lines and bytes, sorted, undated lines last as empty names."""
        rows = [
            (
                DAY_NAMES[place // _N],
                PROCESSES[place % _N],
                tally >> _LINES_BIT,
                tally & _BYTES_MASK,
            )
            for place, tally in enumerate(self._tallies)
            if tally
        ]
        rows.sort()
        if self._undated_lines:
            rows.append(("", "", self._undated_lines, self._undated_bytes))
        return rows
