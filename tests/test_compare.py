"""`--compare`: a job over two periods, side by side."""

from __future__ import annotations

import csv
import io
import json

import pytest

from pipeline.job import builtin_jobs, find_job, with_sections


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize(
    ("job", "by"),
    [
        ("volume", "process"),
        ("volume", "host,process"),
        ("deliveries", "status,daemon"),
        ("senders", "domain"),
        ("delays", "daemon"),
    ],
)
def test_each_side_is_what_the_job_gives_of_its_period(sawlog, demo, job, by):
    """Numbers of both periods stand beside each other; what is missing on one side is 0 or empty."""
    sources = demo.glob("maillog*")
    periods = {"before": ("2007-12-10", "2007-12-16"), "after": ("2007-12-24", "2007-12-30")}
    keys = by.split(",")
    expected = {}
    for side, (since, until) in periods.items():
        ran = sawlog(
            job,
            *demo.glob("maillog*"),
            "--by",
            by,
            "--since",
            since,
            "--until",
            until,
            "--to",
            "csv",
        )
        expected[side] = {tuple(row.pop(k) for k in keys): row for row in _rows(ran.out)}

    ran = sawlog(
        job, *sources, "--by", by, "--since", "2007-12-24", "--until", "2007-12-30", "--to", "csv",
        "--compare", "2007-12-10..2007-12-16",
    )  # fmt: skip
    rows = _rows(ran.out)

    assert 0 == ran.code, ran.err
    assert len(expected["before"].keys() | expected["after"].keys()) == len(rows)
    measures = list(next(iter(expected["after"].values())))
    for row in rows:
        key = tuple(row[k] for k in keys)
        for name in measures:
            for side, shown in (("before", row[f"{name}_before"]), ("after", row[name])):
                wanted = expected[side].get(key, {}).get(name)
                nothing = {"0", "", "0.00"}
                assert shown in (nothing if wanted is None else (wanted,)), (key, name)
            if row[f"{name}_before"] and row[name]:
                change = float(row[name]) - float(row[f"{name}_before"])
                assert change == pytest.approx(float(row[f"{name}_change"]))
    changes = [abs(float(row[f"{measures[0]}_change"] or 0)) for row in rows]
    assert changes == sorted(changes, reverse=True)


def test_days_are_added_up(sawlog, demo):
    """A job by day and one whose columns are fixed give what the days make together."""
    sources = list(demo.glob("maillog*"))
    period = ["--since", "2007-12-26", "--until", "2007-12-27"]
    truth = _rows((demo / "truth" / "volume.csv").read_text())
    sums = {
        side: sum(int(row["bytes"]) for row in truth if first <= row["day"] <= last)
        for side, first, last in (
            ("before", "2007-12-24", "2007-12-25"),
            ("after", "2007-12-26", "2007-12-27"),
        )
    }

    (row,) = _rows(
        sawlog(
            "volume", *sources, "--by", "day", *period, "--compare", "previous", "--to", "csv"
        ).out
    )
    assert (sums["before"], sums["after"]) == (int(row["bytes_before"]), int(row["bytes"]))

    query = "SELECT day, process, sum(bytes) AS bytes, avg(bytes) AS mean FROM lines GROUP BY ALL"
    rows = _rows(
        sawlog("sql", query, *sources, *period, "--compare", "previous", "--to", "csv").out
    )
    assert ["process", "bytes_before", "bytes", "bytes_change"] == list(rows[0])
    assert sums["after"] == sum(int(row["bytes"]) for row in rows)
    assert sums["before"] == sum(int(row["bytes_before"]) for row in rows)


def test_previous_is_as_long_and_just_before(sawlog, demo):
    """One day is compared with the day before it."""
    sources = list(demo.glob("maillog*"))

    day = sawlog("volume", *sources, "--day", "2007-12-26", "--compare", "previous", "--to", "csv")
    same = sawlog(
        "volume", *sources, "--day", "2007-12-26", "--compare", "2007-12-25", "--to", "csv"
    )

    assert day.out == same.out
    assert 0 == day.code
    top = sawlog(
        "volume",
        *sources,
        "--day",
        "2007-12-26",
        "--compare",
        "previous",
        "--to",
        "csv",
        "--top",
        "2",
    )
    assert day.out.splitlines()[:3] == top.out.splitlines()


