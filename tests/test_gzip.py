"""gzip members, their damage, and BGZF; the law of all codecs is in tests/contracts."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.compression.bgzf import BgzfCodec, block_length
from pipeline.compression.gzip import GzipCodec, read_gzip_mtime
from pipeline.compression.gzip_members import HeaderError, header_length
from pipeline.errors import DamageError
from tests.support.stored import make_text

TEXT = make_text(3000)


def make_member(deflated: bytes, text: bytes) -> bytes:
    """A member around a raw deflate stream."""
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"
    return head + deflated + struct.pack("<II", zlib.crc32(text), len(text))


def make_block(text: bytes, level: int = 6) -> bytes:
    """A BGZF block."""
    encoder = zlib.compressobj(level, zlib.DEFLATED, -15)
    body = encoder.compress(text) + encoder.flush()
    head = b"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff\x06\x00BC\x02\x00"
    tail = struct.pack("<II", zlib.crc32(text), len(text))
    return head + struct.pack("<H", len(head) + 2 + len(body) + len(tail) - 1) + body + tail


def read(stored, buffer_bytes: int = 1000, start=None, stop=None):
    """Return the plain bytes, and the parts of the damage or None."""
    file = io.BytesIO(stored) if isinstance(stored, bytes) else stored
    buffer = memoryview(bytearray(buffer_bytes))
    plain = bytearray()
    with GzipCodec().open(file, None, start, stop) as reader:
        try:
            while n := reader.readinto(buffer):
                plain += buffer[:n]
        except DamageError as damage:
            return bytes(plain), damage.args
    return bytes(plain), None


class Drops(io.RawIOBase):
    """A pipe that gives some bytes at a time."""

    def __init__(self, content: bytes, n: int) -> None:
        self._content = io.BytesIO(content)
        self._n = n

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        return self._content.readinto(memoryview(buffer)[: self._n])


# --- headers --------------------------------------------------------------------------------------


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    """Headers with any of the optional fields, and any MTIME."""
    no_zeros = st.binary(max_size=5).map(lambda b: b.replace(b"\0", b"x"))
    flags = draw(st.integers(0, 31))
    head = b"\x1f\x8b\x08" + bytes((flags,)) + draw(st.binary(min_size=6, max_size=6))
    if flags & 4:
        extra = draw(st.binary(max_size=300))
        head += struct.pack("<H", len(extra)) + extra
    for flag in (8, 16):
        if flags & flag:
            head += draw(no_zeros) + b"\0"
    if flags & 2:
        head += struct.pack("<H", zlib.crc32(head) & 0xFFFF)
    return head


@given(head=headers(), more=st.binary(max_size=9))
def test_a_header_is_as_long_as_its_fields(head, more):
    """Fields come in the order of RFC 1952; a header that goes on is waited for."""
    assert header_length(head + more) == len(head)
    assert all(header_length(head[:n]) is None for n in range(len(head)))


@given(head=headers())
def test_a_header_may_come_in_drops(head):
    """The reader finds its end wherever reads end."""
    stored = head + gzip.compress(TEXT)[10:]

    assert read(Drops(stored, 3)) == (TEXT, None)


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"PK", "no gzip member"),
        (b"\x1f\x8b\x07", "no gzip member"),
        (b"\x1f\x8b\x08\x20", "reserved flags"),
        (b"\x1f\x8b\x08\x02\x00\x00\x00\x00\x00\x03ab", "checksum mismatch in the header"),
        (b"\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x03" + b"x" * 200_000, "too long"),
    ],
)
def test_what_is_no_header_is_refused_at_once(head, why):
    """A file that begins so is corrupt, and memory is not filled with a name."""
    with pytest.raises(HeaderError, match=why):
        header_length(head)
    plain, damage = read(head + bytes(300_000))
    assert (plain, damage[:3]) == (b"", ("corrupt", 0, 0))
    assert why in damage[3]


def test_the_mtime_of_a_header():
    """Unix seconds; 0 means none, and so does any other file."""
    assert read_gzip_mtime(gzip.compress(b"", mtime=1_199_000_000)) == 1_199_000_000
    assert read_gzip_mtime(gzip.compress(b"", mtime=0)) == 0
    assert read_gzip_mtime(b"\x1f\x8b\x08\x00\xff") == 0
    assert read_gzip_mtime(b"Dec 26 10:00:00 mx1") == 0


# --- members --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "why"), [(-8, "checksum mismatch"), (-1, "length mismatch")])
def test_a_wrong_trailer_is_named_behind_all_bytes_of_its_member(place, why):
    """CRC32 and length are checked; the member after it is not read."""
    bad = bytearray(gzip.compress(TEXT))
    bad[place] ^= 1
    first = gzip.compress(b"first\n")

    assert read(first + bytes(bad) + first) == (
        b"first\n" + TEXT,
        ("corrupt", len(first), 6 + len(TEXT), why),
    )


@pytest.mark.parametrize("n_zeros", [1, 511, 1000, 600_000])
def test_zeros_after_a_member_are_no_damage(n_zeros):
    """Tapes pad; a member may follow the padding, garbage may not."""
    stored = gzip.compress(TEXT) + bytes(n_zeros)

    assert read(stored) == (TEXT, None)
    assert read(stored + gzip.compress(b"more")) == (TEXT + b"more", None)
    plain, damage = read(stored + b"garbage")
    assert (plain, damage[:3]) == (TEXT, ("trailing garbage", len(stored), len(TEXT)))


def test_zeros_alone_are_no_gzip_file():
    """Padding follows a member."""
    assert read(bytes(100))[1][:3] == ("corrupt", 0, 0)


@pytest.mark.parametrize("more", [b"\x1f", b"\x1f\x8b", b"\x1f\x8b\x08\x00\x00"])
def test_the_begin_of_a_member_at_the_end_is_a_cut(more):
    """A file that is cut inside a later header is truncated, not followed by garbage."""
    stored = gzip.compress(TEXT)

    assert read(stored + more)[1][:3] == ("truncated", len(stored), len(TEXT))


def test_very_many_short_members():
    """Each is checked, and one buffer takes many."""
    stored = gzip.compress(b"a\n") * 20_000

    assert read(stored, 1 << 20) == (b"a\n" * 20_000, None)


# --- damage inside a stream -----------------------------------------------------------------------


def good_prefix(stored: bytes) -> bytes:
    """What zlib gives that is fed byte by byte: all before the byte in which it refuses."""
    decoder = zlib.decompressobj(31)
    plain = b""
    for n in range(len(stored)):
        try:
            plain += decoder.decompress(stored[n : n + 1])
        except zlib.error:
            break
    return plain


@pytest.mark.parametrize("level", [0, 1, 9])
def test_all_letters_before_the_wrong_bit_are_given(level):
    """At least what zlib gives byte by byte, and the same whatever the reads and buffers."""
    whole = gzip.compress(TEXT[:900], level, mtime=0)
    dice = random.Random(level)

    for _ in range(150):
        stored = bytearray(whole)
        stored[dice.randrange(10, len(whole) - 8)] ^= 1 << dice.randrange(8)
        stored = bytes(stored)
        plain, damage = read(stored)
        assert plain.startswith(good_prefix(stored))
        assert damage[0] in ("corrupt", "truncated")
        assert damage[1:3] == (0, len(plain))
        for buffer_bytes, drop_bytes in ((1, 1000), (7, 1), (1000, 1), (64, 13)):
            assert read(Drops(stored, drop_bytes), buffer_bytes) == (plain, damage)


def bits(*items: tuple[int, int]) -> bytes:
    """Return (value, bits) items as a stream."""
    number = at = 0
    for value, n in items:
        number |= value << at
        at += n
    return number.to_bytes(-(-at // 8), "little")


def make_letters_block(n_letters: int, distance_bits: int) -> list[tuple[int, int]]:
    """A block of the letter NUL, one bit each, and two distances of so many bits."""
    order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
    items = [(0, 1), (2, 2), (0, 5), (1, 5), (15, 4)]
    # Code lengths 1, 2 and 18 have the codes 0, 10 and 11; codes are written from their top bit.
    items += [({18: 2, 1: 1, 2: 2}.get(symbol, 0), 3) for symbol in order]
    # NUL and the end of the block have codes of one bit, 0 and 1.
    items += [(0, 1), (0b11, 2), (138 - 11, 7), (0b11, 2), (117 - 11, 7), (0, 1)]
    items += [(0, 1)] * 2 if distance_bits == 1 else [(0b01, 2)] * 2
    return items + [(0, 1)] * n_letters + [(1, 1)]


WRONG_BLOCK = (7, 3)  # of a type that does not exist


@pytest.mark.parametrize("n_letters", [*range(18), 5000])
def test_letters_in_the_byte_that_is_refused_are_given(n_letters):
    """Eight letters may stand in one byte; each that is sound counts."""
    first = gzip.compress(TEXT[:300])
    deflated = bits(*make_letters_block(2, 1), *make_letters_block(n_letters, 1), WRONG_BLOCK)
    stored = first + make_member(deflated, b"")
    text = TEXT[:300] + bytes(2 + n_letters)

    for buffer_bytes in (1, 100, 5000):
        for drop_bytes in (1, 100, 5000):
            plain, damage = read(Drops(stored, drop_bytes), buffer_bytes)
            assert plain == text
            assert damage[:3] == ("corrupt", len(first), len(text))


def test_letters_far_behind_the_begin_of_a_member_are_given():
    """The end of a long member is found again from the middle."""
    encoder = zlib.compressobj(6, zlib.DEFLATED, -15)
    text = make_text(90_000)
    begin = encoder.compress(text) + encoder.flush(zlib.Z_SYNC_FLUSH)
    assert len(begin) > 2 * 8192

    for n_letters in range(1, 10):
        deflated = begin + bits(*make_letters_block(n_letters, 1), WRONG_BLOCK)
        plain, damage = read(make_member(deflated, b""), 4096)
        assert plain == text + bytes(n_letters)
        assert damage[:3] == ("corrupt", 0, len(plain))


def test_codes_that_only_igzip_takes_change_with_no_buffer():
    """zlib refuses a code that leaves bits without a meaning; igzip may have gone on with it."""
    deflated = bits(*make_letters_block(3000, 2), WRONG_BLOCK)
    with pytest.raises(zlib.error, match="distances"):
        zlib.decompressobj(-15).decompress(deflated)

    outcomes = {
        read(Drops(make_member(deflated, b""), drop_bytes), buffer_bytes)
        for buffer_bytes in (1, 100, 5000)
        for drop_bytes in (1, 100, 5000)
    }

    # The letters in the byte that is refused can't be had from igzip: eight at most.
    ((plain, damage),) = outcomes
    assert damage[:3] == ("corrupt", 0, len(plain))
    assert bytes(2992) <= plain <= bytes(3000)


# --- BGZF -----------------------------------------------------------------------------------------


class Counting(io.BytesIO):
    """A file that counts the bytes read."""

    n_read = 0

    def read(self, n=-1) -> bytes:
        piece = super().read(n)
        self.n_read += len(piece)
        return piece


def test_a_block_tells_its_length():
    """Also when the extra field holds other things before and after."""
    block = make_block(TEXT)
    assert block_length(block) == len(block)
    others = b"XX\x03\x00abcBC\x02\x00\x50\x00YY\x00\x00"
    head = b"\x1f\x8b\x08\x04" + bytes(6) + struct.pack("<H", len(others)) + others
    assert block_length(head) == 0x51
    assert block_length(block[:17]) is None
    assert block_length(gzip.compress(TEXT)) is None
    assert block_length(b"\x1f\x8b\x08\x04" + bytes(6) + b"\x06\x00BC\x02\x00\x05\x00") is None


def test_bgzf_is_known_by_its_first_header():
    """Other gzip files are not BGZF, but BGZF is gzip."""
    assert BgzfCodec().matches(make_block(b""))
    assert not BgzfCodec().matches(gzip.compress(TEXT))
    assert not BgzfCodec().matches(b"")
    assert GzipCodec().matches(make_block(b""))


def make_bgzf(n_blocks: int, *, with_traps: bool = False) -> tuple[bytes, list[int], bytes]:
    """Return a BGZF file without end mark, where its blocks begin, and its text."""
    dice = random.Random(n_blocks)
    trap = make_block(b"")[:18]
    stored, begins, text = b"", [], b""
    for number in range(n_blocks):
        # Text that does not shrink, in stored blocks, so that headers in it stay what they are.
        piece = dice.randbytes(20_000) + (trap if with_traps else b"") + b"%d\n" % number
        begins.append(len(stored))
        stored += make_block(piece, 0)
        text += piece
    return stored, begins, text


@pytest.mark.parametrize("with_traps", [False, True])
@pytest.mark.parametrize("target_bytes", [1, 30_000, 100_000, 10_000_000])
def test_bgzf_is_cut_at_blocks_only(with_traps, target_bytes):
    """What looks like a header inside a block is found out, since no block follows it."""
    stored, begins, _ = make_bgzf(30, with_traps=with_traps)

    cuts = BgzfCodec().find_cuts(io.BytesIO(stored), len(stored), target_bytes)

    places = [cut.position for cut in cuts]
    assert set(places) <= set(begins[1:])
    assert places == [cut.stored_offset for cut in cuts]
    for before, after in zip([0, *places], places, strict=False):
        assert target_bytes <= after - before <= target_bytes + 66_000
    if target_bytes == 1:
        assert places == begins[1:]


def test_bgzf_inside_of_bgzf_is_not_cut():
    """Sound blocks in a row inside a stored block are its text."""
    dice = random.Random(3)
    stored, begins = b"", []
    for _ in range(12):
        inner = b"".join(make_block(dice.randbytes(6000), 0) for _ in range(9))
        begins.append(len(stored))
        stored += make_block(inner, 0)

    places = [cut.position for cut in BgzfCodec().find_cuts(io.BytesIO(stored), len(stored), 1)]

    assert places == begins[1:]


def test_cuts_of_bgzf_are_found_without_a_walk_through_the_file():
    """A window at each cut is read, however long the file is."""
    stored, _, _ = make_bgzf(300)
    file = Counting(stored)

    cuts = BgzfCodec().find_cuts(file, len(stored), 2_000_000)

    assert len(cuts) == 2
    assert file.n_read < 3 * 200_000


def test_bgzf_without_its_end_mark_is_complete():
    """Other writers leave it out; a cut between blocks can't be told from that."""
    stored, _, text = make_bgzf(5)

    assert read(stored, 1 << 20) == (text, None)


def test_damage_behind_a_cut_of_bgzf_has_no_plain_offset():
    """Blocks don't tell how much text is before them."""
    stored, begins, text = make_bgzf(10)
    bad = bytearray(stored)
    bad[begins[8] + 3000] ^= 1
    cut = BgzfCodec().find_cuts(io.BytesIO(stored), len(stored), 100_000)[0]

    plain, damage = read(bytes(bad), 1000, cut)

    assert damage == ("corrupt", begins[8], None, "checksum mismatch")
    assert len(plain) == len(text) * 9 // 10 - len(text) * begins.index(cut.position) // 10
