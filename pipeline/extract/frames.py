"""What the files are made of: pieces of whole lines, as they are or compressed each by itself.

Compressed files are made of frames (zstd) or members (gzip) of some 2 MiB of text, each cut at a
line end, so that they can be made in parallel, and read in parallel later. zstd files end in the
seek table of the seekable format (contrib/seekable_format in the zstd repository).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Plain bytes of a frame; one line may make it longer.
FRAME_BYTES = 2 << 20

_SKIPPABLE = 0x184D2A5E
_SEEKABLE = 0x8F92EAB1
#: The format counts frames and their lengths in 32 bits.
_MOST = 1 << 32


class Packer:
    """One way to write files; this one writes text as it is."""

    suffix = ""
    #: Whether files are made of frames.
    compresses = False

    def pack(self, text: bytes | bytearray | memoryview) -> bytes:
        """Return one frame."""
        return bytes(text)

    def end(self, frames: Iterable[tuple[int, int]]) -> bytes:
        """Return what stands behind the frames, given stored and plain bytes of each."""
        del frames
        return b""


class Gzip(Packer):
    """Members of gzip: they follow each other in any file that gzip reads."""

    suffix = ".gz"
    compresses = True

    def pack(self, text: bytes | bytearray | memoryview) -> bytes:
        """Return one member."""
        from isal import igzip

        return bytes(igzip.compress(text, compresslevel=2, mtime=0))


class Zstd(Packer):
    """Frames of zstd, each with its length and a checksum, and a table of all of them."""

    suffix = ".zst"
    compresses = True

    def pack(self, text: bytes | bytearray | memoryview) -> bytes:
        """Return one frame."""
        import zstandard

        return zstandard.ZstdCompressor(level=3, write_checksum=True).compress(text)

    def end(self, frames: Iterable[tuple[int, int]]) -> bytes:
        """Return the seek table; nothing where a number is too large for it: it is not needed."""
        entries = list(frames)
        if 8 * len(entries) + 9 >= _MOST or any(max(entry) >= _MOST for entry in entries):
            return b""
        table = b"".join(struct.pack("<II", *entry) for entry in entries)
        table += struct.pack("<IBI", len(entries), 0, _SEEKABLE)
        return struct.pack("<II", _SKIPPABLE, len(table)) + table


PACKERS: dict[str, type[Packer]] = {"none": Packer, "gz": Gzip, "zst": Zstd}


def cut(text: bytearray) -> int:
    """Return where to end the first frame of a text: behind a line, about ``FRAME_BYTES`` on."""
    at = text.rfind(b"\n", 0, FRAME_BYTES) + 1
    if not at:
        at = text.find(b"\n", FRAME_BYTES) + 1
    return at or len(text)
