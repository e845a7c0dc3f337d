"""What the sizing model takes from measurements; ``python -m cluster.figures`` prints its table.

Two cores shared with other work, 2026-11-27: processor seconds, since wall time of a machine that
others use tells little.
"""

from __future__ import annotations

from cluster.sizing import Assumed, Measured, table

MEASURED = Measured(
    # `sawlog volume` of 0.5 and 2 GB of text in 12 and 48 .gz files of 89 and 356 MB, one thread:
    # 3.05 s of user and system time for 0.267 GB more. The mail report takes some five times that.
    core_s_a_gb=11.4,
    # `python -m tests.benchmarks.growth --splits 50000`: 1.36 ms of the scheduler's core a split,
    # merges included, beside 0.73 ms of the driver's.
    scheduler_s_a_task=0.00136,
    # The same, `--files 100000`: 82 µs to make tasks of a file that is listed.
    driver_s_a_file=0.000082,
    # `--cluster local` of one worker against threads, over a small file: 2 s.
    start_s=2.0,
)

if __name__ == "__main__":
    print(table(MEASURED, Assumed()), end="")  # noqa: T201
