"""Map a split: scan its blocks, run every query's map phase over them, return partials."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from pipeline.at_hand import at_hand
from pipeline.chain import Digester
from pipeline.combine import Mapped
from pipeline.compression import get_codec
from pipeline.errors import DamageError, SourceError
from pipeline.head import open_source
from pipeline.model import Damage
from pipeline.read import Buffers, Unowned, leave_out, read_ahead, read_blocks, read_pieces
from pipeline.repeats import Expander
from pipeline.source import limit_read_rate
from pipeline.stitch import Stitcher

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
    from pipeline.redelivery import RepeatFinder
    from pipeline.yearless import YearTable

#: Messages of a split are numbered from its task's number, moved so far to the left.
_NUMBER_BITS = 40
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


def map_split(task: MapTask, is_cancelled: Callable[[], bool] = _cancelled.is_set) -> Mapped:
    """Read one split and return its partials, counts and damage.

    Never raises for what is in the input: a damaged or unreadable file is part of the answer.

    Parameters
    ----------
    is_cancelled : callable
        Asked at each block whether the run was given up.
    """
    split = task.split
    url = split.file.url
    mapped = Mapped.empty(url, task.plan)
    counts = mapped.files[url]
    try:
        reader, builder = open_split(task)
    except SourceError as error:
        counts.damage = Damage(url, error.kind, detail=error.detail)
        return mapped
    held = at_hand(task.plan)
    held.begin()
    scanner = held.scanner
    scanner.begin_file(url, task.years, task.number << _NUMBER_BITS, task.place)
    stitcher = Stitcher(held, mapped.partials) if task.plan.views.stitch else None
    buffers = _buffers(task)
    offset = (split.start.plain_offset or 0) if split.start else 0
    blocks: Iterator[Block]
    digester = Digester(offset) if task.is_digested else None
    if task.envelope is not None and not task.envelope.is_lined:
        blocks = read_pieces(reader, buffers)
    else:
        blocks = read_blocks(
            reader,
            buffers,
            is_first=split.start is None,
            has_stop=split.stop is not None,
            offset=offset,
            on_overlong=None if digester is None else digester.take,
        )
    if digester is not None:
        blocks = digester.watch(blocks)
    if task.begin or task.end is not None:
        blocks = leave_out(blocks, task.begin, task.end, buffers)
    if task.is_ahead:
        blocks = read_ahead(blocks, buffers)
    finder = _finder(task)
    is_lined = task.envelope is None or task.envelope.is_lined
    if finder is not None and is_lined:
        blocks = finder.find(blocks)
    peeler = make_peeler(task)
    if peeler is not None:
        blocks = peeler.peel(blocks, buffers)
    if finder is not None and not is_lined:
        blocks = finder.find(blocks)
    expander = Expander(task.years) if task.plan.expands_repeats else None
    if expander is not None:
        blocks = expander.expand(blocks, buffers if peeler is None else Unowned())
    _under_way[threading.get_ident()] = split, reader
    try:
        with reader:
            for block in blocks:
                for table in scanner.scan(block):
                    held.scanned(table)
                    held.map_scanned(mapped.partials)
                    if stitcher is not None:
                        stitcher.take()
                    mapped.combine_within(task.plan)
                if expander is None and peeler is None:
                    buffers.give_back(block.buffer)
                _check(is_cancelled)
                if mapped.is_enough(task.plan):
                    counts.is_cut = True
                    _local.buffers = None  # the reader is left with one of them
                    break
        counts.stored_bytes = _own_bytes(split, reader.stored_offset)
        if builder is not None and task.build is not None and not counts.is_cut:
            _keep_index(builder, task.build)
    except DamageError as error:
        counts.damage = Damage(
            url, error.kind, error.stored_offset, error.plain_offset, error.detail
        )
        counts.stored_bytes = _own_bytes(split, reader.stored_offset)
    except BaseException as error:
        _local.buffers = None  # some may be lost, or still in use
        error.add_note(f"while mapping split {split.index} of {url}")
        raise
    finally:
        del _under_way[threading.get_ident()]
        _finished.append(counts.stored_bytes)
        held.forget()
    # After damage, too: the lines before it count.
    held.map_folded(mapped.partials)
    if stitcher is not None:
        mapped.fragments[url] = stitcher.finish()
    mapped.combine_within(task.plan)
    counts.lines = scanner.counts()
    if digester is not None:
        counts.piece = digester.end()
    if expander is not None:
        expander.correct(counts.lines)
        counts.n_repeats_cut, counts.most_repeats = expander.n_cut, expander.most
    if peeler is not None:
        peeler.correct(counts.lines)
        counts.n_peeled, counts.n_not_peeled = peeler.n_peeled, peeler.n_not_peeled
    if finder is not None:
        finder.correct(counts.lines)
    return mapped


def visit_blocks(
    task: MapTask, counts: FileCounts, *, keeps_tails: bool = False, peeler: Peeler | None = None
) -> Generator[Block]:
    """Yield the blocks of a split to who asks no query of them; each is valid until the next.

    To be closed. What cannot be read is noted in ``counts``, and so is how much was.

    Parameters
    ----------
    keeps_tails : bool
        Of lines that are too long for a block, the rest comes with it.
    peeler : Peeler, optional
        Takes the lines out of their envelopes; else they come as they stand.
    """
    split = task.split
    url = split.file.url
    try:
        reader, builder = open_split(task)
    except SourceError as error:
        counts.damage = Damage(url, error.kind, detail=error.detail)
        return
    buffers = _buffers(task)
    blocks: Iterator[Block]
    if peeler is not None and not peeler.is_lined:
        blocks = read_pieces(reader, buffers)
    else:
        blocks = read_blocks(
            reader,
            buffers,
            is_first=split.start is None,
            has_stop=split.stop is not None,
            offset=(split.start.plain_offset or 0) if split.start else 0,
            keeps_tails=keeps_tails,
        )
    if task.is_ahead:
        blocks = read_ahead(blocks, buffers)
    if peeler is not None:
        blocks = peeler.peel(blocks, buffers)
    _under_way[threading.get_ident()] = split, reader
    try:
        with reader:
            for block in blocks:
                yield block
                if peeler is None:
                    buffers.give_back(block.buffer)
                _check(_cancelled.is_set)
        if builder is not None and task.build is not None:
            _keep_index(builder, task.build)
    except DamageError as error:
        counts.damage = Damage(
            url, error.kind, error.stored_offset, error.plain_offset, error.detail
        )
    except BaseException:
        _local.buffers = None  # some may be lost, or still in use
        raise
    finally:
        counts.stored_bytes = _own_bytes(split, reader.stored_offset)
        del _under_way[threading.get_ident()]
        _finished.append(counts.stored_bytes)


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


def make_peeler(task: MapTask) -> Peeler | None:
    """Return what takes a split's lines out of their envelopes, where they stand in some."""
    if task.envelope is None:
        return None
    from pipeline.peel import Peeler

    return Peeler(task.envelope, task.years)


def _finder(task: MapTask) -> RepeatFinder | None:
    if task.plan.repeats is None:
        return None
    from pipeline.redelivery import RepeatFinder

    return RepeatFinder(
        task.years,
        leaves_out=task.plan.repeats == "once",
        envelope=task.envelope if task.envelope is not None and task.envelope.is_lined else None,
    )


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


def open_split(task: MapTask) -> tuple[PlainReader, SeekIndexBuilder | None]:
    """Return a reader of a split, and what makes the file's seek index in passing.

    Raises
    ------
    SourceError
        It can't be opened.
    """
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
