"""States of incremental runs, made beside a corpus once: before an append, and of many files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

N_FILES = 10_000


@dataclass(frozen=True)
class States:
    """Where logs and states lie.

    Attributes
    ----------
    log, before : Path
        A log, and the state that a run left before its last hundredth was appended.
    many, known : Path
        A folder of `N_FILES` files, and a state that knows all of them.
    scratch : Path
        A copy of ``before`` goes there for each run.
    """

    log: Path
    before: Path
    many: Path
    known: Path
    scratch: Path


def make_states(plain: Path) -> States:
    """Make them, unless they are there."""
    folder = plain.parent / "states"
    made = States(*(folder / name for name in ("log", "before", "many", "known", "scratch")))
    if (folder / "done").exists():
        return made
    shutil.rmtree(folder, ignore_errors=True)
    made.many.mkdir(parents=True)
    # Not read whole: what is measured is started by this process, and its memory counts there.
    shutil.copyfile(plain, made.log)
    with made.log.open("r+b") as file:
        file.seek(plain.stat().st_size * 99 // 100)
        file.readline()
        cut = file.tell()
        rest = file.read()
        file.truncate(cut)
    _run(made.log, made.before)
    with made.log.open("ab") as file:
        file.write(rest)
    for k in range(N_FILES):
        path = made.many / f"log-{k:05}"
        lines = (f"2024-01-01T00:00:{i:02}Z mx{k % 50} app[{k}]: {i} of {k}\n" for i in range(20))
        path.write_text("".join(lines))
        os.utime(path, (1.7e9 + k, 1.7e9 + k))
    _run(made.many, made.known)
    (folder / "done").touch()
    return made


def _run(source: Path, state: Path) -> None:
    argv = [sys.executable, "-m", "pipeline", "volume", str(source), "-q", "--to", "csv"]
    subprocess.run(
        [*argv, "--nice", "0", "--state", str(state)], check=True, stdout=subprocess.DEVNULL
    )
