"""Preloaded by workers in tests: what a table says goes wrong, so often and no more.

``FAULTS`` is JSON: a list of ``[function, fault, times]``; ``FAULT_FOLDER`` is shared by all workers
and counts what has happened. Faults: ``kill`` (SIGKILL before the function runs), ``kill after``,
``fail`` (an error of its own), ``slow`` (ten times as long), ``tell rate`` (no fault: a file's name
in that folder has the rate of reads).
"""

from __future__ import annotations

import json
import os
import signal
import time
from functools import wraps
from pathlib import Path

from pipeline import shuffle
from pipeline.executors import on_worker
from pipeline.sources import ranged
from pipeline.sources.rate import read_rate

FOLDER = Path(os.environ["FAULT_FOLDER"])


def _happens(name: str, times: int) -> bool:
    """Tell whether a fault happens once more; workers agree on it by making a file."""
    for k in range(times):
        try:
            (FOLDER / f"{name}-{k}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return True
    return False


def _wrap(function, name, fault, times):
    @wraps(function)
    def run(*args):
        if fault == "slow":
            begin = time.monotonic()
            result = function(*args)
            time.sleep(9 * (time.monotonic() - begin))
            (FOLDER / f"{name}-slow").touch()
            return result
        if fault == "kill" and _happens(name, times):
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "fail" and _happens(name, times):
            raise ValueError("bad luck")
        result = function(*args)
        if fault == "tell rate":
            (FOLDER / f"rate-{read_rate()}").touch()
        if fault == "kill after" and _happens(name, times):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return run


for _name, _fault, _times in json.loads(os.environ["FAULTS"]):
    _function = getattr(on_worker, _name).__wrapped__
    setattr(on_worker, _name, on_worker._guarded(_wrap(_function, _name, _fault, _times)))
ranged.REQUEST_BYTES = int(os.environ.get("REQUEST_BYTES", ranged.REQUEST_BYTES))
shuffle.PILE_BYTES = int(os.environ.get("PILE_BYTES", shuffle.PILE_BYTES))
