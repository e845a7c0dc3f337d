"""CloudWatch's export to S3: the time of the event, a blank, and the line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.envelopes.base import Envelope

if TYPE_CHECKING:
    from pipeline.envelopes.base import HeadLines

ENVELOPE = Envelope("cloudwatch", "stamped")
# Only with a second stamp behind it is the first an envelope's.
_LINE = re.compile(
    rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
    rb"(?:<\d{1,3}>(?:\d )?)?"
    rb"(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)"
)


def share(head: HeadLines) -> float:
    """Return the share of such lines."""
    return head.share(lambda line: _LINE.match(line) is not None, of_lines=True)
