"""Damage that somebody has seen and accepted: it is told, but fails no run any more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError, unknown_name
from pipeline.model import KnownDamage

if TYPE_CHECKING:
    from collections.abc import Iterable


_TYPED = re.compile(r"(?s)(.+?)(?:@(\d+))?")
_KEYS = ("file", "kind", "stored_offset", "why")


def read_known_damage(items: Iterable[Any]) -> tuple[KnownDamage, ...]:
    """Read ``--known-damage FILE[@OFFSET]``, or the tables ``[[known_damage]]`` of a job file.

    Raises
    ------
    UsageError
        A table holds something else.
    """
    return tuple(map(_read_one, items))


def _read_one(item: Any) -> KnownDamage:
    if isinstance(item, str):
        match = _TYPED.fullmatch(item)
        if match is None:
            raise UsageError("--known-damage takes FILE or FILE@OFFSET, got nothing")
        return KnownDamage(match[1], stored_offset=None if match[2] is None else int(match[2]))
    if not isinstance(item, dict):
        raise UsageError(f"known_damage takes tables: [[known_damage]] file = …, got {item!r}")
    for key in item:
        if key not in _KEYS:
            raise unknown_name("key in [[known_damage]]", key, _KEYS)
    offset = item.get("stored_offset")
    texts = [item.get(key, "") for key in ("file", "kind", "why")]
    if not item.get("file") or not all(isinstance(text, str) for text in texts):
        raise UsageError(f"[[known_damage]] takes file, kind and why as texts, got {item!r}")
    if offset is not None and (not isinstance(offset, int) or isinstance(offset, bool)):
        raise UsageError(f"[[known_damage]] stored_offset is a number of bytes, got {offset!r}")
    return KnownDamage(texts[0], texts[1] or None, offset, texts[2])
