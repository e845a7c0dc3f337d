"""One split as a task, and reading it: what every stage that visits blocks begins with."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from pipeline.compression import get_codec
from pipeline.errors import DamageError, SourceError
from pipeline.head import open_source
from pipeline.model import Damage
from pipeline.read import Buffers, read_ahead, read_blocks, read_pieces
from pipeline.source import limit_read_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from pipeline.combine import FileCounts
    from pipeline.compression.base import PlainReader
    from pipeline.compression.seek_build import SeekIndexBuilder
    from pipeline.compression.seek_index import SeekIndex, SourceIdentity
    from pipeline.envelopes import Envelope
    from pipeline.model import Block, Place, Split
    from pipeline.peel import Peeler
    from pipeline.query import MapPlan
    from pipeline.yearless import YearTable

_local = threading.local()
_cancelled = threading.Event()
#: What this process's map tasks are reading, by thread, and the stored bytes of those that ended.
_under_way: dict[int, tuple[Split, PlainReader]] = {}
_finished: list[int] = []


class CancelledError(Exception):
    """The run was given up; its map tasks end at their next block."""


def begin_run() -> None:
    """Forget what an earlier run of this process has read, and that it was given up."""
    _cancelled.clear()
    _under_way.clear()
    _finished.clear()


def bytes_read() -> int:
    """Return the stored bytes that this process's map tasks have read since `begin_run`.

    From any thread, and at no cost to the map tasks: the readers are asked how far they are.
    """
    read = sum(_finished)
    for split, reader in list(_under_way.values()):
        read += _own_bytes(split, reader.stored_offset)
    return read


def cancel() -> None:
    """Make every running map task of this process end soon."""
    _cancelled.set()


def is_given_up() -> bool:
    """Tell whether this process's run was given up."""
    return _cancelled.is_set()


@dataclass(frozen=True, slots=True)
class MapTask:
    """One split and all that mapping it takes; can be sent to another process.

    Attributes
    ----------
    years : YearTable
        Dates the file's year-less stamps.
    is_ahead : bool
        Decode on a thread of its own, in step with the scan: when there are fewer splits than
        workers.
    block_bytes : int
        Size of a block.
    index : SourceIdentity or None
        The state of the file whose seek index, kept in the cache, the split's cuts are of.
    build : SourceIdentity or None
        Make a seek index in passing, and keep it for this state of the file.
    number : int
        Counts the tasks of a run: with it the numbers of a split's messages are its own.
    begin : int
        Plain bytes at the begin of the file that were mapped before; of a split that begins it.
    end : int or None
        Plain offset from which on all was mapped before.
    is_digested : bool
        Tell which content was read.
    envelope : Envelope or None
        What the lines stand in.
    place : Place or None
        What the path of the file tells.
    read_rate : int or None
        Bytes per second that all workers of a process together may ask stores for.
    """

    split: Split
    years: YearTable
    plan: MapPlan
    is_ahead: bool = False
    block_bytes: int = 16 << 20
    index: SourceIdentity | None = None
    build: SourceIdentity | None = None
    number: int = 0
    begin: int = 0
    end: int | None = None
    is_digested: bool = False
    envelope: Envelope | None = None
    place: Place | None = None
    read_rate: int | None = None


