"""What Filebeat writes, and Logstash: ``{"@timestamp": …, "message": …, "host": {"name": …}}``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.envelopes.base import Envelope

if TYPE_CHECKING:
    from pipeline.envelopes.base import HeadLines

ENVELOPE = Envelope(
    "filebeat",
    "json",
    (
        ("message", ("message",)),
        ("time", ("@timestamp",)),
        (
            "host",
            ("host.hostname", "host.name", "hostname", "host", "agent.hostname", "beat.hostname"),
        ),
        ("process", ("process.name", "process.program", "program", "kubernetes.container.name")),
        ("pid", ("process.pid", "pid")),
        ("severity", ("log.syslog.severity.code", "syslog.severity")),
        ("facility", ("log.syslog.facility.code", "syslog.facility")),
    ),
)


def share(head: HeadLines) -> float:
    """Return the share of such lines."""
    return head.share(_is_one)


def _is_one(record: dict[str, Any]) -> bool:
    return {"@timestamp", "message"} <= record.keys()
