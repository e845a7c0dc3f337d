"""A surge as text for people: what changed, what carried it, in order of weight."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from pipeline.charts.bars import Part, make_spark
from pipeline.charts.units import in_units
from pipeline.investigation.changes import FACTOR
from pipeline.investigation.surge_series import STEPS
from pipeline.outputs.table import cut_cells, measure_cells
from pipeline.text import escape_visibly

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pipeline.investigation.surge import Surge
    from pipeline.investigation.surge_growth import Growth, Total
    from pipeline.investigation.surge_series import Period

Line = list[Part]
TIMES = "\N{MULTIPLICATION SIGN}"
#: Values of each dimension that are shown.
TOP = 5
#: What carries less than this share of all new lines is not shown.
_MATTERS = 0.05
#: Processes are named until they make so much of the growth.
_MOST = 0.9
_HEADS = {
    "process": "process",
    "host": "host",
    "status": "deliveries by status",
    "reason": "failed attempts by reason",
    "destination": "… by destination",
    "queue_id": "… by queue id",
    "sender": "taken up by sender",
    "refusal": "refused by reason",
    "client": "… by client",
}
_TABLES = {
    "volume": ("process", "host"),
    "attempts": ("status", "reason", "destination", "queue_id"),
    "taken_up": ("sender",),
    "refused": ("refusal", "client"),
}


class Look(NamedTuple):
    """What a text is written for."""

    width: int
    is_ascii: bool = False


def tell_surge(surge: Surge | None, look: Look, n: int | None = None) -> list[Line]:
    """Return the lines; ``n``: values of each dimension."""
    if surge is None:
        return [[Part("no line has a time stamp: there is no volume by day to look at")]]
    lines = [[Part(line, "name")] for line in wrap_text(tell_change(surge), look.width)]
    series = surge.series
    first, last = (tell_moment(series.slots[k], series.unit) for k in (0, -1))
    room = max(look.width - len(first) - len(last) - 2, 4)
    spark = make_spark(series.rates(), room, is_ascii=look.is_ascii)
    lines.append([Part(f"{first} "), Part(spark, "bar"), Part(f" {last}")])
    for sentence in tell_others(surge) + tell_silence(surge) + tell_carriers(surge):
        lines += [[Part(line)] for line in wrap_text(sentence, look.width)]
    for table in shown_tables(surge):
        for dimension in _TABLES[table]:
            lines += _table(surge, table, dimension, look, n or TOP)
    return lines


def tell_change(surge: Surge) -> str:
    """Return what changed, in a sentence."""
    total, unit = surge.totals["volume"], surge.series.unit
    after = in_units(total.after, "bytes")
    if surge.before is None:
        n = len(surge.series.slots)
        return f"no change found in {n:,} {unit}{'s' * (n != 1)}: about {after} {_a(unit)}"
    before = in_units(total.before or 0, "bytes")
    told = f"{before} → {after} {_a(unit)}{_times(surge.factor)}"
    if surge.main is None:
        return f"{_stretch(surge.before, unit)} → {_stretch(surge.after, unit)}: {told}"
    begin = tell_moment(surge.after.begin, unit)
    n_before, n_after = (
        (period.end - period.begin) // STEPS[unit] for period in (surge.before, surge.after)
    )
    return f"from {begin}: {told}; {n_after:,} {unit}{'s' * (n_after != 1)} against {n_before:,}"


def tell_others(surge: Surge) -> list[str]:
    """Return the other changes, a line each."""
    unit, slots = surge.series.unit, surge.series.slots
    lines = []
    for change in surge.changes:
        if change is not surge.main:
            before, after = (in_units(level, "bytes") for level in (change.before, change.after))
            factor = change.factor if change.before else None
            told = f"also from {tell_moment(slots[change.at], unit)}: {before} → {after}"
            lines.append(f"{told} {_a(unit)}{_times(factor)}")
    return lines[:TOP]


def tell_silence(surge: Surge) -> list[str]:
    """Return the hours without a line, the longest first."""
    longest = sorted(surge.silence, key=lambda one: one[0] - one[1])
    lines = [
        f"silent from {tell_moment(begin, 'hour')} to {tell_moment(end, 'hour')}"
        f" ({(end - begin) // STEPS['hour']} h)"
        for begin, end in longest[:TOP]
    ]
    if len(longest) > TOP:
        lines.append(f"and {len(longest) - TOP:,} times more")
    return lines


def tell_carriers(surge: Surge) -> list[str]:
    """Return what carried the change, or dominates where there is none, in sentences."""
    is_compared = surge.before is not None
    change = "growth" if surge.totals["volume"].growth >= 0 else "drop"
    all_of = f"of the {change}" if is_compared else "of the bytes"
    sentences = []
    names, share = _carrying(surge.growths.top("process"))
    if names:
        sentences.append(f"{tell_share(share)} {all_of} is {' and '.join(names)}")
    hosts = surge.growths.top("host")
    if len(hosts) > 1 and (hosts[0].share or 0) > 0.5:
        sentences.append(f"{tell_share(hosts[0].share)} {all_of} is host {tell_name(hosts[0])}")
    flat = flat_processes(surge)
    if flat:
        sentences.append(f"flat: {', '.join(flat)}")
    failed, unit = surge.totals["attempts"], surge.series.unit
    if _matters(surge, "attempts"):
        reasons = [
            f"{tell_share(one.share)} {tell_name(one)}"
            for one in surge.growths.top("reason", 3)
            if (one.share or 0) >= _MATTERS
        ]
        told = f"attempts that failed: {_from_to(failed)} {_a(unit)}"
        sentences.append(told + (f"; {', '.join(reasons)}" if reasons else ""))
        n = count_retried(surge)
        if n:
            sentences.append(
                f"they are of {n:,} message{'s' * (n != 1)} that failed again and again"
            )
    if _matters(surge, "taken_up"):
        sentences += [
            f"what the queue manager takes up: {tell_share(one.share)} from {tell_name(one)}"
            for one in surge.growths.top("sender", 1)
            if (one.share or 0) >= 0.5
        ]
    statuses = surge.growths.top("status")
    if not is_compared and statuses and (statuses[0].share or 0) > 0.5:
        told = f"{tell_share(statuses[0].share)} of the attempts to deliver"
        sentences.append(f"{told} are {tell_name(statuses[0])}")
    return sentences


def flat_processes(surge: Surge) -> list[str]:
    """Return the processes that wrote a lot before, and no more since; three at most."""
    volume = surge.totals["volume"]
    if not volume.before:
        return []
    large = sorted(surge.growths.top("process"), key=lambda one: -(one.before or 0))
    return [
        tell_name(one)
        for one in large
        if (one.before or 0) >= _MATTERS * volume.before
        and 1 / FACTOR < one.after / (one.before or 1) < FACTOR
    ][:3]


def count_retried(surge: Surge) -> int:
    """Return the messages that failed more than once in the later stretch, and more than before."""
    length = surge.series.length(surge.after)
    return sum(
        value is not None and after * length > 1.5 and (growth or after) > 0
        for value, after, growth in surge.growths.values("queue_id", "value", "after", "growth")
    )


def shown_tables(surge: Surge) -> list[str]:
    """Return the results that matter, those that carry most first."""
    mail = [name for name in ("attempts", "taken_up", "refused") if _matters(surge, name)]
    return ["volume", *sorted(mail, key=lambda name: -abs(surge.totals[name].growth))]


def _matters(surge: Surge, name: str) -> bool:
    every, part = surge.totals["lines"].growth, surge.totals[name].growth
    if surge.before is not None and (every > 0) != (part > 0):
        return False
    return part != 0 and abs(part) >= _MATTERS * abs(every)


def _carrying(growths: Sequence[Growth]) -> tuple[list[str], float]:
    """Return the first values that make most of it, three at most, and their share."""
    names: list[str] = []
    share = 0.0
    for one in growths[:3]:
        if share >= _MOST or (one.share or 0) < _MATTERS:
            break
        names.append(tell_name(one))
        share += one.share or 0
    return names, share


def _table(surge: Surge, table: str, dimension: str, look: Look, n: int) -> list[Line]:
    n_all = surge.growths.count(dimension)
    if not n_all or (dimension == "host" and n_all == 1):
        return []
    is_compared, unit = surge.before is not None, surge.series.unit
    column = "bytes" if table == "volume" else "lines"
    heads = ["before", f"{_a(unit)}", "share"] if is_compared else [f"{_a(unit)}", "share"]
    rows = []
    for one in surge.growths.top(dimension, n):
        numbers = [_rate(one.after, column), tell_share(one.share)]
        rows.append((tell_name(one), [_rate(one.before, column)] * is_compared + numbers))
    widths = [
        max(len(head), *(len(numbers[k]) for _, numbers in rows), 8) for k, head in enumerate(heads)
    ]
    room = max(look.width - sum(widths) - 2 * len(widths), 8)
    room = min(
        room, max(measure_cells(name) for name in (_HEADS[dimension], *(r[0] for r in rows)))
    )
    lines: list[Line] = [[Part("")], [Part(_row(_HEADS[dimension], heads, room, widths), "name")]]
    lines += [[Part(_row(name, numbers, room, widths))] for name, numbers in rows]
    if n_all > n:
        lines.append([Part(f"… {n_all - n:,} more")])
    return lines


def _row(name: str, numbers: Sequence[str], room: int, widths: Sequence[int]) -> str:
    name = cut_cells(name, room)
    cells = (f"{number:>{width}}" for number, width in zip(numbers, widths, strict=True))
    return "  ".join([name + " " * (room - measure_cells(name)), *cells])


def tell_name(one: Growth) -> str:
    """Return a value, harmless: who is meant, and of a queue id whom it is for."""
    if one.dimension == "sender" and one.value == "":
        return "<>"
    if one.value is None:
        return "(none)"
    name = one.value if one.detail is None else f"{one.value} → {one.detail}"
    return escape_visibly(name)


def tell_share(share: float | None) -> str:
    """Return a share in per cent."""
    return "" if share is None else f"{round(100 * share)} %"


def _from_to(total: Total) -> str:
    if total.before is None:
        return in_units(round(total.after), "lines")
    return f"{in_units(round(total.before), 'lines')} → {in_units(round(total.after), 'lines')}"


def _a(unit: str) -> str:
    return "an hour" if unit == "hour" else f"a {unit}"


def _rate(value: float | None, column: str) -> str:
    """Return a number per day: with one decimal where it is small."""
    value = value or 0.0
    return f"{value:.1f}" if column == "lines" and value < 10 else in_units(round(value), column)


def _times(factor: float | None) -> str:
    if factor is None:
        return ""
    return f", {TIMES} {factor:.1f}" if factor >= 0.95 else f", {TIMES} {factor:.2g}"


def _stretch(period: Period, unit: str) -> str:
    last = period.end - timedelta(days=1) if unit == "day" else period.end
    first = tell_moment(period.begin, unit)
    return first if last == period.begin else f"{first}..{tell_moment(last, unit)}"


def wrap_text(text: str, width: int, indent: str = " ") -> list[str]:
    """Return the text in lines of so many cells, between words where that can be.

    A NUL is a space that no line ends at.
    """
    from textwrap import wrap

    shown = text.replace("\0", " ")
    if measure_cells(shown) <= width:
        return [shown]
    # Wide characters take two cells: half as many of them.
    width = width if measure_cells(shown) == len(shown) else width // 2
    text = text.replace(f"{TIMES} ", f"{TIMES}\0")  # what belongs together
    lines = wrap(text, max(width, 4), subsequent_indent=indent, break_on_hyphens=False)
    return [line.replace("\0", " ") for line in lines]


def tell_moment(moment: datetime, unit: str) -> str:
    """Return a day with its weekday, or an hour."""
    return f"{moment:%a %Y-%m-%d}" if unit == "day" else f"{moment:%Y-%m-%d %H:%M}"
