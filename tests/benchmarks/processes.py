"""What a process has used so far, by the system's own account."""

from __future__ import annotations

import os
from pathlib import Path


def peak_mb(pid: int | str) -> float:
    """Return the most memory that a process has had at a time."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


def cpu_s(pid: int | str) -> float:
    """Return the processor seconds of a process, its ended children not counted."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
