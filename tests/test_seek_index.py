"""Seek indexes: made while a file is read, kept, and read from."""

from __future__ import annotations

import gzip
import io
import logging
import os
import pickle
import random
import time
import zlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.compression import seek_build, seek_index
from pipeline.compression.gzip import GzipCodec
from pipeline.compression.seek_build import SeekIndexBuilder
from pipeline.compression.seek_index import SeekIndex, SourceIdentity, identify, load, store
from pipeline.errors import DamageError
from tests.support.stored import make_text

TEXT = make_text(400_000)
SPACING = 20_000


def deflate(text: bytes, level: int = 6, n_flushes: int = 1) -> bytes:
    """One member, with blocks that end at flushes, where there are several."""
    encoder = zlib.compressobj(level, zlib.DEFLATED, 31)
    step = len(text) // n_flushes + 1
    out = []
    for start in range(0, len(text), step):
        out.append(encoder.compress(text[start : start + step]))
        out.append(encoder.flush(zlib.Z_PARTIAL_FLUSH))
    return b"".join(out) + encoder.flush()


def cut(text: bytes, n: int) -> list[bytes]:
    return [text[i : i + n] for i in range(0, len(text), n)]


FILES = {
    "one member": deflate(TEXT, n_flushes=50),
    "stored blocks": deflate(TEXT, 0),
    "members": b"".join(deflate(piece) for piece in cut(TEXT, 30_000)),
    "short members": b"".join(deflate(piece) for piece in cut(TEXT, 700)),
    "members of blocks": b"".join(deflate(piece, n_flushes=3) for piece in cut(TEXT, 90_000)),
    "empty members": b"".join(
        gzip.compress(b"") + deflate(piece, n_flushes=4) + gzip.compress(b"")
        for piece in cut(TEXT, 150_000)
    ),
    "padded": deflate(TEXT[:200_000], n_flushes=20)
    + bytes(3000)
    + deflate(TEXT[200_000:], n_flushes=20)
    + bytes(700_000),
}
every_file = pytest.mark.parametrize("name", FILES)


def read_whole(stored: bytes, build: SeekIndexBuilder | None, buffer_bytes: int = 1 << 16):
    """Return plain bytes and the parts of the damage; the reader is closed."""
    buffer = memoryview(bytearray(buffer_bytes))
    plain = bytearray()
    with GzipCodec().open(io.BytesIO(stored), len(stored), build=build) as reader:
        try:
            while n := reader.readinto(buffer):
                plain += buffer[:n]
        except DamageError as damage:
            return bytes(plain), damage.args
        assert reader.at_stop
        assert reader.stored_offset == len(stored)
    return bytes(plain), None


def build_index(stored: bytes, spacing: int = SPACING, **options) -> SeekIndex | None:
    build = SeekIndexBuilder(spacing, **options)
    read_whole(stored, build)
    return build.finish()


def read_range(stored: bytes, index: SeekIndex, start, stop, buffer_bytes: int = 3000):
    """Return plain bytes up to the stop, what follows it, and the parts of the damage."""
    buffer = memoryview(bytearray(buffer_bytes))
    parts = [bytearray(), bytearray()]
    with GzipCodec().open(io.BytesIO(stored), len(stored), start, stop, index=index) as reader:
        try:
            while True:
                was_at_stop = reader.at_stop
                n = reader.readinto(buffer)
                parts[was_at_stop] += buffer[:n]
                if not n and was_at_stop:
                    break
        except DamageError as damage:
            return bytes(parts[0]), bytes(parts[1]), damage.args
    return bytes(parts[0]), bytes(parts[1]), None


# --- making ---------------------------------------------------------------------------------------


