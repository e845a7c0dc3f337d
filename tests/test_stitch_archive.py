"""The messages of the demo archive, by every executor, compression and damage."""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING

import pytest
import zstandard

from pipeline.run import run_jobs
from pipeline.settings import Settings
from tests.support.demo_read import read_plain
from tests.support.stitched import (
    WAYS,
    SmallLimits,
    in_order,
    plan_queries,
    run_queries,
    write_logs,
)

if TYPE_CHECKING:
    from pathlib import Path

_ZSTD = zstandard.ZstdCompressor(write_checksum=True)
_COMPRESSORS = {
    "gzip": gzip.compress,
    "zstd frames": lambda text: b"".join(
        _ZSTD.compress(text[k : k + 29_999]) for k in range(0, len(text), 29_999)
    ),
}


@pytest.fixture(scope="module")
def plain(demo, tmp_path_factory) -> list[Path]:
    """The demo archive, decompressed."""
    folder = tmp_path_factory.mktemp("plain")
    for path in demo.glob("maillog*"):
        (folder / re.sub("[.][gxz].*", "", path.name)).write_bytes(read_plain(path))
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def of_demo(plain) -> dict[str, list]:
    """Messages and deliveries of the demo archive, each file one split."""
    return {way: run_queries(WAYS[way], plain, year=2008) for way in WAYS}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("workers", "scheduler", "split_bytes"),
    [
        (1, "inline", 20_000),
        (1, "threads", 1 << 40),
        (2, "threads", 100_000),
        (8, "threads", 20_000),
    ],
)
def test_workers_and_executors_give_the_same(plain, of_demo, way, workers, scheduler, split_bytes):
    """A loop, a pool of threads, from 64 splits on Dask: the messages are the same."""
    options = {"workers": workers, "scheduler": scheduler, "split_bytes": split_bytes}

    assert of_demo[way] == run_queries(WAYS[way], plain[::-1], year=2008, **options)
    assert len(of_demo[way][0]) > 400


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", _COMPRESSORS)
def test_compression_gives_the_same(plain, of_demo, tmp_path, way, kind):
    """However files are compressed, and cut by it."""
    paths = write_logs(
        tmp_path, {path.name: _COMPRESSORS[kind](path.read_bytes()) for path in plain}
    )

    assert of_demo[way] == run_queries(WAYS[way], paths, year=2008, workers=2, split_bytes=15_000)


@pytest.mark.parametrize("way", WAYS)
def test_early_joins_and_partitions_of_real_mail_give_the_same(plain, of_demo, way):
    """Neighbours are joined again and again, all that is left is dealt out over the disk."""
    with SmallLimits(
        block_bytes=1 << 20, max_rows=2000, join_rows=50, pile_bytes=50_000, partition_rows=300
    ):
        found = run_queries(WAYS[way], plain, year=2008, split_bytes=30_000)

    assert of_demo[way] == found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", _COMPRESSORS)
@pytest.mark.parametrize("split_bytes", [2000, 1 << 40])
def test_nothing_counts_after_the_first_damage_of_a_file(plain, tmp_path, way, kind, split_bytes):
    """Messages are those of the whole lines before it; the next file counts again."""
    text, newer = (path.read_bytes()[:100_000] for path in (plain[1], plain[0]))
    stored = bytearray(_COMPRESSORS[kind](text))
    if kind == "gzip":
        del stored[len(stored) // 2 :]
    else:
        first, second = (_ZSTD.compress(text[k : k + 29_999]) for k in (0, 29_999))
        at = len(first) + len(second) // 2
        stored[at : at + 4] = b"\xff\xff\xff\xff"
    paths = write_logs(tmp_path, {"maillog.1": bytes(stored), "maillog": newer})

    jobs, planned = plan_queries(tuple(WAYS[way]))
    settings = Settings(scheduler="inline", split_bytes=split_bytes, year=2008)
    done = run_jobs(jobs, [str(path) for path in paths], settings, planned=planned)
    counted = done.counts[str(paths[0])].lines
    assert [str(paths[0])] == [one.file for one in done.account.damaged]
    assert 0 < counted.lines < text.count(b"\n")

    whole = b"".join(text.splitlines(keepends=True)[: counted.lines])
    rest = write_logs(tmp_path, {"before": whole, "maillog": newer})
    expected = run_queries(WAYS[way], rest, year=2008)
    assert expected == [in_order(done.results[job.name].to_pylist()) for job in jobs]


def test_jobs_over_every_relation_share_one_pass(plain):
    """Each gives what it gives alone, and a question asked twice is mapped once."""
    queries = [
        "SELECT count(*) AS n FROM lines",
        "SELECT event, count(*) AS n FROM mail GROUP BY event",
        "SELECT sender, count(*) AS n FROM messages GROUP BY sender",
        "SELECT status, count(*) AS n FROM deliveries GROUP BY status",
        (
            "WITH m AS (SELECT sender, count(*) AS n FROM messages GROUP BY sender), "
            "d AS (SELECT status, count(*) AS n FROM deliveries GROUP BY status) "
            "SELECT (SELECT sum(n) FROM m) AS m, (SELECT sum(n) FROM d) AS d"
        ),
    ]

    together = run_queries(queries, plain, split_bytes=50_000)

    assert [run_queries([query], plain)[0] for query in queries] == together
    _, (plan, _) = plan_queries(tuple(queries))
    assert ["lines", "mail", "messages", "deliveries"] == [query.relation for query in plan.queries]
