"""Merge partials: of a file's splits, in order, up to its first damage; then of all files."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from pipeline import duck
from pipeline.arrow import pack_table, unpack_table
from pipeline.relations import STITCHED
from pipeline.scan import LineCounts
from pipeline.sql import Query
from pipeline.stitch import Fragments, join_neighbours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.chain import Piece
    from pipeline.model import Damage
    from pipeline.python_job import PythonQuery
    from pipeline.query import MapPlan
    from pipeline.sql import Branch


#: Tables of a partial that are left side by side at most, and their rows.
COMBINE_EVERY = 24
COMBINE_ROWS = 100_000


@dataclass(slots=True)
class FileCounts:
    """What was read of one file by the splits that a `Mapped` covers."""

    lines: LineCounts = field(default_factory=LineCounts)
    stored_bytes: int = 0
    damage: Damage | None = None
    is_cut: bool = False  # a LIMIT was met: the rest was not read
    piece: Piece | None = None  # which content was read, where that is asked for
    n_peeled: int = 0  # lines in envelopes, where the file has such
    n_not_peeled: int = 0
    # Of a file that is one split, as all are where repeats are expanded:
    n_repeats_cut: int = 0  # lines that stand for more lines than were written out
    most_repeats: int = 0


@dataclass(slots=True)
class Mapped:
    """Partials of some splits, and what was read for them.

    Attributes
    ----------
    partials : list of list of list of pyarrow.Table
        Per query, per branch: tables of one schema, in split order; none where there is nothing.
    files : dict of str to FileCounts
        By URL.
    fragments : dict of str to Fragments
        By URL: of messages that were not whole, where a query reads messages.
    """

    partials: list[list[list[pa.Table]]]
    files: dict[str, FileCounts]
    fragments: dict[str, Fragments] = field(default_factory=dict)

    @classmethod
    def empty(cls, url: str, plan: MapPlan) -> Self:
        """Return the partials of nothing yet, of one file."""
        return cls([[[] for _ in query.branches] for query in plan.queries], {url: FileCounts()})

    def __reduce__(self) -> tuple[Any, ...]:
        """Pack partials for another process, without what they are slices of."""
        packed = [[[pack_table(t) for t in tables] for tables in b] for b in self.partials]
        return _unpack_mapped, (packed, self.files, self.fragments)

    @property
    def held_bytes(self) -> int:
        """Bytes that are in memory."""
        tables = [table for branches in self.partials for tables in branches for table in tables]
        fragments = sum(one.held_bytes for one in self.fragments.values())
        return int(sum(table.nbytes for table in tables)) + fragments

    def copy(self) -> Mapped:
        """Return the same partials; merging others into them does not change these."""
        partials = [[[*tables] for tables in branches] for branches in self.partials]
        fragments = {url: one.copy() for url, one in self.fragments.items()}
        return Mapped(partials, deepcopy(self.files), fragments)

    def order_by_time(self) -> list[str]:
        """Return the files by the time of their first line: however they are named."""
        firsts = {url: counts.lines.first for url, counts in self.files.items()}
        return sorted(firsts, key=lambda url: (firsts[url] is None, firsts[url] or 0, url))

    def is_enough(self, plan: MapPlan) -> bool:
        """Tell whether every query has as many rows as its LIMIT lets through."""
        return all(
            query.limit is not None and query.map_only and query.relation not in STITCHED
            and sum(table.num_rows for table in branches[0]) >= query.limit
            for query, branches in zip(plan.queries, self.partials, strict=True)
        ) and bool(plan.queries)  # fmt: skip

    def combine_within(self, plan: MapPlan) -> None:
        """Merge the tables of each branch into one, where they are many or large enough.

        A merge of two small tables costs as much as one of many.
        """
        for query, branches in zip(plan.queries, self.partials, strict=True):
            for branch, tables in zip(query.branches, branches, strict=True):
                if query.map_only or len(tables) < 2:
                    continue
                # The first is what was merged last: again only when as much has come since, or
                # each block would merge all groups of a long run anew.
                n_later = sum(map(len, tables[1:]))
                if n_later > max(COMBINE_ROWS, len(tables[0])) or (
                    len(tables) >= COMBINE_EVERY and 2 * n_later > len(tables[0])
                ):
                    tables[:] = [combine_tables(tables, query, branch)]


def _unpack_mapped(
    packed: list[list[list[pa.Buffer]]],
    files: dict[str, FileCounts],
    fragments: dict[str, Fragments],
) -> Mapped:
    partials = [[[unpack_table(t) for t in tables] for tables in b] for b in packed]
    return Mapped(partials, files, fragments)


def combine_splits(parts: Sequence[Mapped], plan: MapPlan) -> Mapped:
    """Merge adjacent splits of one file, in order.

    Nothing after the first damage counts: what follows it is left out, wherever it was cut.
    """
    merged = parts[0]
    (url,) = merged.files
    counts = merged.files[url]
    for part in parts[1:]:
        if counts.damage is not None:
            break
        later = part.files[url]
        counts.lines.add(later.lines)
        counts.stored_bytes += later.stored_bytes
        counts.damage = later.damage
        counts.is_cut = counts.is_cut or later.is_cut
        if counts.piece is not None and later.piece is not None:
            counts.piece.extend(later.piece)
        counts.n_peeled += later.n_peeled
        counts.n_not_peeled += later.n_not_peeled
        _extend(merged, part)
        if url in part.fragments:
            merged.fragments[url].extend(part.fragments[url])
    if url in merged.fragments:
        join_neighbours(merged.fragments[url], plan, merged.partials)
    merged.combine_within(plan)
    return merged


def combine_files(parts: Sequence[Mapped], plan: MapPlan) -> Mapped:
    """Merge the partials of different files."""
    merged = parts[0]
    for part in parts[1:]:
        merged.files.update(part.files)
        merged.fragments.update(part.fragments)
        _extend(merged, part)
    merged.combine_within(plan)
    return merged


def combine_tables(
    tables: Sequence[pa.Table], query: Query | PythonQuery, branch: Branch
) -> pa.Table:
    """Merge partials of one branch, at least one of them, in split order."""
    together = pa.concat_tables(tables)
    if not isinstance(query, Query):
        return query.module.combine(together)
    return combine_by(branch.combine_sql, together)


def combine_by(combine_sql: str, partials: pa.Table) -> pa.Table:
    """Merge partials by a branch's own SQL."""
    held = duck.cursor()
    held.register("partials", partials)
    try:
        return duck.query(combine_sql)
    finally:
        held.unregister("partials")


def _extend(merged: Mapped, part: Mapped) -> None:
    for branches, more in zip(merged.partials, part.partials, strict=True):
        for tables, later in zip(branches, more, strict=True):
            tables.extend(later)
