"""Sort the lines of a split by group; they are written at once when it is the split's turn.

Else they wait, whole frames of them compressed already. So memory is that of a block, some
unfinished frames, and what waits.
"""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

from pipeline.combine import FileCounts
from pipeline.extract.frames import FRAME_BYTES, cut
from pipeline.extract.keys import Keyer
from pipeline.extract.pieces import Group, Spool
from pipeline.kernels.route import route
from pipeline.scan import LineScanner
from pipeline.task import make_peeler, open_task

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from pipeline.extract.frames import Packer
    from pipeline.extract.keys import KeyPlan
    from pipeline.extract.outputs import Outputs
    from pipeline.extract.pieces import Key
    from pipeline.model import Block
    from pipeline.peel import Peeler
    from pipeline.task import MapTask

MAX_ROWS = 1 << 17
#: Unfinished frames of a split that waits hold so much text at most; then all are kept as text.
HELD_BYTES = 48 << 20
_COPY_BYTES = 1 << 20


class Sorter:
    """Sorts splits; every thread has a spool, a scanner and buffers of its own.

    Parameters
    ----------
    folder : Path
        Takes the spools.
    """

    def __init__(self, plan: KeyPlan, packer: Packer, outputs: Outputs, folder: Path) -> None:
        self.plan = plan
        self.packer = packer
        self.outputs = outputs
        self._folder = folder
        self._local = threading.local()
        self._spools: list[Spool] = []

    def close(self) -> None:
        """Give the spools back to the file system."""
        for spool in self._spools:
            spool.close()

    def sort(self, number: int, task: MapTask) -> tuple[str, FileCounts]:
        """Sort one split, and see that it is written; return its file and what was read.

        Damage stands in the counts.

        Parameters
        ----------
        number : int
            Of the split in the whole input, from 0.

        Raises
        ------
        OutputError, OSError
            A file can't be written.
        """
        if not hasattr(self._local, "spool"):
            self._local.spool = Spool(self._folder, self.outputs.room)
            self._spools.append(self._local.spool)
        counts = FileCounts()
        url = task.split.file.url
        reading = open_task(task, counts, keeps_tails=True)
        if reading is None:
            self.outputs.ready(number, url, {}, is_damaged=True)
            return url, counts
        peeler = make_peeler(task, has_parts=True)
        one = _SplitSorter(self, self._local, number, url, peeler)
        one.scanner.begin_file(url, task.years)
        try:
            with closing(reading.visit(counts)) as blocks:
                for block in blocks:
                    one.take(block)
                one.end()
        except BaseException as error:
            error.add_note(f"while sorting split {task.split.index} of {url}")
            raise
        counts.lines = one.scanner.counts()
        if peeler is not None:
            peeler.correct(counts.lines)
            counts.n_peeled, counts.n_not_peeled = peeler.n_peeled, peeler.n_not_peeled
        self.outputs.ready(number, url, one.groups, is_damaged=counts.damage is not None)
        return url, counts


