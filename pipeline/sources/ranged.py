"""A seekable handle on an object that lies far away: ranges are asked for ahead of the reader.

The cost of a store is the wait for the first byte of an answer, so requests are large and several
are under way while the reader decodes. Inside the span that a split owns they are at full size at
once; elsewhere (headers, tails, the rest of a line) they begin small and grow as long as the
reader goes straight on.
"""

from __future__ import annotations

import io
import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from pipeline.errors import StoreError
from pipeline.sources.rate import read_rate

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.sources.ways import Way

#: Of one request, and how many are under way for one reader: measured, see README.
REQUEST_BYTES = 8 << 20
REQUESTS_AHEAD = 4
#: First request where little may be wanted.
SMALL_BYTES = 64 << 10
#: The last line of a split ends behind its stop.
OVERRUN_BYTES = 64 << 10
#: Read at planning of each object, and kept for who comes after.
HEAD_BYTES = 64 << 10
_MAX_KEPT_BYTES = 64 << 20
#: Requests under way in a process.
MAX_THREADS = 64

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_heads: dict[object, bytes] = {}
_n_kept = 0


def pool() -> ThreadPoolExecutor:
    """Return the threads of this process that wait for stores."""
    global _pool  # noqa: PLW0603
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="sawlog-fetch")
        return _pool


def keep_head(key: object, head: bytes) -> None:
    """Keep the begin of an object; the oldest are forgotten where there are too many."""
    global _n_kept  # noqa: PLW0603
    with _lock:
        if key in _heads:
            return
        _heads[key] = head
        _n_kept += len(head)
        while _n_kept > _MAX_KEPT_BYTES:
            _n_kept -= len(_heads.pop(next(iter(_heads))))


def kept_head(key: object) -> bytes | None:
    """Return the begin of an object, None where it isn't kept."""
    return _heads.get(key)


def forget_heads() -> None:
    """Forget what was kept; for tests."""
    global _n_kept  # noqa: PLW0603
    with _lock:
        _heads.clear()
        _n_kept = 0


def count_requests(start: int, stop: int, size: int) -> int:
    """Return how many requests reading a split takes."""
    stop = min(size, stop + OVERRUN_BYTES) if stop < size else size
    step = request_bytes()
    n = 0
    while start < stop:
        start = _next_stop(start, stop, step)
        n += 1
    return n


def request_bytes() -> int:
    """Return the size of a full request: less than a second's worth where the rate is limited."""
    rate = read_rate()
    return REQUEST_BYTES if rate is None else max(SMALL_BYTES, min(REQUEST_BYTES, rate))


def _next_stop(start: int, stop: int, step: int) -> int:
    """Return where the request at ``start`` ends: on a multiple of the step, no crumbs.

    Stores keep objects in pieces of round sizes; a request over two of them costs more.
    """
    edge = (start // step + 1) * step
    if 2 * (edge - start) < step:
        edge += step
    return stop if 2 * (stop - edge) <= step else edge


class RangedFile(io.RawIOBase):
    """A handle on an object, for one thread.

    Parameters
    ----------
    way : Way
        Where its ranges come from; closed with it.
    fetch : callable
        ``fetch(way, start, stop, is_closed)`` returns all bytes of a range or raises `StoreError`.
    size : int
        Of the object, at planning.
    span : tuple of (int, int)
        What will be read for sure, from its begin to its end.
    head : bytes
        What is known of the object's begin.
    """

    def __init__(
        self,
        way: Way,
        fetch: Callable[[Way, int, int, Callable[[float], bool] | None], bytes],
        size: int,
        span: tuple[int, int] = (0, 0),
        head: bytes = b"",
    ) -> None:
        self._way = way
        self._fetch = fetch
        self._size = size
        self._span = span[0], min(size, span[1] + OVERRUN_BYTES) if span[1] else 0
        self._head = head
        self._position = 0
        self._piece: memoryview = memoryview(head)
        self._piece_start = 0
        self._ahead: deque[tuple[int, int, Future[bytes]]] = deque()
        self._next = len(head)  # where the next request begins
        self._step = SMALL_BYTES
        self._gone = threading.Event()
        self._failure: tuple[str, str] | None = None

    def readable(self) -> bool:
        """Tell True."""
        return True

    def seekable(self) -> bool:
        """Tell True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to another position; nothing is read."""
        base = (0, self._position, self._size)[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; fewer bytes only at the end of the object, and before a failure."""
        view = memoryview(buffer).cast("B")[: max(0, self._size - self._position)]
        length = 0
        try:
            while length < len(view):
                self._turn_to(self._position)
                at = self._position - self._piece_start
                piece = self._piece[at : at + len(view) - length]
                view[length : length + len(piece)] = piece
                length += len(piece)
                self._position += len(piece)
        except StoreError as error:
            self._failure = error.kind, error.detail
            if not length:
                raise
        return length

    def _turn_to(self, position: int) -> None:
        """Make the piece that holds a position the present one."""
        if self._failure is not None:  # it was tried long enough
            raise StoreError(*self._failure)
        if self._piece_start <= position < self._piece_start + len(self._piece):
            return
        if position < len(self._head):
            self._piece, self._piece_start = memoryview(self._head), 0
            return
        while self._ahead and not self._ahead[0][0] <= position < self._ahead[0][1]:
            self._ahead.popleft()[2].cancel()
        if not self._ahead:
            if position != self._next:
                self._next, self._step = position, SMALL_BYTES
            self._ask()
        start, _, answer = self._ahead.popleft()
        # Before waiting: the reader will be busy with this piece while those come.
        self._ask_ahead()
        self._piece, self._piece_start = memoryview(b""), start
        failure = answer.exception()
        if isinstance(failure, StoreError):
            # A new one: the other lives on with the answer, and its traceback would hold on to
            # the caller's buffer, which may then not be resized.
            raise StoreError(failure.kind, failure.detail)
        self._piece = memoryview(answer.result())

    def _ask_ahead(self) -> None:
        while len(self._ahead) < REQUESTS_AHEAD - 1 and self._next < self._size:
            in_span = self._span[0] <= self._next < self._span[1]
            if not in_span and (self._span[1] or self._step < request_bytes()):
                return
            self._ask()

    def _ask(self) -> None:
        """Ask for the next range."""
        start, full = self._next, request_bytes()
        if self._span[0] <= start < self._span[1]:
            stop = _next_stop(start, self._span[1], full)
        else:
            stop = min(self._size, start + self._step)
            self._step = min(full, 4 * self._step)
        self._ahead.append(
            (start, stop, pool().submit(self._fetch, self._way, start, stop, self._gone.wait))
        )
        self._next = stop

    def close(self) -> None:
        """Give up what is under way."""
        if not self.closed:
            self._gone.set()
            for _, _, answer in self._ahead:
                answer.cancel()
            self._ahead.clear()
            self._way.close()
        super().close()
