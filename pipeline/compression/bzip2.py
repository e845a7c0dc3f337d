"""bzip2: streams of blocks that begin at any bit.

A file is streams, one after the other. A stream is ``BZh1`` … ``BZh9``, blocks, an end mark with a
combined CRC, and zero bits up to a whole byte. A block begins with a magic of 48 bits and its CRC
and holds at most 900 kB before run-length coding, 46 MB of plain bytes at the worst ratio. Reading
from the begin and from a cut is the same walk from block to block, only that behind a cut the bits
are shifted to whole bytes.

A block delivers all of its plain bytes or, when its CRC is wrong or its end is missing, none: the
bytes of a block are sorted, so a part of one is no text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from pipeline.compression.base import Codec, PlainReader
from pipeline.compression.bzip2_blocks import (
    BLOCK,
    END,
    HEADER,
    MAGIC_BITS,
    MAX_BLOCK_BYTES,
    Bits,
    Decoder,
    read_block,
)
from pipeline.compression.salvage import Tape
from pipeline.errors import DamageError
from pipeline.model import Cut

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Magics without a sound block behind them that are passed over in the search for a cut.
_MAX_TRIES = 8


class _Bzip2Reader(PlainReader):
    """Blocks, one by one, from the begin of the file or a cut on."""

    def __init__(
        self, stored: BinaryIO, size: int | None, start: Cut | None, stop: Cut | None
    ) -> None:
        self._tape = Tape(stored, size, start.stored_offset if start else None, remembers=False)
        self._bits = Bits(self._tape)
        self._position = start.position if start else 0
        self._stop = stop.position if stop else None
        self._plain_offset = start.plain_offset if start else 0
        self._blocks = self._read_streams(starts_inside=start is not None)
        self._pieces: list[bytes] = []
        self._n_taken = 0
        self._damage: DamageError | None = None
        self.at_stop = False
        self.stored_offset = self._tape.offset

    def readinto(self, buffer: memoryview) -> int:
        """Fill the begin of a buffer; see `PlainReader.readinto`."""
        while not self._pieces:
            if self._meets_stop() or not self._fill():
                return 0
        piece = self._pieces[0]
        length = min(len(buffer), len(piece) - self._n_taken)
        buffer[:length] = memoryview(piece)[self._n_taken : self._n_taken + length]
        self._n_taken += length
        if self._n_taken == len(piece):
            self._n_taken = 0
            del self._pieces[0]
        if self._plain_offset is not None:
            self._plain_offset += length
        return length

    def close(self) -> None:
        """Close the stored file."""
        self._tape.close()

    def _meets_stop(self) -> bool:
        if self._stop is None or self.at_stop or self._position < self._stop:
            return False
        if self._position > self._stop:
            # Whoever made the file hid a block inside another. What follows the stop was read
            # wrong, so say it here: nothing counts after the first damage of a file.
            detail = "a block begins inside another one"
            raise DamageError("corrupt", self._stop // 8, self._plain_offset, detail)
        self.at_stop = True
        return True

    def _fill(self) -> bool:
        """Get the plain bytes of the next block; False at the end of the file."""
        if self._damage is None:
            try:
                pieces = next(self._blocks, None)
                if pieces is None and self._bits.failure is not None:
                    raise self._bits.failure
            except DamageError as damage:
                is_end = damage.kind == "truncated"
                self._damage = (self._bits.failure if is_end else None) or damage
            else:
                self.at_stop = self.at_stop or pieces is None
                self._pieces = pieces or []
                self.stored_offset = (self._position + 7) // 8
                return pieces is not None
        kind, stored_offset, _, detail = self._damage.args
        raise DamageError(kind, stored_offset, self._plain_offset, detail)

    def _read_streams(self, *, starts_inside: bool) -> Iterator[list[bytes]]:
        """Yield the pieces of each block, and an empty list where a stream begins."""
        wrong_sum = None
        decoder = Decoder(self._bits)
        is_whole = not starts_inside
        kind = "corrupt"
        while starts_inside or self._enter_stream(kind):
            yield []
            combined = 0
            while self._magic() == BLOCK:
                block = read_block(self._bits, self._position, decoder)
                combined = (combined << 1 & 0xFFFFFFFF | combined >> 31) ^ block.crc
                self._position = block.stop
                yield block.pieces
            stated = self._leave_stream()
            if is_whole and stated != combined and wrong_sum is None:
                wrong_sum = self._position // 8 - 4
            kind = "trailing garbage"
            starts_inside, is_whole = False, True
        if wrong_sum is not None:
            # Every block was right by its own CRC, so its text counts, and that of the streams
            # behind as well: a reader that began inside the stream could not know better.
            raise DamageError("corrupt", wrong_sum, None, "the combined CRC of a stream is wrong")

    def _enter_stream(self, kind: str) -> bool:
        """Step over the header of a stream; False at the end of the file."""
        head = self._bits.take(self._position, 4)
        at = self._position // 8
        if not head:
            return False
        if not b"BZh".startswith(head[:3]) or (head[3:] and not b"1" <= head[3:] <= b"9"):
            raise DamageError(kind, at, None, "not the header of a bzip2 stream")
        if len(head) < 4:
            raise DamageError("truncated", at, None, "the file ends inside a stream's header")
        self._position += 32
        return True

    def _magic(self) -> int:
        self._bits.forget(self._position)
        magic = self._bits.number(self._position, MAGIC_BITS)
        at = self._position // 8
        if magic is None:
            raise DamageError("truncated", at, None, "the file ends inside a stream")
        if magic not in (BLOCK, END):
            raise DamageError("corrupt", at, None, "neither a block nor the end of the stream")
        return magic

    def _leave_stream(self) -> int:
        """Step over the end mark of a stream; return the combined CRC it states."""
        stated = self._bits.number(self._position + MAGIC_BITS, 32)
        if stated is None:
            at = self._position // 8
            raise DamageError("truncated", at, None, "the file ends inside a stream's end mark")
        self._position = (self._position + MAGIC_BITS + 32 + 7) // 8 * 8
        return stated


class Bzip2Codec(Codec):
    """bzip2, any number of streams; cut at its blocks."""

    name = "bzip2"

    def matches(self, head: bytes) -> bool:
        """Tell by the header of a stream and the magic behind it, as far as the head goes."""
        if len(head) <= len(HEADER) or head[:3] != b"BZh" or not b"1" <= head[3:4] <= b"9":
            return False
        magic = head[4:10]
        return any(m.to_bytes(6, "big").startswith(magic) for m in (BLOCK, END))

    def open(
        self, stored: BinaryIO, size: int | None, start: Cut | None = None, stop: Cut | None = None
    ) -> PlainReader:
        """Return a reader that decodes block by block, and checks each."""
        return _Bzip2Reader(stored, size, start, stop)

    def find_cuts(self, stored: BinaryIO, size: int, target_bytes: int) -> list[Cut]:
        """Return the first block behind each multiple of ``target_bytes`` that can be decoded.

        Plain offsets are unknown: nothing in the file tells them.
        """
        cuts: list[Cut] = []
        wanted = target_bytes
        while wanted < size:
            position = _find_block(stored, size, wanted)
            if position is None:
                break
            cuts.append(Cut(position, position // 8, None))
            wanted = max(wanted, position // 8) + target_bytes
        return cuts


def _find_block(stored: BinaryIO, size: int, wanted: int) -> int | None:
    """Return the bit at which a sound block begins, soon after a stored offset."""
    try:
        bits = Bits(Tape(stored, size, wanted))
        limit = 8 * (wanted + MAX_BLOCK_BYTES)
        # Not the first block of the file: that is its begin.
        position = bits.find(BLOCK, max(8 * wanted, 8 * len(HEADER) + 1), limit)
        for _ in range(_MAX_TRIES):
            if position is None:
                return None
            if _is_sound(bits, position):
                return position
            position = bits.find(BLOCK, position + 1, limit)
    except DamageError:
        pass
    return None


def _is_sound(bits: Bits, position: int) -> bool:
    try:
        read_block(bits, position, Decoder(bits))
    except DamageError:
        return False
    return True
