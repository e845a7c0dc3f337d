"""Stored bytes that can be read again, and plain bytes that a decoder lost with its error.

Most decoders throw away the output of the very call in which they meet damage, so how much of a
file they deliver depends on the size of the buffer. A codec with such a decoder reads its stored
bytes from a `Tape` and, on an error, goes on with a `Salvage`:

    tape = Tape(stored, size)
    tape.mark()                     # a unit (member, stream, block) begins here
    ...                             # decode, count the plain bytes delivered of this unit
    except zlib.error:
        if not tape.rewind():       # a pipe, and the unit was too long to remember
            raise DamageError("corrupt", ...)
        salvage = Salvage(begin_unit(tape), n_delivered)
    ...                             # from now on, return salvage.readinto(buffer)

The begin is decoded again in large steps, what was delivered is skipped, and the rest is decoded
in steps of one byte until the error comes again: the longest good prefix, whatever the buffers
were. It costs one more pass over the damaged unit, and nothing for a sound file. Keep the largest
step of the fast path at `STEP_BYTES`, since that many single bytes may have to be decoded.
"""

from __future__ import annotations

import tempfile
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol

from pipeline.errors import DamageError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

#: Largest output of one call of a decoder that loses it on an error.
STEP_BYTES = 1 << 20

#: Stored bytes of one unit that a `Tape` remembers of a pipe, in a temporary file.
REMEMBERED_BYTES = 256 << 20
_REMEMBERED_IN_MEMORY = 4 << 20


class _HasReadinto(Protocol):
    def readinto(self, buffer: memoryview, /) -> int | None: ...


class Tape:
    """Stored bytes of a source file up to its size at planning, with one place to go back to.

    Parameters
    ----------
    stored : BinaryIO
        The source file. Closed by `close`.
    size : int or None
        Stored bytes that count, from the begin of the file; None: to the end.
    offset : int or None, default None
        Stored offset to seek to and begin at. None: begin where ``stored`` stands, without
        seeking, and count that as offset 0.
    remembers : bool, default True
        On a pipe, copy what is read after a `mark`, so that `rewind` works. Decoders that lose
        nothing don't need it.

    Attributes
    ----------
    offset : int
        Stored bytes taken in so far.
    """

    def __init__(
        self,
        stored: BinaryIO,
        size: int | None,
        offset: int | None = None,
        *,
        remembers: bool = True,
    ) -> None:
        self._stored = stored
        self._size = size
        self._seekable = stored.seekable()
        self._base = 0
        if offset is not None:
            stored.seek(offset)
        elif self._seekable:
            self._base = stored.tell()
        self._remembers = remembers and not self._seekable
        self._memory: IO[bytes] | None = None
        self._n_remembered = 0
        self._replay: IO[bytes] | None = None
        self._mark = 0
        self.offset = offset or 0

    def read(self, n: int) -> bytes:
        """Return up to ``n`` stored bytes, fewer at any time, b"" at the end of what counts.

        Raises
        ------
        DamageError
            Kind ``unreadable``, with no plain offset, when the store fails.
        """
        buffer = bytearray(n)
        length = self.readinto(memoryview(buffer))
        return bytes(buffer) if length == n else bytes(memoryview(buffer)[:length])

    def readinto(self, buffer: memoryview) -> int:
        """Fill the begin of ``buffer``; otherwise like `read`."""
        if self._size is not None:
            buffer = buffer[: max(0, self._size - self.offset)]
        if not len(buffer):
            return 0
        length = self._take(buffer)
        self.offset += length
        return length

    def _take(self, buffer: memoryview) -> int:
        if self._replay is not None:
            length = _fill(self._replay, buffer)
            if length:
                return length
            self._replay.close()
            self._replay = None
        try:
            length = _fill(self._stored, buffer)
        except OSError as error:
            kind = error.kind if isinstance(error, StoreError) else "unreadable"
            raise DamageError(kind, self.offset, None, str(error)) from error
        if self._memory is not None:
            self._remember(buffer[:length])
        return length

    def _remember(self, piece: memoryview) -> None:
        self._n_remembered += len(piece)
        if self._memory is None:
            return
        if self._n_remembered > REMEMBERED_BYTES:
            self._forget()
        else:
            self._memory.write(piece)

    def _forget(self) -> None:
        if self._memory is not None:
            self._memory.close()
        self._memory = None

    def mark(self, n_back: int = 0) -> None:
        """Make the place ``n_back`` stored bytes before `offset` the one to go back to.

        On a pipe there is no going back to it before this call: ``n_back`` must be 0 there, or
        lie after the last mark.
        """
        target = self.offset - n_back
        if self._remembers:
            kept = self._recall(target)
            self._forget()
            self._n_remembered = 0
            if kept is not None:
                self._memory = tempfile.SpooledTemporaryFile(_REMEMBERED_IN_MEMORY)  # noqa: SIM115
                self._remember(memoryview(kept))
        self._mark = target

    def _recall(self, start: int) -> bytes | None:
        """Return the stored bytes of a pipe from ``start`` on, None when they are forgotten."""
        if start == self.offset:
            return b""
        if self._memory is None:
            return None
        self._memory.seek(start - self._mark)
        return self._memory.read()

    def rewind(self) -> bool:
        """Go back to the mark; False when the bytes of a pipe since then are forgotten."""
        if self._seekable:
            self._stored.seek(self._base + self._mark)
        elif self._memory is None:
            return False
        else:
            self._memory.seek(0)
            # Only once: the damaged unit is the last that is read of a file.
            self._replay, self._memory = self._memory, None
            self._remembers = False
        self.offset = self._mark
        return True

    def close(self) -> None:
        """Close the source file and what was remembered of it."""
        self._forget()
        if self._replay is not None:
            self._replay.close()
        self._stored.close()


