"""Objects of a state: each appears whole or not at all, and carries a checksum."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAGIC = b"sawlog1\n"
_DIGEST_BYTES = 32
#: End of the names of objects that are being written.
_PART = ".tmp"
#: A lease that was not renewed for so long is that of a dead run. Only of stores without locks.
LEASE_S = 300.0


class MissingObjectError(StateError):
    """There is no such object."""


class DamagedObjectError(StateError):
    """An object is not what was written."""


class Objects:
    """The objects of a state, by name.

    Parameters
    ----------
    url : str
        A local directory, or an fsspec URL.
    options : mapping of str to str
        fsspec storage options.

    Raises
    ------
    StateError
        The store can't be used.
    """

    def __init__(self, url: str, options: Mapping[str, str] | None = None) -> None:
        self.url = url
        # fsspec is imported where it is needed only: it takes 25 ms.
        self.is_local = "://" not in url
        if self.is_local:
            self._root = str(Path(url).expanduser())
            return
        from fsspec.core import url_to_fs

        try:
            self._fs, self._root = url_to_fs(url, **(options or {}))
        except (ImportError, ValueError) as error:
            raise StateError(f"{url}: {error}") from None
        self._root = self._root.rstrip("/")

    def get(self, name: str) -> bytes:
        """Return the content of an object.

        Raises
        ------
        MissingObjectError, DamagedObjectError
            It is not there, or not whole.
        StateError
            The store can't be read.
        """
        try:
            path = self._path(name)
            held: bytes = Path(path).read_bytes() if self.is_local else self._fs.cat_file(path)
        except FileNotFoundError:
            raise MissingObjectError(f"{self.url}: there is no {name}") from None
        except OSError as error:
            raise StateError(f"{self.url}: {name} can't be read: {error}") from None
        content = held[len(_MAGIC) + _DIGEST_BYTES :]
        if held[: len(_MAGIC)] != _MAGIC or held[len(_MAGIC) :][:_DIGEST_BYTES] != _digest(content):
            raise DamagedObjectError(f"{self.url}: {name} is damaged")
        return content

    def put(self, name: str, content: bytes) -> None:
        """Write an object, in place of an older one.

        Raises
        ------
        StateError
            It can't be written; an older one is still there.
        """
        held = _MAGIC + _digest(content) + content
        try:
            if self.is_local:
                self._put_local(name, held)
            else:
                self._fs.pipe_file(self._path(name), held)
        except OSError as error:
            raise StateError(
                f"{self.url}: {name} can't be written: {error}; what was there before is intact"
            ) from None

    def _put_local(self, name: str, held: bytes) -> None:
        path = self._path(name)
        folder = os.path.dirname(path)  # noqa: PTH120  # fsspec's paths are texts
        os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103
        temporary = f"{path}.{secrets.token_hex(8)}{_PART}"
        try:
            with open(temporary, "wb") as file:  # noqa: PTH123
                file.write(held)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)  # noqa: PTH105
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
            raise

    def delete(self, name: str) -> None:
        """Remove an object, if it is there."""
        with contextlib.suppress(OSError):
            if self.is_local:
                Path(self._path(name)).unlink()
            else:
                self._fs.rm_file(self._path(name))

    def names(self, folder: str) -> list[str]:
        """Return the names of the objects in a folder, sorted; leftovers of killed runs, too."""
        try:
            if self.is_local:
                found = os.listdir(self._path(folder))  # noqa: PTH208  # their names are enough
            else:
                self._fs.invalidate_cache()
                found = self._fs.ls(self._path(folder), detail=False)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StateError(f"{self.url}: {folder} can't be listed: {error}") from None
        return sorted(f"{folder}/{path.rstrip('/').rpartition('/')[2]}" for path in found)

    def leftovers(self) -> list[str]:
        """Return what runs that were killed have left beside the objects at the top."""
        if not self.is_local:
            return []
        return sorted(path.name for path in Path(self._root).glob(f"*{_PART}"))

    def size(self, name: str) -> int:
        """Return the stored bytes of an object; 0 where there is none."""
        try:
            if self.is_local:
                return Path(self._path(name)).stat().st_size
            return int(self._fs.size(self._path(name)) or 0)
        except OSError:
            return 0

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    # One run at a time.

    @contextlib.contextmanager
    def lease(self) -> Iterator[None]:
        """Keep other runs out as long as this one lasts.

        Raises
        ------
        StateError
            Another run has it.
        """
        with self._lock_file() if self.is_local else self._lease_object():
            yield

    @contextlib.contextmanager
    def _lock_file(self) -> Iterator[None]:
        """Lock a file: the system frees it when the process ends, however it ends."""
        import fcntl

        path = self._path("lock")
        try:
            os.makedirs(self._root, mode=0o700, exist_ok=True)  # noqa: PTH103
            file = open(path, "a+b")  # noqa: PTH123, SIM115
        except OSError as error:
            raise StateError(f"{self.url} can't be used: {error}") from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                owner = file.read(200).decode(errors="replace") or "another run"
                raise StateError(_busy(self.url, owner)) from None
            file.truncate(0)
            file.write(_me().encode())
            file.flush()
            yield

    @contextlib.contextmanager
    def _lease_object(self) -> Iterator[None]:
        """Write an object that says who works here, and renew it."""
        path, token = self._path("lease"), secrets.token_hex(16)

        def claim(*, is_first: bool) -> None:
            held = json.dumps({"by": _me(), "token": token, "at": time.time()}).encode()
            self._fs.pipe_file(path, held, **({"mode": "create"} if is_first else {}))

        try:
            try:
                claim(is_first=True)
            except FileExistsError:
                held = self._read_lease(path)
                if held and time.time() - float(held.get("at", 0)) < LEASE_S:
                    raise StateError(_busy(self.url, str(held.get("by")))) from None
                claim(is_first=False)
                time.sleep(1)  # of several that find it expired the last one has it
                if (self._read_lease(path) or {}).get("token") != token:
                    raise StateError(_busy(self.url, "another run")) from None
        except OSError as error:
            raise StateError(f"{self.url} can't be used: {error}") from None
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(LEASE_S / 5):
                with contextlib.suppress(OSError):
                    claim(is_first=False)

        thread = threading.Thread(target=renew, daemon=True, name="sawlog-lease")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            with contextlib.suppress(OSError):
                if (self._read_lease(path) or {}).get("token") == token:
                    self._fs.rm_file(path)

    def _read_lease(self, path: str) -> dict[str, Any] | None:
        self._fs.invalidate_cache()
        try:
            held = json.loads(self._fs.cat_file(path))
        except (OSError, ValueError):
            return None
        return held if isinstance(held, dict) else None


def _digest(content: bytes) -> bytes:
    from blake3 import blake3

    return bytes(blake3(content).digest())


def _me() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _busy(url: str, owner: str) -> str:
    return f"{url} is in use by {owner}: wait for it to end, or give this run a state of its own"
