"""Groups by what is asked of the log: beside pflogsumm, ripgrep, goaccess, and volume itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.demo.server import STORY_ID
from tests.benchmarks import peers
from tests.benchmarks.formats import make_formats
from tests.benchmarks.goals import Goal, Group, Time, engine, whole
from tests.benchmarks.peers import sawlog
from tests.benchmarks.states import make_states

if TYPE_CHECKING:
    from tests.benchmarks.corpus import Corpus


_PEELED_BYTES_A_SECOND = 300e6
MAX_REPORT_BYTES = 1_500_000


def mail_group(corpus: Corpus) -> Group:
    """The mail jobs: against the engine's own main job, and against pflogsumm."""
    text = [corpus.path("plain.log")]
    return Group(
        f"mail, plain {corpus.size_gb:g} GB",
        (
            peers.job("sawlog volume", "volume", text),
            peers.job("sawlog retries", "retries", text),
            peers.job("sawlog senders", "senders", text),
            peers.job("sawlog mail", "mail", text),
            peers.sawlog_pflogsumm(text),
            peers.pflogsumm(text),
        ),
        (
            Goal(whole("sawlog retries"), 1.5, whole("sawlog volume")),
            Goal(whole("sawlog senders"), None, whole("sawlog volume")),
            Goal(whole("sawlog mail"), 1 / 20, whole("pflogsumm")),
            Goal(whole("sawlog pflogsumm"), 1 / 20, whole("pflogsumm")),
        ),
        corpus.plain_bytes,
    )


def trace_group(corpus: Corpus) -> Group:
    """The story of one queue id: against ripgrep on plain text, and against decoding alone."""
    text, stored = corpus.path("plain.log"), corpus.path("gzip.log.gz")
    igzip = Time("igzip alone", ("igzip",), ("igzip, one line",))
    return Group(
        f"trace, {corpus.size_gb:g} GB",
        (
            peers.trace("sawlog, one line", STORY_ID, [corpus.path("one.log")]),
            peers.trace("sawlog trace", STORY_ID, [text]),
            peers.ripgrep(STORY_ID, text),
            peers.trace("sawlog, one line of gzip", STORY_ID, [corpus.path("one.log.gz")]),
            peers.trace("sawlog trace, gzip", STORY_ID, [stored]),
            peers.igzip("igzip, one line", [corpus.path("one.log.gz")]),
            peers.igzip("igzip", [stored], corpus.plain_bytes),
        ),
        (
            Goal(engine("sawlog trace"), 2.0, whole("rg -c")),
            Goal(engine("sawlog trace, gzip", "sawlog, one line of gzip"), 1.3, igzip),
        ),
        corpus.plain_bytes,
    )


def surge_group(corpus: Corpus) -> Group:
    """What changed: against the volume alone."""
    text, one = [corpus.path("plain.log")], [corpus.path("one.log")]
    return Group(
        f"surge, plain {corpus.size_gb:g} GB",
        (
            peers.job("volume, one line", "volume", one),
            peers.job("volume", "volume", text),
            peers.job("surge, one line", "surge", one),
            peers.job("surge", "surge", text),
        ),
        (Goal(engine("surge", "surge, one line"), 1.5, engine("volume", "volume, one line")),),
        corpus.plain_bytes,
    )


def extract_group(corpus: Corpus) -> Group:
    """A log cut into a file for each day and process."""
    text = [corpus.path("plain.log")]
    return Group(
        f"extract, plain {corpus.size_gb:g} GB",
        (
            peers.extract(text, corpus.path("extracted")),
            peers.mawk_extract(text, corpus.path("extracted-mawk")),
        ),
        (Goal(whole("sawlog extract"), 1 / 3, whole("mawk, print > file")),),
        corpus.plain_bytes,
    )


