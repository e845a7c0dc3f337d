"""The law of `pipeline.compression.base`, on every codec and every kind of file it comes in."""

from __future__ import annotations

import io
import random
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from pipeline.compression import CODECS, detect, get_codec
from pipeline.errors import DamageError, UsageError
from tests.support.stored import MAKERS, Maker, make_text

SMALL = make_text(330)
MEDIUM = make_text(300_000)

ROOT = Path(__file__).parents[2]


every_codec = pytest.mark.parametrize("name", list(CODECS))
every_compression = pytest.mark.parametrize("name", [name for name in CODECS if name != "plain"])
every_maker = pytest.mark.parametrize(
    ("name", "maker"),
    [pytest.param(n, m, id=f"{n}: {m.name}") for n in CODECS for m in MAKERS[n]],
)


class Outcome(NamedTuple):
    """What a reader delivered, and how it ended: a place, or success."""

    plain: bytes
    damage: tuple[object, ...] | None
    stored_offset: int


class Pipe(io.RawIOBase):
    """A stream that can't be sought and gives a few bytes at a time."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        return self._content.readinto(memoryview(buffer)[:13])


class BadDisk(io.BytesIO):
    """A file whose bytes from an offset on can't be read."""

    def __init__(self, content: bytes, bad_from: int) -> None:
        super().__init__(content)
        self._bad_from = bad_from

    def readinto(self, buffer) -> int:
        n_good = self._bad_from - self.tell()
        if n_good <= 0:
            raise OSError(5, "Input/output error")
        return super().readinto(memoryview(buffer)[:n_good])

    def read(self, n=-1) -> bytes:
        buffer = bytearray(n if n >= 0 else 1 << 20)
        return bytes(buffer[: self.readinto(buffer)])


def drain(reader, buffer_bytes: int) -> Outcome:
    """Read to the end or to the damage, which must come again at every further call."""
    buffer = memoryview(bytearray(buffer_bytes))
    plain = bytearray()
    while True:
        length, damage = read_once(reader, buffer)
        assert length <= buffer_bytes
        plain += buffer[:length]
        if not length:
            break
    assert reader.at_stop is (damage is None)
    assert read_once(reader, buffer) == (0, damage)
    assert reader.at_stop is (damage is None)
    return Outcome(bytes(plain), damage, reader.stored_offset)


def read_once(reader, buffer: memoryview) -> tuple[int, tuple[object, ...] | None]:
    """Return what one call delivers, and the parts of the damage it raises."""
    try:
        return reader.readinto(buffer), None
    except DamageError as damage:
        return 0, damage.args


def read(name: str, stored: bytes, buffer_bytes: int = 1 << 16, **options) -> Outcome:
    """Read a whole file from memory."""
    options.setdefault("size", len(stored))
    with get_codec(name).open(io.BytesIO(stored), **options) as reader:
        return drain(reader, buffer_bytes)


@cache
def small(maker: Maker) -> tuple[bytes, dict[int, int]]:
    """A file that is short enough to be cut at every byte, and the borders of its units."""
    return maker.make(SMALL), maker.borders(SMALL)


@cache
def medium(maker: Maker) -> tuple[bytes, dict[int, int]]:
    """A file longer than the buffers of readers."""
    return maker.make(MEDIUM), maker.borders(MEDIUM)


# --- complete files -------------------------------------------------------------------------------


@every_maker
@pytest.mark.parametrize("buffer_bytes", [1, 7, 4096, 65_536, 1 << 20])
def test_a_complete_file_gives_its_text(name, maker, buffer_bytes):
    """Whatever the buffer, the text is whole, and every stored byte was taken in."""
    text = SMALL if buffer_bytes < 10 else MEDIUM
    stored, _ = (small if buffer_bytes < 10 else medium)(maker)

    assert read(name, stored, buffer_bytes) == Outcome(text, None, len(stored))


@every_maker
def test_a_pipe_gives_its_text(name, maker):
    """A stream on standard input has no size, can't be sought and comes in drops."""
    stored, _ = small(maker)

    with get_codec(name).open(Pipe(stored), None) as reader:
        assert drain(reader, 1000) == Outcome(SMALL, None, len(stored))


@every_codec
def test_an_empty_file_is_complete(name):
    """A file of no bytes holds no text and no damage."""
    assert read(name, b"") == Outcome(b"", None, 0)
    assert get_codec(name).find_cuts(io.BytesIO(b""), 0, 1000) == []


