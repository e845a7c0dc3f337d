"""How far a long run is, on a terminal's last line."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING

from pipeline.text import in_bytes

if TYPE_CHECKING:
    from pipeline.combine import Mapped
    from pipeline.inputs import Inputs

#: Seconds before the first word, and between two.
QUIET_S, STEP_S = 1.0, 0.2
#: Seconds of reading before they are taken for the speed of the rest.
_SURE_S = 1.5


class Progress:
    """Tells bytes done of bytes planned, speed, time left and damage; silent off a terminal.

    A thread of its own asks five times a second how far the readers are: a file that is one split
    can take a minute, and the map tasks have better to do.

    Parameters
    ----------
    is_wanted : bool
        Nothing is said if not, nor where standard error is no terminal.
    """

    def __init__(self, *, is_wanted: bool) -> None:
        self._is_wanted = is_wanted and sys.stderr.isatty()
        self._lock = threading.Lock()
        self._stored = self._damaged = self._shown = 0
        self._planned: int | None = None
        self._begin: float | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        if self._is_wanted:
            self._thread = threading.Thread(target=self._watch, name="sawlog-progress", daemon=True)
            self._thread.start()

    def plan(self, inputs: Inputs) -> None:
        """Take in what will be read; speed and time left count from here."""
        sizes = [file.size for file, _ in inputs.files]
        # Of a stream nobody knows how long it is.
        self._planned = None if None in sizes else sum(size or 0 for size in sizes)
        self._begin = time.monotonic()

    def take(self, part: Mapped) -> None:
        """Take in the result of a split."""
        if not self._is_wanted:
            return
        with self._lock:
            for counts in part.files.values():
                self._stored += counts.stored_bytes
                self._damaged += counts.damage is not None

    def clear(self) -> None:
        """End, and take the line away again."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _watch(self) -> None:
        pause = QUIET_S
        while not self._over.wait(pause):
            pause = STEP_S
            self._say(self._tell())
        if pause == STEP_S:
            self._say("")

    def _tell(self) -> str:
        width = _measure_width()
        if self._begin is None:
            # Heads are read, and files that may hold the same are compared.
            return "looking at the files …"[: width - 1]
        from pipeline.task import bytes_read

        # What other processes have read is known when a split is done.
        self._shown = max(self._shown, self._stored, bytes_read())
        seconds = time.monotonic() - self._begin
        return describe(self._shown, self._planned, seconds, self._damaged, width)

    def _say(self, text: str) -> None:
        try:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
        except (OSError, ValueError):
            self._over.set()


def describe(done: int, planned: int | None, seconds: float, n_damaged: int, width: int) -> str:
    """Return the line, its last parts left out where the terminal is too narrow.

    Parameters
    ----------
    done, planned : int
        Stored bytes; ``planned`` is None where nobody knows.
    seconds : float
        Since the reading began.
    width : int
        Cells.

    Examples
    --------
    >>> describe(420_000_000, 1_200_000_000, 2.0, 1, 80)
    '420 MB of 1.2 GB · 35 % · 210 MB/s · 4 s left · 1 damaged'
    """
    speed = done / seconds if seconds else 0
    parts = [f"{in_bytes(done)} of {in_bytes(planned)}" if planned else f"{in_bytes(done)} read"]
    if planned:
        parts.append(f"{min(100, 100 * done // planned)} %")
    parts.append(f"{in_bytes(speed)}/s")
    if planned and speed and seconds >= _SURE_S:
        parts.append(f"{_in_time((planned - done) / speed)} left")
    if n_damaged:
        parts.append(f"{n_damaged} damaged")
    while len(parts) > 1 and len(" · ".join(parts)) >= width:
        # What is damaged stays longest.
        parts.pop(-2 if n_damaged and len(parts) > 2 else -1)
    return " · ".join(parts)[: max(width - 1, 0)]


def _in_time(seconds: float) -> str:
    whole = max(0, round(seconds))
    if whole < 100:
        return f"{whole} s"
    if whole < 6000:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole // 60 % 60} min"


def _measure_width() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
