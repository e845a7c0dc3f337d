"""Map a split: scan its blocks, run every query's map phase over them, return partials."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from pipeline.at_hand import at_hand
from pipeline.chain import Digester
from pipeline.combine import Mapped
from pipeline.read import Unowned, leave_out
from pipeline.repeats import Expander
from pipeline.stitch import Stitcher
from pipeline.task import is_given_up, make_peeler, open_task

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from pipeline.combine import FileCounts
    from pipeline.model import Block
    from pipeline.redelivery import RepeatFinder
    from pipeline.task import MapTask, Reading

#: Messages of a split are numbered from its task's number, moved so far to the left.
_NUMBER_BITS = 40


def map_split(task: MapTask, is_cancelled: Callable[[], bool] = is_given_up) -> Mapped:
    """Read one split and return its partials, counts and damage.

    Never raises for what is in the input: a damaged or unreadable file is part of the answer.

    Parameters
    ----------
    is_cancelled : callable
        Asked at each block whether the run was given up.
    """
    url = task.split.file.url
    mapped = Mapped.empty(url, task.plan)
    counts = mapped.files[url]
    reading = open_task(task, counts)
    if reading is None:
        return mapped
    held = at_hand(task.plan)
    held.begin()
    scanner = held.scanner
    scanner.begin_file(url, task.years, task.number << _NUMBER_BITS, task.place)
    stitcher = Stitcher(held, mapped.partials) if task.plan.views.stitch else None
    steps = _Steps(task, reading)
    try:
        with closing(steps.visit(counts, is_cancelled)) as blocks:
            for block in blocks:
                for table in scanner.scan(block):
                    held.scanned(table)
                    held.map_scanned(mapped.partials)
                    if stitcher is not None:
                        stitcher.take()
                    mapped.combine_within(task.plan)
                if mapped.is_enough(task.plan):
                    counts.is_cut = True
                    break
    except BaseException as error:
        error.add_note(f"while mapping split {task.split.index} of {url}")
        raise
    finally:
        held.forget()
    # After damage, too: the lines before it count.
    held.map_folded(mapped.partials)
    if stitcher is not None:
        mapped.fragments[url] = stitcher.finish()
    mapped.combine_within(task.plan)
    counts.lines = scanner.counts()
    steps.correct(counts)
    return mapped


class _Steps:
    """What stands between the reader of a split and its scanner."""

    def __init__(self, task: MapTask, reading: Reading) -> None:
        self._task = task
        self._reading = reading
        self._is_lined = task.envelope is None or task.envelope.is_lined
        self._digester = Digester(reading.offset) if task.is_digested else None
        self._finder = _finder(task)
        self._peeler = make_peeler(task)
        self._expander = Expander(task.years) if task.plan.expands_repeats else None

    def visit(self, counts: FileCounts, is_cancelled: Callable[[], bool]) -> Generator[Block]:
        """Yield the blocks that are scanned; see `pipeline.task.Reading.visit`."""
        return self._reading.visit(
            counts,
            self._watch,
            self._change,
            gives_back=self._peeler is None and self._expander is None,
            on_overlong=None if self._digester is None else self._digester.take,
            is_lined=self._is_lined,
            is_cancelled=is_cancelled,
        )

    def _watch(self, blocks: Iterator[Block]) -> Iterator[Block]:
        task = self._task
        if self._digester is not None:
            blocks = self._digester.watch(blocks)
        if task.begin or task.end is not None:
            blocks = leave_out(blocks, task.begin, task.end, self._reading.buffers)
        return blocks

    def _change(self, blocks: Iterator[Block]) -> Iterator[Block]:
        buffers = self._reading.buffers
        if self._finder is not None and self._is_lined:
            blocks = self._finder.find(blocks)
        if self._peeler is not None:
            blocks = self._peeler.peel(blocks, buffers)
        if self._finder is not None and not self._is_lined:
            blocks = self._finder.find(blocks)
        if self._expander is not None:
            blocks = self._expander.expand(blocks, Unowned() if self._peeler else buffers)
        return blocks

    def correct(self, counts: FileCounts) -> None:
        """Make the counts of the scan those of the file."""
        if self._digester is not None:
            counts.piece = self._digester.end()
        if self._expander is not None:
            self._expander.correct(counts.lines)
            counts.n_repeats_cut = self._expander.n_cut
            counts.most_repeats = self._expander.most
        if self._peeler is not None:
            self._peeler.correct(counts.lines)
            counts.n_peeled = self._peeler.n_peeled
            counts.n_not_peeled = self._peeler.n_not_peeled
        if self._finder is not None:
            self._finder.correct(counts.lines)


def _finder(task: MapTask) -> RepeatFinder | None:
    if task.plan.repeats is None:
        return None
    from pipeline.redelivery import RepeatFinder

    return RepeatFinder(
        task.years,
        leaves_out=task.plan.repeats == "once",
        envelope=task.envelope if task.envelope is not None and task.envelope.is_lined else None,
    )
