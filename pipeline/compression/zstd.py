"""Zstandard: frames of blocks (RFC 8878).

``stream_reader`` of python-zstandard takes the end of the file for the end of the frame, and
``decompress`` stops after the first frame (0.25). So frames and blocks are walked here, by their
headers, and the library only decodes what it is handed: one block at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, cast

from pipeline.compression.base import Codec, PlainReader
from pipeline.compression.frames import FramesReader, Lookahead
from pipeline.compression.salvage import Tape
from pipeline.compression.zstd_cuts import find_frame_cuts
from pipeline.compression.zstd_headers import (
    BLOCK_HEADER_BYTES,
    CHECKSUM_BYTES,
    MAGIC,
    MAGIC_BYTES,
    MAX_BLOCK_BYTES,
    MAX_FRAME_HEADER_BYTES,
    SKIPPABLE_HEADER_BYTES,
    FrameHeader,
    begins_like_frame,
    block_header,
    frame_header,
    skippable_bytes,
)

if TYPE_CHECKING:
    from zstandard import ZstdDecompressionReader

    from pipeline.model import Cut

#: ``zstd --long=31``. The library allocates a window when a frame begins, but the system hands
#: out the memory only as plain bytes are written to it, so a lying header costs nothing.
MAX_WINDOW_BYTES = 1 << 31


class ZstdCodec(Codec):
    """Zstandard frames, skippable frames among them; cuts are the begins of frames."""

    name = "zstd"

    def matches(self, head: bytes) -> bool:
        """Tell whether the head is that of a frame, maybe after skippable frames."""
        at = 0
        while (length := skippable_bytes(head[at : at + 8])) is not None:
            at += length
        header = frame_header(head[at : at + MAX_FRAME_HEADER_BYTES])
        if header is None:
            # lz4 has the same skippable frames. If none but these are in sight, it is ours.
            return at > 0 and at >= len(head)
        block = head[at + header.header_bytes :][:BLOCK_HEADER_BYTES]
        return len(block) < BLOCK_HEADER_BYTES or block_header(block) is not None

    def open(
        self, stored: BinaryIO, size: int | None, start: Cut | None = None, stop: Cut | None = None
    ) -> PlainReader:
        """Return a reader of the plain bytes from ``start`` on; see `Codec.open`."""
        return _ZstdReader(_tape(stored, size, start), start, stop)

    def find_cuts(self, stored: BinaryIO, size: int, target_bytes: int) -> list[Cut]:
        """Return begins of frames, about ``target_bytes`` apart; see `Codec.find_cuts`."""
        return find_frame_cuts(stored, size, target_bytes)


def _tape(stored: BinaryIO, size: int | None, start: Cut | None) -> Tape:
    return Tape(stored, size, start.position if start else None, remembers=False)


class _FramePieces:
    """The stored bytes of one frame for the library's reader, one header or block a call.

    Attributes
    ----------
    trouble : str
        Why its blocks can't be followed to its end; empty where the file just ends before.
    """

    def __init__(self, stored: Lookahead, header: FrameHeader) -> None:
        self._stored = stored
        self._n_header = header.header_bytes
        self._n_checksum = CHECKSUM_BYTES if header.has_checksum else 0
        self._is_last = False
        self._is_cut = False
        self.trouble = ""

    @property
    def has_ended(self) -> bool:
        """The frame was handed out to its end."""
        return self._is_last and not self._n_checksum and not self._is_cut

    def read(self, n: int) -> memoryview | bytes:
        """Return the next piece, b"" when the frame or the file has ended."""
        del n  # a block at a time: an error of the library then costs that block alone
        length = self._next_bytes()
        if not length:
            return b""
        piece = self._stored.take(length)
        self._is_cut = len(piece) < length
        return piece

    def _next_bytes(self) -> int:
        """Return the length of the header, block or checksum that comes next, 0 for none."""
        if self._n_header:
            length, self._n_header = self._n_header, 0
        elif self._is_last:
            # The checksum goes alone: if it is wrong, the last block isn't thrown away with it.
            length, self._n_checksum = self._n_checksum, 0
        else:
            length = self._next_block_bytes()
        return length

    def _next_block_bytes(self) -> int:
        head = self._stored.peek(BLOCK_HEADER_BYTES)
        if len(head) < BLOCK_HEADER_BYTES:
            self._is_cut = True
            return 0
        block = block_header(head)
        if block is None:
            self.trouble = "no block can have this header"
            return 0
        self._is_last = block.is_last
        return BLOCK_HEADER_BYTES + block.stored_bytes


class _ZstdReader(FramesReader):
    def __init__(self, tape: Tape, start: Cut | None, stop: Cut | None) -> None:
        import zstandard

        super().__init__(tape, start, stop)
        self._error = zstandard.ZstdError
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
        self._decoder: ZstdDecompressionReader
        self._pieces: _FramePieces
        self._scratch = bytearray()
        self._pending = memoryview(b"")

    def _next_frame(self) -> bool:
        head = self._stored.peek(MAX_FRAME_HEADER_BYTES)
        header = frame_header(head)
        if header is None:
            self._skip_frame(head)
            return False
        if header.header_bytes > len(head):
            raise self.ends_early("the head of a frame")
        if header.dictionary:
            raise self.damage("corrupt", f"it was written with dictionary {header.dictionary}")
        self._pieces = _FramePieces(self._stored, header)
        source = cast("BinaryIO", self._pieces)  # the library calls nothing but read
        self._decoder = self._decompressor.stream_reader(source, closefd=False)
        return True

    def _skip_frame(self, head: memoryview) -> None:
        length = skippable_bytes(head)
        if length is not None:
            if not self._stored.skip(length):
                raise self.ends_early("a skippable frame")
        elif head[:MAGIC_BYTES] == MAGIC:
            raise self.damage("corrupt", "the header of the frame uses a reserved bit")
        elif len(head) < SKIPPABLE_HEADER_BYTES and begins_like_frame(head):
            raise self.ends_early("the head of a frame")
        else:
            raise self.damage("trailing garbage", "no zstd frame begins here")

    def _fill(self, buffer: memoryview) -> int:
        if not self._pending:
            if len(buffer) >= MAX_BLOCK_BYTES:
                return self._decode_block(buffer)
            # The library forgets what it still has to deliver when the file ends (0.25), so it
            # always gets room for a whole block.
            if not self._scratch:
                self._scratch = bytearray(MAX_BLOCK_BYTES)
            scratch = memoryview(self._scratch)
            self._pending = scratch[: self._decode_block(scratch)]
        length = min(len(buffer), len(self._pending))
        buffer[:length] = self._pending[:length]
        self._pending = self._pending[length:]
        return length

    def _decode_block(self, buffer: memoryview) -> int:
        try:
            # Not readinto: that goes on to the next block, and forgets this one if that is bad.
            length = self._decoder.readinto1(buffer)
        except self._error as error:
            raise self.damage("corrupt", str(error)) from error
        if not length and not self._pieces.has_ended:
            if self._pieces.trouble:
                raise self.damage("corrupt", self._pieces.trouble)
            raise self.ends_early("a frame")
        return length
