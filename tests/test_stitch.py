"""The stitch law: however the lines are cut, the messages are the same; and those of the rules."""

from __future__ import annotations

import gzip
import lzma
from contextlib import ExitStack
from functools import cache, partial
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
import zstandard
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline import at_hand, run, shuffle, stitch
from pipeline import map as map_stage
from pipeline.job import find_job, sql_job
from pipeline.run import run_jobs
from pipeline.scan import LineScanner
from pipeline.settings import Settings
from tests.support.stitch_logs import mail_files, many_messages
from tests.support.stitch_oracle import (
    delivery_rows,
    is_ambiguous,
    message_rows,
    read_lines,
    read_messages,
)

if TYPE_CHECKING:
    from pathlib import Path

# What depends on other messages is known at the end of the run only; without it whole messages
# are queried as they are found, which is another way through the engine.
_LATE = {"generation", "parent_id", "parent_link"}
_WAYS = {
    "late": ["SELECT * FROM messages", "SELECT * FROM deliveries"],
    "whole at once": [
        f"SELECT * EXCLUDE ({', '.join(_LATE)}) FROM messages",
        "SELECT * EXCLUDE (generation) FROM deliveries",
    ],
}


@cache
def _planned(queries: tuple[str, ...]):
    jobs = [sql_job(f"job{k}", query) for k, query in enumerate(queries)]
    return jobs, run.plan_queries(jobs, Settings())


def _run(queries, paths, **options) -> list[list[dict[str, object]]]:
    """Rows of each query; without more options: one split a file, on this thread."""
    options = {"scheduler": "inline", "split_bytes": 1 << 40, **options}
    jobs, planned = _planned(tuple(queries))
    settings = Settings(count_duplicates=True, **options)
    done = run_jobs(jobs, [str(path) for path in paths], settings, planned=planned)
    return [_in_order(done.results[job.name].to_pylist()) for job in jobs]


def _in_order(rows):
    return sorted(rows, key=repr)


def _differences(expected, found) -> list[str]:
    """Say in which rows and columns two results differ."""
    said = [f"{len(expected)} rows, found {len(found)}"] if len(expected) != len(found) else []
    for row, other in zip(_in_order(expected), _in_order(found), strict=False):
        same = {name: other.get(name) for name in row}
        if row != same:
            names = [name for name in row if row[name] != same[name]]
            said.append(
                f"{[*row.values()][:4]}: "
                + ", ".join(f"{name} {row[name]!r}, found {other.get(name)!r}" for name in names)
            )
    return said


def _write(folder: Path, files: dict[str, bytes]) -> list[Path]:
    for name, text in files.items():
        (folder / name).write_bytes(text)
    return [folder / name for name in files]


class _Small(ExitStack):
    """Makes blocks, tables and limits so small that every way through the engine is gone."""

    def __init__(self, **limits: int) -> None:
        super().__init__()
        held = {"block_bytes": 300, "max_rows": 4, "blocks": 2, "join_rows": 1,
                "pile_bytes": 1, "partition_rows": 5, **limits}  # fmt: skip
        scanner = partial(LineScanner, max_rows=held["max_rows"])
        self.enter_context(patch.object(run, "_block_bytes", lambda *_, **__: held["block_bytes"]))
        self.enter_context(patch.object(at_hand, "LineScanner", scanner))
        self.enter_context(patch.object(stitch, "BLOCKS", held["blocks"]))
        self.enter_context(patch.object(stitch, "JOIN_ROWS", held["join_rows"]))
        self.enter_context(patch.object(shuffle, "PILE_BYTES", held["pile_bytes"]))
        self.enter_context(patch.object(shuffle, "PARTITION_ROWS", held["partition_rows"]))

    def __enter__(self):
        _forget_thread()
        return super().__enter__()

    def __exit__(self, *error):
        _forget_thread()
        return super().__exit__(*error)


def _forget_thread() -> None:
    """Let this thread make its buffers and scanner anew."""
    at_hand._local.__dict__.clear()
    map_stage._local.__dict__.clear()


def _differs(files, way, found) -> list[str]:
    """Say what differs between the oracle's messages and deliveries and those that were found."""
    said = []
    for rows, others in zip((message_rows(files), delivery_rows(files)), found, strict=True):
        if way == "late":
            wanted = rows
        else:
            wanted = [{k: v for k, v in row.items() if k not in _LATE} for row in rows]
        said += _differences(wanted, others)
    return said


