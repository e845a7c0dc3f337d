"""`sawlog surge`, by golden cases and on the demo archive."""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.support.day_logs import write_log

CASES = Path(__file__).parent / "cases" / "surge"


@pytest.mark.parametrize("path", sorted(CASES.glob("*.toml")), ids=lambda path: path.stem)
def test_case(sawlog, tmp_path, path, monkeypatch):
    """The command line gives what the case says, however small the splits are."""
    monkeypatch.delenv("COLUMNS", raising=False)
    case = tomllib.loads(path.read_text(encoding="utf-8"))
    log = tmp_path / "log"
    log.write_bytes(write_log(case["lines"]))

    for split_bytes in (1 << 40, 5000):
        ran = sawlog("surge", log, *case.get("args", []), "--split-size", split_bytes)
        assert (case.get("code", 0), case["output"]) == (ran.code, ran.out), ran.err


def test_the_demo_archive_tells_its_story(sawlog, demo):
    """The day, the processes, the message: as they were made."""
    story = json.loads((demo / "truth" / "story.json").read_text())

    ran = sawlog("surge", *demo.glob("maillog*"), "--to", "json")
    found = json.loads(ran.out)

    assert 0 == ran.code
    (change,) = [one for one in found["change"] if one["is_main"]]
    assert f"{story['surge_day']} 00:00:00" == change["begins"]
    assert change["factor"] > 3
    growth = found["growth"]
    names = {"postfix/smtp", "postfix/qmgr"}
    shares = {one["value"]: one["share"] for one in growth if one["dimension"] == "process"}
    assert names == set(list(shares)[:2])
    assert sum(shares[name] for name in names) > 0.95
    assert shares["postfix/smtpd"] < 0.05
    first = next(one for one in growth if one["dimension"] == "queue_id")
    assert (story["queue_id"], story["forged_sender"]) == (first["value"], first["detail"])
    sender = next(one for one in growth if one["dimension"] == "sender")
    assert "" == sender["value"]
    told = {
        row["day"]: row["attempts"]
        for row in found["attempts"]
        if row["queue_id"] == story["queue_id"]
    }
    assert told == story["attempts"]


def test_shares_of_a_dimension_make_the_whole(sawlog, demo):
    """What grew and what shrank add up to the growth of all, by process as by host."""
    ran = sawlog("surge", *demo.glob("maillog*"), "--to", "csv")

    sums: Counter[str] = Counter()
    for row in csv.DictReader(io.StringIO(ran.out)):
        sums[row["dimension"]] += float(row["share"] or 0)

    for dimension in ("process", "host", "status", "sender", "reason", "destination", "queue_id"):
        assert sums[dimension] == pytest.approx(1), dimension


def test_given_periods_count_what_volume_counts(sawlog, demo):
    """Whole days: bytes per day are those of the true table."""
    truth = list(csv.DictReader(io.StringIO((demo / "truth" / "volume.csv").read_text())))
    expected = {
        period: sum(int(row["bytes"]) for row in truth if first <= row["day"] <= last) / 3
        for period, first, last in (
            ("before", "2007-12-17", "2007-12-19"),
            ("after", "2007-12-27", "2007-12-29"),
        )
    }

    ran = sawlog(
        "surge", *demo.glob("maillog*"), "--to", "json",
        "--before", "2007-12-17..2007-12-19", "--after", "2007-12-27..2007-12-29",
    )  # fmt: skip
    (change,) = json.loads(ran.out)["change"]

    assert expected["before"] == pytest.approx(change["before_per_day"])
    assert expected["after"] == pytest.approx(change["after_per_day"])


def test_files_hold_the_tables(sawlog, demo, tmp_path):
    """One table goes to a file of one, all to {job} and to files that hold several."""
    ran = sawlog(
        "surge", *demo.glob("maillog*"), "-q",
        "-o", tmp_path / "one.csv", "-o", tmp_path / "{job}.csv", "-o", tmp_path / "all.json",
    )  # fmt: skip

    assert 0 == ran.code, ran.err
    assert (tmp_path / "one.csv").read_text() == (tmp_path / "growth.csv").read_text()
    names = {"change", "growth", "volume", "attempts", "silence"}
    assert names == set(json.loads((tmp_path / "all.json").read_text()))
    assert all((tmp_path / f"{name}.csv").exists() for name in names)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--before", "2007-12-10"], "--before is compared with --after"),
        (["--after", "2007-12-27.."], "takes a period"),
        (["--after", "2007-12-27..2007-12-26"], "ends before it begins"),
        (["--after", "2007-12-27 10:30"], "full hours"),
        (["--after", "2009-01-01"], "no line from 2009-01-01"),
        (["--by", "week"], "by day or by hour"),
        (["--by", "day", "--after", "2007-12-27 10:00..2007-12-27 11:59"], "within a day"),
    ],
)
def test_wrong_use_is_told(sawlog, demo, args, said):
    """Exit 2, and what to write instead."""
    ran = sawlog("surge", *demo.glob("maillog*"), *args)

    assert 2 == ran.code
    assert said in ran.err


def test_names_from_the_log_are_harmless(sawlog, tmp_path):
    """A process called by an escape sequence shows as text, on standard output as in files."""
    log = tmp_path / "log"
    log.write_bytes(
        b"".join(
            b"2024-03-%02dT12:00:00 h\x1b[31mx p\x1b]0;owned\x07[1]: hello\n" % (1 + n // 3)
            for n in range(30)
        )
    )

    ran = sawlog("surge", log)

    assert 0 == ran.code
    assert "\x1b" not in ran.out + ran.err
    assert "\x07" not in ran.out + ran.err
    assert "\\x1b]0;owned\\x07" in ran.out
