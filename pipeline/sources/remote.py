"""Files in stores that fsspec reaches: s3, sftp, http, memory, and whatever is installed."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from pipeline.errors import SourceError, UsageError
from pipeline.sources.sniff import SNIFF_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TIME_KEYS = (
    "mtime",
    "LastModified",
    "last_modified",
    "Last-Modified",
    "modified",
    "updated",
    "created",
)
_HEADS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """An object of a store: its URL, what names it in the store, and what the store tells."""

    url: str
    path: str
    size: int | None
    mtime: float | None
    is_folder: bool = False


class Store:
    """The file system behind a URL.

    Raises
    ------
    UsageError
        The protocol is unknown, or its package is not installed.
    SourceError
        The store can't be reached.
    """

    def __init__(self, url: str, options: tuple[tuple[str, str], ...]) -> None:
        from fsspec.core import url_to_fs

        self._url = url
        try:
            self._fs, self._path = url_to_fs(url, **dict(options))
        except ImportError as error:
            raise UsageError(f"{url}: {error}") from error
        except ValueError as error:
            if "Protocol not known" in str(error):
                raise _unknown_protocol(url) from error
            raise as_source_error(url, error) from error
        except Exception as error:
            raise as_source_error(url, error) from error

    def describe(self) -> RemoteFile:
        """Return the object that the URL names.

        Raises
        ------
        SourceError
            There is none, or the store refuses.
        """
        try:
            return self._file(self._fs.info(self._path), self._url)
        except Exception as error:
            raise as_source_error(self._url, error) from error

    def find(self) -> list[RemoteFile]:
        """Return what the URL names: itself, or what matches it as a glob, sorted.

        Raises
        ------
        SourceError
            Nothing, or the store refuses.
        """
        try:
            return [self.describe()]
        except SourceError as error:
            is_web = self._url.startswith("http")  # there a question mark begins a query
            if error.kind != "missing" or not any(
                mark in self._path for mark in ("*[" if is_web else "*?[")
            ):
                raise
        try:
            matches = self._fs.glob(self._path, detail=True)
        except Exception as error:
            raise as_source_error(self._url, error) from error
        if not matches:
            raise SourceError(self._url, "no match", "no file matches")
        return [self._file(info) for _, info in sorted(matches.items())]

    def walk(self, folder: RemoteFile) -> list[RemoteFile]:
        """Return all files below a folder, sorted."""
        try:
            found = self._fs.find(folder.path, detail=True)
        except Exception as error:
            raise as_source_error(folder.url, error) from error
        return [self._file(info) for _, info in sorted(found.items())]

    def folders(self) -> list[str]:
        """Return the names of the folders in the URL's folder, sorted; lists no other."""
        try:
            found = self._fs.ls(self._path, detail=True)
        except Exception as error:
            raise as_source_error(self._url, error) from error
        paths = (str(one["name"]).rstrip("/") for one in found if one["type"] == "directory")
        return sorted(path.rpartition("/")[2] for path in paths)

    def siblings(self, file: RemoteFile | None) -> list[RemoteFile]:
        """Return the files in the folder of a file, of the URL's own where there is none."""
        path = self._path if file is None else file.path
        try:
            found = self._fs.ls(self._fs._parent(path), detail=True)  # noqa: SLF001
        except Exception as error:
            raise as_source_error(self._url, error) from error
        return [self._file(info) for info in sorted(found, key=lambda info: str(info["name"]))]

    def read_heads(self, files: Sequence[RemoteFile]) -> Iterator[bytes | Exception]:
        """Yield the first bytes of each file, or what prevents it; many at once where it pays."""
        for begin in range(0, len(files), _HEADS_AT_ONCE):
            batch = files[begin : begin + _HEADS_AT_ONCE]
            filled = [file for file in batch if file.size != 0]
            stops = [min(SNIFF_BYTES, file.size or SNIFF_BYTES) for file in filled]
            heads = iter(
                self._fs.cat_ranges(
                    [file.path for file in filled], [0] * len(filled), stops, on_error="return"
                )
            )
            for file in batch:
                yield b"" if file.size == 0 else next(heads)

    def open(self) -> BinaryIO:
        """Return a seekable handle of its own on the URL's object."""
        try:
            if "memory" in str(self._fs.protocol):
                # fsspec hands out one shared handle per file in memory; threads need their own.
                return io.BytesIO(self._fs.cat_file(self._path))
            return cast("BinaryIO", _Guarded(self._fs.open(self._path, "rb")))
        except Exception as error:
            raise as_source_error(self._url, error) from error

    def _file(self, info: dict[str, Any], url: str | None = None) -> RemoteFile:
        path = str(info["name"])
        return RemoteFile(
            url or self._url_of(path),
            path,
            info.get("size"),
            _change_time(info),
            info["type"] == "directory",
        )

    def _url_of(self, path: str) -> str:
        """Return the URL of a path that a listing gave, written as the user wrote theirs.

        fsspec's own unstrip_protocol loses the host of sftp URLs and all chains.
        """
        protocol, mark, rest = self._url.partition("://")
        named, chain, below = rest.partition("::")
        before = protocol + mark + named.rstrip("/")
        own = str(self._path).rstrip("/")
        if not before.endswith(own):
            return str(self._fs.unstrip_protocol(path))
        return before.removesuffix(own) + path + chain + below


def as_source_error(url: str, error: Exception) -> SourceError:
    """Return a store's error in our words."""
    if isinstance(error, SourceError):
        return error
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        kind = "missing"
    elif isinstance(error, PermissionError):
        kind = "denied"
    else:
        kind = "unreadable"
    detail = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return SourceError(url, kind, detail)


class _Guarded(io.RawIOBase):
    """A store's handle; what it raises is an OSError, whatever library is behind it."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._handle.seekable())

    def tell(self) -> int:
        return int(self._handle.tell())

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._handle.seek(offset, whence))

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        try:
            piece = self._handle.read(len(view))
        except OSError:
            raise
        except Exception as error:
            raise OSError(f"{type(error).__name__}: {error}") from error
        view[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._handle.close()
        super().close()


def _unknown_protocol(url: str) -> UsageError:
    from fsspec import available_protocols

    name = url.split("://", 1)[0].rsplit("::", 1)[-1]
    near = get_close_matches(name, available_protocols(), n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]}://?" if near else ""
    return UsageError(
        f"{url}: no store is known as {name}://.{hint} Any protocol of fsspec will do."
    )


def _change_time(info: dict[str, Any]) -> float | None:
    """Return when a store says that an object was last changed, in Unix seconds."""
    for key in _TIME_KEYS:
        value = info.get(key)
        if isinstance(value, str):
            value = _parse_time(value)
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
        if isinstance(value, (int, float)) and value > 0:
            return float(value)
    return None


def _parse_time(text: str) -> datetime | None:
    from email.utils import parsedate_to_datetime

    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            return parse(text)
        except ValueError:
            continue
    return None
