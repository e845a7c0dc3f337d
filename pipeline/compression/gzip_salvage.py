"""The plain bytes of a damaged gzip member, to the last letter before the damage.

Decoders throw away the output of the call in which they refuse, so what they deliver depends on
how they are called. What can be had depends on the file alone:

* The letters before the bits that zlib refuses. They are found with ``Decompress.flush``, which
  ends at an error as it does at the end of its input, and gives what it has (CPython 3.11 to
  3.14). It needs its input as the unconsumed tail of a call that succeeded: therefore a
  checkpoint, a copy of the decoder before a call that had output.
* igzip takes codes that leave some bits without a meaning, which zlib refuses. Where such a block
  is met, igzip may have delivered more already. Then the member is what igzip decodes of it when
  it is fed byte by byte.

It costs one more pass over the damaged member at the speed of zlib.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Protocol, cast

from pipeline.compression.gzip_members import Window
from pipeline.errors import DamageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zlib import _Decompress

    from pipeline.compression.salvage import Tape
    from pipeline.compression.seek_index import SeekPoint

#: Stored bytes fed at once: at the highest ratio, 1032, they give 8 MB.
_PIECE_BYTES = 8 << 10

#: A block of one stored byte, which gives a decoder its first checkpoint.
_STORED_BLOCK = b"\x00\x01\x00\xfe\xff"


def igzip_error() -> type[Exception]:
    """Return what igzip raises when it refuses."""
    from isal import igzip_lib

    return cast("type[Exception]", igzip_lib.IsalError)


def ends_inside(member: int) -> DamageError:
    """Return the damage of a file that ends inside the stream of a member."""
    return DamageError("truncated", member, None, "the file ends inside a member")


class Inflater(Protocol):
    """What decoders of igzip and zlib have in common."""

    eof: bool

    def decompress(self, data: bytes, /) -> bytes:
        """Take in stored bytes, return plain bytes."""


def take_first_bits(source: Window, bit_offset: int) -> bytes:
    """Use up the byte in which a seek point lies; return what to feed a decoder instead.

    The bits from the point on stand in their places in that, behind blocks without text. They are
    less than 8, and no plain byte can come of them.
    """
    n_bits = bit_offset % 8
    if not n_bits or not (first := source.take(1)):
        return b""
    prefix = bytearray(_BIT_PREFIXES[n_bits])
    prefix[-1] |= first[0] >> n_bits << n_bits
    return bytes(prefix)


def _make_bit_prefix(n_bits: int) -> bytes:
    """Return deflate blocks without text that end ``n_bits`` after a whole byte."""
    fixed, n_fixed = 0b0000000_01_0, 10
    prefix, length = (_ODD_BLOCK, _N_ODD_BLOCK) if n_bits % 2 else (0, 0)
    while length % 8 != n_bits:
        prefix |= fixed << length
        length += n_fixed
    return prefix.to_bytes(-(-length // 8), "little")


def _make_odd_block() -> tuple[int, int]:
    """Return an empty block of odd length, and that length in bits: its codes are dynamic."""
    items = [(0b10_0, 3), (0, 5), (1, 5), (15, 4)]  # 257 literals, 2 distances, 19 code lengths
    # The code lengths 18 (a run of zeros) and 1 have a code of one bit: 1 and 0.
    items += [(symbol in (2, 17), 3) for symbol in range(19)]
    # Literal 0 and the end of the block have a code of one bit, and so have both distances.
    items += [(0, 1), (1, 1), (138 - 11, 7), (1, 1), (117 - 11, 7), (0, 1), (0, 1), (0, 1)]
    items += [(1, 1)]  # the end of the block
    bits = length = 0
    for value, n_bits in items:
        bits |= value << length
        length += n_bits
    return bits, length


_ODD_BLOCK, _N_ODD_BLOCK = _make_odd_block()
_BIT_PREFIXES = [_make_bit_prefix(n_bits) for n_bits in range(8)]


class GzipSalvage:
    """What follows in a damaged member after the bytes that were delivered.

    Parameters
    ----------
    tape : Tape
        Stands at the begin of the member, or at the byte that holds the begin of ``point``.
    point : SeekPoint or None
        Where to begin inside the member.
    n_delivered : int
        Plain bytes of the member, or from the point on, that need not be given again.
    """

    def __init__(self, tape: Tape, point: SeekPoint | None, n_delivered: int) -> None:
        self._member = tape.offset
        self._point = point
        self._source = Window(lambda: tape.read(_PIECE_BYTES), tape.offset)
        self._n_to_skip = n_delivered
        self._pieces = self._decode()
        self._rest = memoryview(b"")

    def readinto(self, buffer: memoryview) -> int:
        """Fill the begin of a buffer; 0 at the end of the member, if there is no damage.

        Raises
        ------
        DamageError
            Once, after all before the damage was given. Without plain offset.
        """
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            n_skipped = min(self._n_to_skip, len(piece))
            self._n_to_skip -= n_skipped
            self._rest = memoryview(piece)[n_skipped:]
        n = min(len(buffer), len(self._rest))
        buffer[:n] = self._rest[:n]
        self._rest = self._rest[n:]
        return n

    def _decode(self) -> Iterator[bytes]:
        """Yield the plain bytes from the begin of the member or the point on."""
        from isal import igzip_lib

        window = b""
        fed = b""
        if self._point is None:
            self._source.skip_header()
        else:
            window = self._point.window
            fed = take_first_bits(self._source, self._point.bit_offset)
        strict = zlib.decompressobj(-15, window)
        lenient: Inflater | None = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE, 15, window)
        checkpoint: _Checkpoint | _BeginCheckpoint = _BeginCheckpoint(window)
        while not strict.eof:
            before = strict.copy()
            try:
                plain = strict.decompress(fed)
            except zlib.error as error:
                damage = DamageError("corrupt", self._member, None, str(error))
                rest = checkpoint.finish(fed)
                yield rest
                if lenient is not None:
                    yield from self._go_on_leniently(lenient, fed, len(rest), damage)
                raise damage from None
            if lenient is not None and not _accepts(lenient, fed):
                lenient = None  # it refuses the begin of a block sooner, and has no more to give
            if plain:
                checkpoint = _Checkpoint(before, fed, len(plain))
                yield plain
            else:
                checkpoint.fed += fed
            if not strict.eof:
                fed = bytes(self._source.take(_PIECE_BYTES))
                if not fed:
                    raise ends_inside(self._member)

    def _go_on_leniently(
        self, decoder: Inflater, fed: bytes, n_to_skip: int, damage: DamageError
    ) -> Iterator[bytes]:
        """Yield what igzip decodes behind the bits that zlib refuses."""
        while fed:
            for byte in fed:
                try:
                    plain = decoder.decompress(bytes((byte,)))
                except igzip_error():
                    raise damage from None
                if decoder.eof:
                    return
                yield plain[n_to_skip:]
                n_to_skip = max(0, n_to_skip - len(plain))
            fed = bytes(self._source.take(_PIECE_BYTES))


def _accepts(decoder: Inflater, fed: bytes) -> bool:
    try:
        decoder.decompress(fed)
    except igzip_error():
        return False
    return True


class _Checkpoint:
    """A decoder that gave ``n_plain`` bytes when it was fed the begin of ``fed``."""

    def __init__(self, decoder: _Decompress, fed: bytes, n_plain: int) -> None:
        self._decoder = decoder
        self._n_plain = n_plain
        self.fed = fed

    def finish(self, more: bytes) -> bytes:
        """Return the plain bytes that ``more``, which the decoder refuses, holds before that."""
        try:
            plain = self._decoder.decompress(self.fed + more, 1)
        except zlib.error:
            return b""  # the error is right behind the one byte that it gave before
        return (plain + self._decoder.flush())[self._n_plain :]


class _BeginCheckpoint:
    """The checkpoint before all plain bytes: a stored block of one byte is decoded first.

    It is the last byte of the window. Where there is none, a match may refer to that byte, and
    must not: two decoders with different bytes agree up to there.
    """

    def __init__(self, window: bytes) -> None:
        self.fed = b""
        self._twins = [
            _Checkpoint(zlib.decompressobj(-15, window[:-1]), _STORED_BLOCK + byte, 1)
            for byte in ((window[-1:],) if window else (b"\n", b" "))
        ]

    def finish(self, more: bytes) -> bytes:
        """See `_Checkpoint.finish`."""
        plain, *others = [twin.finish(self.fed + more) for twin in self._twins]
        return plain[: _count_same(plain, others[0])] if others else plain


def _count_same(one: bytes, other: bytes) -> int:
    """Return how long the common begin is."""
    same, differs = 0, min(len(one), len(other)) + 1
    while differs - same > 1:
        middle = (same + differs) // 2
        if one[same:middle] == other[same:middle]:
            same = middle
        else:
            differs = middle
    return same
