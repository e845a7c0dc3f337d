"""Make a demo archive: the mail log of DESIGN §1, five rotated files, and its true counts.

The same arguments give the same bytes. Who writes what::

    timeline   when: days, rotations, bytes per hour
    names      who: users, senders, clients, relays
    server     ids of messages and processes
    mail       usual sessions            ─┐
    sundry     logins, cron, odd lines    ├→ log (lines by the second, counts) → files
    story      the list and its victims  ─┘                                    → truth
    traffic    how many sessions begin when
"""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from pipeline.demo.files import FILE_NAMES, Archive
from pipeline.demo.log import Log
from pipeline.demo.names import Names
from pipeline.demo.server import Server
from pipeline.demo.story import Story
from pipeline.demo.timeline import HOUR, START, plan_segments
from pipeline.demo.traffic import Traffic
from pipeline.demo.truth import write_truth
from pipeline.errors import OutputError, UsageError

DEFAULT_SIZE_MB = 30

_SEED = 90442
_MARKER = ".sawlog-demo"
_MARKER_TEXT = (
    "Made by `sawlog demo`, which may replace maillog*, truth/ and report.html in this folder.\n"
)
_PARTIAL = ".sawlog-demo.part"


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """What was made.

    Attributes
    ----------
    paths : tuple of Path
        The log files, newest first.
    truth : Path
        The folder with the true counts.
    lines, plain_bytes : int
        Of all files together.
    seconds : float
        How long it took.
    """

    paths: tuple[Path, ...]
    truth: Path
    lines: int
    plain_bytes: int
    seconds: float


def make_demo(directory: Path, size_mb: int = DEFAULT_SIZE_MB) -> DemoSummary:
    """Write the demo archive and its true counts into a folder.

    The folder holds ``maillog``, ``maillog.1``, ``maillog.2.gz``, ``maillog.3.zst``,
    ``maillog.4.xz`` and ``truth/`` when all is done, and none of them before. Memory does not
    grow with the size but for the counts.

    Parameters
    ----------
    directory : Path
        A new or empty folder, or one with an earlier demo, which is replaced.
    size_mb : int, default 30
        Plain bytes of all files together in millions, at least 1. The message of the case has
        its attempts at any size: archives below 5 MB come out up to 0.6 MB larger.

    Raises
    ------
    UsageError
        If the folder has other content or ``size_mb`` is less than 1.
    OutputError
        If a file can't be written.
    """
    begun = time.perf_counter()
    if size_mb < 1:
        raise UsageError(f"a demo has at least 1 MB, not {size_mb}")
    directory = Path(directory)
    undo = _claim(directory)
    partial = directory / _PARTIAL
    try:
        with undo:
            undo.callback(shutil.rmtree, partial, ignore_errors=True)
            shutil.rmtree(partial, ignore_errors=True)
            (partial / "truth").mkdir(parents=True)
            lines, plain_bytes = _write_archive(partial, size_mb)
            paths = _move_in(partial, directory)
            undo.pop_all()
    except OSError as error:
        raise OutputError(
            f"{directory}: the demo can't be written: {error.strerror or error}"
        ) from error
    seconds = time.perf_counter() - begun
    return DemoSummary(paths, directory / "truth", lines, plain_bytes, seconds)


def _claim(directory: Path) -> ExitStack:
    """Make or check the folder and mark it as ours; return how to leave it as it was."""
    undo = ExitStack()
    marker = directory / _MARKER
    try:
        if not directory.exists():
            directory.mkdir(parents=True)
            undo.callback(directory.rmdir)
        elif not directory.is_dir():
            raise UsageError(f"{directory}: not a folder; name a new one for the demo")
        elif marker.exists():
            return undo
        elif any(directory.iterdir()):
            raise UsageError(
                f"{directory}: holds other files than a demo; name a new or empty folder"
            )
        # A run that is killed leaves the marker behind, and the next one may clean up.
        marker.write_text(_MARKER_TEXT, encoding="ascii", newline="\n")
        undo.callback(_remove_demo, directory)
    except OSError as error:
        undo.close()
        raise OutputError(
            f"{directory}: the demo can't be written: {error.strerror or error}"
        ) from error
    return undo


def _remove_demo(directory: Path) -> None:
    for name in (*FILE_NAMES, _MARKER):
        (directory / name).unlink(missing_ok=True)
    shutil.rmtree(directory / "truth", ignore_errors=True)


def _write_archive(folder: Path, size_mb: int) -> tuple[int, int]:
    """Write logs and truth into an empty folder; return lines and plain bytes."""
    # Reproducible on purpose, and `random()` and `getrandbits()` draw alike in every Python.
    random = Random(_SEED)  # noqa: S311
    log = Log()
    server = Server(log, Names(random), random)
    traffic, story = Traffic(server, random), Story(server, size_mb)
    wanted_bytes = 0.0
    with Archive(folder) as archive:
        for segment in plan_segments(size_mb):
            if segment.start % HOUR == 0 or segment.start == START:
                server.begin_hour(3 + int(segment.ordinary_bytes / 2e5))
            story.run(segment)
            # What was too much or too little before is made good: days keep their share.
            wanted_bytes += segment.ordinary_bytes
            traffic.run(segment, wanted_bytes - (log.n_bytes - story.surge_bytes))
            archive.write(segment.file, *log.take(segment.stop))
    write_truth(folder / "truth", size_mb, log, archive.counts, story.stuck)
    return sum(c.lines for c in archive.counts), sum(c.plain_bytes for c in archive.counts)


def _move_in(partial: Path, directory: Path) -> tuple[Path, ...]:
    """Move a finished demo to its place, over an earlier one."""
    for name in FILE_NAMES:
        (partial / name).replace(directory / name)
    shutil.rmtree(directory / "truth", ignore_errors=True)
    (partial / "truth").replace(directory / "truth")
    partial.rmdir()
    return tuple(directory / name for name in reversed(FILE_NAMES))
