"""gzip: members one after the other, decoded by igzip and checked member by member.

A file is members: a header (RFC 1952), a deflate stream (RFC 1951), its CRC32 and its length. Zero
bytes may follow a member; tapes and some writers pad with them.

On damage inside a stream the member is decoded again, by `pipeline.compression.gzip_salvage`: igzip
throws away the output of the call in which it refuses.

A file can only be decoded from its begin, unless it is BGZF (`pipeline.compression.bgzf`) or has a
seek index (`pipeline.compression.seek_index`), which a reader can build while it decodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Protocol

from pipeline.compression.base import Codec, PlainReader
from pipeline.compression.gzip_members import MAGIC, TRAILER_BYTES, HeaderError, Window, read_piece
from pipeline.compression.gzip_salvage import GzipSalvage, ends_inside, igzip_error, take_first_bits
from pipeline.compression.salvage import Tape
from pipeline.errors import DamageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.compression.seek_build import SeekIndexBuilder
    from pipeline.compression.seek_index import SeekIndex, SeekPoint
    from pipeline.model import Cut

_PIECE_BYTES = 128 << 10
_HIST_BITS = 15

#: Largest output of one call: the decoder's memory and ours then stay in the processor's cache.
_STEP_BYTES = 256 << 10

#: What a new decoder is fed first, and four times as much each time: it copies what it does not
#: use, so short members must not be handed all that was read.
_FIRST_FEED_BYTES = 8 << 10


def read_gzip_mtime(head: bytes) -> int:
    """Return MTIME of the gzip header that ``head`` begins with, in Unix seconds; 0: none."""
    if len(head) < 8 or not head.startswith(MAGIC):
        return 0
    return int.from_bytes(head[4:8], "little")


class Watch(Protocol):
    """Who looks on while a file is decoded, and sets borders that no single call may cross."""

    def room(self, plain_offset: int) -> int:
        """Return the plain bytes from here to the next border, at least 1."""

    def take(self, piece: memoryview) -> None:
        """See the next plain bytes, before they are delivered.

        Raises
        ------
        DamageError
            If these bytes, the last before a border, or some before them are wrong.
        """

    def end_member(self, stored_offset: int, plain_offset: int) -> None:
        """See that a member has ended and was checked."""

    def end_file(self, plain_offset: int) -> None:
        """See that the file has ended without damage."""

    def close(self) -> None:
        """See that no more comes."""


class GzipReader(PlainReader):
    """Plain bytes of members, from a member, a seek point or the begin of the file on.

    Parameters
    ----------
    tape : Tape
        Stands at the begin of a member or at ``point``.
    plain_offset : int or None
        Plain bytes of the file before that.
    point : SeekPoint, optional
        Where to begin inside a member.
    stop_stored, stop_plain : int, optional
        The stop: a member that begins at this stored offset, or a plain offset.
    watch : Watch, optional
        Looks on; closed with the reader.
    read : callable, optional
        Returns the next stored bytes of the tape; default: the tape does.
    """

    def __init__(
        self,
        tape: Tape,
        plain_offset: int | None = 0,
        *,
        point: SeekPoint | None = None,
        stop_stored: int | None = None,
        stop_plain: int | None = None,
        watch: Watch | None = None,
        read: Callable[[], bytes | bytearray] | None = None,
    ) -> None:
        from isal import igzip_lib

        self._igzip = igzip_lib
        self._tape = tape
        tape.mark()
        self._marked = tape.offset
        self._source = Window(read or (lambda: read_piece(tape, _PIECE_BYTES)), tape.offset)
        self._plain_start = plain_offset
        self._n_delivered = 0
        self._member = tape.offset  # stored offset of the present member, or of the seek point
        self._n_member_before = 0  # delivered before it
        self._is_first = True
        self._point = point
        self._stop_stored = stop_stored
        self._stop_plain = stop_plain
        self._watch = watch
        self._decoder: Any = None
        self._feed = _FIRST_FEED_BYTES
        self._salvage: GzipSalvage | None = None
        self._damage: DamageError | None = None
        self.at_stop = False
        self.stored_offset = tape.offset
        if point is not None:
            self._begin_at(point)

    def readinto(self, buffer: memoryview) -> int:
        """Fill the begin of a buffer; see `PlainReader.readinto`."""
        if self._damage is not None:
            raise DamageError(*self._damage.args)
        was_at_stop = self.at_stop
        length = 0
        try:
            while length < len(buffer) and (n := self._fill(buffer[length:])):
                length += n
                if self._watch is not None:
                    self._watch.take(buffer[length - n : length])
                self._look_for_stop()
                if self.at_stop and not was_at_stop:
                    break
        except DamageError as damage:
            plain = damage.plain_offset
            if plain is None and self._plain_start is not None:
                plain = self._plain_start + self._n_delivered
            self._damage = DamageError(damage.kind, damage.stored_offset, plain, damage.detail)
            if not length:
                raise DamageError(*self._damage.args) from None
        finally:
            self.stored_offset = self._tape.offset
        return length

    def _look_for_stop(self) -> None:
        if self._stop_plain is not None and self._plain_offset == self._stop_plain:
            self._stop_plain = None
            self.at_stop = True

    @property
    def _plain_offset(self) -> int:
        """Plain bytes of the file so far; of what was delivered, where that is not known."""
        return (self._plain_start or 0) + self._n_delivered

    def _fill(self, buffer: memoryview) -> int:
        """Deliver at least one plain byte; 0 at the end of the file and, once, at the stop."""
        buffer = buffer[: self._room(len(buffer))]
        before = self._n_delivered
        while self._salvage is None:
            try:
                if self._decoder is None and not self._next_member():
                    return 0
                self._decode(buffer)
                if self._n_delivered == before:
                    self._end_member()
            except DamageError as damage:
                if self._decoder is None:
                    raise
                self._begin_salvage(damage)
            if self._n_delivered > before:
                return self._n_delivered - before
        n = self._salvage.readinto(buffer)
        self._n_delivered += n
        if not n:
            # Nothing is wrong this time: a disk that read wrong once.
            raise DamageError("corrupt", self._member, None, "two readings of the file differ")
        return n

    def _next_member(self) -> bool:
        """Begin the next member; False at the end of the file and, once, at the stop."""
        if not self._is_first:
            self._source.skip_zeros()
        self._member = self._source.offset
        self._n_member_before = self._n_delivered
        if self._stop_stored is not None and self._member >= self._stop_stored:
            self._stop_stored = None
            self.at_stop = True
            return False
        try:
            if not self._source.skip_header():
                self._end_file()
                return False
        except HeaderError as error:
            raise self._header_damage(str(error)) from None
        except EOFError:
            detail = "the file ends inside the header of a member"
            raise DamageError("truncated", self._member, None, detail) from None
        self._is_first = False
        self._decoder = self._igzip.IgzipDecompressor(self._igzip.DECOMP_GZIP_NO_HDR)
        self._feed = _FIRST_FEED_BYTES
        return True

    def _end_file(self) -> None:
        self.at_stop = True
        if self._watch is not None:
            self._watch.end_file(self._plain_offset)

    def _header_damage(self, detail: str) -> DamageError:
        is_garbage = not self._is_first and self._source.peek(3) != MAGIC
        kind = "trailing garbage" if is_garbage else "corrupt"
        return DamageError(kind, self._member, None, detail)

    def _room(self, size: int) -> int:
        """Return how many of ``size`` plain bytes may be delivered at once."""
        if self._stop_plain is not None:
            size = min(size, self._stop_plain - self._plain_offset)
        if self._watch is not None:
            size = min(size, self._watch.room(self._plain_offset))
        return size

    def _begin_at(self, point: SeekPoint) -> None:
        """Begin inside a member."""
        self._is_first = False
        self._decoder = self._igzip.IgzipDecompressor(
            self._igzip.DECOMP_DEFLATE, _HIST_BITS, point.window
        )
        if first := take_first_bits(self._source, point.bit_offset):
            self._decoder.decompress(first)

    def _decode(self, buffer: memoryview) -> None:
        """Deliver plain bytes of the present member until the buffer is full or it ends."""
        decoder = self._decoder
        length = 0
        while length < len(buffer) and not decoder.eof:
            piece: bytes | memoryview = b""
            if decoder.needs_input:
                self._mark_member()
                piece = self._source.take(self._feed)
                if not piece:
                    raise ends_inside(self._member)
                self._feed = min(4 * self._feed, _PIECE_BYTES)
                # Those who look on may have learnt of a border in what was read just now.
                buffer = buffer[: length + self._room(len(buffer) - length)]
                if length == len(buffer):
                    self._source.give_back(piece)
                    return
            try:
                plain = decoder.decompress(piece, min(len(buffer) - length, _STEP_BYTES))
            except igzip_error() as error:
                raise DamageError("corrupt", self._member, None, str(error)) from None
            buffer[length : length + len(plain)] = plain
            length += len(plain)
            self._n_delivered += len(plain)

    def _end_member(self) -> None:
        """Check CRC32 and length of the present member, all of whose bytes are delivered."""
        decoder = self._decoder
        self._decoder = None
        self._source.give_back(decoder.unused_data)
        trailer = self._source.peek(TRAILER_BYTES)
        if len(trailer) < TRAILER_BYTES:
            detail = "the file ends inside the checksum of a member"
            raise DamageError("truncated", self._member, None, detail)
        if self._point is None:
            n_plain = self._n_delivered - self._n_member_before
            if int.from_bytes(trailer[:4], "little") != decoder.crc:
                raise DamageError("corrupt", self._member, None, "checksum mismatch")
            if int.from_bytes(trailer[4:], "little") != n_plain & 0xFFFFFFFF:
                raise DamageError("corrupt", self._member, None, "length mismatch")
        self._point = None
        self._source.take(TRAILER_BYTES)
        if self._watch is not None:
            self._watch.end_member(self._source.offset, self._plain_offset)

    def _mark_member(self) -> None:
        """Make the present member the place that the tape can go back to."""
        if self._marked != self._member:
            self._tape.mark(self._tape.offset - self._member)
            self._marked = self._member

    def _begin_salvage(self, damage: DamageError) -> None:
        """Go on with zlib, from the begin of the present member or the seek point."""
        self._mark_member()
        self._decoder = None
        if not self._tape.rewind():
            raise damage
        n_delivered = self._n_delivered - self._n_member_before
        self._salvage = GzipSalvage(self._tape, self._point, n_delivered)

    def close(self) -> None:
        """Close the stored file."""
        if self._watch is not None:
            self._watch.close()
        self._tape.close()


class GzipCodec(Codec):
    """gzip files: any members, with seek points where there is a seek index or BGZF."""

    name: ClassVar[str] = "gzip"

    def matches(self, head: bytes) -> bool:
        """Tell whether these bytes begin with the header of a deflated member."""
        return head.startswith(MAGIC)

    def open(
        self,
        stored: BinaryIO,
        size: int | None,
        start: Cut | None = None,
        stop: Cut | None = None,
        *,
        index: SeekIndex | None = None,
        build: SeekIndexBuilder | None = None,
    ) -> PlainReader:
        """Return a reader of the plain bytes; see `Codec.open`.

        Parameters
        ----------
        stored, size, start, stop
            As for every codec.
        index : SeekIndex, optional
            The cuts are some of its; ranges that are read whole are checked by its digests.
        build : SeekIndexBuilder, optional
            Fed while the file is read from its begin to its end; ask it for the index afterwards.
        """
        if index is not None:
            return self._open_indexed(stored, size, start, stop, index)
        tape = Tape(stored, size, start.position if start else None)
        if build is not None:
            return GzipReader(tape, watch=build, read=build.read_ahead(tape))
        return GzipReader(
            tape,
            start.plain_offset if start else 0,
            stop_stored=stop.position if stop else None,
        )

    @staticmethod
    def _open_indexed(
        stored: BinaryIO, size: int | None, start: Cut | None, stop: Cut | None, index: SeekIndex
    ) -> PlainReader:
        point = index.find(start) if start else None
        return GzipReader(
            Tape(stored, size, point.bit_offset // 8 if point else None),
            point.plain_offset if point else 0,
            point=point,
            stop_plain=index.find(stop).plain_offset if stop else None,
            watch=index.watch(start),
        )

    def find_cuts(self, stored: BinaryIO, size: int, target_bytes: int) -> list[Cut]:
        """Return the begins of some BGZF blocks; see `Codec.find_cuts`. Of other files: none."""
        from pipeline.compression.bgzf import find_block_cuts

        return find_block_cuts(stored, size, target_bytes)