class _SplitSorter:
    def __init__(
        self, sorter: Sorter, local: Any, number: int, url: str, peeler: Peeler | None
    ) -> None:
        plan = sorter.plan
        if not hasattr(local, "scanner"):
            local.scanner = LineScanner(plan.scanned, MAX_ROWS, plan.reasons)
            local.keyer = Keyer(plan, local.scanner.schema, MAX_ROWS)
            local.places = memoryview(bytearray(8 * MAX_ROWS)).cast("q")
            local.out = bytearray(1)
        self.scanner: LineScanner = local.scanner
        self.groups: dict[Key, Group] = {}
        self._local = local
        self._keyer: Keyer = local.keyer
        self._packer = sorter.packer
        self._outputs = sorter.outputs
        self._number = number
        self._is_turn = False
        self._url = url
        # Without columns to go by, a file is a group.
        self._of_file = None if plan.by else (url,)
        self._peeler = peeler  # takes keys out of the envelopes, which are sorted as they stand
        self._held: dict[Key, bytearray] = {}  # of frames that aren't full
        self._n_held = 0

    def take(self, block: Block) -> None:
        """Sort the lines of a block."""
        if not self._is_turn and self._outputs.is_turn(self._number):
            self._begin_turn()
        at = 0
        if self._peeler is None:
            for table, stop in self.scanner.scan_to(block):
                extra = block.extra_bytes if stop == block.stop else 0
                self._take_table(table, block, at, self.scanner.buffers["bytes"], extra)
                at = stop
            return
        for inner in self._peeler.open(block):
            row = 0
            assert inner.outer is not None
            for table, _ in self.scanner.scan_to(inner):
                lengths = inner.outer.bytes[row : row + table.num_rows]
                row += table.num_rows
                stop = inner.outer.offset[row - 1] + lengths[-1] - block.offset
                self._take_table(table, block, at, lengths, max(0, stop - block.stop))
                at = stop

    def end(self) -> None:
        """Keep what is left."""
        self._keep_held()

    def _begin_turn(self) -> None:
        """Write what has waited; all that follows is written at once."""
        self._keep_held()
        self._outputs.write(self._url, self.groups)
        self.groups = {}
        self._is_turn = True

    def _take_table(
        self, table: pa.Table, block: Block, at: int, lengths: memoryview, extra: int
    ) -> None:
        """Sort lines from a place of a block on; ``extra`` bytes of the last are not in it."""
        kept = self._keyer.find(table)
        if not kept.n:
            return
        held = self.scanner.buffers
        n = table.num_rows
        if extra:
            lengths[n - 1] -= extra
        n_groups = len(kept.keys)
        if len(self._local.out) < block.stop:
            self._local.out = bytearray(len(block.buffer))
        out = self._local.out
        begins, lines, newest = (
            memoryview(bytearray(8 * (n_groups + 1))).cast("q") for _ in range(3)
        )
        route(
            *(block.buffer, at, lengths, n, kept.rows, kept.codes, kept.n, n_groups),
            *(held["time"], held["dated"], out, self._local.places, begins, lines, newest),
        )
        text = memoryview(out)
        waiting = None
        if not self._is_turn and not self._packer.compresses:
            waiting = self._local.spool.keep(text[: begins[n_groups]])
        for code, name in enumerate(kept.keys):
            key = self._of_file or name
            group = self._group(key)
            group.lines += lines[code]
            group.newest = max(group.newest, newest[code])
            start, stop = begins[code], begins[code + 1]
            if self._is_turn:
                self._outputs.write_text(self._url, key, text[start:stop])
            elif waiting is None:
                self._hold(key, group, text[start:stop])
            else:
                group.pieces.append(waiting.part(start, stop))
        if extra and kept.rows[kept.n - 1] == n - 1:
            self._append_tail(self._of_file or kept.keys[kept.codes[kept.n - 1]], block)

    def _group(self, key: Key) -> Group:
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group()
        return group

    def _append_tail(self, key: Key, block: Block) -> None:
        """Take what of an overlong line did not fit into its block."""
        assert block.tail is not None
        self._keep_one(key)
        block.tail.seek(0)
        while data := block.tail.read(_COPY_BYTES):
            if self._is_turn:
                self._outputs.write_text(self._url, key, memoryview(data))
            else:
                self._group(key).pieces.append(self._local.spool.keep(data))
        block.tail.close()

    def _hold(self, key: Key, group: Group, text: memoryview) -> None:
        """Keep text until it makes a frame."""
        held = self._held.get(key)
        if held is None:
            held = self._held[key] = bytearray()
        held += text
        self._n_held += len(text)
        # The last line of a file may need a line end yet, where another file's line follows.
        while len(held) >= FRAME_BYTES and held[-1] == 10:
            size = cut(held)
            frame = self._packer.pack(memoryview(held)[:size])
            group.pieces.append(self._local.spool.keep(frame, size))
            del held[:size]
            self._n_held -= size
        if self._n_held > HELD_BYTES:
            self._keep_held()

    def _keep_held(self) -> None:
        """Keep what makes no whole frame as it is."""
        for key in list(self._held):
            self._keep_one(key)

    def _keep_one(self, key: Key) -> None:
        held = self._held.pop(key, None)
        if held:
            self._n_held -= len(held)
            self._group(key).pieces.append(self._local.spool.keep(held))
