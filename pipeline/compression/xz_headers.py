"""The fields of an .xz file that are read without decoding, and its cuts.

Format: https://tukaani.org/xz/xz-file-format.txt (1.2.1). A stream is a header, blocks, an index
that lists them, and a footer that says how long the index is; streams may follow each other, with
zero bytes between them, four or a multiple. The units inside a block are LZMA2 chunks, as
``lzma2_decoder.c`` of xz reads them.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO, NamedTuple
from zlib import crc32

from pipeline.compression.salvage import Tape
from pipeline.errors import DamageError
from pipeline.model import Cut

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = b"\xfd7zXZ\x00"
HEADER_BYTES = 12
FOOTER_BYTES = 12
_FOOTER_MAGIC = b"YZ"
_CRC_BYTES = 4

#: Integrity check of a stream → its length behind each block, in stored bytes.
CHECK_BYTES = {0: 0, 1: 4, 4: 8, 10: 32}

_LZMA2 = 0x21
_MAX_BLOCK_HEADER_BYTES = 1024

#: All indexes of a file together, to find cuts; enough for terabytes in blocks as xz makes them.
_MAX_INDEX_BYTES = 16 << 20

#: Stream padding is looked through in steps of this many stored bytes.
_PADDING_STEP_BYTES = 64 << 10


#: ``xz -9`` uses 64 MiB; more than this is a lie or a file for a larger machine.
MAX_DICTIONARY_BYTES = 512 << 20
#: What the decoder needs beside the dictionary is less than 1 MiB.
MEMORY_BYTES = MAX_DICTIONARY_BYTES + (1 << 20)


class _FormatError(ValueError):
    """Bytes that can't be what they should be."""


def make_header(check: int) -> bytes:
    """Return the header of a stream with this integrity check."""
    flags = bytes([0, check])
    return MAGIC + flags + struct.pack("<I", crc32(flags))


def header_check(header: bytes) -> int | None:
    """Return the integrity check that the header of a stream names; None if it is not sound."""
    check = header[7] if len(header) == HEADER_BYTES else -1
    return check if check in CHECK_BYTES and header == make_header(check) else None


def footer_index_bytes(footer: bytes, check: int) -> int | None:
    """Return the length of the index before this footer; None if the footer is not sound."""
    if len(footer) < FOOTER_BYTES or footer[-2:] != _FOOTER_MAGIC:
        return None
    crc, length = struct.unpack_from("<II", footer)
    if crc != crc32(footer[4:10]) or footer[8:10] != bytes([0, check]):
        return None
    return 4 * (int(length) + 1)