@pytest.mark.parametrize("way", _WAYS)
@given(files=mail_files())
@settings(max_examples=15)
def test_messages_are_those_of_the_rules(tmp_path_factory, way, files):
    """An independent reading, line by line, gives the same messages and deliveries."""
    assume(not is_ambiguous(read_messages(read_lines(files))))
    paths = _write(tmp_path_factory.mktemp("logs"), files)

    assert [] == _differs(files, way, _run(_WAYS[way], paths))


@pytest.mark.parametrize("way", _WAYS)
@given(files=mail_files(), data=st.data())
@settings(max_examples=15)
def test_any_cut_gives_the_same_messages(tmp_path_factory, way, files, data):
    """Splits, blocks, tables, early joins, spilling, partitions, order of arguments: nothing shows."""
    assume(not is_ambiguous(read_messages(read_lines(files))))
    paths = _write(tmp_path_factory.mktemp("logs"), files)
    small = {
        "block_bytes": data.draw(st.sampled_from([150, 400, 1 << 20])),
        "max_rows": data.draw(st.sampled_from([1, 3, 1000])),
        "blocks": data.draw(st.sampled_from([1, 2, 100])),
        "join_rows": data.draw(st.sampled_from([0, 1, 6, 1000])),
        "pile_bytes": data.draw(st.sampled_from([0, 400, 1 << 20])),
        "partition_rows": data.draw(st.sampled_from([1, 4, 1000])),
    }
    split_bytes = data.draw(st.sampled_from([1, 130, 500, 2000, 1 << 30]))

    with _Small(**small):
        found = _run(_WAYS[way], data.draw(st.permutations(paths)), split_bytes=split_bytes)

    assert [] == _differs(files, way, found)


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
    read = {
        ".gz": gzip.decompress,
        ".xz": lzma.decompress,
        ".zst": lambda b: zstandard.ZstdDecompressor().decompressobj().decompress(b),
    }
    for path in demo.glob("maillog*"):
        text = read.get(path.suffix, bytes)(path.read_bytes())
        (folder / path.name.removesuffix(path.suffix if path.suffix in read else "")).write_bytes(
            text
        )
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def of_demo(plain) -> dict[str, list]:
    """Messages and deliveries of the demo archive, each file one split."""
    return {way: _run(_WAYS[way], plain, year=2008) for way in _WAYS}


@pytest.mark.parametrize("way", _WAYS)
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

    assert of_demo[way] == _run(_WAYS[way], plain[::-1], year=2008, **options)
    assert len(of_demo[way][0]) > 400


@pytest.mark.parametrize("way", _WAYS)
@pytest.mark.parametrize("kind", _COMPRESSORS)
def test_compression_gives_the_same(plain, of_demo, tmp_path, way, kind):
    """However files are compressed, and cut by it."""
    paths = _write(tmp_path, {path.name: _COMPRESSORS[kind](path.read_bytes()) for path in plain})

    assert of_demo[way] == _run(_WAYS[way], paths, year=2008, workers=2, split_bytes=15_000)


@pytest.mark.parametrize("way", _WAYS)
def test_early_joins_and_partitions_of_real_mail_give_the_same(plain, of_demo, way):
    """Neighbours are joined again and again, all that is left is dealt out over the disk."""
    with _Small(
        block_bytes=1 << 20, max_rows=2000, join_rows=50, pile_bytes=50_000, partition_rows=300
    ):
        found = _run(_WAYS[way], plain, year=2008, split_bytes=30_000)

    assert of_demo[way] == found


