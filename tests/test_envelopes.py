"""Envelopes: each form, what a head tells of it, and what a run says."""

from __future__ import annotations

import gzip
import json
import tomllib
from pathlib import Path

import pytest

from pipeline import envelopes
from tests.support.enveloped import TIME, TIME_US, count_lines, peel_texts

_CASES = tomllib.loads(
    (Path(__file__).parent / "cases" / "envelopes" / "forms.toml").read_text(encoding="utf-8")
)["case"]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case["note"])
def test_each_form_gives_the_lines_of_the_case(case):
    """Every envelope with what it may hold, and what stays as it stands."""
    log = case["log"].removeprefix("\n").encode()

    out, sizes, _, peeler = peel_texts(envelopes.read_envelope(case["envelope"]), [log])

    lines = case["lines"].removeprefix("\n").replace("␍", "\r")
    assert lines == out.decode("utf-8", "replace")
    assert len(log) == sum(sizes)
    if peeler._envelope.is_lined:
        assert (
            log.count(b"\n")
            == peeler.n_peeled + peeler.n_not_peeled
            == count_lines(out, peeler).lines
        )


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case["note"])
def test_heads_tell_the_envelope(case):
    """What is asked for by name is found by itself where most lines have it, a mapping never."""
    log = case["log"].removeprefix("\n").encode()
    found = envelopes.find_envelope(log, "auto")

    if case["envelope"].startswith("json:") or "stays as it" in case["note"]:
        assert found is None
    else:
        assert found is not None
        assert case["envelope"] == found.envelope.name


@pytest.mark.parametrize(
    "line",
    [
        "Dec  9 04:02:11 mx postfix/smtpd[81]: connect",
        "2007-12-09T04:02:11Z mx postfix/smtpd[81]: connect",
        "<34>1 2003-10-11T22:14:15.003Z mx su - ID47 - failed",
        '{"level":"info","msg":"started","ts":1197172931}',
        '{"log":{"level":"info"},"time":"2007-12-09T04:02:11Z"}',
        "{",
        "[1,2]",
        "\t\t{}",
        "",
        "12 monkeys",
        "\x00\xff",
    ],
)
def test_what_is_in_no_envelope_is_left_alone(line):
    """Bare logs, JSON of an unknown shape, and rubbish."""
    assert envelopes.find_envelope(f"{line}\n".encode("latin-1") * 3, "auto") is None


def test_rows_have_the_bytes_and_offsets_of_their_envelopes(sawlog, tmp_path):
    """Bytes add up to the file; an offset is where the envelope begins."""
    log = tmp_path / "app.log"
    lines = [
        json.dumps({"log": f"line {k}\n", "stream": "stdout", "time": TIME}) + "\n"
        for k in range(99)
    ]
    log.write_text("".join(lines))

    ran = sawlog("sql", 'SELECT "offset", bytes, message FROM lines', log, "--to", "values", "-q")

    offset = 0
    for k, row in enumerate(ran.out.splitlines()):
        assert f"{offset},{len(lines[k])},{k}" == row.replace("line ", "")
        offset += len(lines[k])
    assert log.stat().st_size == offset


def test_lines_in_no_envelope_are_named(sawlog, tmp_path):
    """They count as they stand, and the account says how many."""
    log, account = tmp_path / "app.log", tmp_path / "account.json"
    wrapped = '{"log":"a: x\\n","stream":"stdout","time":"2007-12-09T04:02:11Z"}\n'
    log.write_text(wrapped * 3 + "Dec  9 04:02:12 mx b: bare\n" + '{"log":"cut')

    ran = sawlog("volume", log, "--by", "process", "--to", "csv", "--account", account)

    assert "process,lines,bytes\na,3,195\nb,1,27\n,1,11\n" == ran.out
    assert f"{log}: 2 of its lines are in no envelope of docker" in ran.err
    assert "out of envelopes: docker" in ran.err
    told = json.loads(account.read_text())
    assert [{"file": str(log), "envelope": "docker", "lines": 3, "not_peeled": 2}] == told["peeled"]
    assert (5, 4, 1) == (told["lines"], told["dated_lines"], told["undated_lines"])


