"""Filters of the command line, as SQL conditions over ``lines``."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from pipeline.duck import quote
from pipeline.errors import UsageError

_AGO = re.compile(r"^(\d+)([smhdw])$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def read_time(text: str, now: datetime, *, is_end: bool = False) -> datetime:
    """Read the value of ``--since`` or ``--until``.

    Parameters
    ----------
    text : str
        ``2007-12-26``, ``2007-12-26 09:00``, ``today``, ``yesterday``, or a span before now:
        ``90m``, ``2h``, ``7d``.
    now : datetime
        Now, naive, in the zone that the lines are written in.
    is_end : bool
        Of a day, return the begin of the next: days are inclusive.

    Raises
    ------
    UsageError
        It is none of these.
    """
    ago = _AGO.match(text)
    if ago:
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    day = read_day(text, now.date())
    if day is not None:
        return datetime.combine(day + timedelta(days=is_end), datetime.min.time())
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"no time can be read from {text!r}. Write 2007-12-26, '2007-12-26 09:00', today, "
            "yesterday, 2h or 7d"
        ) from None
    if moment.tzinfo is not None:
        raise UsageError(
            f"{text!r} has an offset; times are compared as written on the lines, or with "
            "--report-tz in that zone"
        )
    if is_end and len(text) <= 16:  # a minute is inclusive, too
        moment += timedelta(minutes=1)
    return moment


def read_day(text: str, today: date) -> date | None:
    """Read a day; None where the text is none."""
    if text in ("today", "yesterday"):
        return today - timedelta(days=text == "yesterday")
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def time_conditions(local: str, since: datetime | None, until: datetime | None) -> tuple[str, ...]:
    """Return the conditions that keep [since, until); ``local`` is the SQL of a line's time."""
    conditions = []
    if since is not None:
        conditions.append(f"{local} >= TIMESTAMP {quote(str(since))}")
    if until is not None:
        conditions.append(f"{local} < TIMESTAMP {quote(str(until))}")
    return tuple(conditions)


def glob_condition(column: str, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the condition that a column matches one of some globs (``*``, ``?``, ``[…]``)."""
    if not patterns:
        return ()
    return (" OR ".join(f'"{column}" GLOB {quote(pattern)}' for pattern in patterns),)
