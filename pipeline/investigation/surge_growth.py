"""What grew from one stretch to another, by everything that lines and mail are counted by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline import duck

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from pipeline.investigation.surge_series import Period, Series


class Dimension(NamedTuple):
    """One way to tell lines apart: result, SQL of the value and of what is known of it."""

    name: str
    table: str
    value: str
    where: str = "true"
    detail: str = "NULL"
    #: Counted along: rows of one value differ in it.
    also: str = "NULL"


#: Of each dimension no more values are told: those that carry most.
MOST_VALUES = 100_000
_FAILED = "status <> 'sent'"
DIMENSIONS = (
    Dimension("process", "volume", "process"),
    Dimension("host", "volume", "host"),
    Dimension("status", "attempts", "status"),
    Dimension("reason", "attempts", "reason_class", _FAILED),
    Dimension(
        "destination",
        "attempts",
        "coalesce(failed_host, lower(split_part(recipient, '@', -1)))",
        _FAILED,
    ),
    Dimension("queue_id", "attempts", "queue_id", _FAILED, "recipient", "host"),
    Dimension("sender", "taken_up", "sender"),
    Dimension("refusal", "refused", "reason_class"),
    Dimension("client", "refused", "client"),
    # Of the overview: where these results are there.
    Dimension("login", "logins", "sasl_user"),
    Dimension("login_failed", "logins_failed", "client_ip"),
)
#: What the rows of a result count.
MEASURES = {
    "volume": "bytes",
    "attempts": "attempts that failed",
    "taken_up": "messages taken up",
    "refused": "refusals",
    "logins": "messages after login",
    "logins_failed": "logins that failed",
}


@dataclass(frozen=True, slots=True)
class Growth:
    """A value and how much of something there was with it, before and after, per day or hour.

    Attributes
    ----------
    dimension, value : str
        What tells lines apart; value None: they have none.
    measure : str
        What is counted.
    before : float or None
        None: there is no stretch to compare with, and ``after`` is all there is.
    share : float or None
        Of all growth of the measure, or of all there is; None where that is nothing.
    detail : str or None
        Of a queue id: its recipient.
    """

    dimension: str
    value: str | None
    measure: str
    before: float | None
    after: float
    share: float | None
    detail: str | None = None

    @property
    def growth(self) -> float | None:
        """How much more, per day or hour; None where nothing is compared."""
        return None if self.before is None else self.after - self.before


@dataclass(frozen=True, slots=True)
class Total:
    """All of a measure, likewise."""

    before: float | None
    after: float

    @property
    def growth(self) -> float:
        """How much more; of all there is where nothing is compared."""
        return self.after - (self.before or 0.0)


def measure_growth(
    results: Mapping[str, pa.Table], series: Series, before: Period | None, after: Period
) -> tuple[list[Growth], dict[str, Total]]:
    """Compare two stretches; without ``before`` tell what there is in ``after``.

    Returns
    -------
    list of Growth
        By dimension, what grew (or shrank, as the whole did) most first.
    dict of str to Total
        By result: bytes of ``volume``, lines of the others; ``lines`` for those of ``volume``.
    """
    sides = _Sides(series, before, after)
    totals = {
        name: sides.total(
            results[name],
            "bytes" if name == "volume" else "lines",
            _FAILED if name == "attempts" else "true",
        )
        for name in MEASURES
        if name in results
    }
    totals["lines"] = sides.total(results["volume"], "lines")
    totals["deliveries"] = sides.total(results["attempts"], "lines")
    growths: list[Growth] = []
    for dimension in DIMENSIONS:
        if dimension.table not in results:
            continue
        total = totals["deliveries" if dimension.name == "status" else dimension.table]
        growths += sides.growths(results[dimension.table], dimension, total)
    return growths, totals


class _Sides:
    """Runs the comparison: each slot belongs to one side, to the other, or to both."""

    def __init__(self, series: Series, before: Period | None, after: Period) -> None:
        self._unit = series.unit
        self._slots = self._table(series, before, after)
        # Stretches that the log does not reach have no length; nothing was there, then.
        self._lengths = [
            0.0 if period is None else series.length(period) for period in (before, after)
        ]
        self._has_before = before is not None

    def _table(self, series: Series, before: Period | None, after: Period) -> pa.Table:
        import pyarrow as pa

        rows = [
            (slot, side)
            for slot, held in zip(series.slots, series.held, strict=True)
            for side, period in enumerate((before, after))
            if held > 0 and period is not None and period.holds(slot)
        ]
        return pa.table(
            {
                "moment": pa.array([slot for slot, _ in rows], pa.timestamp("us")),
                "side": pa.array([side for _, side in rows], pa.int64()),
            }
        )

    def total(self, table: pa.Table, column: str, where: str = "true") -> Total:
        (row,) = self._ask(table, f"SELECT {self._sums(column)} FROM sided WHERE {where}")
        before, after = self._rates(row)
        return Total(before if self._has_before else None, after)

    def growths(self, table: pa.Table, dimension: Dimension, total: Total) -> list[Growth]:
        column = "bytes" if dimension.table == "volume" else "lines"
        direction = "DESC" if total.growth >= 0 else "ASC"
        rows = self._ask(
            table,
            f"SELECT {dimension.value} AS value, {dimension.also} AS also, "
            f"any_value({dimension.detail}) AS detail, {self._sums(column)} FROM sided "
            f"WHERE {dimension.where} GROUP BY {dimension.value}, also "
            f"ORDER BY after / {self._length(1)} - before / {self._length(0)} {direction}, "
            f"after DESC, value, also LIMIT {MOST_VALUES}",
        )
        measure = "deliveries" if dimension.name == "status" else MEASURES[dimension.table]
        found = []
        for row in rows:
            before, after = self._rates(row)
            growth = after - (before if self._has_before else 0.0)
            found.append(
                Growth(
                    dimension.name,
                    row["value"],
                    measure,
                    before if self._has_before else None,
                    after,
                    growth / total.growth if total.growth else None,
                    row["detail"],
                )
            )
        return found

    def _ask(self, table: pa.Table, sql: str) -> list[dict[str, Any]]:
        hour = " + to_hours(hour)" if self._unit == "hour" else ""
        sided = f"SELECT t.*, s.side FROM counted t JOIN slots s ON s.moment = t.day{hour}"
        done = duck.query_over(
            {"counted": table, "slots": self._slots}, f"WITH sided AS ({sided}) {sql}"
        )
        rows: list[dict[str, Any]] = done.to_pylist()
        return rows

    def _sums(self, column: str) -> str:
        return ", ".join(
            f"CAST(coalesce(sum({column}) FILTER (side = {side}), 0) AS DOUBLE) AS {name}"
            for side, name in enumerate(("before", "after"))
        )

    def _length(self, side: int) -> float:
        return self._lengths[side] or 1.0

    def _rates(self, row: Mapping[str, Any]) -> tuple[float, float]:
        return row["before"] / self._length(0), row["after"] / self._length(1)


def top(growths: Sequence[Growth], dimension: str, n: int | None = None) -> list[Growth]:
    """Return the first of a dimension: those that carry most."""
    return [one for one in growths if one.dimension == dimension][:n]
