"""What only xz and lzma have: chunks, indexes, padding, dictionaries of gigabytes."""

from __future__ import annotations

import io
import lzma
import random
import shutil
import struct
import subprocess
from zlib import crc32

import pytest
import xz
from hypothesis import given
from hypothesis import strategies as st

from pipeline.compression.xz import LzmaCodec, XzCodec
from pipeline.compression.xz_headers import block_dictionary_bytes, encode_number
from pipeline.errors import DamageError
from pipeline.model import Cut
from tests.support.memory import growth_mb
from tests.support.stored import cut_text, make_text

TEXT = make_text(300_000)
SMALL = {"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 1 << 16}


def compress(text: bytes, check: int = lzma.CHECK_CRC32, filters=(SMALL,)) -> bytes:
    return lzma.compress(text, check=check, filters=list(filters))


def compress_blocks(pieces: list[bytes], check: int = lzma.CHECK_CRC32) -> bytes:
    """A stream with a block for each piece."""
    out = io.BytesIO()
    with xz.open(out, "wb", check=check, filters=[SMALL]) as file:
        for piece in pieces:
            file.write(piece)
            file.change_block()
    return out.getvalue()


def read(stored: bytes, start=None, stop=None, codec=XzCodec) -> tuple[bytes, tuple | None]:
    """Return the plain bytes up to the stop, the end or the damage, and the damage."""
    buffer = memoryview(bytearray(30_000))
    plain = bytearray()
    with codec().open(io.BytesIO(stored), len(stored), start, stop) as reader:
        try:
            while not reader.at_stop:
                plain += buffer[: reader.readinto(buffer)]
        except DamageError as damage:
            return bytes(plain), damage.args
    return bytes(plain), None


def find_cuts(stored: bytes, target_bytes: int = 1) -> list[Cut]:
    return XzCodec().find_cuts(io.BytesIO(stored), len(stored), target_bytes)


def check_pieces(stored: bytes, text: bytes, cuts: list[Cut]) -> None:
    """The pieces between the cuts are the text, and each cut knows its plain offset."""
    plain = b""
    for start, stop in zip([None, *cuts], [*cuts, None], strict=True):
        assert start is None or start.plain_offset == len(plain)
        piece, damage = read(stored, start, stop)
        assert damage is None
        plain += piece
    assert plain == text


PIECES = list(cut_text(TEXT, 7))
STORED = compress_blocks(PIECES)
FIRST_BLOCK = 12


# --- cuts -----------------------------------------------------------------------------------------


def test_every_block_but_the_first_can_be_a_cut():
    """The cuts are the begins of the blocks that python-xz finds."""
    with xz.open(io.BytesIO(STORED)) as file:
        plain_offsets = file.block_boundaries

    cuts = find_cuts(STORED)

    assert [cut.plain_offset for cut in cuts] == plain_offsets[1:]
    assert all(cut.position == cut.stored_offset for cut in cuts)
    check_pieces(STORED, TEXT, cuts)


def test_cuts_are_as_far_apart_as_asked():
    """Blocks are gathered until there are enough stored bytes."""
    cuts = find_cuts(STORED, len(STORED) // 3)

    assert len(cuts) == 2
    assert cuts[1].position - cuts[0].position >= len(STORED) // 3
    check_pieces(STORED, TEXT, cuts)


def test_streams_and_padding_between_cuts():
    """Padding, empty streams and streams of one or more blocks, all in one file."""
    empty = compress(b"")
    stored = empty + STORED + bytes(8) + compress(b"one\n") + empty + bytes(70_000) + STORED

    cuts = find_cuts(stored)

    text = TEXT + b"one\n" + TEXT
    assert len(cuts) == 15
    check_pieces(stored, text, cuts)
    assert read(stored) == (text, None)


@pytest.mark.parametrize("check", [lzma.CHECK_NONE, lzma.CHECK_CRC64, lzma.CHECK_SHA256])
def test_a_stream_with_another_check_is_cut_at_its_begin_only(check):
    """A reader inside a stream learns the check from the begin of the file."""
    stored = STORED + compress_blocks(PIECES, check) + STORED

    cuts = find_cuts(stored)

    begins = [len(STORED), len(stored) - len(STORED)]
    inside = [cut.position for cut in cuts if begins[0] <= cut.position < begins[1]]
    assert inside == begins[:1]
    assert len(cuts) == 6 + 1 + 7
    check_pieces(stored, TEXT * 3, cuts)
    same = compress_blocks(PIECES, check)
    check_pieces(same, TEXT, find_cuts(same))


@pytest.mark.skipif(not shutil.which("xz"), reason="needs the program xz")
def test_files_of_the_program_are_cut(tmp_path):
    """``xz -T2`` writes the sizes into the headers of blocks."""
    path = tmp_path / "text"
    path.write_bytes(TEXT)
    subprocess.run(["xz", "-T2", "--block-size=64KiB", "-1", path], check=True)
    stored = (tmp_path / "text.xz").read_bytes()

    cuts = find_cuts(stored)

    assert [cut.plain_offset for cut in cuts] == [n << 16 for n in range(1, 5)]
    check_pieces(stored, TEXT, cuts)


@pytest.mark.parametrize("n_lost", [1, 12, 13, 30, 5000])
def test_a_file_without_its_end_has_no_cuts(n_lost):
    """The index is gone, and what the blocks hold is read from the begin."""
    stored = STORED[:-n_lost]

    assert find_cuts(stored) == []
    plain, damage = read(stored)
    assert damage[0] == "truncated"
    assert TEXT.startswith(plain)
    assert len(plain) > len(TEXT) - 50_000


def test_padding_comes_in_fours():
    """A file with other padding is damaged at its end, and the index can't be trusted."""
    assert find_cuts(STORED + bytes(8)) == find_cuts(STORED) != []
    assert find_cuts(STORED + bytes(5)) == []


def test_cuts_end_where_no_block_begins():
    """An index that is sound may still list what is not there."""
    second = find_cuts(STORED)[1].position
    stored = bytearray(STORED)
    stored[second + 1] ^= 0x40

    assert [cut.position for cut in find_cuts(bytes(stored))] == [find_cuts(STORED)[0].position]


def test_a_first_header_that_was_sound_at_planning_is_read_again():
    """A reader inside a stream needs it; without it, nothing it says would be checked."""
    cut = find_cuts(STORED)[2]
    stored = STORED[:8] + b"xxxx" + STORED[12:]

    assert read(stored, cut)[1][:3] == ("corrupt", 0, cut.plain_offset)


# --- the index ------------------------------------------------------------------------------------


def with_index(stored: bytes, records: list[tuple[int, int]]) -> bytes:
    """The stream with another index, sound in itself."""
    n_index = 4 * (struct.unpack("<I", stored[-8:-4])[0] + 1)
    fields = b"\x00" + encode_number(len(records))
    fields += b"".join(encode_number(number) for record in records for number in record)
    fields += bytes(-len(fields) % 4)
    index = fields + struct.pack("<I", crc32(fields))
    footer = struct.pack("<I", len(index) // 4 - 1) + stored[-4:-2]
    return stored[: -12 - n_index] + index + struct.pack("<I", crc32(footer)) + footer + b"YZ"


def block_records(stored: bytes) -> list[tuple[int, int]]:
    """What python-xz reads from the index of the first stream."""
    with xz.open(io.BytesIO(stored)) as file:
        stream = next(iter(file._fileobjs.values()))
        return [(block.unpadded_size, len(block)) for block in stream._fileobjs.values()]


def test_an_index_that_lies_is_damage_after_the_text():
    """All of the blocks were right, so their text counts."""
    records = block_records(STORED)
    assert with_index(STORED, records) == STORED

    for lie in (records[:-1], [*records, (100, 100)], [(n, size + 1) for n, size in records], []):
        plain, damage = read(with_index(STORED, lie))
        assert plain == TEXT
        assert damage[0] == "corrupt"
        assert "index" in damage[3]


def test_cuts_from_an_index_that_lies_are_refused():
    """By the reader before the cut: bytes would be missing, counted twice, or misplaced."""
    records = block_records(STORED)
    # Two blocks as one, and plain bytes moved from a block to the next.
    padded = records[1][0] + -records[1][0] % 4
    as_one = [records[0], (padded + records[2][0], records[1][1] + records[2][1]), *records[3:]]
    moved = [(records[0][0], records[0][1] + 5), (records[1][0], records[1][1] - 5), *records[2:]]

    assert len(find_cuts(with_index(STORED, as_one))) == 5
    plain, damage = read(with_index(STORED, as_one))
    assert (plain, damage[0]) == (TEXT, "corrupt")
    stored = with_index(STORED, moved)
    plain, damage = read(stored, None, find_cuts(stored)[0])
    assert (plain, damage[0]) == (PIECES[0], "corrupt")
    begins_elsewhere = Cut(find_cuts(STORED)[0].position + 4, 0, len(PIECES[0]))
    assert read(STORED, None, begins_elsewhere)[1][0] == "corrupt"


@pytest.mark.parametrize("place", range(-40, 0))
def test_a_wrong_byte_in_index_or_footer_is_seen_from_every_cut(place):
    """Whoever reads the end of a stream checks it, wherever reading began."""
    stored = bytearray(STORED)
    cut = find_cuts(STORED)[3]
    stored[place] ^= 0x10

    plain, damage = read(bytes(stored))
    more, same = read(bytes(stored), cut)

    assert plain == TEXT
    assert damage[0] in ("corrupt", "truncated")
    assert (more, same[:3]) == (TEXT[cut.plain_offset :], damage[:3])


# --- blocks and chunks ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        [{"id": lzma.FILTER_DELTA, "dist": 4}],
        [{"id": lzma.FILTER_X86}],
        [{"id": lzma.FILTER_DELTA}, {"id": lzma.FILTER_ARM}],
    ],
)
def test_filters_before_lzma2(more):
    """They hold back some bytes until the end of a block."""
    stored = compress(TEXT + b"\xe8\x00", filters=[*more, SMALL])

    assert read(stored) == (TEXT + b"\xe8\x00", None)


def test_bytes_that_do_not_shrink():
    """They are in chunks without compression, of at most 64 KiB."""
    noise = random.Random(1).randbytes(300_000)

    assert read(compress(noise)) == (noise, None)


def test_a_wrong_byte_costs_its_chunk_and_what_follows():
    """Not garbage, as a decoder gives until it stumbles, but a part of the text."""
    text = make_text(3_000_000)
    stored = bytearray(compress(text))
    dice = random.Random(1)
    n_good = 0

    for place in dice.sample(range(100_000, len(stored) - 1000), 8):
        stored[place] ^= 0x20
        plain, damage = read(bytes(stored))
        stored[place] ^= 0x20
        assert text.startswith(plain)
        assert damage[:3] == ("corrupt", FIRST_BLOCK, len(plain))
        n_good += len(plain) > 0

    assert n_good > 4


def test_a_wrong_check_is_named_after_the_block():
    """The text was decoded without trouble; that it is wrong is known only behind it."""
    stored = bytearray(compress(TEXT, lzma.CHECK_SHA256))
    index_bytes = 4 * (struct.unpack("<I", stored[-8:-4])[0] + 1)
    stored[len(stored) - 12 - index_bytes - 1] ^= 0x01

    plain, damage = read(bytes(stored))

    assert plain == TEXT
    assert damage[:3] == ("corrupt", FIRST_BLOCK, len(TEXT))


def test_a_chunk_with_an_unknown_control_byte_is_corrupt():
    """0x03 to 0x7F are not in use."""
    stored = bytearray(compress(TEXT))
    n_header = 4 * (stored[FIRST_BLOCK] + 1)
    stored[FIRST_BLOCK + n_header] = 0x03

    assert read(bytes(stored))[1][:3] == ("corrupt", FIRST_BLOCK, 0)


def test_a_check_that_is_not_known_is_no_success():
    """The library would decode without checking anything."""
    stored = bytearray(compress(TEXT))
    stored[7] = 2
    stored[8:12] = struct.pack("<I", crc32(stored[6:8]))

    plain, damage = read(bytes(stored))

    assert plain == b""
    assert damage[0] == "corrupt"
    assert "check" in damage[3]


# --- padding and what follows ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "more", [b"\n", b"\x00\x00\x00\x00\n", b"\x00\x00\x00x", b"some more text"]
)
def test_bytes_behind_a_stream_are_garbage(more):
    """All text comes first; zeros are padding as long as they are."""
    plain, damage = read(STORED + more)

    assert plain == TEXT
    assert (damage[0], damage[2]) == ("trailing garbage", len(TEXT))
    assert damage[1] in (len(STORED), len(STORED) + 4)


