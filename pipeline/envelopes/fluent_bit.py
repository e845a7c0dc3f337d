"""What Fluent Bit writes: ``{"date": 1704067200.5, "log": "text", …}``, parsed syslog too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.envelopes.base import Envelope

if TYPE_CHECKING:
    from pipeline.envelopes.base import HeadLines

_TEXTS = ("log", "message", "MESSAGE")
ENVELOPE = Envelope(
    "fluent-bit",
    "json",
    (
        ("message", _TEXTS),
        ("time", ("date", "@timestamp", "time", "timestamp")),
        ("host", ("host", "hostname", "kubernetes.host", "_HOSTNAME")),
        ("process", ("ident", "SYSLOG_IDENTIFIER", "kubernetes.container_name")),
        ("pid", ("pid", "SYSLOG_PID", "_PID")),
        ("severity", ("severity", "PRIORITY")),
        ("facility", ("facility", "SYSLOG_FACILITY")),
    ),
)


def share(head: HeadLines) -> float:
    """Return the share of such lines."""
    return head.share(_is_one)


def _is_one(record: dict[str, Any]) -> bool:
    if not any(isinstance(record.get(name), str) for name in _TEXTS):
        return False
    return "date" in record or ("log" in record and bool({"stream", "kubernetes"} & record.keys()))
