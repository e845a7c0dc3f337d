"""``python -m pipeline`` and the command ``sawlog``."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    # Importing makes many objects and no garbage: looking for some takes a tenth of a short run.
    gc.set_threshold(100_000, 20, 20)
    from pipeline.cli import run_command_line

    code = run_command_line(sys.argv[1:])
    # What must be cleaned up is (connections, temporary folders); taking the interpreter apart
    # object by object after that would only take time.
    atexit._run_exitfuncs()  # noqa: SLF001
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
