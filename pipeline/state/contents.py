"""Contents: plain bytes that were read, the names they went by, the segments that were mapped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.chain import digest
from pipeline.scan import LineCounts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.model import SourceFile

#: Plain bytes at the begin of a content by which it is found, at most.
HEAD_BYTES = 4096


@dataclass(slots=True)
class Seen:
    """A name that a content went by, and the file's state then: hints that save reading.

    Attributes
    ----------
    held : int
        Plain bytes behind the last line end, which wait for their line's rest.
    damage : dict or None
        What was wrong with the file.
    mark : str or None
        What a store tells that changes with the object: its ETag or version.
    """

    url: str
    size: int | None
    mtime: float | None
    inode: list[int] | None
    held: int = 0
    damage: dict[str, Any] | None = None
    mark: str | None = None

    def is_of(self, file: SourceFile) -> bool:
        """Tell whether a file is as it was seen."""
        inode = None if file.inode is None else list(file.inode)
        if (self.size, self.mtime, self.inode) != (file.size, file.mtime, inode):
            return False
        # Times of stores are whole seconds.
        return self.mark is None or file.mark is None or self.mark == file.mark


@dataclass(slots=True, eq=False)
class Segment:
    """Lines of a content that were mapped together: the plain bytes [start, stop).

    Attributes
    ----------
    lines : dict
        Their `LineCounts`.
    year : dict
        The entry of the account that tells how their years were found.
    units : dict of str to str
        Key of a unit (`pipeline.state.parts`) → the object that holds its partials; empty where
        it has none (`pipeline.state.questions`).
    made_by : str
        Version of the program.
    is_alone : bool
        Its objects hold nothing else: it may be mapped anew.
    is_open : bool
        Its last line had no end.
    envelope : str
        Name of what its lines stand in; empty without.
    envelope_option : str
        How that was asked for: with another ``--envelope`` the lines may have other times.
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
    envelope_option: str = "auto"
    units: dict[str, str] = field(default_factory=dict)

    def counts(self) -> LineCounts:
        """Return the counts of its lines."""
        return LineCounts(**self.lines)


@dataclass(slots=True, eq=False)
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


def digest_line(head: bytes) -> str:
    """Return the digest of the first line of a head, or of the begin of that."""
    return digest(head.split(b"\n", 1)[0][:HEAD_BYTES]).hex()


def sum_lines(segments: Iterable[Segment]) -> LineCounts:
    """Return the counts of segments that follow each other."""
    total = LineCounts()
    for segment in segments:
        total.add(segment.counts())
    return total
