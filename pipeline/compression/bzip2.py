"""bzip2: streams of blocks that begin at any bit.

A file is streams, one after the other. A stream is ``BZh1`` … ``BZh9``, blocks, an end mark with a
combined CRC, and zero bits up to a whole byte. A block begins with a magic of 48 bits and its CRC,
holds at most 900 kB before run-length coding (46 MB of plain bytes at the worst ratio) and does
not say how long it is. So the next magic is looked for, and the library's decoder is fed exactly
up to there; it checks the CRC. Reading from the begin and from a cut is the same walk, only that
behind a cut the bits are shifted to whole bytes.

A block delivers all of its plain bytes or, when its CRC is wrong or its end is missing, none: the
bytes of a block are sorted, so a part of one is no text.

Format: https://github.com/dsnet/compress/blob/master/doc/bzip2-format.pdf
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, ClassVar, NamedTuple

from pipeline.compression.base import Codec, PlainReader
from pipeline.compression.salvage import Tape
from pipeline.errors import DamageError
from pipeline.model import Cut

if TYPE_CHECKING:
    from bz2 import BZ2Decompressor
    from collections.abc import Iterator

_BLOCK = 0x314159265359
_END = 0x177245385090
_MAGIC_BITS = 48
_BLOCK_HEADER_BITS = _MAGIC_BITS + 32
_END_BITS = _MAGIC_BITS + 32

#: A block holds 900,000 codes of at most 20 bits and some tables: 2.3 MB, stored.
_MAX_BLOCK_BYTES = 3 << 20

#: Magics without a sound block behind them that are passed over in the search for a cut.
_MAX_TRIES = 8

_READ_BYTES = 128 << 10
_SEARCH_BYTES = 32 << 10
_PLAIN_BYTES = 1 << 20

#: The header of every block's own stream: a decoder for large blocks decodes small ones, too.
_HEADER = b"BZh9"
_HEADER_BITS = int.from_bytes(b"BZh", "big")


def _find_patterns(magic: int) -> list[tuple[int, bytes]]:
    """Return (shift, the whole bytes inside) for each of the 8 places of a magic in its bytes."""
    return [(shift, (magic >> shift & (1 << 40) - 1).to_bytes(5, "big")) for shift in range(8)]


_PATTERNS = {magic: _find_patterns(magic) for magic in (_BLOCK, _END)}


class _Bits:
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
            stop = min(start + 8 * _SEARCH_BYTES, limit) + _MAGIC_BITS
            is_last = not self.fill(stop)
            found = self._find_in_window(magic, start, min(stop, self.stop))
            if found is not None or is_last:
                return found
            start = stop - _MAGIC_BITS + 1
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
                if start <= position <= stop - _MAGIC_BITS and self.has(magic, position):
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
        place = self.find(_BLOCK, start, limit)
        if place is None:
            return self.find(_END, start, limit)
        # End marks are looked for only where they must be, right before the header of the next
        # stream, which makes the search twice as fast. Streams without blocks are passed over.
        while (end := self._find_end_before(place, start)) is not None:
            place = end
        return place

    def _find_end_before(self, place: int, start: int) -> int | None:
        """Return where the end mark of the stream before the one begins whose header ends here."""
        header = place - 8 * len(_HEADER)
        if place % 8 or header < start or self.number(header, 24) != _HEADER_BITS:
            return None
        # The magic, 32 bits of CRC and 0 to 7 bits up to a whole byte.
        for end in range(header - _END_BITS, header - _END_BITS - 8, -1):
            if end >= start and self.has(_END, end):
                return end
        return None

    def has(self, magic: int, position: int) -> bool:
        return self.number(position, _MAGIC_BITS) == magic

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


class _Decoder:
    """The library's decoder of one stream, moved on by whole blocks.

    It is fed up to the byte in which a block ends, so that it has to say all about the block and
    can't say anything about the next. Blocks in a row share one, since a new one costs 4 MB of
    fresh memory.
    """

    def __init__(self, bits: _Bits) -> None:
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
            head = _HEADER
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


class _Block(NamedTuple):
    pieces: list[bytes]
    stop: int  # the bit after it
    crc: int


def _read_block(bits: _Bits, start: int, decoder: _Decoder) -> _Block:
    """Read the block that begins at this bit.

    Raises
    ------
    DamageError
        ``truncated`` or ``corrupt``, without a plain offset.
    """
    limit = start + 8 * _MAX_BLOCK_BYTES
    crc = bits.number(start + _MAGIC_BITS, 32) or 0
    stop = bits.find_block_stop(start + _BLOCK_HEADER_BITS, limit)
    if stop is not None:
        pieces = decoder.decode(start, stop)
        if pieces:
            return _Block(pieces, stop, crc)
    return _Block(*_read_unended_block(bits, start, limit), crc)


def _read_unended_block(bits: _Bits, start: int, limit: int) -> tuple[list[bytes], int]:
    """Read a block that the next magic doesn't end: it is damaged, or what follows it is.

    The decoder says nothing before the last bit of a block, and loses what it said when it sees
    damage behind it. So the shortest input to which it says anything is looked for.
    """
    at = start // 8
    stop = limit if bits.fill(limit) else bits.stop
    stream = _HEADER + bits.shift(start, (stop - start + 7) // 8)
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
    last = start + 8 * (enough - len(_HEADER))
    for stop in range(last - 7, last):
        if bits.has(_BLOCK, stop) or bits.has(_END, stop):
            return pieces, stop
    return pieces, last


class _Bzip2Reader(PlainReader):
    """Blocks, one by one, from the begin of the file or a cut on."""

    def __init__(
        self, stored: BinaryIO, size: int | None, start: Cut | None, stop: Cut | None
    ) -> None:
        self._tape = Tape(stored, size, start.stored_offset if start else None, remembers=False)
        self._bits = _Bits(self._tape)
        self._position = start.position if start else 0
        self._stop = stop.position if stop else None
        self._plain_offset = start.plain_offset if start else 0
        self._blocks = self._read_streams(starts_inside=start is not None)
        self._pieces: list[bytes] = []
        self._n_taken = 0
        self._damage: DamageError | None = None
        self.at_stop = False
        self.stored_offset = self._tape.offset

    def readinto(self, buffer: memoryview) -> int:
        while not self._pieces:
            if self._meets_stop() or not self._fill():
                return 0
        piece = self._pieces[0]
        length = min(len(buffer), len(piece) - self._n_taken)
        buffer[:length] = memoryview(piece)[self._n_taken : self._n_taken + length]
        self._n_taken += length
        if self._n_taken == len(piece):
            self._n_taken = 0
            del self._pieces[0]
        if self._plain_offset is not None:
            self._plain_offset += length
        return length

    def close(self) -> None:
        self._tape.close()

    def _meets_stop(self) -> bool:
        if self._stop is None or self.at_stop or self._position < self._stop:
            return False
        if self._position > self._stop:
            # Whoever made the file hid a block inside another. What follows the stop was read
            # wrong, so say it here: nothing counts after the first damage of a file.
            detail = "a block begins inside another one"
            raise DamageError("corrupt", self._stop // 8, self._plain_offset, detail)
        self.at_stop = True
        return True

    def _fill(self) -> bool:
        """Get the plain bytes of the next block; False at the end of the file."""
        if self._damage is None:
            try:
                pieces = next(self._blocks, None)
                if pieces is None and self._bits.failure is not None:
                    raise self._bits.failure
            except DamageError as damage:
                is_end = damage.kind == "truncated"
                self._damage = (self._bits.failure if is_end else None) or damage
            else:
                self.at_stop = self.at_stop or pieces is None
                self._pieces = pieces or []
                self.stored_offset = (self._position + 7) // 8
                return pieces is not None
        kind, stored_offset, _, detail = self._damage.args
        raise DamageError(kind, stored_offset, self._plain_offset, detail)

    def _read_streams(self, *, starts_inside: bool) -> Iterator[list[bytes]]:
        """Yield the pieces of each block, and an empty list where a stream begins."""
        wrong_sum = None
        decoder = _Decoder(self._bits)
        is_whole = not starts_inside
        kind = "corrupt"
        while starts_inside or self._enter_stream(kind):
            yield []
            combined = 0
            while self._magic() == _BLOCK:
                block = _read_block(self._bits, self._position, decoder)
                combined = (combined << 1 & 0xFFFFFFFF | combined >> 31) ^ block.crc
                self._position = block.stop
                yield block.pieces
            stated = self._leave_stream()
            if is_whole and stated != combined and wrong_sum is None:
                wrong_sum = self._position // 8 - 4
            kind = "trailing garbage"
            starts_inside, is_whole = False, True
        if wrong_sum is not None:
            # Every block was right by its own CRC, so its text counts, and that of the streams
            # behind as well: a reader that began inside the stream could not know better.
            raise DamageError("corrupt", wrong_sum, None, "the combined CRC of a stream is wrong")

    def _enter_stream(self, kind: str) -> bool:
        """Step over the header of a stream; False at the end of the file."""
        head = self._bits.take(self._position, 4)
        at = self._position // 8
        if not head:
            return False
        if not b"BZh".startswith(head[:3]) or (head[3:] and not b"1" <= head[3:] <= b"9"):
            raise DamageError(kind, at, None, "not the header of a bzip2 stream")
        if len(head) < 4:
            raise DamageError("truncated", at, None, "the file ends inside a stream's header")
        self._position += 32
        return True

    def _magic(self) -> int:
        self._bits.forget(self._position)
        magic = self._bits.number(self._position, _MAGIC_BITS)
        at = self._position // 8
        if magic is None:
            raise DamageError("truncated", at, None, "the file ends inside a stream")
        if magic not in (_BLOCK, _END):
            raise DamageError("corrupt", at, None, "neither a block nor the end of the stream")
        return magic

    def _leave_stream(self) -> int:
        """Step over the end mark of a stream; return the combined CRC it states."""
        stated = self._bits.number(self._position + _MAGIC_BITS, 32)
        if stated is None:
            at = self._position // 8
            raise DamageError("truncated", at, None, "the file ends inside a stream's end mark")
        self._position = (self._position + _MAGIC_BITS + 32 + 7) // 8 * 8
        return stated


class Bzip2Codec(Codec):
    """bzip2, any number of streams; cut at its blocks."""

    name: ClassVar[str] = "bzip2"

    def matches(self, head: bytes) -> bool:
        """Tell by the header of a stream and the magic behind it, as far as the head goes."""
        if len(head) <= len(_HEADER) or head[:3] != b"BZh" or not b"1" <= head[3:4] <= b"9":
            return False
        magic = head[4:10]
        return any(m.to_bytes(6, "big").startswith(magic) for m in (_BLOCK, _END))

    def open(
        self, stored: BinaryIO, size: int | None, start: Cut | None = None, stop: Cut | None = None
    ) -> PlainReader:
        """Return a reader that decodes block by block, and checks each."""
        return _Bzip2Reader(stored, size, start, stop)

    def find_cuts(self, stored: BinaryIO, size: int, target_bytes: int) -> list[Cut]:
        """Return the first block behind each multiple of ``target_bytes`` that can be decoded.

        Plain offsets are unknown: nothing in the file tells them.
        """
        cuts: list[Cut] = []
        wanted = target_bytes
        while wanted < size:
            position = _find_block(stored, size, wanted)
            if position is None:
                break
            cuts.append(Cut(position, position // 8, None))
            wanted = max(wanted, position // 8) + target_bytes
        return cuts


def _find_block(stored: BinaryIO, size: int, wanted: int) -> int | None:
    """Return the bit at which a sound block begins, soon after a stored offset."""
    try:
        bits = _Bits(Tape(stored, size, wanted))
        limit = 8 * (wanted + _MAX_BLOCK_BYTES)
        # Not the first block of the file: that is its begin.
        position = bits.find(_BLOCK, max(8 * wanted, 8 * len(_HEADER) + 1), limit)
        for _ in range(_MAX_TRIES):
            if position is None:
                return None
            if _is_sound(bits, position):
                return position
            position = bits.find(_BLOCK, position + 1, limit)
    except DamageError:
        pass
    return None


def _is_sound(bits: _Bits, position: int) -> bool:
    try:
        _read_block(bits, position, _Decoder(bits))
    except DamageError:
        return False
    return True
