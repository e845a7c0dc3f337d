"""Stored files of every compression, made here from text, with the borders of their units.

A maker turns text into units: stored bytes and the plain bytes in them. A file that is cut between
two units is a shorter complete file; cut elsewhere it is truncated. One table for each codec.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import lz4.block
import lz4.frame
import xz
import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Unit = tuple[bytes, bytes]  # stored, plain


@dataclass(frozen=True)
class Maker:
    """One way in which files of a compression come.

    ``is_checked``: a wrong byte can't pass as success. ``is_end_marked``: a reader may know that a
    file cut between two units is incomplete.
    """

    name: str
    make_units: Callable[[bytes], list[Unit]]
    is_checked: bool = True
    is_end_marked: bool = False

    def make(self, text: bytes) -> bytes:
        return b"".join(stored for stored, _ in self.make_units(text))

    def borders(self, text: bytes) -> dict[int, int]:
        """Stored offset → plain offset of every place where the file may end and be complete."""
        places, n_stored, n_plain = {0: 0}, 0, 0
        for stored, plain in self.make_units(text):
            n_stored += len(stored)
            n_plain += len(plain)
            places[n_stored] = n_plain
        return places


def make_text(n_bytes: int) -> bytes:
    """Log lines, the same for the same length; numbers keep them from vanishing in compression."""
    lines, length, state = [], 0, 1
    while length < n_bytes:
        state = state * 6364136223846793005 + 1442695040888963407 & 0xFFFFFFFFFFFFFFFF
        line = b"Dec 26 10:00:%02d mx1 postfix/smtp[%d]: %010X: status=deferred\n" % (
            length % 60,
            state >> 48,
            state >> 24 & 0xFFFFFFFFFF,
        )
        lines.append(line)
        length += len(line)
    return b"".join(lines)[:n_bytes]


def cut_text(text: bytes, n: int) -> Iterator[bytes]:
    """Cut text into n pieces, not on line ends."""
    step = max(1, -(-len(text) // n))
    for start in range(0, len(text), step):
        yield text[start : start + step]


def one(compress: Callable[[bytes], bytes]) -> Callable[[bytes], list[Unit]]:
    """All of the text in one unit."""
    return lambda text: [(compress(text), text)]


def many(compress: Callable[[bytes], bytes], n: int = 5) -> Callable[[bytes], list[Unit]]:
    """The text in n units."""
    return lambda text: [(compress(piece), piece) for piece in cut_text(text, n)]


def between(compress: Callable[[bytes], bytes], *fillers: bytes) -> Callable[[bytes], list[Unit]]:
    """The text in three units, with units that hold no text before and between, and at the end."""

    def make_units(text: bytes) -> list[Unit]:
        units = []
        for piece in cut_text(text, 3):
            units += [(filler, b"") for filler in fillers]
            units.append((compress(piece), piece))
        return units + [(filler, b"") for filler in fillers]

    return make_units


def followed(compress: Callable[[bytes], bytes], *fillers: bytes) -> Callable[[bytes], list[Unit]]:
    """The text in one unit, and units without text after it."""
    return lambda text: [(compress(text), text), *((filler, b"") for filler in fillers)]


# --- plain ----------------------------------------------------------------------------------------


def _bytes(text: bytes) -> list[Unit]:
    return [(text[i : i + 1], text[i : i + 1]) for i in range(len(text))]


PLAIN = [Maker("text", _bytes, is_checked=False)]


# --- gzip -----------------------------------------------------------------------------------------


def _gzip(text: bytes, level: int = 6) -> bytes:
    return gzip.compress(text, level, mtime=0)


def _gzip_all_fields(text: bytes) -> bytes:
    """FEXTRA, FNAME, FCOMMENT and FHCRC, which hardly any writer uses together."""
    head = b"\x1f\x8b\x08\x1e\x01\x02\x03\x04\x00\x03"
    head += b"\x06\x00ab\x02\x00xy" + b"maillog\x00" + b"a comment\x00"
    head += struct.pack("<H", zlib.crc32(head) & 0xFFFF)
    return head + _gzip(text)[10:]


def _gzip_flushed(text: bytes) -> bytes:
    """As a daemon writes it that flushes now and then."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, 31)
    pieces = [deflate.compress(p) + deflate.flush(zlib.Z_SYNC_FLUSH) for p in cut_text(text, 4)]
    return b"".join(pieces) + deflate.flush()


