"""Gather what one screen tells of a log: tables of one pass → Overview."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from pipeline import duck
from pipeline.investigation.overview_mail import (
    Life,
    Queue,
    Stuck,
    read_lives,
    read_queue,
    read_stuck,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from pipeline.investigation.overview_files import FileFound
    from pipeline.investigation.surge import Surge
    from pipeline.investigation.surge_growth import Growth

#: From this share on something is a cause, or has grown.
_CAUSES = 0.3
_MOSTLY = 0.5
#: A login that sends masses does so from one day to the next.
_MASSES = 5.0
_FEW = 20


class Cause(NamedTuple):
    """What brought the change, or what dominates where there is none.

    ``kind``: ``backscatter``, ``bounces``, ``unresolvable``, ``unreachable``, ``login``,
    ``refusals``, ``guessing``. ``name``: whose it is, from the log. ``share``: of what, by kind.
    """

    kind: str
    name: str | None
    share: float
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """What one screen tells.

    Attributes
    ----------
    files, missing : list
        What was read; what their names say is missing.
    surge : Surge or None
        The volume; None where no line has a time.
    sparks : dict of str to list
        By process: the bytes of each slot, None where they are not known.
    queue, stuck : Queue or None, Stuck or None
        None where there is no mail, or messages could not be put together.
    lives : dict of str to Life
        Of the queue ids that carry most.
    causes : list of Cause
        The weightiest first.
    is_mail : bool
        There are lines of Postfix that deliver, queue or refuse mail.
    """

    files: list[FileFound]
    missing: list[str]
    surge: Surge | None
    sparks: dict[str, list[float | None]] = field(default_factory=dict)
    queue: Queue | None = None
    stuck: Stuck | None = None
    lives: dict[str, Life] = field(default_factory=dict)
    causes: list[Cause] = field(default_factory=list)
    is_mail: bool = False


def gather_overview(
    results: Mapping[str, pa.Table],
    surge: Surge | None,
    files: list[FileFound],
    missing: list[str],
) -> Overview:
    """Gather it from the results of `surge_jobs` and `overview_jobs`."""
    if surge is None:
        return Overview(files, missing, None)
    series = surge.series
    is_mail = any(len(results[name]) for name in ("attempts", "taken_up", "refused"))
    queue = stuck = None
    lives: dict[str, Life] = {}
    if "queue" in results and is_mail:
        queue = read_queue(results, series, surge.after)
        stuck = read_stuck(results)
        lives = read_lives(results, list(surge.attempts))
    overview = Overview(
        files, missing, surge, _sparks(results["volume"], surge), queue, stuck, lives,
        is_mail=is_mail,
    )  # fmt: skip
    overview.causes.extend(find_causes(surge, stuck))
    return overview


def find_causes(surge: Surge, stuck: Stuck | None) -> list[Cause]:
    """Return what can be named as the cause; the weightiest first."""
    failed, lines = surge.totals["attempts"], surge.totals["lines"]
    causes: list[Cause] = []
    # Failed attempts, and the lines of the queue manager that go with them.
    if _is_much(2 * failed.growth, lines.growth):
        causes += _of_stuck(stuck) if stuck is not None else []
        reasons = {one.value: one.share or 0 for one in surge.growths.top("reason")}
        destinations = surge.growths.top("destination", 1)
        if destinations and (destinations[0].share or 0) >= _MOSTLY:
            kind = "unresolvable" if reasons.get("DNS", 0) >= _MOSTLY else "unreachable"
            reason = max(reasons, key=reasons.__getitem__)
            causes.append(_cause(kind, destinations[0], reason))
    if _is_much(surge.totals["refused"].growth, lines.growth):
        clients, reasons_ = (surge.growths.top(name, 1) for name in ("client", "refusal"))
        share = surge.totals["refused"].growth / lines.growth
        name = clients[0].value if clients and (clients[0].share or 0) >= _MOSTLY else None
        causes.append(Cause("refusals", name, share, reasons_[0].value if reasons_ else None))
    causes += _logins(surge)
    return causes


def _of_stuck(stuck: Stuck) -> list[Cause]:
    causes = []
    answered = sum(attempts for _, _, attempts in stuck.writers)
    if stuck.attempts and answered >= _CAUSES * stuck.attempts:
        # A forged sender may have written to several of them: its answer is counted at each.
        share = min(1.0, answered / stuck.attempts)
        causes.append(Cause("backscatter", stuck.writers[0][0], share))
    if stuck.attempts and stuck.bounced_attempts >= _CAUSES * stuck.attempts:
        causes.append(Cause("bounces", None, stuck.bounced_attempts / stuck.attempts))
    return causes


def _logins(surge: Surge) -> list[Cause]:
    causes = []
    for one in surge.growths.top("login", 1):
        before = one.before if one.before is not None else one.after
        every = surge.totals["taken_up"].after
        if one.after >= max(_MASSES * before, _FEW) and one.after >= _CAUSES * every:
            causes.append(Cause("login", one.value, one.after / every))
    failed = surge.totals.get("logins_failed")
    if failed is not None and _is_much(failed.growth, surge.totals["lines"].growth):
        share = failed.growth / surge.totals["lines"].growth
        clients = surge.growths.top("login_failed", 1)
        name = clients[0].value if clients and (clients[0].share or 0) >= _MOSTLY else None
        causes.append(Cause("guessing", name, share))
    return causes


def _is_much(part: float, whole: float) -> bool:
    return part > 0 and whole > 0 and part >= _CAUSES * whole


def _cause(kind: str, growth: Growth, detail: str | None) -> Cause:
    return Cause(kind, growth.value, growth.share or 0.0, detail)


def shown_processes(surge: Surge, n: int = 4) -> list[Growth]:
    """Return the processes that carry the change, and one that does not though it is large."""
    every = surge.growths.top("process")
    carrying = [one for one in every if (one.share or 0) >= 0.05][: n - 1]
    volume = surge.totals["volume"]
    # Beside a surge the usual looks small: it is large by what there was before.
    least = 0.05 * min(volume.after, volume.before or volume.after)
    others = [one for one in every if one not in carrying and one.after >= least]
    return carrying + sorted(others, key=lambda one: -one.after)[:1]


def _sparks(volume: pa.Table, surge: Surge) -> dict[str, list[float | None]]:
    names = [one.value for one in shown_processes(surge) if one.value is not None]
    series = surge.series
    moment = "day + to_hours(hour)" if series.unit == "hour" else "CAST(day AS TIMESTAMP)"
    listed = ", ".join(map(duck.quote, names))
    rows = duck.query_over(
        {"volume": volume},
        f"SELECT process, {moment} AS moment, CAST(sum(bytes) AS DOUBLE) AS bytes FROM volume "
        f"WHERE day IS NOT NULL AND process IN ({listed or 'NULL'}) GROUP BY ALL",
    ).to_pylist()
    counts = {(row["process"], row["moment"]): row["bytes"] for row in rows}
    return {
        name: series.spread([counts.get((name, slot), 0.0) for slot in series.slots])
        for name in names
    }


def tell_hosts(growths: Sequence[Growth]) -> list[str]:
    """Return the hosts, the loudest first."""
    return [one.value or "(none)" for one in sorted(growths, key=lambda one: -one.after)]
