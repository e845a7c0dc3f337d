"""Tables about the files themselves: what they hold, and how a run would go over them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.text import clean, in_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.combine import FileCounts
    from pipeline.envelopes import Found
    from pipeline.inputs import Inputs
    from pipeline.model import Damage
    from pipeline.query import MapPlan
    from pipeline.settings import Settings
    from pipeline.task import MapTask

_COLUMNS = pa.schema(
    [
        ("file", pa.string()),
        ("compression", pa.string()),
        ("stored_bytes", pa.int64()),
        ("plain_bytes", pa.int64()),
        ("lines", pa.int64()),
        ("first", pa.timestamp("us")),
        ("last", pa.timestamp("us")),
        ("year_evidence", pa.string()),
        ("damage", pa.string()),
    ]
)


def describe_files(inputs: Inputs, counts: Mapping[str, FileCounts]) -> pa.Table:
    """Return what a full read found, one row a file, in rotation order."""
    evidence = {str(one["file"]): one["evidence"] for one in inputs.account.years}
    rows = []
    for file, head in inputs.files:
        of_file = counts[file.url]
        lines = of_file.lines
        rows.append(
            (
                file.url,
                head.compression,
                of_file.stored_bytes if file.size is None else file.size,
                lines.plain_bytes,
                lines.lines,
                lines.earliest,
                lines.latest,
                evidence.get(file.url),
                _say_damage(of_file.damage),
            )
        )
    return _table(rows + _unread(inputs))


def describe_quickly(inputs: Inputs) -> pa.Table:
    """Return what heads and tails tell; NULL is what only a full read would.

    The tail of a compressed file is read only where that takes a block or a frame.
    """
    from pipeline.head import read_quick_tail, unwrap
    from pipeline.years import evidence_of_anchor, resolved_stamps

    rows = []
    for file, head in inputs.files:
        anchor = inputs.anchors[file.url]
        is_plain = head.compression == "plain"
        tail = unwrap(read_quick_tail(file, head) or b"", head.envelope, anchor.limit)
        first, last = resolved_stamps(head.text, tail, anchor)
        rows.append(
            (
                file.url,
                head.compression,
                file.size,
                file.size if is_plain else None,
                None,
                _microseconds(first),
                _microseconds(last),
                evidence_of_anchor(anchor),
                None,
            )
        )
    return _table(rows + _unread(inputs))


def describe_plan(
    inputs: Inputs, tasks: Sequence[Sequence[MapTask]], plan: MapPlan, settings: Settings
) -> tuple[pa.Table, list[str]]:
    """Return one row a file, and what holds for the whole run, a line each."""
    rows = []
    for (file, head), of_file in zip(inputs.files, tasks, strict=True):
        rows.append(
            {
                "file": clean(file.url),
                "compression": head.compression,
                "stored_bytes": file.size,
                "envelope": _say_envelope(head.envelope),
                "splits": len(of_file),
                **_formats(head.text, settings),
                "why": _why(head.compression, file.size, len(of_file), plan, of_file[0]),
            }
        )
    schema = pa.schema(
        [
            ("file", pa.string()),
            ("compression", pa.string()),
            ("stored_bytes", pa.int64()),
            ("envelope", pa.string()),
            ("splits", pa.int64()),
            ("why", pa.string()),
            ("format", pa.string()),
            ("matching", pa.string()),
        ]
    )
    n_splits = sum(map(len, tasks))
    workers = min(settings.n_workers, max(1, n_splits))
    block = max((task.block_bytes for of_file in tasks for task in of_file), default=0)
    ahead = any(task.is_ahead for of_file in tasks for task in of_file)
    memory = 150_000_000 + workers * (block * (6 if ahead else 4) + _ahead_bytes(tasks))
    if plan.repeats:
        from pipeline.redelivery import TABLE_BYTES

        memory += workers * TABLE_BYTES
    summary = [
        f"{n_splits:,} splits of {len(tasks):,} files on {workers} worker{'s' * (workers != 1)}"
        + (", decoding and scanning in step on two threads" if ahead else ""),
        f"columns read: {', '.join(sorted(plan.scanned)) or 'none, lines are only counted'}",
        f"memory about {in_bytes(memory)} and what the groups of the result take",
    ]
    return pa.Table.from_pylist(rows, schema=schema), summary + _tell_cost(tasks)


def _ahead_bytes(tasks: Sequence[Sequence[MapTask]]) -> int:
    """Return what one reader holds of a store's file ahead of its decoder."""
    from pipeline.source import is_in_store

    sizes = [
        of_file[0].split.file.size or 0 for of_file in tasks if is_in_store(of_file[0].split.file)
    ]
    if not sizes:
        return 0
    from pipeline.sources.ranged import REQUESTS_AHEAD, request_bytes

    return min(max(sizes), (REQUESTS_AHEAD + 1) * request_bytes())


