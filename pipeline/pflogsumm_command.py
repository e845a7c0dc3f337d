"""The command ``sawlog pflogsumm``: pflogsumm's arguments, one pass over the logs, its report."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline import clicks
from pipeline.errors import UsageError
from pipeline.handing_on import Veil
from pipeline.options import shared_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.pflogsumm.arguments import Arguments
    from pipeline.pflogsumm.facts import Facts
    from pipeline.run import Planned
    from pipeline.settings import Settings

#: Of the shared options those that say how to show a result, or ask what the report does not.
_NOT_HERE = frozenset({
    "to", "outputs", "by", "parameters", "top", "csv_safe", "quiet", "no_progress", "processes",
    "where", "reasons", "addresses", "alerts", "expect_hosts", "metrics", "mail_from", "mail_to",
    "mail_subject", "exit_codes",
})  # fmt: skip


def run_pflogsumm_command(args: Sequence[str]) -> int:
    """Print the report that pflogsumm's arguments ask for; return the exit code.

    Silent on stderr unless there is a warning: what cron runs is mailed to somebody.
    """
    from pipeline.commands import begin, end
    from pipeline.pflogsumm.arguments import parse_arguments
    from pipeline.pflogsumm.usage import USAGE

    own = _own_options()
    arguments = parse_arguments(args, {flag: not o.is_flag for flag, o in own.items()})
    if arguments.show_help:
        print(USAGE.format(own=_help_of(own)), end="")
        return 0
    if arguments.show_version:
        from importlib.metadata import version

        print(f"sawlog {version('sawlog')}, with the arguments and sections of pflogsumm 1.1.5")
        return 0
    for note in arguments.notes:
        print(f"sawlog pflogsumm: {note}", file=sys.stderr)
    mailq = _find_mailq() if arguments.mail_queue else None
    sources = arguments.files or ("-",)
    command = click.Command("pflogsumm", params=list(_parameters()))
    options = {**command.make_context("sawlog pflogsumm", list(arguments.others)).params}
    # A line of today is of this year, there as here: every night's mail needn't say so.
    options |= {"quiet": True, "tells_guesses": False}
    settings, title = _limit(begin(sources, options), arguments)
    _check_written(arguments, sources)
    from pipeline.run import run_jobs

    done = run_jobs([], sources, settings, planned=_plan(arguments, settings))
    veil = Veil(settings.pseudonyms)
    facts = _gather({name: veil.table(table) for name, table in done.results.items()})
    queue = None if mailq is None else "\n".join(veil.texts(_run_mailq(mailq).split("\n")))
    _print_report(facts, arguments, title, queue)
    return end(veil.account(done.account), veil.texts(done.warnings), options)


def _parameters() -> list[click.Parameter]:
    """Return the parameters of click that are read beside pflogsumm's."""

    @clicks.command()
    @shared_options
    def shared(**_: Any) -> None: ...

    return [parameter for parameter in shared.params if isinstance(parameter, click.Option)]


def _own_options() -> dict[str, click.Option]:
    """Return sawlog's own long options, without their dashes."""
    options = (o for o in _parameters() if isinstance(o, click.Option) and o.name not in _NOT_HERE)
    return {o.opts[-1].removeprefix("--"): o for o in options if o.opts[-1].startswith("--")}


def _help_of(own: dict[str, click.Option]) -> str:
    """Return a line for each of sawlog's own options."""
    lines = []
    for flag, option in own.items():
        shown = f"--{flag}" + ("" if option.is_flag else f" {option.make_metavar(_CONTEXT)}")
        lines.append(f"  {shown:<28} {option.help}\n")
    return "".join(lines)


_CONTEXT = click.Context(click.Command("pflogsumm"))


