"""What grew from one stretch to another, by everything that lines and mail are counted by."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline import duck

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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


class Growths:
    """What grew (or shrank, as the whole did), of each dimension the most first.

    A table, since there may be many thousands of values, of which a screen shows ten.

    Parameters
    ----------
    tables : sequence of pyarrow.Table
        ``dimension``, ``value``, ``measure``, ``before``, ``after``, ``growth``, ``share``,
        ``detail``, and ``place``: of the dimension in `DIMENSIONS`, in ascending order.
    """

    def __init__(self, tables: Sequence[pa.Table]) -> None:
        self._empty = tables[0].drop_columns(["place"]).slice(0, 0)
        self._tables: dict[str, pa.Table] = {}
        for table in tables:
            places = table["place"].to_pylist()
            for place in dict.fromkeys(places):
                begin, end = bisect_left(places, place), bisect_right(places, place)
                part = table.drop_columns(["place"]).slice(begin, end - begin)
                self._tables[DIMENSIONS[place].name] = part

    def count(self, dimension: str) -> int:
        """Return how many values of a dimension there are."""
        return self._tables[dimension].num_rows if dimension in self._tables else 0

    def top(self, dimension: str, n: int | None = None) -> list[Growth]:
        """Return the first of a dimension: those that carry most."""
        if dimension not in self._tables:
            return []
        rows = self._tables[dimension].slice(0, n).to_pylist()
        return [Growth(**{name: row[name] for name in Growth.__slots__}) for row in rows]

    def values(self, dimension: str, *columns: str) -> Iterator[tuple[Any, ...]]:
        """Yield some columns of all rows of a dimension."""
        if dimension in self._tables:
            part = self._tables[dimension]
            yield from zip(*(part[name].to_pylist() for name in columns), strict=True)

    def table(self) -> pa.Table:
        """Return all of them, dimension by dimension."""
        import pyarrow as pa

        return pa.concat_tables([self._empty, *self._tables.values()])


def measure_growth(
    results: Mapping[str, pa.Table], series: Series, before: Period | None, after: Period
) -> tuple[Growths, dict[str, Total]]:
    """Compare two stretches; without ``before`` tell what there is in ``after``.

    Returns
    -------
    Growths
        By dimension.
    dict of str to Total
        By result: bytes of ``volume``, lines of the others; ``lines`` for those of ``volume``,
        ``deliveries`` for all ``attempts``, those that succeeded, too.
    """
    sides = _Sides(series, before, after)
    totals: dict[str, Total] = {}
    tables = []
    for name in (name for name in MEASURES if name in results):
        totals |= sides.totals(results[name], name)
        tables.append(sides.growths(results[name], name, totals))
    return Growths(tables), totals


class _Sides:
    """Runs the comparison: each slot belongs to one side, to the other, or to both."""

    def __init__(self, series: Series, before: Period | None, after: Period) -> None:
        self._unit = series.unit
        self._slots = self._table(series, before, after)
        # Stretches that the log does not reach have no length; nothing was there, then.
        self._lengths = [
            (0.0 if period is None else series.length(period)) or 1.0 for period in (before, after)
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

    def totals(self, table: pa.Table, name: str) -> dict[str, Total]:
        """Return the totals of a result, by their names."""
        asked = {
            "volume": {"volume": ("bytes", "true"), "lines": ("lines", "true")},
            "attempts": {"attempts": ("lines", _FAILED), "deliveries": ("lines", "true")},
        }.get(name, {name: ("lines", "true")})
        columns = [
            f"{self._rate(column, side, where)} AS {total}_{side}"
            for total, (column, where) in asked.items()
            for side in range(2)
        ]
        (row,) = self._ask(table, f"SELECT {', '.join(columns)} FROM sided").to_pylist()
        return {
            total: Total(row[f"{total}_0"] if self._has_before else None, row[f"{total}_1"])
            for total in asked
        }

    def growths(self, table: pa.Table, name: str, totals: Mapping[str, Total]) -> pa.Table:
        """Return the growths of a result, as `Growths` takes them."""
        before, growth = ("was", "gain") if self._has_before else ("NULL", "NULL")
        column = "bytes" if name == "volume" else "lines"
        parts = []
        for place, dimension in enumerate(DIMENSIONS):
            if dimension.table != name:
                continue
            is_status = dimension.name == "status"
            total = totals["deliveries" if is_status else name].growth
            parts.append(
                f"(SELECT {place} AS place, {duck.quote(dimension.name)} AS dimension, value, "
                f"{duck.quote('deliveries' if is_status else MEASURES[name])} AS measure, "
                f"CAST({before} AS DOUBLE) AS before, after, CAST({growth} AS DOUBLE) AS growth, "
                f"gain / nullif({_exact(total)}, 0) AS share, detail, also, "
                f"{'' if total >= 0 else '-'}gain AS weight "
                f"FROM (SELECT *, after - was AS gain "
                f"FROM (SELECT CAST({dimension.value} AS VARCHAR) AS value, "
                f"CAST({dimension.also} AS VARCHAR) AS also, "
                f"CAST(any_value({dimension.detail}) AS VARCHAR) AS detail, "
                f"{self._rate(column, 0)} AS was, {self._rate(column, 1)} AS after "
                f"FROM sided WHERE {dimension.where} GROUP BY ALL)) "
                f"ORDER BY weight DESC, after DESC, value, also LIMIT {MOST_VALUES})"
            )
        return self._ask(
            table,
            f"SELECT * EXCLUDE (also, weight) FROM ({' UNION ALL '.join(parts)}) "
            "ORDER BY place, weight DESC, after DESC, value, also",
        )

    def _ask(self, table: pa.Table, sql: str) -> pa.Table:
        hour = " + to_hours(hour)" if self._unit == "hour" else ""
        sided = f"SELECT t.*, s.side FROM counted t JOIN slots s ON s.moment = t.day{hour}"
        return duck.query_over(
            {"counted": table, "slots": self._slots},
            f"WITH sided AS MATERIALIZED ({sided}) {sql}",
        )

    def _rate(self, column: str, side: int, where: str = "true") -> str:
        """Return the SQL of a column's sum on one side, per day or hour."""
        total = f"CAST(coalesce(sum({column}) FILTER (side = {side} AND {where}), 0) AS DOUBLE)"
        return f"{total} / {_exact(self._lengths[side])}"


def _exact(number: float) -> str:
    """Return a number in SQL; written without the quotes it would be a DECIMAL."""
    return f"CAST('{number!r}' AS DOUBLE)"
