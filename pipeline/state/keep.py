"""Kept partials: load them, merge small objects, forget old ones, verify all."""

from __future__ import annotations

import os
from collections import defaultdict
from datetime import UTC
from typing import TYPE_CHECKING, Any, TypeAlias

from pipeline.combine import FileCounts, Mapped, combine_tables
from pipeline.errors import StateError
from pipeline.state.contents import sum_lines
from pipeline.state.objects import DamagedObjectError, MissingObjectError
from pipeline.state.parts import SEGMENT, Part, merge_parts, pack, unpack
from pipeline.stitch import Fragments

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    import pyarrow as pa

    from pipeline.query import MapPlan
    from pipeline.state.contents import Content, Segment
    from pipeline.state.ledger import Ledger
    from pipeline.state.parts import Unit

    _Place = tuple[Content, Segment]

#: Parts by the name of their object.
Held: TypeAlias = "dict[str, dict[str, Part]]"


def load_objects(ledger: Ledger, units: Sequence[Unit], warnings: list[str]) -> Held:
    """Read the kept partials of some units, by the names of their objects.

    Of what is damaged or gone the ledger forgets that it was kept: it is made again where the
    source is still there.
    """
    held: Held = {}
    for unit in units:
        places = _places(ledger, unit.key)
        names = dict.fromkeys(segment.units[unit.key] for _, segment in places)
        for name, content in ledger.objects.get_all(names):
            try:
                held[name] = unpack(_given(content))
            except (MissingObjectError, DamagedObjectError) as error:
                warnings.append(str(error))
                ledger.is_changed = True
                for _, segment in places:
                    if segment.units[unit.key] == name:
                        del segment.units[unit.key]
                places = [one for one in places if unit.key in one[1].units]
    return held


def _given(content: bytes | StateError) -> bytes:
    """Return an object, or raise what came instead."""
    if isinstance(content, StateError):
        raise content
    return content


def load_partials(
    ledger: Ledger, units: Sequence[Unit], plan: MapPlan, held: Held
) -> Mapped | None:
    """Return all kept partials of some units; None where there are none.

    Contents come in the order of their first lines, so that messages are put together as they are
    when all files are read at once.

    Parameters
    ----------
    held : dict of str to dict of str to Part
        What `load_objects` has read; objects that are newer are read now.
    """
    whole = Mapped([[[] for _ in query.branches] for query in plan.queries], {})
    for unit in units:
        fragments: dict[str, list[tuple[tuple[Any, ...], pa.Table]]] = defaultdict(list)
        places = _places(ledger, unit.key)
        for name in dict.fromkeys(segment.units[unit.key] for _, segment in places):
            parts = held.get(name) or unpack(ledger.objects.get(name))
            _take_partials(whole, unit, parts)
            for table_name in unit.fragments:
                if table_name in parts:
                    table = parts[table_name].table
                    fragments[table_name] += _by_segment(table, name, places)
        if unit.fragments:
            together = Fragments(unit.fragments)
            for table_name, found in fragments.items():
                for _, table in sorted(found, key=lambda one: one[0]):
                    together.piles[table_name].add(table)
            # One file for all: they stand in the order of their lines already.
            whole.fragments[""] = together
            whole.files[""] = FileCounts(sum_lines(segment for _, segment in places))
        for place in unit.queries:
            query = plan.queries[place]
            for branch, tables_of in zip(query.branches, whole.partials[place], strict=True):
                if len(tables_of) > 1:
                    tables_of[:] = [combine_tables(tables_of, query, branch)]
    return whole if any(any(b) for q in whole.partials for b in q) or whole.fragments else None


def compact(ledger: Ledger) -> int:
    """Merge the objects of each unit and month into one; return how many went.

    A new object is written before the ledger names it, and old ones go after that. Damaged ones are
    left as they are: who asks for them makes them anew.
    """
    n_gone = 0
    for unit in sorted({key for _, segment in ledger.all_segments() for key in segment.units}):
        buckets: dict[str, list[_Place]] = defaultdict(list)
        for content, segment in _places(ledger, unit):
            if not segment.is_alone:
                buckets[content.month].append((content, segment))
        for bucket in buckets.values():
            names = list(dict.fromkeys(segment.units[unit] for _, segment in bucket))
            if len(names) == 1:
                continue
            try:
                merged = _merged(ledger, unit, bucket, names)
            except (MissingObjectError, DamagedObjectError) as error:
                ledger.notes.append(str(error))
                continue
            if merged is None:
                continue
            name = f"parts/{unit}/{os.urandom(8).hex()}"
            ledger.objects.put(name, merged)
            ledger.is_changed = True
            for _, segment in bucket:
                segment.units[unit] = name
            n_gone += len(names) - 1
    return n_gone


