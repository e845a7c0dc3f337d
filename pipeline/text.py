"""Texts for people: sizes, and strangers' text made harmless for a terminal."""

from __future__ import annotations

import re

# C0, DEL and C1; marks that reorder or hide text (UAX #9, zero width); line separators.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def escape_controls(text: str) -> str:
    """Return a text in which control characters stand as visible escapes, ``\\x1b``."""
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape", "surrogatepass").decode(), text)


def in_bytes(n: float) -> str:
    """Return a number of bytes for people: ``468 MB``."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if n < 999.5 or unit == "TB":
            break
        n /= 1000
    return f"{n:.0f} {unit}" if unit == "B" or n >= 99.5 else f"{n:.1f} {unit}"
