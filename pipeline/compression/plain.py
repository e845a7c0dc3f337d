"""No compression: stored bytes are plain bytes, and decoding can begin anywhere."""

from __future__ import annotations

from typing import BinaryIO

from pipeline.compression.base import Codec, PlainReader
from pipeline.compression.salvage import Tape
from pipeline.errors import DamageError
from pipeline.model import Cut


class PlainCodec(Codec):
    """Files that are text as they lie there."""

    name = "plain"

    def matches(self, head: bytes) -> bool:
        """Tell True: what nobody else knows is plain."""
        del head
        return True

    def open(
        self, stored: BinaryIO, size: int | None, start: Cut | None = None, stop: Cut | None = None
    ) -> PlainReader:
        """Return a reader of the bytes from ``start`` on; see `Codec.open`."""
        tape = Tape(stored, size, start.position if start else None, remembers=False)
        return _PlainReader(tape, size, stop.position if stop else None)

    def find_cuts(self, stored: BinaryIO, size: int, target_bytes: int) -> list[Cut]:
        """Return the multiples of ``target_bytes``; the last piece may be half as long again."""
        del stored
        n_cuts = (2 * size - target_bytes - 1) // (2 * target_bytes)
        offsets = range(target_bytes, target_bytes * n_cuts + 1, target_bytes)
        return [Cut(offset, offset, offset) for offset in offsets]


class _PlainReader(PlainReader):
    def __init__(self, tape: Tape, size: int | None, stop: int | None) -> None:
        self._tape = tape
        self._size = size
        self._stop = stop
        self._damage: DamageError | None = None
        self.at_stop = False
        self.stored_offset = tape.offset

    def readinto(self, buffer: memoryview) -> int:
        """Read straight into the buffer; see `PlainReader.readinto`."""
        if self._damage is not None:
            raise DamageError(*self._damage.args)
        if self._stop is not None:
            buffer = buffer[: max(0, self._stop - self.stored_offset)]
            if not buffer:
                self._stop = None
                self.at_stop = True
                return 0
        try:
            return self._read(buffer)
        except DamageError as damage:
            self._damage = damage
            raise

    def _read(self, buffer: memoryview) -> int:
        offset = self.stored_offset
        try:
            length = self._tape.readinto(buffer)
        except DamageError as damage:
            raise DamageError(damage.kind, offset, offset, damage.detail) from damage
        self.stored_offset += length
        if not length:
            if self._size is not None and offset < self._size:
                detail = f"the file has become shorter than the {self._size:,} bytes it had"
                raise DamageError("truncated", offset, offset, detail)
            self.at_stop = True
        return length

    def close(self) -> None:
        """Close the file."""
        self._tape.close()
