"""What Vector writes: ``{"message": …, "source_type": "syslog", "timestamp": …}``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.envelopes.base import Envelope

if TYPE_CHECKING:
    from pipeline.envelopes.base import HeadLines

ENVELOPE = Envelope(
    "vector",
    "json",
    (
        ("message", ("message",)),
        ("time", ("timestamp",)),
        ("host", ("hostname", "host", "kubernetes.pod_node_name")),
        ("process", ("appname", "SYSLOG_IDENTIFIER", "kubernetes.container_name")),
        ("pid", ("procid", "SYSLOG_PID", "_PID")),
        ("severity", ("severity", "PRIORITY")),
        ("facility", ("facility", "SYSLOG_FACILITY")),
    ),
)


def share(head: HeadLines) -> float:
    """Return the share of such lines."""
    return head.share(_is_one)


def _is_one(record: dict[str, Any]) -> bool:
    return {"message", "timestamp", "source_type"} <= record.keys()
