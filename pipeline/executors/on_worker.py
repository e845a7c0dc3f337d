"""What runs on the workers of a cluster: sent by name, so sawlog must be installed there."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from contextlib import suppress
from dataclasses import replace
from functools import wraps
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dask.sizeof import sizeof
from distributed import WorkerPlugin, get_worker

from pipeline import duck
from pipeline.combine import Mapped, combine_files, combine_splits
from pipeline.errors import SawlogError
from pipeline.executors.units import Unit, unpack_unit
from pipeline.map import map_split
from pipeline.model import Damage
from pipeline.source import limit_read_rate
from pipeline.sources.prefetch import prefetch
from pipeline.sources.secrets import scrub
from pipeline.stitch import Fragments, stitch_all
from pipeline.task import CancelledError, begin_run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.query import MapPlan
    from pipeline.task import MapTask

_runs: dict[str, RunPlugin] = {}
#: Seconds between two looks at how many worker processes share the rate of reads.
SHARE_S = 5
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)


class TaskFailedError(Exception):
    """A task failed on a worker for a reason that another worker, or a second time, may not have.

    Parameters
    ----------
    worker : str
        Its address.
    what : str
        The error, in a line.
    is_workers_fault : bool
        The machine lacks something: no split can be blamed.
    place : tuple of (int, int) or None
        File and split of a unit that was being mapped.
    """

    def __init__(
        self,
        worker: str,
        what: str,
        is_workers_fault: bool = False,  # rebuilt from .args
        place: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(worker, what, is_workers_fault, place)
        self.worker = worker
        self.what = what
        self.is_workers_fault = is_workers_fault
        self.place = place

    def __str__(self) -> str:
        return f"{self.what} (on {self.worker})"


class RunPlugin(WorkerPlugin):  # type: ignore[misc]
    """A run's plan, which the scheduler gives to each worker, to those that come later too.

    Parameters
    ----------
    modules : dict of str to str
        Texts of Python jobs, by the path that they have where the run was started.
    read_rate : int or None
        Bytes per second that all workers together may ask stores for.
    """

    idempotent = True

    def __init__(
        self, run: str, plan: MapPlan, modules: dict[str, str], read_rate: int | None = None
    ) -> None:
        self.name = run
        self.plan = plan
        self.modules = modules
        self.read_rate = self.share = read_rate
        self.host = socket.gethostname()

    async def setup(self, worker: Any) -> None:
        """Keep the plan at hand; take no more memory than the worker may, nor of the rate."""
        from pipeline.python_job import adopt_module

        self.is_elsewhere = socket.gethostname() != self.host
        self.cancelled = threading.Event()
        if not _runs:
            begin_run()
            duck.set_share(worker.memory_manager.memory_limit or 0, worker.local_directory)
        for path, text in self.modules.items():
            adopt_module(path, text)
        self.sharing: asyncio.Task[None] | None = None
        if self.read_rate is not None:
            await self._take_share(worker)
            self.sharing = asyncio.create_task(self._keep_share(worker))
        _runs[self.name] = self

    def teardown(self, worker: Any) -> None:
        """Let map tasks that still run end at their next block."""
        del worker
        self.cancelled.set()
        if self.sharing is not None:
            self.sharing.cancel()
        _runs.pop(self.name, None)

    async def _take_share(self, worker: Any) -> None:
        told = await worker.scheduler.identity(n_workers=0)
        assert self.read_rate is not None
        self.share = max(1, self.read_rate // max(1, told["n_workers"]))
        limit_read_rate(self.share)

    async def _keep_share(self, worker: Any) -> None:
        """Follow the number of workers: others may come, or go, in mid-run."""
        while True:
            await asyncio.sleep(SHARE_S)
            with suppress(OSError):  # the scheduler is busy, or gone
                await self._take_share(worker)


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Tell what went wrong, and where; errors that the run would end with anywhere stay."""

    @wraps(function)
    def run(*args: Any) -> Any:
        try:
            return function(*args)
        except (SawlogError, CancelledError, TaskFailedError):
            raise
        except Exception as error:  # noqa: BLE001  # of any library, or a user's own job
            raise _failed(error) from None

    return run


def _failed(
    error: Exception,
    place: tuple[int, int] | None = None,
    options: Mapping[str, str] = MappingProxyType({}),
) -> TaskFailedError:
    is_full = isinstance(error, MemoryError) or getattr(error, "errno", None) in _FULL
    # DuckDB has one kind of error for all that happens to its files.
    is_full = is_full or "No space left on device" in str(error)
    what = scrub(f"{type(error).__name__}: {error}".splitlines()[0], options)[:500]
    return TaskFailedError(get_worker().address, what, is_full, place)


def _find_run(name: str) -> RunPlugin:
    run = _runs.get(name)
    if run is None:
        raise TaskFailedError(get_worker().address, "it lacks the run's plan", True)  # noqa: FBT003
    return run


