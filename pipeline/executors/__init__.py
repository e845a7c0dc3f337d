"""Where map tasks run. Each executor gives the same result; `inline` defines what that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from distributed import Client

    from cluster.profile import Profile
    from pipeline.combine import Mapped
    from pipeline.query import MapPlan
    from pipeline.task import MapTask


class Executor(Protocol):
    """Runs map tasks and merges their partials."""

    def reduce(
        self,
        files: Sequence[Sequence[MapTask]],
        plan: MapPlan,
        on_done: Callable[[Mapped], None],
    ) -> Mapped:
        """Map every task and merge all partials, splits of a file in order.

        Parameters
        ----------
        files : sequence of sequence of MapTask
            The splits of each file in order; at least one file, each with at least one split.
        on_done : callable
            Told each split's own result as it comes, from any thread.
        """

    def each(
        self,
        files: Sequence[Sequence[MapTask]],
        plan: MapPlan,
        on_done: Callable[[Mapped], None],
    ) -> Iterator[Mapped]:
        """Map every task and yield what the splits of each file give together, file by file."""

    def stream(self, files: Sequence[Sequence[MapTask]], plan: MapPlan) -> Iterator[Mapped]:
        """Map every task and yield the results one by one, in order; may be left off early."""


#: From so many splits on Dask schedules them: then its import no longer shows.
DASK_SPLITS = 64


def get_executor(
    scheduler: str,
    workers: int,
    n_splits: int,
    cluster: Profile | None = None,
    *,
    is_insecure: bool = False,
) -> Executor:
    """Return the executor for a ``--scheduler`` name and a run of so many splits.

    Parameters
    ----------
    cluster : Profile, optional
        Of a cluster that is started for the run; ``scheduler`` says nothing then.
    is_insecure : bool
        A scheduler may be joined without TLS wherever it runs.

    Raises
    ------
    UsageError
        For an unknown name, or an address that must not be joined.
    """
    from pipeline.errors import unknown_name

    if cluster is not None or "://" in scheduler:
        return _on_cluster(scheduler, cluster, is_insecure=is_insecure)
    if scheduler == "inline" or (scheduler == "threads" and workers == 1):
        from pipeline.executors.inline import InlineExecutor

        return InlineExecutor()
    if scheduler == "threads" and n_splits < DASK_SPLITS:
        from pipeline.executors.pool import PoolExecutor

        return PoolExecutor(workers)
    if scheduler == "threads":
        from pipeline.executors.dask import DaskThreadsExecutor

        return DaskThreadsExecutor(workers)
    raise unknown_name("scheduler", scheduler, ("inline", "threads", "tcp://…", "tls://…"))


def _on_cluster(scheduler: str, cluster: Profile | None, *, is_insecure: bool) -> Executor:
    connect = get_connection(scheduler, cluster, is_insecure=is_insecure)
    from pipeline.executors.distributed import DistributedExecutor

    return DistributedExecutor(connect)


def get_connection(
    scheduler: str, cluster: Profile | None, *, is_insecure: bool
) -> Callable[[], AbstractContextManager[Client]]:
    """Return what starts or joins a cluster for the time of a ``with``.

    Raises
    ------
    UsageError
        A package is missing, or the address must not be joined.
    """
    from functools import partial

    from pipeline.errors import UsageError

    try:
        import distributed  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "distributed":
            raise
        raise UsageError(
            "a cluster takes the package distributed: pip install 'sawlog[distributed]'"
        ) from None
    if cluster is not None:
        from cluster import started

        return partial(started, cluster)
    from cluster.join import joined
    from cluster.security import check_address

    check_address(scheduler, is_insecure=is_insecure)
    return partial(joined, scheduler, is_insecure=is_insecure)
