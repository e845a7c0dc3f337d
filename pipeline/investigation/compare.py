"""The results of a job over two periods, side by side: what was, what is, what changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from pipeline import duck
from pipeline.errors import UsageError
from pipeline.investigation.surge_periods import read_period
from pipeline.investigation.surge_series import Period

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pyarrow as pa

    from pipeline.job import Job
    from pipeline.model import Account
    from pipeline.run import RunResult
    from pipeline.settings import Settings

#: Columns that tell when: periods are compared, not the days in them.
_TIMES = frozenset({"day", "month"})
#: Without an end, a period reaches to now, if that is not long after.
_RECENT = timedelta(days=400)


def read_compared(text: str, settings: Settings) -> tuple[Settings, Settings]:
    """Return the settings for the period to compare with, and for the one that is asked for.

    Raises
    ------
    UsageError
        It is no period, or nothing tells how long the one before should be.
    """
    since, until = settings.since, settings.until
    if text != "previous":
        before = read_period("--compare", text, settings.now)
        if since is None and until is None:
            since = before.end
        earlier = replace(settings, since=before.begin, until=before.end)
        return earlier, replace(settings, since=since, until=until)
    if since is not None and until is None and settings.now - since < _RECENT:
        until = settings.now
    if since is None or until is None:
        raise UsageError(
            "--compare previous takes what lies before --day, or before --since and --until, and "
            "is as long: give these, or the period itself, as --compare 2007-12-01..2007-12-07"
        )
    before = Period(since - (until - since), since)
    earlier = replace(settings, since=before.begin, until=before.end)
    return earlier, replace(settings, since=since, until=until)


def tell_lengths(earlier: Settings, later: Settings) -> str | None:
    """Return what is to be said where the periods differ in length; None where they don't."""
    lengths = [
        one.until - one.since if one.since is not None and one.until is not None else None
        for one in (earlier, later)
    ]
    if None in lengths:
        return "one of the periods ends with the log: the numbers are of periods as they are"
    if lengths[0] != lengths[1]:
        before, after = (_span(one) for one in lengths if one is not None)
        return f"the periods differ in length: {before} before, {after} after"
    return None


