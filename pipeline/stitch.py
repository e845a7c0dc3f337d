"""Put messages together from lines that lie in different blocks, splits and files.

The scan numbers the messages of a split (`pipeline.kernels.generations`), so what its blocks tell
of them is grouped by that number. A message is whole where its first line surely is the first and
its last one is ``removed``: whole ones are queried at once and forgotten. What is left are
fragments at the edges of the split; they travel to the fragments of its neighbours and are joined
by the rule that numbered them.

The stitch law: however the lines are cut, and in whatever groups neighbours are joined, the
messages are the same. It has two bounds, both of logs that lack lines or mix clocks:

* A whole message leaves no trace. Where an id is used three times within five days, the first has
  no end, the second is whole and the third has no begin, then the third is taken for the rest of
  the first if the splits are cut between them.
* A host's clock falls back by less than two hours within a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.at_hand import at_hand
from pipeline.formats.mail_view import is_local
from pipeline.kernels.generations import (
    MESSAGE_ID,
    OPENING,
    QUEUE,
    RECEPTION_US,
    REMOVED,
    SILENCE_US,
)
from pipeline.shuffle import Pile, deal_pile, partition_piles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.at_hand import AtHand
    from pipeline.query import MapPlan

    Partials = list[list[list[pa.Table]]]
    Tables = dict[str, pa.Table]

#: Tables of a block's fragments that are merged and queried together.
BLOCKS = 8
#: Rows of fragments from which on those of neighbouring splits are joined early.
JOIN_ROWS = 50_000

_WHOLE = f"is_sealed AND last_phase = {REMOVED}"
_PICK = {
    "_m": "SELECT * FROM _m WHERE {whole}",
    "_d": "SELECT * FROM _d WHERE fid IN (SELECT fid FROM _m WHERE {whole})",
    "_e": "SELECT * FROM _e WHERE fid IN (SELECT fid FROM _m WHERE {whole})",
}
_BEGINS = (
    f"p IS NULL OR p = {REMOVED} OR first_phase = {OPENING} "
    f"OR first - t > to_microseconds({SILENCE_US}) OR (first_phase = {MESSAGE_ID} "
    f"AND (p = {QUEUE} OR first - t > to_microseconds({RECEPTION_US})))"
)
_IN_ORDER = "WINDOW w AS (PARTITION BY host, instance, queue_id ORDER BY place)"
# Where each fragment stands, and the fragment that its message begins with. The rule is that of
# `pipeline.kernels.generations.begins_anew`. Fragments of one split can have the same number: then
# they are the same message's.
_PLACES = f"""
SELECT fid, place, begins, p IS NOT NULL AND begins AS has_begun,
    last_value(CASE WHEN begins THEN fid END IGNORE NULLS) OVER w AS message,
    CAST(count(*) FILTER (WHERE begins) OVER w AS INTEGER) AS number
