"""Run pflogsumm and ``sawlog pflogsumm`` on the same logs, and compare every number.

    python -m tests.support.compare_pflogsumm              the demo archive, and generated logs
    python -m tests.support.compare_pflogsumm FILE…        these logs, one behind the other
    python -m tests.support.compare_pflogsumm --args "-i --smtpd-stats" FILE…

Every difference is printed. One is *listed* where a cause out of `KNOWN` stands in the log and the
section is one that it changes; its reason is printed beside it. The exit code is 1 if one is not.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.mail_logs import mail_log
from tests.support.pflogsumm import PATH, differences, parse_report, run_pflogsumm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Arguments that reports are compared with.
OPTION_SETS = (
    "",
    "--smtpd-stats -e",
    "--verbose-msg-detail --rej-add-from",
    "--problems-first --zero-fill --iso-date-time -q",
    "-i -m --verp-mung=2 --no-no-msg-size --smtpd-stats",
    "--detail 5 -u -1 -h -1 --reject-detail=-1",
)


@dataclass(frozen=True)
class Known:
    """A difference that is meant.

    ``cause`` is found in a line of the log (a regular expression; empty: in any log), ``sections``
    in the path of the number.
    """

    reason: str
    cause: str
    sections: str


_EVERYWHERE = ""
_TAG = r"^(?:\w{3} [ \d]\d [\d:]{8}|\d{4}-\S+) \S+ "
KNOWN = (
    Known(
        "smtp's failed connects of today's form count as smtp delivery failures",
        r"/smtp\[\d+\]: connect to \S+\]:\d+: ",
        "^smtp delivery failures",
    ),
    Known(
        "milters that refuse a client, a sender or a recipient count as rejections",
        r"/smtpd\[\d+\]: \S+: milter-reject: ",
        "reject",
    ),
    Known(
        "the instances and services of Postfix count, whatever they are called",
        rf"{_TAG}(?!postfix/)[^ /\[]+/\S+\[\d+\]: |{_TAG}postfix/(?!smtps/|submission/)[^ \[/]+/",
        _EVERYWHERE,
    ),
    Known(
        "stamps with a fraction, without an offset, or behind a priority count",
        r"^<\d+>|^\w{3} [ \d]\d [\d:]{8}\.\d|^\d{4}-\d\d-\d\dT[\d:.]+ ",
        _EVERYWHERE,
    ),
    Known("stamps with a year keep it", r"^\d{4}-\d\d-\d\dT", "^Per-Day"),
    Known(
        "a client of IPv6 keeps its address where tallies follow it",
        r"disconnect from \S+\[[0-9a-f]*:[0-9a-f:]+\] \w+=",
        "[Ss][Mm][Tt][Pp][Dd]",
    ),
)


def compare(logs: Sequence[Path], arguments: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yield each difference as a line of text, with its reason; None: it is not listed."""
    text = "".join(log.read_text("utf-8", "replace") for log in logs)
    expected = parse_report(run_pflogsumm(arguments, *logs))
    actual = parse_report(run_sawlog(arguments, *logs, year=year_there(text)))
    is_limited = "--detail" in arguments
    for path, left, right in differences(expected, actual, limited=is_limited):
        reasons = (
            known.reason
            for known in KNOWN
            if re.search(known.sections, " → ".join(path))
            and re.search(known.cause, text, re.MULTILINE)
        )
        yield f"{' → '.join(path)}: pflogsumm {left}, sawlog {right}", next(reasons, None)


def run_sawlog(arguments: Sequence[str], *logs: Path, year: int | None = None) -> str:
    """Return what ``sawlog pflogsumm`` prints for these logs."""
    own = [] if year is None else [f"--year={year}"]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "pflogsumm", *arguments, *own, *map(str, logs)],
        cwd=Path(__file__).parent.parent.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()


def year_there(text: str) -> int | None:
    """Return the year that pflogsumm takes the last line to be of; None if the lines have one."""
    today = date.today()  # noqa: DTZ011
    months = re.findall(r"^(?:<\d+>)?(\w{3}) [ \d]\d [\d:]{8}", text, re.MULTILINE)
    if not months:
        return None
    names = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
    if months[-1] not in names:
        return None
    return today.year - (names.index(months[-1]) + 1 > today.month)


def generated_logs(folder: Path) -> list[Path]:
    """Write some logs, each of another kind."""
    yesterday = date.today() - timedelta(1)  # noqa: DTZ011
    logs = []
    for seed, days in ((1, 1), (2, 3), (3, 5)):
        logs.append(folder / f"generated-{seed}.log")
        logs[-1].write_text(mail_log(seed, messages=250, days=days, last_day=yesterday))
    return logs


def demo_log(folder: Path) -> Path:
    """Write the demo archive as one plain log, the oldest file first."""
    from pipeline.demo import make_demo

    done = make_demo(folder / "demo", 1)
    log = folder / "demo.log"
    log.write_bytes(b"".join(map(plain_bytes, reversed(done.paths))))
    return log


def plain_bytes(path: Path) -> bytes:
    """Return the text of a file, which may be compressed: the original reads plain files only."""
    import gzip
    import lzma

    import zstandard

    stored = path.read_bytes()
    if path.suffix == ".zst":
        return zstandard.ZstdDecompressor().decompressobj().decompress(stored)
    readers = {".gz": gzip.decompress, ".xz": lzma.decompress}
    return readers.get(path.suffix, bytes)(stored)


def main() -> int:
    """Compare, print; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--args", action="append", help="arguments of pflogsumm; again and again")
    parser.add_argument("logs", nargs="*", type=Path)
    asked = parser.parse_args()
    if PATH is None:
        sys.exit("pflogsumm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        logs = [asked.logs] if asked.logs else [[log] for log in generated_logs(Path(folder))]
        if not asked.logs:
            logs.insert(0, [demo_log(Path(folder))])
        n_unlisted = 0
        for log in logs:
            for arguments in asked.args or OPTION_SETS:
                found = list(compare(log, arguments.split()))
                print(f"{log[0].name}: pflogsumm {arguments}: {len(found)} differences")
                for line, reason in found:
                    print(f"  {line}\n    {reason or 'NOT LISTED'}")
                    n_unlisted += reason is None
    return 1 if n_unlisted else 0


if __name__ == "__main__":
    sys.exit(main())
