"""The smallest log that has everything: two days, two processes, a line without a stamp."""

from __future__ import annotations

FOUR_LINES = (
    b"Dec 26 00:00:01 mx1 postfix/smtp[7]: 4A1: to=<a@example.org>, status=deferred (timed out)\n"
    b"Dec 26 01:00:01 mx2 kernel: up\n"
    b"Dec 27 02:00:01 mx1 postfix/smtp[7]: 4A1: to=<a@example.org>, status=sent (ok)\n"
    b"no stamp here\n"
)
FOUR_LINES_CSV = """day,process,lines,bytes
2007-12-26,kernel,1,31
2007-12-26,postfix/smtp,1,90
2007-12-27,postfix/smtp,1,79
,,1,14
"""
