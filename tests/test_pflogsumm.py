"""pflogsumm's arguments, numbers and layout: golden cases, and the original as the judge."""

from __future__ import annotations

import tomllib
from datetime import date, datetime, timedelta
from pathlib import Path
from subprocess import CalledProcessError

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.pflogsumm import connections, reasons
from pipeline.pflogsumm.arguments import Arguments, parse_arguments
from pipeline.pflogsumm.cuts import parties_sql, refusal_tables, said_tables
from pipeline.pflogsumm.facts import gather_facts
from pipeline.pflogsumm.layout import lay_out
from pipeline.pflogsumm.period import find_period
from pipeline.pflogsumm.queries import build_queries
from pipeline.pflogsumm.sections import build_report
from tests.support.mail_facts import read_facts
from tests.support.mail_logs import mail_log
from tests.support.pflogsumm import (
    differences,
    needs_pflogsumm,
    parse_report,
    run_pflogsumm,
    tell_differences,
)

CASES = sorted((Path(__file__).parent / "cases" / "pflogsumm").glob("*.toml"))
LAST_DAY = date.today() - timedelta(1)  # noqa: DTZ011
OPTIONS = [
    "",
    "--smtpd-stats -e",
    "--verbose-msg-detail --rej-add-from",
    "--problems-first --zero-fill --iso-date-time -q",
    "-i --verp-mung --smtpd-stats --rej-add-from",
    "-i -m --verp-mung=2 --no-no-msg-size",
    "--detail 0",
    "--no-bounce-detail --no_smtpd_warnings --detail 5 -u -1 -h -1 --reject-detail=-1",
]


def assert_same_text(expected, actual):
    """Equal to the byte, but for the order of rows; titles and groups stand in their order."""
    assert sorted(actual.splitlines()) == sorted(expected.splitlines())
    assert [line for line in actual.splitlines() if not line.startswith(" ")] == [
        line for line in expected.splitlines() if not line.startswith(" ")
    ]


def report_of(text, args):
    arguments = parse_arguments(args)
    return lay_out(build_report(read_facts(text, LAST_DAY), arguments), arguments)


@needs_pflogsumm
@pytest.mark.parametrize("args", OPTIONS)
@pytest.mark.parametrize("days", [1, 3])
def test_every_number_is_pflogsumms(args, days):
    """On a log that it understands, section by section and key by key."""
    for seed in range(2):
        text = mail_log(seed, messages=120, days=days, last_day=LAST_DAY)

        expected = parse_report(run_pflogsumm(args.split(), text=text))
        actual = parse_report(report_of(text, args.split()))

        assert tell_differences(expected, actual, limited="--detail" in args) == ""


@needs_pflogsumm
def test_the_text_is_pflogsumms():
    """Rows with equal counts stand in any order there; all other bytes are the same."""
    text = mail_log(7, messages=40, last_day=LAST_DAY)
    args = ["--smtpd-stats", "--problems-first", "-e", "--zero-fill"]

    expected, actual = run_pflogsumm(args, text=text), report_of(text, args)

    assert_same_text(expected, actual)


@needs_pflogsumm
@pytest.mark.parametrize("args", ["", "--smtpd-stats -q", "--smtpd-stats --iso-date-time -e"])
def test_an_empty_log_gives_pflogsumms_empty_report(args):
    """To the byte."""
    assert report_of("", args.split()) == run_pflogsumm(args.split(), text="")


@needs_pflogsumm
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_golden_case_is_what_pflogsumm_prints(case):
    """The expected text of a case was not made by the code that it tests."""
    golden = tomllib.loads(case.read_text("utf-8"))

    printed = run_pflogsumm(golden.get("args", []), text=dated(golden["input"]))

    assert_same_text(printed, dated(golden["output"]))


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_golden_case(case):
    """Input and text of a report; DAY-1 and DAY-2 are the days before the run."""
    golden = tomllib.loads(case.read_text("utf-8"))

    printed = report_of(dated(golden["input"]), golden.get("args", []))

    assert printed.splitlines() == dated(golden["output"]).splitlines()


def dated(text):
    """Put days for their names: pflogsumm knows no year but the present one."""
    for name, day in (("DAY-1", LAST_DAY - timedelta(1)), ("DAY-2", LAST_DAY)):
        stamp = f"{day:%b} {day.day:2d}"
        text = text.replace(f"{name}-ISO", f"{day}").replace(f"{name}-YEAR", f"{stamp} {day.year}")
        text = text.replace(name, stamp)
    return text


