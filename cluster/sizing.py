"""How long a run takes on how many workers, and what a store asks for it.

A small model over measured figures (`cluster.figures`). Its assumptions:

* All workers are as fast as the core that was measured, and have all of it.
* The store gives as much as is asked, up to what the network of a worker carries.
* What is serial is the planning (listing, heads, years), on one core of the driver while it waits
  for the store; and the scheduler's work for each task, which runs beside the mapping and bounds it
  from below.
* A merge costs little beside a map: partials of a day and process are small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured, on the machine and day that the README tells.

    Attributes
    ----------
    core_s_a_gb : float
        Processor seconds of a worker for a stored GB (1e9 bytes) of .gz, with the job's queries.
    scheduler_s_a_task : float
        Of the scheduler's one core, for each task with its share of the merges.
    driver_s_a_file : float
        Of the driver's one core: to list a file, read its head, find its years, make tasks of it.
    worker_s_a_file : float
        Of a worker's core, for each file whatever is in it.
    start_s : float
        From the command to the first split, on a cluster that runs.
    """

    core_s_a_gb: float
    scheduler_s_a_task: float
    driver_s_a_file: float
    worker_s_a_file: float
    start_s: float


@dataclass(frozen=True, slots=True)
class Assumed:
    """What was not measured here.

    Attributes
    ----------
    worker_gb_a_s : float
        What the network of one worker machine brings.
    head_s : float
        One request's latency; this many heads are read at a time.
    usd_a_1000_gets, usd_a_core_hour : float
        List prices, of the usual order; put in your own.
    """

    worker_gb_a_s: float = 1.0
    head_s: float = 0.03
    heads_at_a_time: int = 64
    request_mb: int = 8
    usd_a_1000_gets: float = 0.0004
    usd_a_core_hour: float = 0.05


@dataclass(frozen=True, slots=True)
class Size:
    """An estimate."""

    tasks: int
    seconds: float
    requests: int
    usd: float
    bound_by: str


def estimate(
    tb: float, files: int, workers: int, threads: int, measured: Measured, assumed: Assumed
) -> Size:
    """Return what a pass over so many stored TB (1e12 bytes) takes.

    Examples
    --------
    >>> estimate(1, 1000, 10, 8, Measured(10, 0.001, 0.001, 0.001, 1), Assumed()).bound_by
    'cores'
    """
    gb = tb * 1000
    tasks = count_tasks(files, gb)
    core_s = gb * measured.core_s_a_gb + files * measured.worker_s_a_file
    parallel = {
        "cores": core_s / (workers * min(threads, max(1, tasks / workers))),
        "network": gb / (workers * assumed.worker_gb_a_s),
        "scheduler": tasks * measured.scheduler_s_a_task,
    }
    bound_by = max(parallel, key=lambda name: parallel[name])
    planning = files * max(measured.driver_s_a_file, assumed.head_s / assumed.heads_at_a_time)
    seconds = measured.start_s + planning + parallel[bound_by]
    if planning > parallel[bound_by]:
        bound_by = "planning"
    # The listing gives a thousand names a request; a head each; then the bytes.
    requests = round(files / 1000 + files + max(files, gb * 1000 / assumed.request_mb))
    usd = requests / 1000 * assumed.usd_a_1000_gets
    usd += workers * threads * seconds / 3600 * assumed.usd_a_core_hour
    return Size(tasks, seconds, requests, usd, bound_by)


def count_tasks(files: int, gb: float) -> int:
    """Return the tasks of a run; a .gz is one split at its first one, small ones share tasks.

    As `pipeline.executors.units.count_units` has it.
    """
    return min(files, 10_000, max(1_000, int(gb * 1e9) // (1 << 20)))


def table(measured: Mapping[str, Measured], assumed: Assumed) -> str:
    """Return the sizing table of the README; figures by the name of the job."""
    lines = [
        "| job | stored TB | files | workers | tasks | time | bound by | requests | cost |",
        "|---|--:|--:|--:|--:|--:|---|--:|--:|",
    ]
    for job, tb, files, workers, threads in _ROWS:
        size = estimate(tb, files, workers, threads, measured[job], assumed)
        lines.append(
            f"| {job} | {tb:g} | {files:,} | {workers} x {threads} | {size.tasks:,} | "
            f"{_in_time(size.seconds)} | {size.bound_by} | {size.requests:,} | "
            f"${size.usd:,.2f} |"
        )
    return "\n".join(lines) + "\n"


_ROWS = (
    ("volume", 0.1, 400, 2, 8),
    ("volume", 1, 4_000, 4, 8),
    ("volume", 1, 1_000_000, 4, 8),
    ("volume", 10, 40_000, 10, 16),
    ("volume", 10, 40_000, 40, 16),
    ("volume", 100, 400_000, 40, 16),
    ("volume", 100, 400_000, 160, 16),
    ("mail", 0.1, 400, 2, 8),
    ("mail", 1, 4_000, 4, 8),
    ("mail", 10, 40_000, 40, 16),
)


def _in_time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
