"""What the sizing model takes from measurements; ``python -m cluster.figures`` prints its table.

Two cores shared with other work, 2026-11-27: processor seconds, since wall time of a machine that
others use tells little.
"""

from __future__ import annotations

from dataclasses import replace

from cluster.sizing import Assumed, Measured, table

_VOLUME = Measured(
    # `sawlog volume` of 0.34 and 2 GB of text in 14 and 84 .gz files of 46 and 276 MB, one thread,
    # no index: 2.76 s of user and system time for 0.230 GB more.
    core_s_a_gb=12.0,
    # `python -m tests.benchmarks.growth splits`, 20,000 of them each a task: merges included.
    scheduler_s_a_task=0.00041,
    # `python -m tests.benchmarks.growth objects`: a million, listed, dated and made tasks of.
    driver_s_a_file=0.00074,
    # The same: `volume` of 50,000 objects of 2 KB, all that two workers used.
    worker_s_a_file=0.0023,
    # `--cluster local` of one worker against threads, over a small file: 2 s.
    start_s=2.0,
)
MEASURED = {
    "volume": _VOLUME,
    # `sawlog mail` of the same: 14.0 s more.
    "mail": replace(_VOLUME, core_s_a_gb=61.1),
}

if __name__ == "__main__":
    print(table(MEASURED, Assumed()), end="")  # noqa: T201
