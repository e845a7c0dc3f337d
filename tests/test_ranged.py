"""Files read in ranges, some of which are under way at once."""

from __future__ import annotations

import io
import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StoreError
from pipeline.sources import ranged
from pipeline.sources.ranged import RangedFile, count_requests
from tests.support.far import FakeWay


def straight(way, start, stop, is_closed):
    return way.get(start, stop)


@pytest.fixture(autouse=True, scope="module")
def _tiny():
    """Sizes at which every border is met."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranged, "REQUEST_BYTES", 16)
        patch.setattr(ranged, "SMALL_BYTES", 4)
        patch.setattr(ranged, "OVERRUN_BYTES", 3)
        yield


@given(
    text=st.binary(max_size=200),
    span=st.tuples(st.integers(0, 200), st.integers(0, 200)).map(sorted).map(tuple),
    n_head=st.integers(0, 40),
    steps=st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 210)), st.integers(0, 50))),
)
def test_a_ranged_file_reads_as_a_local_one(text, span, n_head, steps):
    """Whatever is read in whatever order, whatever span was promised."""
    way = FakeWay(text)
    far = RangedFile(way, straight, len(text), span, text[:n_head])
    near = io.BytesIO(text)
    for offset, size in steps:
        if offset is not None:
            near.seek(offset)
            far.seek(offset)
        assert near.read(size) == far.read(size)
        assert near.tell() == far.tell()
    far.close()

    assert way.is_closed
    assert all(0 <= start < stop <= len(text) for start, stop in way.asked)


@given(size=st.integers(1, 300), cut=st.tuples(st.integers(0, 299), st.integers(1, 300)))
def test_a_split_is_asked_for_once_and_no_more_than_planned(size, cut):
    """No byte twice, none beyond the rest of a line, in as many requests as the plan tells."""
    start, stop = min(cut[0], size - 1), min(size, max(cut))
    if start == stop:
        stop += 1
    way = FakeWay(bytes(size))
    with RangedFile(way, straight, size, (start, stop)) as far:
        far.seek(start)
        while far.read(min(5, stop - far.tell())):
            pass
        # What was asked for ahead may still come.
        for _, _, answer in far._ahead:
            answer.result()

    asked = sorted(way.asked)
    assert count_requests(start, stop, size) == len(asked)
    assert start == asked[0][0]
    assert min(size, stop + 3 if stop < size else size) == asked[-1][1]
    assert all(one[1] == next_[0] for one, next_ in pairwise(asked))


def test_several_requests_are_under_way_at_once():
    """The reader waits for the first answer only: the others were asked for beside it."""
    text = bytes(range(64))
    barrier = threading.Barrier(ranged.REQUESTS_AHEAD, timeout=20)

    def fetch_together(way, start, stop, is_closed):
        barrier.wait()
        return way.get(start, stop)

    with RangedFile(FakeWay(text), fetch_together, 64, (0, 64)) as far:
        assert text == far.read(64)


def test_a_failure_comes_after_the_bytes_before_it_and_again():
    """As the law of plain readers wants it; it is not waited for twice."""
    n_asked = 0

    def fail_late(way, start, stop, is_closed):
        nonlocal n_asked
        n_asked += start >= 16
        if start >= 16:
            raise StoreError("unreadable", "no luck")
        return way.get(start, stop)

    with RangedFile(FakeWay(bytes(64)), fail_late, 64, (0, 64)) as far:
        assert 16 == len(far.read(64))
        n_before = n_asked
        for _ in range(2):
            with pytest.raises(StoreError, match="no luck"):
                far.read(64)
        assert n_before == n_asked


def test_the_oldest_heads_are_forgotten(monkeypatch):
    """Where there are more than may be kept."""
    monkeypatch.setattr(ranged, "_MAX_KEPT_BYTES", 250)
    ranged.forget_heads()
    for k in range(4):
        ranged.keep_head(k, b"x" * 100)
        ranged.keep_head(k, b"y" * 100)

    assert [None, None, b"x" * 100, b"x" * 100] == [*map(ranged.kept_head, range(4))]
    ranged.forget_heads()
