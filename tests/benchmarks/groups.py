"""What runs beside what, and the goals.

The engine is the whole process less the same command on a one-line log, run in the same round. A
ratio is taken in each round; the median of the rounds counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from pipeline.demo.server import STORY_ID
from tests.benchmarks import peers
from tests.benchmarks.formats import make_formats
from tests.benchmarks.peers import sawlog
from tests.benchmarks.states import make_states

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.corpus import Corpus
    from tests.benchmarks.measure import Command, Sample

Round = dict[str, "Sample"]

MAX_PEAK_BYTES = 400_000_000
MAX_DEVIATION = 0.15
_PEELED_BYTES_A_SECOND = 300e6
MAX_REPORT_BYTES = 1_500_000


@dataclass(frozen=True)
class Time:
    """Seconds added up from commands of one round, less those of others."""

    text: str
    plus: tuple[str, ...]
    minus: tuple[str, ...] = ()

    def seconds(self, samples: Round) -> float:
        """Return the sum for one round; KeyError where a command did not run."""
        plus = sum(samples[name].seconds for name in self.plus)
        return plus - sum(samples[name].seconds for name in self.minus)


@dataclass(frozen=True)
class Goal:
    """``time`` is at most ``limit`` times ``beside``; at most ``limit`` seconds without one.

    Without a limit there is no goal, and the ratio is told for information.
    """

    time: Time
    limit: float | None
    beside: Time | None = None

    def measure(self, rounds: Sequence[Round]) -> Verdict:
        """Return the median of the rounds and what it means."""
        missing = self._find_missing(rounds)
        if missing:
            return Verdict(self, None, missing=missing)
        time = median(self.time.seconds(samples) for samples in rounds)
        if self.beside is None:
            return Verdict(self, time, time)
        beside = [self.beside.seconds(samples) for samples in rounds]
        if min(time, *beside) <= 0:  # a tiny log takes less than two starts differ
            return Verdict(self, None, missing="nothing but noise")
        ratios = [self.time.seconds(samples) / b for samples, b in zip(rounds, beside, strict=True)]
        return Verdict(self, median(ratios), time, median(beside))

    def _find_missing(self, rounds: Sequence[Round]) -> str:
        names = [*self.time.plus, *self.time.minus]
        names += [*self.beside.plus, *self.beside.minus] if self.beside else []
        return ", ".join(name for name in names if name not in rounds[0])


@dataclass(frozen=True)
class Verdict:
    """What a goal came to; ``value`` is a ratio, or seconds; None where it can't be told."""

    goal: Goal
    value: float | None
    seconds: float | None = None
    beside_seconds: float | None = None
    missing: str = ""

    @property
    def is_met(self) -> bool | None:
        """None: no goal, or not measured."""
        if self.value is None or self.goal.limit is None:
            return None
        return self.value <= self.goal.limit


@dataclass(frozen=True)
class Group:
    """Commands that run in turn.

    Attributes
    ----------
    plain_bytes : int
        Of the text that each command reads; 0 where speeds would mean nothing.
    weight : int
        Rounds are as many times those of other groups: short runs need more.
    """

    name: str
    commands: tuple[Command, ...]
    goals: tuple[Goal, ...]
    plain_bytes: int = 0
    weight: int = 1
    sizes: dict[str, float] = field(default_factory=dict)


def _whole(name: str) -> Time:
    return Time(name, (name,))


def _engine(name: str, one_line: str = "sawlog, one line") -> Time:
    return Time(f"engine of {name}", (name,), (one_line,))