@every_file
@pytest.mark.parametrize("threaded", [True, False])
def test_a_file_is_read_the_same_while_its_index_is_made(name, threaded):
    """Who looks on changes nothing, and gets points that lie spacing apart or a block more."""
    build = SeekIndexBuilder(SPACING, threaded=threaded)

    assert read_whole(FILES[name], build) == (TEXT, None)
    index = build.finish()
    offsets = [point.plain_offset for point in index.points]
    assert index.plain_size == len(TEXT)
    assert len(offsets) > 3
    assert all(b - a >= SPACING for a, b in pairwise([0, *offsets]))
    assert offsets[-1] < len(TEXT)


@every_file
@pytest.mark.parametrize("buffer_bytes", [1000, 20_000, 1 << 20])
def test_the_index_does_not_depend_on_buffers(name, buffer_bytes):
    """However the file is read, its index is the same."""
    build = SeekIndexBuilder(SPACING)
    read_whole(FILES[name], build, buffer_bytes)

    assert build.finish() == build_index(FILES[name], threaded=False)


@every_file
@pytest.mark.parametrize("piece_bytes", [1, 2, 4096, 100_000])
def test_pieces_do_not_change_the_index(monkeypatch, name, piece_bytes):
    """Headers, blocks and trailers may be cut anywhere when the file is taken in."""
    stored = FILES[name][:150_000]
    if piece_bytes < 10:
        stored = b"".join(deflate(TEXT[:2000], n_flushes=n) for n in (1, 5)) + bytes(100)
    expected = build_index(stored, 300)
    monkeypatch.setattr(seek_build, "_PIECE_BYTES", piece_bytes)

    assert build_index(stored, 300, threaded=False) == expected
    assert read_whole(stored, SeekIndexBuilder(300)) == read_whole(stored, None)


