"""The command line: names, options and exit codes are a contract, see DESIGN.md."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import click
from click.exceptions import Exit

from pipeline import clicks
from pipeline.errors import SawlogError, UsageError
from pipeline.options import FORMATS, shared_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.job import Job, Parameter


EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_DAMAGED = 3
EXIT_ALERT = 4
EXIT_INTERRUPTED = 130

#: What monitors that descend from Nagios take for well, a warning, critical and unknown.
_OF_NAGIOS = {0: 0, EXIT_DAMAGED: 1, EXIT_ALERT: 2}
_NAGIOS_UNKNOWN = 3

#: Before the names of the options that a job's own parameters are.
_OWN = "own_"
_HELP = ["-h", "--help"]
_STDOUT_ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG, errno.EBADF)


def run_command_line(arguments: Sequence[str]) -> int:
    """Run a command line; return its exit code.

    A user's mistake is told in a message, never in a traceback.
    """
    interrupted = _watch_interrupt()
    try:
        # Not `commands.main`: it makes exit code 1 of a closed pipe.
        with commands.make_context("sawlog", list(arguments)) as context:
            code = commands.invoke(context)
        sys.stdout.flush()
    except Exit as done:
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
    except OSError as error:
        if error.errno not in _STDOUT_ERRORS:
            raise
        _say(f"sawlog: the result can't be written: {error.strerror}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_FAILED
    except Exception:
        # Libraries make errors of their own of a Ctrl-C that meets them inside a call.
        if not interrupted.is_set():
            raise
        _say("sawlog: interrupted; nothing was written")
        code = EXIT_INTERRUPTED
    return code if isinstance(code, int) else 0


def _watch_interrupt() -> threading.Event:
    """Return what is set when Ctrl-C is pressed, beside the KeyboardInterrupt that it raises."""
    pressed = threading.Event()

    def handle(number: int, frame: object) -> None:
        del number, frame
        pressed.set()
        raise KeyboardInterrupt

    with contextlib.suppress(ValueError):  # only the main thread can
        signal.signal(signal.SIGINT, handle)
    return pressed


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr)


class _Commands(clicks.Group):
    """The commands; any other first word is a job, or several of them."""

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        known = super().get_command(ctx, name)
        return known if known is not None else _job_command(name)


@clicks.group(
    cls=_Commands,
    context_settings={"help_option_names": _HELP, "max_content_width": 100},
    subcommand_metavar="JOB[,JOB…] [OPTIONS] SOURCE…",
)
@click.version_option(package_name="sawlog")
def commands() -> None:
    """Crunch months of rotated, compressed logs into tables per day and per process.

    JOB is a built-in job (`sawlog jobs` lists them), a path to an .sql or .py file, or one of the
    commands below. SOURCE is a file, a directory, a glob, an fsspec URL, or - for standard input.

        sawlog volume /var/log/maillog*
    """


def _job_command(names: str) -> click.Command:
    """Return the command that runs a job or several, whose help is their questions."""
    from pipeline.job import find_job, with_sections

    asked = [find_job(name) for name in names.split(",")]
    jobs = with_sections(asked)
    parameters = {p.name: p for job in jobs for p in job.parameters}

    @clicks.command(names, help="\n\n".join(map(_describe, asked)))
    @shared_options
    def run(**options: Any) -> int:
        given = {name: options.pop(_OWN + name, None) for name in parameters}
        options["parameters"] = (
            *options["parameters"],
            *(f"{name}={value}" for name, value in given.items() if value is not None),
        )
        title = " · ".join(job.question if job.sections else job.name for job in asked)
        name = click.get_current_context().info_name or names
        return _run_jobs(jobs, options, title=title, name=name)

    # What is taken can be set with -p.
    taken = {name for option in run.params for name in option.opts} | {*_HELP}
    own = [
        click.Option([flag, _OWN + p.name], metavar=p.type, help=_of_parameter(p))
        for p in parameters.values()
        if (flag := f"--{p.name.replace('_', '-')}") not in taken
    ]
    run.params[:0] = own
    if own:
        clicks.panel("This job", [option.name for option in own])(run)
    return run


def _run_jobs(jobs: Sequence[Job], options: dict[str, Any], **named: str) -> int:
    """Run jobs; return the exit code, in the codes that are wanted."""
    from pipeline.commands import run_jobs_command

    if options["exit_codes"] == "own":
        return run_jobs_command(jobs, **named, **options)
    try:
        return _OF_NAGIOS[run_jobs_command(jobs, **named, **options)]
    except SawlogError as error:
        _say(f"sawlog: {error}")
        return _NAGIOS_UNKNOWN


def _of_parameter(parameter: Parameter) -> str:
    default = "" if parameter.default in (None, "") else f" [{parameter.default}]"
    return f"{parameter.help or parameter.name.replace('_', ' ')}{default}."


def _describe(job: Job) -> str:
    lines = [job.question or f"The job {job.name}."]
    if job.by:
        lines.append(f"--by: {', '.join(job.by_choices)} [default: {','.join(job.by)}]")
    lines += [f"{part.name}: {part.question}" for part in job.sections]
    return "\n\n".join(lines)


@commands.command("sql")
@click.argument("query")
@shared_options
def sql_command(query: str, **options: Any) -> int:
    """Ask a question typed as SQL: SELECT … FROM lines … ."""
    from pipeline.job import sql_job, with_sections

    return _run_jobs(with_sections([sql_job("sql", query)]), options)


@commands.command("files")
@click.option(
    "--quick", is_flag=True, help="From heads and tails only: in a blink, on a sick machine."
)
@shared_options
def files_command(*, quick: bool, **options: Any) -> int:
    """Tell of each file: compression, sizes, lines, first and last time, years, damage."""
    from pipeline.commands import run_files_command

    return run_files_command(quick=quick, **options)


@commands.command("plan")
@click.argument("job")
@shared_options
def plan_command(job: str, **options: Any) -> int:
    """Tell what will run in parallel and why, before it runs."""
    from pipeline.commands import run_plan_command
    from pipeline.job import find_job, with_sections

    return run_plan_command(with_sections([find_job(name) for name in job.split(",")]), **options)


@commands.command(
    "run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.argument("file", metavar="JOBFILE.toml")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS] [SOURCE…]")
@click.pass_context
def run_command(context: click.Context, file: str, arguments: Sequence[str]) -> int:
    """Run what a job file says: jobs, sources and options, as at the command line.

    Options and sources behind it take the place of the file's. `sawlog run FILE --help` lists
    them: each is a key of the file.
    """
    with _naming(file):
        command, inner = _read_job_file(context, file, arguments)
        with inner:
            code: int = command.invoke(inner)
            return code


def _read_job_file(
    context: click.Context, file: str, arguments: Sequence[str] = ()
) -> tuple[click.Command, click.Context]:
    """Return the command that a job file is, and its options and sources."""
    from pipeline.schedule.jobfile import read_job_file

    asked = read_job_file(file)
    command = _job_command(asked.jobs)
    inner = command.make_context(
        asked.name, list(arguments), parent=context, default_map=asked.options(command.params)
    )
    inner.params["sources"] = inner.params["sources"] or asked.sources
    return command, inner


@contextlib.contextmanager
def _naming(file: str) -> Iterator[None]:
    """Name the job file in what is wrong with it."""
    from pipeline.errors import QueryError

    try:
        yield
    except click.ClickException as error:
        raise UsageError(f"{file}: {error.format_message()}") from None
    except QueryError as error:
        raise QueryError(f"{file}: {error.message}", error.sql, error.position) from None
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None


@commands.command("schedule")
@click.argument("file", metavar="JOBFILE.toml")
@click.option(
    "--as",
    "kind",
    type=click.Choice(("systemd", "cron")),
    default="systemd",
    help="A service and its timer, or a line with a lock [systemd].",
)
@click.option("--at", default="03:17", metavar="TIME", help="03:17, 'Mon 03:17' or hourly [03:17].")
@click.option("--install", is_flag=True, help="Put it in place, and start the timer.")
@click.option("--user", "of_user", is_flag=True, help="As a service of this user.")
@click.pass_context
def schedule_command(
    context: click.Context, file: str, kind: str, at: str, *, install: bool, of_user: bool
) -> int:
    """Print what runs a job file every night: systemd units, or a cron line."""
    from pipeline.schedule.command import run_schedule_command

    with _naming(file):
        _read_job_file(context, file)  # what is wrong with it is told now, not at night
    return run_schedule_command(file, kind, at, install=install, of_user=of_user)


@commands.command("formats")
@click.argument("arguments", nargs=-1, metavar="[check FILE…]")
@click.option("--to", type=click.Choice(FORMATS), default="table", help="What goes to stdout.")
def formats_command(arguments: tuple[str, ...], to: str) -> int:
    """List the formats of lines there are; check FILE: run the samples of one's own patterns."""
    from pipeline.commands import run_formats_check, run_formats_list

    if not arguments:
        return run_formats_list(to)
    if arguments[0] != "check" or len(arguments) == 1:
        raise UsageError("sawlog formats lists them; sawlog formats check FILE… runs samples")
    return run_formats_check(arguments[1:])


