"""Job files: headers, reports with sections, --by, and parameters as options."""

from __future__ import annotations

import json

import pytest

from pipeline.errors import UsageError
from pipeline.job import builtin_jobs, find_job, read_job, sql_job, with_sections

_LOG = (
    b"2024-03-01T10:00:00 mx1 postfix/smtpd[1]: A1B2C3: client=c.example[192.0.2.1]\n"
    b"2024-03-01T10:00:01 mx1 postfix/smtp[1]: A1B2C3: to=<a@X.example>, relay=none, delay=1, "
    b"delays=0/0/0/1, dsn=4.4.1, status=deferred (timed out)\n"
    b"2024-03-02T10:00:01 mx2 postfix/smtp[1]: A1B2C3: to=<b@y.example>, relay=none, delay=1, "
    b"delays=0/0/0/1, dsn=2.0.0, status=sent (ok)\n"
    b"2024-03-02T11:00:00 mx2 kernel: up\n"
)
_REPORT = """
-- What happened?
-- param: status VARCHAR = 'sent'   which outcome
-- param: least BIGINT = 1

WITH tried AS (
    SELECT day, host, status, count(*) AS n
    FROM mail
    WHERE event = 'delivery'
    GROUP BY ALL
), seen AS (SELECT process, count(*) AS n FROM lines GROUP BY process)

-- section: outcomes   What became of it?
-- chart: x=day y=n color=status mark=bar
SELECT day, status, n FROM tried WHERE n >= $least ORDER BY ALL

-- section: of-one

SELECT sum(n)::BIGINT AS n FROM tried WHERE status = $status

-- section: processes   Who wrote?
-- param: most BIGINT = 9   rows at most
WITH top AS (SELECT * FROM seen ORDER BY n DESC, process LIMIT 2)
SELECT count(*)::BIGINT AS n FROM top WHERE n < $most
"""


@pytest.fixture
def log(tmp_path):
    """Four lines."""
    path = tmp_path / "log"
    path.write_bytes(_LOG)
    return path


@pytest.fixture
def report(tmp_path):
    """A report of three sections."""
    path = tmp_path / "story.sql"
    path.write_text(_REPORT.lstrip())
    return path


# Reports


def test_a_report_is_its_sections(report):
    """Each has its question, its charts, and the parameters of the head beside its own."""
    job = read_job(report)

    assert "What happened?" == job.question
    assert [
        (
            "outcomes",
            "What became of it?",
            ("x=day y=n color=status mark=bar",),
            ["status", "least"],
        ),
        ("of-one", "", (), ["status", "least"]),
        ("processes", "Who wrote?", (), ["status", "least", "most"]),
    ] == [(s.name, s.question, s.charts, [p.name for p in s.parameters]) for s in job.sections]
    assert list(job.sections) == with_sections([job])


@pytest.mark.parametrize(
    ("options", "n", "one", "processes"),
    [
        ([], [1, 1], 1, 2),
        (["-p", "status=deferred"], [1, 1], 1, 2),
        (["--status", "bounced", "--least", "2"], [], None, 2),
        (["--most", "2"], [1, 1], 1, 1),
        (["--status", "sent", "--host", "mx1"], [1], None, 2),
    ],
)
def test_a_report_runs_in_one_pass(sawlog, log, report, options, n, one, processes):
    """One JSON object by section; parameters reach the sections that name them."""
    ran = sawlog(report, log, "--to", "json", *options)

    assert 0 == ran.code, ran.err
    found = json.loads(ran.out)
    assert ["outcomes", "of-one", "processes"] == list(found)
    assert n == [row["n"] for row in found["outcomes"]]
    assert [{"n": one}] == found["of-one"]
    assert [{"n": processes}] == found["processes"]


def test_help_of_a_report_tells_its_sections_and_options(sawlog, report):
    """The questions, and every parameter as an option."""
    said = " ".join(sawlog(report, "--help").out.split())

    assert "What happened?" in said
    assert "outcomes: What became of it?" in said
    assert "processes: Who wrote?" in said
    for option in ("--status", "which outcome [sent]", "--least", "--most", "rows at most [9]"):
        assert option in said


def test_reports_and_jobs_run_together(sawlog, log, report, tmp_path):
    """Two reports may share their tables' names; each section has a file."""
    other = tmp_path / "other.sql"
    other.write_text(
        "-- Another\nWITH tried AS (SELECT count(*) AS n FROM lines)\n-- section: lines\nSELECT n FROM tried\n"
    )

    ran = sawlog(f"{report},volume,{other}", log, "--to", "json", "-o", tmp_path / "{job}.csv")

    found = json.loads(ran.out)
    assert ["outcomes", "of-one", "processes", "volume", "lines"] == list(found)
    assert [{"n": 4}] == found["lines"]
    assert "n\n4\n" == (tmp_path / "lines.csv").read_text()


