"""The words of the pipeline as plain data, in the order in which they appear in a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, datetime
    from mmap import mmap

    from pipeline.stamps import HeadDates

#: A line longer than this many plain bytes is counted whole and its text cut here.
MAX_LINE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One input object, as the store described it at planning.

    Attributes
    ----------
    url : str
        As the user named it or as a listing gave it; what the column ``file`` holds.
    size : int or None
        Stored bytes at planning time; what grows later is not read. None: standard input.
    mtime : float or None
        Change mark: Unix seconds, where the store tells.
    explicit : bool
        Named by the user rather than found in a directory: then it is read whatever it holds.
    options : tuple of (str, str)
        fsspec storage options.
    mark : str or None
        Version or ETag of an object in a store: another one under its name is another file.
    inode : tuple of (int, int) or None
        Device and inode of a local file: another one under its name is another file.
    """

    url: str
    size: int | None
    mtime: float | None = None
    explicit: bool = True
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # may hold secrets
    mark: str | None = None
    inode: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """A way in which lines are wrapped; sent to every map task.

    Attributes
    ----------
    name : str
        As ``--envelope`` takes it, and the account gives it.
    shape : str
        ``json``: an object a line; ``cri`` and ``stamped``: words before the line; ``frames``: a
        length before it; ``entries``: fields on lines of their own, an empty line behind.
    mapping : tuple of (str, tuple of str)
        Of ``json`` and ``entries``: of each field of
        `pipeline.kernels.envelope_fields.FIELDS` the paths at which it may stand, best first.
    joins : bool
        A line may be cut into several envelopes.
    may_be_null : bool
        An object without text is an empty line.
    has_prefix : bool
        A time and a tag, each with a tab behind, may stand before the object.
    """

    name: str
    shape: str
    mapping: tuple[tuple[str, tuple[str, ...]], ...] = ()
    joins: bool = False
    may_be_null: bool = False
    has_prefix: bool = False

    @property
    def is_lined(self) -> bool:
        """Each line of the file is one envelope or part of none."""
        return self.shape in ("json", "cri", "stamped")

    @property
    def is_whole(self) -> bool:
        """Where the lines begin shows from the begin of the file only: it must be one split."""
        return self.joins or not self.is_lined


@dataclass(frozen=True, slots=True)
class Found:
    """The envelope of a file, and the share of its head's lines that have it (None: it was set)."""

    envelope: Envelope
    share: float | None


@dataclass(frozen=True, slots=True)
class Head:
    """What the first bytes of a source file tell; read once, at planning.

    Attributes
    ----------
    compression : str
        Name of the codec, found by content.
    text : bytes
        The first plain bytes, at most ``HEAD_BYTES``.
    gzip_mtime : int
        MTIME of the first gzip header in Unix seconds, 0 where there is none.
    envelope : Found or None
        What the lines of the file stand in; then ``text`` is what was taken out of it.
    wrapped : datetime or None
        The latest time that these envelopes tell.
    dates : HeadDates or None
        What all of the text told, where only its begin was kept: see `pipeline.many_heads`.
    """

    compression: str
    text: bytes
    gzip_mtime: int = 0
    envelope: Found | None = None
    wrapped: datetime | None = None
    dates: HeadDates | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """What the path of a file tells of its lines, by ``--path-template``.

    Attributes
    ----------
    host, process : str or None
        For lines that name none; a host called ``localhost`` is none.
    day : date or None
        For lines without a time stamp.
    begin, end : datetime or None
        The lines lie in [begin, end), but for time zones.
    """

    host: str | None = None
    process: str | None = None
    day: date | None = None
    begin: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """A place where decoding can begin.

    Attributes
    ----------
    position : int
        In the codec's own coordinate: stored byte offset (plain, zstd, xz, BGZF), stored *bit*
        offset (bzip2, gzip seek points).
    stored_offset : int
        The same place in stored bytes, rounded down.
    plain_offset : int or None
        Plain bytes before it, None where that is not known without decoding.
    """

    position: int
    stored_offset: int
    plain_offset: int | None


