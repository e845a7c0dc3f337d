"""The run law and the account law, on the demo archive and on small logs."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import run, split
from pipeline.inputs import find_inputs
from pipeline.job import find_job, sql_job
from pipeline.run import run_jobs
from pipeline.settings import Settings
from tests.support.demo_read import read_plain
from tests.support.oracle import split_lines
from tests.support.strategies import hostile_text

_COMPRESSORS = {
    "plain": lambda text: text,
    "gzip": gzip.compress,
    "gzip members": lambda text: (
        gzip.compress(text[: len(text) // 3]) + gzip.compress(text[len(text) // 3 :])
    ),
    "zstd": zstandard.compress,
    "zstd frames": lambda text: b"".join(
        zstandard.compress(text[k : k + 9_999]) for k in range(0, len(text), 9_999)
    ),
    "bzip2": lambda text: bz2.compress(text, 1),
    "xz": lzma.compress,
    "lzma": lambda text: lzma.compress(text, format=lzma.FORMAT_ALONE),
    "lz4": lz4.frame.compress,
}


def _csv(result) -> list[dict[str, object]]:
    return result.results["volume"].to_pylist()


def _volume(paths, **options):
    return run_jobs([find_job("volume")], [str(path) for path in paths], Settings(**options))


@pytest.fixture(scope="module")
def texts(demo) -> dict[str, bytes]:
    """The plain text of each file of the demo archive."""
    return {path.name: read_plain(path) for path in demo.glob("maillog*")}


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("split_bytes", [1024, 100_000, 1 << 40])
def test_volume_equals_the_truth_for_any_split_size_and_workers(sawlog, demo, workers, split_bytes):
    """`sawlog volume --to csv` gives the true counts, to the byte."""
    ran = sawlog(
        "volume",
        *demo.glob("maillog*"),
        "--to",
        "csv",
        "--workers",
        workers,
        "--split-size",
        split_bytes,
    )

    assert (0, (demo / "truth" / "volume.csv").read_text()) == (ran.code, ran.out)


@pytest.mark.parametrize("kind", _COMPRESSORS)
def test_volume_equals_the_truth_for_any_compression(sawlog, demo, texts, tmp_path, kind):
    """However each file is compressed, the counts stay the same."""
    for name, text in texts.items():
        (tmp_path / name.split(".gz")[0]).write_bytes(_COMPRESSORS[kind](text))

    ran = sawlog("volume", tmp_path, "--to", "csv", "--split-size", "20kB")

    assert (0, (demo / "truth" / "volume.csv").read_text()) == (ran.code, ran.out)


@pytest.mark.parametrize("scheduler", ["inline", "threads"])
def test_the_account_adds_up(demo, scheduler):
    """Lines in = dated + undated; every stored byte is read once; no file is missing."""
    paths = sorted(demo.glob("maillog*"))
    account = _volume(paths, scheduler=scheduler, split_bytes=30_000).account
    truth = (demo / "truth" / "files.csv").read_text().splitlines()[1:]

    assert (
        sum(int(row.split(",")[4]) for row in truth)
        == account.lines
        == account.dated_lines + account.undated_lines
    )
    assert sum(int(row.split(",")[3]) for row in truth) == account.plain_bytes
    assert sum(path.stat().st_size for path in paths) == account.stored_bytes == account.read_bytes
    assert {2007, 2008} == {one["last"] for one in account.years}
    assert {"message-ids"} == {one["evidence"] for one in account.years}


@given(
    text=hostile_text(),
    split_bytes=st.integers(1, 60),
    kind=st.sampled_from(["plain", "zstd frames", "gzip"]),
)
@settings(max_examples=40)
def test_sums_are_those_of_the_input(tmp_path_factory, text, split_bytes, kind):
    """Without a filter the sum of lines is the number of lines, the sum of bytes the plain size."""
    path = tmp_path_factory.mktemp("logs") / "log"
    path.write_bytes(_COMPRESSORS[kind](text))

    result = _volume([path], split_bytes=split_bytes, scheduler="inline")

    rows = _csv(result)
    assert len(split_lines(text)) == sum(row["lines"] for row in rows) == result.account.lines
    assert len(text) == sum(row["bytes"] for row in rows) == result.account.plain_bytes


@pytest.mark.parametrize("kind", [kind for kind in _COMPRESSORS if kind != "plain"])
@pytest.mark.parametrize("split_bytes", [500, 1 << 40])
def test_a_cut_file_counts_its_whole_lines_and_is_named(tmp_path, texts, kind, split_bytes):
    """Every whole line before the damage counts, whatever the splits; the damage is named."""
    text = texts["maillog"][:60_000]
    stored = _COMPRESSORS[kind](text)
    seen = set()
    for place in (0.2, 0.5, 0.9, 1.0):
        path = tmp_path / "cut"
        path.write_bytes(stored[: int(len(stored) * place) - 1])
        result = _volume([path], split_bytes=split_bytes)
        (damage,) = result.account.damaged
        whole = _volume([path], split_bytes=1 << 40)

        assert damage.kind in ("truncated", "corrupt")
        assert whole.account.lines == result.account.lines
        assert _csv(whole) == _csv(result)
        seen.add(result.account.lines)
        assert result.account.plain_bytes == sum(
            len(line) for line in split_lines(text)[: result.account.lines]
        )
    assert len(seen) > 1 or kind in ("xz", "lzma", "bzip2", "zstd")


@pytest.mark.parametrize("split_bytes", [1, 3000, 1 << 40])
def test_nothing_counts_after_the_first_damage_of_a_file(tmp_path, split_bytes):
    """A frame that is damaged inside: the sound frames behind it are left out, whatever the cut."""
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    noise = random.Random(1)
    frames = [
        compressor.compress(
            b"".join(
                b"Dec 26 00:00:00 a p%d: %x\n" % (k, noise.getrandbits(99)) for _ in range(200)
            )
        )
        for k in range(5)
    ]
    start = len(frames[0]) + len(frames[1])
    broken = bytearray(b"".join(frames))
    broken[start + len(frames[2]) // 2] ^= 0xFF
    path = tmp_path / "log.zst"
    path.write_bytes(broken)

    result = _volume([path], split_bytes=split_bytes)

    assert {"p0": 200, "p1": 200} == {
        row["process"]: row["lines"] for row in _csv(result) if row["process"] in ("p0", "p1")
    }
    assert not {"p3", "p4"} & {row["process"] for row in _csv(result)}
    assert [(str(path), start)] == [(d.file, d.stored_offset) for d in result.account.damaged]


def test_several_jobs_share_one_pass(demo, tmp_path):
    """Two jobs in one run give what each gives alone."""
    own = sql_job(
        "own",
        "SELECT process, count(*) AS n FROM lines WHERE message LIKE '%timed out%' GROUP BY process ORDER BY process",
    )
    paths = [str(path) for path in demo.glob("maillog*")]

    both = run_jobs([find_job("volume"), own], paths, Settings(split_bytes=40_000))

    assert run_jobs([own], paths, Settings()).results["own"] == both.results["own"]
    assert _csv(_volume(paths)) == _csv(both)


def test_a_python_job(demo, tmp_path):
    """A module with map, combine and finish does what SQL can't, the same for any split."""
    job = tmp_path / "longest.py"
    job.write_text(
        '"""Which is the longest line of each process?"""\n'
        "import pyarrow.compute as pc\n"
        'RELATION = "lines"\nCOLUMNS = ("process", "bytes")\n'
        'def map(table):\n    return table.group_by("process").aggregate([("bytes", "max")])\n'
        'def combine(table):\n    t = table.group_by("process").aggregate([("bytes_max", "max")])\n'
        '    return t.rename_columns(["process", "bytes_max"])\n'
        'def finish(table):\n    return table.sort_by("process").rename_columns(["process", "longest"])\n'
    )
    paths = [str(path) for path in demo.glob("maillog*")]
    sql = sql_job(
        "sql", "SELECT process, max(bytes) AS longest FROM lines GROUP BY process ORDER BY process"
    )

    found = (
        run_jobs([find_job(str(job))], paths, Settings(split_bytes=50_000))
        .results["longest"]
        .to_pylist()
    )

    expected = run_jobs([sql], paths, Settings()).results["sql"].to_pylist()
    assert sorted(expected, key=str) == sorted(found, key=str)


