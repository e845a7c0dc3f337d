"""Map a split: scan its blocks, run every query's map phase over them, return partials."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline import duck
from pipeline.combine import Mapped, combine_tables
from pipeline.errors import DamageError, SourceError
from pipeline.model import Damage
from pipeline.read import Buffers, read_ahead, read_blocks
from pipeline.scan import LineScanner
from pipeline.sql import Query

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pipeline.yearless import YearTable

    import pyarrow as pa

    from pipeline.compression.base import PlainReader
    from pipeline.model import Split
    from pipeline.python_job import PythonQuery
    from pipeline.query import MapPlan
    from pipeline.read import Block
    from pipeline.sql import Branch

#: Partials of so many tables are combined before more are taken in.
COMBINE_EVERY = 32

_local = threading.local()
_cancelled = threading.Event()


class CancelledError(Exception):
    """The run was given up; its map tasks end at their next block."""


def cancel() -> None:
    """Make every running map task of this process end soon."""
    _cancelled.set()


@dataclass(frozen=True, slots=True)
class MapTask:
    """One split and all that mapping it takes; can be sent to another process.

    Attributes
    ----------
    years : YearTable
        Dates the file's year-less stamps.
    is_ahead : bool
        Decode on a thread of its own, in step with the scan: when there are fewer splits than
        workers.
    block_bytes : int
        Size of a block.
    index_path : str or None
        Where to write a seek index of the file, made in passing.
    """

    split: Split
    years: YearTable
    plan: MapPlan
    is_ahead: bool = False
    block_bytes: int = 16 << 20
    index_path: str | None = None


@dataclass(slots=True)
class _Scanned:
    """What the name ``scanned`` stands for in DuckDB: the table at hand, asked for anew each time."""

    table: pa.Table = field(default=None)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


def map_split(task: MapTask) -> Mapped:
    """Read one split and return its partials, counts and damage.

    Never raises for what is in the input: a damaged or unreadable file is part of the answer.
    """
    split = task.split
    url = split.file.url
    mapped = Mapped.empty(url, task.plan)
    counts = mapped.files[url]
    try:
        reader = _open(task)
    except SourceError as error:
        counts.damage = Damage(url, error.kind, detail=error.detail)
        return mapped
    scanner, scanned = _prepare(task.plan)
    scanner.begin_file(url, task.years)
    buffers = _buffers(task)
    offset = (split.start.plain_offset or 0) if split.start else 0
    blocks: Iterator[Block] = read_blocks(
        reader,
        buffers,
        is_first=split.start is None,
        has_stop=split.stop is not None,
        offset=offset,
    )
    if task.is_ahead:
        blocks = read_ahead(blocks, buffers)
    try:
        with reader:
            for block in blocks:
                for table in scanner.scan(block):
                    scanned.table = table
                    _map_table(task.plan, mapped)
                buffers.give_back(block.buffer)
                if _cancelled.is_set():
                    raise CancelledError
                if mapped.is_enough(task.plan):
                    counts.is_cut = True
                    break
            counts.stored_bytes = reader.stored_offset - (split.start.stored_offset if split.start else 0)
    except DamageError as error:
        plain = None if error.plain_offset is None else error.plain_offset
        counts.damage = Damage(url, error.kind, error.stored_offset, plain, error.detail)
        counts.stored_bytes = reader.stored_offset - (split.start.stored_offset if split.start else 0)
    except BaseException as error:
        _local.buffers = None  # some may be lost, or still in use
        error.add_note(f"while mapping split {split.index} of {url}")
        raise
    finally:
        scanned.table = None
    counts.lines = scanner.counts()
    mapped.combine_within(task.plan)
    return mapped


def empty_partials(plan: MapPlan) -> list[list[pa.Table]]:
    """Return the partials of no lines at all: they have the right types."""
    scanner, scanned = _prepare(plan)
    scanned.table = scanner.schema.empty_table()
    return [[_map_branch(query, branch) for branch in query.branches] for query in plan.queries]


def _map_table(plan: MapPlan, mapped: Mapped) -> None:
    for query, branches in zip(plan.queries, mapped.partials, strict=True):
        for branch, tables in zip(query.branches, branches, strict=True):
            table = _map_branch(query, branch)
            if table.num_rows:
                tables.append(table)
            if len(tables) >= COMBINE_EVERY and not query.map_only:
                tables[:] = [combine_tables(tables, query, branch)]


def _map_branch(query: Query | PythonQuery, branch: Branch) -> pa.Table:
    """Return the partial of the scanned table at hand."""
    table = duck.cursor().sql(f"EXECUTE {duck.prepared(branch.map_sql)}").to_arrow_table()
    return table if isinstance(query, Query) else query.module.map(table)


def _prepare(plan: MapPlan) -> tuple[LineScanner, _Scanned]:
    """Return this thread's scanner and the object that DuckDB reads, with ``lines`` defined over it."""
    if getattr(_local, "plan", None) is not plan and getattr(_local, "key", None) != plan.key:
        scanned = _Scanned()
        scanner = LineScanner(plan.scanned)
        scanned.table = scanner.schema.empty_table()
        held = duck.cursor()
        held.register("scanned", scanned)
        held.execute(f"CREATE OR REPLACE TEMP VIEW lines AS {plan.view}")
        _local.scanner, _local.scanned, _local.key = scanner, scanned, plan.key
    _local.plan = plan
    return _local.scanner, _local.scanned


def _buffers(task: MapTask) -> Buffers:
    count = 4 if task.is_ahead else 2
    held: Buffers | None = getattr(_local, "buffers", None)
    if held is None or held.count != count or held.size < task.block_bytes:
        held = _local.buffers = Buffers(count, task.block_bytes)
    return held


def _open(task: MapTask) -> PlainReader:
    from pipeline.compression import get_codec
    from pipeline.source import open_stored

    split = task.split
    stored = open_stored(split.file)
    return get_codec(split.compression).open(stored, split.file.size, split.start, split.stop)
