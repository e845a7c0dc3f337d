"""Files that are text as they lie there."""

from __future__ import annotations

import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.compression.plain import PlainCodec
from pipeline.errors import DamageError

CODEC = PlainCodec()


@given(size=st.integers(0, 200), target_bytes=st.integers(1, 50))
def test_pieces_have_the_target_length_and_the_last_at_most_half_more(size, target_bytes):
    """Only the last piece differs, and is no crumb."""
    cuts = CODEC.find_cuts(io.BytesIO(), size, target_bytes)

    edges = [0, *(cut.position for cut in cuts), size]
    *lengths, last = [stop - start for start, stop in itertools.pairwise(edges)]
    assert all(length == target_bytes for length in lengths)
    assert 2 * last <= 3 * target_bytes
    assert not lengths or 2 * last > target_bytes
    assert all(cut.position == cut.stored_offset == cut.plain_offset for cut in cuts)


def test_a_file_that_became_shorter_is_truncated():
    """What is left is read; a log that was emptied under way is not a short log."""
    buffer = memoryview(bytearray(100))
    with CODEC.open(io.BytesIO(b"one\ntwo"), 20) as reader:
        assert reader.readinto(buffer) == 7
        with pytest.raises(DamageError) as caught:
            reader.readinto(buffer)

    assert caught.value.args[:3] == ("truncated", 7, 7)
    assert not reader.at_stop