class _Raw(click.Command):
    """A command that reads its arguments itself."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.params["arguments"] = tuple(args)
        return []


@commands.command("pflogsumm", cls=_Raw, add_help_option=False)
def pflogsumm_command(arguments: Sequence[str]) -> int:
    """Summarise Postfix logs as pflogsumm does, from its own arguments."""
    from pipeline.pflogsumm_command import run_pflogsumm_command

    return run_pflogsumm_command(arguments)


@commands.command("jobs")
@click.option("--to", type=click.Choice(FORMATS), default="table", help="What goes to stdout.")
def jobs_command(to: str) -> int:
    """List what there is to ask."""
    from pipeline.commands import run_jobs_list

    return run_jobs_list(to)


@commands.command("state")
@click.argument("action", type=click.Choice(("show", "verify", "compact", "forget")))
@click.option("--state", "url", required=True, metavar="URL", help="Where partials are kept.")
@click.option("--before", metavar="DAY", help="forget: contents whose last line is older.")
@click.option("--storage-option", "storage_options", multiple=True, metavar="KEY=VALUE")
@click.option("--to", type=click.Choice(FORMATS), default="table", help="What goes to stdout.")
def state_command(action: str, **options: Any) -> int:
    """Show, verify, compact or forget what --state has kept."""
    from pipeline.state.command import run_state_command

    return run_state_command(action, **options)


@commands.command("demo")
@click.argument("directory", metavar="DIR")
@click.option("--size", type=click.IntRange(1), metavar="MB", help="Size of its text.")
def demo_command(directory: str, size: int | None) -> int:
    """Make a sample archive: five weeks of a mail server that falls ill; and a report of it."""
    from pipeline.commands import run_demo_command

    return run_demo_command(directory, size)