FROM (
    SELECT *, {_BEGINS} AS begins FROM (
        SELECT *, lag(last_phase) OVER w AS p, lag(last) OVER w AS t
        FROM (SELECT *, row_number() OVER () AS place FROM _m) {_IN_ORDER}
    )
) {_IN_ORDER}
"""
_PLACED = "(SELECT *, row_number() OVER () AS place FROM {})"
_RENUMBERED = {
    "_m": "SELECT p.message AS fid, f.* EXCLUDE (fid, place) REPLACE (f.is_sealed OR p.has_begun "
    f"AS is_sealed) FROM {_PLACED.format('_m')} AS f JOIN _p AS p USING (place) ORDER BY place",
    "_d": "SELECT p.message AS fid, f.* EXCLUDE (fid, place) "
    f"FROM {_PLACED.format('_d')} AS f "
    "JOIN (SELECT DISTINCT fid, message FROM _p) AS p USING (fid) ORDER BY f.place",
    "_e": "SELECT * FROM _e",  # names its message by host and queue id
}
_NUMBERED = (
    "SELECT f.* REPLACE (p.number AS generation) FROM _m AS f JOIN _p AS p USING (fid) "
    "WHERE p.begins"
)
# The child of a bounce, of a local content filter or of a forward: under the id that its parent
# names, on the same host, and begun when the parent says so.
_PARENTS = f"""
SELECT f.* REPLACE (x.parent_id AS parent_id, x.parent_link AS parent_link)
FROM _m AS f LEFT JOIN (
    SELECT fid, nearest.queue_id AS parent_id, nearest.link AS parent_link FROM (
        SELECT m.fid,
            min(ROW(abs(epoch_us(e.time) - epoch_us(m.first)), e.queue_id, e.link)) AS found,
            struct_pack(queue_id := found[2], link := found[3]) AS nearest
        FROM _m AS m JOIN _e AS e ON e.host IS NOT DISTINCT FROM m.host AND e.child_id = m.queue_id
            AND e.time BETWEEN m.first - INTERVAL 10 SECONDS AND m.first + INTERVAL 1 HOUR
        WHERE e.link <> 'queued' OR {is_local("e.relay_ip")}
        GROUP BY m.fid
    )
) AS x USING (fid)
"""
#: By what fragments are dealt out: those of a message, and the mention of a child with the child.
_KEYS = {
    "_m": "hash(coalesce(host, ''), queue_id)",
    "_d": "shard",
    "_e": "hash(coalesce(host, ''), child_id)",
}


class Fragments:
    """Piles of fragments by the name of their table, in the order of the lines."""

    def __init__(self, names: Iterable[str]) -> None:
        self.piles = {name: Pile() for name in names}
        self.n_joined = 0  # rows when neighbours were last joined

    @property
    def n_rows(self) -> int:
        """Rows of all tables."""
        return sum(pile.n_rows for pile in self.piles.values())

    @property
    def held_bytes(self) -> int:
        """Bytes that are in memory."""
        return sum(pile.held_bytes for pile in self.piles.values())

    def copy(self) -> Fragments:
        """Return the same fragments; what is put on top of them does not change these."""
        copied = Fragments(())
        copied.piles = {name: pile.copy() for name, pile in self.piles.items()}
        copied.n_joined = self.n_joined
        return copied

    def deal(self, n: int) -> list[Fragments]:
        """Deal them out to ``n`` partitions: all fragments of a message lie in one."""
        if n == 1:
            return [self]
        dealt = [Fragments(()) for _ in range(n)]
        for name, pile in self.piles.items():
            for part, one in zip(dealt, deal_pile(pile, _KEYS[name], n), strict=True):
                part.piles[name] = one
        return dealt

    def add(self, tables: Tables) -> None:
        """Put fragments that follow on top."""
        for name, table in tables.items():
            self.piles[name].add(table)

    def extend(self, later: Fragments) -> None:
        """Put the fragments of the next split on top."""
        for name, pile in later.piles.items():
            self.piles[name].extend(pile)


class Stitcher:
    """Collects the fragments of one split's blocks; queries what is whole."""

    def __init__(self, held: AtHand, partials: Partials) -> None:
        assert held.plan.views.stitch is not None
        self._held = held
        self._stitch = held.plan.views.stitch
        self._partials = partials
        self._tables: dict[str, list[pa.Table]] = {name: [] for name in self._stitch.tables}
        self._fragments = Fragments(self._stitch.tables)
        self._has_taken = False  # since whole messages were last queried

    def take(self) -> None:
        """Take in the scanned table at hand."""
        self._has_taken = True
        tables, is_full = self._held.take_fragments()
        for name, table in tables.items():
            self._tables[name].append(table)
        if is_full or any(len(self._tables[name]) > BLOCKS for name in tables):
            self._settle()

    def finish(self) -> Fragments:
        """Return what is not whole: the message begins or ends in another split."""
        self._settle()
        self._fragments.add({name: tables[0] for name, tables in self._tables.items() if tables})
        return self._fragments

    def _settle(self) -> None:
        if self._has_taken:
            self._has_taken = False
            for name, table in self._held.folded_fragments().items():
                self._tables[name].append(table)
        if not self._tables["_m"]:
            return
        merged = {name: pa.concat_tables(tables) for name, tables in self._tables.items()}
        if any(
            len(tables) > 1 or name not in self._stitch.folds
            for name, tables in self._tables.items()
        ):  # what was folded once is merged
            merged = _merge(self._held, merged)
        if self._stitch.is_late:
            # All of them, so that they stay in the order of their lines.
            self._fragments.add(merged)
            self._tables = {name: [] for name in merged}
            return
        whole, rest = _part(self._held, merged)
        self._held.map_stitched(whole, self._partials)
        self._tables = {name: [table] for name, table in rest.items()}


