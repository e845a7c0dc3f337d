"""Members of tar and zip archives as files of their own. Nothing is ever unpacked by its name.

A member's handle is a window onto the archive, with a handle of its own: several threads read
members, or one member, side by side. What has no random access (a tar inside a compression or on
standard input, a deflated zip member that is read in pieces) is spooled once into a private
temporary folder (`pipeline.sources.spool`).
"""

from __future__ import annotations

import io
import os
import tarfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from pipeline.errors import SourceError
from pipeline.sources.spool import PIECE_BYTES, new_spool, write_spool

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Callable
    from typing import Any


# A header of extended names is some hundred bytes; a hostile one may claim gigabytes.
_MAX_HEADER_BYTES = 16 << 20
_LAST_UNIX_SECOND = 253_402_300_799  # of the year 9999
_ZIP_METHODS = (0, 8, 12, 14)  # stored, deflated, bzip2, lzma: what zipfile can do


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in an archive.

    ``label`` is its path there, made unique and printable as UTF-8; never a path to write to.
    ``mtime`` is in Unix seconds; zip has local time, taken as UTC. ``place`` is the offset of a
    tar member's first byte, or zipfile's own description.
    """

    label: str
    size: int
    mtime: float | None
    place: int | zipfile.ZipInfo


@dataclass(slots=True)
class Archive:
    """What an archive holds.

    Attributes
    ----------
    open_member : callable
        Returns a new seekable handle.
    members : dict of str to Member
        By label, in archive order.
    skipped : list of (str, str)
        Label and why: links, devices, sparse files.
    failed : list of (str, str)
        Label and why: encrypted, unknown method.
    damage : str
        Why there may be members that are not listed; empty for a whole archive.
    """

    open_member: Callable[[Member], BinaryIO]
    members: dict[str, Member] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    damage: str = ""

    _twins: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, size: int, mtime: float | None, place: int | zipfile.ZipInfo) -> None:
        """Enter a member; the second of the same name gets ``#2``: both are read."""
        label = free = _label(name)
        while free in self.members:
            self._twins[label] = self._twins.get(label, 1) + 1
            free = f"{label}#{self._twins[label]}"
        self.members[free] = Member(free, size, mtime, place)


