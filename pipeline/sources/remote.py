"""Files in stores that fsspec reaches: s3, sftp, http, memory, and whatever is installed."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from pipeline.errors import SourceError, StoreError, UsageError
from pipeline.sources import ranged
from pipeline.sources.fetch import (
    fetch,
    insist,
    kind_of,
    mark_of,
    mark_of_head,
    requests,
    say,
)
from pipeline.sources.listing import Lister, has_magic
from pipeline.sources.objects import RemoteFile, change_time
from pipeline.sources.secrets import reveal_url, scrub, typed_options
from pipeline.sources.ways import Way, choose_way

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from concurrent.futures import Future

#: Heads of objects that are asked for at a time.
_HEADS_AHEAD = 48
#: Who waits for a listing waits for a person: a store that is away is told sooner.
_PLANNING_PATIENCE_S = 10.0
#: What `pip install` takes for a protocol.
_EXTRAS = {"s3": "s3", "s3a": "s3", "sftp": "ssh", "ssh": "ssh"}
_PACKAGES = {
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "adl": "adlfs",
    "http": "aiohttp",
    "https": "aiohttp",
}


_lock = threading.Lock()


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
        self._url = url
        self._options = dict(options)
        self._connect()

    @property
    def fs(self) -> Any:
        """The file system of fsspec."""
        return self._fs

    def path_of(self, url: str) -> str:
        """Return what names an object of the same store there."""
        return str(self._fs._strip_protocol(reveal_url(url, self._options)))  # noqa: SLF001

    def describe(self) -> RemoteFile:
        """Return the object that the URL names.

        Raises
        ------
        SourceError
            There is none, or the store refuses.
        """
        requests.add()
        with self._telling():
            return self._file(self._insist(lambda: self._fs.info(self._path)), self._url)

    def find(self) -> Iterator[RemoteFile]:
        """Yield what the URL names: itself, or what matches it as a glob, in order.

        Raises
        ------
        SourceError
            Nothing, or the store refuses.
        """
        # In a URL of the web a question mark begins a query.
        is_glob = has_magic(self._path.replace("?", "") if self._is_web() else self._path)
        try:
            itself = self.describe()
        except SourceError as error:
            if error.kind != "missing" or not is_glob:
                raise
        else:
            yield itself
            return
        n_found = 0
        with self._telling():
            for info in Lister(self._fs, self._insist).glob(self._path):
                n_found += 1
                yield self._file(info)
        if not n_found:
            raise SourceError(self._url, "no match", "no file matches")

    def walk(self, folder: RemoteFile) -> Iterator[RemoteFile]:
        """Yield all files below a folder, in order."""
        with self._telling():
            for info in Lister(self._fs, self._insist).walk(folder.path):
                yield self._file(info)

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
        parent = self._fs._parent(path)  # noqa: SLF001
        requests.add()
        with self._telling():
            found = self._insist(lambda: self._fs.ls(parent, detail=True))
        return [self._file(info) for info in sorted(found, key=lambda info: str(info["name"]))]

    def read_heads(
        self, files: Iterable[RemoteFile]
    ) -> Iterator[tuple[RemoteFile, bytes | SourceError]]:
        """Yield each file with its first bytes, or what prevents it; many are asked for at once."""
        from pipeline.sources.heads import QuickHeads

        answers: Iterator[tuple[RemoteFile, bytes | None]] = ((file, None) for file in files)
        if QuickHeads.is_for(self._fs):
            answers = QuickHeads(self._fs, ranged.HEAD_BYTES).read(files)
        ahead: deque[tuple[RemoteFile, bytes | Future[bytes | SourceError]]] = deque()
        for file, head in answers:
            if head is not None:
                ranged.keep_head((file.url, file.size, file.mark), head)
            ahead.append(
                (file, ranged.pool().submit(self._read_head, file) if head is None else head)
            )
            if len(ahead) == _HEADS_AHEAD:
                yield _arrived(*ahead.popleft())
        while ahead:
            yield _arrived(*ahead.popleft())

    def open(
        self, size: int, mtime: float | None, mark: str | None, span: tuple[int, int] = (0, 0)
    ) -> BinaryIO:
        """Return a seekable handle of its own on the URL's object as it was planned.

        Parameters
        ----------
        size, mtime, mark
            Of the object, as `describe` or a listing told them.
        span : tuple of (int, int)
            What will be read for sure.
        """
        way = self._way(self._path, size, mtime, mark)
        head = ranged.kept_head(self._key(size, mark)) or b""
        return cast("BinaryIO", ranged.RangedFile(way, self._fetch, size, span, head))

    def spool(self) -> Any:
        """Copy the object into the temporary folder: its server gives no ranges, or no size."""
        from pipeline.sources.spool import spool_stream

        with self._telling(), self._fs.open(self._path, "rb") as stream:
            return spool_stream(stream)

    def mark(self, file: RemoteFile, head: bytes) -> str | None:
        """Return what pins a file to its present content."""
        return file.mark or (mark_of_head(head) if head else None)

    def _key(self, size: int | None, mark: str | None) -> object:
        return self._url, size, mark

    def _read_head(self, file: RemoteFile) -> bytes | SourceError:
        if file.size == 0:
            return b""
        if file.size is None:
            return SourceError(file.url, "no ranges", "the server doesn't tell the size")
        stop = min(ranged.HEAD_BYTES, file.size)
        way = self._way(file.path, file.size, file.mtime, file.mark)
        try:
            head = self._fetch(way, 0, stop, None)
        except StoreError as error:
            return SourceError(file.url, error.kind, error.detail)
        finally:
            way.close()
        mark = self.mark(file, head)
        ranged.keep_head((file.url, file.size, mark), head)
        return head

    def _fetch(
        self, way: Way, start: int, stop: int, is_closed: Callable[[float], bool] | None
    ) -> bytes:
        return fetch(way, start, stop, self._options, is_closed)

    def _insist(self, call: Callable[[], Any]) -> Any:
        return insist(call, self._options, patience_s=_PLANNING_PATIENCE_S)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tell what a store's library raises in our words; nothing of it is chained: secrets."""
        try:
            yield
        except UsageError:
            raise
        except ImportError as error:
            raise UsageError(f"{self._url}: {_say_missing(self._url, error)}") from None
        except Exception as error:  # noqa: BLE001  (whatever the library; it is raised again)
            if "Protocol not known" in str(error):
                raise _unknown_protocol(self._url) from None
            raise as_source_error(self._url, error, self._options) from None

    def _way(self, path: str, size: int, mtime: float | None, mark: str | None) -> Way:
        return choose_way(self._fs, path, size, mtime, mark, self._reconnect)

    def _reconnect(self, dead: Any) -> Any:
        """Return a file system in the place of one whose connection is gone."""
        with _lock:
            if self._fs is dead:
                self._connect()
            if self._fs is dead:  # it came from fsspec's cache of them
                type(dead).clear_instance_cache()
                self._connect()
            return self._fs

    def _is_web(self) -> bool:
        return self._url.startswith(("http:", "https:"))

    def _connect(self) -> None:
        from fsspec.core import url_to_fs

        url = reveal_url(self._url, self._options)
        with self._telling():
            options = _with_defaults(url, typed_options(self._options))
            self._fs, self._path = self._insist(lambda: url_to_fs(url, **options))

    def _file(self, info: dict[str, Any], url: str | None = None) -> RemoteFile:
        path = str(info["name"])
        return RemoteFile(
            url or self._url_of(path),
            path,
            info.get("size"),
            change_time(info),
            info["type"] == "directory",
            mark_of(info),
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


def _arrived(
    file: RemoteFile, head: bytes | Future[bytes | SourceError]
) -> tuple[RemoteFile, bytes | SourceError]:
    return file, head if isinstance(head, bytes) else head.result()


def as_source_error(
    url: str, error: Exception, options: Mapping[str, str] = MappingProxyType({})
) -> SourceError:
    """Return a store's error in our words, without secrets."""
    if isinstance(error, SourceError):
        return error
    detail = scrub(say(error), options)
    return SourceError(url, kind_of(error), "" if url.endswith(detail) else detail)


def _with_defaults(url: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options with what a run needs, where the user says nothing.

    Raises
    ------
    UsageError
        The host's key would not be checked.
    """
    protocol = url.partition("://")[0]
    if protocol in ("s3", "s3a"):
        # s3fs and this module try again; three who do would wait for minutes.
        config = {
            "max_pool_connections": ranged.MAX_THREADS,
            "retries": {"total_max_attempts": 1},
        }
        return {"config_kwargs": config, **options}
    if protocol in ("sftp", "ssh"):
        from fsspec import get_filesystem_class

        if get_filesystem_class(protocol).__module__.startswith("sshfs"):
            # An empty tuple is asyncssh's own default, ~/.ssh/known_hosts; sshfs would check none.
            return {"known_hosts": (), **options}
        if "host_key_policy" not in options:
            raise UsageError(
                f"{protocol}:// through paramiko would trust any host: install sshfs, which reads "
                "~/.ssh/known_hosts (pip install 'sawlog[ssh]'), or give "
                "--storage-option host_key_policy=auto_add"
            )
    return options


def _say_missing(url: str, error: ImportError) -> str:
    """Return what to install."""
    protocol = url.rpartition("::")[2].partition("://")[0]
    if extra := _EXTRAS.get(protocol):
        return f"{protocol}:// needs another package: pip install 'sawlog[{extra}]' ({error})"
    if package := _PACKAGES.get(protocol):
        return f"{protocol}:// needs another package: pip install {package} ({error})"
    return str(error)


def _unknown_protocol(url: str) -> UsageError:
    from fsspec import available_protocols

    name = url.split("://", 1)[0].rsplit("::", 1)[-1]
    near = get_close_matches(name, available_protocols(), n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]}://?" if near else ""
    return UsageError(
        f"{url}: no store is known as {name}://.{hint} Any protocol of fsspec will do."
    )