# --- arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ("-h 5 mail.log", {"hosts": 5, "files": ("mail.log",)}),
        ("mail.log -h=5 mail.2", {"hosts": 5, "files": ("mail.log", "mail.2")}),
        ("--smtpd_stats +q -E", {"smtpd_stats": True, "quiet": True, "message_detail": True}),
        ("-H +3 -u -1", {"hosts": 3, "users": -1}),
        ("-b 1_000 --prob", {"bounce_detail": 1000, "problems_first": True}),
        ("--rej-add", {"add_sender": True}),
        ("--uucp --ig", {"uucp_paths": True, "ignore_case": True}),
        ("--verp-mung 2 f", {"verp_level": 2, "files": ("f",)}),
        ("--verp-mung f", {"verp_level": 0, "files": ("f",)}),
        ("--syslog_name=my_postfix", {"syslog_name": "my_postfix"}),
        ("--syslog-name --q", {"syslog_name": "--q"}),
        ("-q -- -q --a_b", {"quiet": True, "files": ("-q", "--a_b")}),
        ("-", {"files": ("-",)}),
        ("--srs-mung", {"unwrap_srs": True}),
        ("-d yesterday --vers", {"date": "yesterday", "show_version": True}),
    ],
)
def test_arguments_are_read_as_there(args, expected):
    """Abbreviations, cases, prefixes, underscores, and values in either place."""
    assert parse_arguments(args.split()) == Arguments(**expected)


def test_detail_sets_every_limit_that_is_not_given():
    """A limit of -1 counts as not given."""
    found = parse_arguments("--detail 3 -h 7 -u -1 --no-reject-detail".split())

    assert (found.hosts, found.users, found.reject_detail, found.smtp_detail) == (7, 3, 0, 3)
    assert found.notes == ('"no-reject-detail" is deprecated, use "reject-detail=0" instead',)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("--smtpd-stat1", "Did you mean 'smtpd-stats'?"),
        ("--de 3", "ambiguous: deferral-detail, detail."),
        ("-qe", "unknown option of pflogsumm 'qe'"),
        ("-h", "requires a value"),
        ("-d=", "requires a value"),
        ("-h 3.5", "whole number, got '3.5'"),
        ("--verp-mung=x", "whole number, got 'x'"),
        ("-q=1", "does not take a value"),
        ("--colwidth 80", "not supported: lines are not cut here"),
        ("-x", "not supported: there is nothing to debug here"),
    ],
)
def test_wrong_arguments_are_named(args, message):
    """With the nearest known one."""
    with pytest.raises(UsageError) as error:
        parse_arguments(args.split())
    assert message in str(error.value)


@needs_pflogsumm
@pytest.mark.parametrize("args", ["--de 3", "-qe", "-h", "-d=", "-h 3.5", "--verp-mung=x", "-q=1"])
def test_what_is_wrong_here_is_wrong_there(args):
    """The original refuses the same arguments."""
    with pytest.raises(CalledProcessError):
        run_pflogsumm(args.split(), text="")


# --- reasons ---------------------------------------------------------------------------------

# Pieces that the cuts look for, so that most texts hold several of them.
_PIECES = (
    "550 ", "451 4.3.0 ", "504 5.5.2 ", "<a@x>", "<b;c>", ": ", "; ", ", ", ":", ";", ",", " ", "  ",
    "[192.0.2.1]", "[192.0.2.1] ", " said: ", "http://x/", "from=<a@x>", "to=<b@y>", "to=<>", "to=<c d",
    "Protocol error", "Sender address rejected", "Recipient address rejected", "User unknown ",
    "Client host ", "client ", "blocked", " blocked using z", "word", "ä", "x" * 30, "y" * 61,
)  # fmt: skip
texts = st.lists(st.sampled_from(_PIECES), max_size=9).map("".join)


@pytest.fixture(scope="module")
def in_sql():
    with duckdb.connect() as connection:

        def run(tables, item, **columns):
            named = ", ".join(f"${name} AS {name}" for name in columns)
            query = f"WITH given AS (SELECT {named}){tables} SELECT {item}"
            return connection.execute(query, columns).fetchone()[0]

        yield run


@given(text=texts, length=st.integers(4, 70))
def test_sql_shortens_what_was_said_as_python_does(in_sql, text, length):
    """The loop over colons is a look at what stands at the end."""
    found = in_sql(f", {said_tables('given')}", "reason FROM said", text=text, most=length)

    assert found == reasons.shorten_said(text, length)


@given(text=texts, stage=st.sampled_from(["RCPT", "DATA", "CONNECT", "MAIL", "EHLO", "VRFY"]))
def test_sql_finds_a_refusals_reason_as_python_does(in_sql, text, stage):
    """For every stage."""
    found = in_sql(f", {refusal_tables('given')}", "reason FROM cut", text=text, stage=stage)

    assert found == reasons.refusal_reason(stage, text)


@given(text=texts)
def test_sql_finds_sender_and_recipient_as_python_does(in_sql, text):
    """With the oddities of an empty recipient, and of one that is cut."""
    found = tuple(in_sql("", f"{party} FROM given", text=text) for party in parties_sql("text"))

    assert found == reasons.find_parties(text)


def test_queries_of_suppressed_sections_are_not_asked():
    """Each costs a grouping of every block."""
    asked = build_queries(parse_arguments("--detail 0 --no-no-msg-size".split()))

    suppressed = {"failures", "refusals", "connect_errors", "no_size", "copies", "postscreen"}
    assert suppressed & set(asked) == set()


