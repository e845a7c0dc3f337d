"""Seek points of a big gzip file: places where decoding can begin, kept in a cache directory.

A deflate stream can be decoded from the begin of any of its blocks by who has the 32 KiB of plain
bytes before it. An index holds such places, about equally far apart, their windows, and a digest
of the plain bytes between each two of them, so that a range read by itself is checked as a member
is checked by its CRC32. `pipeline.compression.seek_build` makes one while a file is read.

An index is one file in the cache directory, never beside the source. One that is absent, damaged
or made of another state of the source is as good as none: nothing here stops a run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
from bisect import bisect_right
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from pipeline.cache import default_cache_dir, write_whole
from pipeline.errors import DamageError
from pipeline.model import Cut

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_log = logging.getLogger(__name__)

#: RFC 1951: no match reaches farther back.
WINDOW_BYTES = 32 << 10

#: The indexes in a cache directory are kept below this; the least recently used go first.
MAX_CACHE_BYTES = 1 << 30

_MAGIC = b"sawlog seek index\n"
_VERSION = 1
_DIGEST_BYTES = 32
_ENDS_BYTES = 64 << 10
_SUFFIX = ".seek"
_STALE_S = 24 * 3600

#: Beyond all borders.
FAR = 1 << 62


@dataclass(frozen=True, slots=True)
class SeekPoint:
    """The begin of a deflate block.

    Attributes
    ----------
    bit_offset : int
        Stored bits before it; the lowest bit of a byte is its first.
    plain_offset : int
        Plain bytes before it.
    packed_window : bytes
        The last 32 KiB of them, as a zstd frame.
    """

    bit_offset: int
    plain_offset: int
    packed_window: bytes

    @property
    def window(self) -> bytes:
        """The plain bytes that blocks from here on may look back to."""
        import zstandard

        return zstandard.ZstdDecompressor().decompress(
            self.packed_window, max_output_size=WINDOW_BYTES
        )

    @property
    def cut(self) -> Cut:
        """The same place in the words of the planner."""
        return Cut(self.bit_offset, self.bit_offset // 8, self.plain_offset)


def pack_window(window: bytes) -> bytes:
    """Return a window as `SeekPoint` keeps it."""
    import zstandard

    return zstandard.ZstdCompressor().compress(window)


@dataclass(frozen=True, slots=True)
class SeekIndex:
    """The seek points of one state of a source file.

    Attributes
    ----------
    points : tuple of SeekPoint
        In file order, the begin of the file not among them.
    digests : tuple of int
        CRC32 of the plain bytes up to the first point, between each two, and from the last on.
    plain_size : int
        Plain bytes of the file.
    """

    points: tuple[SeekPoint, ...]
    digests: tuple[int, ...]
    plain_size: int

    def cuts(self, target_plain_bytes: int) -> list[Cut]:
        """Return some points as cuts, at least ``target_plain_bytes`` apart and from both ends."""
        cuts: list[Cut] = []
        next_offset = target_plain_bytes
        for point in self.points:
            if next_offset <= point.plain_offset <= self.plain_size - target_plain_bytes:
                cuts.append(point.cut)
                next_offset = point.plain_offset + target_plain_bytes
        return cuts

    def find(self, cut: Cut) -> SeekPoint:
        """Return the point of a cut that `cuts` returned.

        Raises
        ------
        KeyError
            If it is none of this index.
        """
        at = bisect_right(self.points, cut.position, key=lambda p: p.bit_offset) - 1
        if at < 0 or self.points[at].bit_offset != cut.position:
            raise KeyError(cut)
        return self.points[at]

    def watch(self, start: Cut | None) -> RangeCheck:
        """Return the check of the plain bytes from a cut (None: from the begin) on."""
        return RangeCheck(self, self.points.index(self.find(start)) + 1 if start else 0)


class RangeCheck:
    """Looks on while a file is read, and compares the digests; a `pipeline.compression.gzip.Watch`.

    Parameters
    ----------
    index : SeekIndex
        Of the file.
    first : int
        Number of the range in which reading begins; 0: at the begin of the file.
    """

    def __init__(self, index: SeekIndex, first: int) -> None:
        from isal import isal_zlib

        self._crc32 = isal_zlib.crc32
        self._borders = [*(point.plain_offset for point in index.points), index.plain_size]
        self._offsets = [0, *(point.bit_offset // 8 for point in index.points)]
        self._digests = index.digests
        self._number = first
        self._plain = self._borders[first - 1] if first else 0
        self._digest = 0

    def room(self, plain_offset: int) -> int:
        """Return the plain bytes from here to the next point."""
        if self._number == len(self._borders):
            return FAR
        return self._borders[self._number] - plain_offset

    def take(self, piece: memoryview) -> None:
        """See the next plain bytes.

        Raises
        ------
        DamageError
            Kind ``corrupt``, if they end a range that is not what it was.
        """
        self._digest = self._crc32(piece, self._digest)
        self._plain += len(piece)
        if self._number == len(self._borders) or self._plain < self._borders[self._number]:
            return
        if self._digest != self._digests[self._number]:
            raise self._differs("checksum mismatch between two seek points")
        self._digest = 0
        self._number += 1

    def _differs(self, detail: str) -> DamageError:
        return DamageError("corrupt", self._offsets[self._number], None, detail)

    def end_member(self, stored_offset: int, plain_offset: int) -> None:
        """See that a member has ended."""

    def end_file(self, plain_offset: int) -> None:
        """See that the file has ended.

        Raises
        ------
        DamageError
            Kind ``corrupt``, if it is shorter than it was.
        """
        if plain_offset < self._borders[-1]:
            raise self._differs("the file is shorter than its seek index says")

    def close(self) -> None:
        """See that no more comes."""


@dataclass(frozen=True, slots=True)
class SourceIdentity:
    """What tells one state of a source file from another.

    Attributes
    ----------
    url : str
        As the run names it.
    size : int
        Stored bytes.
    mark : str
        Change mark: mtime or ETag, empty where the store tells none.
    ends : str
        Digest of the first and the last 64 KiB of stored bytes.
    """

    url: str
    size: int
    mark: str
    ends: str


def identify(stored: BinaryIO, url: str, size: int, mark: float | str | None) -> SourceIdentity:
    """Return the identity of a source file.

    Parameters
    ----------
    stored : BinaryIO
        The source file, seekable. Stays open; where it stands afterwards is not defined.
    url : str
        As the run names it.
    size : int
        Stored bytes at planning.
    mark : float, str or None
        Change mark.

    Raises
    ------
    OSError
        If the file can't be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    for start in (0, max(0, size - _ENDS_BYTES)):
        stored.seek(start)
        left = min(_ENDS_BYTES, size)
        while left and (piece := stored.read(left)):
            digest.update(piece)
            left -= len(piece)
    return SourceIdentity(url, size, "" if mark is None else str(mark), digest.hexdigest())


