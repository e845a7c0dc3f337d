"""Headers of zstd frames and blocks, as RFC 8878 lays them out. Decodes nothing."""

from __future__ import annotations

from typing import NamedTuple

MAGIC = b"\x28\xb5\x2f\xfd"
MAGIC_BYTES = 4
SKIPPABLE_HEADER_BYTES = 8
MAX_FRAME_HEADER_BYTES = 18
BLOCK_HEADER_BYTES = 3
CHECKSUM_BYTES = 4

#: No block is longer than this, stored or plain.
MAX_BLOCK_BYTES = 128 << 10

# Bytes of the fields that are there or not, by the flags of the frame header descriptor.
_DICTIONARY_BYTES = (0, 1, 2, 4)
_CONTENT_SIZE_BYTES = (0, 2, 4, 8)


class FrameHeader(NamedTuple):
    """What the header of a frame says.

    ``header_bytes`` counts the magic number; ``content_bytes`` is None where the writer did not
    know it; ``dictionary`` is 0 where none is needed.
    """

    header_bytes: int
    content_bytes: int | None
    dictionary: int
    has_checksum: bool


class BlockHeader(NamedTuple):
    """What the header of a block says; ``stored_bytes`` are those after the header."""

    is_last: bool
    stored_bytes: int


def frame_header(head: bytes | memoryview) -> FrameHeader | None:
    """Return the header of the frame that begins here.

    Parameters
    ----------
    head : bytes-like
        ``MAX_FRAME_HEADER_BYTES`` stored bytes, fewer at the end of the file.

    Returns
    -------
    FrameHeader or None
        None when no frame begins here, or its header uses the reserved bit. Where the file ends
        inside the header, ``header_bytes`` is more than the bytes handed in, the rest is void.
    """
    if head[:MAGIC_BYTES] != MAGIC:
        return None
    flags = head[MAGIC_BYTES] if len(head) > MAGIC_BYTES else 0
    if flags & 0b1000:
        return None
    is_single_segment = bool(flags & 0b10_0000)
    dictionary_at = MAGIC_BYTES + 1 + (not is_single_segment)
    content_at = dictionary_at + _DICTIONARY_BYTES[flags & 0b11]
    n_content = _CONTENT_SIZE_BYTES[flags >> 6] or int(is_single_segment)
    stop = content_at + n_content
    content_bytes = None
    if n_content:
        # Two bytes hold 256 less than the size: the smaller sizes fit into one.
        content_bytes = int.from_bytes(head[content_at:stop], "little") + 256 * (n_content == 2)
    dictionary = int.from_bytes(head[dictionary_at:content_at], "little")
    return FrameHeader(stop, content_bytes, dictionary, bool(flags & 0b100))


def block_header(head: bytes | memoryview) -> BlockHeader | None:
    """Return the header of the block that begins here, None when no block can have it."""
    if len(head) < BLOCK_HEADER_BYTES:
        return None
    field = head[0] | head[1] << 8 | head[2] << 16
    kind, size = field >> 1 & 3, field >> 3
    if kind == 3 or size > MAX_BLOCK_BYTES:
        return None
    # A run of one byte is stored as that byte; its size is the plain one.
    return BlockHeader(bool(field & 1), 1 if kind == 1 else size)


def skippable_bytes(head: bytes | memoryview) -> int | None:
    """Return the whole length of the skippable frame that begins here, None where none does."""
    if len(head) < SKIPPABLE_HEADER_BYTES or not _is_skippable_magic(bytes(head[:MAGIC_BYTES])):
        return None
    return SKIPPABLE_HEADER_BYTES + int.from_bytes(head[4:8], "little")


def begins_like_frame(head: bytes | memoryview) -> bool:
    """Tell whether these bytes, at least one, can be the begin of a frame that was cut."""
    start = bytes(head[:MAGIC_BYTES])
    return MAGIC.startswith(start) or _is_skippable_magic(start)


def _is_skippable_magic(start: bytes) -> bool:
    return start[0] & 0xF0 == 0x50 and b"\x2a\x4d\x18".startswith(start[1:])