def encode_number(number: int) -> bytes:
    """Return a number as the index holds it: 7 bits a byte, lowest first."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def _read_number(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at this place and the place behind it."""
    number = 0
    for shift in range(0, 63, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise _FormatError


def block_dictionary_bytes(header: bytes) -> int | None:
    """Return the size of the dictionary that a block's header declares; None if it isn't sound."""
    try:
        return _block_dictionary_bytes(header)
    except (_FormatError, IndexError):
        return None


def _block_dictionary_bytes(header: bytes) -> int:
    fields, crc = header[:-_CRC_BYTES], header[-_CRC_BYTES:]
    flags = fields[1]
    if crc32(fields) != int.from_bytes(crc, "little") or flags & 0x3C:
        raise _FormatError
    at = 2
    for has_number in (flags & 0x40, flags & 0x80):
        if has_number:
            _, at = _read_number(fields, at)
    name = length = 0
    for _ in range((flags & 0x03) + 1):
        name, at = _read_number(fields, at)
        length, at = _read_number(fields, at)
        at += length
    if name != _LZMA2 or length != 1:
        raise _FormatError
    bits = fields[at - 1]
    if bits > 40:
        raise _FormatError
    return min(2 | bits & 1, 3) << bits // 2 + 11 if bits < 40 else (1 << 32) - 1


def memory_trouble(dictionary_bytes: int) -> str:
    """Return what to say about a dictionary that is too large; empty for others."""
    if dictionary_bytes <= MAX_DICTIONARY_BYTES:
        return ""
    return (
        f"decoding needs {dictionary_bytes >> 20:,} MiB of memory for the dictionary, and at most "
        f"{MAX_DICTIONARY_BYTES >> 20:,} MiB are allowed"
    )


def chunk_bytes(head: bytes) -> int | None:
    """Return the length of the LZMA2 chunk with this head; 1 for what a decoder must refuse.

    Parameters
    ----------
    head : bytes
        The next five bytes, fewer at the end of the file.

    Returns
    -------
    int or None
        Stored bytes, with the head; None if the head is cut.
    """
    control = head[0] if head else 0x01
    if 0x02 < control < 0x80:
        return 1
    n_head = 3 if control < 0x80 else 5
    if len(head) < n_head:
        return None
    length = int.from_bytes(head[n_head - 2 : n_head], "big") + 1
    return n_head + length + (control >= 0xC0)


class _Stream(NamedTuple):
    #: Stored offset of the header.
    start: int
    check: int
    #: The records of the index as they are stored.
    records: bytes


def _blocks(records: bytes) -> Iterator[tuple[int, int]]:
    """Yield the stored length, with padding, and the plain length of each block."""
    at = 0
    while at < len(records):
        unpadded, at = _read_number(records, at)
        plain, at = _read_number(records, at)
        yield unpadded + -unpadded % 4, plain


def find_block_cuts(stored: BinaryIO, size: int, target_bytes: int) -> list[Cut]:
    """Return begins of blocks, about ``target_bytes`` apart, by the indexes at the streams' ends.

    A reader that begins inside a stream must know its check, and looks for that in the first
    header of the file. So inside a stream with another check there are no cuts. The first block
    of a stream is cut at the header, where all readers can begin.
    """
    cuts: list[Cut] = []
    try:
        streams = _find_streams(stored, size)
        plain_offset = last = 0
        for stream in streams:
            offset = stream.start + HEADER_BYTES
            place = stream.start
            for n_stored, n_plain in _blocks(stream.records):
                if place - last >= target_bytes:
                    if block_dictionary_bytes(_read_block_header(stored, size, offset)) is None:
                        return cuts
                    cuts.append(Cut(place, place, plain_offset))
                    last = place
                offset += n_stored
                plain_offset += n_plain
                place = offset if stream.check == streams[0].check else last
    except (_FormatError, DamageError):
        pass
    return cuts


def _find_streams(stored: BinaryIO, size: int) -> list[_Stream]:
    """Return all streams in file order, found from the end of the file."""
    streams: list[_Stream] = []
    stop, n_index = size, 0
    while (stop := _skip_padding(stored, stop)) > 0:
        stream = _read_stream(stored, stop)
        n_index += len(stream.records)
        if n_index > _MAX_INDEX_BYTES:
            raise _FormatError
        streams.append(stream)
        stop = stream.start
    return streams[::-1]


def _read(stored: BinaryIO, start: int, stop: int) -> bytes:
    """Return these stored bytes, all of them."""
    if not 0 <= start <= stop:
        raise _FormatError
    tape = Tape(stored, stop, start)
    pieces = bytearray()
    while piece := tape.read(stop - tape.offset):
        pieces += piece
    if len(pieces) < stop - start:
        raise _FormatError
    return bytes(pieces)


def _read_block_header(stored: BinaryIO, size: int, offset: int) -> bytes:
    head = _read(stored, offset, min(offset + _MAX_BLOCK_HEADER_BYTES, size))
    return head[: 4 * (head[0] + 1)]


def _skip_padding(stored: BinaryIO, stop: int) -> int:
    """Return where the padding that ends here begins."""
    while stop > 0:
        start = max(0, stop - _PADDING_STEP_BYTES)
        n_zeros = stop - start - len(_read(stored, start, stop).rstrip(b"\x00"))
        stop -= n_zeros - n_zeros % 4
        if stop > start:
            break
    return stop


def _read_stream(stored: BinaryIO, stop: int) -> _Stream:
    """Read the index of the stream that ends here."""
    footer = _read(stored, stop - FOOTER_BYTES, stop)
    check = footer[9]
    n_index = footer_index_bytes(footer, check)
    if n_index is None or n_index > _MAX_INDEX_BYTES:
        raise _FormatError
    index_start = stop - FOOTER_BYTES - n_index
    index = _read(stored, index_start, stop - FOOTER_BYTES)
    fields, crc = index[:-_CRC_BYTES], index[-_CRC_BYTES:]
    if crc32(fields) != int.from_bytes(crc, "little") or fields[:1] != b"\x00":
        raise _FormatError
    n_blocks, first = _read_number(fields, 1)
    records_stop = first
    for _ in range(2 * n_blocks):
        _, records_stop = _read_number(fields, records_stop)
    records = fields[first:records_stop]
    start = index_start - sum(n_stored for n_stored, _ in _blocks(records)) - HEADER_BYTES
    if header_check(_read(stored, start, start + HEADER_BYTES)) != check:
        raise _FormatError
    return _Stream(start, check, records)
