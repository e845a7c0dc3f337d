"""The line that tells how far a run is: what it says, when, and on every executor."""

from __future__ import annotations

import bz2
import os
import pty
import re
import subprocess
import threading
import time
from random import Random

import pytest

from pipeline.progress import describe
from tests.support.processes import read_terminal, sawlog_command

MB = 1_000_000


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((420 * MB, 1200 * MB, 2.0, 0, 80), "420 MB of 1.2 GB · 35 % · 210 MB/s · 4 s left"),
        ((420 * MB, 1200 * MB, 2.0, 3, 80),
         "420 MB of 1.2 GB · 35 % · 210 MB/s · 4 s left · 3 damaged"),
        ((420 * MB, None, 2.0, 0, 80), "420 MB read · 210 MB/s"),
        ((0, 1200 * MB, 1.0, 0, 80), "0 B of 1.2 GB · 0 % · 0 B/s"),
        ((10 * MB, 30_000 * MB, 4.0, 0, 80), "10.0 MB of 30.0 GB · 0 % · 2.5 MB/s · 3 h 19 min left"),
        ((420 * MB, 1200 * MB, 2.0, 1, 40), "420 MB of 1.2 GB · 35 % · 1 damaged"),
        ((420 * MB, 1200 * MB, 2.0, 0, 10), "420 MB of"),
        ((1300 * MB, 1200 * MB, 2.0, 0, 80), "1.3 GB of 1.2 GB · 100 % · 650 MB/s · 0 s left"),
    ],
)  # fmt: skip
def test_the_line_tells_bytes_share_speed_time_left_and_damage(arguments, line):
    assert describe(*arguments) == line


@pytest.fixture(scope="module")
def slow_files(tmp_path_factory):
    """Four files that take more than a second to decode: bzip2, of text that hardly repeats."""
    random = Random(1)
    line = "2007-12-26T10:00:00Z mx1 postfix/smtp[12]: {:x}: to=<a@b.example>\n"
    text = "".join(line.format(random.getrandbits(400)) for _ in range(20_000)).encode()
    packed = bz2.compress(text)
    folder = tmp_path_factory.mktemp("slow")
    for n in range(4):
        # They begin differently: files that may hold the same are compared before the run.
        first = bz2.compress(line.format(n).encode())
        (folder / f"maillog.{n}").write_bytes(first + packed * 6)
    return folder


def run_on_terminal(arguments, *, stdin=None, feed=None):
    """Run with standard error on a terminal; return what it was told, and the exit code."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        sawlog_command(*arguments, "--nice", "0"),
        stdin=stdin, stdout=subprocess.DEVNULL, stderr=theirs,
        env={**os.environ, "COLUMNS": "100"},
    )  # fmt: skip
    os.close(theirs)
    feeder = threading.Thread(target=feed, args=(process,)) if feed else None
    if feeder:
        feeder.start()
    told = read_terminal(ours)
    if feeder:
        feeder.join()
    return told.decode(), process.wait()


def lines_of(told):
    """Return each state of the line; the account that stands there at last is none of them."""
    return [line for line in re.findall(r"\r\x1b\[K([^\r\n]+)", told) if "B/s" in line]


@pytest.mark.parametrize(
    "executor",
    [["--scheduler", "inline"], ["--workers", "2"], ["--workers", "2", "--split-size", "64KiB"]],
    ids=["inline", "pool", "dask"],
)
def test_a_run_of_more_than_a_second_shows_its_progress(slow_files, executor):
    """Bytes done of bytes planned grow, and the line is gone at the end."""
    told, code = run_on_terminal(["volume", slow_files, "--by", "day", *executor, "--to", "csv"])
    lines = lines_of(told)
    shares = [int(found[1]) for line in lines if (found := re.search(r"(\d+) %", line))]

    assert code == 0
    assert lines, told
    assert re.search(r"^[\d.]+ [kM]?B of [\d.]+ [kM]?B · \d+ % · [\d.]+ [kM]?B/s", lines[-1])
    assert shares == sorted(shares)
    assert shares[-1] <= 100
    assert "\r\x1b[K4 files whole" in told, "the account stands where the line was"


def test_a_stream_has_no_share_and_a_damaged_file_is_told(slow_files, tmp_path):
    whole = (slow_files / "maillog.0").read_bytes()
    (tmp_path / "cut.log").write_bytes(whole[: len(whole) // 3])

    def feed(process):
        """Write as slowly as a network."""
        for n in range(10):
            process.stdin.write(whole[n * len(whole) // 10 : (n + 1) * len(whole) // 10])
            time.sleep(0.2)
        process.stdin.close()

    told, code = run_on_terminal(
        ["volume", tmp_path / "cut.log", "-", "--by", "day", "--scheduler", "inline", "--to", "csv"],
        stdin=subprocess.PIPE, feed=feed,
    )  # fmt: skip
    lines = lines_of(told)

    assert code == 3
    assert lines
    assert all(" read · " in line and "%" not in line for line in lines)
    assert lines[-1].endswith("1 damaged")


@pytest.mark.parametrize("option", ["-q", "--no-progress"])
def test_nobody_is_told_who_did_not_want_it(slow_files, option):
    told, code = run_on_terminal(["volume", slow_files, "--by", "day", "--to", "csv", option])

    assert code == 0
    assert lines_of(told) == []


def test_nothing_is_told_where_no_terminal_listens(slow_files):
    ran = subprocess.run(
        sawlog_command("volume", slow_files, "--by", "day", "--to", "csv", "--nice", "0"),
        capture_output=True, check=True,
    )  # fmt: skip

    assert b"\r" not in ran.stderr
    assert ran.stderr.count(b"\n") == 1


def test_a_short_run_says_nothing(demo):
    told, code = run_on_terminal(["volume", demo / "maillog.4.xz", "--to", "csv"])

    assert code == 0
    assert lines_of(told) == []
