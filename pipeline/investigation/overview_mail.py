"""What the messages tell: who waits in the queue, what is stuck, and what wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import duck

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    import pyarrow as pa

    from pipeline.investigation.surge_series import Period, Series

#: A program that gets a post answers it within minutes, by clocks that may differ a little.
_ANSWERED = "born.time BETWEEN here.first - INTERVAL 5 SECOND AND here.last + INTERVAL 5 MINUTE"
#: Shares of less are chance.
_LEAST_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Queue:
    """The messages in the queue at the end of the log.

    Attributes
    ----------
    waiting, nobodys : int
        All of them, and those from ``<>``.
    oldest : timedelta or None
        How long the oldest waits; None: nothing waits.
    came, gone : float
        Messages a day (or an hour), over the stretch that is told about.
    """

    waiting: int
    nobodys: int
    oldest: timedelta | None
    came: float
    gone: float


@dataclass(frozen=True, slots=True)
class Stuck:
    """Messages that were deferred again and again.

    Attributes
    ----------
    messages, nobodys : int
        All of them, and those from ``<>``.
    attempts : int
        Deferred deliveries of all of them.
    writers : list of (str, int, int)
        Addresses here to which mail was delivered whose sender then got one of the messages from
        ``<>``: messages and attempts of each. Mail there is answered to whoever is said to have
        sent it.
    bounced, bounced_attempts : int
        Bounces that Postfix wrote itself.
    """

    messages: int
    nobodys: int
    attempts: int
    writers: list[tuple[str, int, int]]
    bounced: int
    bounced_attempts: int


@dataclass(frozen=True, slots=True)
class Life:
    """What is known of one message."""

    born: datetime
    last: datetime
    expired: bool
    removed: bool


def read_queue(results: Mapping[str, pa.Table], series: Series, period: Period) -> Queue:
    """Return the state of the queue; ``period``: for what comes and goes."""
    tables = {"queue": results["queue"]}
    (state,) = duck.query_over(
        tables,
        "SELECT coalesce(sum(messages) FILTER (NOT removed), 0) AS waiting, "
        "coalesce(sum(messages) FILTER (NOT removed AND is_nobodys), 0) AS nobodys, "
        "min(oldest) FILTER (NOT removed) AS oldest, max(newest) AS newest FROM queue",
    ).to_pylist()
    begin, end = (f"DATE '{edge:%Y-%m-%d}'" for edge in (period.begin, period.end))
    (flow,) = duck.query_over(
        tables,
        f"SELECT coalesce(sum(messages) FILTER (day >= {begin} AND day < {end}), 0) AS came, "
        "coalesce(sum(messages) FILTER "
        f"(removed AND gone_day >= {begin} AND gone_day < {end}), 0) AS gone FROM queue",
    ).to_pylist()
    # By whole days: a message knows the day on which it went.
    days = {slot.date() for slot in series.slots if period.holds(slot)}
    length = series.length(period) if series.unit == "day" else len(days)
    return Queue(
        int(state["waiting"]),
        int(state["nobodys"]),
        None if state["oldest"] is None else state["newest"] - state["oldest"],
        int(flow["came"]) / (length or 1),
        int(flow["gone"]) / (length or 1),
    )


def read_stuck(results: Mapping[str, pa.Table]) -> Stuck:
    """Return what is stuck, and who wrote it."""
    names = ("stuck", "stuck_copies", "delivered_here")
    tables = {name: results[name] for name in names}
    (sums,) = duck.query_over(
        tables,
        "SELECT count(*) AS messages, count(*) FILTER (sender = '') AS nobodys, "
        "CAST(coalesce(sum(deferrals), 0) AS BIGINT) AS attempts, "
        "count(*) FILTER (sender = '' AND parent_link IS NOT NULL) AS bounced, "
        "CAST(coalesce(sum(deferrals) FILTER (sender = '' AND parent_link IS NOT NULL), 0) "
        "AS BIGINT) AS bounced_attempts FROM stuck",
    ).to_pylist()
    writers = duck.query_over(
        tables,
        "WITH born AS (SELECT s.*, lower(c.recipient) AS answered FROM stuck s "
        "JOIN stuck_copies c ON (s.host, s.queue_id, s.generation) = "
        "(c.host, c.queue_id, c.generation) AND s.instance IS NOT DISTINCT FROM c.instance "
        "WHERE s.sender = '' AND s.parent_link IS NULL) "
        "SELECT here.recipient AS writer, count(*) AS messages, "
        "CAST(sum(born.deferrals) AS BIGINT) AS attempts FROM born "
        f"JOIN delivered_here here ON lower(here.sender) = born.answered AND {_ANSWERED} "
        "GROUP BY writer ORDER BY messages DESC, writer",
    ).to_pylist()
    least = _LEAST_SHARE * sums["nobodys"]
    return Stuck(
        sums["messages"],
        sums["nobodys"],
        sums["attempts"],
        [
            (row["writer"], row["messages"], row["attempts"])
            for row in writers
            if row["messages"] >= least
        ],
        sums["bounced"],
        sums["bounced_attempts"],
    )


def read_lives(results: Mapping[str, pa.Table], queue_ids: list[str]) -> dict[str, Life]:
    """Return what is known of some messages that are stuck."""
    listed = ", ".join(map(duck.quote, queue_ids))
    rows = duck.query_over(
        {"stuck": results["stuck"]},
        "SELECT queue_id, min(time) AS born, max(last) AS last, bool_or(expired) AS expired, "
        f"bool_and(removed) AS removed FROM stuck WHERE queue_id IN ({listed or 'NULL'}) "
        "GROUP BY queue_id",
    ).to_pylist()
    return {
        row["queue_id"]: Life(row["born"], row["last"], row["expired"], row["removed"])
        for row in rows
    }
