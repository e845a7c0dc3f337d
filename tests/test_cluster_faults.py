"""The fault table: what fails in mid-run changes no result, or ends the run with a clear error."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from cluster.join import joined
from pipeline import shuffle
from pipeline.errors import ClusterError
from pipeline.executors import tasks as task_module
from pipeline.executors.distributed import DistributedExecutor
from pipeline.executors.inline import InlineExecutor
from pipeline.job import find_job, sql_job
from tests.contracts.test_executors import DELIVERIES, EXACT, MESSAGES, _results
from tests.support.cluster import Processes

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(90)]
JOBS = [
    find_job("volume"),
    *(sql_job(f"q{k}", s) for k, s in enumerate((EXACT, MESSAGES, DELIVERIES))),
]
LINES = [find_job("volume"), sql_job("q", EXACT)]
OPTIONS = {"split_bytes": 60_000}
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def expected(demo):
    """What there is without any fault: of all jobs, and of those over lines."""
    paths = sorted(demo.glob("maillog*"))
    return {len(jobs): _results(InlineExecutor(), jobs, paths, **OPTIONS) for jobs in (JOBS, LINES)}


@pytest.fixture
def start(tmp_path):
    """Start workers to which faults happen; ``nanny`` restarts those that die."""
    clusters = []

    def get(faults, workers=3, nanny=False, env=None, **options):
        (tmp_path / "faults").mkdir()
        env = {
            "FAULTS": json.dumps(faults),
            "FAULT_FOLDER": str(tmp_path / "faults"),
            "PYTHONPATH": str(ROOT),
            **(env or {}),
        }
        arguments = ["--preload", "tests.support.faulty_worker", *(["--nanny"] if nanny else [])]
        one = Processes(tmp_path, workers, env=env, worker_arguments=arguments, **options)
        clusters.append(one)
        return one.__enter__()

    yield get
    for one in clusters:
        one.stop()


def _happened(tmp_path) -> int:
    return len([*(tmp_path / "faults").iterdir()])


def _run(cluster, jobs, demo, **options):
    executor = DistributedExecutor(partial(joined, cluster.address, is_insecure=True))
    return _results(executor, jobs, sorted(demo.glob("maillog*")), **{**OPTIONS, **options})


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        ("map_unit", "kill"),
        ("merge_splits", "kill"),
        ("merge_files", "kill after"),
        ("deal_fragments", "kill after"),
        ("stitch_part", "kill"),
    ],
)
def test_a_worker_may_be_killed(demo, expected, start, tmp_path, monkeypatch, function, fault):
    """SIGKILL during map, merge or shuffle: two workers of three do it all again."""
    monkeypatch.setattr(shuffle, "PARTITION_ROWS", 2_000)
    cluster = start([[function, fault, 1]])

    assert expected[len(JOBS)] == _run(cluster, JOBS, demo)
    assert 1 == _happened(tmp_path)


@pytest.mark.parametrize("function", ["map_unit", "stitch_part"])
def test_a_task_that_fails_twice_is_done_elsewhere(demo, expected, start, tmp_path, function):
    """An error that comes twice and not a third time is nobody's damage."""
    cluster = start([[function, "fail", 2]], workers=2)

    assert expected[len(JOBS)] == _run(cluster, JOBS, demo)
    assert 2 == _happened(tmp_path)


def test_a_merge_that_always_fails_ends_the_run(demo, start):
    """What is no split's fault is no damage: the run ends and says what failed."""
    cluster = start([["merge_splits", "fail", 1000]], workers=1)

    with pytest.raises(ClusterError, match=r"merge splits.*bad luck"):
        _run(cluster, LINES, demo)


def test_a_slow_worker_changes_nothing(demo, expected, start, tmp_path):
    """One worker takes ten times as long for each split."""
    cluster = start([], workers=1)
    cluster.start_worker(env={"FAULTS": json.dumps([["map_unit", "slow", 1]])})
    cluster.await_workers(2)

    assert expected[len(LINES)] == _run(cluster, LINES, demo)
    assert 1 == _happened(tmp_path)


