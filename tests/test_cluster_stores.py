"""Clusters that read from a store: what goes wrong there meanwhile, and every way to start one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.sources import ranged
from tests.support import stores
from tests.support.cluster import Processes
from tests.support.services import slurm, sshd, tls_lines
from tests.support.stores import access

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]
pytest.importorskip("s3fs")
ROOT = Path(__file__).parents[1]
JOBS = "volume,retries"


@pytest.fixture(scope="module")
def _workers(tmp_path_factory):
    """Two worker processes that ask for little at a time."""
    folder = tmp_path_factory.mktemp("cluster")
    env = {
        "FAULTS": json.dumps([["map_unit", "tell rate", 0]]), "FAULT_FOLDER": str(folder),
        "PYTHONPATH": str(ROOT), "REQUEST_BYTES": str(16 << 10),
    }  # fmt: skip
    arguments = ["--preload", "tests.support.faulty_worker"]
    with Processes(folder, 2, env=env, worker_arguments=arguments) as processes:
        yield processes


@pytest.fixture
def cluster(_workers):
    """The same; none of the heads is known that earlier tests have read."""
    ranged.forget_heads()
    return _workers


@pytest.fixture
def local(sawlog, demo):
    """What the same command gives from local files, in this process."""

    def run(jobs=JOBS):
        ran = sawlog(jobs, *sorted(map(str, demo.glob("maillog*"))), "--to", "json", "-q")
        assert ran.code == 0, ran.err
        return ran.out

    return run


def _there(cluster):
    return ["--scheduler", cluster.address, "--split-size", "64KiB", "--to", "json", "-q"]


@pytest.mark.parametrize("how", ["hangs", "is gone"])
def test_the_server_is_stopped_for_five_seconds(sawlog, s3, proxy, cluster, local, how):
    """The workers wait for it, and the result is that of a run without."""
    done = []

    def stop() -> None:
        s3.pause(5) if how == "hangs" else proxy.go_away(5)
        done.append(how)

    stopping = threading.Thread(target=stop)
    proxy.after(500_000, stopping.start)
    ran = sawlog(JOBS, "s3://logs/mx1/maillog*", *access(proxy.url), *_there(cluster))
    stopping.join()

    assert [how] == done, "it was stopped in mid-run"
    assert (0, "") == (ran.code, ran.err)
    assert local() == ran.out


def test_reads_that_are_cut_short_are_made_again(sawlog, proxy, cluster, local):
    """A connection that ends early, after a few bytes or nearly all, loses nothing."""
    cuts = [0, 300, 1000, 5000, 2000, 16_000, 16_500, 10, 4000]

    def cut() -> None:
        proxy.cuts = [*cuts]
        proxy.drop_all()

    proxy.after(500_000, cut)
    ran = sawlog(JOBS, "s3://logs/mx1/maillog*", *access(proxy.url), *_there(cluster))

    assert [] == proxy.cuts
    # The last ranges of objects are shorter than some cuts.
    assert 5 <= proxy.n_cut <= len(cuts)
    assert (0, "") == (ran.code, ran.err)
    assert local() == ran.out


@pytest.mark.parametrize("what", ["replaced", "removed"])
def test_an_object_that_changes_during_the_run_is_named(sawlog, s3, proxy, cluster, demo, what):
    """No line of the new object is counted as if it were of the old one; exit 3."""
    text = (demo / "maillog.1").read_bytes()
    name = f"logs/{what}/maillog"
    s3.client().pipe(name, text)

    def change() -> None:
        if what == "replaced":
            s3.client().pipe(name, text[::-1])
        else:
            s3.client().rm(name)

    proxy.after(200_000, change)
    ran = sawlog(
        "sql", "SELECT count(*) AS n FROM lines", f"s3://{name}", *access(proxy.url),
        *_there(cluster)[:-3], "--to", "values",
    )  # fmt: skip

    assert 3 == ran.code, ran.err
    assert f"s3://{name}: changed" in ran.err
    assert int(ran.out) < text.count(b"\n")


def test_all_workers_share_one_rate(sawlog, s3, cluster, local):
    """Each of two processes takes half of what a store bears, for this run."""
    for rate in (["--max-read-rate", "20MB"], []):
        for path in cluster.folder.glob("rate-*"):
            path.unlink()
        ran = sawlog(JOBS, "s3://logs/mx1/maillog*", *access(s3.url), *_there(cluster), *rate)
        assert (0, local()) == (ran.code, ran.out), ran.err
        told = {path.name for path in cluster.folder.glob("rate-*")}
        assert {"rate-10000000" if rate else "rate-None"} == told


def test_what_a_task_is_given_is_written_into_no_log(sawlog, s3, tmp_path):
    """Dask logs tasks that fail, and a store's options are among what ours are given."""
    env = {
        "FAULTS": json.dumps([["map_unit", "fail", 1]]), "FAULT_FOLDER": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    arguments = ["--preload", "tests.support.faulty_worker"]
    with Processes(tmp_path, 1, env=env, worker_arguments=arguments) as one:
        ran = sawlog("volume", "s3://logs/mx1/maillog", *access(s3.url), *_there(one))
        log = (tmp_path / "worker-0.log").read_text()

    assert 0 == ran.code, ran.err
    assert "Compute Failed" in log
    # Neither as they are, nor in a unit that is packed.
    assert not any(word in log for word in (stores.SECRET, stores.KEY, r"b'x\x01", r'b"x\x01'))


# --- each way to start a cluster, with the demo archive in the store


def _check(demo, s3, profile, tmp_path, env=None):
    """Run the same questions here and there; credentials are seen nowhere."""
    account = tmp_path / "account.json"
    questions = [sys.executable, "-m", "pipeline", "volume,mail", "--to", "json", "--nice", "0"]
    files = [str(path) for path in sorted(demo.glob("maillog*"))]
    here = subprocess.run([*questions, *files], cwd=ROOT, capture_output=True, check=True)

    there = subprocess.run(
        [
            *questions, "s3://logs/mx1/maillog*", *access(s3.url), "--cluster", profile,
            "--split-size", "100KiB", "--account", account,
        ],
        cwd=ROOT, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert 0 == there.returncode, there.stderr
    assert json.loads(here.stdout) == json.loads(there.stdout)
    assert json.loads(account.read_text())["read_bytes"] > 500_000
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    written = [there.stdout.encode(), there.stderr.encode(), *(one.read_bytes() for one in files)]
    for secret in (stores.SECRET, stores.KEY):
        assert not any(secret.encode() in text for text in written)


def test_processes_here_read_from_the_store(demo, s3, tmp_path):
    """`--cluster local`."""
    profile = tmp_path / "here.toml"
    profile.write_text(
        f'target = "local"\nworkers = 2\nthreads = 1\nfolder = "{tmp_path / "spill"}"\n'
    )
    _check(demo, s3, profile, tmp_path)


def test_hosts_by_ssh_read_from_the_store(demo, s3, tmp_path, certificates):
    """`--cluster ssh`: over a real sshd and TLS; what was given here reaches the workers there."""
    if shutil.which("sshd") is None and not Path("/usr/sbin/sshd").exists():
        pytest.skip("needs openssh-server")
    with sshd(tmp_path) as reached:
        profile = tmp_path / "hosts.toml"
        profile.write_text(
            f'target = "ssh"\n{reached}{tls_lines(certificates)}threads = 1\n'
            f'folder = "{tmp_path / "spill"}"\n'
        )
        _check(demo, s3, profile, tmp_path)


def test_slurm_jobs_read_from_the_store(demo, s3, tmp_path, certificates):
    """`--cluster slurm` on a real one: queues jobs, runs on them by TLS, cancels them."""
    if os.geteuid() or not all(map(shutil.which, ("slurmctld", "slurmd", "munged", "sbatch"))):
        pytest.skip("needs slurm-wlm and munge, and to be root")
    with slurm(tmp_path) as env:
        profile = tmp_path / "jobs.toml"
        profile.write_text(
            f'target = "slurm"\n{tls_lines(certificates)}workers = 2\nthreads = 1\nmemory = "2GiB"\n'
            f'walltime = "00:10:00"\ninterface = "lo"\nlogs = "{tmp_path / "logs"}"\n'
            f'folder = "{tmp_path / "spill"}"\n'
        )
        _check(demo, s3, profile, tmp_path, env)
        queued = subprocess.run(
            ["squeue", "-h", "-t", "running,pending"],
            env={**os.environ, **env}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        logs = [path.read_text() for path in (tmp_path / "logs").glob("*.err")]
    assert "" == queued.stdout
    assert 2 == len(logs)
    assert all("tls://127.0.0.1" in log for log in logs)
