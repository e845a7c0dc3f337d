"""A cluster of processes on this machine, on loopback only."""

from __future__ import annotations

import signal
from contextlib import suppress
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from cluster import WEB_ADDRESS
from cluster.profile import n_local_threads, n_local_workers
from pipeline.errors import ClusterError

if TYPE_CHECKING:
    from cluster.profile import Profile


def need(profile: Profile) -> None:
    """Need nothing: what it takes comes with Dask."""
    del profile


def start(profile: Profile) -> Any:
    """Start a scheduler in this process, and workers that are started anew where they die."""
    from distributed import LocalCluster

    # It lets the signal through again when it starts by itself, in the thread that needs it.
    resource_tracker.ensure_running()
    # A Ctrl-C in the terminal reaches all processes of the group. It is for this one, which then
    # stops the others: threads and processes that are made now, or by these, don't take it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return LocalCluster(
            host="127.0.0.1",
            n_workers=n_local_workers(profile),
            threads_per_worker=n_local_threads(profile),
            memory_limit=profile["memory"] or "auto",
            local_directory=profile["folder"] or None,
            dashboard_address=WEB_ADDRESS,
            silence_logs=50,
        )
    except (OSError, RuntimeError, TimeoutError) as error:
        raise ClusterError(f"the local cluster does not start: {error}") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run(handle: Any) -> Any:
    """Return a client."""
    from distributed import Client

    return Client(handle, set_as_default=False)


def watch(handle: Any) -> list[str]:
    """Tell of each worker process."""
    return [f"{name}: {worker.status}" for name, worker in handle.workers.items()]


def clean_up(handle: Any) -> None:
    """Stop the processes."""
    with suppress(TimeoutError):
        handle.close(timeout=10)
