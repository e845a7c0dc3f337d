"""Which content a file has: digests of its plain bytes at fixed steps.

Splits digest what they own, so a step may lie in two of them; its bytes then travel with their
counts. Whatever the splits, the digests are those of the content alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pipeline.model import Block

#: Plain bytes of a step.
STEP = 1 << 16
DIGEST_BYTES = 16
_LF = 10


def digest(content: bytes | bytearray | memoryview) -> bytes:
    """Return the digest of some bytes."""
    from blake3 import blake3

    return bytes(blake3(content).digest(length=DIGEST_BYTES))


def digest_steps(content: bytes | bytearray | memoryview) -> bytes:
    """Return the digests of whole steps, one behind the other.

    Each is XXH3's 128 bits, at three times the speed of BLAKE3, which would cost a fifth of the
    time that counting the lines takes. What a content begins with, and what stands behind its last
    step, is digested by BLAKE3 (`digest`): logs of strangers' making differ there.
    """
    from xxhash import xxh3_128_digest

    content = memoryview(content)
    return b"".join(
        [xxh3_128_digest(content[at : at + STEP]) for at in range(0, len(content), STEP)]
    )


@dataclass(slots=True)
class Piece:
    """Digests of the plain bytes [start, stop) of a file.

    Attributes
    ----------
    head : bytes
        Before the first border between steps; all of it where there is none.
    digests : bytearray
        Of each whole step.
    tail : bytes
        Behind the last border.
    is_open : bool
        Its last line has no end.
    """

    start: int
    stop: int
    head: bytes = b""
    digests: bytearray = field(default_factory=bytearray)
    tail: bytes = b""
    is_open: bool = False

    def extend(self, later: Piece) -> None:
        """Take in the piece that follows."""
        if later.start == later.stop:
            return  # a split without a line
        self.is_open = later.is_open
        if self.start == self.stop:
            self.start, self.stop = later.start, later.stop
            self.head, self.digests, self.tail = later.head, later.digests, later.tail
            return
        assert self.stop == later.start, (self.stop, later.start)
        is_past = self._is_past_border
        self.stop = later.stop
        if not is_past:
            self.head += later.head
            self.digests, self.tail = later.digests, later.tail
            return
        between = self.tail + later.head
        if not later._is_past_border:
            self.tail = between
            return
        if between:
            self.digests += digest_steps(between)
        self.digests += later.digests
        self.tail = later.tail

    @property
    def _is_past_border(self) -> bool:
        return self.stop // STEP > (self.start - 1) // STEP if self.start else True


@dataclass(frozen=True, slots=True)
class Chain:
    """The digests of a content.

    Attributes
    ----------
    length : int
        Plain bytes.
    digests : bytes
        Of each whole step.
    tail : bytes
        Digest of what is behind them.
    """

    length: int
    digests: bytes
    tail: bytes

    @classmethod
    def of(cls, piece: Piece) -> Self:
        """Return the chain of a piece that begins a file."""
        assert piece.start == 0
        return cls(piece.stop, bytes(piece.digests), digest(piece.tail))

    @property
    def n_steps(self) -> int:
        """Whole steps."""
        return self.length // STEP

    def agrees(self, other: Chain) -> bool:
        """Tell whether the whole steps of the shorter one are those of the other.

        Digests that were lost are zeros: they agree with all.
        """
        n = min(len(self.digests), len(other.digests))
        if self.digests[:n] == other.digests[:n]:
            return True
        return all(
            one == two or not any(one) or not any(two)
            for at in range(0, n, DIGEST_BYTES)
            for one, two in [
                (self.digests[at : at + DIGEST_BYTES], other.digests[at : at + DIGEST_BYTES])
            ]
        )


class Digester:
    """Digests bytes that come in order.

    Parameters
    ----------
    start : int
        Plain offset of the first.
    marks : collection of int
        Plain offsets at which the digest of what lies behind the last border is wanted, too.
    """

    def __init__(self, start: int = 0, marks: Collection[int] = ()) -> None:
        self.piece = Piece(start, start)
        self._marks = sorted(marks)
        self.tails: dict[int, bytes] = {}
        self._pending = bytearray()

    def watch(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Yield blocks, digested."""
        for block in blocks:
            if not block.extra_bytes:  # else it has come in pieces
                self.take(block.offset, memoryview(block.buffer)[: block.stop])
            yield block

    def take(self, offset: int, content: memoryview) -> None:
        """Take in what stands at an offset: the first, or where the one before ended."""
        if self.piece.start == self.piece.stop and not self._pending:
            self.piece.start = self.piece.stop = offset
        self.feed(content)

    def feed(self, content: memoryview) -> None:
        """Take in what follows."""
        piece = self.piece
        if content:
            piece.is_open = content[-1] != _LF
        at = 0
        while at < len(content):
            take = min(STEP - piece.stop % STEP, len(content) - at)
            if take == STEP and not self._marks:
                stop = at + (len(content) - at) // STEP * STEP
                piece.digests += digest_steps(content[at:stop])
                piece.stop += stop - at
                at = stop
                continue
            part = content[at : at + take]
            if take == STEP and not self._has_mark(piece.stop, piece.stop + STEP):
                piece.digests += digest_steps(part)
                piece.stop += STEP
            else:
                self._pending += part
                self._tell_marks(piece.stop, take)
                piece.stop += take
                if piece.stop % STEP == 0:
                    self._close_step()
            at += take

    def end(self) -> Piece:
        """Return what was digested."""
        piece = self.piece
        if piece._is_past_border:  # noqa: SLF001
            piece.tail = bytes(self._pending)
        else:
            piece.head = bytes(self._pending)
        return piece

    def _close_step(self) -> None:
        if len(self._pending) == STEP:
            self.piece.digests += digest_steps(self._pending)
        else:
            self.piece.head = bytes(self._pending)
        self._pending = bytearray()

    def _has_mark(self, start: int, stop: int) -> bool:
        return any(start < mark <= stop for mark in self._marks)

    def _tell_marks(self, start: int, n: int) -> None:
        """Digest what is pending up to each mark that was passed."""
        begin = start + n - len(self._pending)
        for mark in self._marks:
            if start < mark <= start + n:
                pending = memoryview(self._pending)[: mark - begin] if mark % STEP else b""
                self.tails[mark] = digest(pending)