def plain_group(corpus: Corpus) -> Group:
    """Plain text: against mawk, DuckDB and wc."""
    text = [corpus.path("plain.log")]
    return Group(
        f"plain {corpus.size_gb:g} GB",
        (
            sawlog("sawlog, one line", [corpus.path("one.log")]),
            sawlog("sawlog", text, corpus.read_truth()),
            peers.mawk("mawk", corpus, text, peers.MAWK),
            peers.mawk("mawk, tuned", corpus, text, peers.MAWK_TUNED),
            peers.duckdb(corpus, text),
            peers.wc(text[0], corpus.n_lines),
        ),
        (
            Goal(_whole("sawlog"), 0.5, _whole("mawk")),
            Goal(_whole("sawlog"), None, _whole("mawk, tuned")),
            Goal(_whole("sawlog"), 1.0, _whole("duckdb")),
            Goal(_engine("sawlog"), 3.0, _whole("wc -l")),
        ),
        corpus.plain_bytes,
    )


def gzip_group(corpus: Corpus) -> Group:
    """One gzip file; a first run makes the seek index, a second one uses it."""
    truth = corpus.read_truth()
    stored, one = [corpus.path("gzip.log.gz")], [corpus.path("one.log.gz")]
    first, second, never = "sawlog", "sawlog, second run", "sawlog --index never"
    igzip = Time("igzip alone", ("igzip",), ("igzip, one line",))
    zcat = "zcat | mawk"
    return Group(
        f"gzip, one file, {corpus.size_gb:g} GB",
        (
            sawlog("sawlog, one line", one),
            sawlog(first, stored, truth, keeps_cache=True),
            sawlog(second, stored, truth, keeps_cache=True),
            sawlog(never, stored, truth, "--index", "never"),
            peers.mawk(zcat, corpus, stored, peers.MAWK, "zcat"),
            peers.duckdb(corpus, stored),
            peers.igzip("igzip, one line", one),
            peers.igzip("igzip", stored, corpus.plain_bytes),
        ),
        (
            Goal(_whole(first), 1 / 3, _whole(zcat)),
            Goal(_whole(first), 0.5, _whole("duckdb")),
            Goal(_engine(first), 1.4, igzip),
            Goal(_whole(never), None, _whole(zcat)),
            Goal(_whole(never), None, _whole("duckdb")),
            Goal(_engine(never), None, igzip),
            Goal(_whole(second), None, _whole(first)),
            Goal(_engine(second), None, igzip),
        ),
        corpus.plain_bytes,
    )


def gzip_files_group(corpus: Corpus) -> Group:
    """The same text as four gzip files, two at a time."""
    truth = corpus.read_truth()
    one = [corpus.path("one.log.gz")]
    zcat = "zcat | mawk"
    return Group(
        f"gzip, four files, {corpus.size_gb:g} GB",
        (
            sawlog("sawlog, one line", one),
            sawlog("sawlog", corpus.parts, truth),
            sawlog("sawlog, one plain line", [corpus.path("one.log")]),
            sawlog("sawlog, plain", [corpus.path("plain.log")], truth),
            peers.mawk(zcat, corpus, corpus.parts, peers.MAWK, "zcat"),
            peers.duckdb(corpus, corpus.parts),
            peers.igzip("2 x igzip, one line", one * 2),
            peers.igzip("2 x igzip", corpus.parts, corpus.plain_bytes),
        ),
        (
            Goal(_whole("sawlog"), 1 / 3, _whole(zcat)),
            Goal(_whole("sawlog"), 0.5, _whole("duckdb")),
            Goal(
                _engine("sawlog"),
                1.15,
                Time(
                    "(2 x igzip alone + engine on plain)",
                    ("2 x igzip", "sawlog, plain"),
                    ("2 x igzip, one line", "sawlog, one plain line"),
                ),
            ),
        ),
        corpus.plain_bytes,
    )


