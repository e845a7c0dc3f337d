"""Syslog over TCP by RFC 6587: ``57 <34>1 2024-01-01T… …``, a length before each line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.envelopes.base import MAX_LINES, Envelope

if TYPE_CHECKING:
    from pipeline.envelopes.base import HeadLines

ENVELOPE = Envelope("octet-counting", "frames")
_FRAME = re.compile(rb"(\d{1,7}) (?=<\d{1,3}>)")


def share(head: HeadLines) -> float:
    """Return which share of the frames begins where the one before it ends."""
    at = n = 0
    while n < MAX_LINES and at < len(head.text):
        match = _FRAME.match(head.text, at)
        if match is None:
            return n / (n + 1) if n else 0.0
        at = match.end() + int(match[1])
        at += head.text[at : at + 1] == b"\n"
        n += 1
    return float(n > 0)
