"""Where map tasks run. Each executor gives the same result; `inline` defines what that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.combine import Mapped
    from pipeline.map import MapTask
    from pipeline.query import MapPlan


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


def get_executor(scheduler: str, workers: int, n_splits: int) -> Executor:
    """Return the executor for a ``--scheduler`` name and a run of so many splits.

    Raises
    ------
    UsageError
        For an unknown name.
    """
    from pipeline.errors import unknown_name

    if scheduler == "inline" or (scheduler == "threads" and workers == 1):
        from pipeline.executors.inline import InlineExecutor

        return InlineExecutor()
    if scheduler == "threads" and n_splits < DASK_SPLITS:
        from pipeline.executors.pool import PoolExecutor

        return PoolExecutor(workers)
    if scheduler == "threads":
        from pipeline.executors.dask import DaskThreadsExecutor

        return DaskThreadsExecutor(workers)
    raise unknown_name("scheduler", scheduler, ("inline", "threads"))
