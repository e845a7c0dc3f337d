"""Write a log of very many messages: ``python -m tests.support.many_messages N PATH.zst``.

Each message has five lines, and lies among those of its neighbours; one in a hundred is tried again
for a while, one in a thousand is never removed. Queue ids are short and come again.
"""

from __future__ import annotations

import sys
from pathlib import Path

import zstandard

_LINES = (
    (0, "smtpd[71]: {id}: client=out{c}.example.org[192.0.2.{c}]"),
    (0, "cleanup[72]: {id}: message-id=<{n}@out{c}.example.org>"),
    (0, "qmgr[73]: {id}: from=<s{s}@example.org>, size={size}, nrcpt=1 (queue active)"),
    (
        3,
        (
            "smtp[74]: {id}: to=<r{r}@example.net>, relay=mx.example.net[192.0.2.9]:25, delay=1.2, "
            "delays=0.1/0/0.5/0.6, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as {n:X})"
        ),
    ),
    (3, "qmgr[73]: {id}: removed"),
)
_AGAIN = (
    "smtp[74]: {id}: to=<r{r}@example.net>, relay=none, delay=9, delays=0.1/0/8/0, dsn=4.4.1, "
    "status=deferred (connect to mx.example.net[192.0.2.9]:25: Connection timed out)"
)
#: Messages a second, lines a frame.
_PACE = 50
_FRAME = 100_000


def write_messages(path: Path, n: int) -> None:
    """Write ``n`` messages as zstd frames."""
    compressor = zstandard.ZstdCompressor(level=1)
    lines: list[str] = []
    late: list[list[str]] = [[] for _ in range(4 * _PACE)]
    with path.open("wb") as file:
        for k in range(n):
            second = k // _PACE
            day, rest = divmod(second, 86400)
            clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
            stamp = f"2026-03-{1 + day:02d}T{clock}+00:00 mx1 postfix/"
            values = {
                "id": f"{(k * 7919) % 2_000_003:06X}A", "n": k, "c": k % 250, "s": k % 5003,
                "r": k % 20_011, "size": 500 + k * 31 % 9000,
            }  # fmt: skip
            slot = k % len(late)
            lines += [stamp + text for text in late[slot]]
            late[slot] = []
            for delay, text in _LINES:
                told = text.format(**values)
                if delay == 0:
                    lines.append(stamp + told)
                elif "removed" not in told or k % 1000:
                    late[slot].append(told)
            if k % 100 == 0:
                late[slot][:0] = [_AGAIN.format(**values)] * 3
            if len(lines) >= _FRAME:
                file.write(compressor.compress(("\n".join(lines) + "\n").encode()))
                lines = []
        rest = [stamp + text for slot in late for text in slot]
        file.write(compressor.compress("".join(f"{line}\n" for line in lines + rest).encode()))


if __name__ == "__main__":
    write_messages(Path(sys.argv[2]), int(sys.argv[1]))