def _fill(file: _HasReadinto | IO[bytes], buffer: memoryview) -> int:
    # Raw files, buffered files and what fsspec opens all know readinto; a pipe that is not
    # blocking answers None, which nothing here asks for.
    readinto = getattr(file, "readinto", None)
    if readinto is not None:
        return int(readinto(buffer) or 0)
    piece: bytes = file.read(len(buffer))  # type: ignore[union-attr]
    buffer[: len(piece)] = piece
    return len(piece)


class Salvage:
    """The plain bytes of a damaged unit after those that were delivered.

    Parameters
    ----------
    step : callable
        Decodes the unit from its begin: ``step(n)`` returns at most ``n`` plain bytes, b"" at the
        end of the unit, and raises `DamageError` at the damage. It reads more stored bytes as it
        needs them and says ``truncated`` when there are none.
    n_delivered : int
        Plain bytes of the unit that were delivered before.

    Notes
    -----
    ``step`` must give up to ``n`` bytes whenever it can; it may give fewer, but never b"" before
    the end. `readinto` returns 0 if the unit ends without the error, so the caller must be ready
    to go on after it (a disk that read wrong once).
    """

    def __init__(self, step: Callable[[int], bytes], n_delivered: int) -> None:
        self._step = step
        self._to_skip = n_delivered
        self._damage: DamageError | None = None

    def readinto(self, buffer: memoryview) -> int:
        """Deliver what follows; raise the `DamageError` once all before it is delivered."""
        if self._damage is None:
            length = 0
            try:
                self._skip()
                while length < len(buffer) and (byte := self._step(1)):
                    buffer[length : length + 1] = byte
                    length += 1
            except DamageError as damage:
                self._damage = damage
            if length or self._damage is None:
                return length
        raise DamageError(*self._damage.args)

    def _skip(self) -> None:
        while self._to_skip:
            piece = self._step(min(self._to_skip, STEP_BYTES))
            if not piece:
                return
            self._to_skip -= len(piece)