@every_maker
def test_what_a_file_grew_by_is_not_read(name, maker):
    """Only the bytes that were there at planning count."""
    stored, _ = small(maker)

    for more in (stored, b"garbage\n", b"\x00" * 100):
        assert read(name, stored + more, size=len(stored)) == Outcome(SMALL, None, len(stored))


@every_codec
def test_a_reader_closes_its_file(name):
    """The stored file belongs to the reader."""
    stored = io.BytesIO(MAKERS[name][0].make(SMALL))

    get_codec(name).open(stored, None).close()

    assert stored.closed


# --- damaged files --------------------------------------------------------------------------------


def check_cut(maker: Maker, outcome: Outcome, text: bytes, size: int, places) -> None:
    """Check what a file gave that ends after ``size`` bytes."""
    assert text.startswith(outcome.plain)
    if size in places and (not maker.is_end_marked or outcome.damage is None):
        assert outcome == Outcome(text[: places[size]], None, size)
        return
    kind, _, plain_offset, _ = outcome.damage
    assert kind == "truncated"
    assert plain_offset == len(outcome.plain)
    assert plain_offset >= max(plain for border, plain in places.items() if border <= size)


@every_maker
def test_a_cut_file_gives_its_good_prefix_and_says_truncated(name, maker):
    """Cut at any byte, a file is never a success, unless a unit ends there."""
    stored, places = small(maker)

    for size in range(len(stored)):
        outcome = read_alike(name, stored[:size], 5, 1 << 18)
        check_cut(maker, outcome, SMALL, size, places)


@every_maker
def test_a_long_cut_file_gives_its_good_prefix(name, maker):
    """The same where units are longer than a buffer, at some places."""
    stored, places = medium(maker)
    dice = random.Random(name + maker.name)

    for size in [*dice.sample(range(1, len(stored)), 5), len(stored) - 1]:
        outcome = read_alike(name, stored[:size], 4093, 65_537, 1 << 20)
        check_cut(maker, outcome, MEDIUM, size, places)


def read_alike(name: str, stored: bytes, *buffer_bytes: int) -> Outcome:
    """Return what a damaged file gives, which must be the same for all buffers."""
    outcomes = [read(name, stored, n) for n in buffer_bytes]

    for outcome in outcomes:
        assert outcome[:2] == outcomes[0][:2]
    return outcomes[0]


def check_flip(name: str, maker: Maker, stored: bytes, text: bytes, place: int, mask: int, places):
    """Check what a file gives with one wrong byte."""
    flipped = bytearray(stored)
    flipped[place] ^= mask
    outcome = read_alike(name, bytes(flipped), 11, 1 << 18)

    good = max(plain for border, plain in places.items() if border <= place)
    assert outcome.plain[:good] == text[:good]
    if outcome.damage is None:
        assert outcome.plain == text or not maker.is_checked
        return
    _, stored_offset, plain_offset, _ = outcome.damage
    assert 0 <= stored_offset <= len(stored)
    assert plain_offset == len(outcome.plain)


@every_maker
def test_a_flipped_byte_is_never_taken_for_success(name, maker):
    """One wrong byte anywhere: the units before it are whole, and no buffer changes the rest."""
    stored, places = small(maker)
    dice = random.Random(name + maker.name)

    for place in range(len(stored)):
        for mask in (1 << dice.randrange(8), 0xFF):
            check_flip(name, maker, stored, SMALL, place, mask, places)


@every_maker
def test_a_flipped_byte_in_a_long_file_gives_the_same_for_all_buffers(name, maker):
    """What a decoder throws away with its error must not depend on the size of the buffer."""
    stored = bytearray(medium(maker)[0])
    dice = random.Random(name + maker.name)

    for place in dice.sample(range(len(stored)), 5):
        stored[place] ^= 0x55
        read_alike(name, bytes(stored), 4093, 65_537, 1 << 20)
        stored[place] ^= 0x55


@every_maker
def test_a_damaged_pipe_gives_what_the_file_would_give(name, maker):
    """Standard input can't be read again, and must not give less."""
    stored = bytearray(small(maker)[0])
    dice = random.Random(name + maker.name)

    for place in dice.sample(range(len(stored)), min(20, len(stored))):
        stored[place] ^= 0x55
        with get_codec(name).open(Pipe(bytes(stored)), None) as reader:
            assert drain(reader, 1000)[:2] == read(name, bytes(stored))[:2]
        stored[place] ^= 0x55


