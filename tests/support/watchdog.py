"""What tests start ends with them, even where pytest itself is killed.

Whatever a test starts inherits a mark in its environment, through shells, Slurm and sshd as well. A
process of its own waits for the end of pytest, then kills all that carry the mark.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path

NAME = "SAWLOG_TEST_RUN"


@cache
def watch_over() -> None:
    """Mark what is started from now on, and have it killed when this process has ended."""
    environment = {name: value for name, value in os.environ.items() if name != NAME}
    os.environ[NAME] = uuid.uuid4().hex
    # Its standard input ends when the other end of the pipe does: with this process, however it ends.
    heard, _ = os.pipe()
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-S", __file__, os.environ[NAME]],
        environment,
        file_actions=[(os.POSIX_SPAWN_DUP2, heard, 0)],
        setsid=True,
    )
    os.close(heard)


def marked(mark: str) -> list[int]:
    """Return the processes that carry a mark."""
    wanted = f"{NAME}={mark}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if wanted in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def _main() -> None:
    sys.stdin.buffer.read()
    # Some start others anew while they are killed.
    for _ in range(20):
        found = marked(sys.argv[1])
        if not found:
            return
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


if __name__ == "__main__":
    _main()