@dataclass(frozen=True, slots=True)
class Split:
    """What one map task owns: the lines that start after ``start`` and at or before ``stop``.

    ``start`` None is the begin of the file, ``stop`` None its end; ``index`` counts from 0 in
    file order.
    """

    file: SourceFile
    compression: str
    index: int
    start: Cut | None
    stop: Cut | None


@dataclass(frozen=True, slots=True)
class Outer:
    """Of each line of a block: the plain bytes of its envelope, and where that begins.

    ``line`` is the line there, counted from the begin of the split.
    """

    bytes: memoryview
    offset: memoryview
    line: memoryview


@dataclass(slots=True)
class Block:
    """Whole lines: ``buffer[:stop]``. Only the last line of a file may lack its LF.

    Attributes
    ----------
    offset : int
        Plain offset of ``buffer[0]``, from where the reader of the split began.
    extra_bytes : int
        Bytes of the one line in this block that were left out, since it is longer than
        ``MAX_LINE_BYTES``.
    outer : Outer or None
        What the lines take in the file, where they were taken out of envelopes.
    tail : BinaryIO or None
        These bytes, where the reader was asked to keep them.
    """

    buffer: mmap | bytearray
    stop: int
    offset: int
    extra_bytes: int = 0
    outer: Outer | None = None
    tail: BinaryIO | None = None


#: The kind of damage of which no file is named, but a host that should have written lines.
SILENT = "silent host"


@dataclass(frozen=True, slots=True)
class Damage:
    """A place from which on a source file could not be read."""

    file: str
    kind: str
    stored_offset: int | None = None
    plain_offset: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class KnownDamage:
    """Which damage is known.

    Attributes
    ----------
    file : str
        Its file, or a glob: logs are renamed when they rotate.
    kind : str or None
        ``truncated``, ``missing``, …; None: any.
    stored_offset : int or None
        Where in the file; None: anywhere. It stays the same when the file is renamed.
    why : str
        For the people who read about it.
    """

    file: str
    kind: str | None = None
    stored_offset: int | None = None
    why: str = ""

    def covers(self, damage: Damage) -> bool:
        """Tell whether this damage is the known one."""
        return (
            (self.file == damage.file or fnmatchcase(damage.file, self.file))
            and self.kind in (None, damage.kind)
            and self.stored_offset in (None, damage.stored_offset)
        )


def split_known(
    damaged: Iterable[Damage], known: Sequence[KnownDamage]
) -> tuple[list[Damage], list[tuple[Damage, KnownDamage]]]:
    """Return the damage that is new, and that which is known with what is known of it."""
    new: list[Damage] = []
    seen: list[tuple[Damage, KnownDamage]] = []
    for damage in damaged:
        by = next((one for one in known if one.covers(damage)), None)
        if by is None:
            new.append(damage)
        else:
            seen.append((damage, by))
    return new, seen


@dataclass(frozen=True, slots=True)
class Letter:
    """Headers of a message, checked by `pipeline.report.mail.read_letter`."""

    sender: str = ""
    recipients: tuple[str, ...] = ()
    subject: str = ""


@dataclass(slots=True)
class Account:
    """What was read, dated, undated, damaged, duplicate, skipped: nothing is dropped in silence.

    The field names are the keys of ``--account``. ``repeated_lines`` is None where they were not
    looked for, ``restated_days`` without a state.
    """

    files: int = 0
    stored_bytes: int = 0
    read_bytes: int = 0
    plain_bytes: int = 0
    lines: int = 0
    dated_lines: int = 0
    undated_lines: int = 0
    repeated_lines: int | None = None
    restated_days: int | None = None
    reused_files: int = 0
    duplicates: list[dict[str, str]] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    damaged: list[Damage] = field(default_factory=list)
    years: list[dict[str, object]] = field(default_factory=list)
    peeled: list[dict[str, object]] = field(default_factory=list)
    repeated: list[dict[str, object]] = field(default_factory=list)
    restated: list[dict[str, object]] = field(default_factory=list)
    seconds: float = 0.0
