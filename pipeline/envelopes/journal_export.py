"""``journalctl -o export``: entries of fields, one a line, an empty line behind each.

Texts with line ends or no UTF-8 stand behind their length, in 64 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.envelopes.base import Envelope
from pipeline.envelopes.journal_json import FIELDS

if TYPE_CHECKING:
    from pipeline.envelopes.base import HeadLines

ENVELOPE = Envelope("journal-export", "entries", FIELDS, may_be_null=True)


def share(head: HeadLines) -> float:
    """Return 1 where the first entry begins as journalctl writes it."""
    return float(head.text.startswith(b"__CURSOR=") and b"\n__REALTIME_TIMESTAMP=" in head.text)