_POISON = """
RELATION = "lines"
COLUMNS = ["day", "message"]
import pyarrow as pa, pyarrow.compute as pc
def map(table):
    if pc.any(pc.match_substring(table["message"].cast("string"), "{poison}")).as_py():
        {act}
    return pa.table({{"n": pa.array([table.num_rows], "int64")}})
def combine(table):
    return pa.table({{"n": pa.array([pc.sum(table["n"]).as_py() or 0], "int64")}})
def finish(table):
    return table
"""


def _poisoned(tmp_path, act):
    """Return a job that can't stand one line, and three logs; that line is in the second."""
    job = tmp_path / "count.py"
    job.write_text(_POISON.format(poison="poison", act=act))
    for k in range(3):
        lines = [f"Dec  9 04:02:11 mx su[5]: hello {n}\n" for n in range(2000)]
        if k == 1:
            lines[1000] = "Dec  9 04:02:11 mx su[5]: poison\n"
        (tmp_path / f"{k}.log").write_text("".join(lines))
    return job, sorted(tmp_path.glob("?.log"))


def test_a_split_that_fails_three_times_is_damage(sawlog, start, tmp_path):
    """It is named, the lines before it count, all other files do; exit 3."""
    job, logs = _poisoned(tmp_path, 'raise ValueError("poison")')
    cluster = start([], workers=2)
    options = ["--year", 2007, "--split-size", "20KiB", "--duplicates", "all", "--to", "csv"]

    ran = sawlog(job, *logs, "--scheduler", cluster.address, *options)

    assert 3 == ran.code, ran.err
    assert f"{logs[1]}: failed at stored byte 20,480" in ran.err
    assert "failed 3 times: ValueError: poison" in ran.err
    before = logs[1].read_bytes()[: 20_480 + 40].count(b"\n")
    assert before - 2 <= int(ran.out.split()[1]) - 4000 <= before


def test_what_kills_every_worker_ends_the_run(sawlog, start, tmp_path):
    """Workers that die of a split again and again are started anew, but not for ever."""
    job, logs = _poisoned(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    env = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    cluster = start([], workers=2, nanny=True, env=env)

    ran = sawlog(
        job, *logs, "--scheduler", cluster.address, "-o", tmp_path / "n.csv", "--year", "2007"
    )

    assert 1 == ran.code, ran.err
    assert "workers died of it again and again" in ran.err
    assert str(logs[1]) in ran.err
    assert not (tmp_path / "n.csv").exists()


def test_without_workers_a_run_ends(demo, start, monkeypatch):
    """All workers have gone and none comes: the run says so and ends."""
    monkeypatch.setattr(task_module, "NO_WORKERS_S", 1)
    monkeypatch.setattr(task_module, "ASK_S", 0.2)
    cluster = start([["map_unit", "kill", 1000]], workers=2)

    with pytest.raises(ClusterError, match="no workers for 1 s"):
        _run(cluster, LINES, demo)


def test_a_scheduler_that_is_started_anew_ends_the_run(sawlog, demo, start, tmp_path):
    """All it knew is lost: a clear error, and no file that is half written."""
    cluster = start([["merge_files", "slow", 1]], workers=2)
    port = int(cluster.address.rpartition(":")[2])

    def restart():
        time.sleep(1.0)
        cluster.scheduler.kill()
        cluster.scheduler.wait()
        cluster.start_scheduler(port)

    thread = threading.Thread(target=restart)
    thread.start()
    big = tmp_path / "big.log"
    big.write_bytes((demo / "maillog").read_bytes() * 100)
    ran = sawlog(
        "volume", big, "--scheduler", cluster.address, "-o", tmp_path / "v.csv",
        "--split-size", "20KiB",
    )  # fmt: skip
    thread.join()

    assert 1 == ran.code, ran.err
    assert "scheduler was lost" in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "v.csv").exists()


