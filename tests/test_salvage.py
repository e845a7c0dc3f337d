"""Stored bytes that can be read again, and plain bytes that came back from an error."""

from __future__ import annotations

import io
import random
import zlib

import pytest

from pipeline.compression import salvage
from pipeline.compression.salvage import STEP_BYTES, Salvage, Tape
from pipeline.errors import DamageError
from tests.support.stored import make_text

STORED = bytes(range(256))


class Pipe(io.RawIOBase):
    """A stream that can't be sought."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        return self._content.readinto(buffer)


@pytest.mark.parametrize("file", [io.BytesIO, Pipe])
def test_a_tape_goes_back_to_its_mark(file):
    """On a pipe as in a file, also to a place a little before the mark was set."""
    tape = Tape(file(STORED), 250)
    tape.read(10)
    tape.mark()
    tape.read(20)
    tape.mark(n_back=5)
    assert tape.read(10) == STORED[30:40]

    assert tape.rewind()

    assert tape.offset == 25
    assert tape.read(1000) + tape.read(1000) + tape.read(1000) == STORED[25:250]
    assert tape.offset == 250
    assert tape.read(1) == b""
    tape.close()


def test_a_tape_begins_where_it_is_told():
    """Offsets count from the begin of the file, or from where a stream stands."""
    file = io.BytesIO(STORED)
    assert Tape(file, 250, 200).read(100) == STORED[200:250]

    file.seek(7)
    tape = Tape(file, None)
    assert (tape.offset, tape.read(3)) == (0, STORED[7:10])
    tape.rewind()
    assert tape.read(3) == STORED[7:10]


def test_a_pipe_is_remembered_only_so_far(monkeypatch):
    """A unit that is too long can't be read again, and the tape says so."""
    monkeypatch.setattr(salvage, "REMEMBERED_BYTES", 50)
    tape = Tape(Pipe(STORED), None)
    tape.mark()
    tape.read(51)

    assert not tape.rewind()
    tape.mark(n_back=1)
    assert not tape.rewind()

    tape.mark()
    tape.read(50)
    assert tape.rewind()
    assert tape.read(3) == STORED[51:54]
    tape.close()


def test_a_store_that_fails_is_damage_at_its_offset():
    """What the store says is kept; the plain offset is the reader's to know."""

    class Bad(io.BytesIO):
        def readinto(self, buffer) -> int:
            raise OSError(5, "Input/output error")

    with pytest.raises(DamageError) as caught:
        Tape(Bad(STORED), 256, 30).read(10)

    assert caught.value.args == ("unreadable", 30, None, "[Errno 5] Input/output error")


def begin_unit(stored: bytes):
    """Return a step function over a zlib stream."""
    decoder = zlib.decompressobj()
    tail = stored

    def step(n: int) -> bytes:
        nonlocal tail
        try:
            piece = decoder.decompress(tail, n)
        except zlib.error as error:
            raise DamageError("corrupt", 0, None, str(error)) from error
        tail = decoder.unconsumed_tail
        return piece

    return step


def read_to_damage(rest: Salvage) -> bytes:
    buffer = memoryview(bytearray(777))
    pieces = []
    try:
        while length := rest.readinto(buffer):
            pieces.append(bytes(buffer[:length]))
    except DamageError:
        return b"".join(pieces)
    pytest.fail("the damage did not come again")


def test_a_salvage_gives_the_same_prefix_wherever_the_error_came():
    """However much was delivered before, both together are the longest good prefix."""
    text = make_text(20_000)
    stored = bytearray(zlib.compress(text, 6))
    stored[len(stored) // 2 :] = random.Random(1).randbytes(len(stored) // 2)
    prefixes = set()

    for n_delivered in (0, 1, 1000, 5000):
        pieces = [begin_unit(bytes(stored))(n_delivered)] if n_delivered else []
        rest = Salvage(begin_unit(bytes(stored)), n_delivered)
        buffer = memoryview(bytearray(777))
        pieces.append(read_to_damage(rest))
        with pytest.raises(DamageError):
            rest.readinto(buffer)
        prefixes.add(b"".join(pieces))

    (prefix,) = prefixes
    assert len(prefix) > 5000
    assert prefix[:9000] == text[: len(prefix)][:9000]
    assert len(prefix) < STEP_BYTES


def test_a_salvage_of_a_sound_unit_ends():
    """A disk that read wrong once must not hang the run."""
    rest = Salvage(begin_unit(zlib.compress(b"hello")), 2)
    buffer = memoryview(bytearray(10))

    assert rest.readinto(buffer) == 3
    assert rest.readinto(buffer) == 0
