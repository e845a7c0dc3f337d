"""What a benchmark ran on, without the machine's name."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from tests.benchmarks.measure import ROOT

_PACKAGES = ("sawlog", "duckdb", "pyarrow", "isal", "zstandard", "dask")
_TOOLS = {
    "mawk": ["mawk", "-W", "version"],
    "gzip": ["gzip", "--version"],
    "zstd": ["zstd", "--version"],
    "wc": ["wc", "--version"],
    "bzip2": ["bzip2", "--help"],
    "xz": ["xz", "--version"],
    "lz4": ["lz4", "--version"],
}


def describe_machine() -> dict[str, str]:
    """Return processor, cores, memory, system and load."""
    return {
        "processor": _read_field("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": str(len(os.sched_getaffinity(0)))
        if hasattr(os, "sched_getaffinity")
        else str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load": f"{os.getloadavg()[0]:.2f}",
    }


def describe_versions() -> dict[str, str]:
    """Return the versions of everything that was measured; what is not installed is left out."""
    versions = {"Python": platform.python_version(), "commit": _commit()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    for tool, command in _TOOLS.items():
        if shutil.which(tool):
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
            )
            found = re.search(r"\d+(?:\.\d+)+(?: \d{8})?", done.stdout + done.stderr)
            versions[tool] = found.group() if found else "?"
    return {name: version for name, version in versions.items() if version}


def _commit() -> str:
    git = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        done = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def _read_field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
