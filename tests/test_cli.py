"""The command line as its users meet it: questions, filters, wrong usage, help."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta

import pytest

from tests.support.four_lines import FOUR_LINES, FOUR_LINES_CSV
from tests.support.processes import run_python


def test_csv_is_the_contract(sawlog, four_lines):
    """Header, ISO days, NULL empty and last, LF."""
    ran = sawlog("volume", four_lines, "--to", "csv")

    assert (0, FOUR_LINES_CSV) == (ran.code, ran.out)
    assert "1 file whole · 4 lines" in ran.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("host", "host,lines,bytes\nmx1,2,169\nmx2,1,31\n,1,14\n"),
        (
            "month,host",
            "month,host,lines,bytes\n2007-12-01,mx1,2,169\n2007-12-01,mx2,1,31\n,,1,14\n",
        ),
        ("hour", "hour,lines,bytes\n0,1,90\n1,1,31\n2,1,79\n,1,14\n"),
        ("severity", "severity,lines,bytes\n,4,214\n"),
        (
            "process,day",
            "process,day,lines,bytes\nkernel,2007-12-26,1,31\npostfix/smtp,2007-12-26,1,90\npostfix/smtp,2007-12-27,1,79\n,,1,14\n",
        ),
    ],
)
def test_by_takes_other_columns(sawlog, four_lines, by, expected):
    """--by X,Y prints those columns, then lines and bytes, sorted by them."""
    assert expected == sawlog("volume", four_lines, "--by", by, "--to", "csv").out


def test_by_file(sawlog, four_lines):
    """The file is named as the user named it."""
    assert (
        f"file,lines,bytes\n{four_lines},4,214\n"
        == sawlog("volume", four_lines, "--by", "file", "--to", "csv").out
    )


@pytest.mark.parametrize(
    ("options", "n"),
    [
        (["--day", "2007-12-26"], 2),
        (["--since", "2007-12-27"], 1),
        (["--until", "2007-12-26"], 2),
        (["--since", "2007-12-26 01:00", "--until", "2007-12-26 02:00"], 1),
        (["--until", "2007-12-26 00:00"], 1),
        (["--host", "mx1"], 2),
        (["--host", "mx*"], 3),
        (["--process", "postfix/*"], 2),
        (["--process", "kernel", "--process", "postfix/*"], 3),
        (["--where", "message LIKE '%sent%'"], 1),
        (["--where", "bytes > 80 -- long ones"], 1),
        (["--host", "mx1", "--where", "day = DATE '2007-12-26'"], 1),
        (["--where", "time IS NULL"], 1),
    ],
)
def test_filters(sawlog, four_lines, options, n):
    """Filters keep rows for which they are true; undated lines fall out of any time."""
    assert (
        f"{n}\n"
        == sawlog("sql", "SELECT count(*) FROM lines", four_lines, *options, "--to", "values").out
    )


def test_a_job_file_with_a_parameter(sawlog, four_lines, tmp_path):
    """-p sets what the job's header declares; its default holds otherwise."""
    job = tmp_path / "outcome.sql"
    job.write_text(
        "-- How many messages had an outcome?\n-- param: status VARCHAR = 'deferred'   which outcome\n\n"
        "SELECT count(*) AS n FROM lines WHERE contains(message, 'status=' || $status)\n"
    )

    assert "1\n" == sawlog(job, four_lines, "--to", "values").out
    assert "0\n" == sawlog(job, four_lines, "-p", "status=it's", "--to", "values").out
    assert "which outcome" in sawlog(job, "--help").out
    ran = sawlog(job, four_lines, "-p", "stauts=sent")
    assert 2 == ran.code
    assert "'status'" in ran.err


def test_several_jobs_in_one_pass(sawlog, four_lines, tmp_path):
    """Several jobs come as one JSON object, or as a file each."""
    (tmp_path / "mine.sql").write_text("SELECT count(*) AS n FROM lines")
    jobs = f"volume,{tmp_path / 'mine.sql'}"

    ran = sawlog(jobs, four_lines, "--to", "json", "-o", tmp_path / "{job}.csv")

    assert [{"n": 4}] == json.loads(ran.out)["mine"]
    assert FOUR_LINES_CSV == (tmp_path / "volume.csv").read_text()
    assert "n\n4\n" == (tmp_path / "mine.csv").read_text()
    ran = sawlog(jobs, four_lines, "--to", "csv")
    assert (2, "") == (ran.code, ran.out)


