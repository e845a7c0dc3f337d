r"""Docker's json-file: ``{"log": "text\n", "stream": "stdout", "time": "2024-01-01T…Z"}``.

Lines of more than 16 KiB are cut into several; only the last has a line end in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.envelopes.base import Envelope

if TYPE_CHECKING:
    from pipeline.envelopes.base import HeadLines

ENVELOPE = Envelope(
    "docker",
    "json",
    (("message", ("log",)), ("time", ("time",)), ("stream", ("stream",))),
    joins=True,
)
_KEYS = {"log", "stream", "time"}


def share(head: HeadLines) -> float:
    """Return the share of such lines; 0 where no text has a line end: others write it without."""
    if not any(str(record.get("log", "")).endswith("\n") for record in head.records):
        return 0.0
    return head.share(_is_one)


def _is_one(record: dict[str, Any]) -> bool:
    return record.keys() - {"attrs"} == _KEYS and isinstance(record["log"], str)
