"""The rate at which stores are read, shared by all threads of a process."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class TokenBucket:
    """Lets so many bytes a second pass; what was not used for a second is lost.

    Who takes waits until the bucket is out of debt, then may take more than there is: a request
    larger than the rate waits behind itself, not for ever.

    Parameters
    ----------
    bytes_per_s : int
        The rate.
    clock, sleep : callable
        Seconds; for tests.
    """

    def __init__(
        self,
        bytes_per_s: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.bytes_per_s = bytes_per_s
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = clock()

    def take(self, n: int) -> None:
        """Wait until ``n`` bytes may be asked for."""
        with self._lock:
            now = self._clock()
            # Each taker gets a place in time: they needn't wake each other.
            begin = max(self._free_at, now)
            self._free_at = begin + n / self.bytes_per_s
        if begin > now:
            self._sleep(begin - now)


_bucket: TokenBucket | None = None


def limit_read_rate(bytes_per_s: int | None) -> None:
    """Set the rate of this process's reads from stores; None: as fast as they come."""
    global _bucket  # noqa: PLW0603  (the process's workers share it)
    if bytes_per_s is None:
        _bucket = None
    elif _bucket is None or _bucket.bytes_per_s != bytes_per_s:
        _bucket = TokenBucket(bytes_per_s)


def read_rate() -> int | None:
    """Return the bytes per second that are allowed, None without a limit."""
    return None if _bucket is None else _bucket.bytes_per_s


def wait_for_turn(n: int) -> None:
    """Wait until ``n`` bytes may be asked for."""
    if _bucket is not None:
        _bucket.take(n)
