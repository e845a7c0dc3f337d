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
    from cluster.sizing import Assumed, Measured, count_tasks, estimate
    from pipeline.executors.units import count_units

    measured, fast = Measured(10, 0.001, 0, 0, 0), Assumed(worker_gb_a_s=1000, head_s=0)
    one, two = (estimate(1, 1000, n, 8, measured, fast) for n in (4, 8))
    assert one.seconds == pytest.approx(2 * two.seconds)
    assert {"cores"} == {one.bound_by, two.bound_by}
    assert "scheduler" == estimate(0.01, 100_000, 100, 8, measured, fast).bound_by
    assert "network" == estimate(1, 1000, 10, 8, measured, Assumed(worker_gb_a_s=0.01)).bound_by
    assert "planning" == estimate(0.01, 1_000_000, 100, 8, measured, Assumed()).bound_by
    for files, gb in ((10, 1), (5000, 0.01), (5000, 3), (10**6, 5), (10**6, 1000)):
        assert count_units(files, int(gb * 1e9)) == count_tasks(files, gb)
    # A file that is one split keeps one thread busy, however many there are.
    few = estimate(1, 4, 4, 8, measured, fast)
    assert few.seconds == pytest.approx(8 * one.seconds)


def test_growth_is_measured_on_a_real_cluster():
    """The benchmark of splits runs, small; its figures have a sense."""
    import json

    command = [sys.executable, "-m", "tests.benchmarks.growth", "splits"]
    command += ["--splits", "3000", "--each", "300"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    packed, each = map(json.loads, told.stdout.splitlines())
    assert (3000, 1000) == (packed["splits"], packed["tasks"])
    assert (300, 300) == (each["splits"], each["tasks"])
    assert 0 < packed["scheduler_cpu_ms_a_split"] < each["scheduler_cpu_ms_a_split"]


@pytest.mark.cluster
def test_objects_are_planned_and_run_on_a_real_cluster():
    """From a stand-in of a store, each asked once to plan and once to map; all lines are counted."""
    import json

    pytest.importorskip("s3fs")
    command = [sys.executable, "-m", "tests.benchmarks.growth", "objects"]
    command += ["--objects", "2500", "--run", "150"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    planned, ran = map(json.loads, told.stdout.splitlines())
    assert (2500, 834) == (planned["objects"], planned["tasks"])
    assert 1.01 > planned["requests_a_file"]
    assert {"get": 300, "head": 1, "list": 2} == ran["requests"]