def state_group(corpus: Corpus) -> Group:
    """Incremental runs: a full one, one with a hundredth appended, one with nothing new."""
    plain = corpus.path("plain.log")
    made = make_states(Path(plain))
    log, scratch = str(made.log), str(made.scratch)
    commands = (
        peers.job("sawlog, one line", "volume", [corpus.path("one.log")]),
        peers.job("full, without state", "volume", [log]),
        peers.with_state("full, new state", log, scratch),
        peers.with_state("1 % appended", log, scratch, str(made.before)),
        peers.with_state("10,000 files, nothing new", str(made.many), scratch, str(made.known)),
    )
    start = ("sawlog, one line",)
    return Group(
        f"incremental, plain {corpus.size_gb:g} GB",
        commands,
        (
            Goal(engine("full, new state"), 1.1, engine("full, without state")),
            Goal(
                Time("1 % appended", ("1 % appended",), start),
                0.05,
                engine("full, without state"),
            ),
            Goal(whole("10,000 files, nothing new"), 3.0),
        ),
        corpus.plain_bytes,
    )


def formats_group(corpus: Corpus) -> Group:
    """Other formats: access logs against goaccess; JSON, sign-ins and a pattern in MB a second."""
    made = make_formats(Path(corpus.path("plain.log")).parent, corpus.plain_bytes)
    one, access = [str(made.one)], [str(made.access)]
    totals = (
        "SELECT count(*) AS n, count(DISTINCT client_ip) AS clients, count(DISTINCT path) AS paths, "
        "count(DISTINCT referer) AS referers, count_if(status = 404) AS missing, sum(size) AS bytes "
        "FROM access"
    )
    day_level = "SELECT day, level, count(*) AS n FROM {} GROUP BY ALL ORDER BY ALL"
    pattern = ("--pattern", str(made.pattern))
    # Seconds that the engine may take on one core, for so many MB a second.
    second = corpus.plain_bytes / 1e6
    alone = ("--workers", "1", "--scheduler", "inline")
    commands = (
        peers.job("sawlog, one line", "requests", one, *alone),
        peers.job("requests", "requests", access, *alone),
        peers.job("requests, all cores", "requests", access),
        peers.sql("totals", totals, access),
        peers.goaccess(access),
        peers.sql("pattern", day_level.format("app"), [str(made.app)], *pattern, *alone),
        peers.sql("json", day_level.format("json"), [str(made.json)], "--columns", "level", *alone),
        peers.job("signins", "signins", [corpus.path("plain.log")], *alone),
    )
    return Group(
        f"formats, plain {corpus.size_gb:g} GB",
        commands,
        (
            Goal(engine("requests"), second / 500),
            Goal(whole("totals"), 1 / 3, whole("goaccess")),
            Goal(engine("pattern"), second / 100),
            Goal(engine("json"), None),
            Goal(engine("signins"), None),
        ),
        corpus.plain_bytes,
    )


def envelopes_group(corpus: Corpus) -> Group:
    """Lines in JSON: peeled, scanned and grouped on one core."""
    wrapped = corpus.path("wrapped.log")
    n_bytes = Path(wrapped).stat().st_size
    return Group(
        f"envelopes, {corpus.size_gb:g} GB",
        (
            peers.sawlog_wrapped("sawlog, one line", corpus.path("one.log")),
            peers.sawlog_wrapped("sawlog", wrapped, corpus.read_truth()),
        ),
        # At a tiny size this is less than two starts differ.
        (Goal(engine("sawlog"), max(0.1, n_bytes / _PEELED_BYTES_A_SECOND)),),
        n_bytes,
    )


def pictures_group(corpus: Corpus) -> Group:
    """What a report and pictures of the same result add to a run."""
    text = [corpus.path("plain.log")]
    places = {kind: corpus.path(f"volume.{kind}") for kind in ("html", "svg", "png")}
    truth = corpus.read_truth()
    report = sawlog("sawlog -o .html", text, truth, "-o", places["html"])
    every = [part for place in places.values() for part in ("-o", place)]
    return Group(
        f"pictures, plain {corpus.size_gb:g} GB",
        (
            sawlog("sawlog", text, truth),
            replace(report, check=peers.check_file(places["html"], MAX_REPORT_BYTES)),
            sawlog("sawlog -o .html -o .svg -o .png", text, truth, *every),
        ),
        (
            Goal(Time("what -o .html adds", ("sawlog -o .html",), ("sawlog",)), 2.0),
            Goal(
                Time(
                    "what -o .html -o .svg -o .png adds",
                    ("sawlog -o .html -o .svg -o .png",),
                    ("sawlog",),
                ),
                2.0,
            ),
        ),
    )
