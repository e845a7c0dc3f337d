"""Paths, folders, globs, archives and URLs → source files, in rotation order.

Nothing is imported for local files: fsspec alone would double the time of a small run.
"""

from __future__ import annotations

import io
import os
import stat
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO

from pipeline.errors import SourceError
from pipeline.model import SourceFile
from pipeline.rotation import group_sets, parse_name
from pipeline.sources.local import (
    STDIN,
    describe_status,
    expand,
    identity_of,
    is_dev_null,
    is_hidden,
    local_path,
    pipes,
    read_local_head,
    siblings_of,
    spool_pipe,
    why_not_local,
    why_not_path,
)
from pipeline.sources.opening import (
    archive_kind,
    archive_protocol,
    describe,
    is_in_store,
    is_local,
    is_tar_inside,
    open_stored,
    replay,
    source_error,
)
from pipeline.sources.rate import limit_read_rate
from pipeline.sources.sniff import SNIFF_BYTES, why_not_by_content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pipeline.sources.archives import Archive, Member
    from pipeline.sources.objects import RemoteFile
    from pipeline.sources.remote import Store

__all__ = [
    "Listing",
    "find_sources",
    "is_in_store",
    "is_local",
    "limit_read_rate",
    "open_stored",
    "source_error",
    "unpack_stdin",
]


