"""``sawlog state show|verify|compact|forget``."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

import pyarrow as pa

from pipeline.arrow import strings
from pipeline.errors import StateError, UsageError
from pipeline.state.contents import sum_lines
from pipeline.state.keep import compact, forget, verify
from pipeline.state.ledger import Ledger
from pipeline.state.objects import Objects
from pipeline.state.questions import drop_stale
from pipeline.text import escape_visibly, in_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

_DAMAGED = 3


def run_state_command(
    action: str, *, url: str, before: str | None, storage_options: Sequence[str], to: str
) -> int:
    """Do something with a state; return the exit code.

    Raises
    ------
    UsageError
        ``forget`` without a day.
    StateError
        There is none, it can't be used, or a run uses it.
    """
    pairs = dict(pair.partition("=")[::2] for pair in storage_options)
    objects = Objects(url, pairs)
    if action == "forget" and before is None:
        raise UsageError("forget --before DAY: name the day, as 2007-12-01")
    if action == "show":
        return _show(_load(objects), to)
    if objects.is_local:
        _load(objects)  # a lock would make the folder
    with objects.lease():
        ledger = _load(objects)
        if action == "verify":
            return _verify(ledger)
        if action == "compact":
            drop_stale(ledger, datetime.now().astimezone().replace(tzinfo=None))
            n = compact(ledger)
            ledger.save()
            n += ledger.sweep()
            _say(f"{n:,} objects fewer")
            return 0
        return _forget(ledger, before or "")


def _load(objects: Objects) -> Ledger:
    ledger = Ledger(objects)
    if ledger.is_new:
        raise StateError(f"{objects.url}: there is no state")
    return ledger


def _show(ledger: Ledger, to: str) -> int:
    """Print a row a content, and what all of it takes."""
    from pipeline.render import render

    contents = sorted(
        (one for one in ledger.contents.values() if one.segments),
        key=lambda one: (one.first is None, one.first or 0, one.id),
    )
    lines = []
    for content in contents:
        keys = {key for segment in content.segments for key in segment.units}
        most = max(keys, key=lambda key: (content.covered(key), key), default=None)
        lines.append(sum_lines(content.segments_of(most) if most is not None else ()))
    table = pa.table(
        {
            "file": strings([next(reversed(one.seen), "") for one in contents]),
            "names": pa.array([len(one.seen) for one in contents], pa.int64()),
            "plain_bytes": pa.array([one.length for one in contents], pa.int64()),
            "lines": pa.array([one.lines for one in lines], pa.int64()),
            "first": pa.array([one.earliest for one in lines], pa.timestamp("us")),
            "last": pa.array([one.latest for one in lines], pa.timestamp("us")),
            "questions": pa.array(
                [len({k for s in one.segments for k in s.units}) for one in contents], pa.int64()
            ),
        }
    )
    render({"state": table}, to, sys.stdout)
    size = sum(ledger.objects.sizes().values())
    plain = sum(one.length for one in contents)
    _say(f"{in_bytes(size)} keep what {in_bytes(plain)} of text told", to=sys.stderr)
    return 0


def _verify(ledger: Ledger) -> int:
    wrong = verify(ledger)
    for what in wrong:
        _say(escape_visibly(what))
    n = len(ledger.used_objects())
    _say(f"{n:,} objects, {len(wrong):,} of them damaged" if wrong else f"{n:,} objects, all whole")
    return _DAMAGED if wrong else 0


def _forget(ledger: Ledger, before: str) -> int:
    from pipeline.filters import read_time

    day = read_time(before, datetime.now().astimezone().replace(tzinfo=None))
    gone, waiting = forget(ledger, day)
    ledger.save()
    ledger.sweep()
    for content in gone:
        _say(escape_visibly(f"forgotten: {next(reversed(content.seen), content.id)}"))
    kept = sum(bool(content.segments) for content in ledger.contents.values())
    _say(f"{len(gone):,} contents forgotten, {kept:,} kept")
    if waiting:
        _say(f"{len(waiting):,} of these are old, too, and go with newer ones of their month")
    return 0


def _say(text: str, to: TextIO | None = None) -> None:
    (to or sys.stdout).write(f"{text}\n")
