"""Clusters that a run starts: processes here, hosts by ssh, pods; test_cluster_stores has Slurm."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.processes import sawlog_command
from tests.support.services import sshd, tls_lines

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]
ROOT = Path(__file__).parents[1]


def _sawlog(*arguments, env=None, cwd=ROOT):
    return subprocess.run(
        sawlog_command(*arguments),
        env={**os.environ, **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def _volume(demo, *arguments, env=None, cwd=ROOT):
    """Ask for the volume of the demo archive, in many splits."""
    ran = _sawlog(
        *("volume", *sorted(demo.glob("maillog*")), "--to", "csv", "--split-size", "50KiB"),
        *("--nice", "0", *arguments),
        env=env,
        cwd=cwd,
    )
    assert 0 == ran.returncode, ran.stderr
    return ran.stdout


def _ours(word: str) -> list[str]:
    """Return the processes whose command line holds a word."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if word in text and "pytest" not in text:
            found.append(text)
    return found


def _wait_until_gone(word: str) -> None:
    end = time.monotonic() + 15
    while _ours(word):
        assert time.monotonic() < end, _ours(word)
        time.sleep(0.1)


@pytest.mark.parametrize("workers", [1, 2])
def test_local_processes_give_what_one_process_gives(demo, tmp_path, workers):
    """`--cluster local` starts workers, gives the same bytes, and leaves nothing behind."""
    profile = tmp_path / "here.toml"
    profile.write_text(f'target = "local"\nthreads = 1\nfolder = "{tmp_path / "spill"}"\n')

    there = _volume(demo, "--cluster", profile, "--workers", workers)

    assert _volume(demo) == there
    assert not _ours(str(tmp_path / "spill"))
    assert [] == [*(tmp_path / "spill").rglob("*.arrow")]


_PORTS = """
from cluster import started
from cluster.profile import read_profile
if __name__ == "__main__":
    with started(read_profile("local")) as client:
        info = client.scheduler_info(n_workers=-1)
        for one in (info, *info["workers"].values()):
            print(*one["services"].values(), flush=True)
        input()
"""


def test_dasks_web_server_shows_nothing(tmp_path):
    """It asks nobody who he is: scheduler and workers have one, but no page."""
    script = tmp_path / "ports.py"
    script.write_text(_PORTS)
    with subprocess.Popen(
        [sys.executable, script], env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        ports = [running.stdout.readline().strip() for _ in range(3)]
        found = []
        for port in ports:
            for path in ("info/main/workers.html", "json/counts.json", "metrics", "health"):
                with pytest.raises(urllib.error.HTTPError) as caught:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10)
                found.append(caught.value.code)
                caught.value.close()
        running.communicate("\n")

    assert [404] * 12 == found


def test_ctrl_c_stops_what_was_started_and_writes_nothing(demo, tmp_path):
    """Ctrl-C in a terminal reaches all processes: exit 130 within seconds, no file, no process."""
    big = tmp_path / "big.log"
    big.write_bytes((demo / "maillog").read_bytes() * 4000)  # many seconds of work
    profile = tmp_path / "here.toml"
    profile.write_text(f'target = "local"\nworkers = 2\nfolder = "{tmp_path / "spill"}"\n')
    command = sawlog_command(
        *("mail", big, "--cluster", profile, "-o", tmp_path / "{job}.csv", "--nice", "0"),
        *("--split-size", "1MiB"),
    )
    running = subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stdout=-1, stderr=-1, text=True
    )
    time.sleep(4)

    os.killpg(running.pid, signal.SIGINT)
    _, told = running.communicate(timeout=30)

    assert 130 == running.returncode, told
    assert "sawlog: interrupted; nothing was written" == told.strip()
    assert [] == [*tmp_path.glob("*.csv")]
    end = time.monotonic() + 15
    while any(_in_session(running.pid)):
        assert time.monotonic() < end
        time.sleep(0.1)


