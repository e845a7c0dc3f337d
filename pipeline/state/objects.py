"""Objects of a state: each appears whole or not at all, and carries a checksum."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, TypeVar

from pipeline.errors import StateError
from pipeline.state.places import LocalFolder, RefusedError, open_place

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

_T = TypeVar("_T")
_R = TypeVar("_R")

_MAGIC = b"sawlog1\n"
_DIGEST_BYTES = 32


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
        if "@" in url:
            from pipeline.sources.secrets import hide_secrets

            url, hidden = hide_secrets(url)
            options = {**(options or {}), **hidden}
        self.url = url
        self.place = open_place(url, options or {})
        self.is_local = isinstance(self.place, LocalFolder)
        #: Ends the run where another one has taken the state over.
        self.check_lease: Callable[[], None] = lambda: None
        self._marks: dict[str, str | None] = {}

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
            held, self._marks[name] = self.place.read(name)
        except FileNotFoundError:
            raise MissingObjectError(f"{self.url}: there is no {name}") from None
        except OSError as error:
            raise StateError(f"{self.url}: {name} can't be read: {error}") from None
        content = held[len(_MAGIC) + _DIGEST_BYTES :]
        if held[: len(_MAGIC)] != _MAGIC or held[len(_MAGIC) :][:_DIGEST_BYTES] != _digest(content):
            raise DamagedObjectError(f"{self.url}: {name} is damaged")
        return content

    def get_all(self, names: Iterable[str]) -> Iterator[tuple[str, bytes | StateError]]:
        """Yield objects as `get` returns them, or what it raises, in order; several at a time."""

        def get(name: str) -> tuple[str, bytes | StateError]:
            try:
                return name, self.get(name)
            except StateError as error:
                return name, error

        yield from self._each(get, [*names])

    def put(self, name: str, content: bytes) -> None:
        """Write an object, in place of an older one.

        Raises
        ------
        StateError
            It can't be written; an older one is still there.
        """
        with self._telling(name):
            self._marks[name] = self.place.write(name, _MAGIC + _digest(content) + content)

    def put_all(self, contents: Mapping[str, bytes], losable: Collection[str] = ()) -> None:
        """Write several objects, each as `put` does; several at a time.

        Parameters
        ----------
        losable : collection of str
            Names of those that are written as `put_losable` does.
        """

        def put(one: tuple[str, bytes]) -> None:
            (self.put_losable if one[0] in losable else self.put)(*one)

        for _ in self._each(put, [*contents.items()]):
            pass

    def put_next(self, name: str, content: bytes, *, is_new: bool = False) -> None:
        """Write an object in place of the one that was read, and of no other.

        Parameters
        ----------
        is_new : bool
            There must be none.

        Raises
        ------
        StateError
            Another run has written it: what is there stays.
        """
        held = _MAGIC + _digest(content) + content
        # A store's own mark, where it has such; or that there was none.
        only = "" if is_new else self._marks.get(name, "")
        with self._telling(name):
            try:
                self._marks[name] = self.place.write(name, held, only)
            except RefusedError:
                # Its answer may have been lost, and the request sent again.
                there, mark = self.place.read(name)
                if there != held:
                    raise StateError(
                        f"{self.url}: another run has written {name} meanwhile; what this one "
                        "found is left out, and found again by the next"
                    ) from None
                self._marks[name] = mark

    def put_losable(self, name: str, content: bytes) -> None:
        """Write an object that a power cut may damage: little or nothing is lost with it."""
        if isinstance(self.place, LocalFolder):
            with self._telling(name):
                self.place.write(name, _MAGIC + _digest(content) + content, is_synced=False)
        else:
            self.put(name, content)

    def delete(self, *names: str) -> None:
        """Remove objects, if they are there."""
        if names:
            self.place.delete(names)

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Return the sizes of the objects below a folder by name; leftovers of killed runs, too.

        Raises
        ------
        StateError
            The store can't be listed.
        """
        try:
            return self.place.sizes(folder)
        except OSError as error:
            raise StateError(f"{self.url} can't be listed: {error}") from None

    @contextlib.contextmanager
    def lease(self) -> Iterator[None]:
        """Keep other runs out as long as this one lasts.

        Raises
        ------
        StateError
            Another run has it.
        """
        from pipeline.state.lease import Lease, lock_folder

        if isinstance(self.place, LocalFolder):
            with lock_folder(self.url, self.place.root):
                yield
            return
        with Lease(self.url, self.place).held() as lease:
            self.check_lease = lease.check
            yield

    @contextlib.contextmanager
    def _telling(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StateError(
                f"{self.url}: {name} can't be written: {error}; what was there before is intact"
            ) from None

    def _each(self, call: Callable[[_T], _R], of: list[_T]) -> Iterator[_R]:
        """Call for each, in order; where each has to be waited for, together."""
        if self.is_local or len(of) < 2:
            yield from map(call, of)
            return
        from pipeline.sources.ranged import pool

        yield from pool().map(call, of)


def _digest(content: bytes) -> bytes:
    from blake3 import blake3

    return bytes(blake3(content).digest())
