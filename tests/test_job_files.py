"""Job files: a command line as TOML, and what a nightly run is watched for."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli import _job_command
from pipeline.errors import UsageError
from pipeline.model import Account, Damage, KnownDamage, split_known
from pipeline.schedule import jobfile
from pipeline.schedule.jobfile import JobFile, seen_from
from pipeline.watch.known_damage import read_known_damage
from pipeline.watch.metrics import format_metrics, newest_time

_CASES = sorted((Path(__file__).parent / "cases" / "runs").glob("*.toml"))


@pytest.mark.parametrize("path", _CASES, ids=lambda path: path.stem)
def test_golden_cases(path, sawlog, tmp_path, monkeypatch):
    """What each job file gives stands in its case."""
    case = tomllib.loads(path.read_text())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nightly.toml").write_text(case["file"])
    for name, text in {"maillog": case["log"], **case.get("beside", {})}.items():
        (tmp_path / name).write_text(text.removeprefix("\n"))

    ran = sawlog("run", "nightly.toml", *case.get("args", []))

    assert (case["code"], case["out"].removeprefix("\n")) == (ran.code, ran.out), ran.err
    for told in case.get("err", []):
        assert told in ran.err
    for told in case.get("not_err", []):
        assert told not in ran.err


def test_places_are_seen_from_the_file(sawlog, tmp_path, monkeypatch):
    """Jobs, sources and outputs lie beside the job file, wherever the run is started."""
    today = datetime.now().astimezone().date()
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "maillog").write_text("Dec 26 00:00:01 mx1 kernel: up\n")
    (folder / "mine.sql").write_text("-- How many?\nSELECT count(*) AS n FROM lines")
    (folder / "mail.toml").write_text(
        'jobs = ["mine.sql"]\nsources = ["mail*g"]\noutput = "n-{date}.csv"\nto = "none"\n'
        'metrics = "n.prom"\naccount = "account.json"\n'
    )
    monkeypatch.chdir(tmp_path)

    ran = sawlog("run", "etc/mail.toml")

    assert (0, "") == (ran.code, ran.out), ran.err
    assert "n\n1\n" == (folder / f"n-{today}.csv").read_text()
    assert 'sawlog_lines{sawlog_job="mail"} 1\n' in (folder / "n.prom").read_text()
    assert {
        "mail.toml",
        "maillog",
        "mine.sql",
        f"n-{today}.csv",
        "n.prom",
        "account.json",
    } == {one.name for one in folder.iterdir()}


def test_what_is_no_path_is_left_alone(monkeypatch):
    """URLs and standard input are the same from everywhere; ~ is home."""
    monkeypatch.setenv("HOME", "/home/me")

    seen = [seen_from(Path("etc"), one) for one in ("s3://b/k*", "-", "/var/log", "~/x", "a/", "b")]

    assert ["s3://b/k*", "-", "/var/log", "/home/me/x", "etc/a/", "etc/b"] == seen


@pytest.mark.parametrize(
    ("cluster", "seen"), [("slurm", "slurm"), ("big.toml", "etc/big.toml"), ("/b.toml", "/b.toml")]
)
def test_the_profile_of_a_cluster_is_seen_from_the_file(cluster, seen):
    """A cluster's name is no path."""
    asked = JobFile(Path("etc/x.toml"), "volume", (), {"cluster": cluster})

    assert {"cluster": seen} == asked.options([click.Option(["--cluster"])])


def test_every_option_with_a_long_name_is_a_key():
    """A new option needs nothing here to be a key, and each has a long name."""
    options = [one for one in _job_command("retries").params if isinstance(one, click.Option)]

    for option in options:
        (long,) = [name for name in option.opts if name.startswith("--")]
        given = (
            True
            if option.is_flag
            else 3
            if isinstance(option.type, click.types.IntParamType)
            else "x"
        )
        asked = JobFile(Path("x.toml"), "retries", (), {long[2:].replace("-", "_"): given})
        assert option.name in asked.options(options)
    assert {"queue_id", "output", "quiet", "param"} <= {
        name[2:].replace("-", "_") for option in options for name in option.opts
    }
    places = {option.opts[-1] for option in options if option.metavar in jobfile._PLACES}
    assert places >= {
        "--output",
        "--account",
        "--metrics",
        "--reasons",
        "--pseudonymise",
        "--state",
    }


