"""Blocks of bzip2: where they begin, at any bit, and what they hold.

Offsets of bits count from the begin of the file. A block does not say how long it is, so the next
magic is looked for, and the library's decoder is fed exactly up to there. Where that fails, because
the block is damaged or what follows it is, the end is found by trying.

Format: https://github.com/dsnet/compress/blob/master/doc/bzip2-format.pdf
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pipeline.errors import DamageError

if TYPE_CHECKING:
    from bz2 import BZ2Decompressor

    from pipeline.compression.salvage import Tape

#: Magics: a block, the end mark of a stream.
BLOCK = 0x314159265359
END = 0x177245385090
MAGIC_BITS = 48
_BLOCK_HEADER_BITS = MAGIC_BITS + 32
_END_BITS = MAGIC_BITS + 32

#: A block holds 900,000 codes of at most 20 bits and some tables: 2.3 MB, stored.
MAX_BLOCK_BYTES = 3 << 20

_READ_BYTES = 128 << 10
_SEARCH_BYTES = 32 << 10
_PLAIN_BYTES = 1 << 20

#: The header of every block's own stream: a decoder for large blocks decodes small ones, too.
HEADER = b"BZh9"
_HEADER_BITS = int.from_bytes(b"BZh", "big")


def _find_patterns(magic: int) -> list[tuple[int, bytes]]:
    """Return (shift, the whole bytes inside) for each of the 8 places of a magic in its bytes."""
    return [(shift, (magic >> shift & (1 << 40) - 1).to_bytes(5, "big")) for shift in range(8)]


_PATTERNS = {magic: _find_patterns(magic) for magic in (BLOCK, END)}


class Bits:
    """A window of stored bytes, addressed by the bit offset in the file."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._base = tape.offset
        self._window = bytearray()
        self._has_ended = False
        #: What the store said when it failed.
        self.failure: DamageError | None = None

    @property
    def stop(self) -> int:
        """The bit after the last in the window."""
        return 8 * (self._base + len(self._window))

    def fill(self, stop: int) -> bool:
        """Read on to the bit ``stop`` at least; False when the file ends before it."""
        while self.stop < stop and not self._has_ended:
            try:
                piece = self._tape.read(_READ_BYTES)
            except DamageError as failure:
                # As if the file ended here, so that the blocks before it are delivered.
                self.failure = failure
                piece = b""
            self._window += piece
            self._has_ended = not piece
        return self.stop >= stop

    def forget(self, position: int) -> None:
        """Drop the bytes before the one that holds the bit ``position``."""
        n = position // 8 - self._base
        del self._window[:n]
        self._base += n

    def number(self, position: int, n_bits: int) -> int | None:
        """Return the unsigned number in these bits; None when the file ends before."""
        if not self.fill(position + n_bits):
            return None
        start = position // 8 - self._base
        stop = (position + n_bits + 7) // 8 - self._base
        number = int.from_bytes(self._window[start:stop], "big")
        return number >> (-(position + n_bits) % 8) & (1 << n_bits) - 1

    def take(self, position: int, n: int) -> bytes:
        """Return ``n`` bytes from a whole byte on, fewer at the end of the file."""
        self.fill(position + 8 * n)
        start = position // 8 - self._base
        return bytes(self._window[start : start + n])

    def find(self, magic: int, start: int, limit: int) -> int | None:
        """Return where the first of these magics begins in [start, limit)."""
        while start < limit:
            stop = min(start + 8 * _SEARCH_BYTES, limit) + MAGIC_BITS
            is_last = not self.fill(stop)
            found = self._find_in_window(magic, start, min(stop, self.stop))
            if found is not None or is_last:
                return found
            start = stop - MAGIC_BITS + 1
        return None

    def _find_in_window(self, magic: int, start: int, stop: int) -> int | None:
        first = start // 8 - self._base
        last = (stop + 7) // 8 - self._base
        found = None
        for shift, inside in _PATTERNS[magic]:
            at = first
            # The byte before those inside ends with 8 - shift bits of the magic.
            while (at := self._window.find(inside, at, last)) >= 0:
                position = 8 * (self._base + at) - (8 - shift)
                if start <= position <= stop - MAGIC_BITS and self.has(magic, position):
                    found = position
                    # Another one before this would have its bytes inside before these end.
                    last = at + len(inside)
                    break
                at += 1
        return found

    def find_block_stop(self, start: int, limit: int) -> int | None:
        """Return where the next block or end mark begins, at or after the bit ``start``.

        It is a guess: a magic may stand inside a block by chance.
        """
        place = self.find(BLOCK, start, limit)
        if place is None:
            return self.find(END, start, limit)
        # End marks are looked for only where they must be, right before the header of the next
        # stream, which makes the search twice as fast. Streams without blocks are passed over.
        while (end := self._find_end_before(place, start)) is not None:
            place = end
        return place

    def _find_end_before(self, place: int, start: int) -> int | None:
        """Return where the end mark of the stream before the one begins whose header ends here."""
        header = place - 8 * len(HEADER)
        if place % 8 or header < start or self.number(header, 24) != _HEADER_BITS:
            return None
        # The magic, 32 bits of CRC and 0 to 7 bits up to a whole byte.
        for end in range(header - _END_BITS, header - _END_BITS - 8, -1):
            if end >= start and self.has(END, end):
                return end
        return None

    def has(self, magic: int, position: int) -> bool:
        """Tell whether this magic begins here."""
        return self.number(position, MAGIC_BITS) == magic

    def shift(self, start: int, n: int) -> bytes:
        """Return ``n`` bytes that begin at the bit ``start``, of the window, zeros behind it."""
        first = start // 8 - self._base
        piece = self._window[first : first + n + 1]
        if start % 8 == 0:
            return bytes(piece[:n])
        bits = int.from_bytes(piece, "big") << start % 8
        return (bits & (1 << 8 * len(piece)) - 1).to_bytes(len(piece), "big")[:n]


