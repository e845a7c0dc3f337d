"""Turn the plain bytes of a split into blocks of whole lines.

The split law: a line that starts at plain offset s belongs to the split with start < s <= stop,
offset 0 to the first. A reader that isn't at 0 discards through its first LF; every reader
finishes the line that starts at or before its stop, reading into what follows. A split without LF
owns nothing. So split edges needn't fall on line ends, and nobody has to look behind.
"""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, BinaryIO, cast

from pipeline.errors import DamageError
from pipeline.memory import zeros
from pipeline.model import MAX_LINE_BYTES, Block

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from mmap import mmap

    from pipeline.compression.base import PlainReader

#: Decoders write into pieces of this size: larger ones fall out of the processor's cache.
PIECE_BYTES = 1 << 20
#: After the stop only the rest of one line is wanted.
OVERRUN_BYTES = 1 << 14
#: Bytes of a block of what is no lines, before the last piece.
RAW_BYTES = 1 << 20
#: Of the rest of an overlong line, where it is kept, so much stays in memory.
TAIL_BYTES = 4 << 20


class Buffers:
    """A fixed number of equal buffers that go round between a reader and its consumer.

    They are used again, since fresh memory costs more than the scan that reads it.
    """

    def __init__(self, count: int, size: int) -> None:
        self.count = count
        self.size = max(size, 2 * MAX_LINE_BYTES)
        self._free: queue.SimpleQueue[mmap | bytearray | None] = queue.SimpleQueue()
        for _ in range(count):
            self._free.put(zeros(self.size))

    def take(self) -> mmap | bytearray:
        """Return a free buffer; waits until there is one."""
        buffer = self._free.get()
        if buffer is None:
            raise _ClosedError
        return buffer

    def give_back(self, buffer: mmap | bytearray) -> None:
        """Make a buffer free again."""
        self._free.put(buffer)

    def close(self) -> None:
        """Wake whoever waits for a buffer that will never come."""
        self._free.put(None)


class Unowned:
    """Takes buffers back that belong to someone else."""

    def give_back(self, buffer: mmap | bytearray) -> None:
        """Do nothing: the buffer's owner knows when it is free."""


class _ClosedError(Exception):
    """The consumer has gone away."""


@dataclass(slots=True)
class _Fill:
    """The buffer being filled, and what is known about it."""

    buffer: mmap | bytearray
    view: memoryview = field(init=False)
    length: int = 0
    offset: int = 0
    extra: int = 0  # bytes of an overlong line that were dropped behind MAX_LINE_BYTES
    tail: BinaryIO | None = None  # these bytes, where they are kept
    on_overlong: Callable[[int, memoryview], None] | None = None

    def __post_init__(self) -> None:
        self.view = memoryview(self.buffer)

    def tell_overlong(self, end: int) -> None:
        """Hand on what has come of an overlong line, before it is cut off."""
        if self.on_overlong is None:
            return
        if not self.extra:
            self.on_overlong(self.offset, self.view[:end])
        else:
            begin = self.offset + MAX_LINE_BYTES + self.extra
            self.on_overlong(begin, self.view[MAX_LINE_BYTES:end])

    def drop_front(self, n: int) -> None:
        """Discard the first n bytes."""
        self.view[: self.length - n] = self.view[n : self.length]
        self.length -= n
        self.offset += n


def read_blocks(
    reader: PlainReader,
    buffers: Buffers,
    *,
    is_first: bool,
    has_stop: bool,
    offset: int = 0,
    keeps_tails: bool = False,
    on_overlong: Callable[[int, memoryview], None] | None = None,
) -> Iterator[Block]:
    """Yield the lines that a split owns as blocks, in order.

    Parameters
    ----------
    reader : PlainReader
        Stands at the start of the split. Stays open.
    buffers : Buffers
        The consumer gives each block's buffer back when it has read it.
    is_first : bool
        The split begins the file.
    has_stop : bool
        The split ends before the file does.
    offset : int
        Plain offset of the start of the split.
    keeps_tails : bool
        What does not fit into a block of an overlong line is kept beside it, on the disk if it
        is much.
    on_overlong : callable
        Takes all of a line that is cut off, in pieces, each with its plain offset, before its
        block is yielded.

    Raises
    ------
    DamageError
        After the last whole line before the damage has been yielded.
    """
    fill = _Fill(buffers.take(), offset=offset, on_overlong=on_overlong)
    is_past_stop = False
    is_skipping = not is_first
    damage: DamageError | None = None
    while True:
        if fill.length == len(fill.buffer):
            last = fill.buffer.rfind(b"\n", 0, fill.length)
            if last < 0:
                _shorten(fill, keeps_tail=keeps_tails)
            else:
                fill = yield from _emit(fill, last + 1, buffers)
        size = OVERRUN_BYTES if is_past_stop else PIECE_BYTES
        seen = fill.length
        try:
            n = reader.readinto(fill.view[seen : seen + size])
        except DamageError as error:
            damage = error
            break
        if n == 0:
            if is_past_stop or not (has_stop and reader.at_stop):
                break
            if is_skipping:
                break  # no LF in the whole split: it owns nothing
            is_past_stop = True
            continue
        fill.length += n
        if is_skipping:
            lf = fill.buffer.find(b"\n", seen, fill.length)
            if lf < 0:
                fill.offset += fill.length
                fill.length = 0
                if has_stop and reader.at_stop:
                    break
                continue
            fill.drop_front(lf + 1)
            is_skipping = False
            seen = 0
        elif fill.extra:
            lf = fill.buffer.find(b"\n", seen, fill.length)
            if lf < 0:
                _shorten(fill, keeps_tail=keeps_tails)
            else:
                fill = yield from _emit_overlong(fill, lf + 1, buffers, keeps_tails)
                seen = 0
                if is_past_stop:
                    fill.length = 0
                    break
        if is_past_stop:
            lf = fill.buffer.find(b"\n", seen, fill.length)
            if lf >= 0:
                fill.length = lf + 1
                break
        elif has_stop and reader.at_stop:
            is_past_stop = True
    if is_skipping:
        fill.length = 0
    if damage is not None:  # the line that the damage cut is not whole
        fill.length = fill.buffer.rfind(b"\n", 0, fill.length) + 1 if not fill.extra else 0
    if fill.length and fill.extra:
        fill = yield from _emit_overlong(fill, fill.length, buffers, keeps_tails)
        buffers.give_back(fill.buffer)
    elif fill.length:
        yield Block(fill.buffer, fill.length, fill.offset)
    else:
        buffers.give_back(fill.buffer)
    if damage is not None:
        raise damage