@pytest.mark.parametrize("kind", ["gzip", "zstd", "plain"])
def test_the_same_content_counts_once(sawlog, texts, tmp_path, kind):
    """maillog.1 beside its compressed copy, a plain copy, an older shorter copy: one counts."""
    text = texts["maillog"]
    (tmp_path / "maillog.1").write_bytes(text)
    (tmp_path / "maillog.1.gz").write_bytes(_COMPRESSORS[kind](text))
    (tmp_path / "older").write_bytes(text[: len(text) // 2])
    (tmp_path / "other").write_bytes(text.replace(b"mx1", b"mx2"))
    account_path = tmp_path / "account.json"

    ran = sawlog(
        "sql",
        "SELECT count(*) AS n FROM lines",
        *sorted(tmp_path.glob("*")),
        tmp_path / "maillog.1",
        "--to",
        "values",
        "--account",
        account_path,
    )
    account = json.loads(account_path.read_text())

    assert (0, f"{2 * len(split_lines(text))}\n") == (ran.code, ran.out)
    assert {"older", "maillog.1", "maillog.1.gz"} >= {
        Path(one["file"]).name for one in account["duplicates"]
    }
    assert {"prefix", "same content"} <= {one["kind"] for one in account["duplicates"]}
    assert account["lines"] == 2 * len(split_lines(text))


def test_the_copy_that_an_interrupted_logrotate_left(sawlog, texts, tmp_path):
    """A cut .gz beside its whole original: counted once, and the damaged file is named."""
    text = texts["maillog"]
    stored = gzip.compress(text)
    (tmp_path / "maillog.1").write_bytes(text)
    (tmp_path / "maillog.1.gz").write_bytes(stored[: len(stored) // 2])

    ran = sawlog("sql", "SELECT count(*) AS n FROM lines", tmp_path, "--to", "values")

    assert (3, f"{len(split_lines(text))}\n") == (ran.code, ran.out)
    assert "truncated" in ran.err


def test_duplicates_all_counts_every_copy(sawlog, texts, tmp_path):
    """With --duplicates all each named file counts."""
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(texts["maillog"])

    ran = sawlog(
        "sql", "SELECT count(*) AS n FROM lines", tmp_path, "--to", "values", "--duplicates", "all"
    )

    assert f"{2 * len(split_lines(texts['maillog']))}\n" == ran.out


def test_a_file_that_grows_is_read_as_it_was_at_planning(tmp_path):
    """Lines that are written while a run goes on are not half of it."""
    path = tmp_path / "log"
    path.write_bytes(b"Dec 26 00:00:00 a b: c\n" * 10)
    plan, _ = run.plan_queries([find_job("volume")], Settings())
    inputs = find_inputs([str(path)], Settings())
    with path.open("ab") as log:
        log.write(b"Dec 26 00:00:01 a b: d\n" * 10)

    result = run.run_jobs([find_job("volume")], [str(path)], Settings(), inputs=inputs)

    assert plan.queries
    assert 10 == result.account.lines


def test_the_order_of_files_and_arguments_changes_nothing(demo):
    """Same input, same result, in whatever order the files are named."""
    paths = sorted(demo.glob("maillog*"))

    assert _csv(_volume(paths)) == _csv(_volume(paths[::-1], split_bytes=9_999))


def test_offsets_are_those_of_the_plain_text(texts, tmp_path):
    """The column offset holds, also where the plain offsets of splits are unknown."""
    text = texts["maillog.1"][:400_000]  # several blocks of bzip2
    job = sql_job("offsets", 'SELECT "offset", bytes FROM lines')
    for kind in ("plain", "bzip2", "zstd frames", "gzip"):
        path = tmp_path / kind
        path.write_bytes(_COMPRESSORS[kind](text))
        rows = (
            run_jobs([job], [str(path)], Settings(split_bytes=2000)).results["offsets"].to_pylist()
        )
        expected, at = [], 0
        for line in split_lines(text):
            expected.append({"offset": at, "bytes": len(line)})
            at += len(line)
        assert expected == rows, kind


def test_a_big_gzip_gets_a_seek_index_and_is_many_splits_afterwards(tmp_path, texts, monkeypatch):
    """The first run keeps an index in the cache, never beside the file; the next one uses it."""
    monkeypatch.setattr(split, "INDEX_BYTES", 1 << 10)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "logs" / "maillog.1.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(texts["maillog.1"] * 90, 1))
    settings = Settings(workers=2)

    def plan():
        queries, _ = run.plan_queries([find_job("volume")], settings)
        return run.plan_tasks(find_inputs([str(path)], settings), queries, settings)

    assert 1 == len(plan()[0])
    first = _volume([path], workers=2)
    assert 1 < len(plan()[0])
    second = _volume([path], workers=2)

    assert _csv(first) == _csv(second)
    assert path.stat().st_size == first.account.read_bytes == second.account.read_bytes
    assert [path] == list(path.parent.iterdir())
    path.write_bytes(gzip.compress(texts["maillog.1"] * 80, 1))  # another file by the same name
    assert 1 == len(plan()[0])
    assert 80 * first.account.lines // 90 == _volume([path], workers=2).account.lines


@pytest.mark.timeout(30)
def test_a_limit_that_ends_many_splits_early_leaves_buffers_for_the_next(tmp_path):
    """A split that is left off in its middle holds a buffer back: the thread gets fresh ones."""
    log = tmp_path / "a.log"
    log.write_bytes(b"Dec  9 04:02:11 mx su[5]: hello, hello, hello\n" * 300_000)
    job = sql_job("five", "SELECT message FROM lines LIMIT 5")

    done = run_jobs([job], [str(log)], Settings(workers=1, split_bytes=3_000_000, year=2007))

    assert 5 == done.results["five"].num_rows
