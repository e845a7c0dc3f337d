"""What a cluster costs by itself, on this machine; prints JSON, `cluster/sizing.py` takes it.

``python -m tests.benchmarks.growth splits [--splits 100000] [--each 20000]``: splits that do
nothing on two worker processes. First as a run has them: packed into at most ten thousand tasks,
mapped, merged as a tree. Then fewer of them, each as a task of its own.

``python -m tests.benchmarks.growth objects [--objects 1000000] [--run 50000]``: objects of a
store, listed and planned; then a whole run over some. 0 leaves a part out.

With the defaults the first takes some two minutes, the second some twenty.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import environment
from cluster.join import joined
from pipeline.combine import Mapped, combine_files
from pipeline.executors.distributed import SPLIT_EVERY, DistributedExecutor
from pipeline.executors.tasks import Node, Tasks, tree
from pipeline.executors.units import Unit, count_units
from pipeline.model import SourceFile, Split
from pipeline.query import plan_jobs
from pipeline.settings import Settings
from pipeline.task import MapTask
from pipeline.years import year_table
from tests.benchmarks import objects
from tests.benchmarks.processes import cpu_s, peak_mb
from tests.support.cluster import ROOT, Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from distributed import Client

#: Splits that are run before it is measured: what a cluster takes once is none of a split's.
WARM_UP = 2_000
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


def _each(client: Client, n_splits: int) -> Callable[[], None]:
    """Return what runs splits that do nothing, each as a task of its own."""

    def run() -> None:
        leaves = [Node(map_nothing, unit=Unit(k, ((_task(k),),))) for k in range(n_splits)]
        top = tree(merge_nothing, (), leaves, SPLIT_EVERY)
        tasks = Tasks(client, f"growth-{n_splits}")
        tasks.run([top])
        assert isinstance(tasks.result(top), Mapped)

    return run


def _packed(client: Client, n_splits: int, folder: Path) -> Callable[[], None]:
    """Return what runs splits of empty files as a run on a cluster does."""
    tasks = []
    for k in range(n_splits):
        path = folder / f"{k // 1000:04}" / f"maillog-{k:07}"
        path.parent.mkdir(exist_ok=True)
        path.touch()
        split = Split(SourceFile(str(path), 0), "plain", 0, None, None)
        tasks.append([replace(_task(k), split=split)])

    def run() -> None:
        done: list[Mapped] = []
        executor = DistributedExecutor(lambda: nullcontext(client))
        merged = executor.reduce(tasks, _PLAN, done.append)
        assert len(done) == len(merged.files) == n_splits

    return run


def run_no_ops(
    n_splits: int, scheduler: str, scheduler_pid: int, *, is_each: bool
) -> dict[str, float | str]:
    """Run so many splits that do nothing, and merge them as a tree; tell what each took."""
    with joined(scheduler) as client, tempfile.TemporaryDirectory() as folder:
        if is_each:
            runs = [_each(client, n) for n in (WARM_UP, n_splits)]
        else:
            runs = [_packed(client, n, Path(folder)) for n in (WARM_UP, n_splits)]
        runs[0]()
        pids = ("self", scheduler_pid)
        peaks, used = [peak_mb(pid) for pid in pids], [cpu_s(pid) for pid in pids]
        begin = time.monotonic()
        runs[1]()
        seconds = time.monotonic() - begin
        cpu_ms = [1000 * (cpu_s(pid) - was) for pid, was in zip(pids, used, strict=True)]
        memory_kb = [1000 * (peak_mb(pid) - was) for pid, was in zip(pids, peaks, strict=True)]
    return {
        "run": "each split a task" if is_each else "splits packed into tasks",
        "splits": n_splits,
        "tasks": n_splits if is_each else -(-n_splits // -(-n_splits // count_units(n_splits, 0))),
        "ms_a_split": round(1000 * seconds / n_splits, 3),
        "driver_cpu_ms_a_split": round(cpu_ms[0] / n_splits, 3),
        "scheduler_cpu_ms_a_split": round(cpu_ms[1] / n_splits, 3),
        "driver_kb_a_split": round(memory_kb[0] / n_splits, 2),
        "scheduler_kb_a_split": round(memory_kb[1] / n_splits, 2),
    }


def measure_splits(n_packed: int, n_each: int) -> Iterator[str]:
    """Yield what both ways take, each on a cluster and in a process of its own."""
    for kind, n_splits in (("packed", n_packed), ("each", n_each)):
        if not n_splits:
            continue
        with (
            tempfile.TemporaryDirectory() as folder,
            # As clusters are set that we start.
            Processes(Path(folder), 2, env=environment()) as cluster,
        ):
            assert cluster.scheduler is not None
            command = [sys.executable, "-m", "tests.benchmarks.growth", "on", kind, str(n_splits)]
            command += [cluster.address, str(cluster.scheduler.pid)]
            told = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        yield told.stdout.strip()


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = parser.add_subparsers(dest="part", required=True)
    splits = parts.add_parser("splits", help="splits that do nothing")
    splits.add_argument("--splits", type=int, default=100_000, help="packed into tasks")
    splits.add_argument("--each", type=int, default=20_000, help="each a task of its own")
    many = parts.add_parser("objects", help="objects of a store")
    many.add_argument("--objects", type=int, default=1_000_000, help="to list and plan")
    many.add_argument("--run", type=int, default=50_000, help="to run over")
    child = parts.add_parser("on")  # what the splits are run in
    child.add_argument("kind", choices=("packed", "each"))
    child.add_argument("n", type=int)
    child.add_argument("scheduler")
    child.add_argument("pid", type=int)
    options = parser.parse_args()
    if options.part == "on":
        told = run_no_ops(options.n, options.scheduler, options.pid, is_each=options.kind == "each")
        print(json.dumps(told))
    elif options.part == "splits":
        for line in measure_splits(options.splits, options.each):
            print(line, flush=True)
    else:
        for of_part in objects.measure(options.objects, options.run):
            print(json.dumps(of_part), flush=True)


if __name__ == "__main__":
    main()
