"""Which days a run restates: an earlier run had said another number of them.

What runs said is kept in one object of the state: for each question with a column ``day``, the sums
per day of what may be added up (`pipeline.sql.Plan.additive`). It is written at the end of a run,
whole or not at all; where it is damaged, runs say nothing once.

Not restated are days that no earlier result had, the newest day of the earlier result (and those
that were not over yet when it was made), which goes on growing, and what becomes less since logs
were forgotten. Messages that began on an earlier day change without a late file: of these, days are
told only where a log came that is older than the newest day was.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pipeline import duck
from pipeline.relations import STITCHED
from pipeline.sql import Query
from pipeline.sql.tree import quote
from pipeline.state.objects import DamagedObjectError, MissingObjectError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from pipeline.model import Account
    from pipeline.query import JobPlan, MapPlan
    from pipeline.state.ledger import Ledger
    from pipeline.state.parts import Unit

#: Name of the object.
SAID = "said"
#: Counts what was ever kept of a question.
_MEANING = 1
#: Questions whose numbers are kept: those that were asked last.
MAX_QUESTIONS = 64
_DAY = "day"
#: Sums of fractions, made in another order.
_TOLERANCE = 1e-9
_LIMITED = re.compile(r"\blimit\b", re.IGNORECASE)


@dataclass(slots=True)
class _Said:
    """What a run said of a question.

    Attributes
    ----------
    newest : str
        The first day that went on growing.
    n_old : int
        Contents that began before it.
    forgotten : int
        Plain bytes that the state had forgotten.
    columns : list of str
        What was added up.
    days : dict of str to list
        By day, ISO 8601, a value for each column.
    """

    newest: str
    n_old: int
    forgotten: int
    columns: list[str]
    days: dict[str, list[Any]]


def note_restated(
    ledger: Ledger,
    units: Sequence[Unit],
    planned: tuple[MapPlan, Sequence[JobPlan]],
    results: Mapping[str, pa.Table],
    account: Account,
    now: datetime,
) -> None:
    """Complete the account with the days that a run restates, and keep what it says.

    Parameters
    ----------
    now : datetime
        When the run began.
    """
    plan, jobs = planned
    held = _load(ledger)
    before = json.dumps(held)
    days: set[str] = set()
    for job in jobs:
        table = results[job.job.name]
        columns = _columns(job, plan, table)
        if not columns:
            continue
        key = _key(job, plan, units)
        said = _sum_up(ledger, table, columns, now)
        earlier = _read(held.pop(key, None))
        if earlier is not None:
            is_stitched = any(plan.queries[k].relation in STITCHED for k in job.places)
            if not is_stitched or _began_before(ledger, earlier.newest) > earlier.n_old:
                found = _compare(job.job.name, earlier, said)
                account.restated += found
                days.update(str(one["day"]) for one in found)
        held[key] = _plain(said)
    account.restated_days = len(days)
    for key in [*held][:-MAX_QUESTIONS]:
        del held[key]
    if json.dumps(held) != before:
        ledger.objects.put(SAID, _packed(held))


def _read(held: dict[str, Any] | None) -> _Said | None:
    """Return what was said; None where another version of the program keeps it otherwise."""
    try:
        return None if held is None else _Said(**held)
    except TypeError:
        return None


def _compare(job: str, earlier: _Said, said: _Said) -> list[dict[str, object]]:
    """Return each number of an earlier day that is another one now, in order of days."""
    found: list[dict[str, object]] = []
    if earlier.columns != said.columns:
        return found  # another version added up something else
    has_forgotten = earlier.forgotten != said.forgotten
    for day, values in sorted(earlier.days.items()):
        if day >= earlier.newest:
            break
        now = said.days.get(day)
        for k, (column, old) in enumerate(zip(earlier.columns, values, strict=True)):
            new = None if now is None else now[k]
            if _is_same(old, new) or (has_forgotten and (new or 0) < (old or 0)):
                continue
            found.append({"job": job, "day": day, "column": column, "before": old, "after": new})
    return found


def _is_same(old: Any, new: Any) -> bool:
    if isinstance(old, float) and isinstance(new, float):
        return math.isclose(old, new, rel_tol=_TOLERANCE)
    return bool(old == new)


def _columns(job: JobPlan, plan: MapPlan, table: pa.Table) -> list[str]:
    """Return what may be added up per day; nothing where that tells of other days, too."""
    import pyarrow as pa

    names = table.schema.names
    if names.count(_DAY) != 1 or not pa.types.is_date(table.schema.field(_DAY).type):
        return []
    texts = [job.plan.final_sql]
    for place in job.places:
        query = plan.queries[place]
        if not isinstance(query, Query):
            return []
        texts.append(query.finish_sql)
    if any(_LIMITED.search(text) for text in texts):
        return []  # rows of one day drive out those of another
    return [
        field.name
        for field in table.schema
        if field.name in job.plan.additive
        and names.count(field.name) == 1
        and (
            pa.types.is_integer(field.type)
            or pa.types.is_floating(field.type)
            or pa.types.is_decimal(field.type)
        )
    ]


def _key(job: JobPlan, plan: MapPlan, units: Sequence[Unit]) -> str:
    """Return what tells one question from another: what it is made of, and what becomes of that."""
    kept = [[unit.key, job.places] for unit in units if set(unit.queries) & set(job.places)]
    finished = [getattr(plan.queries[place], "finish_sql", "") for place in job.places]
    asked = [_MEANING, [key for key, _ in kept], finished, job.plan.final_sql, job.plan.columns]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:24]


def _sum_up(ledger: Ledger, table: pa.Table, columns: Sequence[str], now: datetime) -> _Said:
    sums = ", ".join(f"sum({quote(name)})" for name in columns)
    summed = duck.query_over(
        {"result": table},
        f"SELECT {_DAY}, {sums} FROM result WHERE {_DAY} IS NOT NULL GROUP BY 1 ORDER BY 1",
    )
    rows = zip(*(column.to_pylist() for column in summed.columns), strict=True)
    days = {str(day): [_number(value) for value in values] for day, *values in rows}
    # A line of a wrong clock may be of any day to come: today goes on growing, too.
    newest = min(max(days, default=""), str(now.date()))
    forgotten = sum(content.forgotten for content in ledger.contents.values())
    return _Said(newest, _began_before(ledger, newest), forgotten, [*columns], days)


def _number(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _began_before(ledger: Ledger, day: str) -> int:
    """Return how many contents have a first line of an earlier day."""
    if not day:
        return 0
    begin = date.fromisoformat(day)
    limit = datetime(begin.year, begin.month, begin.day, tzinfo=UTC).timestamp() * 1e6
    return sum(one.first is not None and one.first < limit for one in ledger.contents.values())


def _plain(said: _Said) -> dict[str, Any]:
    return {name: getattr(said, name) for name in _Said.__slots__}


def _load(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """Return what was said, by question, those that were asked last at the end."""
    import zstandard

    try:
        content = ledger.objects.get(SAID)
    except (MissingObjectError, DamagedObjectError):
        return {}
    held: dict[str, dict[str, Any]] = json.loads(zstandard.ZstdDecompressor().decompress(content))
    return held


def _packed(held: Mapping[str, Any]) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=3).compress(json.dumps(held).encode())
