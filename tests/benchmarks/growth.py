"""What a cluster costs by itself: ``python -m tests.benchmarks.growth [--splits N] [--files N]``.

No-op splits on two worker processes of this machine: seconds for each, memory of driver and
scheduler. Then a listing of many files: seconds and memory to make tasks of it, and their number.
Prints JSON; `cluster/sizing.py` takes the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import environment
from pipeline.combine import Mapped, combine_files
from pipeline.executors.distributed import SPLIT_EVERY
from pipeline.executors.tasks import Node, Tasks, tree
from pipeline.executors.units import MAX_UNITS, Unit, make_units
from pipeline.model import SourceFile, Split
from pipeline.query import plan_jobs
from pipeline.settings import Settings
from pipeline.task import MapTask
from pipeline.years import year_table
from tests.support.cluster import Processes

if TYPE_CHECKING:
    from distributed import Client

#: Splits that are run before it is measured.
WARM_UP = 2_000
ROOT = Path(__file__).parents[2]
_YEARS = year_table(datetime(2025, 12, 31))  # as written in logs
_PLAN, _ = plan_jobs([], Settings())


def map_nothing(packed: bytes) -> Mapped:
    """Take a unit and give what a split without lines gives."""
    from pipeline.executors.units import unpack_unit

    _, unit = unpack_unit(packed)
    assert unit.files
    return Mapped([], {})


def merge_nothing(parts: list[Mapped]) -> Mapped:
    """Merge what splits without lines give."""
    return combine_files([parts[0].copy(), *parts[1:]], _PLAN)


def _task(number: int) -> MapTask:
    url = f"s3://logs/2025/{number // 1000:04}/maillog-{number:07}.gz"
    file = SourceFile(url, 12_345_678, 1.7e9, options=(("anon", "false"),))
    return MapTask(Split(file, "gzip", 0, None, None), _YEARS, _PLAN, number=number)


def _peak_mb(pid: int | str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


def _cpu_s(scheduler_pid: int) -> tuple[float, float]:
    """Return the processor seconds of this process and of the scheduler."""
    fields = Path(f"/proc/{scheduler_pid}/stat").read_text().rpartition(")")[2].split()
    return time.process_time(), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _run_tree(client: Client, name: str, n_splits: int) -> None:
    leaves = [Node(map_nothing, unit=Unit(k, ((_task(k),),))) for k in range(n_splits)]
    top = tree(merge_nothing, (), leaves, SPLIT_EVERY)
    tasks = Tasks(client, name)
    tasks.run([top])
    assert isinstance(tasks.result(top), Mapped)


def run_no_ops(n_splits: int, scheduler: str, scheduler_pid: int) -> dict[str, float]:
    """Run so many splits that do nothing, each a task of its own, and merge them as a tree."""
    from cluster.join import joined

    with joined(scheduler) as client:
        # What it takes once is none of a split's: packages, and the window of tasks under way.
        _run_tree(client, "warm-up", min(WARM_UP, n_splits))
        before = _peak_mb("self"), _peak_mb(scheduler_pid)
        used = _cpu_s(scheduler_pid)
        begin = time.monotonic()
        _run_tree(client, "growth", n_splits)
        seconds = time.monotonic() - begin
        after = _peak_mb("self"), _peak_mb(scheduler_pid)
        cpu = [now - was for now, was in zip(_cpu_s(scheduler_pid), used, strict=True)]
    return {
        "driver_cpu_ms_a_split": round(1000 * cpu[0] / n_splits, 3),
        "scheduler_cpu_ms_a_split": round(1000 * cpu[1] / n_splits, 3),
        "splits": n_splits,
        "ms_a_split": round(1000 * seconds / n_splits, 3),
        "driver_kb_a_split": round(1000 * (after[0] - before[0]) / n_splits, 2),
        "scheduler_kb_a_split": round(1000 * (after[1] - before[1]) / n_splits, 2),
    }


def plan_many(n_files: int) -> dict[str, float]:
    """Make units of so many listed files."""
    before = _peak_mb("self")
    begin = time.monotonic()
    units = make_units([[_task(k)] for k in range(n_files)])
    packed = [unit.pack("sawlog-growth") for of_file in units for unit in of_file]
    return {
        "files": n_files,
        "units": len(packed),
        "s": round(time.monotonic() - begin, 1),
        "packed_kb_a_unit": round(sum(map(len, packed)) / 1000 / len(packed), 2),
        "driver_kb_a_file": round(1000 * (_peak_mb("self") - before) / n_files, 3),
    }


def main() -> None:
    """Run both, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--on", nargs=2, metavar=("SCHEDULER", "PID"), help="for the child")
    options = parser.parse_args()
    if options.on:
        print(json.dumps(run_no_ops(options.splits, options.on[0], int(options.on[1]))))
        return
    assert options.files // MAX_UNITS >= 1 or options.files < MAX_UNITS
    command = [sys.executable, "-m", "tests.benchmarks.growth", "--splits", str(options.splits)]
    with tempfile.TemporaryDirectory() as folder:
        # As clusters are set that we start.
        with Processes(Path(folder), 2, env=environment()) as cluster:
            assert cluster.scheduler is not None
            on = ["--on", cluster.address, str(cluster.scheduler.pid)]
            told = subprocess.run([*command, *on], cwd=ROOT, check=True, stdout=subprocess.PIPE)
        print(told.stdout.decode().strip())
    print(json.dumps(plan_many(options.files)))


if __name__ == "__main__":
    main()
