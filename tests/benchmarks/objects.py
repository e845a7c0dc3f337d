"""Many small objects of a store: to list and plan them, and a whole run on two worker processes.

The store is a stand-in on loopback, `tests.support.many_objects`. It shares the machine's cores.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cluster import environment
from tests.benchmarks.processes import cpu_s, peak_mb
from tests.support.cluster import ROOT, Processes

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Lines of each object, its own one counted.
LINES = 101
OPTIONS = {"key": "AKIASAWLOG", "secret": "hunter2hunter2"}
GLOB = "s3://logs/**"


@contextmanager
def endpoint(n_objects: int) -> Iterator[tuple[str, int]]:
    """Serve a bucket of so many objects; give its URL and the server's process."""
    command = [sys.executable, "-m", "tests.support.many_objects", "--objects", str(n_objects)]
    command += ["--lines", str(LINES - 1)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip(), server.pid
        finally:
            server.kill()


def plan_objects(url: str) -> dict[str, object]:
    """List and plan all objects as a run on a cluster does, and tell what each stage took."""
    from pipeline.executors.units import pack_splits
    from pipeline.inputs import find_inputs
    from pipeline.query import plan_jobs
    from pipeline.run import plan_tasks
    from pipeline.settings import Settings
    from pipeline.sources.fetch import requests
    from pipeline.sources.remote import Store

    options = {"endpoint_url": url, **OPTIONS}
    settings = Settings(scheduler="tcp://scheduler:8786", storage_options=options)
    plan, _ = plan_jobs([], settings)
    store = Store(GLOB, tuple(sorted(options.items())))
    stages = _Stages()
    n = sum(1 for _ in store.find())
    stages.end("listing alone", n)
    before = requests.n_requests
    inputs = find_inputs([GLOB], settings)
    stages.end("listing, heads, copies, years", n)
    n_requests = requests.n_requests - before
    tasks = plan_tasks(inputs, plan, settings)
    stages.end("making tasks", n)
    n_units = sum(len(unit.pack("sawlog-growth")) > 0 for of in pack_splits(tasks) for unit in of)
    stages.end("packing", n)
    assert len(inputs.files) == n
    return {
        "objects": n,
        "tasks": n_units,
        "requests_a_file": round(n_requests / n, 4),
        **stages.told,
    }


class _Stages:
    """Tells wall and processor time of what was done since it was told last, and memory."""

    def __init__(self) -> None:
        self.told: dict[str, object] = {}
        self._base_mb = peak_mb("self")
        self._at = time.monotonic(), time.process_time()

    def end(self, name: str, n: int) -> None:
        now = time.monotonic(), time.process_time()
        seconds, cpu = (end - begin for end, begin in zip(now, self._at, strict=True))
        self.told[name] = {
            "s": round(seconds, 1),
            "cpu_us_a_file": round(1e6 * cpu / n),
            "peak_kb_a_file": round(1000 * (peak_mb("self") - self._base_mb) / n, 2),
        }
        self._at = now


def run_objects(n_objects: int) -> dict[str, object]:
    """Run ``sawlog volume`` over so many objects on a scheduler and two workers."""
    from pipeline.executors.units import count_units

    with (
        tempfile.TemporaryDirectory() as folder,
        endpoint(n_objects) as (url, server),
        Processes(Path(folder), 2, env=environment()) as cluster,
    ):
        assert cluster.scheduler is not None
        others = {"scheduler": cluster.scheduler.pid, "endpoint": server}
        others |= {f"worker_{k}": one.pid for k, one in enumerate(cluster.workers)}
        used = {name: cpu_s(pid) for name, pid in others.items()}
        before_mb = peak_mb(cluster.scheduler.pid)
        account = Path(folder) / "account.json"
        pairs = {"endpoint_url": url, **OPTIONS}.items()
        command = [sys.executable, "-m", "pipeline", "volume", GLOB, "--scheduler"]
        command += [cluster.address, "--account", str(account)]
        command += [f"--storage-option={name}={value}" for name, value in pairs]
        begin = time.monotonic()
        driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(driver.pid, 0)
        seconds = time.monotonic() - begin
        driver.returncode = os.waitstatus_to_exitcode(status)
        if driver.returncode:
            raise SystemExit(f"sawlog ended with {driver.returncode}")
        cpu = {name: cpu_s(pid) - used[name] for name, pid in others.items()}
        scheduler_mb = peak_mb(cluster.scheduler.pid) - before_mb
        with urllib.request.urlopen(f"{url}/-counts") as answer:
            counts = json.load(answer)
        told = json.loads(account.read_text())
    assert told["files"] == n_objects, told["files"]
    assert told["lines"] == n_objects * LINES, told["lines"]
    each = -(-n_objects // count_units(n_objects, told["stored_bytes"]))
    return {
        "objects": n_objects,
        "tasks": -(-n_objects // each),
        "s": round(seconds, 1),
        "driver_cpu_us_a_file": round(1e6 * (usage.ru_utime + usage.ru_stime) / n_objects),
        **{
            f"{name}_cpu_us_a_file": round(1e6 * used_s / n_objects) for name, used_s in cpu.items()
        },
        "driver_peak_mb": round(usage.ru_maxrss * 1024 / 1e6),
        "scheduler_kb_a_file": round(1000 * scheduler_mb / n_objects, 2),
        "requests": {name: n for name, n in sorted(counts.items()) if name != "get_bytes"},
        "gets_a_file": round(counts["get"] / n_objects, 3),
    }


def measure(n_plan: int, n_run: int) -> Iterator[dict[str, object]]:
    """Plan in a process of its own, so that its memory is told; then run."""
    if n_plan:
        with endpoint(n_plan) as (url, server):
            command = [sys.executable, "-m", "tests.benchmarks.objects", url]
            used = cpu_s(server)
            told = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
            endpoint_us = round(1e6 * (cpu_s(server) - used) / n_plan)
        yield {**json.loads(told.stdout), "endpoint_cpu_us_a_file": endpoint_us}
    if n_run:
        yield run_objects(n_run)


if __name__ == "__main__":
    print(json.dumps(plan_objects(sys.argv[1])))
