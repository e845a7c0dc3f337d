"""What stands around the deflate streams of a gzip file: headers, trailers, padding (RFC 1952)."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.compression.salvage import Tape

MAGIC = b"\x1f\x8b\x08"
TRAILER_BYTES = 8

#: A longer header is refused: names have no bound in the format, but memory has.
_MAX_HEADER_BYTES = 128 << 10

_HCRC, _EXTRA, _NAME, _COMMENT, _RESERVED = 0x02, 0x04, 0x08, 0x10, 0xE0


class HeaderError(ValueError):
    """These bytes are no header of a gzip member; says why."""


def header_length(head: bytes | bytearray) -> int | None:
    """Return the length of the member header that ``head`` begins with (RFC 1952, 2.3).

    Parameters
    ----------
    head : bytes
        Stored bytes from the begin of a member on.

    Returns
    -------
    int or None
        In stored bytes; None if the header goes on after ``head``.

    Raises
    ------
    HeaderError
        If no longer ``head`` could be one.
    """
    if head[:3] != MAGIC[: len(head)]:
        raise HeaderError("no gzip member")
    if len(head) > 3 and head[3] & _RESERVED:
        raise HeaderError("reserved flags in the header")
    if len(head) < 10:
        return None
    stop = _find_stop(head)
    if (len(head) if stop is None else stop) > _MAX_HEADER_BYTES:
        raise HeaderError("the header is too long")
    return stop


def _find_stop(head: bytes | bytearray) -> int | None:
    """Pass over the optional fields of a header; None if it goes on after ``head``."""
    flags, at = head[3], 10
    if flags & _EXTRA:
        at += 2 + int.from_bytes(head[at : at + 2], "little")
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            at = head.find(b"\0", at) + 1 or len(head) + 1
    stop = at + (2 if flags & _HCRC else 0)
    if stop > len(head) or (flags & _EXTRA and len(head) < 12):
        return None
    if flags & _HCRC and int.from_bytes(head[at:stop], "little") != zlib.crc32(head[:at]) & 0xFFFF:
        raise HeaderError("checksum mismatch in the header")
    return stop


def read_piece(tape: Tape, n: int) -> bytearray:
    """Return up to ``n`` stored bytes; spares a copy that `Tape.read` makes."""
    piece = bytearray(n)
    del piece[tape.readinto(memoryview(piece)) :]
    return piece


class Window:
    """Stored bytes that were read but not used yet.

    Parameters
    ----------
    read : callable
        Returns the next stored bytes, b"" at the end of what counts.
    offset : int
        Stored offset of the first of them.
    """

    def __init__(self, read: Callable[[], bytes | bytearray], offset: int) -> None:
        self._read = read
        self._bytes: bytes | bytearray = b""
        self._at = 0
        self._end = offset

    @property
    def offset(self) -> int:
        """Stored offset of the next byte that `take` gives."""
        return self._end - (len(self._bytes) - self._at)

    def extend(self) -> bool:
        """Read on; False at the end of the file."""
        piece = self._read()
        self._bytes = self._bytes[self._at :] + piece if self._at < len(self._bytes) else piece
        self._at = 0
        self._end += len(piece)
        return bool(piece)

    def peek(self, n: int) -> bytes | bytearray:
        """Return ``n`` bytes, fewer only at the end of the file, without using them up."""
        while len(self._bytes) - self._at < n and self.extend():
            pass
        return self._bytes[self._at : self._at + n]

    def take(self, n: int) -> memoryview:
        """Return up to ``n`` bytes and use them up; none only at the end of the file."""
        if self._at == len(self._bytes) and not self.extend():
            return memoryview(b"")
        piece = memoryview(self._bytes)[self._at : self._at + n]
        self._at += len(piece)
        return piece

    def give_back(self, unused: bytes | memoryview) -> None:
        """Take back the last bytes that `take` gave."""
        if len(unused) <= self._at:
            self._at -= len(unused)
        else:
            self._bytes = bytes(unused) + self._bytes[self._at :]
            self._at = 0

    def skip_header(self) -> int:
        """Use up a member header and return its length; 0 at the end of the file.

        Raises
        ------
        HeaderError
            If there is none.
        EOFError
            If the file ends inside it.
        """
        n = 64
        while (length := header_length(head := self.peek(n))) is None:
            if len(head) < n:
                if head:
                    raise EOFError
                return 0
            n *= 4
        self._at += length
        return length

    def skip_zeros(self) -> None:
        """Use up zero bytes."""
        while True:
            rest = self._bytes[self._at :]
            self._at += len(rest) - len(rest.lstrip(b"\0"))
            if self._at < len(self._bytes) or not self.extend():
                return
