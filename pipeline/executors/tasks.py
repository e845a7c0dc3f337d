"""Tasks on a Dask cluster that are tried again elsewhere, and the tree that they form."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from distributed import KilledWorker, as_completed

from pipeline.errors import ClusterError, SawlogError
from pipeline.executors.on_worker import TaskFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from distributed import Client, Future

    from pipeline.executors.units import Unit

#: Times that a task may fail by itself, and that it may be given up since its workers died; Dask
#: starts it on three more workers before it gives it up.
MAX_FAILURES, MAX_KILLED = 3, 3
#: Tasks that are submitted at once, while so many more are under way.
WINDOW = 1000
#: Seconds to wait for workers where all have gone; seconds between two looks.
NO_WORKERS_S, ASK_S = 120, 2


@dataclass(eq=False, slots=True)
class Node:
    """A task and the tasks whose results it takes.

    Attributes
    ----------
    arguments, after : tuple
        Before and behind the results of its children.
    takes_one : bool
        It takes its only child's result, not a list of results.
    unit : Unit or None
        What it maps, for a leaf.
    is_kept : bool
        Its result is used again later on.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    children: Sequence[Node] = ()
    takes_one: bool = False
    unit: Unit | None = None
    is_kept: bool = False
    after: tuple[Any, ...] = ()
    parents: list[Node] = field(default_factory=list)
    future: Future | None = None
    is_done: bool = False
    n_failed: int = 0
    n_killed: int = 0
    avoids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for child in self.children:
            child.parents.append(self)

    @property
    def name(self) -> str:
        """What a message calls it."""
        if self.unit is not None:
            return f"mapping {self.unit.name}"
        return self.function.__name__.replace("_", " ")