@pytest.mark.parametrize("more", [b"\x00", bytes(7), b"\xfd", b"\xfd7zXZ\x00\x00\x01"])
def test_a_file_that_ends_in_padding_or_a_header_is_truncated(more):
    """Padding comes in fours, and a header is longer."""
    plain, damage = read(STORED + more)

    assert plain == TEXT
    assert damage[0] == "truncated"


def test_a_first_header_that_is_wrong_is_corrupt():
    """There is no stream before it that it could be garbage behind."""
    for stored in (STORED[:8] + b"xxxx" + STORED[12:], b"\x00" * 4 + STORED, b"some text"):
        assert read(stored)[1][:3] == ("corrupt", 0, 0)


# --- memory ---------------------------------------------------------------------------------------


def with_dictionary(stored: bytes, code: int) -> bytes:
    """The stream with another dictionary size in its first block; the code of 2^n is 2 (n - 12)."""
    n_header = 4 * (stored[FIRST_BLOCK] + 1)
    header = bytearray(stored[FIRST_BLOCK : FIRST_BLOCK + n_header - 4])
    assert header[2:4] == b"\x21\x01"
    header[4] = code
    changed = bytes(header) + struct.pack("<I", crc32(header))
    return stored[:FIRST_BLOCK] + changed + stored[FIRST_BLOCK + n_header :]


