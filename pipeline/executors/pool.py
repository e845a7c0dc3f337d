"""Run map tasks on a plain pool of threads: what runs of a few seconds take instead of Dask.

Importing Dask takes 0.14 s, as long as mapping a quarter of a gigabyte does on two cores.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.combine import combine_files, combine_splits
from pipeline.map import map_split
from pipeline.task import cancel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.combine import Mapped
    from pipeline.query import MapPlan
    from pipeline.task import MapTask


class PoolExecutor:
    """Threads of this process; results are merged in order, as they come."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def reduce(
        self,
        files: Sequence[Sequence[MapTask]],
        plan: MapPlan,
        on_done: Callable[[Mapped], None],
    ) -> Mapped:
        """See `pipeline.executors.Executor.reduce`."""
        merged: Mapped | None = None
        for whole in self.each(files, plan, on_done):
            merged = whole if merged is None else combine_files([merged, whole], plan)
        assert merged is not None
        return merged

    def each(
        self,
        files: Sequence[Sequence[MapTask]],
        plan: MapPlan,
        on_done: Callable[[Mapped], None],
    ) -> Iterator[Mapped]:
        """See `pipeline.executors.Executor.each`."""
        with self._pool() as pool:
            futures = [[pool.submit(map_split, task) for task in tasks] for tasks in files]
            for of_file in futures:
                whole: Mapped | None = None
                for future in of_file:
                    part = future.result()
                    on_done(part)
                    whole = part if whole is None else combine_splits([whole, part], plan)
                assert whole is not None
                of_file.clear()  # what was handed on needn't be held
                yield whole

    def stream(self, files: Sequence[Sequence[MapTask]], plan: MapPlan) -> Iterator[Mapped]:
        """See `pipeline.executors.Executor.stream`: some splits ahead, never all of them."""
        del plan
        tasks = [task for of_file in files for task in of_file]
        window = 4 * self.workers
        with self._pool() as pool:
            for begin in range(0, len(tasks), window):
                yield from pool.map(map_split, tasks[begin : begin + window])

    @contextmanager
    def _pool(self) -> Iterator[ThreadPoolExecutor]:
        with ThreadPoolExecutor(self.workers, thread_name_prefix="sawlog-map") as pool:
            try:
                yield pool
            except BaseException:
                cancel()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
