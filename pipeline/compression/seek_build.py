"""Make a seek index while a gzip file is read for the first time.

Two go through the file. A walk (`pipeline.kernels.deflate`) finds where deflate blocks begin, on a
thread of its own and one piece of stored bytes ahead; so when the reader decodes a piece it knows
the plain offsets of all seek points in it, stops its calls there, and the builder keeps the last
32 KiB. Both note where every member ends. Should they ever differ, there is no index.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pipeline.compression.gzip_members import (
    TRAILER_BYTES,
    HeaderError,
    header_length,
    read_piece,
)
from pipeline.compression.seek_index import (
    FAR,
    WINDOW_BYTES,
    SeekIndex,
    SeekPoint,
    pack_window,
)
from pipeline.errors import DamageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future, ThreadPoolExecutor

    from pipeline.compression.salvage import Tape

#: Wanted plain bytes between two seek points.
SPACING_BYTES = 16 << 20

#: Large, since each piece costs a turn of two threads; at a ratio of 8 it gives 4 MiB.
_PIECE_BYTES = 512 << 10

_HEADER_STEP_BYTES = 512

_Points = list[tuple[int, int]]


class _Members:
    """A running digest of where members end."""

    def __init__(self) -> None:
        self._value = 0

    def add(self, stored_offset: int, plain_offset: int) -> None:
        self._value = hash((self._value, stored_offset, plain_offset))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Members) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


class _FileWalk:
    """A walk through the members of a file that comes in pieces."""

    def __init__(self, spacing: int) -> None:
        from pipeline.kernels.deflate import Walker

        self.members = _Members()
        self._walker = Walker(spacing)
        self._take: Callable[[memoryview], int] = self._take_header
        self._offset = 0  # stored bytes taken
        self._head = b""
        self._points: _Points = []

    def feed(self, piece: bytes | bytearray) -> _Points:
        """Return the seek points in the next stored bytes: bit offset and plain offset.

        Raises
        ------
        HeaderError
            If this is no gzip file.
        """
        self._points = []
        rest = memoryview(piece)
        while rest:
            n = self._take(rest)
            self._offset += n
            rest = rest[n:]
        return self._points

    def _take_header(self, rest: memoryview) -> int:
        step = bytes(rest[:_HEADER_STEP_BYTES])
        if not self._head and self._offset:
            n_padding = len(step) - len(step.lstrip(b"\0"))
            if n_padding:
                return n_padding
        n_before = len(self._head)
        self._head += step
        length = header_length(self._head)
        if length is None:
            return len(step)
        self._head = b""
        n = length - n_before
        self._walker.begin(self._offset + n)
        self._take = self._take_stream
        return n

    def _take_stream(self, rest: memoryview) -> int:
        n, points = self._walker.walk(rest)
        self._points += points
        if self._walker.failed:
            raise HeaderError("no deflate stream")
        if self._walker.done:
            self._take = self._take_trailer
        return n

    def _take_trailer(self, rest: memoryview) -> int:
        step = bytes(rest[: TRAILER_BYTES - len(self._head)])
        self._head += step
        if len(self._head) == TRAILER_BYTES:
            self._head = b""
            self.members.add(self._offset + len(step), self._walker.plain_offset)
            self._take = self._take_header
        return len(step)


class SeekIndexBuilder:
    """Looks on while a file is read from its begin; a `pipeline.compression.gzip.Watch`.

    Parameters
    ----------
    spacing : int
        Wanted plain bytes between two seek points; they lie this far apart, and up to a block more.
    threaded : bool
        Walk on a second thread.
    """

    def __init__(self, spacing: int = SPACING_BYTES, *, threaded: bool = True) -> None:
        from isal import isal_zlib

        self._crc32 = isal_zlib.crc32
        self._walk: _FileWalk | None = _FileWalk(spacing)
        self._threaded = threaded
        self._executor: ThreadPoolExecutor | None = None
        self._ahead: deque[tuple[bytes | bytearray | DamageError, Future[_Points] | None]] = deque()
        self._found: deque[tuple[int, int]] = deque()
        self._points: list[SeekPoint] = []
        self._digests: list[int] = []
        self._digest = 0
        self._plain = 0
        self._recent = b""
        self._members = _Members()
        self._has_ended = False

    @staticmethod
    def is_worthwhile() -> bool:
        """Tell whether the kernel is compiled; without that a build takes hours."""
        from pipeline.kernels import deflate

        return bool(deflate.COMPILED)

    def read_ahead(self, tape: Tape) -> Callable[[], bytes | bytearray]:
        """Return a function that gives the next stored bytes of a tape, walked already.

        It reads one piece ahead, raises what the tape raises in its turn, and gives b"" at the end.
        """

        def read() -> bytes | bytearray:
            while len(self._ahead) < (2 if self._threaded else 1) and self._load(tape):
                pass
            if not self._ahead:
                return b""
            piece, walked = self._ahead.popleft()
            self._collect(walked)
            if isinstance(piece, DamageError):
                raise piece
            return piece

        return read

    def _load(self, tape: Tape) -> bool:
        """Read a piece and have it walked; False at the end of the file."""
        if self._ahead and isinstance(self._ahead[-1][0], DamageError):
            return False
        piece: bytes | bytearray | DamageError
        try:
            piece = read_piece(tape, _PIECE_BYTES)
        except DamageError as damage:
            piece = damage
        if not isinstance(piece, DamageError) and not piece:
            return False
        self._ahead.append((piece, self._submit(piece)))
        return True

    def _submit(self, piece: bytes | bytearray | DamageError) -> Future[_Points] | None:
        if self._walk is None or isinstance(piece, DamageError):
            return None
        if self._threaded:
            return self._get_executor().submit(self._walk.feed, piece)
        from concurrent.futures import Future

        walked: Future[_Points] = Future()
        try:
            walked.set_result(self._walk.feed(piece))
        except HeaderError as error:
            walked.set_exception(error)
        return walked

    def _get_executor(self) -> ThreadPoolExecutor:
        if self._executor is None:
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(1, "seek-index")
        return self._executor

    def _collect(self, walked: Future[_Points] | None) -> None:
        if walked is None:
            return
        try:
            self._found += walked.result()
        except HeaderError:
            self._give_up()

    def _give_up(self) -> None:
        """Let the file be read without an index: its decoder will find out what is wrong."""
        self._walk = None
        self._found.clear()

    def room(self, plain_offset: int) -> int:
        """Return the plain bytes from here to the next seek point."""
        while self._found and self._found[0][1] <= self._plain:
            self._keep(*self._found.popleft())
        return self._found[0][1] - plain_offset if self._found else FAR

    def _keep(self, bit_offset: int, plain_offset: int) -> None:
        if plain_offset != self._plain:
            self._give_up()  # walk and decoder differ
            return
        self._points.append(SeekPoint(bit_offset, plain_offset, pack_window(self._recent)))
        self._digests.append(self._digest)
        self._digest = 0

    def take(self, piece: memoryview) -> None:
        """See the next plain bytes; not beyond what `room` allows."""
        self._digest = self._crc32(piece, self._digest)
        self._plain += len(piece)
        self._recent = (self._recent + bytes(piece[-WINDOW_BYTES:]))[-WINDOW_BYTES:]

    def end_member(self, stored_offset: int, plain_offset: int) -> None:
        """See that a member has ended and was checked."""
        self._members.add(stored_offset, plain_offset)

    def end_file(self, plain_offset: int) -> None:
        """See that the file has ended without damage."""
        self._has_ended = plain_offset == self._plain

    def close(self) -> None:
        """End the thread."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
            self._executor = None

    def finish(self) -> SeekIndex | None:
        """Return the index; None if the file was not read to its end, was damaged or has no points.

        It can be asked for before or after the reader is closed.
        """
        if not self._has_ended or self._walk is None or self._members != self._walk.members:
            return None
        points, digests = self._points, [*self._digests, self._digest]
        if points and points[-1].plain_offset == self._plain:
            points, digests = points[:-1], digests[:-1]
        if not points:
            return None
        return SeekIndex(tuple(points), tuple(digests), self._plain)