def test_a_python_job_file(sawlog, four_lines, tmp_path):
    """A .py file is a job, too."""
    job = tmp_path / "count.py"
    job.write_text(
        'import pyarrow as pa\nRELATION = "lines"\nCOLUMNS = ("bytes",)\n'
        "def map(t): return pa.table({'n': [t.num_rows]})\n"
        "def combine(t): return pa.table({'n': [sum(t['n'].to_pylist())]})\n"
        "def finish(t): return t\n"
    )

    assert "n\n4\n" == sawlog(job, four_lines, "--to", "csv").out


def test_rows_stream_in_order_and_limit_ends_early(sawlog, four_lines, tmp_path):
    """A query without aggregates gives rows in file order; what LIMIT left unread is named."""
    older = tmp_path / "maillog.1"
    older.write_bytes(FOUR_LINES.replace(b"Dec", b"Nov"))
    os.utime(older, (1_196_200_000, 1_196_200_000))

    ran = sawlog(
        "sql",
        "SELECT day FROM lines WHERE day IS NOT NULL LIMIT 2",
        older,
        four_lines,
        "--to",
        "values",
    )

    assert "2007-11-26\n2007-11-26\n" == ran.out
    assert "LIMIT" in ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["volumes", "x"], ["unknown job", "'volume'"]),
        (["volume"], ["name the logs"]),
        (["volume", "x", "--hots", "a"], ["--hots", "--host"]),
        (["volume", "x", "--by", "proces"], ["'process'"]),
        (["volume", "x", "--since", "next week"], ["no time", "2007-12-26"]),
        (["volume", "x", "--since", "2008-01-02", "--until", "2008-01-01"], ["later"]),
        (["volume", "x", "--log-tz", "Europe/Belrin"], ["Europe/Berlin"]),
        (["volume", "x", "--split-size", "much"], ["no size"]),
        (["volume", "x", "-p", "status"], ["NAME=VALUE"]),
        (["volume", "x", "-o", "out.xls"], [".csv"]),
        (["volume", "x", "--scheduler", "spark"], ["inline", "threads"]),
        (["volume", "x", "--where", "mesage = ''"], ["message"]),
        (["volume", "x", "--where", "count(*) > 1"], ["--where"]),
        (["sql", "SELECT day frm lines x", "x"], ["^"]),
        (["sql", "SELECT x FROM lines", "x"], ["x"]),
        (["sql", "DELETE FROM lines", "x"], ["SELECT"]),
        (["sql", "SELECT * FROM read_csv('/etc/passwd')", "x"], ["read_csv"]),
        (["sql", "SELECT count(*) FROM lines; SELECT 1", "x"], ["one"]),
        (["nothere.sql", "x"], ["nothere.sql"]),
        (["volume,volume", "x"], ["two jobs", "volume"]),
    ],
)
def test_wrong_usage_exits_2_with_the_way_out(sawlog, four_lines, arguments, words):
    """A user's mistake is told with what was meant; nothing runs, nothing is printed."""
    arguments = [four_lines if one == "x" else one for one in arguments]

    ran = sawlog(*arguments)

    assert (2, "") == (ran.code, ran.out), ran.err
    for word in words:
        assert word in ran.err
    assert "Traceback" not in ran.err


def test_an_sql_error_points_into_the_job_file(sawlog, four_lines, tmp_path):
    """Line and column of the file, header lines included."""
    job = tmp_path / "wrong.sql"
    job.write_text("-- What is wrong?\n\nSELECT day,\n       mesage\nFROM lines\n")

    ran = sawlog(job, four_lines)

    assert 2 == ran.code
    assert "line 4:        mesage" in ran.err
    assert "message" in ran.err


def test_jobs_lists_what_there_is_to_ask(sawlog):
    """Every built-in job with its question."""
    ran = sawlog("jobs", "--to", "csv")

    assert (0, "job,question,by") == (ran.code, ran.out.splitlines()[0])
    assert any(row.startswith("volume,") for row in ran.out.splitlines())


