"""zeros: zeroed memory, in large pages where there are some."""

from __future__ import annotations

import mmap

import pytest

from pipeline import memory


@pytest.mark.parametrize("n_bytes", [0, 1, 100, (2 << 20) - 1, 2 << 20, (4 << 20) + 1])
def test_it_is_as_long_as_asked_for_and_zero(n_bytes):
    """At least a byte: its address is taken."""
    held = memory.zeros(n_bytes)

    assert max(n_bytes, 1) == len(held)
    assert held[:] == bytes(len(held))
    held[-1:] = b"x"


def test_kernels_without_large_pages_do(monkeypatch):
    """They refuse the advice."""

    class Plain(mmap.mmap):
        def madvise(self, *_):
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr(memory.mmap, "mmap", Plain)

    assert 4 << 20 == len(memory.zeros(4 << 20))