def test_two_alerts_need_two_names(sawlog, tmp_path):
    """Metrics and messages tell alerts apart by name."""
    log = tmp_path / "maillog"
    log.write_text("Dec 26 00:00:01 mx1 kernel: up\n")

    ran = sawlog("volume", log, "--alert", "x: SELECT 1", "--alert", "x: SELECT 2")

    assert 2 == ran.code
    assert "two alerts are called 'x'" in ran.err


def test_alerts_see_several_results_and_sections(sawlog, tmp_path):
    """Each job and section of the run is a table; it may be joined."""
    log = tmp_path / "maillog"
    log.write_text("Dec 26 00:00:01 mx1 kernel: up\n")
    other = tmp_path / "the-hosts.sql"
    other.write_text("SELECT host, count(*) AS n FROM lines GROUP BY host")

    ran = sawlog(
        f"volume,{other}", log, "--year", "2007", "--to", "none",
        "--alert", 'both: SELECT h.host, v.lines FROM "the-hosts" h, volume v WHERE h.n = v.lines',
    )  # fmt: skip

    assert 4 == ran.code
    assert "1 file whole" in ran.err.splitlines()[-1]
    assert "alert both: 1 row\nhost  lines\n----  -----\nmx1       1\n" in ran.err


def test_alerts_stand_first_in_a_report(sawlog, tmp_path):
    """Who opens the page sees them before the results."""
    log, page = tmp_path / "maillog", tmp_path / "r.html"
    log.write_text("Dec 26 00:00:01 mx1 kernel: up\n")

    sawlog("volume", log, "--year", "2007", "--alert", "up: SELECT lines FROM volume", "-o", page)

    text = page.read_text()
    assert text.index("<h2>alert up</h2>") < text.index("<h2>volume</h2>")


@pytest.mark.parametrize(
    "command",
    [
        ["files"],
        ["files", "--quick"],
        ["plan", "volume"],
        ["overview"],
        ["volume", "--compare", "previous"],
    ],
)
def test_what_has_no_results_is_not_watched(command, sawlog, tmp_path):
    """Nothing is asked in vain."""
    (tmp_path / "log").write_text("x\n")

    ran = sawlog(*command, tmp_path / "log", "--alert", "SELECT 1")

    assert (2, "") == (ran.code, ran.out)
    assert "are for jobs" in ran.err


def test_hostile_text_in_an_alert_is_made_harmless(sawlog, tmp_path):
    """Rows of alerts go to a terminal or a mail of cron."""
    log = tmp_path / "maillog"
    log.write_text("Dec 26 00:00:01 mx1 x\x1by: up\n")

    ran = sawlog("volume", log, "--alert", "SELECT process FROM volume")

    assert 4 == ran.code
    assert "\x1b" not in ran.err
    assert r"x\x1by" in ran.err


def test_known_damage_is_no_more_than_it_says():
    """Another file, kind or place is new."""
    known = read_known_damage([{"file": "log*", "kind": "truncated", "stored_offset": 7}])
    damages = [
        Damage("log.3.gz", "truncated", 7), Damage("log.3.gz", "truncated", 8),
        Damage("log.3.gz", "corrupt", 7), Damage("dog", "truncated", 7),
    ]  # fmt: skip

    new, seen = split_known(damages, known)

    assert (damages[1:], damages[:1]) == (new, [damage for damage, _ in seen])
    assert (KnownDamage("a@b", None, 12),) == read_known_damage(["a@b@12"])


@pytest.mark.parametrize(
    "item",
    [3, {"file": 3}, {"kind": "x"}, {"file": "a", "stored_offset": "7"}, {"fiel": "a"}, ""],
)
def test_known_damage_that_is_wrong(item):
    """A table that says something else is refused."""
    with pytest.raises(UsageError):
        read_known_damage([item])


_SAMPLE = re.compile(r'sawlog_\w+\{(?:\w+="(?:[^"\\\n]|\\["\\n])*",?)+\} -?[0-9.]+')


