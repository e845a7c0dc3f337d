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
    _fill_streams()
    try:
        from pipeline.cli import run_command_line
    except KeyboardInterrupt:
        os._exit(130)
    code = run_command_line(sys.argv[1:])
    # What must be cleaned up is (connections, temporary folders); taking the interpreter apart
    # object by object after that would only take time.
    atexit._run_exitfuncs()  # noqa: SLF001
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _fill_streams() -> None:
    """Open what was closed by our caller (``>&-``): Python leaves None in its place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


if __name__ == "__main__":
    main()