def _span(length: timedelta) -> str:
    """Return a length in days and hours."""
    hours = round(length / timedelta(hours=1))
    told = [
        f"{n} {unit}{'s' * (n != 1)}" for n, unit in ((hours // 24, "day"), (hours % 24, "hour"))
    ]
    return " and ".join(one for one in told if not one.startswith("0 ")) or str(length)


def without_times(job: Job, by: Sequence[str] | None) -> Job:
    """Return the job grouped by all that it is to be grouped by, but days and months.

    As it is where nothing would be left: what can be added up is added up then.
    """
    kept = tuple(name for name in (by or job.by) if name not in _TIMES)
    if not job.by:
        job.sql(by)  # an error where --by does not fit
        return job
    kept = kept or tuple(by or job.by)
    return replace(job, text=job.sql(kept), by=kept)


def compare_results(
    before: pa.Table, after: pa.Table, keys: Sequence[str], additive: Collection[str]
) -> pa.Table | None:
    """Return one row for each group of either table, what changed most first.

    Parameters
    ----------
    keys : sequence of str
        Columns that the job groups by, where it says so; else those that hold no number and no
        time.
    additive : collection of str
        Columns that can be added up: over the days that a job without ``--by`` groups by, too.

    Returns
    -------
    pyarrow.Table or None
        The keys, and for each number three columns: ``NAME_before``, ``NAME``, ``NAME_change``.
        None where there is no number that can be compared.
    """
    import pyarrow as pa

    kinds = {field.name: field.type for field in after.schema}
    has_days = not keys or bool(_TIMES & set(keys))
    names = [
        name
        for name in (keys or kinds)
        if name not in _TIMES and (bool(keys) or not _is_measured(kinds[name]))
    ]
    numbers = [
        name
        for name, kind in kinds.items()
        if name not in names
        and name not in _TIMES
        and (name in additive if has_days else pa.types.is_integer(kind) or _is_fraction(kind))
    ]
    if not numbers:
        return None
    added = {n: _sum(n, kinds[n]) if has_days else _q(n) for n in numbers}
    on = " AND ".join(f"b.{_q(n)} IS NOT DISTINCT FROM a.{_q(n)}" for n in names) or "true"
    columns = [f"coalesce(a.{_q(n)}, b.{_q(n)}) AS {_q(n)}" for n in names]
    for n in numbers:
        old, new = (_or_zero(f"{side}.{_q(n)}", is_sum=n in additive) for side in "ba")
        columns += [
            f"{old} AS {_q(f'{n}_before')}",
            f"{new} AS {_q(n)}",
            f"{new} - {old} AS {_q(f'{n}_change')}",
        ]
    first = _q(f"{numbers[0]}_change")
    order = [f"abs({first}) DESC NULLS LAST", *map(_q, names), first]
    return duck.query_over(
        {"before": before, "after": after},
        f"WITH b AS ({_side('before', names, added)}), a AS ({_side('after', names, added)}), "
        f"joined AS (SELECT {', '.join(columns)} FROM b FULL JOIN a ON {on}) "
        f"SELECT * FROM joined ORDER BY {', '.join(order)}",
    )


def _side(table: str, names: Sequence[str], added: Mapping[str, str]) -> str:
    """Return the SELECT of one side; a row a group, and one where there are no keys."""
    is_grouped = any(text != _q(name) for name, text in added.items())
    texts = [*map(_q, names), *(f"{text} AS {_q(name)}" for name, text in added.items())]
    group = f" GROUP BY {', '.join(map(_q, names))}" if is_grouped and names else ""
    return f"SELECT {', '.join(texts)} FROM {table}{group}"


def join_accounts(main: RunResult, other: RunResult) -> Account:
    """Return the account of two runs over the same sources: what either of them read, once."""
    account = main.account
    account.seconds = round(account.seconds + other.account.seconds, 3)
    skipped = {one["file"] for one in other.account.skipped}
    account.skipped = [one for one in account.skipped if one["file"] in skipped]
    known = {(one.file, one.kind, one.stored_offset) for one in account.damaged}
    account.damaged += [
        one for one in other.account.damaged if (one.file, one.kind, one.stored_offset) not in known
    ]
    for url, counts in other.counts.items():
        if url not in main.counts:
            account.files += 1
            account.lines += counts.lines.lines
            account.dated_lines += counts.lines.dated
            account.plain_bytes += counts.lines.plain_bytes
            account.read_bytes += counts.stored_bytes
            account.years += [one for one in other.account.years if one["file"] == url]
            _add_repeated(account, other.account, url)
    account.undated_lines = account.lines - account.dated_lines
    return account


def _add_repeated(account: Account, other: Account, url: str) -> None:
    found = [one for one in other.repeated if one["file"] == url]
    account.repeated += found
    for one in found:
        account.repeated_lines = (account.repeated_lines or 0) + int(str(one["lines"]))


def _is_measured(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_integer(kind)
        or _is_fraction(kind)
        or pa.types.is_temporal(kind)
        or pa.types.is_nested(kind)
    )


def _is_fraction(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _sum(name: str, kind: pa.DataType) -> str:
    import pyarrow as pa

    wide = "DOUBLE" if pa.types.is_floating(kind) else "BIGINT"
    if pa.types.is_decimal(kind):
        wide = f"DECIMAL(38, {kind.scale})"
    return f"CAST(sum({_q(name)}) AS {wide})"


def _or_zero(column: str, *, is_sum: bool) -> str:
    """Return the SQL of a number: of what is not there nothing was counted, but the mean of it."""
    return f"coalesce({column}, 0)" if is_sum else column


def _q(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
