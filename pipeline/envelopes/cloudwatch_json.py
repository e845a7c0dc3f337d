"""Events of CloudWatch as its API gives them, one a line: ``{"timestamp": 1704067200000, …}``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.envelopes.base import Envelope

if TYPE_CHECKING:
    from pipeline.envelopes.base import HeadLines

ENVELOPE = Envelope(
    "cloudwatch-json", "json", (("message", ("message",)), ("time", ("timestamp",)))
)


def share(head: HeadLines) -> float:
    """Return the share of such lines."""
    return head.share(_is_one)


def _is_one(record: dict[str, Any]) -> bool:
    return (
        isinstance(record.get("timestamp"), int)
        and isinstance(record.get("message"), str)
        and bool({"ingestionTime", "eventId", "id", "logStreamName", "logStream"} & record.keys())
    )
