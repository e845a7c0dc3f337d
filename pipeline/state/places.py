"""Where a state's objects lie: a folder, a bucket of S3, or what else fsspec knows.

A place moves bytes. It knows nothing of what is in them; `objects` checks that.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.errors import StateError, StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: End of the names of objects that are being written.
PART = ".tmp"
#: Condition of a write: there must be no such object.
NEW = ""
#: Seconds in which a store that fails is asked again.
_PATIENCE_S = 20.0
#: Names that a bucket removes, or lists, at a time.
_MANY = 1000


class RefusedError(StateError):
    """An object was not written, since another one stands there."""


class Place(Protocol):
    """What holds objects, by name.

    Every method raises OSError where the store fails; FileNotFoundError where there is no such
    object.
    """

    #: Whether a write with a condition is refused where it does not hold.
    is_conditional: bool

    def read(self, name: str) -> tuple[bytes, str | None]:
        """Return an object, and a mark that changes with it where there are such."""

    def write(self, name: str, held: bytes, only: str | None = None) -> str | None:
        """Write an object, whole or not at all; return its mark.

        Parameters
        ----------
        only : str or None
            The mark that the one before must have, or `NEW`: a `RefusedError` otherwise. Places
            that aren't conditional don't look at it.
        """

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects that are there."""

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the sizes of all objects below a folder by their names, in order."""


class LocalFolder:
    """A directory; objects appear by renaming."""

    is_conditional = False

    def __init__(self, root: str) -> None:
        self.root = root

    def read(self, name: str) -> tuple[bytes, str | None]:
        """As of `Place`."""
        return Path(f"{self.root}/{name}").read_bytes(), None

    def write(
        self,
        name: str,
        held: bytes,
        only: str | None = None,  # noqa: ARG002  # its lease is the system's: nobody else writes
        *,
        is_synced: bool = True,
    ) -> str | None:
        """As of `Place`; not ``is_synced``: a power cut may leave it damaged."""
        path = f"{self.root}/{name}"
        temporary = f"{path}.{secrets.token_hex(8)}{PART}"
        try:
            try:
                file = open(temporary, "wb", buffering=0)  # noqa: PTH123, SIM115
            except FileNotFoundError:
                os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120
                file = open(temporary, "wb", buffering=0)  # noqa: PTH123, SIM115
            with file:
                left = memoryview(held)
                while left:
                    left = left[file.write(left) :]
                if is_synced:
                    os.fsync(file.fileno())
            os.replace(temporary, path)  # noqa: PTH105
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
            raise
        return None

    def delete(self, names: Iterable[str]) -> None:
        """As of `Place`."""
        for name in names:
            with contextlib.suppress(OSError):
                os.unlink(f"{self.root}/{name}")  # noqa: PTH108

    def sizes(self, folder: str) -> dict[str, int]:
        """As of `Place`."""
        found = {}
        begin = f"{self.root}/{folder}".rstrip("/")
        for parent, _, files in os.walk(begin):
            for file in files:
                path = f"{parent}/{file}"
                with contextlib.suppress(FileNotFoundError):
                    found[path[len(self.root) + 1 :]] = os.stat(path).st_size  # noqa: PTH116
        return dict(sorted(found.items()))


class StorePlace:
    """What fsspec knows."""

    is_conditional = False

    def __init__(self, fs: Any, root: str, options: Mapping[str, str]) -> None:
        self._fs = fs
        self._root = root.rstrip("/")
        self._options = options

    def read(self, name: str) -> tuple[bytes, str | None]:
        """As of `Place`."""
        return self._ask(lambda: self._fs.cat_file(self._path(name))), None

    def write(self, name: str, held: bytes, only: str | None = None) -> str | None:  # noqa: ARG002
        """As of `Place`."""
        from pipeline.outputs.files import shows_files_under_way

        path = self._path(name)
        if not shows_files_under_way(self._fs):
            self._ask(lambda: self._fs.pipe_file(path, held))
            return None
        temporary = f"{path}.{secrets.token_hex(8)}{PART}"

        def send() -> None:
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._fs.pipe_file(temporary, held)
            self._fs.mv(temporary, path)

        self._ask(send)
        return None

    def delete(self, names: Iterable[str]) -> None:
        """As of `Place`."""
        for name in names:
            with contextlib.suppress(OSError):
                self._ask(lambda name=name: self._fs.rm_file(self._path(name)))

    def sizes(self, folder: str) -> dict[str, int]:
        """As of `Place`."""

        def find() -> Any:
            self._fs.invalidate_cache()
            return self._fs.find(f"{self._root}/{folder}".rstrip("/"), detail=True)

        try:
            found = self._ask(find)
        except FileNotFoundError:
            return {}
        begin = len(self._root) + 1
        return {path[begin:]: int(info["size"] or 0) for path, info in sorted(found.items())}

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _ask(self, call: Any) -> Any:
        """Return what a store answers, asked again where that may help; without secrets."""
        from pipeline.sources.fetch import insist, requests

        def once() -> Any:
            requests.add()
            return call()

        try:
            return insist(once, self._options, patience_s=_PATIENCE_S)
        except StoreError as error:
            if error.kind == "missing":
                raise FileNotFoundError(error.detail) from None
            raise


class S3Place(StorePlace):
    """A bucket: one request an object, and writes on a condition."""

    is_conditional = True

    def __init__(self, fs: Any, root: str, options: Mapping[str, str]) -> None:
        super().__init__(fs, root, options)
        self._bucket, self._prefix, _ = fs.split_path(self._root)

    def read(self, name: str) -> tuple[bytes, str | None]:
        """As of `Place`."""

        async def get() -> tuple[bytes, str | None]:
            answer = await self._fs._call_s3(  # noqa: SLF001
                "get_object", Bucket=self._bucket, Key=self._key(name)
            )
            # The body must be read in the store's own loop.
            async with answer["Body"] as body:
                return await body.read(), answer.get("ETag")

        found: tuple[bytes, str | None] = self._ask_s3(get)
        return found

    def write(self, name: str, held: bytes, only: str | None = None) -> str | None:
        """As of `Place`. A refusal may be of one's own write, whose answer was lost."""
        condition = {} if only is None else {"IfMatch": only} if only else {"IfNoneMatch": "*"}

        async def put() -> str | None:
            answer = await self._fs._call_s3(  # noqa: SLF001
                "put_object", Bucket=self._bucket, Key=self._key(name), Body=held, **condition
            )
            mark: str | None = answer.get("ETag")
            return mark

        try:
            written: str | None = self._ask_s3(put)
        except FileNotFoundError:
            if only:  # the one that was to be replaced is gone
                raise RefusedError("it is gone") from None
            raise
        return written

    def delete(self, names: Iterable[str]) -> None:
        """As of `Place`."""
        left = [{"Key": self._key(name)} for name in names]
        while left:
            some, left = left[:_MANY], left[_MANY:]

            async def remove(some: Any = some) -> None:
                await self._fs._call_s3(  # noqa: SLF001
                    "delete_objects", Bucket=self._bucket, Delete={"Objects": some, "Quiet": True}
                )

            with contextlib.suppress(OSError):
                self._ask_s3(remove)

    def sizes(self, folder: str) -> dict[str, int]:
        """As of `Place`."""

        async def list_all() -> dict[str, int]:
            begin = self._key(f"{folder}/" if folder else "")
            found: dict[str, int] = {}
            more: dict[str, str] = {}
            while True:
                answer = await self._fs._call_s3(  # noqa: SLF001
                    "list_objects_v2", Bucket=self._bucket, Prefix=begin, MaxKeys=_MANY, **more
                )
                for one in answer.get("Contents", []):
                    if not one["Key"].endswith("/"):  # some servers show folders
                        found[one["Key"][len(self._key("")) :]] = one["Size"]
                if not answer.get("IsTruncated"):
                    return dict(sorted(found.items()))
                more = {"ContinuationToken": answer["NextContinuationToken"]}

        sizes: dict[str, int] = self._ask_s3(list_all)
        return sizes

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    def _ask_s3(self, request: Any) -> Any:
        from fsspec.asyn import sync

        from pipeline.sources.ways import is_refused

        def call() -> Any:
            try:
                return sync(self._fs.loop, request)
            except OSError as error:
                if is_refused(error):
                    raise StoreError("refused", "another object stands there") from None
                raise

        try:
            return self._ask(call)
        except StoreError as error:
            if error.kind == "refused":
                raise RefusedError(error.detail) from None
            raise


def open_place(url: str, options: Mapping[str, str]) -> Place:
    """Return the place that a URL or a path names.

    Raises
    ------
    StateError
        It can't be reached.
    UsageError
        Its protocol is unknown, or the package for it is not installed.
    """
    # fsspec is imported where it is needed only: it takes 25 ms.
    for protocol in ("file://", "local://"):
        url = url.removeprefix(protocol)
    if "://" not in url:
        return LocalFolder(str(Path(url).expanduser()).rstrip("/"))
    from pipeline.errors import SourceError
    from pipeline.sources.remote import Store

    try:
        store = Store(url, tuple(options.items()))
        fs, root = store.fs, store.path_of(url)
    except (SourceError, UsageError) as error:
        raise StateError(str(error)) from None
    return (S3Place if hasattr(type(fs), "call_s3") else StorePlace)(fs, root, options)
