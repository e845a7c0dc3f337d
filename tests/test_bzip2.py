"""What only bzip2 has: blocks that begin at any bit and don't say where they end."""

from __future__ import annotations

import bz2
import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.compression.bzip2 import Bzip2Codec
from pipeline.compression.bzip2_blocks import BLOCK, END, MAGIC_BITS, Bits
from pipeline.compression.salvage import Tape
from pipeline.errors import DamageError
from pipeline.model import Cut
from tests.support.memory import growth_mb
from tests.support.stored import make_text

CODEC = Bzip2Codec()
TEXT = make_text(450_000)
STORED = bz2.compress(TEXT, 1)  # five blocks

block_magic = f"{BLOCK:048b}"
end_magic = f"{END:048b}"


def as_bits(stored: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in stored)


def find_all(stored: bytes, magic: str) -> list[int]:
    """Every bit at which a magic begins: the slow and obvious search."""
    bits, places, at = as_bits(stored), [], -1
    while (at := bits.find(magic, at + 1)) >= 0:
        places.append(at)
    return places


def flip(stored: bytes, bit: int) -> bytes:
    flipped = bytearray(stored)
    flipped[bit // 8] ^= 0x80 >> bit % 8
    return bytes(flipped)


def read(stored: bytes, start=None, stop=None) -> tuple[bytes, tuple | None]:
    """Return the plain bytes up to the stop, the end or the damage, and the damage."""
    buffer = memoryview(bytearray(30_000))
    plain = bytearray()
    with CODEC.open(io.BytesIO(stored), len(stored), start, stop) as reader:
        try:
            while not reader.at_stop:
                plain += buffer[: reader.readinto(buffer)]
        except DamageError as damage:
            return bytes(plain), damage.args
    return bytes(plain), None


def find_cuts(stored: bytes, target_bytes: int = 1) -> list[Cut]:
    return CODEC.find_cuts(io.BytesIO(stored), len(stored), target_bytes)


def plain_ends(stored: bytes) -> list[int]:
    """Plain bytes up to the end of each block, by reading from cut to cut."""
    ends, done = [], 0
    cuts = find_cuts(stored)
    for start, stop in zip([None, *cuts], [*cuts, None], strict=True):
        done += len(read(stored, start, stop)[0])
        ends.append(done)
    return ends


BLOCKS = find_all(STORED, block_magic)
ENDS = plain_ends(STORED)


# --- cuts -----------------------------------------------------------------------------------------


def test_every_block_but_the_first_can_be_a_cut():
    """They are the places that a search bit by bit finds, and their plain offsets are unknown."""
    assert len(BLOCKS) == 5
    assert [cut.position for cut in find_cuts(STORED)] == BLOCKS[1:]
    assert {cut.plain_offset for cut in find_cuts(STORED)} == {None}
    assert sorted(set(ENDS)) == ENDS
    assert ENDS[-1] == len(TEXT)


def test_cuts_are_as_far_apart_as_asked():
    """The first block behind each multiple, and none where the file is shorter than that."""
    far = find_cuts(STORED, len(STORED) // 2)

    assert [cut.position for cut in far] == [next(b for b in BLOCKS if b > 4 * len(STORED))]
    assert find_cuts(STORED, len(STORED)) == []


@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(0, 7), st.booleans())
def test_a_magic_is_found_at_every_bit(before, after, shift, is_end):
    """The search by whole bytes finds what the search bit by bit finds."""
    magic = END if is_end else BLOCK
    bits = as_bits(before) + "0" * shift + f"{magic:048b}" + as_bits(after)
    stored = int(bits + "0" * (-len(bits) % 8), 2).to_bytes((len(bits) + 7) // 8, "big")
    window = Bits(Tape(io.BytesIO(stored), len(stored), 0))

    for start in range(0, len(bits), 3):
        places = [p for p in find_all(stored, f"{magic:048b}") if p >= start]
        assert window.find(magic, start, 8 * len(stored)) == min(places, default=None)


def test_a_magic_across_two_reads_is_found(monkeypatch):
    """Whatever is read and searched at a time."""
    monkeypatch.setattr("pipeline.compression.bzip2_blocks._READ_BYTES", 5)
    monkeypatch.setattr("pipeline.compression.bzip2_blocks._SEARCH_BYTES", 3)
    stored = bz2.compress(TEXT[:150_000], 1)
    stop = 8 * len(stored)

    window = Bits(Tape(io.BytesIO(stored), len(stored), 0))

    assert window.find(BLOCK, 33, stop) == find_all(stored, block_magic)[1]
    assert window.find(END, 32, stop) == find_all(stored, end_magic)[0]
    assert read(stored) == (TEXT[:150_000], None)


def test_a_magic_without_a_block_is_no_cut():
    """Bytes that look like a block are tried before they are believed."""
    dice = random.Random(1)
    fakes = b"".join(BLOCK.to_bytes(6, "big") + dice.randbytes(2000) for _ in range(3))
    one_block = bz2.compress(TEXT[:50_000], 1)

    assert find_cuts(one_block + fakes, len(one_block)) == []
    with_more = find_cuts(one_block + fakes + STORED, len(one_block) + 1)
    assert with_more[0].position == 8 * len(one_block + fakes) + BLOCKS[0]


# --- whole files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("level", range(1, 10))
def test_every_level_and_a_row_of_different_ones(level):
    """The size of the blocks is the stream's own affair, from the begin and from a cut."""
    stored = bz2.compress(TEXT, level) + bz2.compress(TEXT, 10 - level)

    assert read(stored) == (TEXT + TEXT, None)
    for cut in find_cuts(stored, len(stored) // 3):
        plain, damage = read(stored, cut)
        assert (TEXT + TEXT).endswith(plain)
        assert damage is None


@given(st.lists(st.integers(0, 300), max_size=6))
def test_streams_in_a_row(lengths):
    """Empty ones, too, before, between and behind."""
    pieces = [TEXT[:length] for length in lengths]

    assert read(b"".join(map(bz2.compress, pieces))) == (b"".join(pieces), None)


@pytest.mark.parametrize("shift", [20_000, 800, 8])
def test_a_magic_inside_a_block_costs_time_alone(shift, monkeypatch):
    """By chance or by malice: the block is longer than it looks, and nothing of it is lost."""
    guess = Bits.find_block_stop

    def guess_early(self, start, limit):
        place = guess(self, start, limit)
        return None if place is None else place - shift

    monkeypatch.setattr(Bits, "find_block_stop", guess_early)

    assert read(STORED) == (TEXT, None)


def test_a_block_of_zeros_takes_bounded_memory(tmp_path):
    """100 MB of zeros are three blocks, the largest of 46 MB; never is there more than one."""
    (tmp_path / "bomb").write_bytes(bz2.compress(bytes(100 << 20)))
    load = f"""
import io
from pipeline.compression.bzip2 import Bzip2Codec
def read(stored):
    buffer = memoryview(bytearray(65536))
    n = 0
    with Bzip2Codec().open(stored, None) as reader:
        while length := reader.readinto(buffer):
            n += length
    return n
read(io.BytesIO({bz2.compress(b"a line")!r}))
"""

    growth = growth_mb(load, f"assert read(open({str(tmp_path / 'bomb')!r}, 'rb')) == 100 << 20")

    assert growth < 64


# --- damage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", range(5))
def test_a_wrong_bit_in_a_block_costs_it_and_what_follows(block):
    """Blocks before it are whole, nothing of it is delivered, and it is named."""
    stored = flip(STORED, BLOCKS[block] + 40_000)
    good = [0, *ENDS][block]

    plain, damage = read(stored)

    assert plain == TEXT[:good]
    assert damage[:3] == ("corrupt", BLOCKS[block] // 8, good)


def test_a_wrong_crc_costs_its_block():
    """It is checked before anything is delivered."""
    plain, damage = read(flip(STORED, BLOCKS[1] + MAGIC_BITS + 3))

    assert plain == TEXT[: ENDS[0]]
    assert damage[:2] == ("corrupt", BLOCKS[1] // 8)


@pytest.mark.parametrize("bit", range(0, 48, 5))
def test_a_wrong_magic_costs_no_block_before_it(bit):
    """The block before ends somewhere, even if the mark where it should end is unreadable."""
    plain, damage = read(flip(STORED, BLOCKS[2] + bit))

    assert plain == TEXT[: ENDS[1]]
    assert damage[0] == "corrupt"
    assert abs(damage[1] - BLOCKS[2] // 8) <= 1


@pytest.mark.parametrize("size", range(-7, 8))
def test_a_file_cut_behind_a_block_keeps_the_block(size):
    """As soon as the last bit of a block is there, its bytes are."""
    plain, damage = read(STORED[: (BLOCKS[2] + 7) // 8 + size])

    assert plain == TEXT[: ENDS[1 if size >= 0 else 0]]
    assert damage[0] == "truncated"


def test_a_hole_of_zeros_costs_no_block_before_it():
    """A crash leaves zeros where the file was not yet written."""
    begin = (BLOCKS[3] + 7) // 8

    plain, damage = read(STORED[:begin] + bytes(len(STORED) - begin))

    assert plain == TEXT[: ENDS[2]]
    assert damage[0] == "corrupt"


def test_a_wrong_combined_crc_is_named_after_all_text():
    """Every block was right by its own CRC, so the streams behind it count, too."""
    wrong = flip(STORED, find_all(STORED, end_magic)[0] + MAGIC_BITS + 1)
    good = bz2.compress(b"more\n")

    plain, damage = read(wrong + good)

    assert plain == TEXT + b"more\n"
    assert damage[:3] == ("corrupt", len(wrong) - 4, len(plain))


@pytest.mark.parametrize("more", [b"\n", b"\x00" * 512, b"B2", b"BZh0", b"some text"])
def test_bytes_behind_the_last_stream_are_garbage(more):
    """Zeros, too: bzip2 ignores them with the same warning as anything else."""
    plain, damage = read(STORED + more)

    assert plain == TEXT
    assert damage[:3] == ("trailing garbage", len(STORED), len(TEXT))


def test_a_stream_behind_garbage_is_garbage():
    """Its first block must not be taken for the one that follows the last block before it."""
    plain, damage = read(STORED + b"some text" + STORED)

    assert plain == TEXT
    assert damage[:3] == ("trailing garbage", len(STORED), len(TEXT))


@pytest.mark.parametrize("more", [b"B", b"BZh", b"BZh9", b"BZh91AY&S"])
def test_the_begin_of_another_stream_is_truncated(more):
    """A second stream was being written."""
    plain, damage = read(STORED + more)

    assert plain == TEXT
    assert damage[0] == "truncated"
    assert damage[2] == len(TEXT)


def test_a_cut_inside_a_block_is_refused_by_the_split_before_it():
    """Were it believed, bytes would be missing or counted twice."""
    plain, damage = read(STORED, None, Cut(BLOCKS[2] + 8, BLOCKS[2] // 8 + 1, None))

    assert plain == TEXT[: ENDS[2]]
    assert damage[0] == "corrupt"


def test_from_a_cut_the_damage_behind_is_the_same():
    """Its plain offset alone is unknown there."""
    stored = flip(STORED, BLOCKS[3] + 40_000)
    whole, damage = read(stored)

    cuts = find_cuts(stored)[:2]
    assert 2 == len(cuts)
    for cut in cuts:
        plain, same = read(stored, cut)
        assert whole.endswith(plain)
        assert same == (*damage[:2], None, damage[3])


# --- detection ------------------------------------------------------------------------------------


def test_a_stream_is_known_by_its_header_and_a_magic():
    """Text may begin with BZh, even with a digit."""
    assert CODEC.matches(STORED[:10])
    assert CODEC.matches(bz2.compress(b"")[:10])
    assert CODEC.matches(STORED[:6])
    assert not CODEC.matches(b"BZh9")
    assert not CODEC.matches(b"BZh0" + STORED[4:])
    assert not CODEC.matches(b"BZh91AY&SX")
