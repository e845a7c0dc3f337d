"""Logs of many days, from a few lines in a case file.

    [[lines]]
    days = "2024-03-01..2024-03-20"
    each = 24                      # lines a day, spread over its hours (from, until)
    line = "mx postfix/qmgr[9]: ABCDEF01{n}: from=<>, size=1, nrcpt=1 (queue active)"

``{n}`` counts the lines of the entry within its day, ``{day}`` its days.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any


def write_log(entries: list[dict[str, Any]]) -> bytes:
    """Return the text, in order of time."""
    lines: list[tuple[datetime, str]] = []
    for entry in entries:
        first, _, last = entry["days"].partition("..")
        day, n_day = datetime.fromisoformat(first), 0
        while day <= datetime.fromisoformat(last or first):
            start, stop = entry.get("from", 0), entry.get("until", 24)
            for n in range(entry["each"]):
                at = day + (start + (stop - start) * n / entry["each"]) * timedelta(hours=1)
                text = entry["line"].replace("{n}", str(n)).replace("{day}", str(n_day))
                lines.append((at.replace(microsecond=0), text))
            day += timedelta(days=1)
            n_day += 1
    lines.sort(key=lambda line: line[0])
    return "".join(f"{at.isoformat()} {text}\n" for at, text in lines).encode()