def zstd_group(corpus: Corpus) -> Group:
    """One zstd file of one frame."""
    stored = [corpus.path("zstd.log.zst")]
    zstd = "zstd -dc | mawk"
    return Group(
        f"zstd, one frame, {corpus.size_gb:g} GB",
        (
            sawlog("sawlog, one line", [corpus.path("one.log.zst")]),
            sawlog("sawlog", stored, corpus.read_truth()),
            peers.mawk(zstd, corpus, stored, peers.MAWK, "zstd -dc"),
            peers.duckdb(corpus, stored),
            peers.decompress("zstd", stored[0]),
        ),
        (
            Goal(_whole("sawlog"), 1 / 3, _whole(zstd)),
            Goal(_whole("sawlog"), 0.5, _whole("duckdb")),
            Goal(_engine("sawlog"), 1.4, _whole("zstd -dc")),
        ),
        corpus.plain_bytes,
    )


def zstd_frames_group(corpus: Corpus) -> Group:
    """One zstd file of many frames, two at a time."""
    truth = corpus.read_truth()
    stored = [corpus.path("frames.log.zst")]
    halves = [corpus.path(f"half-{n}.log.zst") for n in (1, 2)]
    zstd = "zstd -dc | mawk"
    both = Time(
        "(2 x zstd -dc + engine on plain)",
        ("2 x zstd -dc", "sawlog, plain"),
        ("sawlog, one plain line",),
    )
    return Group(
        f"zstd, many frames, {corpus.size_gb:g} GB",
        (
            sawlog("sawlog, one line", [corpus.path("one.log.zst")]),
            sawlog("sawlog", stored, truth),
            sawlog("sawlog, one plain line", [corpus.path("one.log")]),
            sawlog("sawlog, plain", [corpus.path("plain.log")], truth),
            peers.mawk(zstd, corpus, stored, peers.MAWK, "zstd -dc"),
            peers.duckdb(corpus, stored),
            peers.two_zstd(halves),
        ),
        (
            Goal(_whole("sawlog"), 1 / 3, _whole(zstd)),
            Goal(_whole("sawlog"), 0.5, _whole("duckdb")),
            Goal(_engine("sawlog"), 1.15, both),
        ),
        corpus.plain_bytes,
    )


def sizes_group(corpora: Sequence[Corpus], form: str, name: str, one_line: str) -> Group:
    """The same form in all sizes, for time per GB."""
    one = sawlog("sawlog, one line", [corpora[0].path(one_line)])
    runs = [sawlog(f"{c.size_gb:g} GB", [c.path(name)], c.read_truth()) for c in corpora]
    sizes = {run.name: corpus.plain_bytes / 1e9 for run, corpus in zip(runs, corpora, strict=True)}
    return Group(f"sizes, {form}", (one, *runs), (), weight=2, sizes=sizes)


def start_group(corpus: Corpus) -> Group:
    """What a user waits for before anything is read."""
    return Group(
        "start-up",
        (
            peers.python("sawlog --help", "-m", "pipeline", "--help"),
            sawlog("sawlog, 1 MB", [corpus.path("mb.log")]),
            sawlog("sawlog, one line", [corpus.path("one.log")]),
            peers.python("import duckdb, pyarrow", "-c", "import duckdb, pyarrow"),
        ),
        (
            Goal(_whole("sawlog --help"), 0.25),
            Goal(_whole("sawlog, 1 MB"), 1.6, _whole("import duckdb, pyarrow")),
        ),
        weight=2,
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
            Goal(_whole("sawlog retries"), 1.5, _whole("sawlog volume")),
            Goal(_whole("sawlog senders"), None, _whole("sawlog volume")),
            Goal(_whole("sawlog mail"), 1 / 20, _whole("pflogsumm")),
            Goal(_whole("sawlog pflogsumm"), 1 / 20, _whole("pflogsumm")),
        ),
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
            Goal(_engine("full, new state"), 1.1, _engine("full, without state")),
            Goal(
                Time("1 % appended", ("1 % appended",), start),
                0.05,
                _engine("full, without state"),
            ),
            Goal(_whole("10,000 files, nothing new"), 3.0),
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
            Goal(_engine("sawlog trace"), 2.0, _whole("rg -c")),
            Goal(_engine("sawlog trace, gzip", "sawlog, one line of gzip"), 1.3, igzip),
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
        (Goal(_engine("surge", "surge, one line"), 1.5, _engine("volume", "volume, one line")),),
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
        (Goal(_whole("sawlog extract"), 1 / 3, _whole("mawk, print > file")),),
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
            Goal(_engine("requests"), second / 500),
            Goal(_whole("totals"), 1 / 3, _whole("goaccess")),
            Goal(_engine("pattern"), second / 100),
            Goal(_engine("json"), None),
            Goal(_engine("signins"), None),
        ),
        corpus.plain_bytes,
    )


