"""Names of rotated files → the set a file belongs to, its place in it, and the date in its name.

What rotates logs, and how it names them:

=====================================  ==========================================================
``maillog.1``, ``mail.log.2.gz``       logrotate, newsyslog, savelog: the higher, the older;
                                       newsyslog's and savelog's ``.0`` is the newest rotated
``mail.1.log``                         logrotate ``extension .log``, most application loggers
``maillog-20080106``, ``-2008010604``  logrotate ``dateext``, daily and hourly
``maillog-20080106-1199577600``        logrotate ``dateformat -%Y%m%d-%s``
``maillog.20080106-040201``            Postfix' own ``postfix logrotate`` (``%Y%m%d-%H%M%S``)
``mail-2008-01-06.log``, ``.2008-01``  cronolog, rotatelogs, application loggers
``messages-2008W02``                   rotation by ISO week
``maillog.old``                        syslogd wrappers with one generation
=====================================  ==========================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Texts, not patterns: `re` compiles them at their first use and keeps them, and a run over one file
# uses few.
_COMPRESSED = r"\.(?:gz|gzip|bgz|bz2|xz|lzma|zst|zstd|lz4|Z)$"

_YEAR = r"(?P<year>(?:19[7-9]|20[0-9])\d)"
_DAY = (
    _YEAR + r"(?P<sep>[-_.]?)(?P<month>0[1-9]|1[0-2])"
    r"(?:(?P=sep)(?P<day>0[1-9]|[12]\d|3[01])"
    r"(?:[-_.T]?(?P<hour>[01]\d|2[0-3])(?:[-_.:]?(?P<minute>[0-5]\d)"
    r"(?:[-_.:]?(?P<second>[0-5]\d)(?:[.,]\d{3,6})?)?)?Z?)?)?"
)
_DAY_EPOCH = (
    r"(?P<year>\d{4})-?(?P<month>\d\d)-?(?P<day>\d\d)[-_.](?P<epoch>1\d{9}|[3-9]\d{8}|2\d{9})"
)
_WEEK = _YEAR + r"-?[wW](?P<week>[0-4]\d|5[0-3])(?:-?[1-7])?"
_EPOCH = r"(?P<epoch>1\d{9})"
# In this order: a day with an epoch would also pass as a day with a time, ten digits as an hour.
_DATES = (_DAY_EPOCH, _DAY, _WEEK, _YEAR, _EPOCH)

_COUNTER = r"(?:\.(?P<counter>\d{1,3}))?"
_EXTENSION = r"(?P<ext>\.[A-Za-z][\w-]{0,15})?"
_DATED = tuple(rf"(?P<stem>.+?)[-_.]{date}{_COUNTER}{_EXTENSION}" for date in _DATES)
# A name that begins with its date: there a bare year says too little about what it is.
_DATE_FIRST = tuple(
    rf"{date}(?P<stem>){_COUNTER}(?P<ext>[-_.].+)?" for date in (_DAY_EPOCH, _DAY, _WEEK)
)
_NUMBERED = r"(?P<stem>.+)\.(?P<number>\d{1,3})"
_NUMBER_INSIDE = r"(?P<stem>.+)\.(?P<number>\d{1,3})(?P<ext>\.(?:log|txt|out|err|json))"
_ADDRESS = r"(?:.*[^\d.])?(?:\d{1,3}\.){3}\d{1,3}(?:\.[a-z]+)?"

_COMPONENT_DATES = tuple(rf"(?:\w+=)?{date}" for date in (_DAY, _WEEK))
_DATE_FOLDERS = (
    r"(?:^|/)(?:y(?:ear)?=)?(?P<year>(?:19[7-9]|20[0-9])\d)"
    r"/(?:m(?:onth)?=)?(?P<month>0?[1-9]|1[0-2])"
    r"(?:/(?:d(?:ay)?=)?(?P<day>0?[1-9]|[12]\d|3[01]))?(?=/|$)"
)

# First item of an order key. A set that changed from numbers to dates did so in this direction
# (Red Hat's default became dateext), so the numbers are the older ones.
_OLD, _BY_NUMBER, _BY_DATE, _LIVE = range(4)


@dataclass(frozen=True, slots=True)
class RotatedName:
    """What the name of a file says about rotation.

    Attributes
    ----------
    base : str
        Key of the rotated set: folder (and archive) and name of its live file.
    order : tuple of int
        Sort key in the set, oldest first; the live file, which has no suffix, comes last.
    date : datetime or None
        Date in the name, else in the path: begin of the day, week or month it names, with the
        time where it has one. No line of the file should be later than this plus 35 days,
        whether it is the date of the first line or of the rotation. A name with nothing but a
        year (``mail.2007.log``) counts as 35 days before the end of that year, since its lines
        begin in January.
    suffix : str
        What follows the base name: ``.1.gz``; empty for the live file.
    is_tentative : bool
        The name means a rotated file only where the live file of the set is there as well:
        ``mx.1.log`` is a rotated ``mx.log`` or the log of host ``mx.1``.
    """

    base: str
    order: tuple[int, ...]
    date: datetime | None = None
    suffix: str = ""
    is_tentative: bool = False


def parse_name(url: str) -> RotatedName:
    """Tell set, order and date of a file from its path or URL; reads nothing.

    A date in the path counts where whole components are one: ``2007/12/26/``, ``2007-12-26/``,
    ``dt=2007-12-26/``, ``year=2007/month=12/``. A folder that is only a year doesn't: it may be
    the year in which somebody put old logs away.

    Examples
    --------
    >>> parse_name("/var/log/maillog.2.gz")
    RotatedName(base='/var/log/maillog', order=(1, -2), date=None, suffix='.2.gz', is_tentative=False)
    """  # noqa: E501  (an example's output is one line)
    before, path, after = _split_chain(url)
    folder, slash, name = path.rpartition("/")
    plain_name = re.sub(_COMPRESSED, "", name) or name
    compression = name[len(plain_name) :]
    stem, ext, order, date, is_tentative = _parse_plain_name(plain_name)
    base_name = stem + ext
    suffix = plain_name[len(stem) :] + compression if base_name != plain_name else compression
    folder_key = before + folder + slash
    return RotatedName(
        base=folder_key + base_name + after,
        order=order,
        date=date or _date_in_folders(folder),
        suffix=suffix,
        is_tentative=is_tentative,
    )


def group_sets(urls: Sequence[str]) -> list[list[str]]:
    """Return the rotated sets among these files, each oldest first.

    Sets stand in the order of their first file in ``urls``. Files with equal place in a set
    (``maillog.1`` beside ``maillog.1.gz``) follow each other by name.
    """
    if len(urls) == 1:
        return [list(urls)]
    names = {url: parse_name(url) for url in urls}
    live = {name.base for name in names.values() if name.order[0] == _LIVE}
    sets: dict[str, list[str]] = {}
    for url, name in names.items():
        is_alone = name.is_tentative and name.base not in live
        sets.setdefault(url if is_alone else name.base, []).append(url)
    return [sorted(group, key=lambda url: (names[url].order, url)) for group in sets.values()]


def newest_first(rotated_set: Sequence[str]) -> list[list[str]]:
    """Return the places of a set of `group_sets`, newest first; twins share one place."""
    if len(rotated_set) == 1:
        return [list(rotated_set)]
    places = groupby(rotated_set, key=lambda url: parse_name(url).order)
    return [list(place) for _, place in places][::-1]


def _split_chain(url: str) -> tuple[str, str, str]:
    """Cut a URL into what stands before the innermost path, the path, and what stands after."""
    if "://" not in url:
        return "", url, ""
    head, mark, rest = url.partition("://")
    path, chain, archive = rest.partition("::")
    after = chain + archive
    if head.endswith(("http", "https")):
        path, query_mark, query = path.partition("?")
        after = query_mark + query + after
    elif chain:
        path, twin, number = path.partition("#")  # members of one name in one archive
        path = path if not twin or number.isdecimal() else path + twin + number
    return head + mark, path, after


def _parse_plain_name(name: str) -> tuple[str, str, tuple[int, ...], datetime | None, bool]:
    """Return stem, extension, order, date and doubt of a file's name without compression."""
    for pattern in (*_DATED, *_DATE_FIRST):
        match = re.fullmatch(pattern, name, re.ASCII)
        date = _date_of(match) if match else None
        if match and date:
            counter = int(match["counter"] or 0)
            seconds = round((date - datetime(1970, 1, 1)).total_seconds())  # noqa: DTZ001
            order: tuple[int, ...] = (_BY_DATE, seconds, counter)
            return match["stem"], match["ext"] or "", order, date, False
    # Logs of many hosts are often named by address: 10.0.0.1 is no rotated 10.0.0.
    if not re.fullmatch(_ADDRESS, name, re.ASCII):
        if match := re.fullmatch(_NUMBERED, name, re.ASCII):
            return match["stem"], "", (_BY_NUMBER, -int(match["number"])), None, False
        if match := re.fullmatch(_NUMBER_INSIDE, name, re.ASCII):
            order = (_BY_NUMBER, -int(match["number"]))
            return match["stem"], match["ext"], order, None, True
    if name.endswith(".old") and len(name) > len(".old"):
        return name.removesuffix(".old"), "", (_OLD,), None, False
    return name, "", (_LIVE,), None, False