def read_pieces(reader: PlainReader, buffers: Buffers) -> Iterator[Block]:
    """Yield a whole file as blocks that end anywhere, in order: what is in it are no lines.

    Raises
    ------
    DamageError
        After what could be read before the damage.
    """
    offset = 0
    while True:
        buffer = buffers.take()
        view, length = memoryview(buffer), 0
        damage: DamageError | None = None
        try:
            while length < RAW_BYTES and (
                n := reader.readinto(view[length : length + PIECE_BYTES])
            ):
                length += n
        except DamageError as error:
            damage = error
        if length:
            yield Block(buffer, length, offset)
        else:
            buffers.give_back(buffer)
        offset += length
        if damage is not None:
            raise damage
        if not length:
            return


def _emit(fill: _Fill, stop: int, buffers: Buffers) -> Generator[Block, None, _Fill]:
    """Yield the block before ``stop``; return a fresh buffer that holds the rest."""
    rest = _Fill(
        buffers.take(), fill.length - stop, fill.offset + stop, on_overlong=fill.on_overlong
    )
    rest.view[: rest.length] = fill.view[stop : fill.length]
    yield Block(fill.buffer, stop, fill.offset)
    return rest


def _shorten(fill: _Fill, *, keeps_tail: bool) -> None:
    """Keep only the begin of a line that is too long to be held."""
    fill.tell_overlong(fill.length)
    if keeps_tail:
        _keep_tail(fill, fill.length)
    fill.extra += fill.length - MAX_LINE_BYTES
    fill.length = MAX_LINE_BYTES


def _keep_tail(fill: _Fill, end: int) -> None:
    if fill.tail is None:
        fill.tail = cast("BinaryIO", SpooledTemporaryFile(TAIL_BYTES))  # noqa: SIM115
    fill.tail.write(fill.view[MAX_LINE_BYTES:end])


def _emit_overlong(
    fill: _Fill, end: int, buffers: Buffers, keeps_tail: bool
) -> Generator[Block, None, _Fill]:
    """Yield the begin of an overlong line that ends at ``end``; return the rest as `_emit` does."""
    fill.tell_overlong(end)
    if keeps_tail:
        _keep_tail(fill, end)
    extra = fill.extra + end - MAX_LINE_BYTES
    rest = _Fill(
        buffers.take(),
        fill.length - end,
        fill.offset + MAX_LINE_BYTES + extra,
        on_overlong=fill.on_overlong,
    )
    rest.view[: rest.length] = fill.view[end : fill.length]
    yield Block(fill.buffer, MAX_LINE_BYTES, fill.offset, extra, tail=fill.tail)
    return rest


def leave_out(
    blocks: Iterator[Block], begin: int, end: int | None, buffers: Buffers
) -> Iterator[Block]:
    """Yield blocks without the lines before one plain offset, and from another one on.

    Lines begin at both. All blocks are read, those behind the end, too.
    """
    for block in blocks:
        n_left_out = max(0, begin - block.offset)
        stop = block.stop if end is None else min(block.stop, end - block.offset)
        if n_left_out >= stop:
            buffers.give_back(block.buffer)
        elif n_left_out == 0 and stop == block.stop:
            yield block
        else:
            view = memoryview(block.buffer)
            view[: stop - n_left_out] = view[n_left_out:stop]
            yield Block(
                block.buffer, stop - n_left_out, block.offset + n_left_out, block.extra_bytes
            )


def read_ahead(blocks: Iterator[Block], buffers: Buffers, count: int = 1) -> Iterator[Block]:
    """Yield the same blocks, made on a thread of its own up to ``count`` ahead.

    Decoding then runs in step with scanning on another core: both release the GIL.
    """
    made: queue.Queue[Block | BaseException | None] = queue.Queue(count)
    stopped = threading.Event()

    def put(item: Block | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                made.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def produce() -> None:
        try:
            for block in blocks:
                if not put(block):
                    return
        except BaseException as error:  # noqa: BLE001  # handed to the consumer, whatever it is
            put(error)
        else:
            put(None)

    thread = threading.Thread(target=produce, name="sawlog-read", daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        if thread.is_alive():
            stopped.set()
            buffers.close()
        thread.join()
