"""Groups by how the log is stored: beside decoders, mawk, DuckDB and wc."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks import peers
from tests.benchmarks.goals import Goal, Group, Time, engine, whole
from tests.benchmarks.peers import sawlog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.corpus import Corpus
    from tests.benchmarks.measure import Command


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
            Goal(whole("sawlog"), 0.5, whole("mawk")),
            Goal(whole("sawlog"), None, whole("mawk, tuned")),
            Goal(whole("sawlog"), 1.0, whole("duckdb")),
            Goal(engine("sawlog"), 3.0, whole("wc -l")),
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
            Goal(whole(first), 1 / 3, whole(zcat)),
            Goal(whole(first), 0.5, whole("duckdb")),
            Goal(engine(first), 1.4, igzip),
            Goal(whole(never), None, whole(zcat)),
            Goal(whole(never), None, whole("duckdb")),
            Goal(engine(never), None, igzip),
            Goal(whole(second), None, whole(first)),
            Goal(engine(second), None, igzip),
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
            Goal(whole("sawlog"), 1 / 3, whole(zcat)),
            Goal(whole("sawlog"), 0.5, whole("duckdb")),
            Goal(
                engine("sawlog"),
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
            Goal(whole("sawlog"), 1 / 3, whole(zstd)),
            Goal(whole("sawlog"), 0.5, whole("duckdb")),
            Goal(engine("sawlog"), 1.4, whole("zstd -dc")),
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
            Goal(whole("sawlog"), 1 / 3, whole(zstd)),
            Goal(whole("sawlog"), 0.5, whole("duckdb")),
            Goal(engine("sawlog"), 1.15, both),
        ),
        corpus.plain_bytes,
    )


def sizes_group(corpora: Sequence[Corpus], form: str, name: str, one_line: str) -> Group:
    """The same form in all sizes, for time per GB."""
    one = sawlog("sawlog, one line", [corpora[0].path(one_line)])
    runs = [sawlog(f"{c.size_gb:g} GB", [c.path(name)], c.read_truth()) for c in corpora]
    sizes = {run.name: corpus.plain_bytes / 1e9 for run, corpus in zip(runs, corpora, strict=True)}
    return Group(f"sizes, {form}", (one, *runs), (), weight=2, sizes=sizes)


def others_group(corpus: Corpus) -> Group:
    """bzip2, xz and lz4 beside their tools."""
    truth = corpus.read_truth()
    commands: list[Command] = []
    goals = []
    for tool, suffix in (("bzip2", "bz2"), ("xz", "xz"), ("lz4", "lz4")):
        stored = corpus.path(f"{tool}.log.{suffix}")
        commands += [sawlog(f"sawlog, {tool}", [stored], truth), peers.decompress(tool, stored)]
        goals.append(Goal(whole(f"sawlog, {tool}"), None, whole(f"{tool} -dc")))
    name = f"other compressions, {corpus.size_gb:g} GB"
    return Group(name, tuple(commands), tuple(goals), corpus.plain_bytes)