def join_neighbours(fragments: Fragments, plan: MapPlan, partials: Partials) -> None:
    """Join the fragments of adjacent splits of one file, where they are many; query what is whole.

    A message that is tried in every split would otherwise leave a fragment in each.
    """
    if fragments.n_rows < max(JOIN_ROWS, 2 * fragments.n_joined):
        return
    assert plan.views.stitch is not None
    if plan.views.stitch.is_late:
        return  # nothing is whole before the end
    held = at_hand(plan)
    tables = {name: pile.whole(held.schema(name)) for name, pile in fragments.piles.items()}
    whole, rest = _part(held, _join(held, tables)[0])
    held.map_stitched(whole, partials)
    joined = Fragments(tables)
    joined.add(rest)
    fragments.piles = joined.piles
    fragments.n_joined = fragments.n_rows


def stitch_all(files: Iterable[Fragments], plan: MapPlan, partials: Partials) -> None:
    """Join the fragments of all files, in their order, and query all messages that they make."""
    stitch = plan.views.stitch
    assert stitch is not None
    held = at_hand(plan)
    together = Fragments(stitch.tables)
    for of_file in files:
        together.extend(of_file)
    schemas = {name: held.schema(name) for name in stitch.tables}
    for part in partition_piles(together.piles, _KEYS, schemas):
        tables, places = _join(held, part)
        if stitch.is_late:
            tables["_m"] = _late(held, tables, places)
        held.map_stitched(tables, partials)


def _merge(held: AtHand, tables: Tables) -> Tables:
    """Merge fragments with one number, in order."""
    stitch = held.plan.views.stitch
    assert stitch is not None
    for name, table in tables.items():
        held.put(name, table)
    return {name: held.ask(text) for name, text in stitch.merges.items()}


def _part(held: AtHand, tables: Tables) -> tuple[Tables, Tables]:
    """Return the whole messages and the others."""
    for name, table in tables.items():
        held.put(name, table)
    whole = {name: held.ask(_PICK[name].format(whole=_WHOLE)) for name in tables}
    rest = {name: held.ask(_PICK[name].format(whole=f"NOT ({_WHOLE})")) for name in tables}
    return whole, rest


def _join(held: AtHand, tables: Tables) -> tuple[Tables, pa.Table]:
    """Join fragments that belong to one message; return them and where each stood."""
    for name, table in tables.items():
        held.put(name, table)
    places = held.ask(_PLACES)
    renumbered = {name: held.ask_with(_RENUMBERED[name], _p=places) for name in tables}
    return _merge(held, renumbered), places


def _late(held: AtHand, tables: Tables, places: pa.Table) -> pa.Table:
    """Return the messages with what depends on other messages."""
    held.put("_m", tables["_m"])
    messages = held.ask_with(_NUMBERED, _p=places)
    if "_e" in tables:
        held.put("_m", messages)
        held.put("_e", tables["_e"])
        messages = held.ask(_PARENTS)
    return messages
