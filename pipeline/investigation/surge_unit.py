"""Choose by what a log is looked at: days, or hours where it holds a few days only."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from pipeline.run import Inputs
    from pipeline.settings import Settings

#: Fewer days than that can't tell what is usual.
_FEW = timedelta(days=5)


def choose_unit(inputs: Inputs, settings: Settings) -> str:
    """Return ``day`` or ``hour``, by the heads and tails of the files.

    ``day`` where they don't tell: the tail of a big compressed file is known only when all of it is
    decoded.
    """
    from pipeline.head import read_quick_tail
    from pipeline.years import resolved_stamps

    begins: list[datetime] = []
    ends: list[datetime] = []
    for file, head in inputs.files:
        tail = read_quick_tail(file, head)
        if tail is None:
            return "day"
        stamps = resolved_stamps(head.text, tail, inputs.anchors[file.url])
        begins += [stamps[0]] if stamps[0] is not None else []
        ends += [stamps[1]] if stamps[1] is not None else []
    if not begins or not ends:
        return "day"
    span = (settings.until or max(ends)) - (settings.since or min(begins))
    return "hour" if span < _FEW else "day"
