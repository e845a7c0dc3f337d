"""Numbers and times as pictures say them."""

from __future__ import annotations

from pipeline.text import in_bytes

#: By step of the calendar: on an axis, and in full; for strftime, and for Vega's like function.
SHORT = {
    "second": "%H:%M:%S",
    "minute": "%H:%M",
    "hour": "%b %e %Hh",
    "day": "%b %e",
    "month": "%b %Y",
    "year": "%Y",
}
LONG = {
    "second": "%Y-%m-%d %H:%M:%S",
    "minute": "%Y-%m-%d %H:%M",
    "hour": "%Y-%m-%d %H:00",
    "day": "%Y-%m-%d",
    "month": "%Y-%m",
    "year": "%Y",
}


def is_in_bytes(column: str) -> bool:
    """Tell whether a column's numbers are bytes, by its name."""
    name = column.lower()
    return name in ("bytes", "size") or name.endswith(("_bytes", "_size"))


def in_units(value: float, column: str) -> str:
    """Return a number for people, short: ``1.6 MB``, ``12.3k``, ``461``.

    Examples
    --------
    >>> in_units(1_612_000, "bytes"), in_units(12_345, "lines"), in_units(0.25, "delay")
    ('1.6 MB', '12.3k', '0.25')
    """
    if is_in_bytes(column):
        return in_bytes(value)
    if abs(value) < 1000:
        return f"{value:.0f}" if float(value).is_integer() else f"{value:.3g}"
    power = 1
    while abs(value) >= 999.5 * 1000**power and power < 4:
        power += 1
    value /= 1000**power
    return (f"{value:.1f}" if abs(value) < 99.95 else f"{value:,.0f}") + "kMGT"[power - 1]
