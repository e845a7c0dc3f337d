"""Services of this machine for tests: certificates, an sshd, a Slurm of one node."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.watchdog import NAME

ROOT = Path(__file__).parents[2]


def make_certificates(home: Path) -> Path:
    """Run the README's openssl commands in a home folder; return where they put what they made."""
    readme = (ROOT / "cluster" / "README.md").read_text()
    (commands,) = re.findall(r"```bash\n(.*?)```", readme, re.DOTALL)
    env = {**os.environ, "HOME": str(home)}
    subprocess.run(["bash", "-euc", commands], env=env, check=True, capture_output=True)
    return home / ".config" / "sawlog" / "tls"


def tls_lines(folder: Path) -> str:
    """Return the lines of a profile that name certificates."""
    return "".join(f'tls_{part} = "{folder / part}.pem"\n' for part in ("ca", "cert", "key"))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def running(*commands: list[object], env: dict[str, str] | None = None, logs: Path):
    """Keep daemons running in the foreground, in this order; end them in the other."""
    processes = []
    try:
        for command in commands:
            log = (logs / f"{Path(str(command[0])).name}.log").open("wb")
            with log:
                processes.append(
                    subprocess.Popen(
                        [*map(str, command)],
                        env={**os.environ, **(env or {})},
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                    )
                )
            time.sleep(0.2)
        yield processes
    finally:
        for process in reversed(processes):
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            if process.poll() is None:
                process.kill()
                process.wait()


def wait_until(is_true, what: str, timeout_s: float = 30) -> None:
    end = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < end, what
        time.sleep(0.1)


@contextmanager
def sshd(folder: Path):
    """An sshd on loopback with keys of its own; yields the lines of a profile that reach it."""
    program = shutil.which("sshd") or "/usr/sbin/sshd"
    port = free_port()
    for name in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True
        )
    Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder / 'host'}\n"
        f"AuthorizedKeysFile {folder / 'user.pub'}\nPidFile {folder / 'pid'}\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
        "MaxStartups 50\nMaxSessions 50\n" + _mark()
    )
    host_key = (folder / "host.pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
    with running([program, "-D", "-e", "-f", folder / "sshd_config"], logs=folder):
        wait_until(lambda: _answers(port), "sshd does not come up")
        yield (
            f'hosts = ["127.0.0.1", "127.0.0.1"]\nport = {port}\n'
            f'identity = "{folder / "user"}"\nknown_hosts = "{folder / "known_hosts"}"\n'
            f'python = "{sys.executable}"\n'
        )


def _mark() -> str:
    """Return what makes sshd pass the mark of `tests.support.watchdog` on."""
    return f"SetEnv {NAME}={os.environ[NAME]}\n" if NAME in os.environ else ""


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@contextmanager
def slurm(folder: Path):
    """A Slurm of one node with a munge of its own; yields the environment that its commands take."""
    folder.chmod(0o755)
    (folder / "key").write_bytes(os.urandom(1024))
    (folder / "key").chmod(0o400)
    node = socket.gethostname().split(".")[0]
    ports = [free_port() for _ in range(2)]
    for name in ("state", "spool", "run"):
        (folder / name).mkdir(mode=0o755)
    (folder / "slurm.conf").write_text(
        f"ClusterName=test\nSlurmctldHost={node}(127.0.0.1)\nSlurmUser=root\nSlurmdUser=root\n"
        f"AuthType=auth/munge\nAuthInfo=socket={folder / 'munge.socket'}\nCredType=cred/munge\n"
        f"SlurmctldPort={ports[0]}\nSlurmdPort={ports[1]}\n"
        f"StateSaveLocation={folder / 'state'}\nSlurmdSpoolDir={folder / 'spool'}\n"
        f"SlurmctldPidFile={folder / 'run'}/ctld.pid\nSlurmdPidFile={folder / 'run'}/d.pid\n"
        "ProctrackType=proctrack/pgid\nTaskPlugin=task/none\nSwitchType=switch/none\n"
        "SelectType=select/cons_tres\nSelectTypeParameters=CR_CPU\nMpiDefault=none\n"
        "SchedulerType=sched/backfill\nSchedulerParameters=sched_interval=1,bf_interval=1\n"
        "JobAcctGatherType=jobacct_gather/none\nReturnToService=2\nKillWait=2\n"
        f"NodeName={node} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} RealMemory=8000 State=UNKNOWN\n"
        "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"
    )
    env = {"SLURM_CONF": str(folder / "slurm.conf")}
    munge = [
        *("munged", "--foreground", f"--key-file={folder / 'key'}", "--force", "--num-threads=2"),
        *(f"--socket={folder / 'munge.socket'}", f"--pid-file={folder / 'run'}/munge.pid"),
        *(f"--log-file={folder / 'munged.log'}", f"--seed-file={folder / 'seed'}"),
    ]
    daemons = [munge, ["slurmctld", "-D"], ["slurmd", "-D", "-N", node]]

    def is_idle() -> bool:
        told = subprocess.run(
            ["sinfo", "-h", "-o", "%T"],
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            check=False,
        )
        return told.stdout.strip() == "idle"

    with running(*daemons, env=env, logs=folder):
        wait_until(is_idle, f"Slurm does not come up: see {folder}", 60)
        try:
            yield env
        finally:
            subprocess.run(
                ["scancel", "--user", "root"], env={**os.environ, **env}, check=False, timeout=20
            )
            wait_until(lambda: not _has_jobs(env), "Slurm's jobs don't end", 30)


def _has_jobs(env: dict[str, str]) -> bool:
    told = subprocess.run(
        ["squeue", "-h"], env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    return bool(told.stdout.strip())