class Reading:
    """A task's split, opened.

    Parameters
    ----------
    keeps_tails : bool
        Of lines that are too long for a block, the rest comes with it.

    Attributes
    ----------
    offset : int
        Plain offset at which the split begins.

    Raises
    ------
    SourceError
        It can't be opened.
    """

    def __init__(self, task: MapTask, *, keeps_tails: bool = False) -> None:
        start = task.split.start
        self.offset = (start.plain_offset or 0) if start else 0
        self.buffers = _buffers(task)
        self._task = task
        self._keeps_tails = keeps_tails
        self._reader, self._builder = _open_split(task)

    def visit(
        self,
        counts: FileCounts,
        watch: Callable[[Iterator[Block]], Iterator[Block]] | None = None,
        change: Callable[[Iterator[Block]], Iterator[Block]] | None = None,
        *,
        gives_back: bool = True,
        on_overlong: Callable[[int, memoryview], None] | None = None,
        is_lined: bool = True,
        is_cancelled: Callable[[], bool] = is_given_up,
    ) -> Generator[Block]:
        """Yield the blocks, each valid until the next is asked for; to be closed.

        What cannot be read is noted in ``counts``, and so is how much was.

        Parameters
        ----------
        watch : callable, optional
            Stands behind the reader, with it on a thread of its own where that decodes ahead.
        change : callable, optional
            Makes other blocks of them.
        gives_back : bool
            Else who changes them gives their buffers back.
        on_overlong : callable, optional
            See `pipeline.read.read_blocks`.
        is_lined : bool
            Else blocks may end anywhere.
        is_cancelled : callable
            Asked at each block whether the run was given up.
        """
        task, split, buffers, reader = self._task, self._task.split, self.buffers, self._reader
        blocks: Iterator[Block]
        if is_lined:
            blocks = read_blocks(
                reader,
                buffers,
                is_first=split.start is None,
                has_stop=split.stop is not None,
                offset=self.offset,
                keeps_tails=self._keeps_tails,
                on_overlong=on_overlong,
            )
        else:
            blocks = read_pieces(reader, buffers)
        if watch is not None:
            blocks = watch(blocks)
        if task.is_ahead:
            blocks = read_ahead(blocks, buffers)
        if change is not None:
            blocks = change(blocks)
        _under_way[threading.get_ident()] = split, reader
        try:
            with reader:
                for block in blocks:
                    yield block
                    if gives_back:
                        buffers.give_back(block.buffer)
                    _check(is_cancelled)
            if self._builder is not None and task.build is not None:
                _keep_index(self._builder, task.build)
        except DamageError as error:
            counts.damage = Damage(
                split.file.url, error.kind, error.stored_offset, error.plain_offset, error.detail
            )
        except BaseException:
            _local.buffers = None  # some may be lost, or still in use
            raise
        finally:
            counts.stored_bytes = _own_bytes(split, reader.stored_offset)
            del _under_way[threading.get_ident()]
            _finished.append(counts.stored_bytes)

    def visit_inside(self, counts: FileCounts, peeler: Peeler | None) -> Generator[Block]:
        """Yield the blocks likewise, of the lines that stand in envelopes."""
        if peeler is None:
            return self.visit(counts)
        return self.visit(
            counts,
            change=lambda blocks: peeler.peel(blocks, self.buffers),
            gives_back=False,
            is_lined=peeler.is_lined,
        )


def open_task(task: MapTask, counts: FileCounts, *, keeps_tails: bool = False) -> Reading | None:
    """Open a task's split; None: that can't be, and is noted in ``counts``."""
    try:
        return Reading(task, keeps_tails=keeps_tails)
    except SourceError as error:
        counts.damage = Damage(task.split.file.url, error.kind, detail=error.detail)
        return None


def _check(is_cancelled: Callable[[], bool]) -> None:
    if is_cancelled():
        raise CancelledError


def _own_bytes(split: Split, stored_offset: int) -> int:
    """Return how many of the split's own stored bytes a reader that came so far has read.

    What it read behind the stop to finish its last line is the next split's.
    """
    start = split.start.stored_offset if split.start else 0
    stop = stored_offset if split.stop is None else min(stored_offset, split.stop.stored_offset)
    return max(0, stop - start)


def make_peeler(task: MapTask, *, has_parts: bool = False) -> Peeler | None:
    """Return what takes a split's lines out of their envelopes, where they stand in some.

    ``has_parts``: a part of a line that has an envelope of its own is a line.
    """
    if task.envelope is None:
        return None
    from pipeline.peel import Peeler

    return Peeler(task.envelope, task.years, has_parts=has_parts)


def stored_span(split: Split) -> tuple[int, int]:
    """Return where a split begins and ends in stored bytes."""
    start = split.start.stored_offset if split.start else 0
    return start, split.stop.stored_offset if split.stop else split.file.size or 0


def _buffers(task: MapTask) -> Buffers:
    count = 4 if task.is_ahead else 2
    held: Buffers | None = getattr(_local, "buffers", None)
    if held is None or held.count != count or held.size < task.block_bytes:
        held = _local.buffers = Buffers(count, task.block_bytes)
    return held


def _open_split(task: MapTask) -> tuple[PlainReader, SeekIndexBuilder | None]:
    """Return a reader of a split, and what makes the file's seek index in passing."""
    split = task.split
    limit_read_rate(task.read_rate)
    stored = open_source(split.file, stored_span(split))
    codec = get_codec(split.compression)
    if split.compression == "gzip":
        from pipeline.compression.gzip import GzipCodec
        from pipeline.compression.seek_build import SeekIndexBuilder

        assert isinstance(codec, GzipCodec)
        builder = SeekIndexBuilder() if task.build is not None else None
        index = None if task.index is None else _load_index(task.index)
        return codec.open(
            stored, split.file.size, split.start, split.stop, index=index, build=builder
        ), builder
    return codec.open(stored, split.file.size, split.start, split.stop), None


@lru_cache(maxsize=4)
def _load_index(identity: SourceIdentity) -> SeekIndex:
    """Return a seek index that was there at planning.

    Raises
    ------
    SourceError
        It has gone, or the file is another one now.
    """
    from pipeline.compression import seek_index

    index = seek_index.load(identity)
    if index is None:
        raise SourceError(identity.url, "unreadable", "its seek index was removed during the run")
    return index


def _keep_index(builder: SeekIndexBuilder, identity: SourceIdentity) -> None:
    from pipeline.compression import seek_index

    index = builder.finish()
    if index is not None:
        seek_index.store(index, identity)
