"""Sort the lines of a split by group into a spool; what makes a whole frame is compressed there.

What the outputs are put together from is a list of pieces: places in a spool. So memory is that of
a block and some unfinished frames, and no output is open before its pieces are known.
"""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from pipeline.combine import FileCounts
from pipeline.errors import UsageError
from pipeline.extract.frames import FRAME_BYTES, cut
from pipeline.extract.keys import Key, Keyer
from pipeline.kernels.route import NEVER, route
from pipeline.map import make_peeler, visit_blocks
from pipeline.scan import LineScanner

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    import pyarrow as pa

    from pipeline.extract.frames import Packer
    from pipeline.extract.keys import KeyPlan
    from pipeline.map import MapTask
    from pipeline.model import Block
    from pipeline.peel import Peeler

MAX_ROWS = 1 << 17
#: Unfinished frames of a thread hold so much text at most; then all are written as they are.
HELD_BYTES = 48 << 20
_COPY_BYTES = 1 << 20


@dataclass(slots=True)
class Piece:
    """Lines of one group in a spool.

    Attributes
    ----------
    stored, plain : int
        Bytes there, and of text; ``is_frame`` tells whether it is compressed.
    lacks_end : bool
        The last line has no line end, as the last one of a file may.
    """

    spool: BinaryIO
    offset: int
    stored: int
    plain: int
    is_frame: bool = False
    lacks_end: bool = False


@dataclass(slots=True)
class Group:
    """The lines of one group in one split: where they are, how many, the newest time in µs."""

    pieces: list[Piece] = field(default_factory=list)
    lines: int = 0
    newest: int = NEVER


@dataclass(slots=True)
class Sorted:
    """What a split was sorted into, and what was read for it."""

    url: str
    counts: FileCounts
    groups: dict[Key, Group]


