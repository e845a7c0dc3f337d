"""LZ4: frames of blocks, and the legacy format of ``lz4 -l``.

Layout: doc/lz4_Frame_format.md in the lz4 repository. Blocks are walked here and decoded one at a
time, so that an error costs the damaged block alone and a cut file is seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from pipeline.compression.base import Codec, PlainReader
from pipeline.compression.frames import FramesReader
from pipeline.compression.salvage import Tape

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.model import Cut

_MAGIC = b"\x04\x22\x4d\x18"
_LEGACY_MAGIC = b"\x02\x21\x4c\x18"
_SKIPPABLE_TAIL = b"\x2a\x4d\x18"  # after 0x50 to 0x5F
_MAGIC_BYTES = 4
_MAX_HEADER_BYTES = 19

_SIZE_BYTES = 4
_CHECKSUM_BYTES = 4
_UNCOMPRESSED = 1 << 31

_LEGACY_BLOCK_BYTES = 8 << 20
#: What 8 MiB that don't compress take at most; a larger size is the magic number of a next frame.
_MAX_LEGACY_STORED = _LEGACY_BLOCK_BYTES + _LEGACY_BLOCK_BYTES // 255 + 16


class _Header(NamedTuple):
    header_bytes: int
    max_block_bytes: int
    has_block_checksums: bool
    has_content_checksum: bool
    has_dictionary: bool


def _frame_header(head: bytes | memoryview) -> _Header | None:
    """Return the header of the frame that begins here, None where none can."""
    if head[:_MAGIC_BYTES] != _MAGIC:
        return None
    flags, block = (*head[_MAGIC_BYTES : _MAGIC_BYTES + 2], 0x40, 0x40)[:2]
    # Version 01, reserved bits zero, and one of the four block sizes.
    if flags & 0xC2 != 0x40 or block & 0x8F or not block & 0x40:
        return None
    length = _MAGIC_BYTES + 3 + 8 * bool(flags & 0x08) + 4 * (flags & 0x01)
    max_block_bytes = 1 << (8 + 2 * (block >> 4))
    return _Header(
        length, max_block_bytes, bool(flags & 0x10), bool(flags & 0x04), bool(flags & 0x01)
    )


def _skippable_bytes(head: bytes | memoryview) -> int | None:
    if len(head) < 8 or head[0] & 0xF0 != 0x50 or head[1:4] != _SKIPPABLE_TAIL:
        return None
    return 8 + int.from_bytes(head[4:8], "little")


def _begins_like_frame(head: memoryview) -> bool:
    start = bytes(head[:_MAGIC_BYTES])
    if _MAGIC.startswith(start) or _LEGACY_MAGIC.startswith(start):
        return True
    return start[0] & 0xF0 == 0x50 and _SKIPPABLE_TAIL.startswith(start[1:])


class Lz4Codec(Codec):
    """LZ4 frames, skippable and legacy frames among them; decoded from the begin only."""

    name = "lz4"

    def matches(self, head: bytes) -> bool:
        """Tell whether the head is that of a frame, maybe after skippable frames."""
        at = 0
        while (length := _skippable_bytes(head[at : at + 8])) is not None:
            at += length
        if head[at : at + _MAGIC_BYTES] == _LEGACY_MAGIC:
            size = head[at + _MAGIC_BYTES :][:_SIZE_BYTES]
            return 0 < int.from_bytes(size, "little") <= _MAX_LEGACY_STORED or len(size) < 4
        return _frame_header(head[at : at + _MAX_HEADER_BYTES]) is not None

    def open(
        self, stored: BinaryIO, size: int | None, start: Cut | None = None, stop: Cut | None = None
    ) -> PlainReader:
        """Return a reader of the whole file; see `Codec.open`."""
        tape = Tape(stored, size, start.position if start else None, remembers=False)
        return _Lz4Reader(tape, start, stop)


class _Lz4Reader(FramesReader):
    def __init__(self, tape: Tape, start: Cut | None, stop: Cut | None) -> None:
        super().__init__(tape, start, stop)
        self._decode_block: Callable[[], memoryview | None]
        self._decoder: Any
        self._header: _Header
        self._pending = memoryview(b"")

    def _next_frame(self) -> bool:
        head = self._stored.peek(_MAX_HEADER_BYTES)
        header = _frame_header(head)
        if header is not None:
            self._begin_frame(header, len(head))
            return True
        if head[:_MAGIC_BYTES] == _LEGACY_MAGIC:
            self._stored.take(_MAGIC_BYTES)
            if not self._stored.peek(1):
                raise self.ends_early("a legacy frame")
            self._decode_block = self._decode_legacy_block
            return True
        self._skip_frame(head)
        return False

    def _begin_frame(self, header: _Header, n_head: int) -> None:
        from lz4.frame import LZ4FrameDecompressor

        if header.header_bytes > n_head:
            raise self.ends_early("the head of a frame")
        if header.has_dictionary:
            raise self.damage("corrupt", "it was written with a dictionary")
        self._header = header
        self._decoder = LZ4FrameDecompressor()
        self._decode_block = self._decode_frame_block
        self._decode(header.header_bytes)

    def _skip_frame(self, head: memoryview) -> None:
        length = _skippable_bytes(head)
        if length is not None:
            if not self._stored.skip(length):
                raise self.ends_early("a skippable frame")
        elif head[:_MAGIC_BYTES] == _MAGIC:
            raise self.damage("corrupt", "no lz4 frame has this header")
        elif len(head) < 8 and _begins_like_frame(head):
            raise self.ends_early("the head of a frame")
        else:
            raise self.damage("trailing garbage", "no lz4 frame begins here")

    def _fill(self, buffer: memoryview) -> int:
        while not self._pending:
            block = self._decode_block()
            if block is None:
                return 0
            self._pending = block
        length = min(len(buffer), len(self._pending))
        buffer[:length] = self._pending[:length]
        self._pending = self._pending[length:]
        return length

    def _block_size(self) -> int | None:
        """Return the field before a block, None at the end of the file."""
        field = self._stored.peek(_SIZE_BYTES)
        return int.from_bytes(field, "little") if len(field) == _SIZE_BYTES else None

    def _decode_frame_block(self) -> memoryview | None:
        size = self._block_size()
        if size is None:
            raise self.ends_early("a frame")
        if not size:
            # The end mark; the library checks the content's checksum and size with it.
            self._decode(_SIZE_BYTES + _CHECKSUM_BYTES * self._header.has_content_checksum)
            return None
        n_stored = size & ~_UNCOMPRESSED
        if n_stored > self._header.max_block_bytes:
            raise self.damage("corrupt", "a block is longer than its frame allows")
        n_checksum = _CHECKSUM_BYTES * self._header.has_block_checksums
        return memoryview(self._decode(_SIZE_BYTES + n_stored + n_checksum))

    def _decode(self, n: int) -> bytes:
        """Hand the next ``n`` stored bytes to the library."""
        piece = self._stored.take(n)
        if len(piece) < n:
            raise self.ends_early("a frame")
        try:
            return bytes(self._decoder.decompress(piece, self._header.max_block_bytes))
        except (RuntimeError, EOFError) as error:
            raise self.damage("corrupt", str(error)) from error

    def _decode_legacy_block(self) -> memoryview | None:
        from lz4.block import LZ4BlockError, decompress

        n_stored = self._block_size()
        if n_stored is None:
            # This format has no end mark: a file that ends after a block is complete.
            if self._stored.peek(1) or self._stored.failure is not None:
                raise self.ends_early("a legacy frame")
            return None
        if n_stored > _MAX_LEGACY_STORED:
            return None
        piece = self._stored.take(_SIZE_BYTES + n_stored)
        if len(piece) < _SIZE_BYTES + n_stored:
            raise self.ends_early("a legacy frame")
        try:
            return memoryview(
                decompress(piece[_SIZE_BYTES:], uncompressed_size=_LEGACY_BLOCK_BYTES)
            )
        except LZ4BlockError as error:
            raise self.damage("corrupt", str(error)) from error
