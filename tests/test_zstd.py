"""What only zstd has: frames without a size, seek tables, windows of gigabytes."""

from __future__ import annotations

import io
import itertools
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from pipeline.compression.zstd import ZstdCodec
from pipeline.errors import DamageError
from tests.support.stored import cut_text, make_text, seek_table, skippable

TEXT = make_text(50_000)
CODEC = ZstdCodec()
ROOT = Path(__file__).parents[1]


def frames(n: int, *, without_size: int = -1) -> list[tuple[bytes, bytes]]:
    """The text in n frames, one of which may not tell its size; every second with a checksum."""
    units = []
    for number, piece in enumerate(cut_text(TEXT, n)):
        sized = zstandard.ZstdCompressor(
            write_content_size=number != without_size, write_checksum=number % 2 == 0
        )
        units.append((sized.compress(piece), piece))
    return units


def find_cuts(path: Path, stored: bytes, target_bytes: int):
    path.write_bytes(stored)
    with path.open("rb") as file:
        return CODEC.find_cuts(file, len(stored), target_bytes)


def offsets(units) -> list[tuple[int, int]]:
    """Stored and plain offset of each frame but the first."""
    places, n_stored, n_plain = [], 0, 0
    for stored, plain in units[:-1]:
        n_stored += len(stored)
        n_plain += len(plain)
        places.append((n_stored, n_plain))
    return places


def test_frames_with_sizes_give_plain_offsets(tmp_path):
    """Every begin of a frame is a cut, with the sum of the sizes before it."""
    units = frames(8)

    cuts = find_cuts(tmp_path / "f", b"".join(stored for stored, _ in units), 1)

    assert [(cut.position, cut.plain_offset) for cut in cuts] == offsets(units)


def test_plain_offsets_end_with_the_first_frame_without_a_size(tmp_path):
    """The places behind it are still cuts."""
    units = frames(8, without_size=2)

    cuts = find_cuts(tmp_path / "f", b"".join(stored for stored, _ in units), 1)

    expected = offsets(units)
    assert [cut.plain_offset for cut in cuts] == [plain for _, plain in expected[:2]] + [None] * 5
    assert [cut.stored_offset for cut in cuts] == [stored for stored, _ in expected]


def test_cuts_are_about_the_target_apart_and_leave_no_crumb(tmp_path):
    """Frames are put together until they are long enough; the last piece is at least half."""
    stored = b"".join(stored for stored, _ in frames(100))
    longest_frame = 1000

    for percent in range(5, 120, 5):
        target_bytes = len(stored) * percent // 100
        cuts = find_cuts(tmp_path / "f", stored, target_bytes)

        edges = [0, *(cut.position for cut in cuts), len(stored)]
        *lengths, last = [stop - start for start, stop in itertools.pairwise(edges)]
        assert all(target_bytes <= length <= target_bytes + longest_frame for length in lengths)
        assert target_bytes / 2 <= last <= 1.5 * target_bytes + longest_frame or not cuts


def test_a_seek_table_is_enough_for_a_store_that_is_far_away(tmp_path):
    """Without a file descriptor only the table at the end is read."""
    units = frames(8, without_size=0)
    stored = b"".join(stored for stored, _ in units)
    table = seek_table(units)

    assert CODEC.find_cuts(io.BytesIO(stored), len(stored), 1) == []
    cuts = CODEC.find_cuts(io.BytesIO(stored + table), len(stored + table), 1)

    assert [(cut.position, cut.plain_offset) for cut in cuts] == offsets(units)


def test_a_seek_table_that_lies_is_not_believed(tmp_path):
    """Where its sums are wrong, or no frame begins where it says, the headers are walked."""
    units = frames(8)
    stored = b"".join(stored for stored, _ in units)
    expected = offsets(units)
    shifted = [(units[0][0] + b"x", b""), (units[1][0][1:], b""), *units[2:]]
    footer_only = struct.pack("<IBI", 3, 0, 0x8F92EAB1)

    for table in (
        seek_table(units[1:]),
        seek_table(shifted),
        skippable(footer_only, 14),
        skippable(footer_only, 3),
        seek_table(units)[:-9] + struct.pack("<IBI", len(units), 4, 0x8F92EAB1),
    ):
        cuts = find_cuts(tmp_path / "f", stored + table, 1)
        places = [(cut.position, cut.plain_offset) for cut in cuts]
        assert places == expected


def test_a_frame_that_needs_a_dictionary_is_named():
    """The library's own message says nothing of a dictionary."""
    stored = b"\x28\xb5\x2f\xfd\x01\x00\x07" + b"\x01\x00\x00"

    with (
        CODEC.open(io.BytesIO(stored), len(stored)) as reader,
        pytest.raises(DamageError, match="dictionary 7"),
    ):
        reader.readinto(memoryview(bytearray(10)))


# VmHWM, since ru_maxrss of a new process begins with what the one that started it had.
_READ_LONG = """
import re, sys
from pathlib import Path
from pipeline.compression.zstd import ZstdCodec
buffer = memoryview(bytearray(1 << 16))
with ZstdCodec().open(open(sys.argv[1], "rb"), None) as reader:
    n = 0
    while length := reader.readinto(buffer):
        n += length
print(n, re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def test_a_window_of_two_gigabytes_takes_memory_only_as_it_is_filled(tmp_path):
    """A header can ask for any window; a small file must not cost what it asks for."""
    header = b"\x28\xb5\x2f\xfd\x00" + bytes([31 - 10 << 3])
    (tmp_path / "f").write_bytes(header + (5 << 3 | 1).to_bytes(3, "little") + b"hello")

    done = subprocess.run(
        [sys.executable, "-c", _READ_LONG, tmp_path / "f"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    n_plain, peak_kib = map(int, done.stdout.split())
    assert n_plain == 5
    assert peak_kib < 100 << 10


def test_a_codec_is_found_behind_skippable_frames():
    """pzstd begins its files with one; lz4 has the same, so the next frame decides."""
    frame = zstandard.ZstdCompressor().compress(TEXT)

    assert CODEC.matches(skippable(b"1234") + frame)
    assert CODEC.matches(skippable(bytes(70_000))[:65_536])
    assert not CODEC.matches(skippable(b"1234") + b"\x04\x22\x4d\x18\x64\x40\xa7")
    assert not CODEC.matches(b"\x28\xb5\x2f\xfd\x00\x00\x06\x00\x00")  # a block of type 3
