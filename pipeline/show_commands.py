"""The commands that list what there is, and the one that makes a sample archive."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def run_jobs_list(to: str) -> int:
    """List the built-in jobs; return the exit code."""
    import pyarrow as pa

    from pipeline.job import builtin_jobs, read_job
    from pipeline.render import render

    jobs = [read_job(path) for path in builtin_jobs().values()]
    table = pa.table(
        {
            "job": pa.array([job.name for job in jobs], pa.string()),
            "question": pa.array([job.question for job in jobs], pa.string()),
            "by": pa.array([", ".join(job.by_choices) or None for job in jobs], pa.string()),
        }
    )
    render({"jobs": table}, to, sys.stdout)
    return 0


def run_formats_list(to: str) -> int:
    """List the built-in formats; return the exit code."""
    import pyarrow as pa

    from pipeline.formats.base import FormatOptions
    from pipeline.formats.registry import find_formats
    from pipeline.render import render

    formats = find_formats(FormatOptions())
    table = pa.table(
        {
            "format": pa.array([*formats], pa.string()),
            "columns": pa.array(
                [", ".join(one.columns) or None for one in formats.values()], pa.string()
            ),
            "samples": pa.array([len(one.samples()) for one in formats.values()], pa.int64()),
        }
    )
    render({"formats": table}, to, sys.stdout)
    return 0


def run_formats_check(paths: Sequence[str]) -> int:
    """Run the samples of files of patterns; return the exit code: 1 where one fails."""
    from pipeline.formats.patterns import read_patterns
    from pipeline.recognise import check_samples
    from pipeline.text import escape_visibly

    code = 0
    for path in paths:
        one = read_patterns(Path(path))
        wrong = check_samples(one)
        for problem in wrong:
            shown = "\n".join(map(escape_visibly, problem.split("\n")))
            print(f"{path}: {shown}", file=sys.stderr)
        if wrong:
            code = 1
        else:
            n_patterns, n_samples = len(one.patterns), len(one.samples())
            print(f"{path}: {one.name}: {n_patterns} patterns, {n_samples} samples, all as told")
    return code


def run_demo_command(directory: str, size_mb: int | None) -> int:
    """Make the sample archive and a report of it; return the exit code."""
    from pipeline.demo import DEFAULT_SIZE_MB, make_demo
    from pipeline.text import in_bytes

    done = make_demo(Path(directory), DEFAULT_SIZE_MB if size_mb is None else size_mb)
    size = in_bytes(done.plain_bytes)
    print(f"{done.lines:,} lines, {size} of text in {len(done.paths)} files", file=sys.stderr)
    print(f"sawlog volume {directory}/maillog*")
    return _report_demo(directory, [str(path) for path in done.paths])


def _report_demo(directory: str, sources: Sequence[str]) -> int:
    """Write a report of the sample archive and print its path, where pictures can be drawn."""
    from pipeline.charts.draw import check_drawing
    from pipeline.job import find_job
    from pipeline.render import write_outputs
    from pipeline.run import plan_queries, run_jobs
    from pipeline.settings import Settings

    try:
        check_drawing(is_page=True)
    except UsageError as error:
        print(f"no report of it: {error}", file=sys.stderr)
        return 0
    path = f"{directory}/report.html"
    jobs, settings = [find_job("volume")], Settings()
    planned = plan_queries(jobs, settings)
    done = run_jobs(jobs, sources, settings, planned=planned)
    command = f"sawlog volume {shlex.quote(directory)}/maillog* -o {shlex.quote(path)}"
    from pipeline.commands import about, occasion_of

    occasion = occasion_of(settings, done.account, done.warnings, command)
    write_outputs(done.results, [path], about=about(planned), occasion=occasion)
    print(path)
    return 0