def _bgzf_block(text: bytes) -> bytes:
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = deflate.compress(text) + deflate.flush()
    head = b"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\x06\x00BC\x02\x00"
    tail = struct.pack("<II", zlib.crc32(text), len(text))
    return head + struct.pack("<H", len(head) + 2 + len(body) + len(tail) - 1) + body + tail


def _bgzf(text: bytes) -> list[Unit]:
    n_blocks = max(4, -(-len(text) // 60_000))
    return [(_bgzf_block(p), p) for p in cut_text(text, n_blocks)] + [(_bgzf_block(b""), b"")]


GZIP = [
    Maker("one member", one(_gzip)),
    Maker("stored blocks", one(lambda text: _gzip(text, 0))),
    Maker("all header fields", one(_gzip_all_fields)),
    Maker("flushed", one(_gzip_flushed)),
    Maker("many members", many(_gzip)),
    Maker("empty members", between(_gzip, _gzip(b""))),
    Maker("trailing zeros", followed(_gzip, *[b"\x00"] * 13)),
]

BGZF = [Maker("BGZF", _bgzf, is_end_marked=True)]


# --- bzip2 ----------------------------------------------------------------------------------------


def _bzip2(text: bytes) -> bytes:
    return bz2.compress(text, 1)


BZIP2 = [
    Maker("one stream", one(bz2.compress)),
    Maker("small blocks", one(_bzip2)),
    Maker("many streams", many(_bzip2)),
    Maker("empty streams", between(_bzip2, bz2.compress(b""))),
]


# --- xz and lzma ----------------------------------------------------------------------------------


def _xz(check: int = lzma.CHECK_CRC64) -> Callable[[bytes], bytes]:
    # A small dictionary: hundreds of decoders are made of each file.
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 1 << 16}]
    return lambda text: lzma.compress(text, check=check, filters=filters)


def _xz_blocks(text: bytes) -> bytes:
    if not text:
        return _xz()(text)
    out = io.BytesIO()
    with xz.open(out, "wb", preset=0) as file:
        for piece in cut_text(text, 6):
            file.write(piece)
            file.change_block()
    return out.getvalue()


def _xz_padded(text: bytes) -> list[Unit]:
    # Padding may follow a stream, not come first.
    return between(_xz(), b"\x00" * 4, b"\x00" * 4)(text)[2 * bool(text) :]


def _lzma(text: bytes) -> bytes:
    filters = [{"id": lzma.FILTER_LZMA1, "preset": 1, "dict_size": 1 << 16}]
    return lzma.compress(text, format=lzma.FORMAT_ALONE, filters=filters)


XZ = [
    Maker("one block", one(_xz())),
    Maker("CRC32", one(_xz(lzma.CHECK_CRC32))),
    Maker("SHA-256", one(_xz(lzma.CHECK_SHA256))),
    Maker("no check", one(_xz(lzma.CHECK_NONE)), is_checked=False),
    Maker("many blocks", one(_xz_blocks)),
    Maker("many streams", many(_xz())),
    Maker("streams of many blocks", many(_xz_blocks, 3)),
    Maker("padding", _xz_padded),
    Maker("empty streams", between(_xz(), _xz()(b""))),
]
LZMA = [Maker("lzma", one(_lzma), is_checked=False)]


# --- lz4 ------------------------------------------------------------------------------------------


def _lz4(**options: object) -> Callable[[bytes], bytes]:
    return lambda text: lz4.frame.compress(text, **options)


def _lz4_flushed(text: bytes) -> bytes:
    """A block for each few bytes; those that don't shrink are stored as they are."""
    with lz4.frame.LZ4FrameCompressor(
        auto_flush=True, block_checksum=True, content_checksum=True
    ) as frame:
        pieces = [frame.begin()]
        pieces += [frame.compress(piece) for piece in cut_text(text, 50)]
        return b"".join(pieces) + frame.flush()


def _lz4_legacy(text: bytes) -> list[Unit]:
    units = []
    for number, piece in enumerate(cut_text(text, 3)):
        block = lz4.block.compress(piece, store_size=False)
        magic = b"" if number else b"\x02\x21\x4c\x18"
        units.append((magic + struct.pack("<I", len(block)) + block, piece))
    return units


_lz4_checked = _lz4(content_checksum=True, block_checksum=True, store_size=True)

