"""Clusters that a run joins, or starts and stops: one file per target, settings in profiles.

Each target has the same five functions:

* ``need(profile)``: is what it takes on this machine?
* ``start(profile)``: start a scheduler and workers; returns a handle on them;
* ``run(handle)``: a client for one run;
* ``watch(handle)``: how it is, in some lines;
* ``clean_up(handle)``: stop what was started, whatever happened.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cluster.profile import TARGETS, Profile
from pipeline.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client


#: Dask's settings for what we start. Its profiler looks at every thread each 10 ms, its clock ticks
#: each 20 ms to see whether it is late, and its logs hold more of a task than the task.
SETTINGS = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "500ms",
    "distributed.admin.system-monitor.interval": "2s",
    "distributed.admin.low-level-log-length": 100,
    # Its web server asks nobody who he is, and would tell of tasks and logs without TLS.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}
#: Where the scheduler's web server listens all the same; any port, so that none is taken.
WEB_ADDRESS = "127.0.0.1:0"


def environment() -> dict[str, str]:
    """Return the settings as variables, for processes that don't get them from us."""
    return {
        f"DASK_{name.upper().replace('-', '_').replace('.', '__')}": str(value)
        for name, value in SETTINGS.items()
    }


@contextmanager
def started(profile: Profile) -> Iterator[Client]:
    """Start the cluster of a profile for the time of a ``with``.

    Raises
    ------
    ClusterError
        A program or package is missing, or it does not start.
    """
    import dask

    target = _target(profile)
    target.need(profile)
    with _quiet(), dask.config.set(SETTINGS):
        handle = target.start(profile)
        try:
            client = target.run(handle)
            try:
                _await_workers(client, profile, target, handle)
                yield client
            finally:
                client.close(timeout=2)
        finally:
            target.clean_up(handle)


def watch(profile: Profile, handle: Any) -> list[str]:
    """Tell how a started cluster is."""
    return list(_target(profile).watch(handle))


def _target(profile: Profile) -> Any:
    return import_module(TARGETS[profile.target])


def _await_workers(client: Client, profile: Profile, target: Any, handle: Any) -> None:
    """Wait until all workers have come; later ones would join in, too, but a check wants all."""
    wanted = profile.n_workers
    end = time.monotonic() + profile["timeout_s"]
    while True:
        n_workers = len(client.scheduler_info(n_workers=-1)["workers"])
        if n_workers >= wanted:
            return
        if time.monotonic() > end:
            if n_workers:
                return
            lines = "\n  ".join(target.watch(handle))
            raise ClusterError(
                f"no worker has come within {profile['timeout_s']} s (timeout_s in the profile "
                f"{profile.name}):\n  {lines}"
            )
        time.sleep(0.05)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's log to its errors: what a run has to say, it says itself."""
    import logging

    loggers = [logging.getLogger(name) for name in ("distributed", "asyncssh", "dask_jobqueue")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
