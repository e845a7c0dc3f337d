"""xz: streams of blocks of LZMA2 chunks.

The library (liblzma) loses what a call has decoded when it meets damage in that call. So the
chunks of a block, at most 2 MiB of plain bytes each, are walked here by their heads and decoded
one at a time: a chunk that the decoder refuses delivers nothing, all before it is delivered. It is
never shown the index of a stream, which it would refuse behind a cut; that is checked here, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO
from zlib import crc32

from pipeline.compression.base import Codec, PlainReader
from pipeline.compression.frames import FramesReader, Lookahead
from pipeline.compression.lzma_alone import LzmaCodec
from pipeline.compression.salvage import Tape
from pipeline.compression.xz_headers import (
    CHECK_BYTES,
    FOOTER_BYTES,
    HEADER_BYTES,
    MAGIC,
    MEMORY_BYTES,
    block_dictionary_bytes,
    chunk_bytes,
    encode_number,
    find_block_cuts,
    footer_index_bytes,
    header_check,
    make_header,
    memory_trouble,
)
from pipeline.errors import DamageError

if TYPE_CHECKING:
    from lzma import LZMADecompressor

    from pipeline.model import Cut

_CHUNK_HEAD_BYTES = 5
_READ_BYTES = 64 << 10
_NO_HEADER = "the header of a stream is wrong, or names a check that is not known"

__all__ = ["LzmaCodec", "XzCodec"]


class XzCodec(Codec):
    """The .xz format, streams and padding; cut at its blocks, where the file has several."""

    name = "xz"

    def matches(self, head: bytes) -> bool:
        """Tell whether the head is the magic of a stream."""
        return head.startswith(MAGIC)

    def open(
        self, stored: BinaryIO, size: int | None, start: Cut | None = None, stop: Cut | None = None
    ) -> PlainReader:
        """Return a reader of the plain bytes from ``start`` on; see `Codec.open`."""
        return _XzReader(stored, size, start, stop)

    def find_cuts(self, stored: BinaryIO, size: int, target_bytes: int) -> list[Cut]:
        """Return begins of blocks, about ``target_bytes`` apart; see `Codec.find_cuts`."""
        return find_block_cuts(stored, size, target_bytes)


class _Stream:
    """What is known of the stream that is being read."""

    def __init__(self, check: int, *, is_whole: bool) -> None:
        from lzma import FORMAT_XZ, LZMADecompressor

        self.check = check
        #: Read from its begin on, so that its index can be compared.
        self.is_whole = is_whole
        self.n_blocks = 0
        self.records_crc = 0
        self.decoder = LZMADecompressor(format=FORMAT_XZ, memlimit=MEMORY_BYTES)
        self.decoder.decompress(make_header(check))

    def add_block(self, n_stored: int, n_plain: int) -> None:
        """Note a block as the index will list it."""
        self.n_blocks += 1
        self.records_crc = crc32(encode_number(n_stored) + encode_number(n_plain), self.records_crc)


class _XzReader(FramesReader):
    """Headers, blocks, indexes and padding are what it begins one after the other."""

    def __init__(
        self, stored: BinaryIO, size: int | None, start: Cut | None, stop: Cut | None
    ) -> None:
        first = Lookahead(Tape(stored, HEADER_BYTES, 0)) if start else None
        check = header_check(bytes(first.peek(HEADER_BYTES))) if first else None
        tape = Tape(stored, size, start.position if start else None, remembers=False)
        super().__init__(tape, start, stop)
        self._stop_plain = stop.plain_offset if stop else None
        self._stream: _Stream | None = None
        if first is not None and self._stored.peek(len(MAGIC)) != MAGIC:
            if check is not None:
                self._stream = _Stream(check, is_whole=False)
            else:
                failure = first.failure or DamageError("corrupt", 0, None, _NO_HEADER)
                kind, stored_offset, _, detail = failure.args
                self._damage = DamageError(kind, stored_offset, self._start_plain, detail)
        self._has_begun = start is not None
        self._pending = memoryview(b"")
        self._is_data = False  # in the chunks of a block
        self._data_start = self._n_data = self._n_block_header = self._n_block_plain = 0

    # --- between blocks ---------------------------------------------------------------------------

    def _begin(self) -> bool:
        if self._stop is None or self._stored.offset < self._stop:
            self._check_goes_on()
        return super()._begin()

    def _check_goes_on(self) -> None:
        """Raise if the file ends here, inside a stream."""
        if self._stream is not None and not self._stored.peek(1):
            self._frame = self._stored.offset
            raise self.ends_early("a stream")

    def _next_frame(self) -> bool:
        if self._stream is None:
            if not self._skip_padding():
                self._begin_stream()
                self._check_goes_on()
            return False
        if self._stored.peek(1)[0] == 0:
            self._end_stream(self._stream)
            self._stream = None
            return False
        self._begin_block(self._stream)
        return True

    def _skip_padding(self) -> bool:
        """Take zero bytes between streams; False when there are none."""
        if not self._has_begun:
            return False
        piece = bytes(self._stored.peek(_READ_BYTES))
        n_zeros = len(piece) - len(piece.lstrip(b"\x00"))
        if n_zeros < 4:
            if n_zeros == len(piece):
                raise self.ends_early("stream padding")
            return False
        self._stored.take(n_zeros - n_zeros % 4)
        return True

    def _begin_stream(self) -> None:
        header = bytes(self._stored.peek(HEADER_BYTES))
        if header[: len(MAGIC)] != MAGIC[: len(header)]:
            kind = "trailing garbage" if self._has_begun else "corrupt"
            raise self.damage(kind, "no xz stream begins here")
        if len(header) < HEADER_BYTES:
            raise self.ends_early("the header of a stream")
        check = header_check(header)
        if check is None:
            raise self.damage("corrupt", _NO_HEADER)
        self._stored.take(HEADER_BYTES)
        self._stream = _Stream(check, is_whole=True)
        self._has_begun = True

    def _end_stream(self, stream: _Stream) -> None:
        """Take the index and the footer, and compare them with the blocks that were read."""
        start = self._stored.offset
        crc = crc32(self._take(1))
        n_blocks, crc = self._take_number(crc)
        records_crc = 0
        # A number has one byte at least and ends with the first below 0x80: as many bytes as
        # there are numbers left never reach too far.
        n_left = 2 * n_blocks
        if stream.is_whole and n_blocks != stream.n_blocks:
            raise self.damage("corrupt", "the index lists other blocks than there are")
        while n_left:
            piece = self._take(min(n_left, _READ_BYTES))
            crc = crc32(piece, crc)
            records_crc = crc32(piece, records_crc)
            n_left -= sum(byte < 0x80 for byte in piece)
        if stream.is_whole and records_crc != stream.records_crc:
            raise self.damage("corrupt", "the index lists other blocks than there are")
        padding = self._take(-(self._stored.offset - start) % 4)
        if any(padding) or crc32(padding, crc) != int.from_bytes(self._take(4), "little"):
            raise self.damage("corrupt", "the index is wrong")
        n_index = self._stored.offset - start
        if footer_index_bytes(self._take(FOOTER_BYTES), stream.check) != n_index:
            raise self.damage("corrupt", "the footer of a stream is wrong")

    def _take(self, n: int) -> bytes:
        piece = bytes(self._stored.take(n))
        if len(piece) < n:
            raise self.ends_early("the end of a stream")
        return piece

    def _take_number(self, crc: int) -> tuple[int, int]:
        """Return the next number of the index, and the CRC with it."""
        number = shift = 0
        while shift < 63:
            byte = self._take(1)
            crc = crc32(byte, crc)
            number |= (byte[0] & 0x7F) << shift
            if byte[0] < 0x80:
                return number, crc
            shift += 7
        raise self.damage("corrupt", "the index is wrong")

    # --- blocks -----------------------------------------------------------------------------------

    def _begin_block(self, stream: _Stream) -> None:
        n_header = 4 * (self._stored.peek(1)[0] + 1)
        header = bytes(self._stored.peek(n_header))
        if len(header) < n_header:
            raise self.ends_early("the header of a block")
        dictionary_bytes = block_dictionary_bytes(header)
        if dictionary_bytes is None:
            raise self.damage("corrupt", "the header of a block is wrong")
        trouble = memory_trouble(dictionary_bytes)
        if trouble:
            raise self.damage("corrupt", trouble)
        self._decode(stream.decoder, n_header)
        self._n_block_header, self._n_block_plain = n_header, 0
        self._data_start = self._stored.offset
        self._is_data = True

    def _fill(self, buffer: memoryview) -> int:
        stream = self._stream
        if stream is None:
            return 0
        while not self._pending:
            if not self._is_data:
                self._end_block(stream)
                return 0
            self._pending = memoryview(self._decode_chunk(stream.decoder))
            self._n_block_plain += len(self._pending)
        length = min(len(buffer), len(self._pending))
        buffer[:length] = self._pending[:length]
        self._pending = self._pending[length:]
        return length

    def _decode_chunk(self, decoder: LZMADecompressor) -> bytes:
        head = bytes(self._stored.peek(_CHUNK_HEAD_BYTES))
        if not head:
            raise self.ends_early("a block")
        if head[0] == 0:
            self._is_data = False
            self._n_data = self._stored.offset + 1 - self._data_start
            # Without the check: what a filter before LZMA2 has held back must not be lost with it.
            return self._decode(decoder, 1 + -self._n_data % 4)
        length = chunk_bytes(head)
        if length is None:
            raise self.ends_early("a block")
        return self._decode(decoder, length, may_end=True)

    def _decode(self, decoder: LZMADecompressor, n: int, *, may_end: bool = False) -> bytes:
        """Hand the next ``n`` stored bytes to the library; all of them, unless the file may end."""
        from lzma import LZMAError

        piece = self._stored.take(n)
        try:
            plain = decoder.decompress(piece)
        except LZMAError as error:
            raise self.damage("corrupt", str(error)) from error
        if len(piece) < n and not (may_end and plain):
            raise self.ends_early("a block")
        return plain

    def _end_block(self, stream: _Stream) -> None:
        """Have the check of a block compared, and see where the block ends."""
        n_check = CHECK_BYTES[stream.check]
        self._decode(stream.decoder, n_check)
        stream.add_block(self._n_block_header + self._n_data + n_check, self._n_block_plain)
        if self._stop is None or self._stored.offset < self._stop:
            return
        plain_offset = None if self._start_plain is None else self._start_plain + self._n_delivered
        if (self._stored.offset, plain_offset) != (self._stop, self._stop_plain):
            # The cut came from an index that lies. What follows would be read wrong, so say it
            # here: nothing counts after the first damage of a file.
            raise self.damage("corrupt", "the index lists other blocks than there are")