@_guarded
def map_unit(packed: bytes) -> Mapped:
    """Map the splits of a unit, one after the other, and merge them as `inline` does."""
    name, unit = unpack_unit(packed)
    run = _find_run(name)
    if len(unit.files) > 1:
        with suppress(Exception):  # mapping will say what is wrong
            prefetch([of_file[0].split.file for of_file in unit.files])
    merged: Mapped | None = None
    told = []
    for f, tasks in enumerate(unit.files):
        of_file: Mapped | None = None
        for k, task in enumerate(tasks):
            part = _map_split(run, unit, task, (f, k))
            counts = part.files[task.split.file.url]
            told.append((f, k, counts.stored_bytes, counts.damage is not None))
            of_file = part if of_file is None else combine_splits([of_file, part], run.plan)
        assert of_file is not None
        merged = of_file if merged is None else combine_files([merged, of_file], run.plan)
    assert merged is not None
    get_worker().log_event(name, (unit.number, told))
    return merged


def _map_split(run: RunPlugin, unit: Unit, task: MapTask, place: tuple[int, int]) -> Mapped:
    file = task.split.file
    if place in unit.given_up:
        mapped = Mapped.empty(file.url, run.plan)
        start = task.split.start
        mapped.files[file.url].damage = Damage(
            file.url,
            "failed",
            start.stored_offset if start else 0,
            start.plain_offset if start else 0,
            unit.given_up[place],
        )
        return mapped
    if run.is_elsewhere and file.inode is not None:
        # The same file on a shared file system has another device number on each machine.
        task = replace(task, split=replace(task.split, file=replace(file, inode=None)))
    try:
        bound = replace(task, plan=run.plan, read_rate=run.share)
        return map_split(bound, run.cancelled.is_set)
    except (SawlogError, CancelledError):
        raise
    except Exception as error:  # noqa: BLE001  # of any library, or a user's own job
        # What a library says may hold secrets, and Dask would write it into the worker's log.
        raise _failed(error, place, dict(file.options)) from None


@_guarded
def merge_splits(name: str, parts: Sequence[Mapped]) -> Mapped:
    """Merge adjacent parts of one file."""
    # Dask may need them again, where a worker dies.
    return combine_splits([parts[0].copy(), *parts[1:]], _find_run(name).plan)


@_guarded
def merge_files(name: str, parts: Sequence[Mapped]) -> Mapped:
    """Merge the partials of different files."""
    return combine_files([parts[0].copy(), *parts[1:]], _find_run(name).plan)


@_guarded
def take_partials(mapped: Mapped) -> Mapped:
    """Return partials without fragments of messages, which are merged in another way."""
    return Mapped(mapped.partials, mapped.files)


@_guarded
def tell_fragments(mapped: Mapped) -> list[tuple[str, int, bool]]:
    """Return each file's URL, its rows of fragments, and whether nothing behind them counts."""
    return [
        (
            url,
            mapped.fragments[url].n_rows if url in mapped.fragments else 0,
            counts.damage is not None,
        )
        for url, counts in mapped.files.items()
    ]


@_guarded
def deal_fragments(mapped: Mapped, n: int) -> list[dict[str, Fragments]]:
    """Deal the fragments of each file out to ``n`` partitions."""
    dealt: list[dict[str, Fragments]] = [{} for _ in range(n)]
    for url, fragments in mapped.fragments.items():
        for part, one in zip(dealt, fragments.copy().deal(n), strict=True):
            if one.n_rows:
                part[url] = one
    return dealt


@_guarded
def pick_part(dealt: list[dict[str, Fragments]], k: int) -> dict[str, Fragments]:
    """Return one partition of what was dealt out."""
    return dealt[k]


@_guarded
def keep_order(urls: Sequence[str]) -> Sequence[str]:
    """Return the files in their order, for the tasks that ask for it."""
    return urls


@_guarded
def stitch_part(
    name: str, order_and_parts: tuple[Sequence[str], *tuple[dict[str, Fragments], ...]]
) -> Mapped:
    """Make messages of one partition's fragments and query them.

    Parameters
    ----------
    order_and_parts : sequence
        The files by the time of their first lines; then fragments of some splits, in their order.
    """
    order, *parts = order_and_parts
    plan = _find_run(name).plan
    mapped = Mapped([[[] for _ in query.branches] for query in plan.queries], {})
    by_file: dict[str, list[Fragments]] = {}
    for part in parts:
        for url, one in part.items():
            by_file.setdefault(url, []).append(one.copy())
    in_order = (one for url in order for one in by_file.get(url, ()))
    stitch_all(in_order, plan, mapped.partials)
    mapped.combine_within(plan)
    return mapped


@sizeof.register(Mapped)  # type: ignore[untyped-decorator, no-untyped-call]
def _size_of_mapped(mapped: Mapped) -> int:
    return 1000 + mapped.held_bytes


@sizeof.register(Fragments)  # type: ignore[untyped-decorator, no-untyped-call]
def _size_of_fragments(fragments: Fragments) -> int:
    return 200 + fragments.held_bytes
