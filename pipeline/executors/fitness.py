"""Compare a cluster with this machine before a run: versions, memory, threads."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from distributed import Client

    from pipeline.model import SourceFile

#: What must be the same everywhere, since partials and plans travel between them.
PACKAGES = ("sawlog", "duckdb", "pyarrow", "dask", "distributed")
#: Memory that a worker takes before it maps anything, and for each thread that maps.
WORKER_BYTES, THREAD_BYTES = 300_000_000, 300_000_000
#: Seconds that a clock may be off.
MAX_CLOCK_S = 5.0


def check_sources(urls: Iterable[str]) -> None:
    """Refuse what only this process can read: a pipe, or what it had to fetch as a whole.

    Raises
    ------
    UsageError
        Says what to do.
    """
    from pipeline.head import STDIN
    from pipeline.sources.local import local_path, pipes
    from pipeline.sources.members import splits_of
    from pipeline.sources.opening import archive_protocol

    for url in urls:
        bases = [base for _, base in splits_of(url)] if archive_protocol(url) else []
        for one in (url, *bases):
            if one == STDIN or (one in pipes and local_path(one) is not None):
                raise UsageError(
                    f"{url}: the workers of a cluster can't read a pipe. Save it to a file that "
                    "they reach, or leave the cluster out"
                )
            if one in pipes:
                raise UsageError(
                    f"{url}: its server gives whole files only, so this machine has fetched it, "
                    "and the workers of a cluster can't read it here. Save it to a file that they "
                    "reach, or leave the cluster out"
                )


def check_workers(client: Client) -> None:
    """Refuse a cluster that can't run our tasks, before it gets any.

    Raises
    ------
    ClusterError
        There are no workers; versions differ; a worker has too little memory.
    """
    info = client.scheduler_info(n_workers=-1)
    if not info["workers"]:
        raise ClusterError(
            f"the scheduler {info['address']} has no workers. Start some: dask worker "
            f"{info['address']}"
        )
    problems = [
        *compare_versions(client.get_versions(packages=list(PACKAGES))),
        *compare_memory(info["workers"]),
    ]
    if problems:
        shown = problems[:10]
        if len(problems) > len(shown):
            shown.append(f"… and {len(problems) - len(shown)} more")
        raise ClusterError("the cluster can't run this:\n  " + "\n  ".join(shown))


def compare_versions(versions: dict[str, Any]) -> list[str]:
    """Return a line for each machine and package that is not the client's version.

    Parameters
    ----------
    versions : dict
        As `distributed.Client.get_versions` gives them.
    """
    ours = _packages(versions["client"])
    machines = {"the scheduler": versions["scheduler"], **versions["workers"]}
    problems = []
    for machine, told in machines.items():
        theirs = _packages(told)
        for name, version in ours.items():
            if theirs.get(name) != version:
                problems.append(
                    f"{machine} has {name} {theirs.get(name) or '(none)'}, here it is "
                    f"{version or '(none)'}: install the same everywhere"
                )
    return problems


def compare_memory(workers: dict[str, Any]) -> list[str]:
    """Return a line for each worker whose memory limit is too small for its threads.

    Parameters
    ----------
    workers : dict
        By address, as `distributed.Client.scheduler_info` gives them.
    """
    problems = []
    for address, worker in workers.items():
        limit, threads = worker["memory_limit"] or 0, worker["nthreads"]
        need = WORKER_BYTES + threads * THREAD_BYTES
        if 0 < limit < need:
            problems.append(
                f"{address} may use {limit / 1e6:,.0f} MB for {threads} threads, which need "
                f"{need / 1e6:,.0f} MB: fewer threads (--nthreads) or more memory (--memory-limit)"
            )
    return problems


def _packages(told: dict[str, Any] | None) -> dict[str, str | None]:
    known = (told or {}).get("packages") or {}
    python = str(known.get("python") or (told or {}).get("host", {}).get("python") or "")
    return {
        "python": ".".join(python.split(".")[:2]),
        **{name: known.get(name) for name in PACKAGES},
    }


def examine(client: Client, files: Sequence[SourceFile]) -> tuple[list[dict[str, Any]], list[str]]:
    """Look at every worker: versions, memory, clock, and whether it reads the files.

    Returns
    -------
    tuple of (list of dict, list of str)
        A row for each worker, by its address; a line for each problem.
    """
    workers = client.scheduler_info(n_workers=-1)["workers"]
    versions = client.get_versions(packages=list(PACKAGES))
    # Workers come and go meanwhile: looked at are those that were there, and one that has told
    # nothing since is a problem.
    told = {address: versions["workers"].get(address) for address in workers}
    problems = [*compare_versions({**versions, "workers": told}), *compare_memory(workers)]
    if not workers:
        problems.append("the cluster has no workers")
    rows = []
    for address, worker in sorted(workers.items()):
        row = {
            "worker": address,
            "threads": worker["nthreads"],
            "memory": worker["memory_limit"] or None,
            **_packages(told[address]),
            "clock_s": None,
            "reads": None,
        }
        rows.append(row)
        if row["sawlog"] is None:
            continue  # it can't be asked anything more
        begin = time.time()
        try:
            found = client.run(probe, files, workers=[address])[address]
        except Exception as error:  # noqa: BLE001  # whatever is wrong there is the finding
            problems.append(f"{address}: {type(error).__name__}: {error}")
            continue
        end = time.time()
        # It was read between begin and end: what it is off by at least.
        off = max(0.0, found["time"] - end) or min(0.0, found["time"] - begin)
        row["clock_s"] = round(off, 1)
        row["reads"] = not found["errors"]
        if abs(off) > MAX_CLOCK_S:
            problems.append(f"{address}: its clock is {off:+.1f} s off; TLS and stores may refuse")
        problems += [f"{address}: {error}" for error in found["errors"]]
    return rows, problems


def probe(files: Sequence[SourceFile]) -> dict[str, Any]:
    """Tell the time, and what of some files can't be read; runs on a worker."""
    from pipeline.errors import SawlogError
    from pipeline.head import open_source

    errors = []
    for file in files:
        try:
            with open_source(replace(file, inode=None)) as stored:
                stored.read(1)
        except (SawlogError, OSError) as error:
            errors.append(f"{file.url}: {error}")
    return {"time": time.time(), "errors": errors}
