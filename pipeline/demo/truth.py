"""The true counts of a demo archive, written beside it for tests to compare with."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

from pipeline.demo.log import HOST
from pipeline.demo.names import FORGED_SENDER, LIST_ADDRESS
from pipeline.demo.server import STORY_ID
from pipeline.demo.story import STORY_ATTEMPTS
from pipeline.demo.timeline import DAY, DAY_NAMES, SURGE, clock

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.demo.files import FileCount
    from pipeline.demo.log import Log
    from pipeline.demo.story import Stuck

_README = """\
The true counts of the demo archive, counted while its lines were made, not read back from them.
CSV with LF and a header, sorted by the leading columns, NULL empty and last. The server's clock
runs on UTC.

volume.csv      lines and plain bytes by day and process, as `sawlog volume --to csv`
files.csv       what each file holds; first and last are its first and last stamp
retries.csv     lines with status=deferred by day and queue id; reason (the text in parentheses),
                recipient and relay are those of the day's last attempt
rejects.csv     `reject:` lines of smtpd (no `reject_warning:`) by day, reason and client; reason is
                the reply up to `; from=`, less codes, links, and what stands in <> or []
deliveries.csv  lines with to= and status= by day and status (no status=expired: that is qmgr's)
stuck.csv       the rejection mails that nobody can deliver, and the spam that caused each:
                born and given_up are times, given_up is empty while the mail still waits
story.json      what an investigation should find
"""


def write_truth(
    folder: Path, size_mb: int, log: Log, files: list[FileCount], stuck: list[Stuck]
) -> None:
    """Write every table of the truth into ``folder``, which exists."""
    (folder / "README.txt").write_text(_README, encoding="ascii", newline="\n")
    _write(folder / "volume.csv", "day,process,lines,bytes", log.volume())
    _write(
        folder / "files.csv",
        "file,compression,stored_bytes,plain_bytes,lines,first,last",
        sorted(
            (c.name, c.compression, c.stored_bytes, c.plain_bytes, c.lines, clock(c.first),
             clock(c.last)) for c in files
        ),
    )  # fmt: skip
    _write(
        folder / "retries.csv",
        "day,host,queue_id,attempts,reason,recipient,relay",
        (
            (DAY_NAMES[day], HOST, queue_id, r.attempts, r.reason, r.recipient, r.relay)
            for (day, queue_id), r in sorted(log.retries.items(), key=lambda item: item[0])
        ),
    )
    _write(
        folder / "rejects.csv",
        "day,reason,client,rejects",
        ((DAY_NAMES[day], *key, n) for (day, *key), n in sorted(log.rejects.items())),
    )
    _write(
        folder / "deliveries.csv",
        "day,status,deliveries",
        ((DAY_NAMES[day], status, n) for (day, status), n in sorted(log.deliveries.items())),
    )
    _write(
        folder / "stuck.csv",
        "queue_id,forged_sender,spam_queue_id,client,born,given_up,attempts",
        sorted(
            (m.queue_id, m.to, m.spam_id, m.client, clock(m.born),
             "" if m.given_up is None else clock(m.given_up), m.attempts)
            for m in stuck if not m.sender
        ),
    )  # fmt: skip
    story = json.dumps(_tell_story(size_mb, files, stuck), indent=2)
    (folder / "story.json").write_text(story + "\n", encoding="ascii", newline="\n")


def _tell_story(size_mb: int, files: list[FileCount], stuck: list[Stuck]) -> dict[str, object]:
    rejections = [m for m in stuck if not m.sender]
    told = next(m for m in rejections if m.queue_id == STORY_ID)
    first_day = told.born // DAY
    return {
        "size_mb": size_mb,
        "plain_bytes": sum(c.plain_bytes for c in files),
        "lines": sum(c.lines for c in files),
        "host": HOST,
        "zone": "UTC",
        "surge_day": DAY_NAMES[SURGE // DAY],
        "list_address": LIST_ADDRESS,
        "queue_id": STORY_ID,
        "forged_sender": FORGED_SENDER,
        "spam_queue_id": told.spam_id,
        "spam_client": told.client,
        "attempts": {
            DAY_NAMES[first_day + n]: attempts for n, attempts in enumerate((*STORY_ATTEMPTS, 0))
        },
        "stuck_messages": len(rejections),
        "stuck_attempts": sum(m.attempts for m in rejections),
        "waiting_at_end": sum(m.given_up is None for m in rejections),
        "stuck_messages_of_users": len(stuck) - len(rejections),
        "expired": sum(m.given_up is not None for m in stuck),
    }


def _write(path: Path, header: str, rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)
