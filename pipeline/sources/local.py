"""Local files: paths, folders, links, pipes. Imports nothing that a small run would wait for."""

from __future__ import annotations

import glob
import os
import stat
from pathlib import Path

from pipeline.errors import SourceError
from pipeline.model import SourceFile
from pipeline.rotation import parse_name
from pipeline.sources.sniff import SNIFF_BYTES, why_not_by_name

STDIN = "-"
_PROTOCOLS = ("file://", "local://")
_DEV_NULL = os.makedev(1, 3)

#: Named pipes and process substitutions by URL: spooled, since they can be read but once.
pipes: dict[str, Path] = {}


def local_path(url: str) -> str | None:
    """Return the path of a local file, None for what lies elsewhere."""
    if "://" not in url:
        return url
    return next((url.removeprefix(name) for name in _PROTOCOLS if url.startswith(name)), None)


def expand(argument: str, *, allow_missing: bool = False) -> list[str]:
    """Return the paths that an argument names, sorted: its own, or those that match it as a glob.

    Raises
    ------
    SourceError
        A glob matches nothing.
    """
    path = local_path(argument) or ""
    if os.path.lexists(path.replace("\0", "?")) or not glob.has_magic(path):
        return [argument]
    protocol = argument[: len(argument) - len(path)]
    found = sorted(glob.glob(path, recursive=True))  # noqa: PTH207  (keeps the path as it was written)
    if not found and not allow_missing:
        raise SourceError(argument, "no match", "no file matches")
    return [protocol + match for match in found] or [argument]


def siblings_of(url: str) -> list[str]:
    """Return the files of a rotated set that lie in the folder of one of them, sorted."""
    folder = os.path.dirname(url)  # noqa: PTH120  (PurePath would drop a leading ./)
    base = parse_name(url).base
    try:
        names = sorted(os.listdir(local_path(folder) or "."))  # noqa: PTH208
    except (OSError, ValueError):
        return []
    urls = (os.path.join(folder, name) for name in names)  # noqa: PTH118
    return [
        one
        for one in urls
        if parse_name(one).base == base and Path(local_path(one) or "").is_file()
    ]


def identity_of(status: os.stat_result) -> tuple[int, int]:
    """Return what a file, its hard links and the links to it have in common."""
    return status.st_dev, status.st_ino


def describe_status(url: str, status: os.stat_result, *, explicit: bool = True) -> SourceFile:
    """Return a local source file as the file system describes it."""
    inode = (status.st_dev, status.st_ino)
    return SourceFile(url, status.st_size, status.st_mtime, explicit, inode=inode)


def is_hidden(url: str) -> bool:
    """Tell whether a folder found in a folder is hidden."""
    return os.path.basename(url).startswith(".")  # noqa: PTH119


def is_dev_null(status: os.stat_result) -> bool:
    """Tell whether this is ``/dev/null``, which reads as an empty log."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == _DEV_NULL


def spool_pipe(url: str, path: str) -> SourceFile:
    """Copy a named pipe into the temporary folder: heads and splits are read several times."""
    from pipeline.sources.spool import spool_stream

    with Path(path).open("rb") as stream:
        pipes[url] = spool_stream(stream)
    return SourceFile(url, pipes[url].stat().st_size)


def read_local_head(path: str) -> bytes:
    """Return the first stored bytes."""
    with Path(path).open("rb", buffering=0) as stored:
        return stored.read(SNIFF_BYTES)


def why_not_local(path: str, status: os.stat_result) -> str | None:
    """Say why a file found in a folder is passed over for its name or kind."""
    if why := why_not_by_name(os.path.basename(path)):  # noqa: PTH119
        return why
    if not stat.S_ISREG(status.st_mode):
        return "no regular file"
    return "a sparse file" if _is_sparse(path, status) else None


def why_not_path(path: str) -> str | None:
    """Say why a path in an archive or a store is passed over for its name, or a hidden folder's."""
    *folders, name = path.strip("/").split("/")
    if any(folder.startswith(".") and folder not in (".", "..") for folder in folders):
        return "in a hidden folder"
    return why_not_by_name(name)


def _is_sparse(path: str, status: os.stat_result) -> bool:
    """Tell whether most of a file is holes, as of lastlog.

    Few blocks alone don't say so: file systems compress, and allocate late.
    """
    if status.st_blocks * 512 * 2 >= status.st_size:
        return False
    with Path(path).open("rb", buffering=0) as stored:
        try:
            return os.lseek(stored.fileno(), 0, os.SEEK_HOLE) < status.st_size
        except OSError:
            return False
