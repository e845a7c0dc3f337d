"""A cluster of Slurm jobs: the scheduler runs in this process, each job is a worker."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster import WEB_ADDRESS, environment
from cluster.security import read_security
from pipeline.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from cluster.profile import Profile


@dataclass(slots=True)
class _Started:
    cluster: Any
    security: Any
    logs: Path


def need(profile: Profile) -> None:
    """Need dask-jobqueue, Slurm's commands and certificates."""
    try:
        import dask_jobqueue  # noqa: F401
    except ModuleNotFoundError:
        raise UsageError(
            "--cluster slurm takes dask-jobqueue: pip install 'sawlog[slurm]'"
        ) from None
    if shutil.which("sbatch") is None:
        raise UsageError("there is no sbatch here: start the run on a login node of the Slurm")
    read_security(profile)


def start(profile: Profile) -> _Started:
    """Start the scheduler and queue the jobs."""
    from dask_jobqueue import SLURMCluster

    security = read_security(profile)
    logs = Path(profile["logs"]).expanduser().absolute()
    logs.mkdir(parents=True, exist_ok=True)
    try:
        cluster = SLURMCluster(
            n_workers=profile["workers"],
            cores=profile["threads"],
            processes=1,
            memory=profile["memory"],
            walltime=profile["walltime"],
            queue=profile["partition"] or None,
            account=profile["account"] or None,
            interface=profile["interface"] or None,
            python=profile["python"] or None,
            local_directory=profile["folder"] or None,
            log_directory=str(logs),
            job_name="sawlog",
            job_extra_directives=list(profile["directives"]),
            job_script_prologue=[
                *(f"export {name}='{value}'" for name, value in environment().items()),
                *profile["prologue"],
            ],
            protocol="tcp://" if security is None else "tls://",
            security=security,
            scheduler_options={"dashboard": False, "dashboard_address": WEB_ADDRESS},
        )
    except Exception as error:
        raise ClusterError(
            f"the cluster does not start: {type(error).__name__}: {error}"
        ) from error
    return _Started(cluster, security, logs)


def run(handle: _Started) -> Any:
    """Return a client."""
    from distributed import Client

    return Client(handle.cluster, security=handle.security, set_as_default=False)


def watch(handle: _Started) -> list[str]:
    """Tell of each job, as Slurm does; and where the workers' logs are."""
    jobs = [str(job.job_id) for job in handle.cluster.workers.values() if job.job_id]
    lines = []
    if jobs:
        told = subprocess.run(
            ["squeue", "--noheader", "--format", "job %i: %T %R", "--jobs", ",".join(jobs)],
            capture_output=True,
            text=True,
            check=False,
        )
        lines = told.stdout.splitlines() or [f"no job is queued any more of {', '.join(jobs)}"]
    return [*lines, f"logs of the workers: {handle.logs}"]


def clean_up(handle: _Started) -> None:
    """Cancel the jobs and stop the scheduler."""
    with suppress(TimeoutError, OSError):
        handle.cluster.close(timeout=20)
