"""Run commands in turn and take the time and the peak memory of each."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).parents[2]

_TIMEOUT_S = 900
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


class BenchmarkError(Exception):
    """A command failed, or gave something other than the truth: its time means nothing."""


@dataclass(frozen=True)
class Command:
    """One command line to be measured.

    Attributes
    ----------
    name : str
        Unique within its group.
    argv : tuple of str
        Run in the root of the project.
    env : dict
        Added to the environment.
    check : callable, optional
        Takes what the command wrote to stdout; raises `BenchmarkError` where that is wrong.
    keeps_cache : bool
        Commands of a round with this mark share a cache directory, empty at first, so that one can
        use what an earlier one left. All others have an empty one each.
    missing : str
        The program that is not installed, so that the command can't run.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[bytes], None] | None = None
    keeps_cache: bool = False
    missing: str = ""

    @property
    def is_sawlog(self) -> bool:
        """Whether it runs what is built here."""
        return self.argv[1:3] == ("-m", "pipeline")


@dataclass(frozen=True)
class Sample:
    """What one run of a command took.

    Attributes
    ----------
    seconds, cpu_s : float
        Wall time from the start to the end of the process; processor time with its children.
    peak_bytes : int
        Most resident memory of the process, or of that child of it which had most.
    cache_bytes : int
        What stands in the cache directory afterwards.
    """

    seconds: float
    cpu_s: float
    peak_bytes: int
    cache_bytes: int


def child_environment() -> dict[str, str]:
    """Return the environment without what makes Python start slowly.

    Containers and test runs often forbid it to keep compiled modules: each start would compile all
    of sawlog again, and of its peers nothing, since those are installed.
    """
    kept = ("PYTHONPATH", "PYTHONHOME")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") or name in kept
    }


def run_command(command: Command, cache: Path) -> Sample:
    """Run a command once, and check what it wrote.

    Linux keeps a process's peak memory over exec, so no peak can be told that is less than that of
    this process: keep it small (nothing heavy is imported here, the corpus is made in a child).

    Raises
    ------
    BenchmarkError
        If it fails, takes longer than 15 minutes or gives a wrong result.
    """
    env = {**child_environment(), **command.env, "XDG_CACHE_HOME": str(cache)}
    with tempfile.TemporaryFile() as errors:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command.argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=errors, start_new_session=True,
        )  # fmt: skip
        timer = threading.Timer(_TIMEOUT_S, _kill, [process.pid])
        timer.start()
        try:
            out = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            _kill(process.pid)
            process.wait()
            raise
        finally:
            timer.cancel()
            process.stdout.close()
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)  # it was waited for: tell Popen
        if process.returncode:
            errors.seek(0)
            told = errors.read()[-2000:].decode(errors="replace")
            raise BenchmarkError(f"{command.name}: exit {process.returncode}\n{told}")
    if command.check is not None:
        try:
            command.check(out)
        except (BenchmarkError, ValueError) as error:
            raise BenchmarkError(f"{command.name}: {error}") from error
    cached = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    cpu_s = usage.ru_utime + usage.ru_stime
    return Sample(seconds, cpu_s, usage.ru_maxrss * _RSS_UNIT, cached)


def _kill(pid: int) -> None:
    """End a command and what it started: all of them are in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def run_in_turn(
    commands: Sequence[Command], n_rounds: int, tell: Callable[[str], None] = lambda _: None
) -> list[dict[str, Sample]]:
    """Run every command once a round: a slow moment of the machine meets them all alike.

    Returns
    -------
    list of dict
        For each round its samples by the command's name; those of missing programs are left out.
    """
    commands = [command for command in commands if not command.missing]
    rounds = []
    for n in range(n_rounds):
        samples = {}
        with tempfile.TemporaryDirectory(prefix="sawlog-bench-") as kept:
            for command in commands:
                tell(f"{n + 1}/{n_rounds} {command.name}")
                cache = Path(kept) if command.keeps_cache else Path(tempfile.mkdtemp(dir=kept))
                samples[command.name] = run_command(command, cache)
                if not command.keeps_cache:
                    shutil.rmtree(cache)
        rounds.append(samples)
    return rounds