def test_a_report_can_be_typed(sawlog, log):
    """`sawlog sql` takes sections, too."""
    text = "WITH t AS (SELECT host, count(*) AS n FROM lines GROUP BY host)\n-- section: a\nSELECT max(n) AS n FROM t\n-- section: b\nSELECT min(host) AS h FROM t"

    assert {"a": [{"n": 2}], "b": [{"h": "mx1"}]} == json.loads(
        sawlog("sql", text, log, "--to", "json").out
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-- section:\nSELECT 1", "the report 'x' has a wrong line: '-- section:'. It reads -- section: NAME   question"),
        ("-- section: what?\nSELECT 1", "has a wrong line: '-- section: what?'"),
        ("-- section: a\nSELECT 1\n-- section: a\nSELECT 2", "the report 'x' has two sections that are called 'a'"),
        ("-- section: a\n\n-- section: b\nSELECT 1", "the section 'a' of the report 'x' has no SELECT"),
        ("-- section: a\n-- param: b BIGINT = 1", "the section 'a' of the report 'x' has no SELECT"),
        ("SELECT 1\n-- section: a\nSELECT 1", "the report 'x' begins with something else than a WITH"),
        ("-- chart: y=1\n-- section: a\nSELECT 1", "wrong header line '-- chart: y=1'"),
        ("-- section: a\n-- param: 7\nSELECT 1", "the job 'a' has a wrong header line: '-- param: 7'"),
    ],
)  # fmt: skip
def test_a_wrong_report_is_refused(text, message):
    """The message says what and where, and what it should read."""
    with pytest.raises(UsageError) as caught:
        sql_job("x", text)

    assert message in str(caught.value)


def test_an_error_in_a_section_points_at_it(sawlog, log, report):
    """The place is in the section's own text."""
    report.write_text(_REPORT.replace("SELECT day, status, n FROM tried", "SELECT dya FROM tried"))

    ran = sawlog(report, log)

    assert 2 == ran.code
    assert "SELECT dya FROM tried" in ran.err


@pytest.mark.parametrize(
    "names", ["volume,volume", "story.sql,other/story.sql", "story.sql,other/of-one.sql"]
)
def test_two_results_of_one_name_are_refused(sawlog, log, report, tmp_path, names, monkeypatch):
    """They could not be told apart; the message names them."""
    (tmp_path / "other").mkdir()
    for name in ("story.sql", "of-one.sql"):
        (tmp_path / "other" / name).write_text("SELECT count(*) AS n FROM lines")
    monkeypatch.chdir(tmp_path)
    if names == "story.sql,other/story.sql":
        report.write_text("SELECT count(*) AS n FROM lines")

    for command in ([names], ["plan", names]):
        ran = sawlog(*command, log)
        assert 2 == ran.code
        name = {"volume,volume": "volume", "story.sql,other/story.sql": "story"}.get(
            names, "of-one"
        )
        assert f"two jobs, or sections of reports, are called '{name}'" in ran.err


# --by


_BY = """
-- Outcomes
-- by: day, lower(split_part(recipient, '@', -1)) AS domain of day, host, lower(split_part(recipient, '@', -1)) AS domain, concat(host, ',', status) AS how

WITH t AS (
    SELECT day, lower(split_part(recipient, '@', -1)) AS domain, count(*) AS n
    FROM mail WHERE event = 'delivery' GROUP BY ALL
)
SELECT *, sum(n) OVER () AS total FROM t ORDER BY ALL
"""


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (None, "day,domain,n,total\n2024-03-01,x.example,1,2\n2024-03-02,y.example,1,2\n"),
        ("domain", "domain,n,total\nx.example,1,2\ny.example,1,2\n"),
        ("how,day", 'how,day,n,total\n"mx1,deferred",2024-03-01,1,2\n"mx2,sent",2024-03-02,1,2\n'),
    ],
)
def test_by_takes_expressions(sawlog, log, tmp_path, by, expected):
    """An item is a column or `expression AS name`; --by takes the name."""
    job = tmp_path / "by.sql"
    job.write_text(_BY.lstrip())

    ran = sawlog(job, log, "--to", "csv", *(["--by", by] if by else []))

    assert (0, expected) == (ran.code, ran.out), ran.err


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("dmain", "unknown column for --by of by 'dmain'. Did you mean 'domain'? Known: day, domain, host, how."),
        ("day,day", "--by names a column twice: day, day"),
        ("status", "unknown column for --by of by 'status'"),
    ],
)  # fmt: skip
def test_wrong_columns_for_by(sawlog, log, tmp_path, by, message):
    """Only the columns that the job offers, each once."""
    job = tmp_path / "by.sql"
    job.write_text(_BY.lstrip())

    ran = sawlog(job, log, "--by", by)

    assert 2 == ran.code
    assert message in ran.err


