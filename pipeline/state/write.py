"""Write what was mapped: partials first, then chains, then the ledger's journal.

Small files come by the thousand: what was mapped within a second is written together, by the month
in which contents begin, so that old ones can be forgotten.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from pipeline.state.parts import merge_parts, pack

if TYPE_CHECKING:
    from pipeline.chain import Chain
    from pipeline.state.contents import Content, Segment
    from pipeline.state.ledger import Ledger
    from pipeline.state.parts import Part, Unit

#: Seconds after which what is pending is written, and files.
FLUSH_S = 1.0
FLUSH_FILES = 1000
#: Whole steps of a content that the ledger itself holds the digests of.
FEW_STEPS = 16


class Writer:
    """Takes in what was mapped of each file; a killed run loses a second of work.

    Attributes
    ----------
    written : dict of str to dict of str to Part
        All that was written, by the names of its objects.
    """

    def __init__(self, ledger: Ledger, units: list[Unit]) -> None:
        self._ledger = ledger
        self._units = units
        self._pending: list[tuple[Content, Segment, dict[str, dict[str, Part]], Chain | None]] = []
        self._since = time.monotonic()
        self.written: dict[str, dict[str, Part]] = {}

    def add(
        self,
        content: Content,
        segment: Segment,
        parts: dict[str, dict[str, Part]],
        chain: Chain | None,
    ) -> None:
        """Take in a segment with the parts of each unit, and the chain of a content that grew."""
        self._pending.append((content, segment, parts, chain))
        if len(self._pending) >= FLUSH_FILES or time.monotonic() - self._since > FLUSH_S:
            self.flush()

    def flush(self, *, is_last: bool = False) -> None:
        """Write what is pending.

        Parameters
        ----------
        is_last : bool
            The ledger is saved next: the journal needs no entry.
        """
        if not self._pending:
            return
        objects: dict[str, bytes] = {}
        for unit in self._units:
            held = [
                (segment, content.month, parts[unit.key])
                for content, segment, parts, _ in self._pending
                if unit.key in parts
            ]
            buckets: dict[str, list[tuple[Segment, dict[str, Part]]]] = defaultdict(list)
            for segment, month, parts in held:
                buckets[segment.id if segment.is_alone else month].append((segment, parts))
            for bucket in buckets.values():
                merged = len(bucket) > 1 and merge_parts([(one.id, parts) for one, parts in bucket])
                if merged:
                    name = f"parts/{unit.key}/{os.urandom(8).hex()}"
                    self._add(objects, name, merged)
                    for segment, _ in bucket:
                        segment.units[unit.key] = name
                    continue
                for segment, parts in bucket:
                    name = f"parts/{unit.key}/{segment.id}"
                    self._add(objects, name, parts)
                    segment.units[unit.key] = name
        chains = set()
        for content, _, _, chain in self._pending:
            if chain is None:
                continue
            if chain.n_steps <= FEW_STEPS:
                content.steps = chain.digests.hex()
            else:
                content.steps = ""
                objects[content.chain_name] = chain.digests
                chains.add(content.chain_name)
        # Without its chain a content is told by its begin and end: no reason to wait for a disk.
        self._ledger.objects.put_all(objects, chains)
        if not is_last:
            self._ledger.note([content for content, _, _, _ in self._pending])
        self._ledger.is_changed = True
        self._pending = []
        self._since = time.monotonic()

    def _add(self, objects: dict[str, bytes], name: str, parts: dict[str, Part]) -> None:
        objects[name] = pack(parts)
        self.written[name] = parts