def _tell_cost(tasks: Sequence[Sequence[MapTask]]) -> list[str]:
    """Return what stores will be asked for, nothing where all files are local."""
    if not any("://" in task.split.file.url for of_file in tasks for task in of_file):
        return []
    from pipeline.source import is_in_store
    from pipeline.sources.fetch import requests
    from pipeline.sources.ranged import count_requests, request_bytes
    from pipeline.task import stored_span

    n_requests = n_bytes = 0
    for task in (task for of_file in tasks for task in of_file):
        file = task.split.file
        if file.size and is_in_store(file):
            start, stop = stored_span(task.split)
            n_requests += count_requests(start, stop, file.size)
            n_bytes += stop - start
    asked = f"{n_requests:,} requests of up to {in_bytes(request_bytes())} for {in_bytes(n_bytes)}"
    planned = f"{requests.n_requests:,} for {in_bytes(requests.n_bytes)}"
    return [f"stores: about {asked}; planning took {planned}"]


def _formats(text: bytes, settings: Settings) -> dict[str, str]:
    """Return what the head of a file tells of its format, and how many lines of it tell so."""
    from pipeline.recognise import decide_format, find_shares, say_shares

    shares = find_shares(text, settings.formats)
    return {
        "format": decide_format(shares, settings.formats),
        "matching": say_shares(shares),
    }


def _say_envelope(found: Found | None) -> str | None:
    """Say what a file's lines stand in, and how many of its first ones do."""
    if found is None:
        return None
    share = "as asked" if found.share is None else f"{found.share:.0%} of its first lines"
    return f"{found.envelope.name} ({share})"


def _why(compression: str, size: int | None, n_splits: int, plan: MapPlan, task: MapTask) -> str:
    """Say why a file is cut as it is."""
    kinds = {
        "plain": "byte ranges",
        "bgzf": "blocks",
        "bzip2": "blocks",
        "xz": "blocks by its index",
        "zstd": "groups of frames",
        "gzip": "seek points of its index in the cache",
    }
    if n_splits > 1:
        return kinds.get(compression, "ranges")
    if plan.expands_repeats:
        return "repeats are expanded: the line that one repeats may stand anywhere before it"
    if plan.repeats:
        return "repeats are looked for: the line that one repeats may stand anywhere before it"
    if task.envelope is not None and task.envelope.is_whole:
        return (
            "its envelopes may hold parts of lines: what they belong to shows from its begin only"
        )
    if size is None:
        return "standard input is read once, in order"
    if task.build is not None:
        return "one stream; this pass makes the seek index that lets the next one split it"
    if plan.needs_offset and compression != "plain":
        return "the query names offset, so the file is read from its begin"
    reasons = {
        "gzip": "one stream; small enough to need no seek index",
        "zstd": "one frame, or a small file",
        "xz": "one block, or a small file",
        "lzma": "an .lzma stream can't be split",
        "lz4": "lz4 frames are read in order",
    }
    return reasons.get(compression, "a small file")


def _unread(inputs: Inputs) -> list[tuple[object, ...]]:
    """Return a row for each input that could not be read at all, or stands in another file."""
    read = {file.url for file, _ in inputs.files}
    return [
        (damage.file, *[None] * 7, _say_damage(damage))
        for damage in inputs.account.damaged
        if damage.file not in read
    ]


def _say_damage(damage: Damage | None) -> str | None:
    if damage is None:
        return None
    at = "" if damage.stored_offset is None else f" at stored byte {damage.stored_offset}"
    return f"{damage.kind}{at}" + (f": {damage.detail}" if damage.detail else "")


def _microseconds(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    since = moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _table(rows: Sequence[tuple[object, ...]]) -> pa.Table:
    rows = [(clean(str(row[0])), *row[1:]) for row in rows]
    columns = list(zip(*rows, strict=True)) or [()] * len(_COLUMNS)
    return pa.Table.from_arrays(
        [pa.array(values, field.type) for values, field in zip(columns, _COLUMNS, strict=True)],
        schema=_COLUMNS,
    )
