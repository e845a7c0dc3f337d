"""Messages and deliveries of logs, with every limit of the engine as small as wished."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache, partial
from typing import TYPE_CHECKING
from unittest.mock import patch

from pipeline import at_hand, run, shuffle, stitch, task
from pipeline.job import sql_job
from pipeline.run import run_jobs
from pipeline.scan import LineScanner
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

# What depends on other messages is known at the end of the run only; without it whole messages
# are queried as they are found, which is another way through the engine.
LATE = {"generation", "parent_id", "parent_link"}
WAYS = {
    "late": ["SELECT * FROM messages", "SELECT * FROM deliveries"],
    "whole at once": [
        f"SELECT * EXCLUDE ({', '.join(LATE)}) FROM messages",
        "SELECT * EXCLUDE (generation) FROM deliveries",
    ],
}


@cache
def plan_queries(queries: tuple[str, ...]):
    jobs = [sql_job(f"job{k}", query) for k, query in enumerate(queries)]
    return jobs, run.plan_queries(jobs, Settings())


def run_queries(queries, paths, **options) -> list[list[dict[str, object]]]:
    """Rows of each query; without more options: one split a file, on this thread."""
    options = {"scheduler": "inline", "split_bytes": 1 << 40, **options}
    jobs, planned = plan_queries(tuple(queries))
    settings = Settings(count_duplicates=True, **options)
    done = run_jobs(jobs, [str(path) for path in paths], settings, planned=planned)
    return [in_order(done.results[job.name].to_pylist()) for job in jobs]


def in_order(rows):
    return sorted(rows, key=repr)


def write_logs(folder: Path, files: dict[str, bytes]) -> list[Path]:
    for name, text in files.items():
        (folder / name).write_bytes(text)
    return [folder / name for name in files]


class SmallLimits(ExitStack):
    """Makes blocks, tables and limits so small that every way through the engine is gone."""

    def __init__(self, **limits: int) -> None:
        super().__init__()
        held = {"block_bytes": 300, "max_rows": 4, "blocks": 2, "join_rows": 1,
                "pile_bytes": 1, "partition_rows": 5, **limits}  # fmt: skip
        scanner = partial(LineScanner, max_rows=held["max_rows"])
        self.enter_context(patch.object(run, "_block_bytes", lambda *_, **__: held["block_bytes"]))
        self.enter_context(patch.object(at_hand, "LineScanner", scanner))
        self.enter_context(patch.object(stitch, "BLOCKS", held["blocks"]))
        self.enter_context(patch.object(stitch, "JOIN_ROWS", held["join_rows"]))
        self.enter_context(patch.object(shuffle, "PILE_BYTES", held["pile_bytes"]))
        self.enter_context(patch.object(shuffle, "PARTITION_ROWS", held["partition_rows"]))

    def __enter__(self):
        forget_thread()
        return super().__enter__()

    def __exit__(self, *error):
        forget_thread()
        return super().__exit__(*error)


def forget_thread() -> None:
    """Let this thread make its buffers and scanner anew."""
    at_hand._local.__dict__.clear()
    task._local.__dict__.clear()