def test_dictionary_sizes_are_those_of_the_library():
    """From 4 KiB to 4 GiB, as the library's own limit of memory sees them."""
    for code in range(41):
        stored = with_dictionary(compress(b"a line\n"), code)
        n_header = 4 * (stored[FIRST_BLOCK] + 1)
        size = block_dictionary_bytes(stored[FIRST_BLOCK : FIRST_BLOCK + n_header])
        assert size == ((1 << 32) - 1 if code == 40 else (2 | code & 1) << (code // 2 + 11))
        if code < 34:
            decoder = lzma.LZMADecompressor(memlimit=max(size, 1 << 16) + (1 << 18))
            assert decoder.decompress(stored) == b"a line\n"
            with pytest.raises(lzma.LZMAError, match="limit"):
                lzma.LZMADecompressor(memlimit=size - 1).decompress(stored)
    bad = with_dictionary(compress(b"a line\n"), 41)
    assert block_dictionary_bytes(bad[FIRST_BLOCK : FIRST_BLOCK + n_header]) is None


def test_a_dictionary_of_gigabytes_is_refused_by_name():
    """The message says how much it would take and how much there is."""
    plain, damage = read(with_dictionary(compress(TEXT), 37))

    assert plain == b""
    assert damage[:3] == ("corrupt", FIRST_BLOCK, 0)
    assert "1,536 MiB" in damage[3]
    assert "512 MiB" in damage[3]
    assert read(with_dictionary(compress(TEXT), 34)) == (TEXT, None)


_LOAD = """
import io
from pipeline.compression.xz import LzmaCodec, XzCodec
def read(codec, stored):
    buffer = memoryview(bytearray(65536))
    n = 0
    with codec.open(stored, None) as reader:
        while length := reader.readinto(buffer):
            n += length
    return n
"""


@pytest.mark.parametrize(
    ("name", "format_"), [("XzCodec", lzma.FORMAT_XZ), ("LzmaCodec", lzma.FORMAT_ALONE)]
)
def test_a_bomb_takes_bounded_memory(name, format_, tmp_path):
    """100 MB of zeros with a dictionary of 1 MiB take little more than that."""
    kind = lzma.FILTER_LZMA2 if format_ == lzma.FORMAT_XZ else lzma.FILTER_LZMA1
    filters = [{"id": kind, "preset": 0, "dict_size": 1 << 20}]
    bomb = lzma.compress(bytes(100 << 20), format_, filters=filters)
    (tmp_path / "bomb").write_bytes(bomb)
    small = lzma.compress(b"a line\n", format_, filters=filters)
    load = f"{_LOAD}\nread({name}(), io.BytesIO({small!r}))"

    code = f"assert read({name}(), open({str(tmp_path / 'bomb')!r}, 'rb')) == 100 << 20"

    assert growth_mb(load, code) < 12


# --- .lzma ----------------------------------------------------------------------------------------

LZMA1 = {"id": lzma.FILTER_LZMA1, "preset": 1, "dict_size": 1 << 16}
ALONE = lzma.compress(TEXT, lzma.FORMAT_ALONE, filters=[LZMA1])


def test_an_lzma_file_of_known_size():
    """Writers that know the size put it into the header, with an end mark or without."""
    stored = ALONE[:5] + struct.pack("<Q", len(TEXT)) + ALONE[13:]

    assert LzmaCodec().matches(stored[:64])
    assert read(stored, codec=LzmaCodec) == (TEXT, None)
    longer = ALONE[:5] + struct.pack("<Q", len(TEXT) + 1) + ALONE[13:]
    plain, damage = read(longer, codec=LzmaCodec)
    # The library takes the byte before the one it stumbles over with it.
    assert plain in (TEXT, TEXT[:-1])
    assert damage[2] == len(plain)


def test_an_lzma_dictionary_of_gigabytes_is_refused_by_name():
    """As in .xz."""
    stored = ALONE[:1] + struct.pack("<I", 3 << 29) + ALONE[5:]

    plain, damage = read(stored, codec=LzmaCodec)

    assert plain == b""
    assert damage[:3] == ("corrupt", 0, 0)
    assert "1,536 MiB" in damage[3]


@pytest.mark.parametrize("more", [b"\x00", b"\n", ALONE])
def test_bytes_behind_an_lzma_stream_are_garbage(more):
    """Also another stream: the format knows only one."""
    plain, damage = read(ALONE + more, codec=LzmaCodec)

    assert plain == TEXT
    assert damage[:3] == ("trailing garbage", len(ALONE), len(TEXT))


def test_garbage_that_begins_with_a_piece_is_seen(monkeypatch):
    """When the decoder has taken in exactly what was read, the rest of the file is still there."""
    monkeypatch.setattr("pipeline.compression.lzma_alone._READ_BYTES", len(ALONE) - 13)

    assert read(ALONE + b"\n", codec=LzmaCodec)[1][0] == "trailing garbage"
    assert read(ALONE, codec=LzmaCodec) == (TEXT, None)


@pytest.mark.parametrize("preset", range(10))
def test_lzma_files_of_all_presets_are_known(preset):
    """By header and first coded byte, or by the header alone if that is all there is."""
    stored = lzma.compress(b"a line\n", lzma.FORMAT_ALONE, preset=preset)

    assert LzmaCodec().matches(stored)
    assert LzmaCodec().matches(stored[:13])
    assert not LzmaCodec().matches(stored[:12])
    assert not XzCodec().matches(stored)


@given(st.binary(min_size=13, max_size=40).filter(lambda head: 0 not in head[:14]))
def test_bytes_without_zeros_are_no_lzma(head):
    """Text has no zero bytes, all real dictionaries and sizes have."""
    assert not LzmaCodec().matches(head) or head[5:13] == b"\xff" * 8


def test_text_and_tables_are_no_lzma():
    """What begins with a small number or with ``]`` is not yet an lzma file."""
    for head in (
        b"]" + TEXT,
        bytes(64),
        bytes(13),
        struct.pack("<BIQ", 0x5D, 1 << 23, 1 << 40) + b"\x00",
        struct.pack("<BIQ", 0x5D, (1 << 23) + 1, 7) + b"\x00",
        struct.pack("<BIQ", 0x5D, 1 << 11, 7) + b"\x00",
        struct.pack("<BIQ", 0x5D, 1 << 23, 7) + b"\x01",
        struct.pack("<BIQ", 225, 1 << 23, 7) + b"\x00",
        struct.pack("<BIQ", 8 + 9 * 4, 1 << 23, 7) + b"\x00",
    ):
        assert not LzmaCodec().matches(head)
