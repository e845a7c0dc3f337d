"""Where the frames of a zstd file begin, without decoding it.

The seekable format keeps the lengths of all frames in a skippable frame at the end of the file
(contrib/seekable_format in the zstd repository). Without that table the headers of frames and
blocks are walked, a small read for each 128 KiB of text: cheap on a local file, not on a remote.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, BinaryIO

from pipeline.compression.zstd_headers import (
    BLOCK_HEADER_BYTES,
    CHECKSUM_BYTES,
    MAX_FRAME_HEADER_BYTES,
    SKIPPABLE_HEADER_BYTES,
    block_header,
    frame_header,
    skippable_bytes,
)
from pipeline.model import Cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FOOTER = struct.Struct("<IBI")  # number of frames, flags, magic
_FOOTER_MAGIC = 0x8F92EAB1
_TABLE_MAGIC = b"\x5e\x2a\x4d\x18"
_HAS_CHECKSUMS = 0x80
_RESERVED_FLAGS = 0x7C

#: A table longer than this is not read: it would hold some 3 million frames.
_MAX_TABLE_BYTES = 32 << 20

#: Headers that are walked at most, some 32 GiB of text in full blocks.
_MAX_HEADERS = 1 << 18


def find_frame_cuts(stored: BinaryIO, size: int, target_bytes: int) -> list[Cut]:
    """Return begins of frames, about ``target_bytes`` stored bytes apart.

    Plain offsets are those of the seek table or, without one, the sums of the content sizes in
    the frame headers, as long as every frame so far has one.

    Parameters
    ----------
    stored : BinaryIO
        The source file, seekable. Without a ``fileno`` only a seek table is used.
    size : int
        Stored bytes at planning.
    target_bytes : int
        Wanted stored bytes between two cuts.

    Returns
    -------
    list of Cut
        In file order; of a damaged or very long file those that were reached.
    """
    file = _local_file(stored)
    try:
        frames = _read_seek_table(stored, size)
        if frames is not None:
            cuts = _pick(frames, size, target_bytes)
            if file is None or all(_begins_frame(file, cut.position) for cut in cuts):
                return cuts
        return [] if file is None else _pick(_walk(file, size), size, target_bytes)
    except OSError:
        return []


def _pick(frames: Iterable[tuple[int, int | None]], size: int, target_bytes: int) -> list[Cut]:
    """Keep the begins of frames that are far enough apart."""
    cuts: list[Cut] = []
    last = 0
    for stored_offset, plain_offset in frames:
        # The last piece is at least half the target, as in `pipeline.split`: no crumbs.
        if stored_offset - last >= target_bytes and 2 * (size - stored_offset) >= target_bytes:
            cuts.append(Cut(stored_offset, stored_offset, plain_offset))
            last = stored_offset
    return cuts


def _read_seek_table(stored: BinaryIO, size: int) -> Iterator[tuple[int, int]] | None:
    """Return stored and plain offsets of all frames by the seek table, None without a sound one."""
    if size < SKIPPABLE_HEADER_BYTES + _FOOTER.size:
        return None
    n_frames, flags, magic = _FOOTER.unpack(_read_at(stored, size - _FOOTER.size, _FOOTER.size))
    entry_bytes = 12 if flags & _HAS_CHECKSUMS else 8
    table_bytes = SKIPPABLE_HEADER_BYTES + n_frames * entry_bytes + _FOOTER.size
    if magic != _FOOTER_MAGIC or flags & _RESERVED_FLAGS:
        return None
    if table_bytes > min(size, _MAX_TABLE_BYTES):
        return None
    table = _read_at(stored, size - table_bytes, table_bytes)
    if table[:4] != _TABLE_MAGIC or skippable_bytes(table) != table_bytes:
        return None
    entries = memoryview(table)[SKIPPABLE_HEADER_BYTES : -_FOOTER.size]
    layout = struct.Struct("<II4x" if entry_bytes == 12 else "<II")
    if sum(n_stored for n_stored, _ in layout.iter_unpack(entries)) != size - table_bytes:
        return None
    return _offsets(layout.iter_unpack(entries))


def _offsets(lengths: Iterable[tuple[int, ...]]) -> Iterator[tuple[int, int]]:
    stored_offset = plain_offset = 0
    for n_stored, n_plain in lengths:
        yield stored_offset, plain_offset
        stored_offset += n_stored
        plain_offset += n_plain


def _read_at(stored: BinaryIO, offset: int, n: int) -> bytes:
    stored.seek(offset)
    pieces = []
    while n and (piece := stored.read(n)):
        pieces.append(piece)
        n -= len(piece)
    if n:
        raise OSError("the file has become shorter")
    return b"".join(pieces)


def _local_file(stored: BinaryIO) -> int | None:
    """Return the file descriptor whose bytes are those of ``stored``, None where there is none."""
    try:
        file = stored.fileno()
        stored.seek(0)
        # A member of an archive may answer with the descriptor of the archive.
        head = stored.read(64)
        return file if head == os.pread(file, len(head), 0) else None
    except (OSError, AttributeError):  # io.UnsupportedOperation is an OSError
        return None


def _begins_frame(file: int, offset: int) -> bool:
    return frame_header(os.pread(file, MAX_FRAME_HEADER_BYTES, offset)) is not None


def _walk(file: int, size: int) -> Iterator[tuple[int, int | None]]:
    """Yield stored and plain offset of every frame that begins where a sound one has ended."""
    stored_offset = 0
    plain_offset: int | None = 0
    n_left = _MAX_HEADERS
    while n_left and stored_offset < size:
        head = os.pread(file, MAX_FRAME_HEADER_BYTES, stored_offset)
        n_left -= 1
        length = skippable_bytes(head)
        if length is not None:
            stored_offset += length
            continue
        header = frame_header(head)
        if header is None:
            return
        yield stored_offset, plain_offset
        stop, n_left = _walk_blocks(file, stored_offset + header.header_bytes, size, n_left)
        if stop is None:
            return
        stored_offset = stop + (CHECKSUM_BYTES if header.has_checksum else 0)
        if plain_offset is not None:
            plain_offset = (
                None if header.content_bytes is None else plain_offset + header.content_bytes
            )


def _walk_blocks(file: int, offset: int, size: int, n_left: int) -> tuple[int | None, int]:
    """Return where the last block of a frame ends, None if it is not found, and what is left."""
    while n_left and offset < size:
        n_left -= 1
        block = block_header(os.pread(file, BLOCK_HEADER_BYTES, offset))
        if block is None:
            break
        offset += BLOCK_HEADER_BYTES + block.stored_bytes
        if block.is_last:
            return offset, n_left
    return None, n_left