class Tasks:
    """Runs nodes on a cluster; each is submitted when its children are done.

    Dask runs a task again by itself where a worker died that ran it or held its result. What
    fails is tried on other workers from here, since Dask would try it on the same one.
    """

    def __init__(self, client: Client, run: str) -> None:
        self._client = client
        self._run = run
        self._nodes: dict[str, Node] = {}
        self._counter = 0
        self._completed = as_completed(loop=client.loop)

    def run(self, tops: Sequence[Node]) -> None:
        """Run nodes and all below them that are not done; results stay on the workers."""
        for node in tops:
            node.is_kept = True
        waiting = (node for node in _below(tops) if not node.is_done)
        ready = [node for node in waiting if all(c.is_done for c in node.children)]
        # Messages of a bounded size, and the scheduler and we hold no more than is under way.
        for begin in range(0, len(ready), WINDOW):
            self._submit(ready[begin : begin + WINDOW])
            while len(self._nodes) > WINDOW:
                self._take_next()
        while self._nodes:
            self._take_next()

    def stream(self, leaves: Iterator[Node], ahead: int) -> Iterator[Any]:
        """Run leaves and yield their results in order, only so many of them ahead."""
        window: list[Node] = []
        for node in leaves:
            node.is_kept = True
            window.append(node)
            self._submit([node])
            if len(window) >= ahead:
                yield self._wait_for(window.pop(0))
        while window:
            yield self._wait_for(window.pop(0))

    def result(self, node: Node) -> Any:
        """Fetch the result of a node that was run."""
        return self.results([node])[0]

    def results(self, nodes: Sequence[Node]) -> list[Any]:
        """Fetch the results of nodes that were run."""
        while True:
            try:
                return list(self._client.gather([node.future for node in nodes]))
            except SawlogError:
                raise
            except Exception as error:  # noqa: BLE001  # whatever a worker, or Dask itself, raised
                # A worker that held it died, and it failed when it was made again.
                lost = [n for n in nodes if n.future is not None and n.future.status != "finished"]
                if not lost:
                    raise ClusterError(f"results can't be fetched: {error}") from None
                for node in lost:
                    self._failed(node, node.future)
                while self._nodes:
                    self._take_next()

    def release(self, nodes: Sequence[Node]) -> None:
        """Let the workers forget results."""
        for node in nodes:
            node.future = None

    def cancel(self) -> None:
        """Give all tasks up."""
        futures = [node.future for node in self._nodes.values() if node.future is not None]
        self._nodes.clear()
        self._client.cancel(futures, force=True)

    def _wait_for(self, node: Node) -> Any:
        while not node.is_done:
            self._take_next()
        result = self.result(node)
        node.future = None
        return result

    def _take_next(self) -> None:
        self._wait_for_one()
        future = next(self._completed)
        node = self._nodes.pop(future.key, None)
        if node is None:
            return
        if future.status == "finished":
            self._finished(node)
        else:
            self._failed(node, future)

    def _wait_for_one(self) -> None:
        """Wait until a task has ended; not for ever, where there is nobody to run one."""
        asked = alive = time.monotonic()
        while not self._completed.has_ready():
            with self._completed.thread_condition:
                self._completed.thread_condition.wait(timeout=0.1)
            now = time.monotonic()
            if now - asked < ASK_S:
                continue
            asked = now
            if self._client.scheduler_info(n_workers=0)["n_workers"]:
                alive = now
            elif now - alive > NO_WORKERS_S:
                raise ClusterError(
                    f"the cluster has had no workers for {NO_WORKERS_S} s. Did they end for lack "
                    "of memory, or of time? Nothing was written"
                )

    def _submit(self, nodes: Sequence[Node]) -> None:
        leaves = [n for n in nodes if n.unit is not None and not n.avoids]
        if len(leaves) > 1:
            # One message for all of them.
            keys = [self._new_key(node) for node in leaves]
            packed = [node.unit.pack(self._run) for node in leaves]  # type: ignore[union-attr]
            futures = self._client.map(
                leaves[0].function, packed, key=keys, pure=False, batch_size=1000
            )
            for node, key, future in zip(leaves, keys, futures, strict=True):
                self._take_up(node, key, future)
            nodes = [n for n in nodes if n.unit is None or n.avoids]
        for node in nodes:
            self._submit_one(node)

    def _submit_one(self, node: Node) -> None:
        key = self._new_key(node)
        arguments: list[Any] = [*node.arguments]
        if node.unit is not None:
            arguments.append(node.unit.pack(self._run))
        results = [child.future for child in node.children]
        arguments += results if node.takes_one else [results] if results else []
        arguments += node.after
        others = self._others(node.avoids)
        future = self._client.submit(
            node.function,
            *arguments,
            key=key,
            pure=False,
            # What merges results frees memory: before new ones are made.
            priority=0 if node.unit is not None else 10,
            workers=others or None,
            allow_other_workers=bool(others),
        )
        self._take_up(node, key, future)

    def _new_key(self, node: Node) -> str:
        self._counter += 1
        return f"{self._run}-{node.function.__name__.replace('_', '-')}-{self._counter}"

    def _take_up(self, node: Node, key: str, future: Future) -> None:
        node.future = future
        self._nodes[key] = node
        self._completed.add(future)

    def _others(self, avoided: set[str]) -> list[str]:
        if not avoided:
            return []
        known = self._client.scheduler_info(n_workers=-1)["workers"]
        return [address for address in known if address not in avoided]

    def _finished(self, node: Node) -> None:
        node.is_done = True
        for child in node.children:
            if not child.is_kept and all(parent.is_done for parent in child.parents):
                child.future = None
        ready = [
            parent
            for parent in node.parents
            if not parent.is_done
            and parent.future is None
            and all(child.is_done for child in parent.children)
        ]
        self._submit(ready)

    def _failed(self, node: Node, future: Future) -> None:
        if future.status in ("cancelled", "lost"):
            raise ClusterError(
                "the cluster's scheduler was lost during the run, and all work with it. Nothing "
                "was written; run it again"
            )
        error = future.exception()
        broken = [c for c in node.children if c.future is not None and c.future.status == "error"]
        if broken and not isinstance(error, SawlogError):
            # Not its own failure: a result was lost with a worker, and making it again failed.
            for child in broken:
                self._start_anew(child)
            self._try_again(node)
            return
        if isinstance(error, KilledWorker):
            node.n_killed += 1
            if node.n_killed >= MAX_KILLED:
                raise ClusterError(
                    f"{node.name}: workers died of it again and again, the last one was "
                    f"{error.last_worker.address}. Do they have enough memory? Fewer threads per "
                    "worker, more memory, or a smaller --split-size"
                )
        elif isinstance(error, TaskFailedError):
            node.n_failed += 1
            node.avoids.add(error.worker)
            if node.n_failed >= MAX_FAILURES:
                self._give_up(node, error)
        elif isinstance(error, SawlogError):
            raise error
        else:
            # Dask's own, or one that can't even be told in our words.
            node.n_failed += 1
            if node.n_failed >= MAX_FAILURES:
                raise ClusterError(f"{node.name} failed: {type(error).__name__}: {error}")
        self._try_again(node)

    def _try_again(self, node: Node) -> None:
        """Submit a node anew; where its children are not at hand, their end will do it."""
        node.is_done, node.future = False, None
        if all(child.is_done for child in node.children):
            self._submit([node])

    def _give_up(self, node: Node, error: TaskFailedError) -> None:
        """Report what can't be read as damage; what is no split's fault ends the run."""
        if node.unit is None or error.place is None or error.is_workers_fault:
            raise ClusterError(f"{node.name} failed {node.n_failed} times: {error}")
        why = f"mapping it failed {node.n_failed} times: {error.what}"
        node.unit = replace(node.unit, given_up={**node.unit.given_up, error.place: why})
        node.n_failed = 0
        node.avoids.clear()

    def _start_anew(self, top: Node) -> None:
        """Run a node and all below it again: what is below may be forgotten, or broken as well."""
        again = [*_below([top])]
        for node in again:
            node.is_done, node.future = False, None
        self._submit([node for node in again if not node.children])


def _below(tops: Sequence[Node]) -> list[Node]:
    """Return nodes and all below them, each once, children first."""
    seen: dict[Node, None] = {}
    for top in tops:
        stack: list[tuple[Node, bool]] = [(top, False)]
        while stack:
            node, is_open = stack.pop()
            if is_open:
                seen[node] = None
            elif node not in seen:
                stack.append((node, True))
                stack += [(child, False) for child in reversed(node.children)]
    return [*seen]


def tree(
    function: Callable[..., Any], arguments: tuple[Any, ...], nodes: Sequence[Node], arity: int
) -> Node:
    """Return the top of a tree that merges adjacent nodes in order."""
    level = [*nodes]
    while len(level) > 1:
        level = [
            Node(function, arguments, part) if len(part) > 1 else part[0]
            for part in (level[k : k + arity] for k in range(0, len(level), arity))
        ]
    return level[0]
