"""What the command line writes to: terminals, pipes that close, full disks; and Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.processes import sawlog_command
from tests.support.services import wait_until


def test_hostile_text_never_reaches_the_terminal_raw(sawlog, tmp_path):
    """Escapes in names are shown, not run; CSV in a pipe stays exact."""
    path = tmp_path / "x"
    path.write_bytes(b"2007-12-26T00:00:00 \x1b[31mmx tag\x07: \x00\xff\n")

    shown = sawlog("volume", path, "--by", "host,process").out
    assert r"\x1b[31mmx" in shown
    assert "\x1b" not in shown
    assert "\x1b[31mmx" in sawlog("volume", path, "--by", "host", "--to", "csv").out


def test_a_closed_pipe_is_quiet(demo):
    """`| head` ends the run without a word, exit 0."""
    command = " ".join(
        sawlog_command(
            "sql", "'SELECT message FROM lines'", *demo.glob("maillog*"), "--to", "csv", "-q"
        )
    )
    ran = subprocess.run(
        ["bash", "-c", f"{command} | head -1; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        check=False,
    )

    assert (0, b"message\n", b"") == (ran.returncode, ran.stdout, ran.stderr)


def _is_open(pid: int, path: Path) -> bool:
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            if path == fd.readlink():
                return True
    return False


@pytest.mark.parametrize("scheduler", ["inline", "threads"])
def test_ctrl_c_leaves_nothing_half_written(demo, tmp_path, scheduler):
    """Exit 130, no output file, no temporary file, soon."""
    big = tmp_path / "big"
    big.write_bytes((demo / "maillog").read_bytes() * 300)
    folder = tmp_path / "out"
    folder.mkdir()
    # Splits so small that the run would take a minute.
    process = subprocess.Popen(
        sawlog_command(
            "volume", big, "-o", folder / "v.csv", "--split-size", "2KiB", "--scheduler", scheduler
        ),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    wait_until(lambda: _is_open(process.pid, big), "the log is read")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)

    assert 130 == process.returncode, err
    assert [] == list(folder.iterdir())
    assert b"Traceback" not in err


def test_closed_and_full_streams(four_lines):
    """Closed descriptors and a full disk behind stdout are no tracebacks."""
    for redirect, code in ((">&-", 0), ("2>&-", 0), ("<&-", 0), (">/dev/full", 1)):
        command = " ".join(
            sawlog_command("volume", four_lines, "--to", "csv", "--year", 2007, "-q")
        )
        ran = subprocess.run(
            ["bash", "-c", f"{command} {redirect}"], capture_output=True, text=True, check=False
        )
        assert (code, False) == (ran.returncode, "Traceback" in ran.stderr), (redirect, ran.stderr)
