"""``--path-template``: what lines lack is in the path, and folders out of range are not listed."""

from __future__ import annotations

import json
import os
from datetime import date, datetime

import fsspec
import pytest

from pipeline.errors import UsageError
from pipeline.model import Place
from pipeline.sources.template import Template

_LOG = """\
Dec 31 10:00:00 localhost a[1]: one
Jan  1 10:00:00 real hello
not dated
2008-01-01T00:00:00Z - su: two
"""


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Folders of two hosts and three days, and others."""
    for host in ("mx1", "mx2"):
        for day in ("2007-12-30", "2008-01-01", "2008-01-05", "notes", "2008-13-01"):
            folder = tmp_path / "logs" / host / day
            folder.mkdir(parents=True)
            (folder / "app.log").write_text(_LOG)
    (tmp_path / "logs" / "readme").write_text("no folder")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _rows(ran):
    assert 0 == ran.code, ran.err
    return [line.split(",") for line in ran.out.splitlines()]


def test_the_path_fills_what_lines_lack(sawlog, tree):
    """A host that is missing or localhost, a process, the day of lines without a stamp, the year."""
    ran = sawlog(
        "sql", "SELECT day, time IS NULL, host, process, message FROM lines",
        "logs/{host}/2008-01-01/{process}.log", "--path-template", "--to", "values", "-q", "--year", "2008",
    )  # fmt: skip

    of_one = [
        ["2007-12-31", "false", "mx1", "a", "one"],
        ["2008-01-01", "false", "real", "app", "hello"],
        ["", "true", "mx1", "app", "not dated"],
        ["2008-01-01", "false", "mx1", "su", "two"],
    ]
    of_other = [[cell.replace("mx1", "mx2") for cell in row] for row in of_one]
    assert of_one + of_other == _rows(ran)


def test_a_day_in_the_path_dates_what_is_not(sawlog, tree):
    """It is the day of lines without a stamp, and tells the year of stamps without one."""
    account = tree / "account.json"
    ran = sawlog(
        "volume", "logs/mx1/{day}/*", "--path-template", "--by", "day", "--to", "values",
        "--until", "2007-12-31", "--account", account,
    )  # fmt: skip
    every = sawlog(
        "sql", "SELECT message, day FROM lines WHERE \"file\" LIKE '%/2008-01-01/%'",
        "logs/mx1/{day}/*", "--path-template", "--to", "values", "-q",
    )  # fmt: skip

    assert [["2007-01-01", "1", "27"], ["2007-12-31", "2", "72"]] == _rows(ran)
    assert [
        ["one", "2007-12-31"], ["hello", "2008-01-01"], ["not dated", "2008-01-01"],
        ["two", "2008-01-01"],
    ] == _rows(every)  # fmt: skip
    told = json.loads(account.read_text())
    assert {"path"} == {one["evidence"] for one in told["years"]}
    assert {"logs/mx1/2008-01-05", "logs/mx1/2008-13-01"} <= {
        one["file"] for one in told["skipped"]
    }


def test_folders_out_of_range_are_never_listed(sawlog, tree, monkeypatch):
    """Neither what the path puts out of the asked time, nor what is not as the template says."""
    listed = []
    scandir = os.scandir

    def note(path="."):
        listed.append(str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", note)
    ran = sawlog(
        "volume", "logs/{host}/{day}/*", "--path-template", "--since", "2008-01-04", "-q",
        "--by", "host", "--to", "values",
    )  # fmt: skip

    assert 0 == ran.code
    assert any(path.rstrip("/").endswith("mx1/2008-01-05") for path in listed)
    assert not any("2007-12-30" in path or "notes" in path or "13-01" in path for path in listed)


def test_messages_may_have_begun_before(sawlog, tree):
    """Where messages are asked for no folder is left out for its day."""
    account = tree / "account.json"
    sawlog(
        "sql", "SELECT count(*) FROM messages", "logs/{host}/{day}/*", "--path-template",
        "--since", "2008-01-04", "--account", account,
    )  # fmt: skip

    told = json.loads(account.read_text())
    assert 6 == told["files"]
    assert not any("2007-12-30" in one["file"] for one in told["skipped"])


def test_equal_files_of_two_hosts_are_two(sawlog, tree):
    """What their paths tell makes them different; without the template they count once."""
    asked = ("--by", "host", "--to", "values", "-q")
    by_path = sawlog("volume", "logs/{host}/2008-01-01/*", "--path-template", *asked)
    by_text = sawlog("volume", "logs/*/2008-01-01/*", *asked)

    assert [["mx1", "3"], ["mx2", "3"], ["real", "2"]] == [row[:2] for row in _rows(by_path)]
    assert [["localhost", "1"], ["real", "1"], ["", "2"]] == [row[:2] for row in _rows(by_text)]


def test_a_store_is_listed_by_folder(sawlog):
    """The same over fsspec: only folders in range."""
    fs = fsspec.filesystem("memory")
    for day in ("20071230", "20080105"):
        fs.pipe(f"/shipped/mx1/{day}/a.log", _LOG.encode())
    listed = []
    ls = type(fs).ls

    def note(self, path, *args, **kwargs):
        listed.append(path)
        return ls(self, path, *args, **kwargs)

    type(fs).ls = note
    try:
        ran = sawlog(
            "volume", "memory://shipped/{host}/{day}/*", "--path-template", "--until", "2008-01-01",
            "--by", "host", "--to", "values", "-q",
        )  # fmt: skip
    finally:
        type(fs).ls = ls
        fs.rm("/shipped", recursive=True)

    assert ["mx1", "real"] == [row[0] for row in _rows(ran)]
    assert any(path.rstrip("/").endswith("mx1") for path in listed)
    assert not any("20080105" in path for path in listed)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("logs/{hst}/x", "Did you mean 'host'?"),
        ("logs/{}/x", "unknown field of a path ''"),
        ("logs/{month}/x", "{month} without a {year}"),
        ("logs/{hour}/x", "{hour} without a {day}"),
        ("tar://{host}/*::a.tar", "not members of archives"),
    ],
)
def test_a_wrong_template_is_refused(template, said, sawlog):
    """Before anything is listed."""
    ran = sawlog("volume", template, "--path-template")

    assert 2 == ran.code
    assert said in ran.err


def test_what_can_not_be_listed_is_named(sawlog, tree):
    """A missing folder is damage beside what is there; alone it fails; an empty match too."""
    both = sawlog("volume", "none/{host}/x", "logs/{host}/2008-01-01/*", "--path-template")
    alone = sawlog("volume", "none/{host}/x", "--path-template")
    empty = sawlog("volume", "logs/{host}/{hour}{day}/*", "--path-template")

    assert (3, 1, 1) == (both.code, alone.code, empty.code)
    assert "none/: missing" in both.err
    assert "no match" in empty.err


_DAY = datetime(2008, 1, 5)


@pytest.mark.parametrize(
    ("template", "url", "place"),
    [
        ("l/{host}/{day}/*", "l/mx/2008-01-05/a.gz", Place("mx", None, _DAY.date(), _DAY, datetime(2008, 1, 6))),
        ("l/{host}/{day}/*", "l/mx/20080105/a/b", Place("mx", None, _DAY.date(), _DAY, datetime(2008, 1, 6))),
        ("l/{host}/{day}/*", "l/mx/2008-01-32/a", None),
        ("l/{host}/{day}/*", "l/mx/05/a", None),
        ("l/{year}/{month}/{day}/{process}.log*", "l/2008/01/05/smtpd.log.1.gz", Place(None, "smtpd", _DAY.date(), _DAY, datetime(2008, 1, 6))),
        ("l/y={year}/m={month}/*", "l/y=2008/m=12/x", Place(None, None, None, datetime(2008, 12, 1), datetime(2009, 1, 1))),
        ("{year}/*", "2008/x", Place(None, None, None, datetime(2008, 1, 1), datetime(2009, 1, 1))),
        ("{day}T{hour}.[lm]og", "20080105T23.log", Place(None, None, _DAY.date(), datetime(2008, 1, 5, 23), datetime(2008, 1, 6))),
        ("{day}T{hour}.[!l]og", "20080105T23.log", None),
        ("{host}/{host}.log", "mx/mx.log", Place("mx")),
        ("{host}/{host}.log", "mx/my.log", None),
        ("l/**/{host}.log", "l/a/b/mx.log", Place("mx")),
        ("l/a?b.c/{host}", "l/axb.c/mx", Place("mx")),
        ("l/a?b.c/{host}", "l/axbxc/mx", None),
    ],
)  # fmt: skip
def test_what_a_path_tells(template, url, place):
    """Days in the usual dresses; what names no day there is tells nothing."""
    assert place == Template(template).place(url)


def test_an_unknown_field_is_a_usage_error():
    """The error tree says whose mistake it is."""
    with pytest.raises(UsageError):
        Template("{what}")


def test_a_day_is_a_date():
    """For Arrow's sake."""
    place = Template("{day}").place("2008-01-05")

    assert place is not None
    assert date(2008, 1, 5) == place.day