LZ4 = [
    Maker("no checksum", one(_lz4(store_size=False)), is_checked=False),
    Maker("content size", one(_lz4()), is_checked=False),
    Maker("all checksums", one(_lz4_checked)),
    Maker("big blocks", one(_lz4(block_size=7, content_checksum=True))),
    Maker("independent blocks", one(_lz4(block_linked=False, content_checksum=True))),
    Maker("flushed", one(_lz4_flushed)),
    Maker("many frames", many(_lz4_checked)),
    Maker("empty frames", between(_lz4_checked, _lz4_checked(b""))),
    Maker("legacy", _lz4_legacy, is_checked=False),
]


# --- zstd -----------------------------------------------------------------------------------------


def _zstd(**options: object) -> Callable[[bytes], bytes]:
    return lambda text: zstandard.ZstdCompressor(**options).compress(text)


def _zstd_stream(**options: object) -> Callable[[bytes], bytes]:
    """A frame whose writer did not know the length, with a block for each piece."""

    def compress(text: bytes) -> bytes:
        frame = zstandard.ZstdCompressor(**options).compressobj()
        flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        pieces = [frame.compress(piece) + frame.flush(flush) for piece in cut_text(text, 4)]
        return b"".join(pieces) + frame.flush()

    return compress


def _zstd_long(text: bytes) -> bytes:
    parameters = zstandard.ZstdCompressionParameters(
        window_log=31, enable_ldm=True, write_checksum=True, hash_log=8, chain_log=8
    )
    frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return frame.compress(text) + frame.flush()


def _zstd_by_hand(text: bytes) -> bytes:
    """A frame of raw blocks, runs of one byte and empty blocks, with a window of 1 KiB."""
    out = [b"\x28\xb5\x2f\xfd\x00\x00"]
    for start in range(0, len(text), 1000):
        piece = text[start : start + 1000]
        out.append((len(piece) - 1 << 3 | 0 << 1).to_bytes(3, "little") + piece[:-1])
        out.append((1 << 3 | 1 << 1).to_bytes(3, "little") + piece[-1:])
        out.append(b"\x00\x00\x00")
    return b"".join(out) + b"\x01\x00\x00"


def skippable(content: bytes, number: int = 0) -> bytes:
    """A frame that decoders skip, the same in zstd and lz4."""
    return struct.pack("<II", 0x184D2A50 + number, len(content)) + content


def seek_table(units: list[Unit], *, with_checksums: bool = False) -> bytes:
    """The skippable frame that ends a file of the seekable format."""
    entries = b"".join(
        struct.pack("<II", len(stored), len(plain)) + (b"abcd" if with_checksums else b"")
        for stored, plain in units
    )
    footer = struct.pack("<IBI", len(units), 0x80 if with_checksums else 0, 0x8F92EAB1)
    return skippable(entries + footer, 14)


def _zstd_seekable(text: bytes, *, with_checksums: bool = False) -> list[Unit]:
    units = many(_zstd_stream(write_checksum=True), 9)(text)
    return [*units, (seek_table(units, with_checksums=with_checksums), b"")]


_zstd_checked = _zstd(write_checksum=True)

ZSTD = [
    Maker("one frame", one(_zstd_checked)),
    Maker("no checksum", one(_zstd(write_checksum=False)), is_checked=False),
    Maker("no content size", one(_zstd_stream(write_checksum=True))),
    Maker("neither", one(_zstd_stream()), is_checked=False),
    Maker("long window", one(_zstd_long)),
    Maker("raw blocks and runs", one(_zstd_by_hand), is_checked=False),
    Maker("many frames", many(_zstd_checked)),
    Maker("many frames without size", many(_zstd_stream(write_checksum=True))),
    Maker("empty frames", between(_zstd_checked, _zstd_checked(b""))),
    Maker("skippable frames", between(_zstd_checked, skippable(b""), skippable(b"so what", 15))),
    Maker("seekable", _zstd_seekable),
    Maker("seekable with checksums", lambda text: _zstd_seekable(text, with_checksums=True)),
]

LZ4.append(Maker("skippable frames", between(_lz4_checked, skippable(b"so what", 3))))

#: Codec name → the ways in which its files come.
MAKERS: dict[str, list[Maker]] = {
    "bgzf": BGZF,
    "bzip2": BZIP2,
    "gzip": GZIP,
    "lz4": LZ4,
    "lzma": LZMA,
    "plain": PLAIN,
    "xz": XZ,
    "zstd": ZSTD,
}