# --- days -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("today", "2026-11-27 2026-11-27 Nov 27"),
        ("yesterday", "2026-11-26 2026-11-26 Nov 26"),
        ("2026-02-03", "2026-02-03 2026-02-03 2026-02-03"),
        ("2026-02", "2026-02-01 2026-02-28 2026-02-01 to 2026-02-28"),
        ("this week", "2026-11-22 2026-11-28 2026-11-22 to 2026-11-28"),
        ("last year", "2025-01-01 2025-12-31 2025-01-01 to 2025-12-31"),
        ("2026-01-01 2026-01-03", "2026-01-01 2026-01-03 2026-01-01 to 2026-01-03"),
        ("last month .. today", "2026-10-01 2026-11-27 2026-10-01 to 2026-11-27"),
        ("2026-01 to last week", "2026-01-01 2026-11-21 2026-01-01 to 2026-11-21"),
    ],
)
def test_days_by_their_names(argument, expected):
    """Single days, months, weeks, and ranges of them."""
    period = find_period(argument, date(2026, 11, 27))

    assert f"{period.first} {period.last} {period.title}" == expected


@pytest.mark.parametrize("argument", ["tomorrow", "2026-02-30", "today 2026-01-01", "a to b to c"])
def test_days_that_are_none(argument):
    """The message says what is known."""
    with pytest.raises(UsageError, match="-d"):
        find_period(argument, date(2026, 11, 27))


# --- the parser of reports --------------------------------------------------------------------


def test_a_line_that_the_parser_does_not_know_is_an_error():
    """Else a section that is missing would be equal to one that is not read."""
    with pytest.raises(ValueError, match="cannot read"):
        parse_report("\nWarnings\n--------\nwhat is this\n")


@given(st.data())
def test_differences_are_found_wherever_they_are(data):
    """A number that is changed, or taken out, is the one that is yielded."""
    numbers = parse_report(report_of(mail_log(3, messages=10), ["--smtpd-stats"]))
    changed = parse_report(report_of(mail_log(3, messages=10), ["--smtpd-stats"]))
    path, inner = [], changed
    while isinstance(inner, dict):
        key = data.draw(st.sampled_from(sorted(key for key in inner if inner[key] != {})))
        path.append(key)
        outer, inner = inner, inner[key]
    if data.draw(st.booleans()):
        outer[path[-1]] = 10 * inner + 7 if isinstance(inner, int) else 1e9
    else:
        del outer[path[-1]]

    assert [found for found, _, _ in differences(numbers, changed)] == [tuple(path)]


# --- connections ------------------------------------------------------------------------------

# Few processes, so that most pieces share some.
connects = st.lists(
    st.tuples(
        st.sampled_from(["connect", "disconnect", "client"]),
        st.sampled_from(["mx1", "mx2"]),
        st.integers(1, 2),
        st.sampled_from(["smtpd", "smtpd", "smtpd", "postscreen"]),
    ),
    max_size=14,
)


def lines_table(rows, first=0):
    start = datetime(2026, 11, 26, 23, 50)
    columns = {
        "time": [start + timedelta(minutes=(first + i) ** 2 % 17 + i) for i in range(len(rows))],
        "host": [row[1] for row in rows],
        "pid": [row[2] for row in rows],
        "daemon": [row[3] for row in rows],
        "event": [row[0] for row in rows],
        "client": [f"c{row[2]}[192.0.2.{row[2]}]" for row in rows],
    }
    return pa.table(columns, schema=pa.schema(_LINES))


_LINES = [
    ("time", pa.timestamp("us")), ("host", pa.string()), ("pid", pa.int64()),
    ("daemon", pa.string()), ("event", pa.string()), ("client", pa.string()),
]  # fmt: skip


def finished(table):
    return sorted(tuple(row.values()) for row in connections.finish(table).to_pylist())


@given(rows=connects, cuts=st.tuples(st.integers(0, 14), st.integers(0, 14)), left=st.booleans())
def test_connections_pair_wherever_the_lines_are_cut(rows, cuts, left):
    """Three pieces, combined from the left or from the right, give what one gives."""
    whole = lines_table(rows)
    a, b = sorted(min(cut, len(rows)) for cut in cuts)
    pieces = [connections.map(part) for part in (whole[:a], whole[a:b], whole[b:])]

    if left:
        pieces = [connections.combine(pa.concat_tables(pieces[:2])), pieces[2]]
    else:
        pieces = [pieces[0], connections.combine(pa.concat_tables(pieces[1:]))]

    assert finished(connections.combine(pa.concat_tables(pieces))) == finished(
        connections.map(whole)
    )


def test_only_the_last_connect_of_a_process_is_ended():
    """By the first disconnect after it, on the same host."""
    events = [("connect", "mx1", 1), ("connect", "mx1", 1), ("disconnect", "mx2", 1)]
    events += [("disconnect", "mx1", 1), ("disconnect", "mx1", 1)]

    table = connections.map(lines_table([(*event, "smtpd") for event in events]))

    assert gather_facts({"connections": finished(table)}).connections == [
        (date(2026, 11, 27), 0, "c1[192.0.2.1]", 1, 600, 600)
    ]
