"""The list of what is measured, and the groups that are of no one subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks import compression_groups as stored
from tests.benchmarks import peers
from tests.benchmarks import question_groups as asked
from tests.benchmarks.goals import Goal, Group, whole
from tests.benchmarks.peers import sawlog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.corpus import Corpus


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
            Goal(whole("sawlog --help"), 0.25),
            Goal(whole("sawlog, 1 MB"), 1.6, whole("import duckdb, pyarrow")),
        ),
        weight=2,
    )


def dask_group(corpus: Corpus) -> Group:
    """dask.bag, which is too slow for the larger sizes."""
    text = [corpus.path("plain.log")]
    return Group(
        f"dask.bag, plain {corpus.size_gb:g} GB",
        (sawlog("sawlog", text, corpus.read_truth()), peers.dask_bag(corpus, text)),
        (Goal(whole("sawlog"), None, whole("dask.bag")),),
        corpus.plain_bytes,
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
            stored.plain_group(corpus),
            stored.gzip_group(corpus),
            stored.gzip_files_group(corpus),
            stored.zstd_group(corpus),
            stored.zstd_frames_group(corpus),
        ]
    if len(corpora) > 1:
        for form, name, one_line in (
            ("plain", "plain.log", "one.log"),
            ("gzip", "gzip.log.gz", "one.log.gz"),
            ("zstd", "zstd.log.zst", "one.log.zst"),
        ):
            groups.append(stored.sizes_group(corpora, form, name, one_line))
    largest = max((c for c in corpora if c.size_gb <= 0.5), key=lambda c: c.size_gb, default=small)
    groups += [
        asked.mail_group(largest),
        asked.trace_group(largest),
        asked.surge_group(largest),
        asked.extract_group(small),
        asked.state_group(largest),
        asked.formats_group(largest),
        asked.pictures_group(small),
        dask_group(small),
    ]
    if small.has_other_compressions:
        groups += [stored.others_group(small), asked.envelopes_group(small)]
    return groups
