"""``journalctl -o json``: an object a line; texts that are no UTF-8 are arrays of bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.envelopes.base import Envelope

if TYPE_CHECKING:
    from pipeline.envelopes.base import HeadLines

#: As ``journalctl -o short`` shows an entry.
FIELDS = (
    ("message", ("MESSAGE",)),
    ("time", ("_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP")),
    ("host", ("_HOSTNAME",)),
    ("process", ("SYSLOG_IDENTIFIER", "_COMM")),
    ("pid", ("SYSLOG_PID", "_PID")),
    ("severity", ("PRIORITY",)),
    ("facility", ("SYSLOG_FACILITY",)),
)
ENVELOPE = Envelope("journal-json", "json", FIELDS, may_be_null=True)


def share(head: HeadLines) -> float:
    """Return the share of such lines."""
    return head.share(_is_one)


def _is_one(record: dict[str, Any]) -> bool:
    return "__REALTIME_TIMESTAMP" in record