def forget(ledger: Ledger, before: datetime) -> tuple[list[Content], list[Content]]:
    """Forget what is kept of contents whose last line is older than a day.

    The ledger goes on to know them: a file that is still there does not count as a new one.

    Returns
    -------
    tuple of (list of Content, list of Content)
        Those forgotten now, and those that wait: what is kept of them shares objects with newer
        ones of their month.
    """
    limit = before.replace(tzinfo=UTC).timestamp()
    held = [content for content in ledger.contents.values() if content.segments]
    old = [content for content in held if _end(content) < limit]
    ids = {content.id for content in old}
    kept = {name for one in held if one.id not in ids for name in _objects(one)}
    waiting: list[Content] = []
    # Who shares an object with one that waits, waits, too.
    while more := [one for one in old if one not in waiting and kept & _objects(one)]:
        waiting += more
        kept.update(name for one in more for name in _objects(one))
    gone = [content for content in old if content not in waiting]
    ledger.is_changed |= bool(gone)
    for content in gone:
        content.forgotten = content.length
        content.segments = []
    return gone, waiting


def _end(content: Content) -> float:
    """Return the time of the last line, in seconds; of undated ones that of their file."""
    latest = sum_lines(content.segments).latest
    if latest is not None:
        return latest / 1e6
    times = [seen.mtime for seen in content.seen.values() if seen.mtime is not None]
    return max(times, default=float("inf"))


def _objects(content: Content) -> set[str]:
    return {name for segment in content.segments for name in segment.units.values() if name}


def verify(ledger: Ledger) -> list[str]:
    """Read every object and compare it with its checksum; return what is wrong."""
    wrong = [*ledger.notes]
    for name, content in ledger.objects.get_all(sorted(ledger.used_objects())):
        try:
            held = _given(content)
            if name.startswith("parts/"):
                unpack(held)
        except StateError as error:
            wrong.append(f"{error}: {_way_out(ledger, name)}")
    if not (ledger.is_damaged or ledger.copy_is_whole()):
        wrong.append(
            f"{ledger.objects.url}: the copy of the ledger is damaged or gone; sawlog state "
            "compact writes it anew"
        )
    for known in ledger.contents.values():
        for key in {key for segment in known.segments for key in segment.units}:
            stop = known.forgotten
            for segment in known.segments_of(key):
                if segment.start != stop:
                    wrong.append(
                        f"{known.id}: the plain bytes {stop:,} to {segment.start:,} are missing, "
                        f"or counted twice, in {key}"
                    )
                stop = segment.stop
    return wrong


def _way_out(ledger: Ledger, name: str) -> str:
    """Return what becomes of a damaged object."""
    if name.startswith("chains/"):
        return "its log is told by its begin and end, and by name and time"
    files = [
        next(reversed(content.seen), content.id)
        for content, segment in ledger.all_segments()
        if name in segment.units.values()
    ]
    more = f" and {len(files) - 1:,} more" if len(files) > 1 else ""
    return f"the next run makes it anew, from {files[0]}{more}, or names what is gone"


def _places(ledger: Ledger, unit: str) -> list[_Place]:
    """Return the segments that a unit has partials of, in the order of their lines."""
    held = [
        (content, segment)
        for content in ledger.contents.values()
        for segment in content.segments_of(unit)
        if segment.units[unit]
    ]
    return sorted(held, key=lambda one: _order(*one))


def _order(content: Content, segment: Segment) -> tuple[Any, ...]:
    return content.first is None, content.first or 0, content.id, segment.start


def _take_partials(whole: Mapped, unit: Unit, parts: dict[str, Part]) -> None:
    for k, place in enumerate(unit.queries):
        for branch, held in enumerate(whole.partials[place]):
            if f"{k}.{branch}" in parts:
                held.append(parts[f"{k}.{branch}"].table)


def _by_segment(
    table: pa.Table, name: str, places: Sequence[_Place]
) -> list[tuple[tuple[Any, ...], pa.Table]]:
    """Cut a table of fragments by the segments that it holds those of."""
    if SEGMENT not in table.column_names:
        (place,) = (one for one in places if name in one[1].units.values())
        return [(_order(*place), table)]
    by_id = {segment.id: (content, segment) for content, segment in places}
    ids = table.column(SEGMENT).to_pylist()
    rows = table.drop_columns([SEGMENT])
    parts = []
    begin = 0
    for k in range(1, len(ids) + 1):
        if k == len(ids) or ids[k] != ids[begin]:
            parts.append((_order(*by_id[ids[begin]]), rows.slice(begin, k - begin)))
            begin = k
    return parts


def _merged(
    ledger: Ledger, unit: str, bucket: Sequence[_Place], names: Iterable[str]
) -> bytes | None:
    """Return some objects as one; None where only a Python job can merge them."""
    held = []
    for name in names:
        segment = next(one for _, one in bucket if one.units[unit] == name)
        held.append((segment.id, unpack(ledger.objects.get(name))))
    merged = merge_parts(held)
    return None if merged is None else pack(merged)
