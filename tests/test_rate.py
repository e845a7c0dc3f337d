"""No more is read a second than was allowed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources import ranged, rate
from pipeline.sources.rate import TokenBucket


@given(takes=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 500)), min_size=1))
def test_no_more_passes_than_the_rate_allows(takes):
    """Whoever comes when: what began by a time was allowed by then."""
    now = [0.0]
    begun: list[tuple[float, int]] = []
    bucket = TokenBucket(100, clock=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
    for pause, n in takes:
        now[0] += pause
        bucket.take(n)
        begun.append((now[0], n))

    passed = 0
    for at, n in begun:
        assert passed <= 100 * at + 1e-6
        passed += n


def test_a_limited_rate_makes_requests_smaller(monkeypatch):
    """A second's worth at most, so that the rate is one of each second."""
    monkeypatch.setattr(ranged, "REQUEST_BYTES", 8 << 20)
    monkeypatch.setattr(ranged, "SMALL_BYTES", 64 << 10)
    try:
        sizes = []
        for limit in (None, 1 << 30, 1 << 20, 10):
            rate.limit_read_rate(limit)
            sizes.append(ranged.request_bytes())
    finally:
        rate.limit_read_rate(None)

    assert [8 << 20, 8 << 20, 1 << 20, 64 << 10] == sizes