def _date_in_folders(folder: str) -> datetime | None:
    """Return the date in the deepest folders that are one."""
    folders = folder.split("/")
    for component in reversed(folders):
        for pattern in _COMPONENT_DATES:
            match = re.fullmatch(pattern, component, re.ASCII)
            if match and (date := _date_of(match)):
                return date
    found = None
    for match in re.finditer(_DATE_FOLDERS, folder, re.ASCII):
        found = _date_of(match) or found
    return found


def _date_of(match: re.Match[str]) -> datetime | None:
    """Return the naive date that these groups name, None where the calendar has no such day."""
    parts = match.groupdict()
    try:
        if parts.get("epoch"):
            date = datetime(1970, 1, 1) + timedelta(seconds=int(parts["epoch"]))  # noqa: DTZ001
            return date if _agrees(date, parts) else None
        year = int(parts["year"])
        if parts.get("week"):
            return datetime.fromisocalendar(year, int(parts["week"]), 1)
        if not parts.get("month"):
            return datetime(year, 11, 26, 23, 59, 59)  # noqa: DTZ001  (35 days before its end)
        day = int(parts.get("day") or 1)
        hour, minute, second = (int(parts.get(name) or 0) for name in ("hour", "minute", "second"))
        return datetime(year, int(parts["month"]), day, hour, minute, second)  # noqa: DTZ001
    except ValueError:
        return None


def _agrees(date: datetime, parts: dict[str, str | None]) -> bool:
    """Tell whether an epoch lies within two days of the day named before it."""
    if not parts.get("year"):
        return True
    named = datetime(int(parts["year"] or 0), int(parts["month"] or 0), int(parts["day"] or 0))  # noqa: DTZ001
    return abs(date - named) <= timedelta(days=2)
