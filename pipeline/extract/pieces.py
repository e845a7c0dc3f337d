"""Sorted text that waits for its turn to be written: in memory, or in a spool where it is much."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from pipeline.kernels.route import NEVER
from pipeline.memory import zeros

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

#: What all splits together keep in memory; the rest goes into spools.
MEMORY_BYTES = 64 << 20
_COPY_BYTES = 1 << 20

#: What a line's group is called by: a value for each of the columns.
Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines of one group.

    Attributes
    ----------
    text : memoryview or None
        None: it lies in the spool.
    plain_bytes : int or None
        Of the text that is compressed in it; None: it is the text itself.
    """

    text: memoryview | None
    spool: BinaryIO | None = None
    offset: int = 0
    size: int = 0
    plain_bytes: int | None = None

    def part(self, start: int, stop: int) -> Piece:
        """Return a part of a text."""
        text = None if self.text is None else self.text[start:stop]
        return Piece(text, self.spool, self.offset + start, stop - start)

    def read(self) -> Iterator[memoryview]:
        """Yield it, a text in parts."""
        if self.text is not None:
            yield self.text
            return
        assert self.spool is not None
        if self.plain_bytes is not None:
            yield memoryview(os.pread(self.spool.fileno(), self.size, self.offset))
            return
        offset, end = self.offset, self.offset + self.size
        while offset < end:
            data = os.pread(self.spool.fileno(), min(end - offset, _COPY_BYTES), offset)
            yield memoryview(data)
            offset += len(data)


@dataclass(slots=True)
class Group:
    """What one split has of a group: its pieces, how many lines, the newest time in µs."""

    pieces: list[Piece] = field(default_factory=list)
    lines: int = 0
    newest: int = NEVER


class Room:
    """Memory for what waits, shared by all threads."""

    def __init__(self) -> None:
        self._left = MEMORY_BYTES
        self._lock = threading.Lock()

    def take(self, n_bytes: int) -> bool:
        """Tell whether there is room for so much; it is taken then."""
        with self._lock:
            has_room = n_bytes <= self._left
            self._left -= n_bytes if has_room else 0
        return has_room

    def give_back(self, piece: Piece) -> None:
        """Forget a piece."""
        with self._lock:
            self._left += 0 if piece.text is None else len(piece.text)


class Spool:
    """Keeps text; what there is no room for goes into a nameless temporary file."""

    def __init__(self, folder: Path, room: Room) -> None:
        self._folder = folder
        self._room = room
        self._file: BinaryIO | None = None
        self._size = 0

    def keep(self, text: bytes | memoryview, plain_bytes: int | None = None) -> Piece:
        """Return a copy of a text, or of what it was compressed into."""
        if self._room.take(len(text)):
            held = memoryview(zeros(len(text)))[: len(text)]
            held[:] = text
            return Piece(held, plain_bytes=plain_bytes)
        if self._file is None:
            self._file = TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115
        offset, view = self._size, memoryview(text)
        while view:
            n = self._file.write(view)
            view = view[n:]
            self._size += n
        return Piece(None, self._file, offset, len(text), plain_bytes)

    def close(self) -> None:
        """Give its place on the disk back."""
        if self._file is not None:
            self._file.close()
