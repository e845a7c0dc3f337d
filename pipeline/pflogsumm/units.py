"""Numbers, times and names as the report writes and sorts them."""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"\S*")
_IPV4 = re.compile(r"\d{1,3}(\.\d{1,3}){3}", re.ASCII)
_KILO, _MEGA = 1 << 10, 1 << 20


def count(value: float) -> str:
    """Return a number with its unit, seven characters or more: cut, never rounded.

    ``k`` and ``m`` are powers of 1024 and come only where a number is above 512 of them.

    Examples
    --------
    >>> count(524_288), count(524_289), count(700 << 20)
    (' 524288 ', '    512k', '    700m')
    """
    unit = " "
    if value > 512 * _MEGA:
        value, unit = value / _MEGA, "m"
    elif value > 512 * _KILO:
        value, unit = value / _KILO, "k"
    return f" {int(value):6d}{unit}"


def short_count(value: float) -> str:
    """Return a number with its unit, as short as it is; without one a blank follows it."""
    return count(value).lstrip()


def delay(seconds: float) -> str:
    """Return a delay as ``  1.5 m``.

    Examples
    --------
    >>> delay(60), delay(90), delay(7200)
    (' 60.0 s', '  1.5 m', '  2.0 h')
    """
    unit = "s"
    if seconds > 3600:
        seconds, unit = seconds / 3600, "h"
    elif seconds > 60:
        seconds, unit = seconds / 60, "m"
    return f"{seconds:5.1f} {unit}"


def clock(seconds: float) -> str:
    """Return a time as ``hh:mm:ss``; hours may have more digits.

    Examples
    --------
    >>> clock(3661.9)
    ' 1:01:01'
    """
    whole = int(seconds)
    return f"{whole // 3600:2d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


@lru_cache(maxsize=1 << 16)
def name_key(name: str) -> str:
    """Return what names of equal counts are sorted by.

    Only the first word matters: of an IPv4 address its numbers, of a host or a mail address its
    parts from the right, so that what belongs to one domain stands together.

    Examples
    --------
    >>> sorted(["b.example.org", "a.example.com", "9.2.0.1", "10.2.0.1"], key=name_key)
    ['9.2.0.1', '10.2.0.1', 'a.example.com', 'b.example.org']
    """
    word = _WORD.match(name)[0]  # type: ignore[index]  # it matches anything
    parts = word.replace("@", ".").split(".")
    if _IPV4.fullmatch(word):
        return "".join(chr(int(part)) for part in parts)
    return "".join(reversed(parts)).lower()