DAMAGED = {
    "cut": lambda stored: stored[: len(stored) - 9],
    "cut early": lambda stored: stored[: len(stored) // 2],
    "checksum": lambda stored: stored[:-8] + b"\0" + stored[-7:],
    "garbage": lambda stored: stored + b"garbage",
    "flipped": lambda stored: stored[:50_000] + bytes((stored[50_000] ^ 8,)) + stored[50_001:],
    "half a header": lambda stored: stored + stored[:5],
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_of_a_damaged_file_there_is_no_index(damage):
    """And it gives what it gives without one."""
    stored = DAMAGED[damage](FILES["one member"])
    build = SeekIndexBuilder(SPACING)

    assert read_whole(stored, build) == read_whole(stored, None)
    assert read_whole(stored, None)[1] is not None
    assert build.finish() is None


def test_a_file_that_was_not_read_to_its_end_has_no_index():
    """The digest of its last range is not known."""
    stored = FILES["one member"]
    build = SeekIndexBuilder(SPACING)
    with GzipCodec().open(io.BytesIO(stored), len(stored), build=build) as reader:
        reader.readinto(memoryview(bytearray(100_000)))

    assert build.finish() is None


def test_a_short_file_has_no_index():
    """Nothing to gain."""
    assert build_index(FILES["one member"], len(TEXT)) is None
    assert build_index(gzip.compress(b"")) is None
    assert build_index(b"") is None


class LateWalk:
    """A walk that finds its points when they have been passed."""

    def __init__(self, walk) -> None:
        self._walk = walk
        self.members = walk.members

    def feed(self, piece):
        return self._walk.feed(piece)[::-1]


def test_when_walk_and_decoder_differ_there_is_no_index():
    """A wrong walk costs the index, never the text."""
    build = SeekIndexBuilder(SPACING)
    build._walk = LateWalk(build._walk)
    assert read_whole(FILES["members"], build) == (TEXT, None)
    assert build.finish() is None

    other = SeekIndexBuilder(SPACING)
    read_whole(FILES["members"], other)
    other._walk.members.add(1, 1)
    assert other.finish() is None


def test_a_pipe_can_be_indexed_as_well():
    """The stored bytes come but once, and are read ahead."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    build = SeekIndexBuilder(SPACING)
    buffer = memoryview(bytearray(1 << 20))
    with GzipCodec().open(Pipe(FILES["members"]), None, build=build) as reader:
        while reader.readinto(buffer):
            pass

    assert build.finish() == build_index(FILES["members"])


def test_a_store_that_fails_is_met_in_its_turn():
    """Reading ahead must not hide the text before the bad place."""

    class BadDisk(io.BytesIO):
        def readinto(self, buffer) -> int:
            if self.tell() >= 40_000:
                raise OSError(5, "Input/output error")
            return super().readinto(memoryview(buffer)[: 40_000 - self.tell()])

    outcomes = []
    for build in (None, SeekIndexBuilder(SPACING)):
        buffer = memoryview(bytearray(1 << 20))
        with GzipCodec().open(BadDisk(FILES["one member"]), None, build=build) as reader:
            n = reader.readinto(buffer)
            with pytest.raises(DamageError) as caught:
                reader.readinto(buffer)
            outcomes.append((bytes(buffer[:n]), caught.value.args))

    assert outcomes[0] == outcomes[1]
    assert outcomes[0][1][0] == "unreadable"
    assert TEXT.startswith(outcomes[0][0])


# --- reading --------------------------------------------------------------------------------------


@every_file
def test_the_ranges_between_all_points_are_the_text(name):
    """Each range ends at its stop, and what follows it follows."""
    index = build_index(FILES[name])
    cuts = index.cuts(1)
    done = 0

    assert len(cuts) >= len(index.points) - 1
    for start, stop in zip([None, *cuts], [*cuts, None], strict=True):
        plain, more, damage = read_range(FILES[name], index, start, stop)
        assert damage is None
        assert TEXT[done : done + len(plain)] == plain
        assert TEXT[done + len(plain) :] == more
        done += len(plain)
        assert stop is None or stop.plain_offset == done
    assert done == len(TEXT)


def test_points_lie_at_every_bit_of_a_byte():
    """Each place in a byte needs other blocks before it."""
    index = build_index(FILES["one member"], 1000)

    assert {point.bit_offset % 8 for point in index.points} == set(range(8))


@pytest.mark.parametrize("buffer_bytes", [1, 999, 1 << 20])
def test_a_reader_meets_its_stop_whatever_the_buffer(buffer_bytes):
    """No call delivers bytes from both sides of it."""
    text = TEXT[:60_000]
    stored = deflate(text, n_flushes=20)
    index = build_index(stored, 10_000)
    start, stop = index.cuts(1)[1:3]

    plain, more, damage = read_range(stored, index, start, stop, buffer_bytes)

    assert damage is None
    assert text[start.plain_offset : stop.plain_offset] == plain
    assert text[stop.plain_offset :] == more


def test_cuts_lie_target_bytes_apart():
    """Fewer, larger splits for larger targets; the rest of the file is no crumb."""
    index = build_index(FILES["one member"], 10_000)

    for target in (1, 50_000, 150_000):
        edges = [0, *(cut.plain_offset for cut in index.cuts(target)), len(TEXT)]
        assert all(b - a >= target for a, b in pairwise(edges))
    assert len(index.cuts(50_000)) >= 5
    assert index.cuts(len(TEXT)) == []
    for cut_ in index.cuts(1):
        assert cut_.stored_offset == cut_.position // 8
        assert index.find(cut_).cut == cut_
    with pytest.raises(KeyError):
        index.find(replace(index.cuts(1)[0], position=7))


def test_a_range_that_is_not_what_it_was_is_corrupt():
    """A stored letter changed: the stream is sound, but the digest of its range tells."""
    stored = FILES["stored blocks"]
    index = build_index(stored)
    cuts = index.cuts(1)
    bad = bytearray(stored)
    bad[cuts[2].stored_offset + 100] ^= 1

    plain, more, damage = read_range(bytes(bad), index, cuts[1], cuts[4])

    assert more == b""
    assert len(plain) == cuts[3].plain_offset - cuts[1].plain_offset
    assert damage[:3] == ("corrupt", cuts[2].stored_offset, cuts[3].plain_offset)
    assert read_range(bytes(bad), index, cuts[3], cuts[5])[2] is None
    assert read_range(bytes(bad), index, None, cuts[2])[0] == TEXT[: cuts[2].plain_offset]


def test_a_range_is_checked_up_to_the_end_of_the_file():
    """The last range has a digest, too, and so has the first."""
    stored = FILES["one member"]
    index = build_index(stored)
    for number, (start, stop) in enumerate(((None, index.cuts(1)[0]), (index.cuts(1)[-1], None))):
        digests = list(index.digests)
        digests[-number] ^= 1
        liar = replace(index, digests=tuple(digests))
        assert read_range(stored, liar, start, stop)[2][0] == "corrupt"
        assert read_range(stored, index, start, stop)[2] is None


def test_a_file_that_ended_early_is_corrupt():
    """Should a shorter file ever pass for the one that was indexed."""
    stored = b"".join(deflate(piece) for piece in cut(TEXT, 30_000))
    index = build_index(stored)
    shorter = b"".join(deflate(piece) for piece in cut(TEXT[:390_000], 30_000))

    damage = read_range(shorter, index, index.cuts(1)[0], None)[2]

    assert damage[:1] + damage[2:3] == ("corrupt", 390_000)


def test_damage_behind_a_seek_point_is_the_damage_of_the_file():
    """How much text there is before it does not depend on where reading began."""
    stored = bytearray(FILES["one member"])
    index = build_index(bytes(stored))
    cuts = index.cuts(1)
    dice = random.Random(4)

    for _ in range(20):
        place = dice.randrange(cuts[5].stored_offset, cuts[6].stored_offset)
        mask = 1 << dice.randrange(8)
        stored[place] ^= mask
        whole, damage = read_whole(bytes(stored), None)
        for start in (cuts[1], cuts[5]):
            plain, _, found = read_range(bytes(stored), index, start, None)
            if damage[3] == "checksum mismatch" or found[3].endswith("seek points"):
                continue  # nothing refuses it but a digest, and those lie elsewhere
            assert whole[start.plain_offset :] == plain
            assert found[2] == damage[2] == len(whole)
        stored[place] ^= mask
    for size in (cuts[5].stored_offset + 1000, cuts[5].stored_offset + 1, len(stored) - 3):
        whole, damage = read_whole(bytes(stored[:size]), None)
        plain, _, found = read_range(bytes(stored[:size]), index, cuts[5], None)
        assert whole[cuts[5].plain_offset :] == plain
        assert found[0] == damage[0] == "truncated"


# --- keeping --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def index() -> SeekIndex:
    return build_index(FILES["one member"])


IDENTITY = SourceIdentity("s3://logs/maillog.1.gz", 1000, "1199000000.5", "ab")


def test_an_index_is_kept(index, tmp_path):
    """What is loaded is what was stored; it crosses process borders as well."""
    folder = tmp_path / "made" / "on the way"
    store(index, IDENTITY, folder)

    assert load(IDENTITY, folder) == index
    assert pickle.loads(pickle.dumps(index)) == index
    assert [path.suffix for path in folder.iterdir()] == [".seek"]
    store(build_index(FILES["members"]), IDENTITY, folder)
    assert load(IDENTITY, folder) != index


@pytest.mark.parametrize(
    "change", [{"size": 1001}, {"mark": "1199000001"}, {"mark": ""}, {"ends": "ac"}, {"url": "x"}]
)
def test_an_index_of_another_state_is_none(index, tmp_path, change):
    """Size, change mark, url and the ends of the file must be the same."""
    store(index, IDENTITY, tmp_path)

    assert load(replace(IDENTITY, **change), tmp_path) is None


def test_the_identity_changes_with_the_file():
    """Its ends are digested, in the middle the change mark must tell."""
    content = bytearray(random.Random(1).randbytes(300_000))
    same = identify(io.BytesIO(content), "a", 300_000, 5.5)

    assert same == identify(io.BytesIO(content), "a", 300_000, 5.5)
    assert (same.url, same.size, same.mark) == ("a", 300_000, "5.5")
    for place in (0, 65_535, 300_000 - 65_536, 299_999):
        content[place] ^= 1
        assert identify(io.BytesIO(content), "a", 300_000, 5.5) != same
        content[place] ^= 1
    assert identify(io.BytesIO(content), "a", 299_999, 5.5) != same
    assert identify(io.BytesIO(b"short"), "a", 5, None).mark == ""


def test_a_damaged_index_is_none(index, tmp_path):
    """Any byte wrong, any byte missing, any other file; nothing is raised."""
    store(index, IDENTITY, tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    dice = random.Random(2)

    for place in [*range(30), *dice.sample(range(len(content)), 50)]:
        path.write_bytes(content[:place] + bytes((content[place] ^ 1,)) + content[place + 1 :])
        assert load(IDENTITY, tmp_path) is None
        path.write_bytes(content[:place])
        assert load(IDENTITY, tmp_path) is None
    path.unlink()
    path.mkdir()
    assert load(IDENTITY, tmp_path) is None


def test_an_index_of_another_version_is_none(index, tmp_path, monkeypatch):
    """A later release may read or write them differently."""
    monkeypatch.setattr(seek_index, "_VERSION", 2)
    store(index, IDENTITY, tmp_path)
    assert load(IDENTITY, tmp_path) is not None
    monkeypatch.setattr(seek_index, "_VERSION", 1)

    assert load(IDENTITY, tmp_path) is None


def test_a_cache_that_can_not_be_written_stops_nothing(index, tmp_path, caplog):
    """A file stands where the folder should be; the log tells who asks."""
    (tmp_path / "file").write_bytes(b"")

    with caplog.at_level(logging.INFO):
        store(index, IDENTITY, tmp_path / "file")

    assert "not kept" in caplog.text
    assert load(IDENTITY, tmp_path / "file") is None


def test_a_write_that_fails_leaves_nothing(index, tmp_path, monkeypatch):
    """An index appears whole or not at all."""

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    store(index, IDENTITY, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_the_cache_folder(tmp_path, monkeypatch):
    """XDG_CACHE_HOME where it is a full path, else ~/.cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert seek_index.default_cache_dir() == tmp_path / "sawlog"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert seek_index.default_cache_dir() == tmp_path / "home" / ".cache" / "sawlog"


def test_the_least_recently_used_indexes_go(index, tmp_path, monkeypatch):
    """The cache is bounded; loading an index is use of it, and the newest stays in any case."""
    ids = [replace(IDENTITY, url=f"file {n}") for n in range(5)]
    for n, one in enumerate(ids):
        store(index, one, tmp_path)
        (path,) = [path for path in tmp_path.iterdir() if path.stat().st_mtime > 1_000_000]
        os.utime(path, (1000 + n, 1000 + n))
    size = path.stat().st_size
    (tmp_path / "left.tmp").write_bytes(b"by a run that was killed")
    os.utime(tmp_path / "left.tmp", (1000, 1000))
    (tmp_path / "new.tmp").write_bytes(b"by a run that goes on")
    load(ids[0], tmp_path)
    monkeypatch.setattr(seek_index, "MAX_CACHE_BYTES", 3 * size + 100)

    store(index, replace(IDENTITY, url="file 5"), tmp_path)

    kept = [n for n in range(5) if load(ids[n], tmp_path)]
    assert kept == [0, 4]
    assert {path.name for path in tmp_path.glob("*.tmp")} == {"new.tmp"}
    monkeypatch.setattr(seek_index, "MAX_CACHE_BYTES", 1)
    time.sleep(0.01)
    store(index, IDENTITY, tmp_path)
    assert load(IDENTITY, tmp_path) == index
