"""Tests leave no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support import watchdog
from tests.support.services import wait_until

_CODE = """
import os, subprocess, sys, time
from tests.support.watchdog import NAME, watch_over
watch_over()
subprocess.Popen(["sh", "-c", "sleep 300 & sleep 300"], start_new_session=True)
print(os.environ[NAME], flush=True)
time.sleep(300)
"""


def test_what_a_killed_run_has_started_ends():
    """SIGKILL of the tests is followed by that of all they started, in sessions of their own, too."""
    with subprocess.Popen(
        [sys.executable, "-c", _CODE],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    ) as tests:
        mark = tests.stdout.readline().strip()
        wait_until(lambda: len(watchdog.marked(mark)) >= 3, "its processes run", 20)
        os.kill(tests.pid, signal.SIGKILL)

    wait_until(lambda: not watchdog.marked(mark), "they are gone", 20)