def test_by_leaves_names_alone_that_are_given_to_something_else():
    """``AS domain`` is no grouping: under another name a column would be another's."""
    job = find_job("domains")

    assert "AS domain, CAST(last_attempt AS DATE) AS day" in job.sql(["day"])
    assert "SELECT day, sum(messages)" in job.sql(["day"])


# Parameters as options


@pytest.fixture
def outcome(tmp_path):
    """A job with parameters of every kind, some named like shared options."""
    path = tmp_path / "outcome.sql"
    path.write_text(
        "-- Outcomes\n-- param: queue_id VARCHAR = ''   this one only\n-- param: of_status VARCHAR\n"
        "-- param: since DATE = 2024-01-01   not the shared one\n-- param: help VARCHAR = 'no'   not help\n"
        "-- param: n BIGINT = 7\n"
        "SELECT count(*) AS n, $since AS since, $help AS help, $n AS m FROM mail "
        "WHERE ($queue_id = '' OR queue_id = $queue_id) AND status = $of_status\n"
    )
    return path


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--of-status", "sent"], "1,2024-01-01,no,7"),
        (["-p", "of_status=sent", "--queue-id", "NONE"], "0,2024-01-01,no,7"),
        (["--of-status", "sent", "--n", "-1", "-p", "help=yes", "-p", "since=2024-02-02"], "1,2024-02-02,yes,-1"),
        (["--of-status", "deferred", "--since", "2024-03-02"], "0,2024-01-01,no,7"),
        (["--of-status", "it's = so, \u00e4"], "0,2024-01-01,no,7"),
        (["--of-status", "sent", "-p", "of_status=deferred"], "1,2024-01-01,no,7"),
    ],
)  # fmt: skip
def test_parameters_are_options(sawlog, log, outcome, options, expected):
    """A parameter is an option with dashes; where that is a shared option, it is set with -p."""
    ran = sawlog(outcome, log, "--to", "values", *options)

    assert (0, expected + "\n") == (ran.code, ran.out), ran.err


def test_help_shows_parameters_as_options(sawlog, outcome):
    """With their help and defaults; --help stays help, and --since what it is for every job."""
    said = " ".join(sawlog(outcome, "--help").out.split())

    assert "--queue-id VARCHAR this one only" in said
    assert "--n BIGINT n [7]" in said
    assert "--since TIME From" in said
    assert "not the shared one" not in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "the job 'outcome' needs -p of_status=VALUE"),
        (["--of-status", "sent", "--n", "many"], "the value of parameter 'n' is no BIGINT: 'many'"),
        (["--of-status", "sent", "-p", "quueue_id=1"], "Did you mean 'queue_id'?"),
        (["--of_status", "sent"], "--of-status"),
    ],
)
def test_wrong_parameters(sawlog, log, outcome, options, message):
    """Exit 2, and what it should be."""
    ran = sawlog(outcome, log, *options)

    assert (2, "") == (ran.code, ran.out)
    assert message in ran.err


def test_jobs_share_options(sawlog, log, outcome, tmp_path):
    """Of several jobs each takes the parameters that it declares."""
    other = tmp_path / "other.sql"
    other.write_text(
        "-- param: n BIGINT = 1\n-- param: m BIGINT = 2\nSELECT $n + $m AS x FROM lines LIMIT 1\n"
    )

    ran = sawlog(
        f"{outcome},{other}", log, "--of-status", "sent", "--n", "5", "--m", "1", "--to", "json"
    )

    assert 0 == ran.code, ran.err
    assert [{"x": 6}] == json.loads(ran.out)["other"]
    assert 5 == json.loads(ran.out)["outcome"][0]["m"]


@pytest.mark.parametrize("name", builtin_jobs())
def test_every_job_has_a_question_and_help(sawlog, name):
    """The first comment is the help; every choice of --by is listed."""
    job = find_job(name)
    said = " ".join(sawlog(name, "--help").out.split())

    assert job.question
    assert " ".join(job.question.split()[:4]) in said
    assert all(choice in said for choice in job.by_choices)
