"""A cluster on hosts that ssh reaches: a scheduler on the first of them, workers on all."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster import WEB_ADDRESS
from cluster.security import read_security
from pipeline.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from cluster.profile import Profile


@dataclass(slots=True)
class _Started:
    cluster: Any
    security: Any


def need(profile: Profile) -> None:
    """Need asyncssh here, certificates, and the hosts' keys."""
    try:
        import asyncssh  # noqa: F401
    except ModuleNotFoundError:
        raise UsageError("--cluster ssh takes asyncssh: pip install 'sawlog[ssh]'") from None
    read_security(profile)
    known = Path(profile["known_hosts"]).expanduser()
    if not known.is_file():
        raise UsageError(
            f"there is no {known}, and without the hosts' keys anybody can pose as one of them: "
            f"ssh-keyscan HOST >> {known}, and compare what it got"
        )


def start(profile: Profile) -> _Started:
    """Start the scheduler, then the workers."""
    import dask
    from distributed import SSHCluster

    security = read_security(profile)
    connect: dict[str, Any] = {
        "port": profile["port"],
        "known_hosts": str(Path(profile["known_hosts"]).expanduser()),
        # A host that is gone is missed after a minute; the connection of its workers sooner.
        "keepalive_interval": 20,
        "connect_timeout": profile["timeout_s"],
    }
    if profile["user"]:
        connect["username"] = profile["user"]
    if profile["identity"]:
        connect["client_keys"] = [str(Path(profile["identity"]).expanduser())]
    hosts = list(profile["hosts"])
    workers: dict[str, Any] = {
        "n_workers": profile["workers"],
        "memory_limit": profile["memory"] or "auto",
    }
    if profile["threads"]:
        workers["nthreads"] = profile["threads"]
    if profile["folder"]:
        workers["local_directory"] = profile["folder"]
    protocol = "tcp" if security is None else "tls"
    try:
        # What is started there takes our configuration along: in it are the paths of certificates.
        with dask.config.set({} if security is None else _tls_settings(security)):
            cluster = SSHCluster(
                [hosts[0], *hosts],
                connect_options=connect,
                scheduler_options={
                    "port": 0,
                    "protocol": f"{protocol}://",
                    "dashboard": False,
                    "dashboard_address": WEB_ADDRESS,
                    # Where this process is killed nobody stops it; it then has nothing to do.
                    "idle_timeout": "30 minutes",
                },
                worker_options={**workers, "protocol": f"{protocol}://"},
                remote_python=profile["python"] or None,
                security=security,
            )
    except Exception as error:
        raise ClusterError(
            f"the cluster on {', '.join(hosts)} does not start: {type(error).__name__}: {error}. "
            "Does `ssh HOST PYTHON -m pipeline --version` work, with the profile's python? Are the "
            "certificates there, under the same paths?"
        ) from error
    return _Started(cluster, security)


def run(handle: _Started) -> Any:
    """Return a client."""
    from distributed import Client

    return Client(handle.cluster, security=handle.security, set_as_default=False)


def watch(handle: _Started) -> list[str]:
    """Tell of each host."""
    workers = handle.cluster.workers.items()
    return [f"worker {name} on {one.address}: {one.status.name}" for name, one in workers]


def clean_up(handle: _Started) -> None:
    """Stop workers and scheduler."""
    with suppress(TimeoutError, OSError):
        handle.cluster.close(timeout=10)


def _tls_settings(security: Any) -> dict[str, Any]:
    tls = {"ca-file": security.tls_ca_file}
    for role in ("client", "scheduler", "worker"):
        tls[role] = {
            "cert": getattr(security, f"tls_{role}_cert"),
            "key": getattr(security, f"tls_{role}_key"),
        }
    return {"distributed.comm.tls": tls, "distributed.comm.require-encryption": True}
