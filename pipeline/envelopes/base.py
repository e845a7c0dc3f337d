"""How a file shows that its lines are in an envelope: what each module of one must hold."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.model import Envelope, Found

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Envelope", "Found", "HeadLines", "Recogniser"]

#: Lines of a head that are looked at.
MAX_LINES = 64


class Recogniser(Protocol):
    """What each module of an envelope holds."""

    ENVELOPE: Envelope

    def share(self, head: HeadLines) -> float:
        """Return which share of a head's lines has this envelope, 0 to 1."""
        ...


@dataclass(slots=True)
class HeadLines:
    """The first whole lines of a file, and what they are as JSON."""

    text: bytes
    lines: list[bytes] = field(init=False)
    records: list[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        *whole, rest = self.text.split(b"\n", MAX_LINES)[: MAX_LINES + 1]
        # A file of one line may lack its end; else the last one is cut, or what follows.
        self.lines = [line for line in (whole or [rest]) if line.strip()]
        self.records = [record for line in self.lines if (record := _object(line)) is not None]

    def share(self, is_one: Callable[[Any], bool], *, of_lines: bool = False) -> float:
        """Return the share of lines that are one by their record, or by their text."""
        found: list[Any] = list(self.lines if of_lines else self.records)
        return sum(map(is_one, found)) / max(1, len(self.lines))


def _object(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a line is, or that ends it behind a tab."""
    _, _, text = line.rpartition(b"\t")
    for candidate in (line, text):
        if candidate.lstrip(b"\xef\xbb\xbf ").startswith(b"{"):
            try:
                record = json.loads(candidate.decode("utf-8", "replace").lstrip("\ufeff"))
            except (ValueError, RecursionError):
                continue
            return record if isinstance(record, dict) else None
    return None