@every_compression
def test_garbage_after_a_complete_file_costs_nothing_of_it(name):
    """All of the text comes first, then the garbage is named with its place."""
    for maker in MAKERS[name]:
        if maker.is_end_marked:
            continue
        stored, _ = small(maker)
        outcome = read(name, stored + b"garbage\n")
        assert outcome.plain == SMALL
        assert outcome.damage[:3] == ("trailing garbage", len(stored), len(SMALL)), maker.name


@every_maker
def test_a_store_that_fails_is_named(name, maker):
    """What could be read counts, then the damage is ``unreadable``, not a traceback."""
    stored, _ = medium(maker)

    for bad_from in (0, 1, len(stored) // 2, len(stored) - 1):
        outcomes = []
        for buffer_bytes in (4093, 1 << 20):
            with get_codec(name).open(BadDisk(stored, bad_from), len(stored)) as reader:
                outcomes.append(drain(reader, buffer_bytes)[:2])
        plain, damage = outcomes[0]
        assert outcomes[1] == outcomes[0]
        assert MEDIUM.startswith(plain)
        assert (damage[0], damage[2]) == ("unreadable", len(plain))


# --- cuts -----------------------------------------------------------------------------------------


def read_piece(name: str, path: Path, start, stop, buffer_bytes: int) -> tuple[bytes, bytes]:
    """Return the plain bytes between two cuts, and what follows to the end of the file."""
    with get_codec(name).open(path.open("rb"), path.stat().st_size, start, stop) as reader:
        buffer = memoryview(bytearray(buffer_bytes))
        pieces = []
        while not reader.at_stop:
            length = reader.readinto(buffer)
            assert length or reader.at_stop
            pieces.append(bytes(buffer[:length]))
        more = drain(reader, 1 << 20)
        assert more.damage is None
        assert more.stored_offset == path.stat().st_size
        return b"".join(pieces), more.plain


def check_cuts(name: str, path: Path, cuts, text: bytes) -> None:
    """Check that the pieces between the cuts are the text, and end where they should."""
    done = 0
    for number, (start, stop) in enumerate(zip([None, *cuts], [*cuts, None], strict=True)):
        plain, more = read_piece(name, path, start, stop, (4093, 1 << 20)[number % 2])
        assert text[done : done + len(plain)] == plain
        if start is not None and start.plain_offset is not None:
            assert start.plain_offset == done
        done += len(plain)
        assert text[done:] == more
    assert done == len(text)


@every_maker
@pytest.mark.parametrize("n_pieces", [2, 5, 1000])
def test_the_pieces_between_cuts_are_the_text(name, maker, n_pieces, tmp_path):
    """Cuts are in order, inside the file, and the pieces between them share out its text."""
    stored, _ = medium(maker)
    path = tmp_path / "stored"
    path.write_bytes(stored)
    size = len(stored)
    target_bytes = max(1, size // n_pieces)

    for file in (path.open("rb"), path.open("rb", buffering=0), io.BytesIO(stored)):
        with file:
            cuts = get_codec(name).find_cuts(file, size, target_bytes)
            assert not file.closed
        offsets = [cut.stored_offset for cut in cuts]
        assert offsets == sorted(set(offsets))
        assert all(0 < offset < size for offset in offsets)
        assert len(cuts) <= 2 * n_pieces
        some = cuts if len(cuts) < 12 else cuts[:: len(cuts) // 6]
        check_cuts(name, path, some, MEDIUM)


@every_maker
def test_cuts_of_a_damaged_file_are_sure(name, maker, tmp_path):
    """From a cut of a damaged file on, the damage and the text before it are what they are."""
    stored = bytearray(medium(maker)[0])
    stored[len(stored) * 3 // 4] ^= 0x55
    path = tmp_path / "stored"
    path.write_bytes(stored)
    whole = read(name, bytes(stored))

    with path.open("rb") as file:
        cuts = get_codec(name).find_cuts(file, len(stored), len(stored) // 4)

    for cut in cuts[:3]:
        with get_codec(name).open(path.open("rb"), len(stored), cut) as reader:
            outcome = drain(reader, 4093)
        if whole.damage and cut.stored_offset <= whole.damage[1]:
            assert whole.plain.endswith(outcome.plain)
            assert outcome.damage[:2] == whole.damage[:2]
            if cut.plain_offset is not None:
                assert outcome.damage[2] == whole.damage[2]


@every_maker
def test_cuts_of_broken_files_come_without_errors(name, maker, tmp_path):
    """Planning never fails for damage, and never hangs."""
    stored, _ = small(maker)
    dice = random.Random(name + maker.name)
    path = tmp_path / "stored"

    for _ in range(30):
        broken = bytearray(stored[: dice.randrange(1, len(stored) + 1)])
        broken[dice.randrange(len(broken))] ^= dice.randrange(256)
        path.write_bytes(broken)
        with path.open("rb") as file:
            cuts = get_codec(name).find_cuts(file, len(broken), 20)
        assert all(0 < cut.stored_offset < len(broken) for cut in cuts)


# --- memory ---------------------------------------------------------------------------------------

_BOMB_BYTES = 100 << 20

# VmHWM, since ru_maxrss of a new process begins with what the one that started it had.
_READ_BOMB = """
import re, sys
from pathlib import Path
from pipeline.compression import get_codec

def read(path):
    buffer = memoryview(bytearray(1 << 16))
    n = 0
    with get_codec(sys.argv[1]).open(Path(path).open("rb"), Path(path).stat().st_size) as reader:
        while length := reader.readinto(buffer):
            n += length
    return n

def peak_kib():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

read(sys.argv[2])
before = peak_kib()
print(read(sys.argv[3]), peak_kib() - before)
"""


def _make_bomb(maker: Maker) -> bytes:
    """100 MiB of zeros; in units of 25 MiB, since makers copy the text."""
    return maker.make(bytes(_BOMB_BYTES // 4)) * 4


@every_compression
def test_a_bomb_takes_little_memory(name, tmp_path):
    """Memory is bounded, whatever the ratio: 48 MiB are less than half of this bomb."""
    maker = MAKERS[name][0]
    (tmp_path / "small").write_bytes(maker.make(SMALL))
    if name == "lzma":  # one unit is all that a file can hold
        (tmp_path / "bomb").write_bytes(maker.make(bytes(_BOMB_BYTES)))
    else:
        (tmp_path / "bomb").write_bytes(_make_bomb(maker))

    done = subprocess.run(
        [sys.executable, "-c", _READ_BOMB, name, tmp_path / "small", tmp_path / "bomb"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    n_plain, grown_kib = map(int, done.stdout.split())
    assert n_plain == _BOMB_BYTES
    assert grown_kib < 48 << 10


# --- detection ------------------------------------------------------------------------------------


@every_maker
def test_a_codec_is_found_by_content(name, maker):
    """The first bytes tell, be they many or few."""
    stored, _ = medium(maker)

    assert detect(stored[:65_536]) == name
    assert detect(stored[:64]) == name


TEXTS = [
    b"",
    b"\n",
    b"BZh",
    b"BZh9",
    b"BZh9 is what a bzip2 file begins with\n",
    b"BZh91AY is what a bzip2 file begins with\n",
    b"Dec 26 10:00:00 mx1 postfix/smtp[71]: 4A1: to=<a@example.org>\n",
    b"]\x00\x00 is what an old lzma file begins with\n",
    b"]\x00\x00\x00\x00 binary, but no lzma\x00\x00\x00\n",
    b"\x1f\x8b and more text\n",
    b"\x1f\x8b\x07\x00\x00\x00\x00\x00\x00\x03 not deflate\n",
    b"\xfd7zXZ and more text\n",
    b"\x04\x22\x4d\x18 and more text\n",
    b"PK\x03\x04\x14\x00\x00\x00\x08\x00",
    b"maillog".ljust(257, b"\x00") + b"ustar\x0000" + bytes(248),
    bytes(1000),
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_and_archives_are_plain(text):
    """What begins with some of a magic number is not that compression yet."""
    assert detect(text) == "plain"


def test_detection_imports_no_compression_library():
    """Planning a run over plain files must not pay for decoders."""
    code = """
import sys
from pipeline.compression import detect
detect(b"Dec 26 10:00:00 mx1")
print([m for m in ("zstandard", "lz4", "isal", "xz", "rapidgzip") if m in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_an_unknown_codec_is_refused_with_the_nearest_name():
    """The table of codecs is sorted, and part of the message."""
    with pytest.raises(UsageError, match="Did you mean 'zstd'"):
        get_codec("zst")
    assert list(CODECS) == sorted(CODECS)
    assert all(get_codec(name).name == name for name in CODECS)
