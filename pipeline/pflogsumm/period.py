"""Turn the argument of ``-d`` into a first and a last day."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date, timedelta

from pipeline.errors import UsageError

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Period:
    """The days of a report, the last one included, and what its title says of them."""

    first: date
    last: date
    title: str


def find_period(argument: str, today: date, *, weeks_begin_on_monday: bool = False) -> Period:
    """Return the days that ``-d`` names.

    Parameters
    ----------
    argument : str
        ``today``, ``yesterday`` as in 1.1.5; a date ``2026-11-26`` or month ``2026-11``;
        ``this`` or ``last`` ``week``, ``month``, ``year``; or two of these, with a blank,
        ``..`` or ``to`` between them: from the first day of one to the last of the other.
    today : date
        The day of the run.
    weeks_begin_on_monday : bool, default False
        Else on Sunday.

    Raises
    ------
    UsageError
        The argument is none of these, or the range ends before it begins.

    Examples
    --------
    >>> period = find_period("last month", date(2026, 3, 5))
    >>> str(period.first), str(period.last), period.title
    ('2026-02-01', '2026-02-28', '2026-02-01 to 2026-02-28')
    """
    text = " ".join(argument.lower().split())
    if len(ends := re.split(r" ?\.\. ?| to ", text)) == 1:
        # A blank parts two dates, but not the words of "last week".
        ends = re.split(r" (?=\d|this\b|last\b|today$|yesterday$)", text)
    if len(ends) > 2:
        raise UsageError(f"-d {argument!r} names more than two days.")
    spans = [_span(end, today, weeks_begin_on_monday=weeks_begin_on_monday) for end in ends]
    first, last = spans[0][0], spans[-1][1]
    if last < first:
        raise UsageError(f"-d {argument!r} ends before it begins.")
    if text in {"today", "yesterday"}:
        return Period(first, last, f"{MONTHS[first.month - 1]} {first.day:2d}")
    return Period(first, last, f"{first}" if first == last else f"{first} to {last}")


def _span(text: str, today: date, *, weeks_begin_on_monday: bool) -> tuple[date, date]:
    """Return first and last day of one name."""
    if text in {"today", "yesterday"}:
        day = today - timedelta(text == "yesterday")
        return day, day
    which, _, unit = text.partition(" ")
    if which in {"this", "last"} and unit in {"week", "month", "year"}:
        return _unit(unit, today, is_last=which == "last", monday=weeks_begin_on_monday)
    try:
        if re.fullmatch(r"\d{4}-\d\d", text):
            return _month(date.fromisoformat(f"{text}-01"))
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            day = date.fromisoformat(text)
            return day, day
    except ValueError as error:
        raise UsageError(f"-d {text}: there is no such date ({error}).") from None
    raise UsageError(
        f"-d {text!r} is no date. Known: today, yesterday, YYYY-MM-DD, YYYY-MM, "
        "this or last week, month, year; or two of them, as in '2026-11-01 2026-11-07'."
    )


def _unit(unit: str, today: date, *, is_last: bool, monday: bool) -> tuple[date, date]:
    if unit == "week":
        since = today.weekday() if monday else (today.weekday() + 1) % 7
        first = today - timedelta(since + 7 * is_last)
        return first, first + timedelta(6)
    if unit == "month":
        first = today.replace(day=1)
        return _month((first - timedelta(1)).replace(day=1) if is_last else first)
    year = today.year - is_last
    return date(year, 1, 1), date(year, 12, 31)


def _month(first: date) -> tuple[date, date]:
    return first, first.replace(day=calendar.monthrange(first.year, first.month)[1])
