"""Lower the priority of this process: the machine a log is read on is often the sick one."""

from __future__ import annotations

import contextlib
import os
import sys

#: ioprio_set(2): class "best effort", its last level; the process itself.
_IOPRIO_WHO_PROCESS = 1
_LOWEST_BEST_EFFORT = (2 << 13) | 7
_SYSCALL = {"x86_64": 251, "aarch64": 30}


def lower_priority(level: int) -> None:
    """Lower CPU priority by ``level`` (0: leave all as it is), I/O priority to its class's last.

    Threads inherit both, so this is called before there are any.
    """
    if level == 0:
        return
    with contextlib.suppress(OSError):
        os.nice(level)
    number = _SYSCALL.get(os.uname().machine)
    if sys.platform == "linux" and number is not None:
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).syscall(
                number, _IOPRIO_WHO_PROCESS, 0, _LOWEST_BEST_EFFORT
            )
