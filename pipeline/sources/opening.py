"""A handle on the stored bytes of any source file, and what kind of archive it is."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from pipeline.errors import DamageError, SourceError
from pipeline.model import SourceFile
from pipeline.sources.local import STDIN, describe_status, local_path, pipes
from pipeline.sources.sniff import is_tar, is_zip

if TYPE_CHECKING:
    from collections.abc import Callable

_ARCHIVES = ("tar", "zip")
# bzip2 must decode a block of 900 kB before it gives one byte: there the name has to hint at it.
_TAR_NAMES = (".tar", ".tbz", ".tgz", ".txz", ".tzst", ".taz", ".tlz")


def open_stored(file: SourceFile, span: tuple[int, int] = (0, 0)) -> BinaryIO:
    """Return a new seekable handle on the stored bytes; the caller closes it.

    Each call gives a handle of its own, so that threads can read one file side by side. Local
    files are unbuffered. All errors of reading are OSErrors.

    Parameters
    ----------
    span : tuple of (int, int)
        Stored bytes that will be read for sure: a store is asked for them ahead.

    Raises
    ------
    SourceError
        It is missing, denied or can't be opened, or another file has taken its name.
    """
    path = pipes.get(file.url) or local_path(file.url)
    if path is not None:
        try:
            stored = Path(path).open("rb", buffering=0)  # noqa: SIM115  (the caller closes it)
            now = os.fstat(stored.fileno())
        except (OSError, ValueError) as error:
            raise source_error(file.url, error) from error
        if file.inode is not None and file.inode != (now.st_dev, now.st_ino):
            stored.close()
            raise SourceError(file.url, "changed", "another file has taken its name meanwhile")
        return cast("BinaryIO", stored)
    if archive_protocol(file.url):
        return _open_member(file)
    from pipeline.sources.remote import Store

    store = Store(file.url, file.options)
    if file.size is None:
        found = store.describe()
        return store.open(found.size or 0, found.mtime, found.mark, span)
    return store.open(file.size, file.mtime, file.mark, span)


def is_local(file: SourceFile) -> bool:
    """Tell whether the URL is the path of a local file, and no pipe or archive member."""
    return file.url != STDIN and file.url not in pipes and local_path(file.url) is not None


def is_in_store(file: SourceFile) -> bool:
    """Tell whether a file's bytes come from a store by requests of their own."""
    is_member = archive_protocol(file.url) is not None
    return not (file.url == STDIN or file.url in pipes or is_member) and not is_local(file)


def describe(url: str, options: tuple[tuple[str, str], ...]) -> SourceFile:
    """Return a source file as its store describes it now.

    Raises
    ------
    SourceError
        It is missing or denied.
    """
    path = local_path(url)
    if url == STDIN:
        return SourceFile(STDIN, None)
    if url in pipes:
        return SourceFile(url, pipes[url].stat().st_size)
    if path is not None:
        try:
            return describe_status(url, os.stat(path))  # noqa: PTH116  (a path may hold anything)
        except (OSError, ValueError) as error:
            raise source_error(url, error) from error
    if archive_protocol(url):
        with open_stored(SourceFile(url, None, options=options)) as stored:
            return SourceFile(url, stored.seek(0, os.SEEK_END), options=options)
    from pipeline.sources.remote import Store

    found = Store(url, options).describe()
    return SourceFile(url, found.size, found.mtime, options=options, mark=found.mark)


def archive_protocol(url: str) -> str | None:
    """Return ``tar`` or ``zip`` for the URL of a member, or of some: ``tar://*::logs.tar``."""
    protocol, mark, rest = url.partition("://")
    return protocol if mark and protocol in _ARCHIVES and "::" in rest else None


def archive_kind(file: SourceFile, head: bytes) -> str | None:
    """Return ``tar`` or ``zip`` where a file is one by content; a tar may be compressed."""
    if is_zip(head):
        return "zip"
    return "tar" if is_tar_inside(head, lambda: open_stored(file), file.url) else None


def is_tar_inside(head: bytes, open_file: Callable[[], BinaryIO], url: str) -> bool:
    """Tell whether a file is a tar, by content, under at most one compression."""
    from pipeline.compression import detect, get_codec

    compression = detect(head)
    if compression == "plain":
        return is_tar(head)
    name = url.split("::", 1)[0].rsplit("/", 1)[-1].lower()
    has_hint = any(mark in name for mark in _TAR_NAMES)
    # Asking a store for the head of each compressed object again would double the requests.
    is_dear = compression == "bzip2" or local_path(url) is None
    if is_dear and not has_hint:
        return False
    block = memoryview(bytearray(512))
    length = 0
    with get_codec(compression).open(open_file(), None) as reader:
        try:
            while length < 512 and (n := reader.readinto(block[length:])):
                length += n
        except (DamageError, OSError):
            pass
    return is_tar(bytes(block[:length]))


def source_error(url: str, error: Exception) -> SourceError:
    """Return an error of the system or a store in our words."""
    from pipeline.sources.remote import as_source_error

    return as_source_error(url, error)


def replay(head: bytes, stream: BinaryIO) -> BinaryIO:
    """Return a stream whose first bytes have been read already, from its begin."""
    return cast("BinaryIO", _Replayed(head, stream))


class _Replayed(io.RawIOBase):
    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = memoryview(head)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        piece = self._head[: len(view)] or self._rest.read(len(view)) or b""
        view[: len(piece)] = piece
        self._head = self._head[len(piece) :]
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._rest.close()
        super().close()


def _open_member(file: SourceFile) -> BinaryIO:
    """Return a handle on an archive's member; in a new process the archive is listed anew."""
    from pipeline.sources.members import get_archive, splits_of

    protocol = archive_protocol(file.url) or ""
    problem: SourceError | None = None
    for label, base_url in splits_of(file.url):
        try:
            base = describe(base_url, file.options)
            archive = get_archive(protocol, base, lambda base=base: open_stored(base))  # type: ignore[misc]
        except SourceError as error:
            problem = problem or error
            continue
        if label in archive.members:
            try:
                return archive.open_member(archive.members[label])
            except OSError as error:
                raise source_error(file.url, error) from error
    raise SourceError(file.url, "missing", str(problem or "no such member"))
