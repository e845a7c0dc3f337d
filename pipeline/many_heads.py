"""Heads of many files in little memory: of a million files, 64 KiB each would be 64 GB.

What planning asks of a head's text is asked while all of it is there: what its lines stand in, its
stamps, its evidence of the year. Then the begin is kept, by which copies are found: its first line,
and some hundred bytes. The first thousand heads stay whole: small runs lose nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.errors import SourceError
from pipeline.head import decode_head, read_heads, unwrap_head
from pipeline.stamps import find_dates, first_stamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from pipeline.model import Head, SourceFile

#: Text of heads that is kept whole, in all.
WHOLE_BYTES = 64 << 20
#: Of others the first line is kept, as far as `pipeline.duplicates` looks at it, and at least this.
KEPT_BYTES, KEPT_LINE_BYTES = 512, 4097


class Heads:
    """Reads heads, or takes what a listing has read of them.

    Parameters
    ----------
    envelope, now
        Of the settings.
    whole_bytes : int
        Text that is kept whole.
    """

    def __init__(self, envelope: str, now: datetime, whole_bytes: int = WHOLE_BYTES) -> None:
        self._envelope = envelope
        self._now = now
        self._whole_bytes = whole_bytes
        self._taken: dict[str, Head | SourceError] = {}

    def take(self, file: SourceFile, stored_head: bytes) -> None:
        """Take the first stored bytes of a file of a store."""
        try:
            self._taken[file.url] = self._keep(decode_head(file, stored_head))
        except SourceError as error:
            self._taken[file.url] = error

    def read(self, files: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, Head | SourceError]]:
        """Yield each file with its head, or why it can't be read; what was taken is given up."""
        others = read_heads([file for file in files if file.url not in self._taken])
        for file in files:
            taken = self._taken.pop(file.url, None)
            if taken is None:
                _, taken = next(others)
                if not isinstance(taken, SourceError):
                    taken = self._keep(taken)
            yield file, taken

    def _keep(self, head: Head) -> Head:
        if len(head.text) <= self._whole_bytes:
            self._whole_bytes -= len(head.text)
            return head
        return cut_head(head, self._envelope, self._now)


def cut_head(head: Head, envelope: str, now: datetime) -> Head:
    """Return a head with the begin of its text, and what all of it told.

    Parameters
    ----------
    envelope : str
        As ``--envelope`` says.
    now : datetime
        Begin of the run, naive.
    """
    seen = unwrap_head(head, envelope, now)
    line_end = head.text.find(b"\n", 0, KEPT_LINE_BYTES)
    n = max(KEPT_BYTES, line_end + 1 if line_end >= 0 else KEPT_LINE_BYTES)
    dates = seen.dates or find_dates(seen.text, now)
    if dates.first is not None and first_stamp(seen.text[:n]) is None:
        return replace(seen, dates=dates, text=head.text)  # rare: `sawlog files` shows that stamp
    return replace(seen, dates=dates, text=head.text[:n])
