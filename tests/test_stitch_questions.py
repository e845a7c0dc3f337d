"""Questions about messages: none depends on the order of rows, filters choose whole messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.job import find_job
from pipeline.run import run_jobs
from pipeline.settings import Settings
from tests.support.stitch_logs import many_messages
from tests.support.stitched import SmallLimits, in_order, plan_queries, run_queries, write_logs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def many(tmp_path) -> list[Path]:
    """Some messages."""
    return write_logs(tmp_path, {"log": many_messages()})


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
        jobs, planned = plan_queries((query,))
        done = run_jobs(
            jobs, [str(many[0])], Settings(scheduler="inline", **options), planned=planned
        )
        return done.results["job0"].to_pylist()

    whole = rows(split_bytes=1 << 40)
    assert whole == rows(split_bytes=400)
    assert whole == rows(split_bytes=2000)
    with SmallLimits(max_rows=9, blocks=1, partition_rows=30):
        assert whole == rows(split_bytes=1500)


def test_of_rows_that_tie_the_least_value_is_taken(many):
    """arg_max and arg_min over messages are what an ORDER BY the measure, then the value, gives."""
    rows = run_queries(["SELECT queue_id, size FROM messages WHERE size IS NOT NULL"], many)[0]
    (found,) = run_queries(
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
    paths = write_logs(tmp_path, files)

    for query, expected in (
        ("SELECT queue_id, removed FROM messages", messages),
        ("SELECT queue_id, attempts FROM deliveries", deliveries),
    ):
        ran = sawlog("sql", query, *paths, *options, "--to", "values")
        assert (0, expected.split()) == (ran.code, ran.out.split()), ran.err


def test_days_of_messages_are_those_of_the_report(sawlog, tmp_path):
    """With --report-tz day and hour are in that zone, time stays as written."""
    paths = write_logs(tmp_path, _MONTH)
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
    expected = run_queries(
        ["SELECT sender, CAST(sum(size) AS BIGINT) AS size_sum FROM messages GROUP BY sender"], many
    )

    for split_bytes in (500, 1 << 40):
        done = run_jobs(
            [find_job(str(job))], [str(many[0])], Settings(split_bytes=split_bytes, workers=2)
        )
        assert expected[0] == in_order(done.results["sizes"].to_pylist())