def test_the_plan_shows_the_envelope(sawlog, tmp_path):
    """With the share of the head's lines that it fits; asked for by name it is taken as it is."""
    log = tmp_path / "app.log"
    log.write_text('{"date":1197172931.5,"log":"hello"}\n' * 3 + "bare\n")

    shown = sawlog("plan", "volume", log, "--to", "csv").out
    asked = sawlog("plan", "volume", log, "--to", "csv", "--envelope", "docker").out
    none = sawlog("plan", "volume", log, "--to", "csv", "--envelope", "none").out

    assert ",fluent-bit (75% of its first lines),1," in shown
    assert ",docker (as asked),1,its envelopes" in asked
    assert ",,1," in none


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("dcoker", "Did you mean 'docker'?"),
        ("json", "json:message="),
        ("json:time=t", "message=PATH"),
        ("json:message=", "FIELD=PATH"),
        ("json:message=a,massage=b", "Did you mean 'message'?"),
        ("json:message=a,message=b", "twice"),
    ],
)
def test_a_wrong_envelope_is_refused(asked, said, sawlog, tmp_path):
    """Before anything is read, with what to write instead."""
    ran = sawlog("volume", tmp_path, "--envelope", asked)

    assert 2 == ran.code
    assert said in ran.err


def test_years_of_inner_lines_come_from_the_head_inside(sawlog, tmp_path):
    """Stamps without a year in an envelope are dated as bare ones are; the tail counts for --year."""
    log = tmp_path / "maillog"
    line = '{"log":"%s mx a: x\\n","stream":"stdout","time":"2007-12-31T04:02:11Z"}\n'
    log.write_text(line % "Dec 31 23:00:00" + line % "Jan  1 00:00:00")

    ran = sawlog("volume", log, "--by", "day", "--to", "csv", "--year", "2008", "-q")

    assert ["2007-12-31", "2008-01-01"] == [row.split(",")[0] for row in ran.out.splitlines()[1:]]


def test_the_time_of_envelopes_tells_the_year(sawlog, tmp_path):
    """Where the inner lines don't, as those of Docker that carry a stamp without one."""
    log, account = tmp_path / "maillog", tmp_path / "account.json"
    line = (
        '{"log":"Dec 31 %02d:00:00 mx a: x\\n","stream":"stdout","time":"2009-12-31T23:00:01Z"}\n'
    )
    log.write_text("".join(line % hour for hour in range(9)))

    ran = sawlog("volume", log, "--by", "day", "--to", "values", "-q", "--account", account)

    assert "2009-12-31,9," in ran.out
    told = json.loads(account.read_text())
    assert [("envelope", 2009)] == [(one["evidence"], one["first"]) for one in told["years"]]


def test_an_export_of_a_journal_found_in_a_folder_is_read(sawlog, tmp_path):
    """Lengths in binary don't make it a binary file."""
    entry = b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=%d\nMESSAGE\n\3\0\0\0\0\0\0\0a\nb\n\n" % TIME_US
    (tmp_path / "journal.export").write_bytes(entry * 3)

    ran = sawlog("sql", "SELECT message FROM lines", tmp_path, "--to", "values", "-q")

    assert "a#012b\n" * 3 == ran.out


def test_damage_inside_an_entry_leaves_the_whole_ones(sawlog, tmp_path):
    """A cut gzip file of entries: those before count, the damage is named."""
    entry = b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=%d\nMESSAGE=hello\n\n"
    text = b"".join(entry % (TIME_US + k * 10_000_019) for k in range(3000))
    log = tmp_path / "journal.export.gz"
    log.write_bytes(gzip.compress(text)[:9000])

    ran = sawlog("sql", "SELECT count(*) FROM lines WHERE message = 'hello'", log, "--to", "values")

    assert 3 == ran.code
    assert 500 < int(ran.out) < 3000
