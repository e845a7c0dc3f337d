"""TLS of a cluster, and what may run without it."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from cluster.profile import Profile

_HOW = "cluster/README.md shows the openssl commands that make certificates"


def read_security(profile: Profile) -> Any:
    """Return Dask's security settings for the certificates that a profile names.

    None with ``--insecure``.

    Raises
    ------
    UsageError
        A file is missing, or others can read the key.
    """
    from distributed import Security

    if profile.is_insecure:
        return None
    paths = {key: str(Path(profile[key]).expanduser()) for key in ("tls_ca", "tls_cert", "tls_key")}
    for key, path in paths.items():
        if not Path(path).is_file():
            raise UsageError(
                f"{key} of the profile {profile.name}: there is no {path}. {_HOW}; --insecure goes "
                "without, in a network where nobody else is"
            )
    if Path(paths["tls_key"]).stat().st_mode & 0o077:
        raise UsageError(
            f"others can read {paths['tls_key']}, and who has it can run programs on the cluster: "
            "chmod 600 it"
        )
    return Security(
        tls_ca_file=paths["tls_ca"],
        require_encryption=True,
        **{
            f"tls_{role}_{part}": paths[f"tls_{part}"]
            for role in ("client", "scheduler", "worker")
            for part in ("cert", "key")
        },
    )


def check_address(address: str, *, is_insecure: bool) -> None:
    """Refuse what is no scheduler's address, and one beyond this machine without TLS.

    Raises
    ------
    UsageError
        Says what to do.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        port = None
    if port is None or parts.scheme not in ("tcp", "tls") or not parts.hostname:
        raise UsageError(
            f"--scheduler {address}: a scheduler's address is like tls://scheduler:8786"
        )
    if parts.scheme == "tcp" and not is_loopback(parts.hostname) and not is_insecure:
        raise UsageError(
            f"--scheduler {address} would send logs over the network without encryption, and let "
            f"everybody there run programs on the workers. Start it with TLS ({_HOW}), or add "
            "--insecure"
        )


def check_listening(address: str, *, is_insecure: bool) -> None:
    """Refuse a scheduler on this machine that listens beyond it without TLS.

    A scheduler says by itself where it listens; the address that it was reached by does not tell.

    Raises
    ------
    ClusterError
        Says what to do.
    """
    parts = urlsplit(address)
    if parts.scheme == "tcp" and not is_loopback(parts.hostname or "") and not is_insecure:
        raise ClusterError(
            f"the scheduler listens on {address} without TLS: everybody in that network can run "
            f"programs on its workers. Start it with --host 127.0.0.1, or with TLS ({_HOW}), or "
            "add --insecure"
        )


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, and reached without a network."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
