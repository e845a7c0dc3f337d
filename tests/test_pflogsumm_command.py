"""The command ``sawlog pflogsumm``: its arguments, its numbers against the original, what differs."""

from __future__ import annotations

import re
import tomllib
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.support.compare_pflogsumm import (
    OPTION_SETS,
    compare,
    demo_log,
    generated_logs,
    year_there,
)
from tests.support.mail_logs import mail_log
from tests.support.pflogsumm import (
    differing_numbers,
    needs_pflogsumm,
    parse_report,
    run_pflogsumm,
    tell_differences,
)

CASES = Path(__file__).parent / "cases"
GOLDEN = sorted((CASES / "pflogsumm").glob("*.toml"))
DIFFERENCES = sorted((CASES / "pflogsumm-differences").glob("*.toml"))
TODAY = date.today()  # noqa: DTZ011
LAST_DAY = TODAY - timedelta(1)


def dated(text):
    """Put days for their names: pflogsumm knows no year but the present one."""
    for name, day in (("DAY-1", LAST_DAY - timedelta(1)), ("DAY-2", LAST_DAY)):
        stamp = f"{day:%b} {day.day:2d}"
        text = text.replace(f"{name}-ISO", f"{day}").replace(f"{name}-YEAR", f"{stamp} {day.year}")
        text = text.replace(name, stamp)
    return text.replace("THIS-YEAR", str(TODAY.year))


