"""Readers of formats that are frames of blocks, each with its length written before it.

Such a decoder is fed one block at a time. What it throws away on an error is then the damaged
block alone, whatever the size of the caller's buffer, and whether a frame has ended is known from
its own headers, not from a library that may take the end of the file for the end of the frame.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from pipeline.compression.base import PlainReader
from pipeline.errors import DamageError

if TYPE_CHECKING:
    from pipeline.compression.salvage import Tape
    from pipeline.model import Cut

_CHUNK_BYTES = 256 << 10


class Lookahead:
    """Stored bytes that can be looked at before they are taken.

    Attributes
    ----------
    offset : int
        Stored bytes taken so far, an offset from the begin of the file.
    failure : DamageError or None
        What the store said when it failed; from there on it looks as if the file ended.
    """

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._buffer = bytearray(_CHUNK_BYTES)
        self._start = self._stop = 0
        self.offset = tape.offset
        self.failure: DamageError | None = None

    def peek(self, n: int) -> memoryview:
        """Return the next ``n`` stored bytes, fewer only at the end; valid until the next call."""
        if self._stop - self._start < n:
            self._load(n)
        return memoryview(self._buffer)[self._start : min(self._start + n, self._stop)]

    def take(self, n: int) -> memoryview:
        """Return what `peek` would and count it as taken."""
        piece = self.peek(n)
        self._start += len(piece)
        self.offset += len(piece)
        return piece

    def skip(self, n: int) -> bool:
        """Take ``n`` stored bytes without keeping them; False when the file ends before."""
        while n and (piece := self.take(min(n, _CHUNK_BYTES))):
            n -= len(piece)
        return n == 0

    def _load(self, n: int) -> None:
        """Read on until ``n`` bytes are there or the file ends."""
        n_kept = self._stop - self._start
        kept = memoryview(self._buffer)[self._start : self._stop]
        # A new buffer, when it must grow: views of the old one may still be out.
        buffer = self._buffer if n <= len(self._buffer) else bytearray(n)
        memoryview(buffer)[:n_kept] = kept
        self._buffer, self._start, self._stop = buffer, 0, n_kept
        view = memoryview(buffer)
        while self._stop < n and self.failure is None:
            try:
                length = self._tape.readinto(view[self._stop :])
            except DamageError as failure:
                self.failure = failure
                return
            if not length:
                return
            self._stop += length

    def close(self) -> None:
        """Close the source file."""
        self._tape.close()


class FramesReader(PlainReader):
    """The part of a plain reader that is the same for all formats of frames."""

    def __init__(self, tape: Tape, start: Cut | None, stop: Cut | None) -> None:
        self._stored = Lookahead(tape)
        self._stop = stop.position if stop else None
        self._start_plain = start.plain_offset if start else 0
        self._n_delivered = 0
        self._frame = self._stored.offset  # stored offset of the frame that is being read
        self._in_frame = False
        self._damage: DamageError | None = None
        self.at_stop = False
        self.stored_offset = self._frame

    def readinto(self, buffer: memoryview) -> int:
        """Fill the begin of a buffer; see `PlainReader.readinto`."""
        if self._damage is not None:
            raise DamageError(*self._damage.args)
        length = 0
        try:
            while length < len(buffer) and (self._in_frame or self._begin()):
                n = self._fill(buffer[length:])
                self._in_frame = n > 0
                length += n
                self._n_delivered += n
        except DamageError as damage:
            self._damage = damage
            if not length:
                raise
        finally:
            self.stored_offset = self._stored.offset
        return length

    def _begin(self) -> bool:
        """Begin the next frame; False at the end of the file and, once, at the stop."""
        while True:
            self._frame = self._stored.offset
            if self._stop is not None and self._frame >= self._stop:
                self._stop = None
                self.at_stop = True
                return False
            if not self._stored.peek(1):
                break
            if self._next_frame():
                self._in_frame = True
                return True
        if self._stored.failure is not None:
            raise self.damage("unreadable")
        self.at_stop = True
        return False

    def damage(self, kind: str, detail: str = "") -> DamageError:
        """Return the error for damage in the frame that is being read."""
        plain = None if self._start_plain is None else self._start_plain + self._n_delivered
        failure = self._stored.failure
        if kind == "unreadable" and failure is not None:
            return DamageError(failure.kind, failure.stored_offset, plain, failure.detail)
        return DamageError(kind, self._frame, plain, detail)

    def ends_early(self, what: str) -> DamageError:
        """Return the error for a file that ends inside a frame, or could not be read there."""
        if self._stored.failure is not None:
            return self.damage("unreadable")
        return self.damage("truncated", f"the file ends inside {what}")

    @abstractmethod
    def _next_frame(self) -> bool:
        """Begin the frame whose first byte is the next; False after skipping one without text."""

    @abstractmethod
    def _fill(self, buffer: memoryview) -> int:
        """Deliver plain bytes of the frame, at least one; 0 when it has ended and was checked."""

    def close(self) -> None:
        """Close the stored file."""
        self._stored.close()
