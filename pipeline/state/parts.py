"""Partials of a segment ↔ one object; and what tells one question's partials from another's.

A *unit* is what is kept together: a query over lines or mail; or all queries over messages of a
run, with the fragments that they share.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.combine import combine_by, combine_tables
from pipeline.errors import UsageError
from pipeline.relations import STITCHED
from pipeline.sql import Query
from pipeline.state.objects import DamagedObjectError
from pipeline.state.parquet import read_parquet, write_parquet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.combine import Mapped
    from pipeline.query import MapPlan

#: Counts the meanings that partials have had: one of another meaning is made anew.
MEANING = 1
_HEADER = struct.Struct("<I")


#: In the place of SQL that merges: rows stay as they are.
FRAGMENTS = "fragments"
#: What tells the fragments of one segment from another's in an object that holds several.
SEGMENT = "_segment"


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """A table of partials or fragments.

    Attributes
    ----------
    merge : str or None
        SQL over ``partials`` that merges tables like it; `FRAGMENTS`: they are put one behind the
        other. None: only their Python job can.
    """

    table: pa.Table
    merge: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Unit:
    """What is kept together.

    Attributes
    ----------
    key : str
        Of the question: its text, filters and zones.
    queries : tuple of int
        Places of its queries in the plan.
    fragments : tuple of str
        Names of the tables of fragments.
    """

    key: str
    queries: tuple[int, ...]
    fragments: tuple[str, ...] = ()


def plan_units(plan: MapPlan, told: Sequence[str] = ()) -> list[Unit]:
    """Return the units of a plan.

    Parameters
    ----------
    told : sequence of str
        What else partials depend on: zones of years, repeats, contents of rule files.

    Raises
    ------
    UsageError
        A job hands rows on as they are: nothing is aggregated that could be kept.
    """
    units = []
    stitched = []
    # Without the option the keys stay as they were before there was one.
    shared = [*told, plan.expands_repeats, *([plan.repeats] if plan.repeats else [])]
    for place, query in enumerate(plan.queries):
        if isinstance(query, Query) and query.map_only:
            raise UsageError(
                "--state keeps aggregates, and this job selects rows as they are: leave --state "
                "out, or group the rows"
            )
        if query.relation in STITCHED:
            stitched.append(place)
            continue
        selection = plan.views.selections[place]
        units.append(Unit(_key([_question(query), selection, shared]), (place,)))
    if stitched:
        stitch = plan.views.stitch
        assert stitch is not None
        questions = [_question(plan.queries[place]) for place in stitched]
        key = _key([questions, stitch, shared])
        units.append(Unit(key, tuple(stitched), stitch.tables))
    return units


def parts_of(unit: Unit, mapped: Mapped, plan: MapPlan, url: str) -> dict[str, Part]:
    """Return the parts of a unit, of what was mapped of one file."""
    parts: dict[str, Part] = {}
    for k, place in enumerate(unit.queries):
        query = plan.queries[place]
        for b, held in enumerate(mapped.partials[place]):
            if held:
                branch = query.branches[b]
                whole = held[0] if len(held) == 1 else combine_tables(held, query, branch)
                merge = branch.combine_sql if isinstance(query, Query) else None
                parts[f"{k}.{b}"] = Part(whole, merge)
    fragments = mapped.fragments.get(url)
    if unit.fragments and fragments is not None:
        for name in unit.fragments:
            found = [*fragments.piles[name].tables()]
            if found:
                parts[name] = Part(pa.concat_tables(found), FRAGMENTS)
    return parts


def merge_parts(held: Sequence[tuple[str, dict[str, Part]]]) -> dict[str, Part] | None:
    """Merge the parts of several segments or objects.

    Parameters
    ----------
    held : sequence of (str, dict of str to Part)
        The id of the segment that parts are of; of merged ones it does not matter.

    Returns
    -------
    dict of str to Part, or None
        None where only a Python job can merge them.
    """
    together: dict[str, list[Part]] = {}
    for segment, parts in held:
        for name, part in parts.items():
            if part.merge is None:
                return None
            table = part.table
            if part.merge == FRAGMENTS and SEGMENT not in table.column_names:
                table = table.append_column(SEGMENT, pa.repeat(segment, len(table)))
            together.setdefault(name, []).append(Part(table, part.merge))
    merged = {}
    for name, found in together.items():
        whole = pa.concat_tables(part.table for part in found)
        merge = found[0].merge
        assert merge is not None
        merged[name] = Part(whole if merge == FRAGMENTS else combine_by(merge, whole), merge)
    return merged


def pack(parts: Mapping[str, Part]) -> bytes:
    """Return tables as one object: an index in JSON, then each as Parquet."""
    index, bodies = [], []
    for name, part in parts.items():
        bodies.append(write_parquet(part.table))
        index.append([name, len(bodies[-1]), part.merge])
    head = json.dumps(index).encode()
    return b"".join([_HEADER.pack(len(head)), head, *bodies])


def unpack(content: bytes) -> dict[str, Part]:
    """Return the tables of an object.

    Raises
    ------
    DamagedObjectError
        It is none.
    """
    try:
        (n,) = _HEADER.unpack_from(content)
        at = _HEADER.size + n
        parts = {}
        for name, size, merge in json.loads(content[_HEADER.size : at]):
            parts[name] = Part(read_parquet(content[at : at + size]), merge)
            at += size
    except (struct.error, ValueError, pa.ArrowException) as error:
        raise DamagedObjectError(f"a kept partial can't be read: {error}") from None
    return parts


def _question(query: Any) -> Any:
    if isinstance(query, Query):
        return [query.relation, query.branches, sorted(query.columns)]
    return [query.relation, hashlib.sha256(Path(query.path).read_bytes()).hexdigest()]


def _key(held: Any) -> str:
    text = json.dumps([MEANING, _canonical(held)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _canonical(held: Any) -> Any:
    """Return plain data that is the same in every process: sets have no order of their own."""
    if dataclasses.is_dataclass(held) and not isinstance(held, type):
        return [
            [field.name, _canonical(getattr(held, field.name))]
            for field in dataclasses.fields(held)
        ]
    if isinstance(held, (set, frozenset)):
        return sorted((_canonical(one) for one in held), key=repr)
    if isinstance(held, dict):
        return [[name, _canonical(one)] for name, one in sorted(held.items(), key=repr)]
    if isinstance(held, (list, tuple)):
        return [_canonical(one) for one in held]
    return held
