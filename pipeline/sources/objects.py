"""What a store tells of an object: its size, when it was changed, what changes with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_TIME_KEYS = (
    "mtime",
    "LastModified",
    "last_modified",
    "Last-Modified",
    "modified",
    "updated",
    "created",
)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """An object of a store: its URL, what names it in the store, and what the store tells.

    ``mark`` is its version or ETag, None where the store has none.
    """

    url: str
    path: str
    size: int | None
    mtime: float | None
    is_folder: bool = False
    mark: str | None = None


def change_time(info: dict[str, Any]) -> float | None:
    """Return when a store says that an object was last changed, in Unix seconds."""
    for key in _TIME_KEYS:
        value = info.get(key)
        if isinstance(value, str):
            value = _parse_time(value)
        if isinstance(value, datetime):
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
        if isinstance(value, (int, float)) and value > 0:
            return float(value)
    return None


def _parse_time(text: str) -> datetime | None:
    from email.utils import parsedate_to_datetime

    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            return parse(text)
        except ValueError:
            continue
    return None
