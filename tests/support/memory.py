"""Peak memory of a program, measured from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# A process begins with the peak of the one that started it (Linux keeps it over exec), and a test
# run is large. So a small interpreter starts the program and waits for it.
_MEASURE = """
import os, sys
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
os.write(int(sys.argv[1]), b"%d" % usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status) and 1)
"""


def peak_mb(code_or_args: str | list[str]) -> float:
    """Run a program to its end and return the most memory that it had at one time.

    Parameters
    ----------
    code_or_args : str or list of str
        Python code, run by this interpreter in the root of the project; or a command.

    Returns
    -------
    float
        Peak resident memory of that one process in MB (1e6 bytes), the interpreter's own
        included. Less than about 10 MB can't be told.

    Raises
    ------
    CalledProcessError
        If the program fails.
    """
    is_code = isinstance(code_or_args, str)
    args = [sys.executable, "-c", code_or_args] if is_code else list(code_or_args)
    reading, writing = os.pipe()
    with open(reading, "rb") as answer:  # noqa: PTH123
        try:
            measure = [sys.executable, "-S", "-E", "-c", _MEASURE, str(writing), *args]
            subprocess.run(measure, cwd=ROOT, check=True, pass_fds=[writing])
        finally:
            os.close(writing)
        unit = 1 if sys.platform == "darwin" else 1024
        return int(answer.read()) * unit / 1e6


def growth_mb(before: str, code: str) -> float:
    """Return how much more memory the Python code ``before; code`` takes than ``before``, in MB."""
    return peak_mb(f"{before}\n{code}") - peak_mb(before)