def _limit(settings: Settings, arguments: Arguments) -> tuple[Settings, str]:
    """Return the settings for the days that are asked for, and what the title says of them.

    Lines are left out before messages are made of them, as there: a message that began on the day
    before has no sender in the report.
    """
    from pipeline.pflogsumm.period import find_period

    title = ""
    if arguments.date is not None:
        if settings.since is not None or settings.until is not None:
            raise UsageError("-d stands for --since and --until together; give either")
        period = find_period(
            arguments.date,
            settings.now.date(),
            weeks_begin_on_monday=arguments.weeks_begin_on_monday,
        )
        title = period.title
        settings = replace(
            settings,
            since=datetime.combine(period.first, datetime.min.time()),
            until=datetime.combine(period.last, datetime.min.time()) + timedelta(1),
        )
    # Of deliveries only copies that were sent are shown.
    return replace(settings, cut_messages=True, statuses=frozenset({"sent"})), title


def _plan(arguments: Arguments, settings: Settings) -> Planned:
    """Plan the queries of a report; each is a job of its own."""
    from pipeline.job import Job, read_job
    from pipeline.pflogsumm.queries import build_queries
    from pipeline.query import JobPlan, MapPlan
    from pipeline.relations import RELATIONS, Read, plan_views
    from pipeline.sql import Plan

    plans: dict[str, Plan] = {}
    reads: list[Read] = []
    for name, query in build_queries(arguments).items():
        plans[name] = Plan((query,), f"SELECT * FROM {name}", ())
        reads.append(Read(query.relation, query.columns, query.picked, query.fold))
    if arguments.smtpd_stats:
        from pipeline.pflogsumm import connections
        from pipeline.python_job import plan_python

        plan = plans["connections"] = plan_python(read_job(Path(connections.__file__)), RELATIONS)
        wanted = {"event": frozenset(connections.EVENTS)}
        reads.append(Read(connections.RELATION, plan.queries[0].columns, wanted))
    queries = tuple(plan.queries[0] for plan in plans.values())
    jobs = [
        JobPlan(Job(name, "", ""), (place,), plan)
        for place, (name, plan) in enumerate(plans.items())
    ]
    views = plan_views(reads, settings, {})
    return MapPlan(queries, views, settings.expand_repeats, settings.repeats), jobs


def _gather(results: dict[str, Any]) -> Facts:
    from pipeline.pflogsumm.facts import gather_facts

    return gather_facts(
        {
            name: zip(*(column.to_pylist() for column in table.columns), strict=True)
            for name, table in results.items()
        }
    )


def _print_report(facts: Facts, arguments: Arguments, title: str, queue: str | None) -> None:
    from pipeline.pflogsumm.layout import lay_out
    from pipeline.pflogsumm.sections import build_report
    from pipeline.text import escape_visibly

    text = lay_out(build_report(facts, arguments), arguments, title=title, mail_queue=queue)
    sys.stdout.write("".join(f"{escape_visibly(line)}\n" for line in text.split("\n")[:-1]))
    if arguments.unprocessed_file is not None:
        from pipeline.outputs.files import put_files

        lines = "".join(f"{line}\n" for line in facts.unprocessed)
        path = arguments.unprocessed_file
        put_files([(path, lambda path: _write(path, lines))])


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _check_written(arguments: Arguments, sources: Sequence[str]) -> None:
    if arguments.unprocessed_file is None:
        return
    path = Path(arguments.unprocessed_file)
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--unprocd-file {path}: there is no such folder")
    if path.exists() and any(Path(s).exists() and path.samefile(s) for s in sources):
        raise UsageError(f"{path} is one of the sources; it would be overwritten")


def _find_mailq() -> str:
    found = shutil.which("mailq")
    if found is None:
        raise UsageError(
            "--mailq needs the program mailq, which is not on this machine: run it where the mail "
            "server is, or leave --mailq out"
        )
    return found


def _run_mailq(program: str) -> str:
    done = subprocess.run([program], capture_output=True, check=False)  # noqa: S603  # a program of the system, no arguments
    if done.returncode:
        print(f"warning: mailq ended with code {done.returncode}", file=sys.stderr)
        sys.stderr.write(done.stderr.decode(errors="replace"))
    return done.stdout.decode(errors="replace")