def dask_group(corpus: Corpus) -> Group:
    """dask.bag, which is too slow for the larger sizes."""
    text = [corpus.path("plain.log")]
    return Group(
        f"dask.bag, plain {corpus.size_gb:g} GB",
        (sawlog("sawlog", text, corpus.read_truth()), peers.dask_bag(corpus, text)),
        (Goal(_whole("sawlog"), None, _whole("dask.bag")),),
        corpus.plain_bytes,
    )


def others_group(corpus: Corpus) -> Group:
    """bzip2, xz and lz4 beside their tools."""
    truth = corpus.read_truth()
    commands: list[Command] = []
    goals = []
    for tool, suffix in (("bzip2", "bz2"), ("xz", "xz"), ("lz4", "lz4")):
        stored = corpus.path(f"{tool}.log.{suffix}")
        commands += [sawlog(f"sawlog, {tool}", [stored], truth), peers.decompress(tool, stored)]
        goals.append(Goal(_whole(f"sawlog, {tool}"), None, _whole(f"{tool} -dc")))
    name = f"other compressions, {corpus.size_gb:g} GB"
    return Group(name, tuple(commands), tuple(goals), corpus.plain_bytes)


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
        (Goal(_engine("sawlog"), max(0.1, n_bytes / _PEELED_BYTES_A_SECOND)),),
        n_bytes,
    )


def plan_groups(corpora: Sequence[Corpus]) -> list[Group]:
    """Return all groups for corpora in order of size.

    The goals are for 0.4 and 1 GB: smaller corpora stand in for them where there are no others, and
    the larger ones are for time per GB and memory only.
    """
    small = corpora[0]
    groups = [start_group(small)]
    for corpus in [c for c in corpora if 0.4 <= c.size_gb <= 1] or corpora[-1:]:
        groups += [
            plain_group(corpus), gzip_group(corpus), gzip_files_group(corpus), zstd_group(corpus),
            zstd_frames_group(corpus),
        ]  # fmt: skip
    if len(corpora) > 1:
        for form, name, one_line in (
            ("plain", "plain.log", "one.log"),
            ("gzip", "gzip.log.gz", "one.log.gz"),
            ("zstd", "zstd.log.zst", "one.log.zst"),
        ):
            groups.append(sizes_group(corpora, form, name, one_line))
    largest = max((c for c in corpora if c.size_gb <= 0.5), key=lambda c: c.size_gb, default=small)
    groups += [
        mail_group(largest),
        trace_group(largest),
        surge_group(largest),
        extract_group(small),
        state_group(largest),
        formats_group(largest),
        pictures_group(small),
        dask_group(small),
    ]
    if small.has_other_compressions:
        groups += [others_group(small), envelopes_group(small)]
    return groups


def per_gb(group: Group, rounds: Sequence[Round]) -> dict[str, float]:
    """Return the engine's seconds per GB for each size of a group of sizes."""
    engine = {
        name: median(_engine(name).seconds(samples) for samples in rounds) for name in group.sizes
    }
    return {name: engine[name] / gb for name, gb in group.sizes.items()}


def deviation(values: Sequence[float]) -> float:
    """Return how far the extremes are from their middle, as a share of it."""
    return (max(values) - min(values)) / (max(values) + min(values))
