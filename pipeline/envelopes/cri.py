"""Files of containers under CRI (containerd, CRI-O): ``time stdout F text``; P: more follows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.envelopes.base import Envelope

if TYPE_CHECKING:
    from pipeline.envelopes.base import HeadLines

ENVELOPE = Envelope("cri", "cri", joins=True)
_LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S{0,20} std(?:out|err) [FP](?:[ :]|\Z)")


def share(head: HeadLines) -> float:
    """Return the share of such lines."""
    return head.share(lambda line: _LINE.match(line) is not None, of_lines=True)