@pytest.mark.parametrize("n_splits", [1, 3])
def test_hundred_thousands_of_messages_keep_their_order(tmp_path, n_splits):
    """Groups leave DuckDB in any order; the generations of an id stay in that of their lines."""
    n = 150_000
    line = "2024-03-0{} 00:00:00 mx1 postfix/smtpd[1]: {:X}: client=c[192.0.2.1]\n".replace(
        " 00", "T00"
    )
    text = "".join(line.format(day, 0xA00000 + k) for day in (1, 2) for k in range(n))
    (path,) = _write(tmp_path, {"log": text.encode()})
    query = (
        "SELECT generation, CAST(day AS VARCHAR) AS day, count(*) AS n FROM messages GROUP BY ALL"
    )

    (found,) = _run([query], [path], split_bytes=len(text) // n_splits + 1)

    assert [
        {"generation": 1, "day": "2024-03-01", "n": n},
        {"generation": 2, "day": "2024-03-02", "n": n},
    ] == found


@pytest.mark.parametrize("split_bytes", [100, 1 << 40])
def test_the_clock_of_another_host_says_nothing(tmp_path, split_bytes):
    """In a log of two hosts of different zones a message is one, wherever the log is cut."""
    text = (
        b"2024-03-01T18:00:00 east postfix/smtpd[1]: A1B2C3: client=c[192.0.2.1]\n"
        b"2024-03-01T10:00:00 west postfix/smtpd[1]: connect from unknown[unknown]\n"
        b"2024-03-01T10:00:01 west postfix/smtpd[1]: A1B2C3: client=c[192.0.2.1]\n"
        b"2024-03-01T18:00:02 east postfix/cleanup[1]: A1B2C3: message-id=<m@x.example>\n"
        b"2024-03-01T18:00:03 east postfix/qmgr[1]: A1B2C3: removed\n"
    )
    paths = _write(tmp_path, {"log": text})
    query = "SELECT host, message_id, opened, removed FROM messages"

    assert [
        {"host": "east", "message_id": "m@x.example", "opened": True, "removed": True},
        {"host": "west", "message_id": None, "opened": True, "removed": False},
    ] == _run([query], paths, split_bytes=split_bytes)[0]


# Results that could depend on the order of rows


@pytest.fixture
def many(tmp_path) -> list[Path]:
    """Some messages."""
    return _write(tmp_path, {"log": many_messages()})


@pytest.mark.parametrize(
    "query",
    [
        "SELECT queue_id FROM messages",
        "SELECT queue_id FROM messages LIMIT 3",
        "SELECT queue_id FROM messages LIMIT 3 OFFSET 2",
        "SELECT queue_id, size FROM messages ORDER BY size",
        "SELECT queue_id, size FROM messages ORDER BY size LIMIT 3",
        "SELECT queue_id FROM messages ORDER BY size LIMIT 3",
        "SELECT size, queue_id FROM messages ORDER BY sender DESC, size LIMIT 3 OFFSET 1",
        "SELECT queue_id, row_number() OVER () AS n FROM messages",
        "SELECT queue_id, row_number() OVER (ORDER BY size) AS n FROM messages",
        "SELECT DISTINCT ON (size) queue_id, size FROM messages",
        "SELECT DISTINCT size, sender FROM messages LIMIT 3",
        "SELECT queue_id FROM messages QUALIFY row_number() OVER (PARTITION BY sender ORDER BY size) = 1",
        "SELECT mode(queue_id) AS m FROM messages",
        "SELECT arg_max(queue_id, size) AS a, arg_min(queue_id, size) AS b FROM messages",
        "SELECT sender, max_by(queue_id, size) FILTER (WHERE size < 1) AS a FROM messages GROUP BY sender",
        "SELECT arg_max_null(queue_id, nrcpt) AS a FROM messages",
        "SELECT first(queue_id ORDER BY size) AS a, last(queue_id ORDER BY size) AS b FROM messages",
        "SELECT any_value(queue_id ORDER BY size DESC) AS a FROM messages",
        "SELECT list(queue_id ORDER BY size) AS a FROM messages",
        "SELECT sender, string_agg(queue_id, ',' ORDER BY size) AS a FROM messages GROUP BY sender",
        "SELECT sender, count(*) AS n FROM messages GROUP BY sender ORDER BY n LIMIT 2",
        "SELECT histogram(sender) AS h, count(DISTINCT sender) AS n, sum(size) AS s FROM messages",
        "SELECT recipient, list(DISTINCT sender ORDER BY sender) AS a FROM deliveries GROUP BY recipient",
        "SELECT recipient, sum(delay) AS d FROM deliveries GROUP BY recipient ORDER BY d LIMIT 2",
    ],
)  # fmt: skip
def test_no_result_depends_on_the_order_in_which_messages_are_whole(many, query):
    """LIMIT, ties of ORDER BY and of arg_max, windows: the rows are the same, in one order."""

    def rows(**options):
        jobs, planned = _planned((query,))
        done = run_jobs(
            jobs, [str(many[0])], Settings(scheduler="inline", **options), planned=planned
        )
        return done.results["job0"].to_pylist()

    whole = rows(split_bytes=1 << 40)
    assert whole == rows(split_bytes=400)
    assert whole == rows(split_bytes=2000)
    with _Small(max_rows=9, blocks=1, partition_rows=30):
        assert whole == rows(split_bytes=1500)


def test_of_rows_that_tie_the_least_value_is_taken(many):
    """arg_max and arg_min over messages are what an ORDER BY the measure, then the value, gives."""
    rows = _run(["SELECT queue_id, size FROM messages WHERE size IS NOT NULL"], many)[0]
    (found,) = _run(
        ["SELECT arg_max(queue_id, size) AS most, arg_min(queue_id, size) AS least FROM messages"],
        many,
    )[0]

    assert {
        "most": min(row["queue_id"] for row in rows if row["size"] == 1),
        "least": min(row["queue_id"] for row in rows if row["size"] == 0),
    } == found


@pytest.mark.parametrize("call", ["first(size)", "last(size)", "any_value(size)", "list(size)",
                                  "string_agg(sender, ',')"])  # fmt: skip
def test_aggregates_that_follow_the_rows_are_refused(sawlog, many, call):
    """The message names the way out."""
    ran = sawlog("sql", f"SELECT {call} FROM messages", *many)

    name = call.split("(")[0]
    assert 2 == ran.code
    assert f"{name}() needs an ORDER BY inside it: the rows of messages come in no order" in ran.err
    assert 0 == sawlog("sql", f"SELECT {call} FROM mail", *many).code


# Filters


_MONTH = {
    "maillog.1": b"2024-03-06T23:00:00 mx1 postfix/smtpd[1]: A1B2C3: client=c[192.0.2.1]\n"
    b"2024-03-06T23:00:01 mx1 postfix/qmgr[1]: A1B2C3: from=<a@x.example>, size=1, nrcpt=1 (queue active)\n"
    b"2024-03-06T23:00:02 mx1 postfix/smtpd[1]: B1B2C3: client=c[192.0.2.1]\n",
    "maillog": b"2024-03-08T23:00:00 mx1 postfix/smtp[1]: A1B2C3: to=<b@x.example>, relay=none, delay=1, "
    b"delays=0/0/0/1, dsn=2.0.0, status=sent (ok)\n"
    b"2024-03-08T23:00:01 mx1 postfix/qmgr[1]: A1B2C3: removed\n"
    b"2024-03-08T23:00:02 mx2 postfix/smtpd[1]: C1B2C3: client=c[192.0.2.1]\n",
}


@pytest.mark.parametrize(
    ("options", "messages", "deliveries"),
    [
        ([], "A1B2C3,true B1B2C3,false C1B2C3,false", "A1B2C3,1"),
        (["--since", "2024-03-08"], "C1B2C3,false", "A1B2C3,1"),
        (["--until", "2024-03-06"], "A1B2C3,true B1B2C3,false", ""),
        (["--day", "2024-03-07"], "", ""),
        (["--host", "mx2"], "C1B2C3,false", ""),
        (["--host", "mx?"], "A1B2C3,true B1B2C3,false C1B2C3,false", "A1B2C3,1"),
        (["--where", "queue_id > 'B' -- the later"], "B1B2C3,false C1B2C3,false", ""),
        (["--where", "removed"], "A1B2C3,true", "A1B2C3,1"),
        (["--where", "size = 1"], "A1B2C3,true", "A1B2C3,1"),
        # 23 o'clock in Hamburg is 22 in UTC; in Tokyo it is the next day.
        (["--log-tz", "Europe/Berlin", "--report-tz", "Asia/Tokyo", "--day", "2024-03-07"],
         "A1B2C3,true B1B2C3,false", ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_one_file", [False, True])
def test_filters(sawlog, tmp_path, options, messages, deliveries, is_one_file):
    """A filter is about the message, by its first line: how lines lie in files changes nothing."""
    files = {"one": _MONTH["maillog.1"] + _MONTH["maillog"]} if is_one_file else _MONTH
    paths = _write(tmp_path, files)

    for query, expected in (
        ("SELECT queue_id, removed FROM messages", messages),
        ("SELECT queue_id, attempts FROM deliveries", deliveries),
    ):
        ran = sawlog("sql", query, *paths, *options, "--to", "values")
        assert (0, expected.split()) == (ran.code, ran.out.split()), ran.err


def test_days_of_messages_are_those_of_the_report(sawlog, tmp_path):
    """With --report-tz day and hour are in that zone, time stays as written."""
    paths = _write(tmp_path, _MONTH)
    zones = ["--log-tz", "Europe/Berlin", "--report-tz", "Asia/Tokyo"]

    ran = sawlog(
        "sql",
        "SELECT time, day, hour FROM messages WHERE removed",
        *paths,
        *zones,
        "--to",
        "values",
    )

    assert "2024-03-06 23:00:00,2024-03-07,7\n" == ran.out


def test_process_is_refused(sawlog, many):
    """A message is made of the lines of several processes."""
    ran = sawlog("senders", *many, "--process", "postfix/smtp")

    assert (2, "") == (ran.code, ran.out)
    assert (
        "--process keeps lines, and messages are made of the lines of several processes" in ran.err
    )
    assert 0 == sawlog("rejects", *many, "--process", "postfix/smtp").code


# Damage and emptiness


@pytest.mark.parametrize("way", _WAYS)
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
    paths = _write(tmp_path, {"maillog.1": bytes(stored), "maillog": newer})

    jobs, planned = _planned(tuple(_WAYS[way]))
    settings = Settings(scheduler="inline", split_bytes=split_bytes, year=2008)
    done = run_jobs(jobs, [str(path) for path in paths], settings, planned=planned)
    counted = done.counts[str(paths[0])].lines
    assert [str(paths[0])] == [one.file for one in done.account.damaged]
    assert 0 < counted.lines < text.count(b"\n")

    whole = b"".join(text.splitlines(keepends=True)[: counted.lines])
    rest = _write(tmp_path, {"before": whole, "maillog": newer})
    expected = _run(_WAYS[way], rest, year=2008)
    assert expected == [_in_order(done.results[job.name].to_pylist()) for job in jobs]


@pytest.mark.parametrize("text", [b"", b"\n", b"no stamp\n", b"Dec 26 00:00:00 mx1 cron[1]: 4A1: job\n",
                                  b"Dec 26 00:00:00 mx1 postfix/smtpd[1]: NOQUEUE: reject: RCPT from x[1.2.3.4]: 550 no\n"])  # fmt: skip
@pytest.mark.parametrize("relation", ["messages", "deliveries"])
def test_without_any_message(sawlog, tmp_path, text, relation):
    """Rows are none, and an aggregate has its one row."""
    paths = _write(tmp_path, {"log": text})
    columns = "queue_id,generation,day,parent_id" if relation == "messages" else "queue_id,delay"

    ran = sawlog("sql", f"SELECT {columns} FROM {relation}", *paths, "--to", "csv")
    assert (0, columns + "\n") == (ran.code, ran.out), ran.err
    ran = sawlog(
        "sql", f"SELECT count(*) AS n, max(time) AS t FROM {relation}", *paths, "--to", "csv"
    )
    assert (0, "n,t\n0,\n") == (ran.code, ran.out)


# Several questions


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

    together = _run(queries, plain, split_bytes=50_000)

    assert [_run([query], plain)[0] for query in queries] == together
    _, (plan, _) = _planned(tuple(queries))
    assert ["lines", "mail", "messages", "deliveries"] == [query.relation for query in plan.queries]


def test_a_python_job_over_messages(many, tmp_path):
    """It is handed whole messages, in pieces and in no order."""
    job = tmp_path / "sizes.py"
    job.write_text(
        '"""How many bytes did each sender write?"""\n'
        'RELATION = "messages"\nCOLUMNS = ("sender", "size", "parent_id")\n'
        'def map(table):\n    return table.group_by("sender").aggregate([("size", "sum")])\n'
        'def combine(table):\n    t = table.group_by("sender").aggregate([("size_sum", "sum")])\n'
        '    return t.rename_columns(["sender", "size_sum"])\n'
        'def finish(table):\n    return table.sort_by("sender")\n'
    )
    expected = _run(
        ["SELECT sender, CAST(sum(size) AS BIGINT) AS size_sum FROM messages GROUP BY sender"], many
    )

    for split_bytes in (500, 1 << 40):
        done = run_jobs(
            [find_job(str(job))], [str(many[0])], Settings(split_bytes=split_bytes, workers=2)
        )
        assert expected[0] == _in_order(done.results["sizes"].to_pylist())
