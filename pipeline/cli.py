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
_INTERRUPTED = "sawlog: interrupted; nothing was written"

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
    except click.exceptions.NoArgsIsHelpError as error:
        _say(error.format_message())
        code = EXIT_USAGE
    except click.ClickException as error:
        _say(f"sawlog: {error.format_message()}")
        code = EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):
        _say(_INTERRUPTED)
        code = EXIT_INTERRUPTED
    except SawlogError as error:
        if interrupted.is_set():
            # A Ctrl-C inside of a callback of DuckDB becomes an error of its own.
            _say(_INTERRUPTED)
            code = EXIT_INTERRUPTED
        else:
            _say(f"sawlog: {error}")
            code = EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED
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
        _say(_INTERRUPTED)
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
    """The commands; any other first word is a job, or several of them, or a log to look at."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take options of the overview before its sources for what they are."""
        if args and args[0].startswith("-") and args[0] != "-":
            name = args[0].partition("=")[0] if args[0].startswith("--") else args[0][:2]
            known = {name for one in overview_command.params for name in one.opts}
            if name in known - {name for one in self.get_params(ctx) for name in one.opts}:
                self._refuse_job(ctx, args)
                args = ["overview", *args]
        return super().parse_args(ctx, args)

    def _refuse_job(self, ctx: click.Context, args: list[str]) -> None:
        """Refuse options before a job or command: they would be the overview's."""
        from pathlib import Path

        from pipeline.job import builtin_jobs

        given, _, _ = overview_command.make_parser(ctx).parse_args(list(args))
        first = next(iter(given.get("sources") or ()), "")
        is_named = first in self.commands or set(first.split(",")) <= builtin_jobs().keys()
        if is_named and not Path(first).exists():
            raise UsageError(f"options stand behind what is asked: sawlog {first} …")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a source in its place stands for the overview."""
        if args and args[0] not in self.commands and _is_source(args[0]):
            args = ["overview", *args]
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        known = super().get_command(ctx, name)
        return known if known is not None else _job_command(name)


def _is_source(word: str) -> bool:
    """Tell whether a first word names a log; what is a job, too, is the job."""
    if word == "-" or "://" in word:
        return True
    if word.endswith((".sql", ".py")):
        return False
    if "/" in word or any(character in word for character in "*?["):
        return True
    from pathlib import Path

    from pipeline.job import builtin_jobs

    return Path(word).exists() and not set(word.split(",")) <= builtin_jobs().keys()


@clicks.group(
    cls=_Commands,
    context_settings={"help_option_names": _HELP, "max_content_width": 100},
    subcommand_metavar="JOB[,JOB…] [OPTIONS] SOURCE…",
)
@click.version_option(package_name="sawlog")
def commands() -> None:
    """Crunch months of rotated, compressed logs into tables per day and per process.

    JOB is a built-in job (`sawlog jobs` lists them), a path to an .sql or .py file, or one of the
    commands below; without one, the first screen tells what is in the logs, what changed and why.
    SOURCE is a file, a directory, a glob, an fsspec URL, or - for standard input.

        sawlog /var/log/maillog*

        sawlog volume /var/log/maillog*
    """


def _job_command(names: str) -> click.Command:
    """Return the command that runs a job or several, whose help is their questions."""
    from pipeline.job import find_job, with_sections

    asked = [find_job(name) for name in names.split(",")]
    jobs = with_sections(asked)
    parameters = {p.name: p for job in jobs for p in job.parameters}

    @clicks.command(names, help="\n\n".join(map(_describe, asked)))
    @_compare_option
    @shared_options
    def run(compare: str | None, **options: Any) -> int:
        given = {name: options.pop(_OWN + name, None) for name in parameters}
        options["parameters"] = (
            *options["parameters"],
            *(f"{name}={value}" for name, value in given.items() if value is not None),
        )
        title = " · ".join(job.question if job.sections else job.name for job in asked)
        name = click.get_current_context().info_name or names
        return _run_jobs(jobs, compare, title=title, name=name, **options)

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


_compare_option = click.option(
    "--compare",
    metavar="previous|A..B",
    help="Beside each number what it was: in the period before, or from day A to B.",
)


def _run_jobs(jobs: Sequence[Job], compare: str | None, **options: Any) -> int:
    """Run jobs; return the exit code, in the codes that are wanted."""
    if options["exit_codes"] == "own":
        return _run_or_compare(jobs, compare, **options)
    try:
        return _OF_NAGIOS[_run_or_compare(jobs, compare, **options)]
    except SawlogError as error:
        _say(f"sawlog: {error}")
        return _NAGIOS_UNKNOWN


def _run_or_compare(jobs: Sequence[Job], compare: str | None, **options: Any) -> int:
    if compare is None:
        from pipeline.commands import run_jobs_command

        return run_jobs_command(jobs, **options)
    from pipeline.investigation.compare_command import run_compare_command

    options.pop("name", None)
    return run_compare_command(jobs, compare=compare, **options)


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
@_compare_option
@shared_options
def sql_command(query: str, compare: str | None, **options: Any) -> int:
    """Ask a question typed as SQL: SELECT … FROM lines … ."""
    from pipeline.job import sql_job, with_sections

    return _run_jobs(with_sections([sql_job("sql", query)]), compare, **options)


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
    from pipeline.show_commands import run_formats_check, run_formats_list

    if not arguments:
        return run_formats_list(to)
    if arguments[0] != "check" or len(arguments) == 1:
        raise UsageError("sawlog formats lists them; sawlog formats check FILE… runs samples")
    return run_formats_check(arguments[1:])


@commands.command("extract")
@click.option(
    "-d", "directory", required=True, metavar="DIR", help="New folder for the files; all or none."
)
@click.option(
    "--compress",
    type=click.Choice(("none", "gz", "zst")),
    default="zst",
    metavar="none|gz|zst",
    help="gz and zst are cut at line ends, so that they split well [zst].",
)
@shared_options
def extract_command(*, directory: str, compress: str, **options: Any) -> int:
    """Split logs into a file for each value of --by [day,process], byte for byte.

    --by takes any columns of lines and mail; with `--by none` each file is written anew as one
    that splits well.

        sawlog extract /var/log/maillog* --by day,process -d by-day
    """
    from pipeline.extract_command import run_extract_command

    return run_extract_command(directory=directory, compress=compress, **options)


@commands.command("trace")
@click.option("--login", "logins", multiple=True, metavar="NAME", help="What NAME sent.")
@click.option("-e", "regexes", multiple=True, metavar="REGEX", help="Lines with this in them.")
@click.option("--queries", "queries_path", metavar="FILE", help="A query in each line.")
@click.option(
    "--match",
    type=click.Choice(("sender", "recipient", "any")),
    default="any",
    help="Where an address is looked for [any].",
)
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=1000,
    metavar="N",
    help="Lines that a terminal shows at most; 0: all [1000].",
)
@shared_options
def trace_command(sources: Sequence[str], **options: Any) -> int:
    """Tell the whole story of messages: all lines of theirs and of those tied to them, in order.

    The first SOURCE is the QUERY, unless --login, -e or --queries gives one: a queue id, an
    address, @domain, a message-id, a client's name, an IP address or a network. -o DIR/ makes a
    folder to hand over: the lines, the sources with their SHA-256, the account. Exit 5: nothing was
    found, and everything was read.

        sawlog trace 90442C9CB29 /var/log/maillog*
    """
    from pipeline.trace_command import run_trace_command

    return run_trace_command(sources, **options)


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


@commands.group("cluster")
def cluster_commands() -> None:
    """Look at a cluster before a long run."""


@cluster_commands.command("check")
@click.option("--cluster", metavar="NAME|FILE", help="Start this one, look at it, and stop it.")
@click.option("--scheduler", metavar="URL", help="Look at the one that runs at tls://HOST:PORT.")
@click.option("--insecure", is_flag=True, help="Without encryption.")
@click.option(
    "--storage-option",
    "storage_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Passed to fsspec.",
)
@click.option("--to", type=click.Choice(FORMATS), default="table", help="What goes to stdout.")
@click.argument("sources", nargs=-1, metavar="[SOURCE…]")
def cluster_check_command(**options: Any) -> int:
    """Compare versions, memory and clocks of all workers; tell whether they can read SOURCE."""
    from pipeline.cluster_command import run_cluster_check

    return run_cluster_check(**options)


@commands.command("overview")
@shared_options
def overview_command(**options: Any) -> int:
    """Show on one screen what is in the logs, what changed, why, and what to ask next.

    `sawlog SOURCE…` is the same. Any log will do; where Postfix wrote it, messages that are tried
    again and again, the queue and the cause are told, too. --to json has all of it as tables.
    """
    from pipeline.investigation.overview_command import run_overview_command

    return run_overview_command(commands=set(commands.commands) | {"mail", "volume"}, **options)


@commands.command("surge")
@click.option("--before", metavar="A..B", help="Compare this period …")
@click.option("--after", metavar="C..D", help="… with this one; alone: with all before it.")
@shared_options
def surge_command(**options: Any) -> int:
    """Find when the volume changed, and what carried it: processes, hosts, reasons, senders, ids.

    The volume of each day (--by hour: of each hour) is looked at on a logarithmic scale; with three
    weeks or more, weekdays lose what sets them apart. A change is a new level that holds for two
    days (three where weekdays are not known; the newest day may stand alone, if it is twice as
    high), differs by a factor of 1.3 and by three deviations of the noise, measured by the median
    difference of neighbours, and is worth its price among all ways to cut the series. Days that
    the log holds in part count by what is usual at these hours.

    Shares are of the growth, or of the drop. With --before A..B and --after C..D these periods are
    compared: days (2007-12-26..2007-12-31), or times at full hours. Any log will do; where Postfix
    wrote it, failed attempts, senders and refusals are told, too. --to csv is the table of what
    grew; --to json has all tables.
    """
    from pipeline.investigation.surge_command import run_surge_command

    return run_surge_command(**options)


@commands.command("jobs")
@click.option("--to", type=click.Choice(FORMATS), default="table", help="What goes to stdout.")
def jobs_command(to: str) -> int:
    """List what there is to ask."""
    from pipeline.show_commands import run_jobs_list

    return run_jobs_list(to)


@commands.command("state")
@click.argument("action", type=click.Choice(("show", "verify", "compact", "forget")))
@click.option("--state", "url", required=True, metavar="URL", help="Where partials are kept.")
@click.option("--before", metavar="DAY", help="forget: contents whose last line is older.")
@click.option(
    "--storage-option",
    "storage_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Passed to fsspec.",
)
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
    from pipeline.show_commands import run_demo_command

    return run_demo_command(directory, size)
