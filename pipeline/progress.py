"""How far a long run is, on a terminal's last line."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

from pipeline.text import in_bytes

if TYPE_CHECKING:
    from pipeline.combine import Mapped

_QUIET_S = 1.0
_STEP_S = 0.2


class Progress:
    """Tells stored bytes done, speed and damage after the first second; silent off a terminal."""

    def __init__(self, *, is_wanted: bool) -> None:
        self._is_wanted = is_wanted and sys.stderr.isatty()
        self._lock = threading.Lock()
        self._begin = self._last = time.monotonic()
        self._stored = self._plain = self._damaged = 0
        self._is_shown = False

    def take(self, part: Mapped) -> None:
        """Take in the result of a split."""
        if not self._is_wanted:
            return
        with self._lock:
            for counts in part.files.values():
                self._stored += counts.stored_bytes
                self._plain += counts.lines.plain_bytes
                self._damaged += counts.damage is not None
            now = time.monotonic()
            if now - self._begin < _QUIET_S or now - self._last < _STEP_S:
                return
            self._last = now
            speed = self._plain / (now - self._begin)
            damaged = f" · {self._damaged} damaged" if self._damaged else ""
            done = f"{in_bytes(self._stored)} read · {in_bytes(self._plain)} of text"
            text = f"{done} · {in_bytes(speed)}/s{damaged}"
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
            self._is_shown = True

    def clear(self) -> None:
        """Take the line away again."""
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._is_shown = False
