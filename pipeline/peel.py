"""Take lines out of their envelopes, between reader and scanner: all relations see the inner lines.

An envelope is what a forwarder, a container or the journal put around a line. The inner line goes
on as it is; one without a time stamp gets a syslog head of what its envelope tells. Line ends
inside it are written as ``#012``, as rsyslog does, so that one envelope is one line. A line that
is no envelope goes on as it stands. Lines and bytes are counted as the file has them:
`Peeler.correct`; the bytes and the offset of a row are its envelope's.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from pipeline.errors import DamageError
from pipeline.model import Block, Outer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from pipeline.envelopes import Envelope
    from pipeline.read import Buffers, Unowned
    from pipeline.scan import LineCounts
    from pipeline.yearless import YearTable

#: Room for what one piece leaves to the next.
_SPARE_BYTES = 2 << 20
_local = threading.local()


class Peeler:
    """Opens the envelopes of one split's blocks, in order; one per thread at a time.

    Parameters
    ----------
    has_all_heads : bool
        The time of the envelope stands before each inner line, whatever that begins with.
    is_second : bool
        Another one is at work on this thread.
    """

    def __init__(
        self,
        envelope: Envelope,
        years: YearTable,
        *,
        has_all_heads: bool = False,
        has_parts: bool = False,
        is_second: bool = False,
    ) -> None:
        self._envelope = envelope
        self._opener = _make_opener(envelope) if is_second else _opener(envelope)
        self._inner = self._opener.inner
        self._inner.has_all_heads = has_all_heads
        self._inner.has_parts = has_parts
        self._opener.begin()
        # The same table of years: a stamp that is none to the scan must be none here.
        self._inner.begin_file(years.days, years.later, years.limit_index, years.limit_s)

    def peel(self, blocks: Iterator[Block], buffers: Buffers | Unowned) -> Iterator[Block]:
        """Yield the inner lines; gives the blocks' buffers back itself.

        A block is valid until the next is asked for.
        """
        if not self._envelope.is_lined:
            yield from self._peel_pieces(blocks, buffers)
            return
        try:
            for block in blocks:
                try:
                    yield from self.open(block)
                finally:
                    buffers.give_back(block.buffer)
        except DamageError:
            yield from self.end()
            raise
        yield from self.end()

    @property
    def is_lined(self) -> bool:
        """Whether blocks of whole lines are to be given; else they may end anywhere."""
        return self._envelope.is_lined

    @property
    def n_peeled(self) -> int:
        """Lines of the file that were envelopes."""
        n: int = self._inner.n_opened
        return n

    @property
    def n_not_peeled(self) -> int:
        """Lines of the file that were none."""
        n: int = self._inner.n_lines - self._inner.n_opened
        return n

    @property
    def n_joined_dated(self) -> int:
        """Lines of the file that are parts of lines with a time, less one for each of these."""
        n: int = self._inner.n_joined_dated
        return n

    def correct(self, counts: LineCounts) -> None:
        """Make the counts of a scan of the inner lines those of the file."""
        inner = self._inner
        counts.lines += inner.n_joined
        counts.dated += self.n_joined_dated
        counts.plain_bytes += inner.n_outer_bytes - inner.n_out_bytes

    def open(self, block: Block) -> Iterator[Block]:
        """Yield the inner lines of one block of whole lines, but for what goes on in the next."""
        at = 0
        while at < block.stop:
            self._inner.clear()
            start = at
            at = self._opener.open(block.buffer, at, block.stop, block.offset, block.extra_bytes)
            assert at > start or self._inner.n_rows
            yield from self._take()

    def _peel_pieces(self, blocks: Iterator[Block], buffers: Buffers | Unowned) -> Iterator[Block]:
        """Do what `peel` does where a block may end in the middle of an envelope."""
        held, length, offset = bytearray(), 0, 0  # held[:length] is still to be opened

        def open_held(*, is_last: bool) -> Iterator[Block]:
            nonlocal length, offset
            at, is_stuck = 0, False
            while at < length and not is_stuck:
                self._inner.clear()
                start, at = at, self._opener.open(held, at, length, offset, is_last=is_last)
                is_stuck = at == start and not self._inner.n_rows
                yield from self._take()
            length -= at
            offset += at
            held[:length] = held[at : at + length]

        for block in blocks:
            try:
                end = length + block.stop
                if len(held) < end:
                    held = held[:length] + bytearray(block.stop + _SPARE_BYTES)
                held[length:end] = memoryview(block.buffer)[: block.stop]
                length = end
            finally:
                buffers.give_back(block.buffer)
            yield from open_held(is_last=False)
        yield from open_held(is_last=True)
        self._inner.clear()
        self._opener.end()
        yield from self._take()

    def end(self) -> Iterator[Block]:
        """Yield, after the last block, the parts of lines whose end has not come."""
        self._inner.clear()
        self._inner.flush()
        yield from self._take()

    def _take(self) -> Iterator[Block]:
        inner = self._inner
        if inner.n_rows:
            outer = Outer(inner.outer_bytes, inner.outer_offset, inner.outer_line)
            yield Block(inner.text, inner.n_out, 0, outer=outer)


def peel_text(
    envelope: Envelope, text: bytes, now: datetime, *, has_all_heads: bool = False
) -> bytes:
    """Return the inner lines of a piece of a file; what is cut at its edges stays as it is.

    ``has_all_heads``: with the time of the envelope before each, whatever they begin with.
    """
    from pipeline.read import Unowned
    from pipeline.yearless import year_table

    if not text:
        return b""
    peeler = Peeler(envelope, year_table(now), has_all_heads=has_all_heads)
    blocks = peeler.peel(iter([Block(bytearray(text), len(text), 0)]), Unowned())
    return b"".join(bytes(block.buffer[: block.stop]) for block in blocks)


def _opener(envelope: Envelope) -> Any:
    """Return this thread's kernel for an envelope: its buffers are worth keeping."""
    known: tuple[Envelope, Any] | None = getattr(_local, "opener", None)
    if known is None or known[0] != envelope:
        known = _local.opener = (envelope, _make_opener(envelope))
    return known[1]


def _make_opener(envelope: Envelope) -> Any:
    if envelope.shape == "json":
        from pipeline.kernels import open_json

        return open_json.JsonOpener(  # type: ignore[no-untyped-call]
            envelope.mapping, envelope.joins, envelope.may_be_null, envelope.has_prefix
        )
    if not envelope.is_lined:
        from pipeline.kernels import open_frames

        if envelope.shape == "frames":
            return open_frames.FrameOpener()
        return open_frames.EntryOpener(envelope.mapping)  # type: ignore[no-untyped-call]
    from pipeline.kernels import open_text

    return open_text.TextOpener(envelope.shape == "cri")  # type: ignore[no-untyped-call]