@dataclass(frozen=True, slots=True)
class Listing:
    """What the arguments name.

    Attributes
    ----------
    files : tuple of SourceFile
        To be read: rotated sets kept together, each oldest first.
    skipped : tuple of (str, str)
        What was found in a folder or an archive and is no log, and why.
    failed : tuple of SourceError
        Missing, denied, unreadable, no match. The rest goes on.
    duplicates : tuple of (str, str, str)
        File, the listed one that it is the same as, and ``same file``: named twice, a hard or
        symbolic link.
    """

    files: tuple[SourceFile, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    failed: tuple[SourceError, ...] = ()
    duplicates: tuple[tuple[str, str, str], ...] = ()


def find_sources(
    arguments: Sequence[str],
    *,
    rotated: bool = False,
    options: Mapping[str, str] = MappingProxyType({}),
    stdin: Callable[[], tuple[bytes, BinaryIO]] | None = None,
    is_known: Callable[[SourceFile], bool] = lambda _: False,
    on_head: Callable[[SourceFile, bytes], None] | None = None,
) -> Listing:
    """Find the source files that the arguments name.

    Parameters
    ----------
    arguments : sequence of str
        Paths, folders, globs, ``-``, fsspec URLs, ``tar://PATTERN::ARCHIVE`` and ``zip://…``; an
        archive without these stands for all that is in it. A glob whose text names a file is that
        file. What is named or matches a glob is read whatever it holds; what is found in a folder
        or in an archive is read where it may be a log.
    rotated : bool
        Take the rotated siblings of each file that is named, too.
    options : mapping of str to str
        fsspec storage options.
    stdin : callable, optional
        Returns the first 64 KiB of standard input, and a stream of all of it: where that is a
        tar, plain or compressed, its members are listed for ``-``. Called only if ``-`` is named.
    is_known : callable, optional
        Tells whether a file was read before, as it is listed: then it is not looked into.
    on_head : callable, optional
        Told of each object of a store with its first 64 KiB, all of it where it is shorter: they
        were read to see whether it may be a log, and needn't be asked for again.

    Raises
    ------
    UsageError
        A protocol is unknown, or its package is not installed.
    """
    shown, secrets = [], dict[str, str]()
    for argument in arguments:
        if "://" in argument:
            from pipeline.sources.secrets import hide_secrets

            argument, hidden = hide_secrets(argument)  # noqa: PLW2901
            secrets |= hidden
        shown.append(argument)
    finder = _Finder(tuple(sorted({**options, **secrets}.items())), rotated, is_known, on_head)
    for argument in shown:
        if argument == STDIN and stdin is not None:
            finder.find_stdin(*stdin())
        else:
            finder.find(argument)
    return finder.listing()


def unpack_stdin(stream: BinaryIO, head: bytes = b"") -> Listing:
    """List the members of a tar on a stream, plain or compressed, as ``-``.

    It is spooled into a private temporary folder, which is removed at exit.

    Parameters
    ----------
    stream : BinaryIO
        The stream; it is read to its end and closed.
    head : bytes
        What was already taken from it; empty where it stands at its begin.
    """
    finder = _Finder((), rotated=False)
    finder.unpack_stream(replay(head, stream) if head else stream)
    return finder.listing()


@dataclass(slots=True)
class _Finder:
    """Collects what the arguments name, each file once."""

    options: tuple[tuple[str, str], ...]
    rotated: bool
    is_known: Callable[[SourceFile], bool] = lambda _: False
    on_head: Callable[[SourceFile, bytes], None] | None = None
    files: dict[object, SourceFile] = field(default_factory=dict)
    skipped: dict[str, tuple[object, str]] = field(default_factory=dict)
    failed: list[SourceError] = field(default_factory=list)
    duplicates: list[tuple[str, str, str]] = field(default_factory=list)

    def listing(self) -> Listing:
        by_url = {file.url: file for file in self.files.values()}
        ordered = (by_url[url] for rotated_set in group_sets(list(by_url)) for url in rotated_set)
        # What a folder walk passes over may be named explicitly elsewhere.
        skipped = (
            (url, why)
            for url, (identity, why) in self.skipped.items()
            if identity not in self.files
        )
        return Listing(tuple(ordered), tuple(skipped), tuple(self.failed), tuple(self.duplicates))

    def add(self, identity: object, file: SourceFile) -> None:
        if identity in self.files:
            self.duplicates.append((file.url, self.files[identity].url, "same file"))
        else:
            self.files[identity] = file

    def skip(self, url: str, why: str, identity: object = None) -> None:
        self.skipped[url] = (identity or url, why)

    def n_found(self) -> int:
        return len(self.files) + len(self.skipped) + len(self.failed) + len(self.duplicates)

    def find(self, argument: str) -> None:
        """Take in one argument; its errors stay with it."""
        n_before = self.n_found()
        try:
            if argument == STDIN:
                self.add(STDIN, SourceFile(STDIN, None))
            elif protocol := archive_protocol(argument):
                self.find_members(protocol, argument)
            elif local_path(argument) is not None:
                for url in expand(argument, allow_missing=self.rotated):
                    self.find_local(url)
            else:
                self.find_remote(argument)
            if self.n_found() == n_before and not self.skipped:
                self.failed.append(SourceError(argument, "no match", "there is no file in it"))
        except SourceError as error:
            self.failed.append(error)

    def find_local(self, url: str) -> None:
        """Take in a path that is named, or matches a glob."""
        path = local_path(url) or ""
        siblings = siblings_of(url) if self.rotated else []
        try:
            status = os.stat(path)  # noqa: PTH116  (Path has no stat without a slower object)
            if stat.S_ISDIR(status.st_mode):
                self.walk(url)
                return
            self.add_named(url, path, status)
        except (OSError, ValueError) as error:
            if not (siblings and isinstance(error, FileNotFoundError)):
                self.failed.append(source_error(url, error))
        for sibling in siblings:
            if sibling != url:
                self.find_in_folder(sibling)

    def add_named(self, url: str, path: str, status: os.stat_result) -> None:
        if stat.S_ISFIFO(status.st_mode):
            file = spool_pipe(url, path)
            with open_stored(file) as stored:
                head = stored.read(SNIFF_BYTES)
            self.add_explicit(identity_of(status), file, head)
        elif stat.S_ISREG(status.st_mode):
            file = describe_status(url, status)
            if self.is_known(file):
                self.add(identity_of(status), file)
            else:
                self.add_explicit(identity_of(status), file, read_local_head(path))
        elif is_dev_null(status):
            self.add(identity_of(status), SourceFile(url, 0))
        else:
            self.failed.append(SourceError(url, "unreadable", "no regular file"))

    def add_explicit(self, identity: object, file: SourceFile, head: bytes) -> None:
        """Take in a file that is named: itself, or what is in it where it is an archive."""
        protocol = archive_kind(file, head)
        if protocol:
            self.add_members(protocol, file, "*")
        else:
            self.add(identity, file)

    def walk(self, root: str) -> None:
        """Take in what may be a log below a folder, sorted by name; links may form loops.

        Links come last, so that what they lead to goes by its own name.
        """
        visited: dict[object, str] = {}
        waiting, links = [root], list[str]()
        while waiting or links:
            url = waiting.pop() if waiting else links.pop(0)
            for entry in reversed(self.visit(url, visited, is_root=url == root)):
                (links if _is_link(entry) else waiting).append(entry)

    def visit(self, url: str, visited: dict[object, str], *, is_root: bool) -> list[str]:
        """Take in a file, or return what is in a folder, sorted."""
        try:
            status = os.stat(local_path(url) or "")  # noqa: PTH116
            if not stat.S_ISDIR(status.st_mode):
                self.find_in_folder(url, status)
            elif twin := visited.get(identity_of(status)):
                self.skip(url, f"the same folder as {twin}")
            elif not is_root and is_hidden(url):
                self.skip(url, "a hidden folder")
            else:
                visited[identity_of(status)] = url
                names = sorted(os.listdir(local_path(url) or ""))  # noqa: PTH208
                return [os.path.join(url, name) for name in names]  # noqa: PTH118
        except OSError as error:
            if not is_root and _is_link(url):
                self.skip(url, f"a link that leads nowhere ({error.strerror})")
            else:
                self.failed.append(source_error(url, error))
        return []

    def find_in_folder(self, url: str, status: os.stat_result | None = None) -> None:
        """Take in a file found in a folder where it may be a log."""
        path = local_path(url) or ""
        try:
            status = status or os.stat(path)  # noqa: PTH116
            file = describe_status(url, status, explicit=False)
            why = why_not_local(path, status)
            if not (why or self.is_known(file)):
                why = self.why_not(file, read_local_head(path))
        except (OSError, SourceError) as error:
            self.failed.append(source_error(url, error))
            return
        if why:
            self.skip(url, why, identity_of(status))
        else:
            self.add(identity_of(status), file)

    def why_not(self, file: SourceFile, head: bytes) -> str | None:
        """Say why a file that was found, not named, is passed over."""
        if protocol := archive_kind(file, head):
            if archive_protocol(file.url) or file.url == STDIN:
                return "an archive in an archive"
            return f"an archive: name it as {protocol}://*::{file.url}"
        return why_not_by_content(head)

    def find_remote(self, url: str) -> None:
        from pipeline.sources.remote import Store

        store = Store(url, self.options)
        bases = set[str]()
        folders: list[RemoteFile] = []
        first: list[RemoteFile] = []
        missing = None

        def named() -> Iterator[RemoteFile]:
            for item in store.find():
                if item.is_folder:
                    folders.append(item)
                else:
                    if self.rotated:
                        bases.add(parse_name(item.url).base)
                    first[:] = first or [item]
                    if not self.add_known(item, explicit=True):
                        yield item

        try:
            for item, head in store.read_heads(named()):
                self.add_remote(store, item, head, explicit=True)
        except SourceError as error:
            if not (self.rotated and error.kind == "missing"):
                raise
            missing = error
        for folder in folders:
            self.find_in_store(store, folder.url, store.walk(folder))
        if self.rotated:
            bases = bases or {parse_name(url).base}
            siblings = [
                item
                for item in store.siblings(first[0] if first else None)
                if parse_name(item.url).base in bases
                and item.url not in self.files
                and not item.is_folder
            ]
            if missing is not None and not siblings:
                raise missing
            self.find_in_store(store, url.rpartition("/")[0], siblings)

    def add_known(self, item: RemoteFile, *, explicit: bool) -> bool:
        """Take in a file of a store that was read before; tell whether it is one."""
        file = SourceFile(item.url, item.size, item.mtime, explicit, self.options, item.mark)
        is_known = self.is_known(file)
        if is_known:
            self.add(item.url, file)
        return is_known

    def add_remote(
        self, store: Store, item: RemoteFile, head: bytes | SourceError, *, explicit: bool
    ) -> None:
        """Take in a file of a store, named or found, whose first bytes are known."""
        is_spooled = isinstance(head, SourceError) and head.kind == "no ranges"
        if is_spooled:
            file, head = spool_remote(store, item)
        else:
            file = self.describe_remote(store, item, head, explicit=explicit)
        if isinstance(head, SourceError):
            self.failed.append(head)
        elif explicit:
            self.add_explicit(item.url, file, head)
        elif why := self.why_not(file, head):
            self.skip(item.url, why)
        else:
            self.add(item.url, file)
        if self.on_head is not None and self.files.get(item.url) is file and not is_spooled:
            assert isinstance(head, bytes)
            self.on_head(file, head)

    def find_in_store(self, store: Store, root: str, files: Iterable[RemoteFile]) -> None:
        """Take in files found in a folder of a store where they may be logs."""

        def candidates() -> Iterator[RemoteFile]:
            for item in files:
                if why := why_not_path(item.url.removeprefix(root)):
                    self.skip(item.url, why)
                elif not self.add_known(item, explicit=False):
                    yield item

        for item, head in store.read_heads(candidates()):
            self.add_remote(store, item, head, explicit=False)

    def describe_remote(
        self, store: Store, item: RemoteFile, head: bytes | SourceError, *, explicit: bool
    ) -> SourceFile:
        mark = store.mark(item, head) if isinstance(head, bytes) else item.mark
        return SourceFile(item.url, item.size, item.mtime, explicit, self.options, mark)

    def find_members(self, protocol: str, argument: str) -> None:
        """Take in ``tar://PATTERN::ARCHIVE``, where the archive may be a glob or a URL."""
        pattern, _, archive_argument = argument.partition("://")[2].partition("::")
        bases = _Finder(self.options, rotated=False)
        for base in bases.find_bases(archive_argument):
            try:
                self.add_members(protocol, base, pattern)
            except SourceError as error:
                self.failed.append(error)
        self.failed += bases.failed

    def find_bases(self, argument: str) -> Iterator[SourceFile]:
        """Yield the archives that the right side of a chain names."""
        if archive_protocol(argument):
            self.find(argument)
            yield from self.files.values()
        elif local_path(argument) is not None:
            for url in expand(argument):
                try:
                    yield describe(url, self.options)
                except SourceError as error:
                    self.failed.append(error)
        else:
            from pipeline.sources.remote import Store

            store = Store(argument, self.options)
            for item, head in store.read_heads(store.find()):
                if isinstance(head, SourceError):
                    self.failed.append(head)
                else:
                    yield self.describe_remote(store, item, head, explicit=True)

    def add_members(self, protocol: str, base: SourceFile, pattern: str) -> None:
        """Take in the members of an archive that match a pattern."""
        from pipeline.sources.members import get_archive

        self.add_archive(
            protocol, base, pattern, get_archive(protocol, base, lambda: open_stored(base))
        )

    def add_archive(self, protocol: str, base: SourceFile, pattern: str, archive: Archive) -> None:
        from pipeline.sources import members

        chosen, explicit = members.choose_members(archive, pattern)
        names = members.matcher(pattern)
        for member in chosen:
            url = members.url_of(protocol, member.label, base.url)
            file = SourceFile(url, member.size, member.mtime, explicit, base.options)
            why = None if explicit else self.why_not_member(archive, member, file)
            # Hard links in a tar have one place.
            identity = (base.url, member.place) if isinstance(member.place, int) else url
            if why:
                self.skip(url, why)
            else:
                self.add(identity, file)
        for label, why in archive.skipped:
            if names(label):
                url = members.url_of(protocol, label, base.url)
                self.skip(url, why)
        for label, why in archive.failed:
            if names(label):
                url = members.url_of(protocol, label, base.url)
                self.failed.append(SourceError(url, "unreadable", why))
        if archive.damage:
            self.failed.append(SourceError(base.url, "unreadable", archive.damage))
        elif not chosen:
            kind = "no match" if members.has_magic(pattern) else "missing"
            self.failed.append(
                SourceError(f"{protocol}://{pattern}::{base.url}", kind, "no such member")
            )

    def why_not_member(self, archive: Archive, member: Member, file: SourceFile) -> str | None:
        if why := why_not_path(member.label):
            return why
        try:
            with archive.open_member(member) as stored:
                return self.why_not(file, stored.read(SNIFF_BYTES))
        except OSError:
            return None  # its reader will say what is wrong

    def find_stdin(self, head: bytes, stream: BinaryIO) -> None:
        if is_tar_inside(head, lambda: io.BytesIO(head), ""):
            self.unpack_stream(stream)
        else:
            self.add(STDIN, SourceFile(STDIN, None))

    def unpack_stream(self, stream: BinaryIO) -> None:
        from pipeline.compression import detect
        from pipeline.sources.members import keep_archive, read_spooled_tar

        head = stream.read(SNIFF_BYTES)
        base = SourceFile(STDIN, None)
        try:
            archive = read_spooled_tar(replay(head, stream), detect(head))
        except SourceError as error:
            self.failed.append(error)
            return
        keep_archive("tar", base, archive)
        self.add_archive("tar", base, "*", archive)


def spool_remote(store: Store, item: RemoteFile) -> tuple[SourceFile, bytes | SourceError]:
    """Fetch a file whose server gives no ranges as a whole, once, as a pipe is."""
    try:
        path = pipes[item.url] = store.spool()
    except SourceError as error:
        return SourceFile(item.url, item.size), error
    with path.open("rb") as stored:
        return SourceFile(item.url, path.stat().st_size), stored.read(SNIFF_BYTES)


def _is_link(url: str) -> bool:
    return os.path.islink(local_path(url) or "")  # noqa: PTH114