def load(identity: SourceIdentity, directory: Path | None = None) -> SeekIndex | None:
    """Return the index of a source file, None if there is none for this state of it.

    Never raises. ``directory`` None is `default_cache_dir`.
    """
    try:
        path = _path(identity, directory)
        content = path.read_bytes()
        index = _decode(content, identity)
    except FileNotFoundError:
        return None
    except Exception as error:  # noqa: BLE001  (an index is a hint: a bad one is none)
        _log.info("seek index of %s not used: %s", identity.url, error)
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # it was used
    return index


def store(index: SeekIndex, identity: SourceIdentity, directory: Path | None = None) -> None:
    """Keep the index of a source file, in place of an older one; never raises for the store.

    Parameters
    ----------
    index : SeekIndex
        Of this state of the source.
    identity : SourceIdentity
        As it was before the source was read.
    directory : Path, optional
        Default: `default_cache_dir`. Made if absent.
    """
    try:
        path = _path(identity, directory)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, _encode(index, identity))
        _trim(path)
    except (OSError, RuntimeError) as error:
        _log.info("seek index of %s not kept: %s", identity.url, error)


def _path(identity: SourceIdentity, directory: Path | None) -> Path:
    name = hashlib.blake2b(identity.url.encode(errors="surrogateescape"), digest_size=16)
    return (directory or default_cache_dir()) / (name.hexdigest() + _SUFFIX)


def _encode(index: SeekIndex, identity: SourceIdentity) -> bytes:
    """Return the file: magic, length of the header, header (JSON), windows, digest of all that."""
    points = [(p.bit_offset, p.plain_offset, len(p.packed_window)) for p in index.points]
    header = {
        "version": _VERSION,
        "source": asdict(identity),
        "plain_size": index.plain_size,
        "points": points,
        "digests": index.digests,
    }
    text = json.dumps(header).encode()
    windows = b"".join(p.packed_window for p in index.points)
    body = _MAGIC + len(text).to_bytes(8, "little") + text + windows
    return body + hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()


def _decode(content: bytes, identity: SourceIdentity) -> SeekIndex:
    """Return the index in a file; raises whatever there is to raise."""
    body, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if not body.startswith(_MAGIC):
        raise ValueError("no seek index")
    if hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest() != digest:
        raise ValueError("checksum mismatch")
    begin = len(_MAGIC) + 8
    at = begin + int.from_bytes(body[len(_MAGIC) : begin], "little")
    header: dict[str, Any] = json.loads(body[begin:at])
    if header["version"] != _VERSION:
        raise ValueError(f"version {header['version']}, not {_VERSION}")
    if header["source"] != asdict(identity):
        raise ValueError("made of another state of the source")
    points = []
    for bit_offset, plain_offset, length in header["points"]:
        points.append(SeekPoint(bit_offset, plain_offset, body[at : at + length]))
        at += length
    return SeekIndex(tuple(points), tuple(header["digests"]), header["plain_size"])


def _trim(newest: Path) -> None:
    """Remove the least recently used indexes beyond the limit, and what a killed run left."""
    indexes = sorted(_list(newest.parent, _SUFFIX), key=lambda item: item[1].st_mtime)
    total = sum(status.st_size for _, status in indexes)
    for path, status in indexes:
        if total <= MAX_CACHE_BYTES:
            break
        if path != newest:
            path.unlink(missing_ok=True)
            total -= status.st_size
    for path, status in _list(newest.parent, ".tmp"):
        if time.time() - status.st_mtime > _STALE_S:
            path.unlink(missing_ok=True)


def _list(directory: Path, suffix: str) -> Iterator[tuple[Path, os.stat_result]]:
    for path in directory.glob(f"*{suffix}"):
        with contextlib.suppress(FileNotFoundError):
            yield path, path.stat()
