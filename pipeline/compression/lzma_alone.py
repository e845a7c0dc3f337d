""".lzma, the format of LZMA Utils before xz: one stream, without a magic and without checks.

Format: doc/lzma-file-format.txt of xz. A wrong byte is seen only when the decoder stumbles over it,
if at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from pipeline.compression.base import Codec, PlainReader
from pipeline.compression.salvage import STEP_BYTES, Salvage, Tape
from pipeline.compression.xz_headers import MEMORY_BYTES, memory_trouble
from pipeline.errors import DamageError

if TYPE_CHECKING:
    from pipeline.model import Cut

_HEADER_BYTES = 13
_UNKNOWN_SIZE = (1 << 64) - 1
_MIN_DICTIONARY_BYTES = 1 << 12
_READ_BYTES = 64 << 10


class LzmaCodec(Codec):
    """The .lzma format of LZMA Utils: one stream, no checks; decoded from the begin only."""

    name = "lzma"

    def matches(self, head: bytes) -> bool:
        """Tell by the fields of the header, which has no magic.

        They are as strict as in ``xz``: a dictionary of 2^n or 2^n + 2^(n-1) bytes, a plain size
        below 256 GiB or unknown, and the zero byte with which the coded bytes begin.
        """
        if len(head) < _HEADER_BYTES or head[0] >= 225 or head[0] % 9 + head[0] // 9 % 5 > 4:
            return False
        dictionary, size = _lzma_sizes(head)
        highest = 1 << dictionary.bit_length() - 1 if dictionary else 0
        return (
            dictionary >= _MIN_DICTIONARY_BYTES
            and dictionary in (highest, highest | highest >> 1, 0xFFFF_FFFF)
            and (size < 1 << 38 or size == _UNKNOWN_SIZE)
            and head[_HEADER_BYTES : _HEADER_BYTES + 1] in (b"", b"\x00")
        )

    def open(
        self, stored: BinaryIO, size: int | None, start: Cut | None = None, stop: Cut | None = None
    ) -> PlainReader:
        """Return a reader of the whole file; see `Codec.open`."""
        del start, stop
        return _LzmaReader(stored, size)


def _lzma_sizes(header: bytes) -> tuple[int, int]:
    """Return the lengths of the dictionary and of the plain bytes that the header declares."""
    return int.from_bytes(header[1:5], "little"), int.from_bytes(header[5:13], "little")


class _LzmaStream:
    """The one stream of a file, decoded from its begin on.

    Attributes
    ----------
    n_plain : int
        Plain bytes decoded.
    n_stored : int
        Stored bytes taken in.
    """

    def __init__(self, tape: Tape) -> None:
        from lzma import FORMAT_ALONE, LZMADecompressor, LZMAError

        self._tape = tape
        self._error = LZMAError
        self._decoder = LZMADecompressor(format=FORMAT_ALONE, memlimit=MEMORY_BYTES)
        self._header: bytes | None = None
        self._failure: DamageError | None = None
        self.n_plain = 0
        self.n_stored = 0

    def step(self, n: int) -> bytes:
        """Return up to ``n`` plain bytes, b"" at the end of the file.

        Raises
        ------
        DamageError
            When the call meets damage; what it had decoded before that is lost if the damage is
            ``corrupt``.
        """
        if self._header is None:
            self._header = self._read_header()
        plain = b""
        while self._header and not plain and not self._decoder.eof:
            plain = self._decode(self._take() if self._decoder.needs_input else b"", n)
        self.n_plain += len(plain)
        self.n_stored = self._tape.offset - len(self._decoder.unused_data)
        if plain:
            return plain
        if self._decoder.unused_data or self._read(1):
            detail = "bytes after the end of the stream"
            raise DamageError("trailing garbage", self.n_stored, self.n_plain, detail)
        if self._failure is not None:
            raise self._ends_early()
        return b""

    def _read_header(self) -> bytes:
        """Take the header; b"" for an empty file."""
        header = self._read(_HEADER_BYTES)
        if 0 < len(header) < _HEADER_BYTES:
            raise self._ends_early()
        trouble = memory_trouble(_lzma_sizes(header)[0])
        if trouble:
            raise DamageError("corrupt", 0, 0, trouble)
        self._decode(header, 0)
        return header

    def _decode(self, piece: bytes, n: int) -> bytes:
        try:
            return self._decoder.decompress(piece, n)
        except self._error as error:
            raise DamageError("corrupt", 0, self.n_plain, str(error)) from error

    def _take(self) -> bytes:
        piece = self._read(_READ_BYTES)
        if not piece:
            raise self._ends_early()
        return piece

    def _ends_early(self) -> DamageError:
        failure = self._failure
        if failure is None:
            return DamageError("truncated", 0, self.n_plain, "the file ends inside the stream")
        return DamageError(failure.kind, failure.stored_offset, self.n_plain, failure.detail)

    def _read(self, n: int) -> bytes:
        """Return ``n`` stored bytes, fewer only at the end of the file."""
        # Always whole pieces: with less at hand the decoder sees some damage a byte later, and a
        # pipe must not give more or less than a file.
        pieces = bytearray()
        while len(pieces) < n and self._failure is None:
            try:
                piece = self._tape.read(n - len(pieces))
            except DamageError as failure:
                self._failure = failure
                break
            if not piece:
                break
            pieces += piece
        return bytes(pieces)


class _LzmaReader(PlainReader):
    def __init__(self, stored: BinaryIO, size: int | None) -> None:
        self._tape = Tape(stored, size)
        self._tape.mark()
        self._stream = _LzmaStream(self._tape)
        self._salvage: Salvage | None = None
        self._damage: DamageError | None = None
        self.at_stop = False
        self.stored_offset = 0

    def readinto(self, buffer: memoryview) -> int:
        """Fill the begin of a buffer; see `PlainReader.readinto`."""
        if self._damage is not None:
            raise DamageError(*self._damage.args)
        try:
            length = self._step(buffer) if self._salvage is None else self._salvage.readinto(buffer)
        except DamageError as damage:
            self._damage = damage
            raise
        self.stored_offset = self._stream.n_stored
        self.at_stop = not length
        return length

    def _step(self, buffer: memoryview) -> int:
        n_delivered = self._stream.n_plain
        try:
            plain = self._stream.step(min(len(buffer), STEP_BYTES))
        except DamageError as damage:
            if damage.kind != "corrupt" or not self._tape.rewind():
                raise
            self._stream = _LzmaStream(self._tape)
            self._salvage = Salvage(self._stream.step, n_delivered)
            return self._salvage.readinto(buffer)
        buffer[: len(plain)] = plain
        return len(plain)

    def close(self) -> None:
        """Close the stored file."""
        self._tape.close()
