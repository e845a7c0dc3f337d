"""The options that every job has, in the groups in which ``--help`` shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pipeline import clicks

if TYPE_CHECKING:
    from collections.abc import Callable

FORMATS = ("table", "csv", "json", "ndjson", "markdown", "values", "eml", "none")

_RESULTS = (
    click.option(
        "--to",
        type=click.Choice(FORMATS),
        default="table",
        metavar="FORMAT",
        help=f"What goes to stdout: {', '.join(FORMATS)} [table].",
    ),
    click.option(
        "-o",
        "--output",
        "outputs",
        multiple=True,
        metavar="PATH",
        help="Also write .html .eml .svg .png .csv .json .ndjson .parquet .duckdb .md; "
        "{job} in PATH for several jobs.",
    ),
    click.option("--by", metavar="COL,…", help="Group by these columns, for jobs that offer it."),
    click.option(
        "-p",
        "--param",
        "parameters",
        multiple=True,
        metavar="NAME=VALUE",
        help="Set a job's parameter.",
    ),
    click.option("--top", type=click.IntRange(1), metavar="N", help="Rows of each group."),
    click.option(
        "--csv-safe", is_flag=True, help="Keep spreadsheets from running cells as formulas."
    ),
    click.option(
        "--pseudonymise",
        "key_path",
        metavar="KEYFILE",
        help="Put keyed tokens in the place of addresses, logins, hosts and IPs.",
    ),
    click.option(
        "--keep", metavar="domains,networks", help="Of these keep the domains, the networks."
    ),
    click.option("--account", "account_path", metavar="PATH", help="Write the account as JSON."),
    click.option("-q", "--quiet", "quiet", is_flag=True, help="Only warnings on stderr."),
    click.option("--no-progress", is_flag=True, help="Don't show how far the run is."),
)

_LINES = (
    click.option(
        "--since", metavar="TIME", help="From: 2007-12-26, '2007-12-26 09:00', yesterday, 2h, 7d."
    ),
    click.option("--until", metavar="TIME", help="To; days are inclusive."),
    click.option("--day", metavar="DAY", help="That day only."),
    click.option("--host", "hosts", multiple=True, metavar="GLOB", help="Keep these hosts."),
    click.option(
        "--process", "processes", multiple=True, metavar="GLOB", help="Keep these processes."
    ),
    click.option("--where", metavar="SQL", help="Keep lines for which this is true."),
    click.option(
        "--year", type=click.IntRange(1, 9999), metavar="Y", help="Year of the newest line."
    ),
    click.option(
        "--log-tz", multiple=True, metavar="[HOST=]ZONE", help="Zone of stamps without offset."
    ),
    click.option(
        "--report-tz", metavar="ZONE", help="Zone of days and hours [default: as written]."
    ),
    click.option(
        "--addresses",
        metavar="RULE,…",
        help="Bring forms of one address together: domains, srs, verp, batv, plus.",
    ),
    click.option(
        "--envelope",
        default="auto",
        metavar="NAME",
        help="What lines stand in: auto, none, docker, cri, …, json:message=PATH,time=PATH [auto].",
    ),
    click.option(
        "--expand-repeats",
        is_flag=True,
        help="Count 'message repeated N times' as the N lines that it stands for.",
    ),
    click.option(
        "--repeats",
        type=click.Choice(("report", "once")),
        help="Lines that came before, byte for byte, as when a batch is delivered twice: report "
        "counts them, once leaves them out. Two events of one second that read the same are one "
        "then.",
    ),
)

_FORMATS = (
    click.option(
        "--format", metavar="NAME", help="What the sources are, whatever their heads look like."
    ),
    click.option(
        "--pattern",
        "patterns",
        multiple=True,
        metavar="FILE",
        help="A format of one's own: a relation by patterns, in TOML.",
    ),
    click.option(
        "--columns", metavar="COL[:TYPE],…", help="Of the relation json: level,status:int,a.b.c."
    ),
    click.option("--bots", metavar="FILE", help="Own rules for bot, before the built-in ones."),
)

_RUNNING = (
    click.option(
        "--path-template",
        is_flag=True,
        help="SOURCE is as 'logs/{host}/{day}/*': what lines lack is in the path.",
    ),
    click.option("--rotated", is_flag=True, help="Take each SOURCE's rotated siblings, too."),
    click.option(
        "--duplicates",
        type=click.Choice(("once", "all")),
        default="once",
        help="Content that stands in two files counts once.",
    ),
    click.option(
        "--count",
        type=click.Choice(("lines", "messages")),
        default="lines",
        help="messages: what a content filter took and handed in again counts once [lines].",
    ),
    click.option(
        "--reasons", metavar="FILE", help="Own rules for reason_class, before the built-in ones."
    ),
    click.option(
        "--on-damage",
        type=click.Choice(("report", "stop")),
        default="report",
        help="stop: exit 1, without a result.",
    ),
    click.option(
        "--workers", type=click.IntRange(1), metavar="N", help="Tasks at a time [all cores]."
    ),
    click.option(
        "--split-size", metavar="SIZE", help="Stored bytes of a split, as 64MiB [by the input]."
    ),
    click.option(
        "--scheduler",
        default="threads",
        metavar="inline|threads|URL",
        help="Where map tasks run; tls://HOST:PORT joins a Dask cluster [threads].",
    ),
    click.option(
        "--cluster",
        metavar="NAME|FILE",
        help="Start a cluster for the run: local, ssh, slurm, kubernetes, or a profile.toml.",
    ),
    click.option(
        "--insecure", is_flag=True, help="Let logs travel to a cluster without encryption."
    ),
    click.option(
        "--index",
        type=click.Choice(("auto", "never")),
        default="auto",
        help="Seek indexes of big gzip files, kept in the cache directory.",
    ),
    click.option(
        "--storage-option",
        "storage_options",
        multiple=True,
        metavar="KEY=VALUE",
        help="Passed to fsspec.",
    ),
    click.option(
        "--state",
        metavar="URL",
        help="Keep partials there, and read only what is new since: see 'sawlog state'.",
    ),
    click.option(
        "--retention",
        metavar="DAYS",
        help="With --state: forget what is older, as 400d.",
    ),
    click.option(
        "--verify-content",
        is_flag=True,
        help="With --state: read all files, whatever their names, sizes and times say.",
    ),
    click.option(
        "--max-read-rate",
        metavar="RATE",
        help="Of reads from stores, as 20MB a second, for all workers together.",
    ),
    click.option(
        "--nice",
        type=click.IntRange(0, 19),
        default=10,
        metavar="N",
        help="Lower the own priority by N; 0: don't [10].",
    ),
)

_WATCHING = (
    click.option(
        "--alert",
        "alerts",
        multiple=True,
        type=click.UNPROCESSED,
        metavar="[NAME: ]SQL",
        help="A SELECT over the results: rows that it gives are told, and exit 4.",
    ),
    click.option(
        "--expect-hosts",
        multiple=True,
        metavar="HOST,…",
        help="Exit 3 where one of these (or globs) wrote no line.",
    ),
    click.option(
        "--known-damage",
        multiple=True,
        type=click.UNPROCESSED,
        metavar="FILE[@OFFSET]",
        help="Damage of this file (or glob) is told, but does not exit 3.",
    ),
    click.option(
        "--metrics",
        metavar="FILE.prom",
        help="Write the run's metrics for Prometheus' textfile collector.",
    ),
    click.option(
        "--exit-codes",
        type=click.Choice(("own", "nagios")),
        default="own",
        help="nagios: 0 well, 1 damage, 2 an alert, 3 failed [own].",
    ),
    click.option("--mail-from", metavar="ADDRESS", help="Of a message (--to eml, -o FILE.eml)."),
    click.option(
        "--mail-to", multiple=True, metavar="ADDRESS", help="To whom it goes; again and again."
    ),
    click.option("--mail-subject", metavar="TEXT", help="Its subject [what was asked]."),
)

_GROUPS = {
    "Results": _RESULTS,
    "Which lines, and when": _LINES,
    "What they hold": _FORMATS,
    "How it runs": _RUNNING,
    "Every night": _WATCHING,
}


def shared_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that every job has, and its sources, to a command."""
    for title, options in reversed(_GROUPS.items()):
        for option in reversed(options):
            command = option(command)
        names = [parameter.name for parameter in command.__click_params__[-len(options) :]]  # type: ignore[attr-defined]
        command = clicks.panel(title, names[::-1])(command)
    return click.argument("sources", nargs=-1, metavar="SOURCE…")(command)
