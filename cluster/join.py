"""Join a cluster that runs already: ``--scheduler tls://scheduler:8786``."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cluster import _quiet
from cluster.security import check_address, check_listening
from pipeline.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client

#: Seconds to wait for an answer.
TIMEOUT_S = 10


@contextmanager
def joined(address: str, *, is_insecure: bool = False) -> Iterator[Client]:
    """Connect to a scheduler for the time of a ``with``; it runs on afterwards.

    Certificates are those of Dask's own configuration (``distributed.comm.tls``, or the environment
    ``DASK_DISTRIBUTED__COMM__TLS__…``).

    Raises
    ------
    UsageError
        The address is none, or lacks TLS, or there are no certificates.
    ClusterError
        Nobody answers.
    """
    from distributed import Client, Security

    check_address(address, is_insecure=is_insecure)
    security = Security()
    if address.startswith("tls:") and not security.tls_ca_file:
        raise UsageError(
            f"--scheduler {address}: Dask has no certificates. Name them in its configuration or "
            "the environment: DASK_DISTRIBUTED__COMM__TLS__CA_FILE, …TLS__CLIENT__CERT and "
            "…TLS__CLIENT__KEY (cluster/README.md)"
        )
    with _quiet():
        try:
            client = Client(address, security=security, timeout=TIMEOUT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise ClusterError(f"no scheduler answers at {address}: {error}") from None
        try:
            heard = client.scheduler_info(n_workers=0)["address"]
            check_listening(heard, is_insecure=is_insecure)
            yield client
        finally:
            with suppress(Exception):  # the scheduler may be gone
                client.close(timeout=2)
