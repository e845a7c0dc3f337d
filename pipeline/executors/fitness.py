"""Compare a cluster with this machine before a run: versions, memory, threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.errors import ClusterError

if TYPE_CHECKING:
    from distributed import Client

#: What must be the same everywhere, since partials and plans travel between them.
PACKAGES = ("sawlog", "duckdb", "pyarrow", "dask", "distributed")
#: Memory that a worker takes before it maps anything, and for each thread that maps.
WORKER_BYTES, THREAD_BYTES = 300_000_000, 300_000_000


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