@given(name=st.text(), result=st.text(), alert=st.text())
def test_metrics_are_well_formed_whatever_the_names(name, result, alert):
    """Labels are escaped; each family has its help and type, once, before its samples."""
    text = format_metrics(
        name, Account(lines=3), begun=datetime(2026, 1, 2, tzinfo=UTC), newest=1.5, code=4,
        n_known=0, results={result: 2}, alerts={alert: 1},
    )  # fmt: skip

    family = ""
    seen = set()
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("# HELP "):
            family = line.split()[2]
            assert family not in seen
            seen.add(family)
        elif line.startswith("#"):
            assert f"# TYPE {family} gauge" == line
        else:
            assert _SAMPLE.fullmatch(line)
            assert line.startswith(f"{family}{{")
    assert text.encode().decode() == text


def test_metrics_of_a_run(sawlog, tmp_path):
    """Lines, bytes, damage, the newest line's time in its zone, alerts that fired or didn't."""
    log = tmp_path / "maillog"
    log.write_text("Dec 26 00:00:01 mx1 kernel: up\nnothing\n")
    prom = tmp_path / "x.prom"

    ran = sawlog(
        "volume", log, tmp_path / "gone", "--year", "2007", "--log-tz", "Europe/Berlin",
        "--alert", "no: SELECT * FROM volume WHERE lines > 9", "--metrics", prom,
        "--alert", "yes: SELECT * FROM volume",
    )  # fmt: skip

    values = dict(line.rsplit(" ", 1) for line in prom.read_text().splitlines() if line[0] != "#")
    assert 4 == ran.code
    newest = datetime(2007, 12, 26, 0, 0, 1, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    assert {
        'sawlog_lines{sawlog_job="volume"}': "2",
        'sawlog_undated_lines{sawlog_job="volume"}': "1",
        'sawlog_plain_bytes{sawlog_job="volume"}': "39",
        'sawlog_damage{sawlog_job="volume"}': "1",
        'sawlog_exit_code{sawlog_job="volume"}': "4",
        'sawlog_newest_line_timestamp_seconds{sawlog_job="volume"}': f"{newest:.0f}",
        'sawlog_result_rows{sawlog_job="volume",result="volume"}': "2",
        'sawlog_alert_rows{sawlog_job="volume",alert="no"}': "0",
        'sawlog_alert_rows{sawlog_job="volume",alert="yes"}': "2",
    }.items() <= values.items()


def test_metrics_go_where_the_collector_looks(sawlog, tmp_path):
    """A name that it would not read, or a folder that is not there, is refused before the run."""
    (tmp_path / "log").write_text("x\n")

    assert 2 == sawlog("volume", tmp_path / "log", "--metrics", tmp_path / "x.txt").code
    assert 2 == sawlog("volume", tmp_path / "log", "--metrics", tmp_path / "no" / "x.prom").code
    assert ["log"] == [one.name for one in tmp_path.iterdir()]


def test_the_newest_of_no_lines():
    """A log without time stamps has no newest line."""
    assert newest_time(None, None) is None
    assert 1.0 == newest_time(1_000_000, UTC)


def test_a_job_file_with_a_state(sawlog, tmp_path, monkeypatch):
    """What earlier runs have kept is watched as well: hosts, alerts, the newest line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "maillog").write_text("Dec 26 00:00:01 mx1 kernel: up\n")
    (tmp_path / "n.toml").write_text(
        'jobs = "volume"\nsources = "maillog"\nstate = "state"\nyear = 2007\nto = "csv"\n'
        'metrics = "n.prom"\nexpect_hosts = ["mx1"]\nlog_tz = "UTC"\n'
        'alert = "SELECT process FROM volume WHERE lines > 1"\n'
    )

    first, second = sawlog("run", "n.toml"), sawlog("run", "n.toml")
    values = (tmp_path / "n.prom").read_text()
    with (tmp_path / "maillog").open("a") as file:
        file.write("Dec 26 00:00:02 mx1 kernel: up\n")
    third = sawlog("run", "n.toml")

    assert [0, 0, 4] == [first.code, second.code, third.code]
    assert first.out == second.out
    newest = 'sawlog_newest_line_timestamp_seconds{sawlog_job="n"}'
    assert f"{newest} 1198627201\n" in values
    assert 'sawlog_read_bytes{sawlog_job="n"} 0\n' in values
    assert f"{newest} 1198627202\n" in (tmp_path / "n.prom").read_text()