def test_sections_are_compared_each(sawlog, demo, tmp_path):
    """Of a report every section that counts something; files and JSON hold them."""
    ran = sawlog(
        "mail", *demo.glob("maillog*"), "--day", "2007-12-26", "--compare", "previous",
        "--to", "json", "-o", tmp_path / "{job}.csv",
    )  # fmt: skip

    found = json.loads(ran.out)
    assert 0 == ran.code, ran.err
    (delivered,) = [row for row in found["deferrals"] if row["class"] == "refused"][:1]
    assert {"attempts_before", "attempts", "attempts_change"} <= delivered.keys()
    assert (tmp_path / "deferrals.csv").exists()


def test_groups_of_nothing_are_one(sawlog, demo):
    """NULL is NULL on both sides."""
    ran = sawlog(
        "sql", "SELECT severity, count(*) AS n FROM lines GROUP BY ALL", *demo.glob("maillog*"),
        "--day", "2007-12-26", "--compare", "previous", "--to", "csv",
    )  # fmt: skip

    (row,) = _rows(ran.out)
    assert "" == row["severity"]
    assert int(row["n"]) > int(row["n_before"]) > 0


@pytest.mark.parametrize(
    ("after", "before"), [("2008-01-07", "2007-12-11..2007-12-12"), ("2007-12-27", "2007-12-24")]
)
def test_the_account_counts_each_file_once(sawlog, demo, tmp_path, after, before):
    """However many of the periods a file was read for; what was read for none is skipped."""
    account = tmp_path / "account.json"
    ran = sawlog(
        "volume", *demo.glob("maillog*"), "--since", after, "--compare", before,
        "--account", account,
    )  # fmt: skip

    told = json.loads(account.read_text())
    truth = _rows((demo / "truth" / "files.csv").read_text())
    skipped = {one["file"].rpartition("/")[2] for one in told["skipped"]}
    read = [row for row in truth if row["file"] not in skipped]
    assert 0 == ran.code
    assert skipped
    assert len(read) == told["files"] == len(told["years"])
    assert sum(int(row["lines"]) for row in read) == told["lines"]
    assert "one of the periods ends with the log" in ran.err


def test_damage_of_either_period_is_told(sawlog, demo, tmp_path):
    """A file that is cut short in the earlier one makes exit 3."""
    for path in demo.glob("maillog*"):
        content = path.read_bytes()
        (tmp_path / path.name).write_bytes(
            content[: len(content) // 2] if path.name == "maillog.4.xz" else content
        )

    ran = sawlog(
        "volume", *tmp_path.glob("maillog*"), "--day", "2008-01-05", "--compare", "2007-12-10"
    )

    assert 3 == ran.code
    assert "maillog.4.xz" in ran.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["volume", "--compare", "previous"], "--since and --until"),
        (["volume", "--compare", "2007-12-10.."], "takes a period"),
        (["volume", "--compare", "2007-12-12..2007-12-10"], "ends before it begins"),
        (["sql", "SELECT day FROM lines", "--compare", "2007-12-10"], "lists rows"),
        (["sql", "SELECT max(time) AS t FROM lines", "--compare", "2007-12-10"], "no number"),
        (["volume", "--by", "color", "--compare", "2007-12-10"], "color"),
        (["retries", "--by", "day", "--compare", "2007-12-10"], "no --by"),
    ],
)
def test_wrong_use_is_told(sawlog, demo, args, said):
    """Exit 2, and what to write instead."""
    first = 2 if args[0] == "sql" else 1
    ran = sawlog(*args[:first], *demo.glob("maillog*"), *args[first:])

    assert 2 == ran.code, ran.err
    assert said in ran.err


def test_standard_input_cannot_be_read_twice(sawlog):
    """It says so."""
    ran = sawlog("volume", "-", "--compare", "2007-12-10", stdin=b"x\n")

    assert 2 == ran.code
    assert "standard input" in ran.err


def test_every_job_that_counts_can_be_compared(sawlog, demo):
    """Those of one table each; the periods' lengths are told in days."""
    logs = sorted(demo.glob("maillog*"))
    jobs = [job for job in builtin_jobs() if len(with_sections([find_job(job)])) == 1]
    asked = ("--compare", "2007-12-20", "--since", "2007-12-27", "--until", "2007-12-28")

    assert {"volume", "retries", "queue", "sessions", "rejects"} <= set(jobs)
    for job in jobs:
        ran = sawlog(job, *logs, *asked, "--to", "csv")
        assert ran.code == 0, ran.err
        assert "_change" in ran.out.splitlines()[0]
        assert "1 day before, 2 days after" in ran.err
