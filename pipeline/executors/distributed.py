"""Run map tasks on a Dask cluster: merge, shuffle and stitch there, fetch the last result only."""

from __future__ import annotations

import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.combine import FileCounts, Mapped, combine_splits
from pipeline.errors import ClusterError
from pipeline.executors import on_worker
from pipeline.executors.fitness import check_sources, check_workers
from pipeline.executors.tasks import Node, Tasks, tree
from pipeline.executors.units import Unit, pack_splits
from pipeline.model import Damage
from pipeline.shuffle import count_partitions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from distributed import Client

    from pipeline.query import MapPlan
    from pipeline.task import MapTask

#: Partials merge as a tree of this arity.
SPLIT_EVERY = 8
#: Fragments of messages are dealt out from at most about so many places, to so many partitions:
#: the product is a number of tasks.
MAX_GROUPS, MAX_PARTITIONS = 256, 256


class DistributedExecutor:
    """Splits as futures, results merged as a tree on the workers.

    Parameters
    ----------
    connect : callable
        Gives a client of a running cluster, for the time of a ``with``.
    """

    def __init__(self, connect: Callable[[], AbstractContextManager[Client]]) -> None:
        self._connect = connect

    def reduce(
        self,
        files: Sequence[Sequence[MapTask]],
        plan: MapPlan,
        on_done: Callable[[Mapped], None],
    ) -> Mapped:
        """See `pipeline.executors.Executor.reduce`; ``on_done`` is told counts, no partials."""
        units = pack_splits(files)
        with self._run(files, plan) as (run, tasks, client):
            progress = _Progress([unit for of_file in units for unit in of_file], on_done)
            client.subscribe_topic(run, progress.take)
            try:
                if plan.views.stitch is None:
                    top = _merge_tree(run, [[_leaf(unit) for unit in of] for of in units])
                    tasks.run([top])
                    merged = tasks.result(top)
                else:
                    merged = _stitch(run, tasks, units)
            finally:
                with suppress(Exception):  # the cluster may be gone
                    client.unsubscribe_topic(run)
            progress.complete(merged)
            return merged  # type: ignore[no-any-return]

    def each(
        self,
        files: Sequence[Sequence[MapTask]],
        plan: MapPlan,
        on_done: Callable[[Mapped], None],
    ) -> Iterator[Mapped]:
        """See `pipeline.executors.Executor.each`: each split's result comes here as it is."""
        parts = self.stream(files, plan)
        for tasks in files:
            whole: Mapped | None = None
            for part in islice(parts, len(tasks)):
                on_done(part)
                whole = part if whole is None else combine_splits([whole, part], plan)
            assert whole is not None
            yield whole

    def stream(self, files: Sequence[Sequence[MapTask]], plan: MapPlan) -> Iterator[Mapped]:
        """See `pipeline.executors.Executor.stream`: some splits ahead, never all of them."""
        with self._run(files, plan) as (_, tasks, client):
            flat = (task for of_file in files for task in of_file)
            leaves = (_leaf(Unit(number, ((task,),))) for number, task in enumerate(flat))
            yield from tasks.stream(leaves, ahead=4 * max(1, sum(client.nthreads().values())))

    @contextmanager
    def _run(
        self, files: Sequence[Sequence[MapTask]], plan: MapPlan
    ) -> Iterator[tuple[str, Tasks, Client]]:
        """Give the workers the plan of a run; take it away again, whatever happens."""
        check_sources(of_file[0].split.file.url for of_file in files)
        rate = files[0][0].read_rate
        run = f"sawlog-{uuid.uuid4().hex[:12]}"
        with self._connect() as client, _plain_errors():
            check_workers(client)
            client.register_plugin(on_worker.RunPlugin(run, plan, _module_texts(plan), rate))
            tasks = Tasks(client, run)
            try:
                yield run, tasks, client
            except BaseException:
                with suppress(Exception):
                    tasks.cancel()
                raise
            finally:
                with suppress(Exception):  # of a lost cluster nothing must be cleaned up
                    client.unregister_worker_plugin(run)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Tell in our words that the connection broke."""
    from distributed.client import FutureCancelledError
    from distributed.comm import CommClosedError

    try:
        yield
    except (CommClosedError, FutureCancelledError, OSError, TimeoutError) as error:
        raise ClusterError(
            f"the connection to the cluster's scheduler was lost: {error}. Nothing was written; "
            "run it again"
        ) from error


def _leaf(unit: Unit) -> Node:
    return Node(on_worker.map_unit, unit=unit)


def _merge_tree(run: str, files: Sequence[Sequence[Node]]) -> Node:
    """Merge the parts of each file in order, then all files."""
    tops = [tree(on_worker.merge_splits, (run,), of_file, SPLIT_EVERY) for of_file in files]
    return tree(on_worker.merge_files, (run,), tops, SPLIT_EVERY)


def _stitch(run: str, tasks: Tasks, files: Sequence[Sequence[Unit]]) -> Mapped:
    """Map and merge; redistribute the fragments of messages by their keys, and stitch them."""
    groups = _group(run, files)
    flat = [group for of_file in groups for group in of_file]
    for group in flat:
        group.is_kept = True
    partials = _merge_tree(
        run, [[_over(on_worker.take_partials, group) for group in of] for of in groups]
    )
    told = [_over(on_worker.tell_fragments, group) for group in flat]
    tasks.run([partials, *told])
    merged: Mapped = tasks.result(partials)
    rows = tasks.results(told)
    tasks.release(told)
    # A group behind the first damage of its file does not count.
    ended: set[str] = set()
    counted = []
    for group, of_files in zip(flat, rows, strict=True):
        if not any(url in ended for url, _, _ in of_files):
            counted.append((group, sum(n for _, n, _ in of_files)))
        ended.update(url for url, _, is_damaged in of_files if is_damaged)
    n = count_partitions(sum(n_rows for _, n_rows in counted), MAX_PARTITIONS)
    dealt = [_over(on_worker.deal_fragments, group, n) for group, n_rows in counted if n_rows]
    if not dealt:
        return merged
    order = Node(on_worker.keep_order, (merged.order_by_time(),))
    parts = [
        Node(
            on_worker.stitch_part,
            (run,),
            [order, *(_over(on_worker.pick_part, one, k) for one in dealt)],
        )
        for k in range(n)
    ]
    # Partials of messages don't follow the order of the lines.
    top = tree(on_worker.merge_files, (run,), [partials, *parts], SPLIT_EVERY)
    tasks.run([top])
    return tasks.result(top)  # type: ignore[no-any-return]


def _group(run: str, files: Sequence[Sequence[Unit]]) -> list[list[Node]]:
    """Merge adjacent units, of one large file or of small ones, into some groups."""
    n_units = sum(map(len, files))
    size = max(SPLIT_EVERY, -(-n_units // MAX_GROUPS))
    groups: list[list[Node]] = []
    small: list[Node] = []

    def end_small() -> None:
        groups.extend(
            [tree(on_worker.merge_files, (run,), part, size)] for part in _batches(small, size)
        )
        small.clear()

    for units in files:
        if len(units) == 1:
            small.append(_leaf(units[0]))
            continue
        end_small()
        groups.append(
            [
                tree(on_worker.merge_splits, (run,), part, size)
                for part in _batches([*map(_leaf, units)], size)
            ]
        )
    end_small()
    return groups


def _batches(nodes: Sequence[Node], size: int) -> Iterator[Sequence[Node]]:
    return (nodes[k : k + size] for k in range(0, len(nodes), size))


def _over(function: Callable[..., Any], child: Node, *after: Any) -> Node:
    return Node(function, children=[child], takes_one=True, after=after)


def _module_texts(plan: MapPlan) -> dict[str, str]:
    """Return the texts of Python jobs, which workers can't read from our disk."""
    from pipeline.python_job import PythonQuery

    paths = {query.path for query in plan.queries if isinstance(query, PythonQuery)}
    return {path: Path(path).read_text(encoding="utf-8") for path in paths}


@dataclass(slots=True)
class _Progress:
    """Tells of each split once, however often workers say that they have mapped it."""

    units: Sequence[Unit]
    on_done: Callable[[Mapped], None]
    told: set[int] = field(default_factory=set)

    def take(self, event: Any) -> None:
        """Take in what a worker says."""
        _, (number, splits) = event
        if number in self.told:
            return
        self.told.add(number)
        for f, k, stored_bytes, is_damaged in splits:
            self._tell(self.units[number].files[f][k], stored_bytes, is_damaged=is_damaged)

    def complete(self, merged: Mapped) -> None:
        """Tell of what no word has come from: events are not waited for."""
        del merged
        for unit in self.units:
            if unit.number not in self.told:
                self.told.add(unit.number)
                for tasks in unit.files:
                    for task in tasks:
                        self._tell(task, 0, is_damaged=False)

    def _tell(self, task: MapTask, stored_bytes: int, *, is_damaged: bool) -> None:
        url = task.split.file.url
        damage = Damage(url, "damaged") if is_damaged else None
        self.on_done(Mapped([], {url: FileCounts(stored_bytes=stored_bytes, damage=damage)}))
