"""BGZF: gzip in members of at most 64 KiB that tell their stored length.

Each member (a block) has an extra field ``BC`` with its stored length less one, so the next header
can be found without decoding. bgzip and htslib write it. The format's end mark, a block without
text, is not asked for: other writers leave it out, and a file that is cut between two blocks is
a shorter complete file, like every gzip file that is cut between members.

Format: https://samtools.github.io/hts-specs/SAMv1.pdf, section 4.1
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO, ClassVar

from pipeline.compression.gzip import GzipCodec
from pipeline.model import Cut

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Flags of a block's header: an extra field and nothing else.
_MAGIC = b"\x1f\x8b\x08\x04"
_FIXED_BYTES = 12
_MAX_BLOCK_BYTES = 1 << 16

#: From any place on, this holds a whole block and the chain that proves it.
_WINDOW_BYTES = 3 * _MAX_BLOCK_BYTES


def block_length(head: bytes | memoryview, at: int = 0) -> int | None:
    """Return the stored length of the block whose header begins at ``head[at]``.

    Returns
    -------
    int or None
        In bytes; None if no BGZF header begins there, or ``head`` ends inside it.
    """
    if head[at : at + 4] != _MAGIC or len(head) < at + _FIXED_BYTES:
        return None
    (n_extra,) = struct.unpack_from("<H", head, at + 10)
    field, stop = at + _FIXED_BYTES, at + _FIXED_BYTES + n_extra
    while field + 4 <= stop <= len(head):
        name, length = struct.unpack_from("<2sH", head, field)
        if name == b"BC" and length == 2 and field + 6 <= stop:
            (block_stop,) = struct.unpack_from("<H", head, field + 4)
            n_block: int = block_stop + 1
            # A header, the shortest stream and a trailer.
            return n_block if n_block >= _FIXED_BYTES + n_extra + 2 + 8 else None
        field += 4 + length
    return None


def find_block_cuts(stored: BinaryIO, size: int, target_bytes: int) -> list[Cut]:
    """Return the begins of some blocks, about ``target_bytes`` apart.

    Reads a window of some blocks at each, and nothing of files that do not begin with a block.

    Parameters
    ----------
    stored : BinaryIO
        The source file, seekable. Stays open.
    size : int
        Stored bytes at planning.
    target_bytes : int
        Wanted stored bytes between two cuts.
    """
    return list(_find_cuts(stored, size, max(1, target_bytes)))


def _find_cuts(stored: BinaryIO, size: int, target_bytes: int) -> Iterator[Cut]:
    if block_length(_read_at(stored, 0, min(size, 1 << 10))) is None:
        return
    target = target_bytes
    while target < size:
        try:
            window = _read_at(stored, target, min(size - target, _WINDOW_BYTES))
        except OSError:
            return
        at = _find_block(window, is_last=target + len(window) == size)
        if at is None:
            target += max(target_bytes, _MAX_BLOCK_BYTES)  # none begins in the whole window
            continue
        yield Cut(target + at, target + at, None)
        target += at + target_bytes


def _read_at(stored: BinaryIO, offset: int, n: int) -> bytes:
    stored.seek(offset, os.SEEK_SET)
    pieces = []
    while n > 0 and (piece := stored.read(n)):
        pieces.append(piece)
        n -= len(piece)
    return b"".join(pieces)


def _find_block(window: bytes, *, is_last: bool) -> int | None:
    """Return where the first block in the window begins."""
    at = window.find(_MAGIC)
    while 0 <= at < _MAX_BLOCK_BYTES:
        if _is_chain(window, at, is_last=is_last):
            return at
        at = window.find(_MAGIC, at + 1)
    return None


def _is_chain(window: bytes, at: int, *, is_last: bool) -> bool:
    """Tell whether a block begins here, and not in the text of one that is stored as it is.

    BGZF inside a stored block is a chain of sound blocks, too, but ends with the block around it.
    """
    start = at
    while at - start <= _MAX_BLOCK_BYTES:
        length = block_length(window, at)
        if length is None or not _is_sound(window[at : at + length]):
            return False
        at += length
        if at == len(window):
            return is_last
    return True


def _is_sound(block: bytes) -> bool:
    """Tell whether a block decodes to what its checksum says."""
    decoder = zlib.decompressobj(31)
    try:
        decoder.decompress(block, _MAX_BLOCK_BYTES)
    except zlib.error:
        return False
    return decoder.eof and not decoder.unused_data


class BgzfCodec(GzipCodec):
    """BGZF files: gzip files that can be cut at blocks."""

    name: ClassVar[str] = "bgzf"

    def matches(self, head: bytes) -> bool:
        """Tell whether these bytes begin with the header of a BGZF block."""
        return block_length(head) is not None
