"""The usual traffic of the demo: how many sessions of which kind begin when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.demo import mail, sundry
from pipeline.demo.timeline import DAY, ROTATIONS, START

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from pipeline.demo.server import Server
    from pipeline.demo.timeline import Segment

_KINDS = (
    (mail.send_rejected, 10),
    (mail.receive_mail, 10),
    (mail.send_mail, 7),
    (mail.send_greylisted, 1),
    (mail.send_bounced, 1),
    (mail.post_to_list, 1),
    (mail.post_refused, 1),
    (mail.send_cron_mail, 2),
    (sundry.read_mail, 4),
    (sundry.run_cron, 2),
    (sundry.log_sundry, 3),
)
_NEIGHBOURS = 7


class Traffic:
    """Begins the usual sessions, in order of time, as many as fill their share of the bytes.

    The mix is a deck of cards in which each kind is spread evenly; only neighbours are shuffled.
    Then even days of a few dozen sessions are alike.
    """

    def __init__(self, server: Server, random: Random) -> None:
        self._server = server
        self._shuffle = random.shuffle
        places = [((k + 0.5) / n, begin) for begin, n in _KINDS for k in range(n)]
        self._deck = [begin for _, begin in sorted(places, key=lambda place: place[0])]
        self._hand = self._deck[:0]
        self._dealt = 0
        self._session_bytes = 15_000
        self._n_sessions = 25

    def run(self, segment: Segment, missing_bytes: float) -> None:
        """Begin the sessions of a segment; they make ``missing_bytes``, or nearly so."""
        server = self._server
        n_before = server.log.n_bytes
        if segment.start == START or segment.start in ROTATIONS:
            sundry.log_rotation(server, segment.start)
        if segment.start == START or segment.start % DAY == 0:
            sundry.log_odd_lines(server, segment.start)
        missing_bytes -= server.log.n_bytes - n_before
        n_before = server.log.n_bytes
        n = max(0, round(missing_bytes * self._n_sessions / self._session_bytes))
        step = (segment.stop - segment.start) / n if n else 0.0
        for k in range(n):
            self._draw()(server, segment.start + int((k + server.random()) * step))
        self._n_sessions += n
        self._session_bytes += server.log.n_bytes - n_before

    def _draw(self) -> Callable[[Server, int], None]:
        if not self._hand:
            self._hand = self._deck[self._dealt : self._dealt + _NEIGHBOURS]
            self._dealt = (self._dealt + _NEIGHBOURS) % len(self._deck)
            self._shuffle(self._hand)
        return self._hand.pop()
