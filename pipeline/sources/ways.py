"""Get ranges of stored objects in three ways, pinned to what was seen at planning.

1. Stores with ``call_s3`` get a request that holds for one version or ETag only.
2. Stores whose ``cat_file`` takes a range are asked for it, and afterwards whether the object is
   still the one that was planned.
3. All others (SFTP) read through handles; each is used by one thread at a time.
"""

from __future__ import annotations

import inspect
import os
import threading
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.errors import StoreError
from pipeline.sources.fetch import HEAD_MARK, kind_of, mark_of, mark_of_head, requests

if TYPE_CHECKING:
    from collections.abc import Callable


class Way(Protocol):
    """How a store gives a range of one object."""

    def get(self, start: int, stop: int) -> bytes:
        """Return the stored bytes in [start, stop); may be called by several threads."""

    def close(self) -> None:
        """Give up what is held."""


def choose_way(
    fs: Any,
    path: str,
    size: int,
    mtime: float | None,
    mark: str | None,
    reconnect: Callable[[Any], Any],
) -> Way:
    """Return how to read an object of a file system.

    ``reconnect`` returns another file system for one whose connection is gone.
    """
    if hasattr(type(fs), "call_s3"):
        return _S3Way(fs, path, mark)
    check = _Check(path, size, mtime, mark)
    if _takes_ranges(fs):
        return _CatWay(fs, path, check)
    return _HandleWay(fs, path, check, reconnect)


class _S3Way:
    """Conditional requests: the store itself refuses to give bytes of another object."""

    def __init__(self, fs: Any, path: str, mark: str | None) -> None:
        self._fs = fs
        bucket, key, version = fs.split_path(path)
        self._asked = {"Bucket": bucket, "Key": key}
        name, _, value = (mark or "").partition(":")
        if name == "VersionId" or version:
            self._asked["VersionId"] = version or value
        elif name == "ETag":
            self._asked["IfMatch"] = value

    def get(self, start: int, stop: int) -> bytes:
        from fsspec.asyn import sync

        try:
            piece: bytes = sync(self._fs.loop, self._get, start, stop)
        except FileNotFoundError:
            raise StoreError("changed", "the object was removed during the run") from None
        except OSError as error:
            if is_refused(error):
                raise _replaced() from None
            raise
        return piece

    async def _get(self, start: int, stop: int) -> bytes:
        # The coroutine behind the public call_s3: the body must be read in the store's own loop.
        answer = await self._fs._call_s3(  # noqa: SLF001
            "get_object", **self._asked, Range=f"bytes={start}-{stop - 1}"
        )
        body = answer["Body"]
        try:
            piece: bytes = await body.read()
        finally:
            body.close()
        return piece

    def close(self) -> None:
        pass


class _Check:
    """Asks whether an object is still the one that was planned."""

    def __init__(self, path: str, size: int, mtime: float | None, mark: str | None) -> None:
        self._path = path
        self._size = size
        self._mtime = mtime
        self._mark = mark

    def __call__(self, fs: Any, get: Callable[[int, int], bytes]) -> None:
        from pipeline.sources.objects import change_time

        if self._mark is None and self._mtime is None:
            return
        requests.add()
        try:
            info = fs.info(self._path)
        except FileNotFoundError:
            raise StoreError("changed", "the object was removed during the run") from None
        size = info.get("size")
        if self._mark is not None and not self._mark.startswith(HEAD_MARK):
            is_same = mark_of(info) == self._mark
        elif size is None or size == self._size:
            is_same = self._mtime is None or change_time(info) == self._mtime
        elif size > self._size and self._mark is not None:
            # A log that grows is fine: what came later is not read.
            n = int(self._mark.split(":")[1])
            is_same = mark_of_head(get(0, n)) == self._mark
        else:
            is_same = False
        if not is_same:
            raise _replaced()


class _CatWay:
    def __init__(self, fs: Any, path: str, check: _Check) -> None:
        self._fs = fs
        self._path = path
        self._check = check

    def get(self, start: int, stop: int) -> bytes:
        piece = self._cat(start, stop)
        self._check(self._fs, self._cat)
        return piece

    def _cat(self, start: int, stop: int) -> bytes:
        piece: bytes = self._fs.cat_file(self._path, start=start, end=stop)
        if len(piece) > stop - start:
            raise StoreError("no ranges", "the server gives whole files only")
        return piece

    def close(self) -> None:
        pass


class _HandleWay:
    def __init__(self, fs: Any, path: str, check: _Check, reconnect: Callable[[Any], Any]) -> None:
        self._fs = fs
        self._path = path
        self._check = check
        self._reconnect = reconnect
        self._is_broken = False
        self._lock = threading.Lock()
        self._free: list[Any] = []
        self._is_closed = False

    def get(self, start: int, stop: int) -> bytes:
        handle = None
        try:
            handle = self._take()
            piece = _read_range(handle, start, stop)
            self._check(self._fs, lambda first, last: _read_range(handle, first, last))
        except Exception as error:
            _close_quietly(handle)
            # The connection may be gone, and all handles with it.
            self._is_broken = kind_of(error) == "unreadable"
            raise
        with self._lock:
            if not self._is_closed:
                self._free.append(handle)
                return piece
        _close_quietly(handle)
        return piece

    def _take(self) -> Any:
        with self._lock:
            if self._is_broken:
                self._free.clear()
                self._fs = self._reconnect(self._fs)
                self._is_broken = False
            if self._free:
                return self._free.pop()
        return self._open()

    def _open(self) -> Any:
        from fsspec.caching import BaseCache
        from fsspec.spec import AbstractBufferedFile

        requests.add()
        handle = self._fs.open(self._path, "rb")
        if isinstance(handle, AbstractBufferedFile):
            # It would read ahead by itself, and throw it away at the next seek.
            handle.cache = BaseCache(handle.blocksize, handle._fetch_range, handle.size)  # noqa: SLF001
        return handle

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            handles, self._free = self._free, []
        for handle in handles:
            _close_quietly(handle)


def _read_range(handle: Any, start: int, stop: int) -> bytes:
    handle.seek(start, os.SEEK_SET)
    pieces = []
    while start < stop and (piece := handle.read(stop - start)):
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces) if len(pieces) != 1 else bytes(pieces[0])


def _close_quietly(handle: Any) -> None:
    try:
        handle.close()
    except Exception:  # noqa: BLE001  # the connection may be gone
        return


def _takes_ranges(fs: Any) -> bool:
    """Tell whether ``cat_file`` gives ranges by itself: sshfs gives the whole file instead."""
    from fsspec.asyn import AsyncFileSystem
    from fsspec.spec import AbstractFileSystem

    kind = type(fs)
    if isinstance(fs, AsyncFileSystem):
        return "start" in inspect.signature(kind._cat_file).parameters  # noqa: SLF001
    return kind.cat_file is not AbstractFileSystem.cat_file and not hasattr(fs, "target_protocol")


def is_refused(error: BaseException) -> bool:
    """Tell whether a store refused since the object isn't the one that was asked for.

    Of two who write on a condition at the same moment Amazon's tells one so with a 409.
    """
    answer = getattr(error.__cause__, "response", None) or {}
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    code = answer.get("Error", {}).get("Code")
    return status == 412 or code in ("PreconditionFailed", "412", "ConditionalRequestConflict")


def _replaced() -> StoreError:
    return StoreError("changed", "another object has taken its name during the run")