class Spool:
    """A nameless temporary file that a thread appends to."""

    def __init__(self, folder: Path) -> None:
        self.file: BinaryIO = TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        self.size = 0

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append; return where it stands."""
        offset = self.size
        view = memoryview(data)
        while view:
            n = self.file.write(view)
            view = view[n:]
            self.size += n
        return offset


class Sorter:
    """Sorts splits; every thread has a spool, a scanner and buffers of its own.

    Parameters
    ----------
    folder : Path
        Takes the spools.
    """

    def __init__(self, plan: KeyPlan, packer: Packer, folder: Path) -> None:
        self._plan = plan
        self._packer = packer
        self._folder = folder
        self._local = threading.local()
        self._spools: list[Spool] = []

    def close(self) -> None:
        """Give the spools back to the file system."""
        for spool in self._spools:
            spool.file.close()

    def sort(self, task: MapTask) -> Sorted:
        """Sort one split. Never raises for what is in the input: that stands in the counts."""
        if not hasattr(self._local, "spool"):
            self._local.spool = Spool(self._folder)
            self._spools.append(self._local.spool)
        counts = FileCounts()
        url = task.split.file.url
        peeler = make_peeler(task)
        one = _SplitSorter(self._plan, self._packer, self._local, url, peeler)
        one.scanner.begin_file(url, task.years)
        try:
            with closing(visit_blocks(task, counts, keeps_tails=True)) as blocks:
                for block in blocks:
                    one.take(block)
                one.end()
        except BaseException as error:
            error.add_note(f"while sorting split {task.split.index} of {url}")
            raise
        one.flush()
        counts.lines = one.scanner.counts()
        if peeler is not None:
            peeler.correct(counts.lines)
            counts.n_peeled, counts.n_not_peeled = peeler.n_peeled, peeler.n_not_peeled
        return Sorted(url, counts, one.groups)


class _SplitSorter:
    def __init__(
        self, plan: KeyPlan, packer: Packer, local: Any, url: str, peeler: Peeler | None
    ) -> None:
        if not hasattr(local, "scanner"):
            local.scanner = LineScanner(plan.scanned, MAX_ROWS, plan.reasons)
            local.keyer = Keyer(plan, local.scanner.schema, MAX_ROWS)
            local.places = memoryview(bytearray(8 * MAX_ROWS)).cast("q")
            local.out = bytearray(1)
        self.scanner: LineScanner = local.scanner
        self._local = local
        self._keyer: Keyer = local.keyer
        self._packer = packer
        self._url = url
        self._peeler = peeler  # takes keys out of the envelopes, which are sorted as they stand
        self.groups: dict[Key, Group] = {}
        self._held: dict[Key, bytearray] = {}
        self._n_held = 0

    def take(self, block: Block) -> None:
        """Sort the lines of a block."""
        at = 0
        if self._peeler is None:
            for table, stop in self.scanner.scan_to(block):
                extra = block.extra_bytes if stop == block.stop else 0
                self._take_table(table, block, at, self.scanner.buffers["bytes"], extra)
                at = stop
            return
        for inner in self._peeler.open(block):
            if self._peeler.n_joined:
                raise self._in_parts()
            row = 0
            assert inner.outer is not None
            for table, _ in self.scanner.scan_to(inner):
                lengths = inner.outer.bytes[row : row + table.num_rows]
                row += table.num_rows
                stop = inner.outer.offset[row - 1] + lengths[-1] - block.offset
                self._take_table(table, block, at, lengths, max(0, stop - block.stop))
                at = stop

    def end(self) -> None:
        """See that no line waits for its other parts."""
        for _ in self._peeler.end() if self._peeler is not None else ():
            raise self._in_parts()

    def _in_parts(self) -> UsageError:
        return UsageError(
            f"{self._url}: some lines stand in several envelopes, a part in each, with others in "
            "between; such a file can be extracted as it stands only (--by none)"
        )

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
        base = (
            None if self._packer.compresses else self._local.spool.write(text[: begins[n_groups]])
        )
        for code, key in enumerate(kept.keys):
            group = self.groups.get(key)
            if group is None:
                group = self.groups[key] = Group()
            group.lines += lines[code]
            group.newest = max(group.newest, newest[code])
            start, stop = begins[code], begins[code + 1]
            if base is None:
                self._hold(key, group, text[start:stop])
            else:
                self._note(group, base + start, text[start:stop])
        if extra and kept.rows[kept.n - 1] == n - 1:
            key = kept.keys[kept.codes[kept.n - 1]]
            self._append_tail(key, self.groups[key], block)

    def _note(self, group: Group, offset: int, text: memoryview) -> None:
        piece = Piece(self._local.spool.file, offset, len(text), len(text))
        piece.lacks_end = text[-1] != 10
        last = group.pieces[-1] if group.pieces else None
        if (
            last is not None
            and not last.is_frame
            and last.spool is piece.spool
            and last.offset + last.stored == offset
        ):
            last.stored += piece.stored
            last.plain += piece.plain
            last.lacks_end = piece.lacks_end
        else:
            group.pieces.append(piece)

    def _append_tail(self, key: Key, group: Group, block: Block) -> None:
        """Write what of an overlong line did not fit into its block."""
        assert block.tail is not None
        if self._packer.compresses:
            self._flush_one(key)
        block.tail.seek(0)
        while data := block.tail.read(_COPY_BYTES):
            self._note(group, self._local.spool.write(data), memoryview(data))
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
            offset = self._local.spool.write(frame)
            group.pieces.append(
                Piece(self._local.spool.file, offset, len(frame), size, is_frame=True)
            )
            del held[:size]
            self._n_held -= size
        if self._n_held > HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what makes no whole frame as it is."""
        for key in list(self._held):
            self._flush_one(key)

    def _flush_one(self, key: Key) -> None:
        held = self._held.pop(key, None)
        if held:
            self._n_held -= len(held)
            self._note(self.groups[key], self._local.spool.write(held), memoryview(held))
