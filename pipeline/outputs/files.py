"""Put files in place whole or not at all.

Everything is written first, each file in a new hidden directory beside its place, so that it is on
the same file system; when all are complete and on disk they are moved to their places. Whatever
goes wrong before that, the places are untouched and nothing of ours is left. What is to go
to a store (``s3://…``) is written to a local file first and sent in one piece, before the moves.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pipeline.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

#: Where a file under way can be seen under its name: it is sent under another one and renamed.
#: Stores of objects show an object when it is complete, and have no renaming.
_FILE_PROTOCOLS = frozenset({"ftp", "hdfs", "sftp", "smb", "ssh"})


def is_remote(path: str) -> bool:
    """Tell whether a path is a URL for fsspec; ``file://`` is not."""
    return "://" in path and not path.startswith(("file://", "local://"))


def to_local(path: str) -> Path:
    """Return where a local file really stands: a symbolic link is kept, its target replaced."""
    return Path(path.removeprefix("file://").removeprefix("local://")).resolve()


def shows_files_under_way(system: Any) -> bool:
    """Tell whether a file can be seen in a file system of fsspec's before it is complete."""
    protocols = {system.protocol} if isinstance(system.protocol, str) else {*system.protocol}
    return bool(protocols & _FILE_PROTOCOLS)


def put_files(
    writers: Sequence[tuple[str, Callable[[Path], None]]],
    storage_options: Mapping[str, Any] | None = None,
) -> None:
    """Write several files; none of them can be seen before all of them are complete.

    Parameters
    ----------
    writers : sequence of (str, callable)
        A path or URL, and what writes its content to a new local file.
    storage_options : mapping, optional
        For fsspec.

    Raises
    ------
    OutputError
        If one can't be written. Names it.
    """
    with ExitStack() as stack:
        ready = []
        for path, write in writers:
            with _naming(path):
                parent = None if is_remote(path) else to_local(path).parent
                folder = tempfile.TemporaryDirectory(
                    prefix=".sawlog-", dir=parent, ignore_cleanup_errors=True
                )
                # The name counts: DuckDB calls its catalog after the file.
                temporary = Path(stack.enter_context(folder), path.rsplit("/", 1)[-1])
                write(temporary)
                _sync(temporary)
                ready.append((path, temporary))
        for path, temporary in sorted(ready, key=lambda pair: not is_remote(pair[0])):
            with _naming(path):
                if is_remote(path):
                    _send(path, temporary, storage_options or {})
                else:
                    _move(temporary, to_local(path))


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Turn what the system says into an error that names the output."""
    try:
        yield
    except OutputError:
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise OutputError(f"{path}: can't be written: {reason}") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _move(temporary: Path, place: Path) -> None:
    if place.exists():
        if not place.is_file():
            raise OutputError(f"{place}: this is no regular file.")
        temporary.chmod(place.stat().st_mode & 0o777)
    temporary.replace(place)
    # Not every file system can sync a directory; the file itself is safe.
    with suppress(OSError):
        _sync(place.parent)


def _send(url: str, temporary: Path, storage_options: Mapping[str, Any]) -> None:
    import fsspec

    from pipeline.sources.secrets import typed_options

    system, path = fsspec.core.url_to_fs(url, **typed_options(storage_options))
    content = temporary.read_bytes()
    if not shows_files_under_way(system):
        system.pipe_file(path, content)
        return
    folder, _, name = path.rpartition("/")
    under_way = f"{folder}/.sawlog-{uuid4().hex}-{name}"
    try:
        system.pipe_file(under_way, content)
        system.mv(under_way, path)
    except BaseException:
        with suppress(Exception):
            system.rm_file(under_way)
        raise