def test_quiet_says_only_warnings(sawlog, four_lines, demo):
    """-q: nothing on stderr unless there is a warning."""
    assert "" == sawlog("volume", *demo.glob("maillog*"), "-q").err
    assert "guessed" in sawlog("volume", four_lines, "-q").err


def test_a_guessed_year_is_said_once(sawlog, four_lines, tmp_path):
    """With nothing better than the file's time the years are called guessed; --year ends that."""
    assert 1 == sawlog("volume", four_lines).err.count("guessed, from the file time")
    ran = sawlog("volume", four_lines, "--year", 1999, "--to", "csv")
    assert "1999-12-26,kernel" in ran.out
    assert "guessed" not in ran.err


def test_zones(sawlog, tmp_path):
    """--log-tz gives the moment of stamps without offset, --report-tz the day in a zone."""
    path = tmp_path / "x"
    path.write_bytes(b"2007-12-26T23:30:00 a b: c\n2007-12-26T23:30:00+01:00 d e: f\n")
    query = "SELECT host, instant, day, hour FROM lines"

    assert (
        "a,,2007-12-26,23\nd,2007-12-26 22:30:00+00:00,2007-12-26,23\n"
        == sawlog("sql", query, path, "--to", "values").out
    )
    ran = sawlog(
        "sql",
        query,
        path,
        "--to",
        "values",
        "--log-tz",
        "America/New_York",
        "--report-tz",
        "Asia/Tokyo",
    )
    assert (
        "a,2007-12-27 04:30:00+00:00,2007-12-27,13\nd,2007-12-26 22:30:00+00:00,2007-12-27,7\n"
        == ran.out
    )
    ran = sawlog(
        "sql", query, path, "--to", "values", "--log-tz", "UTC", "--log-tz", "a=Asia/Kolkata"
    )
    assert ran.out.startswith("a,2007-12-26 18:00:00+00:00,")


def test_help_names_every_command_and_imports_nothing_heavy():
    """--help is quick: neither DuckDB nor Arrow nor Dask is loaded for it."""
    code = (
        "import sys; from pipeline.cli import run_command_line\n"
        "run_command_line(['--help'])\n"
        "heavy = {'duckdb', 'pyarrow', 'dask', 'fsspec', 'zstandard', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    ran = run_python(code)

    assert 0 == ran.returncode, ran.stderr
    for command in ("demo", "files", "jobs", "plan", "sql"):
        assert f" {command} " in ran.stdout


def test_a_small_log_imports_neither_dask_nor_fsspec(four_lines):
    """One small input runs inline."""
    code = (
        "import sys; from pipeline.cli import run_command_line\n"
        f"assert run_command_line(['volume', {str(four_lines)!r}, '-q', '--year', '2007']) == 0\n"
        "heavy = {'dask', 'fsspec', 'distributed', 'pandas', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    ran = run_python(code, "-W", "error")

    assert (0, "") == (ran.returncode, ran.stderr)


def test_no_line_is_of_the_future(sawlog, tmp_path):
    """Evidence in a head allows half a year after it, but nothing later than the run."""
    now = datetime.now().astimezone()
    later = now + timedelta(days=60)
    path = tmp_path / "x"
    path.write_bytes(
        f"{now:%Y-%m-%dT%H:%M:%S} a b: c\n{later:%b} {later.day:2d} 00:00:00 a b: c\n".encode()
    )

    out = sawlog("sql", "SELECT max(time) FROM lines", path, "--to", "values").out
    assert out.startswith(f"{now:%Y-%m-%d}")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT message::INTEGER FROM lines",
        "SELECT strptime('x' || message, '%Y') FROM lines",
        "SELECT count(*) FROM lines WHERE regexp_matches('a', message || '(')",
    ],
)
def test_a_query_that_fails_on_a_line_is_no_traceback(sawlog, four_lines, query):
    """What the data make impossible is the query's fault: exit 2 and what DuckDB says."""
    ran = sawlog("sql", query, four_lines)

    assert 2 == ran.code
    assert "fails on some line" in ran.err
    assert "Traceback" not in ran.err


def test_brackets_of_where_must_balance(sawlog, four_lines):
    """A typical mistake of quoting is refused, not run as something else."""
    assert 2 == sawlog("volume", four_lines, "--where", "1=1) OR (1=1").code