class _Window(io.RawIOBase):
    """A range of a stored file as a file of its own, which owns the handle."""

    def __init__(self, stored: BinaryIO, offset: int, size: int) -> None:
        self._stored = stored
        self._offset = offset
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = (0, self._position, self._size)[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")[: max(0, self._size - self._position)]
        if not len(view):
            return 0
        # Always: whoever made the handle may have moved it, and a seek costs next to nothing.
        self._stored.seek(self._offset + self._position)
        n: int = self._stored.readinto(view) or 0  # type: ignore[attr-defined]
        self._position += n
        return n

    def close(self) -> None:
        if not self.closed:
            self._stored.close()
        super().close()


def read_tar(open_base: Callable[[], BinaryIO], size: int) -> Archive:
    """List a tar archive, or several one after the other.

    A member that the end of the file cuts is listed with the size its header names: its reader
    finds the file short. Nothing after a damaged header is listed.

    Parameters
    ----------
    open_base : callable
        Returns a new seekable handle on the plain archive.
    size : int
        Its bytes.
    """

    def open_member(member: Member) -> BinaryIO:
        return cast("BinaryIO", _Window(open_base(), cast("int", member.place), member.size))

    archive = Archive(open_member)
    with open_base() as stored:
        start: int | None = 0
        while start is not None:
            start = _read_one_tar(stored, start, size, archive)
    return archive


def read_zip(open_base: Callable[[], BinaryIO]) -> Archive:
    """List a zip archive.

    Raises
    ------
    zipfile.BadZipFile
        It has no readable directory, as when its end is cut off.
    """
    import stat
    import zipfile
    from datetime import UTC, datetime

    archive = Archive(lambda member: cast("BinaryIO", _ZipMember(open_base, member)))
    with open_base() as stored, zipfile.ZipFile(stored) as directory:
        for info in directory.infolist():
            if info.is_dir():
                continue
            if stat.S_ISLNK(info.external_attr >> 16):
                archive.skipped.append((_label(info.filename), "a link"))
            elif info.flag_bits & 1:
                archive.failed.append((_label(info.filename), "encrypted"))
            elif info.compress_type not in _ZIP_METHODS:
                why = f"zip method {info.compress_type} is not supported"
                archive.failed.append((_label(info.filename), why))
            else:
                try:
                    mtime = datetime(*info.date_time, tzinfo=UTC).timestamp()
                except ValueError:  # DOS times can name a month 0
                    mtime = None
                archive.add(info.filename, info.file_size, mtime, info)
    return archive


class _Headers:
    """The handle that tarfile gets: it refuses headers of hostile size."""

    def __init__(self, stored: BinaryIO) -> None:
        self._stored = stored
        self.tell = stored.tell
        self.seek = stored.seek

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._stored.read(size)


def _read_one_tar(stored: BinaryIO, start: int, size: int, archive: Archive) -> int | None:
    """List the tar archive that begins at ``start``; return where another one begins."""
    window = _Window(cast("BinaryIO", _Unowned(stored)), start, size - start)
    position = 0
    try:
        tar = tarfile.open(  # noqa: SIM115  (it owns nothing; its end is the window's)
            fileobj=cast("BinaryIO", _Headers(cast("BinaryIO", window))), mode="r:"
        )
        while member := tar.next():
            _add_tar_member(archive, member, start)
            position = tar.offset
            _check_whole(position, size - start)
        position = max(position, tar.offset)
    except (tarfile.TarError, ValueError, OverflowError, OSError, RecursionError) as error:
        archive.damage = f"cut or damaged after byte {start + position:,}: {error}"
        return None
    return _find_next_tar(stored, start + position, size, archive)


def _check_whole(end: int, size: int) -> None:
    """Raise where a member ends after the archive does; its last block may lack padding."""
    if end - 511 > size:
        raise tarfile.ReadError(f"the last member ends {end - size:,} bytes after the file")


def _add_tar_member(archive: Archive, member: tarfile.TarInfo, start: int) -> None:
    """Enter a regular file; name what is none."""
    if member.isdir():
        return
    if member.issparse():
        archive.skipped.append((_label(member.name), "a sparse file"))
    elif member.islnk() and (target := archive.members.get(_label(member.linkname))):
        archive.add(member.name, target.size, target.mtime, target.place)
    elif member.issym() or member.islnk():
        archive.skipped.append((_label(member.name), f"a link to {_label(member.linkname)}"))
    elif not member.isreg():
        archive.skipped.append((_label(member.name), "no regular file"))
    else:
        archive.add(member.name, member.size, _mtime(member), start + member.offset_data)


def _mtime(member: tarfile.TarInfo) -> float | None:
    """Return when a member was changed; None for what can't be a time: a header may say NaN."""
    return float(member.mtime) if 0 < member.mtime < _LAST_UNIX_SECOND else None


def _find_next_tar(stored: BinaryIO, position: int, size: int, archive: Archive) -> int | None:
    """Look at what follows the last header: zeros as it should be, another archive, or damage.

    tarfile itself ends without a word at a header it can't read.
    """
    from pipeline.sources.sniff import is_tar

    begin = position
    stored.seek(position)
    while piece := stored.read(min(PIECE_BYTES, max(0, size - position))):
        rest = piece.lstrip(b"\0")
        if rest:
            place = position + (len(piece) - len(rest)) // 512 * 512
            stored.seek(place)
            if place > begin and is_tar(stored.read(512)):
                return place
            archive.damage = f"no tar header at byte {place:,}; what follows is not read"
            return None
        position += len(piece)
    if position == begin:
        archive.damage = f"ends at byte {size:,} without the mark of a tar's end: it may be cut"
    return None


class _Unowned:
    """A handle that a window may use but not close."""

    def __init__(self, stored: BinaryIO) -> None:
        self.seek = stored.seek
        self.readinto: Callable[[memoryview], int] = stored.readinto  # type: ignore[attr-defined]

    def close(self) -> None:
        """Leave it open."""


class _ZipMember(io.RawIOBase):
    """A zip member; reading from its begin is a stream, reading elsewhere spools it once."""

    def __init__(self, open_base: Callable[[], BinaryIO], member: Member) -> None:
        self._open_base = open_base
        self._member = member
        self._position = 0
        self._handle: BinaryIO = self._open_stream()
        self._handle_position = 0
        self._is_spooled = False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = (0, self._position, self._member.size)[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        import zipfile
        import zlib

        view = memoryview(buffer).cast("B")
        if self._position >= self._member.size or not len(view):
            return 0
        if self._position != self._handle_position:
            self._move()
        try:
            piece = self._handle.read(min(len(view), PIECE_BYTES))
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
            raise OSError(f"damaged zip member: {error}") from error
        view[: len(piece)] = piece
        self._position += len(piece)
        self._handle_position = self._position
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._handle.close()
        super().close()

    def _move(self) -> None:
        if self._position == 0 and not self._is_spooled:
            self._handle.close()
            self._handle = self._open_stream()
        else:
            if not self._is_spooled:
                self._handle.close()
                self._handle = _spool_member(self._member, self._open_stream).open("rb")
                self._is_spooled = True
            self._handle.seek(self._position)
        self._handle_position = self._position

    def _open_stream(self) -> BinaryIO:
        import zipfile

        stored = self._open_base()
        try:
            with zipfile.ZipFile(stored) as directory:
                # The member's handle keeps the archive's open until it is closed itself.
                return _Owning(directory.open(cast("zipfile.ZipInfo", self._member.place)), stored)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            stored.close()
            raise OSError(f"damaged zip member: {error}") from error


class _Owning(io.BufferedReader):
    """A handle that closes the one below it as well."""

    def __init__(self, handle: Any, below: BinaryIO) -> None:
        super().__init__(handle)
        self._below = below

    def close(self) -> None:
        super().close()
        self._below.close()


_spool_lock = threading.Lock()
_spooled_members: dict[int, Path] = {}


def _spool_member(member: Member, open_stream: Callable[[], BinaryIO]) -> Path:
    """Unpack a zip member once per process; damaged ones up to the damage."""
    with _spool_lock:
        path = _spooled_members.get(id(member))
        if path is None:
            with new_spool() as spool, open_stream() as stream:
                try:
                    while piece := stream.read(PIECE_BYTES):
                        write_spool(spool, memoryview(piece))
                except Exception as error:
                    if isinstance(error, SourceError):
                        raise
                    # Its readers find the file short: that is how the damage shows.
            path = _spooled_members[id(member)] = Path(spool.name)
        return path


def _label(name: str) -> str:
    """Return a member's path as a label: no leading ``./`` or ``/``, valid as UTF-8."""
    while name.startswith(("./", "/")):
        name = name.removeprefix(".").lstrip("/")
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") or "(no name)"
