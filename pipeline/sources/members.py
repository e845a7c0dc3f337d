"""Archives by URL: which members a pattern names, and a handle on each."""

from __future__ import annotations

import re
import threading
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pipeline.errors import SourceError
from pipeline.sources import archives, spool
from pipeline.sources.remote import as_source_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.model import SourceFile
    from pipeline.sources.archives import Archive, Member

_MAGIC = re.compile(r"[*?\[]")

_archives: dict[tuple[str, str, int | None, float | None], Archive] = {}
_lock = threading.RLock()  # an archive may lie in an archive


def get_archive(protocol: str, base: SourceFile, open_base: Callable[[], BinaryIO]) -> Archive:
    """Return what an archive holds; listed, and unpacked if it must be, once per process.

    Raises
    ------
    SourceError
        It is none, or can't be read.
    """
    from zipfile import BadZipFile

    key = _key(protocol, base)
    with _lock:
        if key not in _archives:
            try:
                _archives[key] = _read_archive(protocol, base, open_base)
            except (OSError, ValueError, EOFError, NotImplementedError, BadZipFile) as error:
                raise as_source_error(base.url, error) from error
        return _archives[key]


def keep_archive(protocol: str, base: SourceFile, archive: Archive) -> None:
    """Enter an archive that can be read but once: standard input."""
    with _lock:
        _archives[_key(protocol, base)] = archive


def _key(protocol: str, base: SourceFile) -> tuple[str, str, int | None, float | None]:
    """Return what tells an archive from another one, or from itself when it was written anew."""
    url = base.url if "://" in base.url else str(Path(base.url).absolute())
    return protocol, url, base.size, base.mtime


def read_spooled_tar(stored: BinaryIO, compression: str) -> Archive:
    """Spool a tar stream, plain or compressed, and list it; closes the stream."""
    from pipeline.compression import get_codec

    path, damage = spool.spool_plain(get_codec(compression).open(stored, None))
    archive = archives.read_tar(lambda: path.open("rb", buffering=0), path.stat().st_size)
    # Where the compression is damaged the tar is cut as a matter of course.
    archive.damage = damage or archive.damage
    return archive


def url_of(protocol: str, label: str, base_url: str) -> str:
    """Return the URL of a member."""
    return f"{protocol}://{label}::{base_url}"


def splits_of(url: str) -> Iterator[tuple[str, str]]:
    """Yield what may be label and archive of a member's URL; a hostile label may hold ``::``."""
    rest = url.partition("://")[2]
    for mark in re.finditer("::", rest):
        yield rest[: mark.start()], rest[mark.end() :]


def choose_members(archive: Archive, pattern: str) -> tuple[list[Member], bool]:
    """Return the members that a pattern names, in archive order.

    As in a folder, ``*`` ends at a slash, ``**`` does not, and a folder means all that is in it.

    Returns
    -------
    tuple of (list of Member, bool)
        And whether the user named the one by its full path.
    """
    if pattern in archive.members:
        return [archive.members[pattern]], True
    names = matcher(pattern)
    return [member for label, member in archive.members.items() if names(label)], False


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return the test whether a label or one of its folders matches."""
    pattern = pattern.removeprefix("./").strip("/")
    if pattern in ("", "*", "**"):
        return lambda _: True
    parts = pattern.split("/")
    return lambda label: _matches(parts, label.split("/"))


def has_magic(text: str) -> bool:
    """Tell whether a path has glob characters."""
    return _MAGIC.search(text) is not None


def _read_archive(protocol: str, base: SourceFile, open_base: Callable[[], BinaryIO]) -> Archive:
    from pipeline.compression import detect
    from pipeline.sources.sniff import SNIFF_BYTES, is_tar

    if protocol == "zip":
        return archives.read_zip(open_base)
    with open_base() as stored:
        head = stored.read(SNIFF_BYTES)
    compression = detect(head)
    if compression != "plain":
        return read_spooled_tar(open_base(), compression)
    if not is_tar(head):
        raise SourceError(base.url, "unreadable", "no tar archive")
    return archives.read_tar(open_base, base.size or 0)


def _matches(parts: list[str], names: list[str]) -> bool:
    """Tell whether a label begins with folders, or is a file, that the parts of a pattern match."""
    if not parts:
        return True
    if parts[0] == "**":
        return any(_matches(parts[1:], names[skipped:]) for skipped in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], parts[0]) and _matches(parts[1:], names[1:])
