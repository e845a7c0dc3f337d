"""The command line: names, options and exit codes are a contract, see DESIGN.md."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

import rich_click as click

from pipeline.errors import SawlogError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.settings import Settings

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_DAMAGED = 3
EXIT_INTERRUPTED = 130

_FORMATS = ("table", "csv", "json", "ndjson", "markdown", "values")


def run_command_line(arguments: Sequence[str]) -> int:
    """Run a command line; return its exit code.

    A user's mistake is told in a message, never in a traceback.
    """
    try:
        # Not `commands.main`: it makes exit code 1 of a closed pipe.
        with commands.make_context("sawlog", list(arguments)) as context:
            code = commands.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        code = done.exit_code
    except BrokenPipeError:
        # The reader of a pipe has seen enough (`| head`): that is no failure. Python would
        # complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except click.ClickException as error:
        _say(f"sawlog: {error.format_message()}")
        code = EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):
        _say("sawlog: interrupted; nothing was written")
        code = EXIT_INTERRUPTED
    except UsageError as error:
        _say(f"sawlog: {error}")
        code = EXIT_USAGE
    except SawlogError as error:
        _say(f"sawlog: {error}")
        code = EXIT_FAILED
    return code if isinstance(code, int) else 0


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr)


class _Commands(click.RichGroup):
    """The commands; any other first word is a job, or several of them."""

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        known = super().get_command(ctx, name)
        return known if known is not None else _job_command(name)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    subcommand_metavar="JOB[,JOB…] [OPTIONS] SOURCE…",
)
@click.version_option(package_name="sawlog")
def commands() -> None:
    """Crunch months of rotated, compressed logs into tables per day and per process.

    JOB is a built-in job (`sawlog jobs` lists them), a path to an .sql or .py file, or one of the
    commands below. SOURCE is a file, a directory, a glob, an fsspec URL, or - for standard input.

        sawlog volume /var/log/maillog*
    """


def _shared_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that every job has, and its sources."""
    options = [
        click.argument("sources", nargs=-1, metavar="SOURCE…"),
        click.option("--to", type=click.Choice(_FORMATS), default="table", help="What goes to stdout."),
        click.option("-o", "outputs", multiple=True, metavar="PATH", help="Also write .csv .json .ndjson .parquet .duckdb .md; {job} for several jobs."),
        click.option("--since", metavar="TIME", help="From: 2007-12-26, '2007-12-26 09:00', yesterday, 2h, 7d."),
        click.option("--until", metavar="TIME", help="To; days are inclusive."),
        click.option("--day", metavar="DAY", help="That day only."),
        click.option("--host", "hosts", multiple=True, metavar="GLOB", help="Keep these hosts."),
        click.option("--process", "processes", multiple=True, metavar="GLOB", help="Keep these processes."),
        click.option("--where", metavar="SQL", help="Keep lines for which this is true."),
        click.option("--by", metavar="COL,…", help="Group by these columns, for jobs that offer it."),
        click.option("-p", "parameters", multiple=True, metavar="NAME=VALUE", help="Set a job's parameter."),
        click.option("--top", type=click.IntRange(1), metavar="N", help="Rows shown."),
        click.option("--year", type=click.IntRange(1, 9999), metavar="Y", help="Year of the newest line."),
        click.option("--log-tz", multiple=True, metavar="[HOST=]ZONE", help="Zone of stamps without offset."),
        click.option("--report-tz", metavar="ZONE", help="Zone of days and hours in results [default: as written]."),
        click.option("--rotated", is_flag=True, help="Take the rotated siblings of each SOURCE, too."),
        click.option("--workers", type=click.IntRange(1), metavar="N", help="Tasks at a time [default: all cores]."),
        click.option("--split-size", metavar="SIZE", help="Stored bytes of a split, as 64MiB [default: by the input]."),
        click.option("--scheduler", default="threads", metavar="inline|threads", help="Where map tasks run."),
        click.option("--storage-option", "storage_options", multiple=True, metavar="KEY=VALUE", help="Passed to fsspec."),
        click.option("--on-damage", type=click.Choice(("report", "stop")), default="report", help="stop: exit 1 at damage."),
        click.option("--duplicates", type=click.Choice(("once", "all")), default="once", help="Content that stands in two files counts once."),
        click.option("--index", type=click.Choice(("auto", "never")), default="auto", help="Seek indexes of big gzip files, kept in the cache directory."),
        click.option("--account", "account_path", metavar="PATH", help="Write the account as JSON."),
        click.option("--nice", type=click.IntRange(0, 19), default=10, help="Lower the own priority; 0: don't."),
        click.option("--csv-safe", is_flag=True, help="Write cells that a spreadsheet would run as text."),
        click.option("-q", "quiet", is_flag=True, help="Only warnings on stderr."),
        click.option("--no-progress", is_flag=True, help="Don't show how far the run is."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def _job_command(names: str) -> click.Command:
    """Return the command that runs a job or several, whose help is their questions."""
    from pipeline.job import find_job

    jobs = [find_job(name) for name in names.split(",")]
    if len({job.name for job in jobs}) != len(jobs):
        raise UsageError(f"a job is named twice, or two job files have the same name: {names}")

    @_shared_options
    def run(**options: Any) -> int:
        from pipeline.commands import run_jobs_command

        return run_jobs_command(jobs, **options)

    text = "\n\n".join(_describe(job) for job in jobs)
    return click.RichCommand(names, callback=run, params=_params(run), help=text)


def _describe(job: Any) -> str:
    lines = [job.question or f"The job {job.name}."]
    if job.by:
        lines.append(f"--by: {', '.join(job.by_choices)} [default: {','.join(job.by)}]")
    lines += [f"-p {p.name}=…: {p.help} [default: {p.default}]" for p in job.parameters]
    return "\n\n".join(lines)


def _params(function: Any) -> list[click.Parameter]:
    return list(reversed(function.__click_params__))


@commands.command("sql")
@click.argument("query")
@_shared_options
def sql_command(query: str, **options: Any) -> int:
    """Ask a question typed as SQL: SELECT … FROM lines …"""
    from pipeline.commands import run_jobs_command
    from pipeline.job import sql_job

    return run_jobs_command([sql_job("sql", query)], **options)


@commands.command("files")
@click.option("--quick", is_flag=True, help="From heads and tails only: in a blink, on a sick machine.")
@_shared_options
def files_command(*, quick: bool, **options: Any) -> int:
    """Tell of each file: compression, sizes, lines, first and last time, years, damage."""
    from pipeline.commands import run_files_command

    return run_files_command(quick=quick, **options)


@commands.command("plan")
@click.argument("job")
@_shared_options
def plan_command(job: str, **options: Any) -> int:
    """Tell what will run in parallel and why, before it runs."""
    from pipeline.commands import run_plan_command
    from pipeline.job import find_job

    return run_plan_command([find_job(name) for name in job.split(",")], **options)


@commands.command("jobs")
@click.option("--to", type=click.Choice(_FORMATS), default="table", help="What goes to stdout.")
def jobs_command(to: str) -> int:
    """List what there is to ask."""
    from pipeline.commands import run_jobs_list

    return run_jobs_list(to)


@commands.command("demo")
@click.argument("directory", metavar="DIR")
@click.option("--size", type=click.IntRange(1), metavar="MB", help="Size of its text.")
def demo_command(directory: str, size: int | None) -> int:
    """Make a sample archive: five weeks of a mail server that falls ill, with the true counts."""
    from pipeline.commands import run_demo_command

    return run_demo_command(directory, size)