@pytest.fixture
def log(tmp_path):
    """Write a log and return its path."""

    def write(text, name="maillog"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


# --- against the original --------------------------------------------------------------------


@needs_pflogsumm
@pytest.mark.slow
@pytest.mark.parametrize("args", OPTION_SETS)
def test_the_demo_archive_has_pflogsumms_numbers(args, tmp_path):
    """Every one of them, but for those that are listed; of the demo archive none is."""
    assert list(compare([demo_log(tmp_path)], args.split())) == []


@needs_pflogsumm
@pytest.mark.slow
@pytest.mark.parametrize("args", OPTION_SETS)
def test_generated_logs_have_pflogsumms_numbers(args, tmp_path):
    """Of one day, three and five; in several splits and blocks they are tested elsewhere."""
    for path in generated_logs(tmp_path):
        assert list(compare([path], args.split())) == []


@pytest.mark.parametrize("case", GOLDEN, ids=lambda path: path.stem)
def test_golden_case(case, sawlog, log):
    """To the byte, from the lines to the text."""
    golden = tomllib.loads(case.read_text("utf-8"))

    ran = sawlog("pflogsumm", *golden.get("args", []), log(dated(golden["input"])))

    assert ran.code == 0, ran.err
    assert ran.err == ""
    assert ran.out.splitlines() == dated(golden["output"]).splitlines()


@pytest.mark.parametrize("case", DIFFERENCES, ids=lambda path: path.stem)
def test_a_number_that_differs(case, sawlog, log):
    """What stands in the table of ``jobs/README.md``: there, and here."""
    golden = tomllib.loads(dated(case.read_text("utf-8")))
    path = log(golden["input"])
    year = year_there(golden["input"])
    own = [] if year is None else [f"--year={year}"]

    here = parse_report(sawlog("pflogsumm", *golden["args"], *own, path).out)

    for place, _, expected in golden["differs"]:
        found = here
        for key in place.split(" → "):
            found = found.get(key, "") if isinstance(found, dict) else ""
        assert found == expected, place


@needs_pflogsumm
@pytest.mark.parametrize("case", DIFFERENCES, ids=lambda path: path.stem)
def test_nothing_else_differs(case, sawlog, log):
    """The original gives the numbers that a case says, and all others are equal."""
    golden = tomllib.loads(dated(case.read_text("utf-8")))
    path = log(golden["input"])
    year = year_there(golden["input"])
    own = [] if year is None else [f"--year={year}"]

    there = parse_report(run_pflogsumm(golden["args"], path))
    here = parse_report(sawlog("pflogsumm", *golden["args"], *own, path).out)

    found = [
        ["" if value is None else value for value in row] for row in differing_numbers(there, here)
    ]
    assert found == golden["differs"]


def test_every_difference_is_told():
    """In the table of the document, in the words of its case."""
    document = (CASES.parent.parent / "jobs" / "README.md").read_text("utf-8")

    for case in DIFFERENCES:
        assert tomllib.loads(case.read_text("utf-8"))["note"] in document, case.stem


@needs_pflogsumm
@pytest.mark.parametrize("argument", ["today", "yesterday"])
def test_a_day_has_pflogsumms_numbers(argument, sawlog, log):
    """Lines of other days are left out before messages are made of them."""
    path = log(mail_log(5, messages=150, days=3, last_day=TODAY))
    args = ["-d", argument, "--smtpd-stats", "-e"]

    there = run_pflogsumm(args, path)
    ran = sawlog("pflogsumm", *args, "--split-size", "4096", path)

    assert tell_differences(parse_report(there), parse_report(ran.out)) == ""


# --- arguments ---------------------------------------------------------------------------------

_LINE = "{stamp} mx1 postfix/smtpd[11]: 4E5F60A{n}: client=mail.example.com[192.0.2.1]\n"


def clients(*days):
    return "".join(
        _LINE.format(stamp=f"{day:%b} {day.day:2d} 10:00:01", n=n) for n, day in enumerate(days)
    )


def received(text):
    return parse_report(text)["messages"]["received"]


def test_arguments_reach_the_report_as_they_are_written(sawlog, log):
    """Short ones, abbreviations, underscores, files between them; sawlog's own beside."""
    path = log(clients(LAST_DAY))

    ran = sawlog("pflogsumm", "-h", "3", path, "--smtpd_st", "+q", "--year", TODAY.year, "-E")

    assert (ran.code, ran.err) == (0, "")
    assert "(top 3)" in ran.out
    assert "Per-Hour SMTPD Connection Summary" in ran.out
    assert "Message detail: none" not in ran.out


def test_without_files_standard_input_is_read(sawlog):
    """As the original does in a pipe."""
    ran = sawlog("pflogsumm", stdin=clients(LAST_DAY).encode())

    assert (received(ran.out), ran.err) == (1, "")


def test_files_out_of_the_days_are_not_read(sawlog, log, tmp_path):
    """Their names stand in the account."""
    paths = [log(f"2019-01-0{n}T10:00:00Z mx1 x: y\n", f"maillog.{n}") for n in (1, 3)]
    account = tmp_path / "account.json"

    ran = sawlog("pflogsumm", "-d", "2019-01-03", *paths, "--account", account)

    assert ran.out.startswith("Postfix log summaries for 2019-01-03\n")
    assert "maillog.1" in account.read_text()


def test_help_names_every_option(sawlog):
    """Those of pflogsumm, and those of sawlog that fit."""
    from pipeline.pflogsumm.arguments import _CLASSIC, _NEWER

    ran = sawlog("pflogsumm", "--help")

    hidden = {name for name in _CLASSIC if name.startswith("no-") and "no-no" not in name}
    for name in {*_CLASSIC, *_NEWER} - hidden:
        assert re.search(rf"(?<![\w-])--?{name}\b", ran.out), name
    for name in ("--year", "--rotated", "--workers", "--split-size", "--storage-option"):
        assert name in ran.out
    assert "--where" not in ran.out
    assert ran.code == 0


def test_version(sawlog):
    """Of both."""
    assert "pflogsumm 1.1.5" in sawlog("pflogsumm", "--version").out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--smtpd-stat1"], "Did you mean 'smtpd-stats'?"),
        (["--where", "true"], "unknown option of pflogsumm 'where'"),
        (["--year", "x"], "Invalid value for '--year'"),
        (["-d", "today", "--since", "today"], "-d stands for --since and --until"),
        (["-d", "some day"], "is no date"),
        (["--unprocd-file", "/nowhere/at/all"], "there is no such folder"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_read(args, message, sawlog, log):
    """Exit code 2, as of every command."""
    ran = sawlog("pflogsumm", *args, log(clients(LAST_DAY)))

    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


def test_damage_is_told_and_counts_stay(sawlog, log, tmp_path):
    """Exit code 3; what was read is in the report."""
    ran = sawlog("pflogsumm", log(clients(LAST_DAY)), tmp_path / "missing")

    assert (ran.code, received(ran.out)) == (3, 1)
    assert "missing" in ran.err


def test_deprecated_options_are_noted(sawlog, log):
    """On stderr, and obeyed."""
    ran = sawlog("pflogsumm", "--no_bounce_detail", log(clients(LAST_DAY)))

    assert 'use "bounce-detail=0" instead' in ran.err
    assert "bounce detail" not in ran.out


def test_the_mail_queue_stands_at_the_end(sawlog, log, tmp_path, monkeypatch):
    """What mailq prints; without the program nothing is read."""
    path = log(clients(LAST_DAY))
    monkeypatch.setenv("PATH", str(tmp_path))
    without = sawlog("pflogsumm", "--mailq", path)
    program = tmp_path / "mailq"
    program.write_text("#!/bin/sh\necho Mail queue is empty\n")
    program.chmod(0o755)

    ran = sawlog("pflogsumm", "--mailq", path)

    assert without.code == 2
    assert "mailq, which is not on this machine" in without.err
    assert ran.out.endswith("\nCurrent Mail Queue\n------------------\nMail queue is empty\n")


# --- what later versions added -------------------------------------------------------------------

_DELIVERED = """\
DAY-2 10:00:01 mx1 postfix/qmgr[13]: 4E5F60A1: from=<SRS0=Q3=RM=example.com=ann@fwd.example>, size=9, nrcpt=2 (queue active)
DAY-2 10:00:03 mx1 postfix/local[14]: 4E5F60A1: to=<joe@mx1.example>, orig_to=<root>, relay=local, delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent (delivered to mailbox)
DAY-2 10:00:03 mx1 postfix/local[14]: 4E5F60A1: to=<eve@mx1.example>, relay=local, delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent (delivered to mailbox)
DAY-2 10:00:04 mx1 postfix/local[14]: something nobody has written before
DAY-2 10:00:05 mx1 postfix/postscreen[15]: CONNECT from [198.51.100.66]:51000 to [192.0.2.2]:25
DAY-2 10:00:05 mx1 postfix/postscreen[15]: PASS NEW [198.51.100.66]:51000
DAY-2 10:00:06 mx1 postfix/postscreen[15]: CONNECT from [198.51.100.67]:51000 to [192.0.2.2]:25
"""


def test_recipients_as_they_were_before_aliases(sawlog, log):
    """``--use-orig-to``: where a line tells it."""
    ran = sawlog("pflogsumm", "--use-orig-to", log(dated(_DELIVERED)))

    assert parse_report(ran.out)["Recipients by message size"] == {"root": 9, "eve@mx1.example": 9}
    assert parse_report(ran.out)["Recipients by message count"].keys() == {
        "root",
        "eve@mx1.example",
    }


def test_addresses_that_forwarders_rewrote(sawlog, log):
    """``--srs-mung``."""
    text = "DAY-2 10:00:00 mx1 postfix/pickup[12]: 4E5F60A1: uid=0 from=<x>\n" + _DELIVERED

    ran = sawlog("pflogsumm", "--srs-mung", log(dated(text)))

    assert parse_report(ran.out)["Senders by message size"] == {"ann@example.com": 9}


def test_lines_that_were_not_understood(sawlog, log, tmp_path):
    """``--unprocd-file``: those of Postfix."""
    ran = sawlog("pflogsumm", "--unprocd-file", tmp_path / "rest", log(dated(_DELIVERED)))

    assert ran.code == 0
    expected = "DAY-2 10:00:04 mx1 postfix/local[14]: something nobody has written before\n"
    assert (tmp_path / "rest").read_text() == dated(expected)


def test_events_of_postscreen(sawlog, log):
    """By kind, and by address."""
    ran = sawlog("pflogsumm", "--pscrn-stats", "--pscrn-detail=-1", log(dated(_DELIVERED)))

    assert "      2   connect" in ran.out
    assert parse_report(ran.out.replace("\npostscreen\n\n", "\nsmtpd\n\n", 1))[
        "postscreen detail"
    ] == {
        "connect": {"(total)": 2, "198.51.100.66": 1, "198.51.100.67": 1},
        "pass new": {"(total)": 1, "198.51.100.66": 1},
    }


def test_one_instance_beside_plain_postfix(sawlog, log):
    """``--syslog-name`` limits every section."""
    text = clients(LAST_DAY) + clients(LAST_DAY).replace("postfix/", "mx-out/")
    text += clients(LAST_DAY).replace("postfix/", "it's/")
    path = log(text)

    assert received(sawlog("pflogsumm", path).out) == 3
    assert received(sawlog("pflogsumm", "--syslog-name=it's", path).out) == 2


def test_control_characters_are_shown_as_escapes(sawlog, log):
    """A report is read on terminals; the original hands them on."""
    warning = "DAY-2 10:00:04 mx1 postfix/smtpd[14]: warning: a\x1b[31mb\n"

    assert r"a\x1b[31mb" in sawlog("pflogsumm", log(dated(warning))).out


@needs_pflogsumm
def test_a_copy_and_a_forward_to_one_recipient(sawlog, log):
    """Only the copy has bytes, whichever line comes last."""
    text = "".join(
        f"DAY-2 10:00:0{n} mx1 postfix/local[14]: 4E5F60A1: to=<joe@example.org>, relay=local, "
        f"delay=1, delays=1/0/0/0, dsn=2.0.0, status=sent ({how})\n"
        for n, how in enumerate(("delivered to mailbox", "forwarded as 4E5F60A2"), start=2)
    )
    text = (
        "DAY-2 10:00:01 mx1 postfix/qmgr[13]: 4E5F60A1: from=<>, size=9, nrcpt=1 (queue active)\n"
        + text
    )
    path = log(dated(text))

    there, here = run_pflogsumm([], path), sawlog("pflogsumm", path).out

    assert tell_differences(parse_report(there), parse_report(here)) == ""
    assert parse_report(here)["messages"]["bytes delivered"] == 9


@pytest.mark.parametrize("args", ["", "--smtpd-stats -e", "--use-orig-to --verbose-msg-detail"])
def test_any_cut_and_order_of_files_gives_the_same_report(args, sawlog, log):
    """Splits of a few lines, and the later file first."""
    lines = mail_log(11, messages=80, last_day=LAST_DAY).splitlines(keepends=True)
    paths = [log("".join(lines[:300]), "maillog.1"), log("".join(lines[300:]), "maillog")]

    whole = sawlog("pflogsumm", *args.split(), log("".join(lines), "all"))
    cut = sawlog("pflogsumm", *args.split(), "--split-size", "1500", *paths[::-1])

    assert cut.out == whole.out


def test_the_time_of_the_run_is_local(sawlog, log):
    """Today is the day of the machine's clock."""
    assert received(sawlog("pflogsumm", "-d", "today", log(clients(LAST_DAY, TODAY))).out) == 1