def _in_session(session: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, *rest = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(rest[2]) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


def test_ssh_starts_workers_on_hosts(demo, tmp_path, certificates):
    """A check over a real sshd, all of it by TLS, finds all workers fit; afterwards none runs."""
    if shutil.which("sshd") is None and not Path("/usr/sbin/sshd").exists():
        pytest.skip("needs openssh-server")
    with sshd(tmp_path) as reached:
        profile = tmp_path / "hosts.toml"
        spill = tmp_path / "spill"
        profile.write_text(
            f'target = "ssh"\n{reached}{tls_lines(certificates)}threads = 1\nfolder = "{spill}"\n'
        )

        checked = _sawlog("cluster", "check", "--cluster", profile, demo / "maillog", "--to", "csv")

    assert 0 == checked.returncode, checked.stderr
    _, *workers = checked.stdout.splitlines()
    assert 2 == len(workers), checked.stdout
    for line in workers:
        assert line.startswith("tls://"), checked.stdout
        assert line.endswith(",true"), checked.stdout
    _wait_until_gone(str(spill))


def test_an_unknown_host_key_is_refused(demo, tmp_path, certificates):
    """A host that is not the one that is known gets nothing started on it."""
    if shutil.which("sshd") is None and not Path("/usr/sbin/sshd").exists():
        pytest.skip("needs openssh-server")
    with sshd(tmp_path) as reached:
        (tmp_path / "known_hosts").write_text("")
        profile = tmp_path / "hosts.toml"
        profile.write_text(f'target = "ssh"\n{reached}{tls_lines(certificates)}')

        ran = _sawlog("volume", demo / "maillog", "--cluster", profile)

    assert 1 == ran.returncode
    assert "Host key is not trusted" in ran.stderr
    assert "Traceback" not in ran.stderr


_KUBECTL = """#!{python}
import subprocess, sys, pathlib
folder = pathlib.Path({folder!r})
words = sys.argv[1:]
with (folder / "calls").open("a") as calls:
    print(" ".join(words), file=calls)
if "apply" in words:
    (folder / "applied.yaml").write_text(sys.stdin.read())
elif "port-forward" in words:
    n = int((folder / "tries").read_text()) if (folder / "tries").exists() else 0
    (folder / "tries").write_text(str(n + 1))
    if n < 1:
        sys.exit("error: no pod yet")
    print("Forwarding from 127.0.0.1:{port} -> 8786", flush=True)
    sys.stdin.close()
    import time; time.sleep(100)
elif "get" in words:
    print("there")
"""


def test_kubernetes_applies_a_manifest_and_deletes_it(demo, tmp_path, certificates):
    """What kubectl is asked, with a scheduler of our own behind the port that it forwards."""
    from tests.support.cluster import Processes

    tls = [f"--tls-{k}={certificates / v}.pem" for k, v in
           {"ca-file": "ca", "cert": "cert", "key": "key"}.items()]  # fmt: skip
    with Processes(tmp_path, 1, arguments=tls, scheduler_arguments=["--protocol", "tls"]) as pods:
        (tmp_path / "bin").mkdir()
        kubectl = tmp_path / "bin" / "kubectl"
        port = pods.address.rpartition(":")[2]
        kubectl.write_text(_KUBECTL.format(python=sys.executable, folder=str(tmp_path), port=port))
        kubectl.chmod(0o755)
        profile = tmp_path / "pods.toml"
        profile.write_text(
            f'target = "kubernetes"\nimage = "example.org/sawlog:1"\nworkers = 1\n'
            f"{tls_lines(certificates)}"
        )
        env = {"PATH": f"{kubectl.parent}:{os.environ['PATH']}"}

        there = _volume(demo, "--cluster", profile, env=env)

    calls = (tmp_path / "calls").read_text().splitlines()
    assert _volume(demo) == there
    assert 2 == int((tmp_path / "tries").read_text())
    assert "--namespace sawlog delete daskcluster sawlog --ignore-not-found" == calls[-1]
    assert "example.org/sawlog:1" in (tmp_path / "applied.yaml").read_text()