def _new_decoder() -> BZ2Decompressor:
    # Late: some builds of Python lack it, and then only bzip2 files must fail.
    from bz2 import BZ2Decompressor

    return BZ2Decompressor()


class Decoder:
    """The library's decoder of one stream, moved on by whole blocks.

    It is fed up to the byte in which a block ends, so that it has to say all about the block and
    can't say anything about the next. Blocks in a row share one, since a new one costs 4 MB of
    fresh memory.
    """

    def __init__(self, bits: Bits) -> None:
        self._bits = bits
        self._decoder: BZ2Decompressor | None = None
        self._block = 0
        self._fed = 0

    def decode(self, start: int, stop: int) -> list[bytes]:
        """Return the plain bytes of the block in [start, stop), in pieces; none if it is wrong."""
        head = b""
        if self._decoder is None or self._block != start:
            self._decoder = _new_decoder()
            self._fed = start
            head = HEADER
        n = (stop - self._fed + 7) // 8
        pieces = _decode(self._decoder, head + self._bits.shift(self._fed, n))
        self._fed += 8 * n
        self._block = stop
        if not pieces:
            self._decoder = None
        return pieces


def _decode(decoder: BZ2Decompressor, stream: bytes) -> list[bytes]:
    """Return all that the decoder says to these bytes; nothing if it refuses any of it."""
    pieces = []
    try:
        piece = decoder.decompress(stream, _PLAIN_BYTES)
        while piece:
            pieces.append(piece)
            # It says that it needs input while it still holds most of the block (Python 3.11).
            piece = b"" if decoder.eof else decoder.decompress(b"", _PLAIN_BYTES)
    except OSError:
        return []
    # It must not have seen the end mark of the stream, which is not part of the block.
    return pieces if not decoder.eof else []


def _ends_within(stream: bytes) -> bool:
    """Tell whether the first block of this stream ends, or is refused, in what is here."""
    try:
        return bool(_new_decoder().decompress(stream, 1))
    except OSError:
        return True


class Block(NamedTuple):
    """A block that was decoded, and agrees with its CRC."""

    pieces: list[bytes]
    stop: int  # the bit after it
    crc: int


def read_block(bits: Bits, start: int, decoder: Decoder) -> Block:
    """Read the block that begins at this bit.

    Raises
    ------
    DamageError
        ``truncated`` or ``corrupt``, without a plain offset.
    """
    limit = start + 8 * MAX_BLOCK_BYTES
    crc = bits.number(start + MAGIC_BITS, 32) or 0
    stop = bits.find_block_stop(start + _BLOCK_HEADER_BITS, limit)
    if stop is not None:
        pieces = decoder.decode(start, stop)
        if pieces:
            return Block(pieces, stop, crc)
    return Block(*_read_unended_block(bits, start, limit), crc)


def _read_unended_block(bits: Bits, start: int, limit: int) -> tuple[list[bytes], int]:
    """Read a block that the next magic doesn't end: it is damaged, or what follows it is.

    The decoder says nothing before the last bit of a block, and loses what it said when it sees
    damage behind it. So the shortest input to which it says anything is looked for.
    """
    at = start // 8
    stop = limit if bits.fill(limit) else bits.stop
    stream = HEADER + bits.shift(start, (stop - start + 7) // 8)
    if not _ends_within(stream):
        if stop < limit:
            raise DamageError("truncated", at, None, "the file ends inside a block")
        raise DamageError("corrupt", at, None, "a block without end")
    too_short, enough = 0, len(stream)
    while enough - too_short > 1:
        middle = (too_short + enough) // 2
        if _ends_within(stream[:middle]):
            enough = middle
        else:
            too_short = middle
    pieces = _decode(_new_decoder(), stream[:enough])
    if not pieces:
        raise DamageError("corrupt", at, None, "a block can't be decoded or its CRC is wrong")
    last = start + 8 * (enough - len(HEADER))
    for stop in range(last - 7, last):
        if bits.has(BLOCK, stop) or bits.has(END, stop):
            return pieces, stop
    return pieces, last
