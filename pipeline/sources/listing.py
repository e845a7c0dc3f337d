"""List stores page by page: what a glob or a folder names, in order, never all of it at once."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any

from pipeline.sources.fetch import requests
from pipeline.sources.ranged import pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Info = dict[str, Any]

#: Folders that are listed at a time.
_FOLDERS_AHEAD = 16
_MAGIC = re.compile(r"[*?\[]")


class Lister:
    """Lists a file system; nothing is kept, its own cache of listings included.

    Parameters
    ----------
    fs : fsspec file system
        S3 is listed by its own requests, which give pages of a flat, sorted list.
    insist : callable
        Calls what may fail for a while.
    """

    def __init__(self, fs: Any, insist: Callable[[Callable[[], Any]], Any]) -> None:
        self._fs = fs
        self._insist = insist
        # With versions asked for, fsspec's own listing tells them.
        self._is_s3 = hasattr(type(fs), "call_s3") and not getattr(fs, "version_aware", False)

    def glob(self, pattern: str) -> Iterator[Info]:
        """Yield what matches; a ``**`` means files below any folders."""
        parts = pattern.strip("/").split("/")
        n_plain = next(i for i, part in enumerate(parts) if _MAGIC.search(part))
        root = "/" * pattern.startswith("/") + "/".join(parts[:n_plain])
        yield from self._match(root, parts[n_plain:])

    def walk(self, folder: str) -> Iterator[Info]:
        """Yield all files below a folder."""
        if self._is_s3:
            for page in self._s3_pages(folder, "", is_flat=True):
                yield from page
            return
        waiting = [folder]
        seen = set[str]()
        while waiting:
            path = waiting.pop()
            if path in seen:
                continue
            seen.add(path)
            folders = []
            for page in self._pages(path, ""):
                for info in page:
                    if info["type"] != "directory":
                        yield info
                    elif str(info["name"]).rstrip("/") != path.rstrip("/"):
                        folders.append(str(info["name"]))
            waiting += reversed(folders)

    def _match(self, folder: str, parts: Sequence[str]) -> Iterator[Info]:
        """Yield what lies below a folder and matches the parts of a pattern."""
        from fsspec.utils import glob_translate

        first, *rest = parts
        if "**" in first:
            yield from self._match_below(folder, parts)
            return
        stem = first[: mark.start()] if (mark := _MAGIC.search(first)) else first
        matches = re.compile(glob_translate(first)).match
        found = (
            info
            for page in self._pages(folder, stem)
            for info in page
            if matches(_name(info)) and (not rest or info["type"] == "directory")
        )
        if not rest:
            yield from found
            return
        if len(rest) > 1:
            for info in found:
                yield from self._match(_path(info), rest)
            return
        # The first page of the next folders is on its way while this one's is looked at. Only at
        # the lowest level: threads of the pool that wait for others of it would wait for ever.
        below: deque[Any] = deque()
        for info in found:
            below.append(pool().submit(_begun, self._match(_path(info), rest)))
            if len(below) == _FOLDERS_AHEAD:
                yield from below.popleft().result()
        while below:
            yield from below.popleft().result()

    def _match_below(self, folder: str, parts: Sequence[str]) -> Iterator[Info]:
        """Yield the files below a folder whose whole path from there matches, from ``**`` on."""
        from fsspec.utils import glob_translate

        matches = re.compile(glob_translate("/".join(parts))).match
        cut = len(folder.rstrip("/")) + 1
        for info in self.walk(folder):
            if matches(str(info["name"])[cut:]):
                yield info

    def _pages(self, folder: str, stem: str) -> Iterator[list[Info]]:
        """Yield what is in a folder, sorted; only names that begin with the stem need be there."""
        if self._is_s3 and folder:
            yield from self._s3_pages(folder, stem)
            return
        requests.add()
        try:
            found = self._insist(lambda: self._fs.ls(folder, detail=True))
        except FileNotFoundError:
            return
        self._forget()
        yield sorted(found, key=lambda info: str(info["name"]))

    def _forget(self) -> None:
        cache = getattr(self._fs, "dircache", None)
        if cache is not None and hasattr(type(self._fs), "invalidate_cache"):
            self._fs.invalidate_cache()

    def _s3_pages(self, folder: str, stem: str, *, is_flat: bool = False) -> Iterator[list[Info]]:
        bucket, key, _ = self._fs.split_path(folder)
        prefix = f"{key.rstrip('/')}/{stem}" if key else stem
        asked = {"Bucket": bucket, "Prefix": prefix, **({} if is_flat else {"Delimiter": "/"})}
        while True:
            requests.add()
            page = self._insist(lambda: self._fs.call_s3("list_objects_v2", **asked))
            folders = [
                {"name": f"{bucket}/{one['Prefix'].rstrip('/')}", "type": "directory", "size": 0}
                for one in page.get("CommonPrefixes", ())
            ]
            files = [
                {
                    "name": f"{bucket}/{one['Key']}",
                    "type": "file",
                    "size": one["Size"],
                    "ETag": one.get("ETag"),
                    "LastModified": one.get("LastModified"),
                }
                for one in page.get("Contents", ())
                # An empty object that ends on a slash is what some tools make of a folder.
                if not one["Key"].endswith("/")
            ]
            yield sorted(files + folders, key=lambda info: str(info["name"]))
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]


def has_magic(path: str) -> bool:
    """Tell whether a path is a glob."""
    return _MAGIC.search(path) is not None


def _begun(found: Iterator[Info]) -> Iterator[Info]:
    """Return the same iterator, whose first item is there already."""
    for first in found:
        return _chain(first, found)
    return iter(())


def _chain(first: Info, rest: Iterator[Info]) -> Iterator[Info]:
    yield first
    yield from rest


def _path(info: Info) -> str:
    return str(info["name"]).rstrip("/")


def _name(info: Info) -> str:
    return _path(info).rpartition("/")[2]
