"""sawlog, and pieces of code that import it, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def sawlog_command(*arguments: object) -> list[str]:
    """Return the command line that runs this checkout's sawlog."""
    return [sys.executable, "-m", "pipeline", *map(str, arguments)]


def run_python(
    code: str, *flags: str, stdin: str = "", path: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run code with this checkout importable; ``path`` goes before it, ``flags`` to Python."""
    paths = os.pathsep.join(str(one) for one in (path, ROOT) if one)
    return subprocess.run(
        [sys.executable, *flags, "-c", code], capture_output=True, text=True, timeout=60,
        check=False, input=stdin,
        env={**os.environ, "PYTHONPATH": paths, **environment},
    )  # fmt: skip


def read_terminal(fd: int) -> bytes:
    """Return what comes on our side of a terminal until the other one is closed, and close it."""
    said = b""
    while True:
        try:
            piece = os.read(fd, 1 << 16)
        except OSError:  # Linux says so that the other side is closed
            break
        if not piece:
            break
        said += piece
    os.close(fd)
    return said
