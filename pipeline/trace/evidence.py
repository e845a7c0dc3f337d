"""A folder to hand over: the lines as they stand in the logs, the sources and their digests."""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.account import account_json
from pipeline.errors import SourceError
from pipeline.extract.run import new_folder
from pipeline.text import clean
from pipeline.trace.page import timeline_page
from pipeline.trace.show import deliveries_table, stories_json, text_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.model import SourceFile
    from pipeline.settings import Settings
    from pipeline.trace.run import Traced
    from pipeline.trace.sessions import Row

_README = """\
What was found in logs of mail, and where. Made by: {command}
At: {now}

lines/NN.log    the lines of each story as they stand in the logs, byte for byte, in order of time
positions.csv   for each of these lines its file, and its place in it counted from 1
story.txt       what became of each message, and its lines
story.json      the same for programs
messages.csv    a row for each message and recipient
timeline.html   the same as a picture
sources.csv     the files that were searched, whole, with the SHA-256 of their stored bytes
coverage.csv    per file and day: lines, first and last time: what the logs cover and what not
account.json    what was read, and what could not be
SHA256SUMS      digests of all of these
"""


def write_evidence(
    folder: Path,
    traced: Traced,
    sources: Sequence[str],
    settings: Settings,
    arguments: Sequence[str],
) -> None:
    """Write all of it into a new folder, whole or not at all.

    The sources are read once more, for their digests and for what they cover.

    Raises
    ------
    OutputError
        It can't be written.
    """
    from pipeline.handing_on import hide_secrets
    from pipeline.job import sql_job
    from pipeline.outputs.csv_text import format_csv
    from pipeline.outputs.model import Rows, Style
    from pipeline.run import run_jobs

    covered = run_jobs([sql_job("coverage", _COVERAGE)], sources, _unfiltered(settings))
    with new_folder(folder) as place:
        (place / "lines").mkdir()
        positions = ["story,file,line\n"]
        for number, story in enumerate(traced.stories, 1):
            lines = [row["raw"].removesuffix(b"\n") + b"\n" for row in story.rows]
            (place / "lines" / f"{number:02}.log").write_bytes(b"".join(lines))
            positions += [
                f"{number},{_quoted(clean(r['file']))},{r['number']}\n" for r in story.rows
            ]
        command = shlex.join(["sawlog", *hide_secrets(arguments)])
        files = {
            "README.txt": _README.format(command=command, now=settings.now)
            + _tell_envelopes(traced),
            "positions.csv": "".join(positions),
            "story.txt": "".join(f"{line}\n" for line in text_lines(traced.stories, 0)),
            "story.json": json.dumps(stories_json(traced.stories), indent=1) + "\n",
            "timeline.html": timeline_page(traced.stories),
            "sources.csv": _digests([file for file, _ in traced.inputs.files]),
            "account.json": account_json(covered.account),
        }
        tables = {
            "messages.csv": deliveries_table(traced.stories),
            "coverage.csv": covered.results["coverage"],
        }
        for name, text in files.items():
            (place / name).write_text(text, encoding="utf-8", newline="\n")
        for name, table in tables.items():
            chunks = format_csv({"trace": Rows.of(table)}, Style())
            (place / name).write_bytes(b"".join(chunks))
        paths = sorted(path for path in place.rglob("*") if path.is_file())
        sums = [f"{_sha256(path)}  {path.relative_to(place)}\n" for path in paths]
        (place / "SHA256SUMS").write_text("".join(sums), encoding="ascii")


_COVERAGE = """
SELECT file, host, day, count(*) AS lines, min(time) AS first, max(time) AS last
FROM lines GROUP BY file, host, day ORDER BY file, host, day
"""


def _tell_envelopes(traced: Traced) -> str:
    found = [(file.url, head.envelope) for file, head in traced.inputs.files]
    wrapped = [f"  {clean(url)} ({one.envelope.name})\n" for url, one in found if one is not None]
    if not wrapped:
        return ""
    return "\nIn these files lines stand in envelopes. What is inside is shown:\n" + "".join(
        wrapped
    )


def _unfiltered(settings: Settings) -> Settings:
    return replace(settings, since=None, until=None, hosts=())


def _digests(files: Sequence[SourceFile]) -> str:
    return "file,stored_bytes,sha256\n" + "".join(
        f"{_quoted(clean(file.url))},{file.size or ''},{_digest(file)}\n" for file in files
    )


def _digest(file: SourceFile) -> str:
    """Return the digest of the bytes that were searched; empty where they can't be read again."""
    from pipeline.source import open_stored

    if file.size is None:
        return ""
    digest, left = hashlib.sha256(), file.size
    try:
        with open_stored(file) as stored:
            while left and (data := stored.read(min(left, 1 << 20))):
                digest.update(data)
                left -= len(data)
    except SourceError:
        return ""
    return "" if left else digest.hexdigest()


def _place(row: Row) -> str:
    return f"{_quoted(clean(row['file']))},{row['number']}"


def _sha256(path: Path) -> str:
    with path.open("rb") as stored:
        return hashlib.file_digest(stored, "sha256").hexdigest()


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
