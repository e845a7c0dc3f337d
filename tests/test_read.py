"""The split law: however a file is cut, its splits together hold each line once, in order."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import read
from pipeline.compression.base import PlainReader
from pipeline.compression.plain import PlainCodec
from pipeline.errors import DamageError
from pipeline.model import MAX_LINE_BYTES, Block, Cut
from pipeline.read import Buffers, read_ahead, read_blocks
from tests.support.oracle import split_lines
from tests.support.strategies import log_text


def _lines_of(blocks) -> list[bytes]:
    lines = []
    for block in blocks:
        assert isinstance(block, Block)
        lines += split_lines(bytes(block.buffer[: block.stop]))
    return lines


def _read_split(text: bytes, start: int | None, stop: int | None, size: int = 64) -> list[bytes]:
    cuts = [None if at is None else Cut(at, at, at) for at in (start, stop)]
    reader = PlainCodec().open(io.BytesIO(text), len(text), *cuts)
    buffers = Buffers(2, 0)
    lines = []
    for block in read_blocks(
        reader, buffers, is_first=start is None, has_stop=stop is not None, offset=start or 0
    ):
        assert text[block.offset : block.offset + block.stop] == block.buffer[: block.stop]
        lines += split_lines(bytes(block.buffer[: block.stop]))
        buffers.give_back(block.buffer)
    return lines


@given(text=log_text(), cuts=st.lists(st.integers(1, 40), max_size=6, unique=True).map(sorted))
def test_splits_share_out_every_line_once_and_in_order(text, cuts):
    """The splits of a file together give exactly its lines, wherever it is cut."""
    edges = [None, *(cut for cut in cuts if cut < len(text)), None]

    seen = [line for start, stop in pairwise(edges) for line in _read_split(text, start, stop)]

    assert split_lines(text) == seen


@given(text=log_text(), start=st.integers(1, 30), stop=st.integers(1, 30))
def test_a_split_owns_the_lines_that_start_after_start_and_not_after_stop(text, start, stop):
    """A line that starts at s belongs to the split with start < s <= stop."""
    start, stop = sorted((min(start, len(text)), min(stop, len(text))))
    if not 0 < start < stop < len(text):
        return
    places, at = [], 0
    for line in split_lines(text):
        places.append((at, line))
        at += len(line)

    assert [line for s, line in places if start < s <= stop] == _read_split(text, start, stop)


class _Stuttering(PlainReader):
    """Delivers a text in given portions, then perhaps damage."""

    def __init__(self, text: bytes, portions: list[int], damage: DamageError | None = None) -> None:
        self.at_stop = False
        self.stored_offset = 0
        self._text, self._portions, self._damage = text, portions, damage

    def readinto(self, buffer: memoryview) -> int:
        n = min(len(buffer), len(self._text), self._portions.pop(0) if self._portions else 1 << 30)
        if n == 0:
            self.at_stop = True
            if self._damage:
                raise self._damage
        buffer[:n] = self._text[:n]
        self._text = self._text[n:]
        return n

    def close(self) -> None:
        pass


@given(text=log_text(), portions=st.lists(st.integers(1, 9)))
def test_the_whole_lines_before_damage_are_kept(text, portions):
    """Damage is raised after the last whole line before it; the line that it cuts is not whole."""
    damage = DamageError("truncated", 7, len(text), "cut")
    lines = []
    buffers = Buffers(2, 0)

    with pytest.raises(DamageError) as raised:
        for block in read_blocks(
            _Stuttering(text, portions, damage), buffers, is_first=True, has_stop=False
        ):
            lines += split_lines(bytes(block.buffer[: block.stop]))
            buffers.give_back(block.buffer)

    assert damage is raised.value
    assert [line for line in split_lines(text) if line.endswith(b"\n")] == lines


@pytest.mark.parametrize(
    "length", [MAX_LINE_BYTES - 1, MAX_LINE_BYTES, 2 * MAX_LINE_BYTES, 5 * MAX_LINE_BYTES + 3]
)
@pytest.mark.parametrize("ending", [b"\n", b"", b"\nnext\n"])
def test_an_overlong_line_is_counted_and_not_loaded(length, ending):
    """A line longer than the buffers comes as its begin and a number of further bytes."""
    text = b"first\n" + b"x" * length + ending
    buffers = Buffers(2, 0)
    total, seen = 0, []
    for block in read_blocks(_Stuttering(text, []), buffers, is_first=True, has_stop=False):
        seen += split_lines(bytes(block.buffer[: block.stop]))
        total += block.stop + block.extra_bytes
        buffers.give_back(block.buffer)

    assert len(text) == total
    assert ["first", "x", *(["next"] if ending.endswith(b"next\n") else [])] == [
        line.decode().strip() if len(line) < 10 else line[:1].decode() for line in seen
    ]


@pytest.mark.parametrize("stop", [10, 3_000_000, 6_000_000])
def test_a_split_edge_inside_an_overlong_line(stop):
    """The line belongs to the split that it starts in, counted whole; the next goes on behind it."""
    text = b"a\n" + b"x" * 5_000_000 + b"\nb\nc\n" + b"y" * 2_000_000 + b"\n"
    total = [0, 0]
    for place, (start, end) in enumerate([(None, stop), (stop, None)]):
        cuts = [None if at is None else Cut(at, at, at) for at in (start, end)]
        buffers = Buffers(2, 0)
        reader = PlainCodec().open(io.BytesIO(text), len(text), *cuts)
        for block in read_blocks(reader, buffers, is_first=start is None, has_stop=end is not None):
            total[place] += block.stop + block.extra_bytes
            buffers.give_back(block.buffer)

    assert len(text) == sum(total)
    assert text[: total[0]].endswith(b"\n")


def test_reading_ahead_gives_the_same_blocks():
    """A thread of its own changes nothing in what is read."""
    text = b"".join(b"line %d\n" % k for k in range(400_000))

    def blocks(buffers):
        return read_blocks(_Stuttering(text, [1000] * 50), buffers, is_first=True, has_stop=False)

    buffers = Buffers(4, 0)
    seen = b""
    for block in read_ahead(blocks(buffers), buffers):
        seen += block.buffer[: block.stop]
        buffers.give_back(block.buffer)

    assert text == seen


def test_reading_ahead_ends_when_the_consumer_goes_away():
    """A consumer that has seen enough leaves no thread behind."""
    text = b"x\n" * 4_000_000
    buffers = Buffers(3, 0)
    blocks = read_ahead(
        read_blocks(_Stuttering(text, []), buffers, is_first=True, has_stop=False), buffers
    )

    def names():
        return [thread.name for thread in read.threading.enumerate()]

    next(blocks)
    assert "sawlog-read" in names()
    blocks.close()

    assert "sawlog-read" not in names()


def test_an_error_while_reading_ahead_reaches_the_consumer():
    """What goes wrong on the reader's thread is raised where the blocks are taken."""
    damage = DamageError("corrupt", 0, 0)
    buffers = Buffers(4, 0)

    with pytest.raises(DamageError):
        list(
            read_ahead(
                read_blocks(_Stuttering(b"", [], damage), buffers, is_first=True, has_stop=False),
                buffers,
            )
        )
