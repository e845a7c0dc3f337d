"""Kept partials: load them, merge small objects, forget old ones, verify all."""

from __future__ import annotations

import secrets
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from pipeline.combine import FileCounts, Mapped, combine_by, combine_tables
from pipeline.errors import StateError
from pipeline.state.ledger import sum_lines
from pipeline.state.parts import FRAGMENTS, Part, pack, unpack
from pipeline.stitch import Fragments

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.query import MapPlan
    from pipeline.state.ledger import Content, Ledger, Segment
    from pipeline.state.parts import Unit

    _Place = tuple[Content, Segment]

#: Parts by the name of their object.
Held: TypeAlias = "dict[str, dict[str, Part]]"
_UNDATED = "undated"
#: What tells the fragments of one segment from another's in an object that holds several.
_PLACE = "_segment"


def load_objects(ledger: Ledger, units: Sequence[Unit], warnings: list[str]) -> Held:
    """Read the kept partials of some units, by the names of their objects.

    Of what is damaged or gone the ledger forgets that it was kept: it is made again where the
    source is still there.
    """
    held: Held = {}
    for unit in units:
        places = _places(ledger, unit.key)
        for name in dict.fromkeys(segment.units[unit.key] for _, segment in places):
            try:
                held[name] = unpack(ledger.objects.get(name))
            except StateError as error:
                warnings.append(str(error))
                for _, segment in places:
                    if segment.units[unit.key] == name:
                        del segment.units[unit.key]
                places = [one for one in places if unit.key in one[1].units]
    return held


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

    A new object is written before the ledger names it, and old ones go after that.
    """
    n_gone = 0
    for unit in sorted({key for _, segment in ledger.all_segments() for key in segment.units}):
        buckets: dict[str, list[_Place]] = defaultdict(list)
        for content, segment in _places(ledger, unit):
            buckets[_month(segment)].append((content, segment))
        # An object that holds segments of several months keeps these together.
        for bucket in _joined(unit, buckets):
            names = list(dict.fromkeys(segment.units[unit] for _, segment in bucket))
            if len(names) == 1:
                continue
            merged = _merged(ledger, unit, bucket, names)
            if merged is None:
                continue
            name = f"parts/{unit}/{secrets.token_hex(8)}"
            ledger.objects.put(name, merged)
            for _, segment in bucket:
                segment.units[unit] = name
            n_gone += len(names) - 1
    return n_gone


def forget(ledger: Ledger, before: datetime) -> list[Content]:
    """Forget contents whose last line is older than a day; return them.

    Raises
    ------
    StateError
        A merged object holds them together with newer ones.
    """
    limit = int(before.replace(tzinfo=UTC).timestamp() * 1e6)
    old = [
        content
        for content in ledger.contents.values()
        if (latest := sum_lines(content.segments).latest) is not None and latest < limit
    ]
    ids = {content.id for content in old}
    kept = {
        name
        for content, segment in ledger.all_segments()
        if content.id not in ids
        for name in segment.units.values()
    }
    shared = {
        content.id
        for content in old
        for segment in content.segments
        if kept & set(segment.units.values())
    }
    for content in old:
        if content.id not in shared:
            del ledger.contents[content.id]
    return [content for content in old if content.id not in shared]


def verify(ledger: Ledger) -> list[str]:
    """Read every object and compare it with its checksum; return what is wrong."""
    wrong = [*ledger.notes]
    for name in sorted(ledger.used_objects()):
        try:
            content = ledger.objects.get(name)
            if name.startswith("parts/"):
                unpack(content)
        except StateError as error:
            wrong.append(str(error))
    for known in ledger.contents.values():
        for key in {key for segment in known.segments for key in segment.units}:
            stop = 0
            for segment in known.segments_of(key):
                if segment.start != stop:
                    wrong.append(
                        f"{known.id}: the plain bytes {stop:,} to {segment.start:,} are missing, "
                        f"or counted twice, in {key}"
                    )
                stop = segment.stop
    return wrong


def _places(ledger: Ledger, unit: str) -> list[_Place]:
    """Return the segments that a unit has, in the order of their lines."""
    held = [
        (content, segment)
        for content in ledger.contents.values()
        for segment in content.segments_of(unit)
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
    if _PLACE not in table.column_names:
        (place,) = (one for one in places if name in one[1].units.values())
        return [(_order(*place), table)]
    by_id = {segment.id: (content, segment) for content, segment in places}
    ids = table.column(_PLACE).to_pylist()
    rows = table.drop_columns([_PLACE])
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
    held: dict[str, list[Part]] = defaultdict(list)
    for name in names:
        for table_name, part in unpack(ledger.objects.get(name)).items():
            if part.merge is None:
                return None
            table = part.table
            if part.merge == FRAGMENTS and _PLACE not in table.column_names:
                (segment,) = (one for _, one in bucket if one.units[unit] == name)
                table = table.append_column(_PLACE, pa.repeat(segment.id, len(table)))
            held[table_name].append(Part(table, part.merge))
    parts = {}
    for table_name, found in held.items():
        together = pa.concat_tables(part.table for part in found)
        merge = found[0].merge
        assert merge is not None
        parts[table_name] = Part(
            together if merge == FRAGMENTS else combine_by(merge, together), merge
        )
    return pack(parts)


def _joined(unit: str, buckets: dict[str, list[_Place]]) -> list[list[_Place]]:
    """Put buckets together that share an object."""
    joined: list[list[_Place]] = []
    for places in buckets.values():
        names = {segment.units[unit] for _, segment in places}
        near = [other for other in joined if names & {segment.units[unit] for _, segment in other}]
        together = [*places, *(place for other in near for place in other)]
        joined = [other for other in joined if other not in near]
        joined.append(sorted(together, key=lambda one: _order(*one)))
    return joined


def _month(segment: Segment) -> str:
    latest = segment.lines["latest"]
    if latest is None:
        return _UNDATED
    return f"{datetime.fromtimestamp(latest / 1e6, UTC):%Y-%m}"