def _mount_small_disk(folder: Path) -> bool:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    return not subprocess.run(command, check=False, capture_output=True).returncode


def _fill(folder: Path) -> None:
    with pytest.raises(OSError, match="No space"), (folder / "full").open("wb", 0) as file:
        while True:
            file.write(bytes(4096))


@pytest.mark.parametrize("n_full", [1, 2])
def test_a_full_disk_on_a_worker(demo, expected, start, tmp_path, n_full):
    """Others take what it can't; where all disks are full, the run ends and says so."""
    disks = [tmp_path / f"disk{k}" for k in range(n_full)]
    if os.geteuid() or not all(map(_mount_small_disk, disks)):
        pytest.skip("must be root to mount a small disk")
    try:
        cluster = start([], workers=2 - n_full, env={"PILE_BYTES": "1000"})
        for disk in disks:
            cluster.start_worker("--local-directory", disk)
        cluster.await_workers(2)
        for disk in disks:
            _fill(disk)
        if n_full == 1:
            assert expected[len(JOBS)] == _run(cluster, JOBS, demo)
        else:
            with pytest.raises(ClusterError, match="No space left on device"):
                _run(cluster, JOBS, demo)
    finally:
        cluster.stop()
        for disk in disks:
            subprocess.run(["umount", "-l", str(disk)], check=False)


_counter = itertools.count()


@pytest.fixture
def hosts():
    """Two hosts: network namespaces behind a bridge; yields the commands that run on them."""
    # A namespace goes some time after it was deleted: each has a name of its own.
    name = f"sl{os.getpid() % 10_000}{next(_counter)}"
    net = f"10.{os.getpid() % 200 + 20}.77"
    spaces = [f"{name}-{k}" for k in range(2)]

    def ip(*words: object) -> None:
        subprocess.run(["ip", *map(str, words)], check=True, capture_output=True)

    if os.geteuid():
        pytest.skip("must be root to make network namespaces")
    try:
        ip("link", "add", name, "type", "bridge")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine has no network namespaces")
    try:
        ip("address", "add", f"{net}.1/24", "dev", name)
        ip("link", "set", name, "up")
        for k, space in enumerate(spaces):
            ip("netns", "add", space)
            ip("link", "add", f"{name}v{k}", "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("link", "set", f"{name}v{k}", "master", name, "up")
            ip("-n", space, "address", "add", f"{net}.{k + 10}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")
            ip("-n", space, "link", "set", "lo", "up")
        yield (
            f"{net}.1",
            {k: ["ip", "netns", "exec", space] for k, space in enumerate(spaces)},
            lambda k: ip("link", "set", f"{name}v{k}", "down"),
        )
    finally:
        for space in spaces:
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", name], check=False, capture_output=True)


def test_a_host_may_be_cut_off(demo, expected, start, hosts):
    """A host that no longer answers, its connections left open, is given up after a while."""
    address, prefix, cut_off = hosts
    faults = [["merge_splits", "slow", 1], ["map_unit", "slow", 1]]
    cluster = start(
        faults, workers=2, host=address, prefix=prefix,
        env={"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "4s"},
    )  # fmt: skip
    is_cut = threading.Event()
    timer = threading.Timer(0.7, lambda: (cut_off(1), is_cut.set()))
    timer.start()

    assert expected[len(JOBS)] == _run(cluster, JOBS, demo)
    assert is_cut.is_set()
    timer.join()


def test_a_scheduler_beyond_loopback_without_tls_is_refused(sawlog, demo, hosts, tmp_path):
    """It is refused by its address, and where it only says later that it listens everywhere."""
    address, _, _ = hosts
    with Processes(tmp_path, 0, host=address) as cluster:
        refused = sawlog("volume", demo / "maillog", "--scheduler", cluster.address)
        allowed = sawlog("volume", demo / "maillog", "--scheduler", cluster.address, "--insecure")
    assert 2 == refused.code
    assert "without encryption" in refused.err
    assert 1 == allowed.code
    assert "has no workers" in allowed.err
