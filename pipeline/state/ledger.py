"""What was read: contents, the names that they went by, and the segments that were mapped.

The ledger is one object; while a run lasts, what it finishes is noted in objects of a journal
beside it. A run that was killed leaves its journal, and the next one takes it up.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.chain import DIGEST_BYTES, STEP, Chain, digest
from pipeline.errors import StateError
from pipeline.scan import LineCounts
from pipeline.state.objects import DamagedObjectError, MissingObjectError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipeline.model import SourceFile
    from pipeline.state.objects import Objects

FORMAT = 1
#: Plain bytes at the begin of a content by which it is found, at most.
HEAD_BYTES = 4096
_LEDGER = "ledger"
_JOURNAL = "journal"


@dataclass(slots=True)
class Seen:
    """A name that a content went by, and the file's state then: hints that save reading.

    Attributes
    ----------
    held : int
        Plain bytes behind the last line end, which wait for their line's rest.
    damage : dict or None
        What was wrong with the file.
    """

    url: str
    size: int | None
    mtime: float | None
    inode: list[int] | None
    held: int = 0
    damage: dict[str, Any] | None = None

    def is_of(self, file: SourceFile) -> bool:
        """Tell whether a file is as it was seen."""
        inode = None if file.inode is None else list(file.inode)
        return (self.size, self.mtime, self.inode) == (file.size, file.mtime, inode)


@dataclass(slots=True)
class Segment:
    """Lines of a content that were mapped together: the plain bytes [start, stop).

    Attributes
    ----------
    lines : dict
        Their `LineCounts`.
    year : dict
        The entry of the account that tells how their years were found.
    units : dict of str to str
        Key of a unit (`pipeline.state.parts`) → the object that holds its partials.
    made_by : str
        Version of the program.
    is_alone : bool
        Its objects hold nothing else: it may be mapped anew.
    is_open : bool
        Its last line had no end.
    envelope : str
        Name of what its lines stand in; empty without.
    """

    id: str
    start: int
    stop: int
    lines: dict[str, Any]
    year: dict[str, Any]
    made_by: str
    is_alone: bool = False
    is_open: bool = False
    envelope: str = ""
    units: dict[str, str] = field(default_factory=dict)

    def counts(self) -> LineCounts:
        """Return the counts of its lines."""
        return LineCounts(**self.lines)


@dataclass(slots=True)
class Content:
    """Plain bytes that were read, whatever the file that held them.

    Attributes
    ----------
    head : str
        Digest of its first ``head_bytes`` plain bytes.
    length : int
        Plain bytes that are known; they end with a line, or the file did.
    stops : list of (int, str)
        Lengths that it had, and the digest behind the last border between steps then.
    first : int or None
        Time of its first dated line, µs as written.
    place : str
        What the paths of its files tell, with ``--path-template``.
    month : str
        In which it was first dated; what is kept of it shares objects with contents of this only.
    forgotten : int
        Plain bytes, from its begin on, of which nothing is kept any more.
    steps : str
        Digests of its whole steps, where they are few; else an object holds them.
    seen : dict of str to Seen
        By URL.
    line : str
        Digest of its first line, or the begin of that.
    """

    id: str
    head: str
    head_bytes: int
    length: int
    stops: list[list[Any]]
    first: int | None
    place: str = ""
    month: str = ""
    forgotten: int = 0
    steps: str = ""
    seen: dict[str, Seen] = field(default_factory=dict)
    line: str = ""
    segments: list[Segment] = field(default_factory=list)

    @property
    def chain_name(self) -> str:
        """Name of the object that holds its chain."""
        return f"chains/{self.id}"

    def covered(self, unit: str) -> int:
        """Return how many of its bytes, from its begin on, a unit needs no more."""
        missing = self.missing(unit)
        return missing[0][0] if missing else self.length

    def missing(self, unit: str) -> list[tuple[int, int]]:
        """Return the ranges of its bytes that a unit has no partials of, in order."""
        found = []
        at = self.forgotten
        for segment in self.segments_of(unit):
            if segment.start > at:
                found.append((at, segment.start))
            at = max(at, segment.stop)
        if at < self.length:
            found.append((at, self.length))
        return found

    def segments_of(self, unit: str) -> list[Segment]:
        """Return the segments that a unit has partials of, in order."""
        return sorted(
            (one for one in self.segments if unit in one.units), key=lambda one: one.start
        )


class Ledger:
    """All contents, loaded from a state and written back to it."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.contents: dict[str, Content] = {}
        #: Files without a byte of text, by URL: no content to know them by.
        self.empty: dict[str, Seen] = {}
        self.next_number = 0
        #: Nothing was ever kept here.
        self.is_new = False
        self.notes: list[str] = []
        self._n_journal = 0
        self._by_url: dict[str, Content] = {}
        self._by_inode: dict[tuple[int, ...], Content] = {}
        #: Length of the head → its digest → contents by their id.
        self._by_head: dict[int, dict[str, dict[str, Content]]] = {}
        self._by_line: dict[str, dict[str, Content]] = {}
        self._load()

    def find_seen(self, file: SourceFile) -> Content | None:
        """Return the content that a file had when it was last seen as it is now."""
        content = self._by_url.get(file.url)
        if content is not None and content.seen[file.url].is_of(file):
            return content
        return None

    def find_near(self, file: SourceFile) -> list[Content]:
        """Return contents that a file may hold more of: by its inode, or its name."""
        found = []
        if file.inode is not None and (content := self._by_inode.get(tuple(file.inode))):
            found.append(content)
        if (content := self._by_url.get(file.url)) and content not in found:
            found.append(content)
        return found

    def find_by_head(self, head: bytes) -> list[Content]:
        """Return the contents that begin as these plain bytes do, the longest first."""
        found: list[Content] = []
        for n, contents in self._by_head.items():
            if n <= len(head):
                found += contents.get(digest(head[:n]).hex(), {}).values()
        return sorted(found, key=lambda one: -one.length)

    def find_by_line(self, head: bytes) -> list[Content]:
        """Return the contents that have the same first line, the longest first."""
        found = self._by_line.get(digest_line(head), {}).values()
        return sorted(found, key=lambda one: -one.length)

    def chain(self, content: Content) -> Chain:
        """Return the chain of a content."""
        length, tail = content.stops[-1]
        return Chain(length, self.digests(content, length // STEP), bytes.fromhex(tail))

    def digests(self, content: Content, n_steps: int) -> bytes:
        """Return the digests of the first whole steps of a content; zeros where they are lost."""
        n = n_steps * DIGEST_BYTES
        digests = bytes.fromhex(content.steps)
        if n > len(digests):
            try:
                digests = self.objects.get(content.chain_name)
            except (MissingObjectError, DamagedObjectError) as error:
                self.notes.append(f"{error}: its content is told by its begin and end alone")
        return digests[:n].ljust(n, b"\0")

    def note(self, contents: Sequence[Content]) -> None:
        """Keep what is new of some contents, at once: after their partials have been written."""
        held = {
            "contents": [_plain(content) for content in contents],
            "next_number": self.next_number,
        }
        self.objects.put(f"{_JOURNAL}/{self._n_journal:09}", _packed(held))
        self._n_journal += 1

    def see(self, content: Content, seen: Seen) -> None:
        """Note a name of a content; written with the next `save`."""
        other = self._by_url.get(seen.url)
        if other is not None and other is not content:
            other.seen.pop(seen.url, None)
        content.seen[seen.url] = seen
        self._add(content)

    def save(self) -> None:
        """Write all of it, and end the journal."""
        self.objects.put(
            _LEDGER,
            _packed(
                {
                    "format": FORMAT,
                    "journal": self._n_journal,
                    "next_number": self.next_number,
                    "empty": {url: asdict(seen) for url, seen in self.empty.items()},
                    "contents": [_plain(content) for content in self.contents.values()],
                }
            ),
        )
        for name in self.objects.names(_JOURNAL):
            self.objects.delete(name)

    def used_objects(self) -> set[str]:
        """Return the names of all objects that it needs."""
        used = {
            one.chain_name for one in self.contents.values() if one.length >= STEP and not one.steps
        }
        for content in self.contents.values():
            for segment in content.segments:
                used.update(segment.units.values())
        return used

    def sweep(self) -> int:
        """Remove objects that nothing needs: merged ones, and what killed runs left.

        After `save` only: until then an older ledger may need them.
        """
        used = self.used_objects()
        n = 0
        for folder in ("chains", *self.objects.names("parts")):
            for name in self.objects.names(folder):
                if name not in used:
                    self.objects.delete(name)
                    n += 1
        for name in self.objects.leftovers():
            self.objects.delete(name)
        return n

    def all_segments(self) -> Iterator[tuple[Content, Segment]]:
        """Yield each content with each of its segments."""
        for content in self.contents.values():
            for segment in content.segments:
                yield content, segment

    def _load(self) -> None:
        try:
            held = _unpacked(self.objects.get(_LEDGER))
        except MissingObjectError:
            held = {"format": FORMAT, "journal": 0, "next_number": 0, "contents": []}
            self.is_new = not self.objects.names(_JOURNAL)
        if held.get("format") != FORMAT:
            raise StateError(
                f"{self.objects.url} was written by another version of sawlog "
                f"(format {held.get('format')}, this one reads {FORMAT})"
            )
        self.next_number = held["next_number"]
        self._n_journal = held["journal"]
        self.empty = {url: Seen(**seen) for url, seen in held.get("empty", {}).items()}
        for plain in held["contents"]:
            self._take(plain)
        for name in self.objects.names(_JOURNAL):
            number = name.rpartition("/")[2]
            if not number.isdigit() or int(number) < held["journal"]:
                continue  # in the ledger already, or the rest of a killed run
            try:
                entry = _unpacked(self.objects.get(name))
            except DamagedObjectError as error:
                self.notes.append(f"{error}: what it noted is read again")
                continue
            for plain in entry["contents"]:
                self._take(plain)
            self.next_number = max(self.next_number, entry["next_number"])
            self._n_journal = int(number) + 1

    def _take(self, plain: dict[str, Any]) -> None:
        plain["seen"] = {url: Seen(**seen) for url, seen in plain["seen"].items()}
        plain["segments"] = [Segment(**segment) for segment in plain["segments"]]
        content = Content(**plain)
        for url in content.seen:
            other = self._by_url.get(url)
            if other is not None:
                other.seen.pop(url, None)
        self._add(content)

    def _add(self, content: Content) -> None:
        """Let a content be found by what it has now."""
        self.contents[content.id] = content
        for url, seen in content.seen.items():
            self._by_url[url] = content
            if seen.inode is not None:
                self._by_inode[tuple(seen.inode)] = content
        heads = self._by_head.setdefault(content.head_bytes, {}).setdefault(content.head, {})
        heads[content.id] = content
        self._by_line.setdefault(content.line, {})[content.id] = content


def digest_line(head: bytes) -> str:
    """Return the digest of the first line of a head, or of the begin of that."""
    return digest(head.split(b"\n", 1)[0][:HEAD_BYTES]).hex()


def _plain(content: Content) -> dict[str, Any]:
    return asdict(content)


def _packed(held: dict[str, Any]) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=3).compress(json.dumps(held).encode())


def _unpacked(content: bytes) -> Any:
    import zstandard

    # Each object's checksum has been compared: this is what was written.
    return json.loads(zstandard.ZstdDecompressor().decompress(content))


def sum_lines(segments: Iterable[Segment]) -> LineCounts:
    """Return the counts of segments that follow each other."""
    total = LineCounts()
    for segment in segments:
        total.add(segment.counts())
    return total
