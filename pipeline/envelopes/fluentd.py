"""What fluentd writes: ``time TAB tag TAB {"message": …}``, or the object alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.envelopes.base import Envelope

if TYPE_CHECKING:
    from pipeline.envelopes.base import HeadLines

_TEXTS = ("message", "log")
ENVELOPE = Envelope(
    "fluentd",
    "json",
    (
        ("message", _TEXTS),
        ("time", ("time", "@timestamp", "timestamp")),
        ("host", ("host", "hostname")),
        ("process", ("ident",)),
        ("pid", ("pid",)),
        ("severity", ("severity", "priority")),
        ("facility", ("facility",)),
    ),
    has_prefix=True,
)


def share(head: HeadLines) -> float:
    """Return the share of such lines."""
    if not head.records:
        return 0.0
    tabbed = sum(line.count(b"\t") >= 2 and not line.startswith(b"{") for line in head.lines)
    if tabbed * 2 > len(head.lines):
        return head.share(_has_text)
    return head.share(_is_one)


def _has_text(record: dict[str, Any]) -> bool:
    return any(isinstance(record.get(name), str) for name in _TEXTS)


def _is_one(record: dict[str, Any]) -> bool:
    return _has_text(record) and bool({"tag", "fluentd_tag", "ident"} & record.keys())
