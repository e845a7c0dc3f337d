"""The measure of memory that other tests rely on."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.memory import growth_mb, peak_mb


def test_the_peak_counts_what_was_freed_again():
    """100 MB, written to and dropped, are in the peak."""
    growth = growth_mb("import sys", "x = bytearray(b'x') * 100_000_000; del x")

    assert 95 < growth < 110


def test_the_peak_of_a_command_is_not_that_of_the_tests():
    """A large test run must not show in what it starts."""
    large = bytearray(b"x") * 200_000_000

    assert 5 < peak_mb([sys.executable, "-S", "-c", "pass"]) < 60
    assert len(large) == 200_000_000


def test_a_failure_is_not_a_measurement():
    """A program that fails early takes little memory, and says nothing."""
    with pytest.raises(subprocess.CalledProcessError):
        peak_mb("raise SystemExit(3)")
