"""The sizing model, its table in the README, and the benchmark that measures its figures."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.processes import ROOT


def test_the_sizing_table_is_the_models():
    """What the README shows is what the model says of the measured figures."""
    from cluster.figures import MEASURED
    from cluster.sizing import Assumed, table

    assert table(MEASURED, Assumed()) in (ROOT / "cluster" / "README.md").read_text()


def test_the_sizing_model_grows_as_it_should():
    """Twice the cores, half the time; until something else bounds it, which is named."""
    from cluster.sizing import Assumed, Measured, estimate

    measured, fast = Measured(10, 0.001, 0, 0), Assumed(worker_gb_a_s=1000, head_s=0)
    one, two = (estimate(1, 1000, n, 8, measured, fast) for n in (4, 8))
    assert one.seconds == pytest.approx(2 * two.seconds)
    assert {"cores"} == {one.bound_by, two.bound_by}
    assert "scheduler" == estimate(0.001, 100_000, 100, 8, measured, fast).bound_by
    assert "network" == estimate(1, 1000, 10, 8, measured, Assumed(worker_gb_a_s=0.01)).bound_by
    assert "listing" == estimate(0.01, 1_000_000, 100, 8, measured, Assumed()).bound_by
    # A file that is one split keeps one thread busy, however many there are.
    few = estimate(1, 4, 4, 8, measured, fast)
    assert few.seconds == pytest.approx(8 * one.seconds)


def test_growth_is_measured_on_a_real_cluster():
    """The benchmark runs, small; its figures have a sense."""
    import json

    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.growth",
        "--splits",
        "300",
        "--files",
        "30000",
    ]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    no_ops, many = map(json.loads, told.stdout.splitlines())
    assert 300 == no_ops["splits"]
    assert 0 < no_ops["scheduler_cpu_ms_a_split"]
    assert 10_000 == many["units"]
    assert 2 > many["packed_kb_a_unit"]
