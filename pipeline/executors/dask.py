"""Run map tasks on Dask's threads: kernels, decompressors and DuckDB all release the GIL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask.threaded import get

from pipeline.combine import combine_files, combine_splits
from pipeline.map import map_split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.combine import Mapped
    from pipeline.query import MapPlan
    from pipeline.task import MapTask

#: Partials merge as a tree of this arity: results wait for few others, and few wait for long.
SPLIT_EVERY = 8


class DaskThreadsExecutor:
    """A Dask graph of map tasks under a tree of combines, on threads of this process."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def reduce(
        self,
        files: Sequence[Sequence[MapTask]],
        plan: MapPlan,
        on_done: Callable[[Mapped], None],
    ) -> Mapped:
        """See `pipeline.executors.Executor.reduce`."""
        graph, tops = self._map_graph(files, plan, on_done)
        merged: Mapped = self._get(graph, _tree(graph, "all", tops, combine_files, plan))
        return merged

    def _map_graph(
        self,
        files: Sequence[Sequence[MapTask]],
        plan: MapPlan,
        on_done: Callable[[Mapped], None],
    ) -> tuple[dict[Any, Any], list[Any]]:
        """Return a graph of map tasks under a tree for each file, and the tops of the trees."""
        graph: dict[Any, Any] = {}

        def mapped(task: MapTask) -> Mapped:
            part = map_split(task)
            on_done(part)
            return part

        tops = []
        for f, tasks in enumerate(files):
            keys = []
            for k, task in enumerate(tasks):
                graph["map", f, k] = (mapped, task)
                keys.append(("map", f, k))
            tops.append(_tree(graph, f"file-{f}", keys, combine_splits, plan))
        return graph, tops

    def each(
        self,
        files: Sequence[Sequence[MapTask]],
        plan: MapPlan,
        on_done: Callable[[Mapped], None],
    ) -> Iterator[Mapped]:
        """See `pipeline.executors.Executor.each`: some files at a time."""
        begin = 0
        while begin < len(files):
            stop, n_splits = begin, 0
            while stop < len(files) and n_splits < 4 * self.workers:
                n_splits += len(files[stop])
                stop += 1
            graph, tops = self._map_graph(files[begin:stop], plan, on_done)
            yield from self._get(graph, tops)
            begin = stop

    def stream(self, files: Sequence[Sequence[MapTask]], plan: MapPlan) -> Iterator[Mapped]:
        """See `pipeline.executors.Executor.stream`: some splits ahead, never all of them."""
        del plan
        tasks = [task for of_file in files for task in of_file]
        window = 4 * self.workers
        for begin in range(0, len(tasks), window):
            graph = {
                ("map", k): (map_split, task)
                for k, task in enumerate(tasks[begin : begin + window])
            }
            yield from self._get(graph, list(graph))

    def _get(self, graph: dict[Any, Any], keys: Any) -> Any:
        from concurrent.futures import ThreadPoolExecutor

        from pipeline.task import cancel

        # A pool of our own: Dask's default one outlives the run, and with it the threads' cursors.
        with ThreadPoolExecutor(self.workers, thread_name_prefix="sawlog-map") as pool:
            try:
                return get(graph, keys, pool=pool)
            except BaseException:
                cancel()
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _tree(
    graph: dict[Any, Any],
    name: str,
    keys: list[Any],
    combine: Callable[[Sequence[Mapped], MapPlan], Mapped],
    plan: MapPlan,
) -> Any:
    """Add the combines over adjacent keys to the graph; return the key of the last."""
    level = 0
    while len(keys) > 1:
        above = []
        for k in range(0, len(keys), SPLIT_EVERY):
            key = (name, level, k)
            graph[key] = (combine, keys[k : k + SPLIT_EVERY], plan)
            above.append(key)
        keys = above
        level += 1
    return keys[0]
