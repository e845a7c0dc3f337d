"""The command line as its users meet it: options, bad input, exit codes, streams."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

_LOG = (
    b"Dec 26 00:00:01 mx1 postfix/smtp[7]: 4A1: to=<a@example.org>, status=deferred (timed out)\n"
    b"Dec 26 01:00:01 mx2 kernel: up\n"
    b"Dec 27 02:00:01 mx1 postfix/smtp[7]: 4A1: to=<a@example.org>, status=sent (ok)\n"
    b"no stamp here\n"
)
_CSV = """day,process,lines,bytes
2007-12-26,kernel,1,31
2007-12-26,postfix/smtp,1,90
2007-12-27,postfix/smtp,1,79
,,1,14
"""


@pytest.fixture
def log(tmp_path) -> Path:
    """Four lines, the file's time set to the end of 2007."""
    path = tmp_path / "maillog"
    path.write_bytes(_LOG)
    os.utime(path, (1_198_800_000, 1_198_800_000))
    return path


def test_csv_is_the_contract(sawlog, log):
    """Header, ISO days, NULL empty and last, LF."""
    ran = sawlog("volume", log, "--to", "csv")

    assert (0, _CSV) == (ran.code, ran.out)
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
def test_by_takes_other_columns(sawlog, log, by, expected):
    """--by X,Y prints those columns, then lines and bytes, sorted by them."""
    assert expected == sawlog("volume", log, "--by", by, "--to", "csv").out


def test_by_file(sawlog, log):
    """The file is named as the user named it."""
    assert (
        f"file,lines,bytes\n{log},4,214\n"
        == sawlog("volume", log, "--by", "file", "--to", "csv").out
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
def test_filters(sawlog, log, options, n):
    """Filters keep rows for which they are true; undated lines fall out of any time."""
    assert (
        f"{n}\n" == sawlog("sql", "SELECT count(*) FROM lines", log, *options, "--to", "values").out
    )


def test_a_job_file_with_a_parameter(sawlog, log, tmp_path):
    """-p sets what the job's header declares; its default holds otherwise."""
    job = tmp_path / "outcome.sql"
    job.write_text(
        "-- How many messages had an outcome?\n-- param: status VARCHAR = 'deferred'   which outcome\n\n"
        "SELECT count(*) AS n FROM lines WHERE contains(message, 'status=' || $status)\n"
    )

    assert "1\n" == sawlog(job, log, "--to", "values").out
    assert "0\n" == sawlog(job, log, "-p", "status=it's", "--to", "values").out
    assert "which outcome" in sawlog(job, "--help").out
    ran = sawlog(job, log, "-p", "stauts=sent")
    assert 2 == ran.code
    assert "'status'" in ran.err


def test_several_jobs_in_one_pass(sawlog, log, tmp_path):
    """Several jobs come as one JSON object, or as a file each."""
    (tmp_path / "mine.sql").write_text("SELECT count(*) AS n FROM lines")
    jobs = f"volume,{tmp_path / 'mine.sql'}"

    ran = sawlog(jobs, log, "--to", "json", "-o", tmp_path / "{job}.csv")

    assert [{"n": 4}] == json.loads(ran.out)["mine"]
    assert _CSV == (tmp_path / "volume.csv").read_text()
    assert "n\n4\n" == (tmp_path / "mine.csv").read_text()
    ran = sawlog(jobs, log, "--to", "csv")
    assert (2, "") == (ran.code, ran.out)


def test_a_python_job_file(sawlog, log, tmp_path):
    """A .py file is a job, too."""
    job = tmp_path / "count.py"
    job.write_text(
        'import pyarrow as pa\nRELATION = "lines"\nCOLUMNS = ("bytes",)\n'
        "def map(t): return pa.table({'n': [t.num_rows]})\n"
        "def combine(t): return pa.table({'n': [sum(t['n'].to_pylist())]})\n"
        "def finish(t): return t\n"
    )

    assert "n\n4\n" == sawlog(job, log, "--to", "csv").out


def test_rows_stream_in_order_and_limit_ends_early(sawlog, log, tmp_path):
    """A query without aggregates gives rows in file order; what LIMIT left unread is named."""
    older = tmp_path / "maillog.1"
    older.write_bytes(_LOG.replace(b"Dec", b"Nov"))
    os.utime(older, (1_196_200_000, 1_196_200_000))

    ran = sawlog(
        "sql", "SELECT day FROM lines WHERE day IS NOT NULL LIMIT 2", older, log, "--to", "values"
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
def test_wrong_usage_exits_2_with_the_way_out(sawlog, log, arguments, words):
    """A user's mistake is told with what was meant; nothing runs, nothing is printed."""
    arguments = [log if one == "x" else one for one in arguments]

    ran = sawlog(*arguments)

    assert (2, "") == (ran.code, ran.out), ran.err
    for word in words:
        assert word in ran.err
    assert "Traceback" not in ran.err


def test_an_sql_error_points_into_the_job_file(sawlog, log, tmp_path):
    """Line and column of the file, header lines included."""
    job = tmp_path / "wrong.sql"
    job.write_text("-- What is wrong?\n\nSELECT day,\n       mesage\nFROM lines\n")

    ran = sawlog(job, log)

    assert 2 == ran.code
    assert "line 4:        mesage" in ran.err
    assert "message" in ran.err


def test_a_missing_file_is_named_and_the_rest_is_done(sawlog, log, tmp_path):
    """Exit 3: done, but some input was missing."""
    ran = sawlog("volume", log, tmp_path / "nothere", f"{tmp_path}/*.nix", "--to", "csv")

    assert (3, _CSV) == (ran.code, ran.out)
    assert "nothere: missing" in ran.err
    assert "*.nix: no match" in ran.err


def test_nothing_could_be_read(sawlog, tmp_path):
    """Exit 1 when there is no input at all."""
    ran = sawlog("volume", tmp_path / "nothere")

    assert (1, "") == (ran.code, ran.out)
    assert "missing" in ran.err


def test_a_file_that_is_no_log(sawlog, tmp_path):
    """Counted as undated lines, with a hint."""
    path = tmp_path / "novel.txt"
    path.write_text("It was a dark\nand stormy night\n")

    ran = sawlog("volume", path, "--to", "csv")

    assert (0, "day,process,lines,bytes\n,,2,31\n") == (ran.code, ran.out)
    assert "is this a log?" in ran.err


def test_an_empty_file_and_an_empty_folder(sawlog, tmp_path):
    """No lines is no failure; a folder without logs is named."""
    (tmp_path / "empty").write_bytes(b"")
    ran = sawlog("volume", tmp_path / "empty", "--to", "csv")
    assert (0, "day,process,lines,bytes\n") == (ran.code, ran.out)
    ran = sawlog("sql", "SELECT count(*) AS n FROM lines", tmp_path / "empty", "--to", "csv")
    assert (0, "n\n0\n") == (ran.code, ran.out)


def test_a_folder_skips_what_is_no_log_and_names_it(sawlog, log, tmp_path):
    """Binary and partial files are left out, with why."""
    (tmp_path / "wtmp").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "x.part").write_bytes(_LOG)
    account_path = tmp_path.parent / "account.json"

    ran = sawlog("volume", tmp_path, "--to", "csv", "--account", account_path)

    assert (0, _CSV) == (ran.code, ran.out)
    assert {"wtmp", "x.part"} == {
        Path(one["file"]).name for one in json.loads(account_path.read_text())["skipped"]
    }


def test_damage_stops_where_asked(sawlog, tmp_path):
    """--on-damage stop: exit 1 and no result."""
    stored = gzip.compress(_LOG * 50)
    (tmp_path / "x.gz").write_bytes(stored[:-20])

    assert 3 == sawlog("volume", tmp_path / "x.gz").code
    ran = sawlog("volume", tmp_path / "x.gz", "--on-damage", "stop", "-o", tmp_path / "out.csv")
    assert (1, "") == (ran.code, ran.out)
    assert not (tmp_path / "out.csv").exists()


def test_standard_input(sawlog, log):
    """Text, compressed text and a tar come on standard input."""
    year = time.strftime("%Y")
    ran = sawlog("volume", "-", "--to", "csv", stdin=gzip.compress(b"2007-12-26T00:00:01 a b: c\n"))
    assert (0, "day,process,lines,bytes\n2007-12-26,b,1,27\n") == (ran.code, ran.out)
    ran = sawlog(
        "sql",
        "SELECT max(extract(year FROM day)) FROM lines",
        "-",
        "--to",
        "values",
        stdin=b"Jan  1 00:00:01 a b: c\n",
    )
    assert f"{year}\n" == ran.out
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        tar.add(log, "var/log/maillog")
    ran = sawlog("volume", "-", "--to", "csv", stdin=held.getvalue())
    assert (0, _CSV) == (ran.code, ran.out)
    ran = sawlog("volume", "-", "--to", "csv", stdin=gzip.compress(held.getvalue()))
    assert (0, _CSV) == (ran.code, ran.out)


def test_members_of_archives(sawlog, log, tmp_path):
    """tar:// and zip:// URLs, and an archive by its name."""
    import zipfile

    with tarfile.open(tmp_path / "logs.tar", "w") as tar:
        tar.add(log, "maillog.1")
    with zipfile.ZipFile(tmp_path / "logs.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("maillog.1", (2007, 12, 28, 0, 0, 0)), _LOG)
    for url in (
        f"tar://*::{tmp_path}/logs.tar",
        f"zip://*::{tmp_path}/logs.zip",
        f"{tmp_path}/logs.tar",
        f"{tmp_path}/logs.zip",
    ):
        ran = sawlog("volume", url, "--to", "csv")
        assert (0, _CSV) == (ran.code, ran.out), url


def test_the_rotated_siblings(sawlog, demo):
    """Given the base name, --rotated takes the whole set, oldest first."""
    ran = sawlog("files", demo / "maillog", "--rotated", "--to", "csv")

    names = [Path(row.split(",")[0]).name for row in ran.out.splitlines()[1:]]
    assert ["maillog.4.xz", "maillog.3.zst", "maillog.2.gz", "maillog.1", "maillog"] == names


def test_files_tells_what_the_truth_says(sawlog, demo):
    """Compression, sizes, lines, first and last time of each file."""
    ran = sawlog("files", *demo.glob("maillog*"), "--to", "csv")
    rows = ran.out.splitlines()
    truth = (demo / "truth" / "files.csv").read_text().splitlines()[1:]

    assert (
        "file,compression,stored_bytes,plain_bytes,lines,first,last,year_evidence,damage" == rows[0]
    )
    seen = sorted(
        Path(row.split(",")[0]).name + "," + ",".join(row.split(",")[1:7]) for row in rows[1:]
    )
    assert sorted(truth) == seen
    assert {"message-ids"} == {row.split(",")[7] for row in rows[1:]}


def test_files_quick_reads_heads_and_tails_only(sawlog, demo):
    """First times are right for all; what a full read would tell is NULL."""
    ran = sawlog("files", "--quick", *demo.glob("maillog*"), "--to", "csv")
    truth = {
        row.split(",")[0]: row.split(",")
        for row in (demo / "truth" / "files.csv").read_text().splitlines()[1:]
    }

    for row in ran.out.splitlines()[1:]:
        cells = row.split(",")
        expected = truth[Path(cells[0]).name]
        assert expected[5] == cells[5]
        assert cells[6] in ("", expected[6])
        assert "" == cells[4]


def test_plan_tells_what_runs_in_parallel(sawlog, demo):
    """Splits per file and why, before anything is read."""
    ran = sawlog("plan", "volume", *demo.glob("maillog*"), "--split-size", "100kB")

    assert 0 == ran.code
    assert "byte ranges" in ran.out
    assert "splits of 5 files" in ran.err


def test_jobs_lists_what_there_is_to_ask(sawlog):
    """Every built-in job with its question."""
    ran = sawlog("jobs", "--to", "csv")

    assert (0, "job,question,by") == (ran.code, ran.out.splitlines()[0])
    assert any(row.startswith("volume,") for row in ran.out.splitlines())


def test_quiet_says_only_warnings(sawlog, log, demo):
    """-q: nothing on stderr unless there is a warning."""
    assert "" == sawlog("volume", *demo.glob("maillog*"), "-q").err
    assert "guessed" in sawlog("volume", log, "-q").err


def test_a_guessed_year_is_said_once(sawlog, log, tmp_path):
    """With nothing better than the file's time the years are called guessed; --year ends that."""
    assert 1 == sawlog("volume", log).err.count("guessed, from the file time")
    ran = sawlog("volume", log, "--year", 1999, "--to", "csv")
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


def test_hostile_text_never_reaches_the_terminal_raw(sawlog, tmp_path):
    """Escapes in names are shown, not run; CSV in a pipe stays exact."""
    path = tmp_path / "x"
    path.write_bytes(b"2007-12-26T00:00:00 \x1b[31mmx tag\x07: \x00\xff\n")

    assert "\x1b" not in sawlog("volume", path, "--by", "host,process").out
    assert "\x1b[31mmx" in sawlog("volume", path, "--by", "host", "--to", "csv").out


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "pipeline", *map(str, arguments)]


def test_a_closed_pipe_is_quiet(demo):
    """`| head` ends the run without a word, exit 0."""
    command = " ".join(
        _command("sql", "'SELECT message FROM lines'", *demo.glob("maillog*"), "--to", "csv", "-q")
    )
    ran = subprocess.run(
        ["bash", "-c", f"{command} | head -1; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        check=False,
    )

    assert (0, b"message\n", b"") == (ran.returncode, ran.stdout, ran.stderr)


@pytest.mark.parametrize("scheduler", ["inline", "threads"])
def test_ctrl_c_leaves_nothing_half_written(demo, tmp_path, scheduler):
    """Exit 130, no output file, no temporary file, soon."""
    big = tmp_path / "big"
    big.write_bytes((demo / "maillog").read_bytes() * 300)
    folder = tmp_path / "out"
    folder.mkdir()
    # Splits so small that the run would take a minute.
    process = subprocess.Popen(
        _command(
            "volume", big, "-o", folder / "v.csv", "--split-size", "2KiB", "--scheduler", scheduler
        ),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    time.sleep(2.0)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)

    assert 130 == process.returncode, err
    assert [] == list(folder.iterdir())
    assert b"Traceback" not in err


def test_help_names_every_command_and_imports_nothing_heavy():
    """--help is quick: neither DuckDB nor Arrow nor Dask is loaded for it."""
    code = (
        "import sys; from pipeline.cli import run_command_line\n"
        "run_command_line(['--help'])\n"
        "heavy = {'duckdb', 'pyarrow', 'dask', 'fsspec', 'zstandard', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert 0 == ran.returncode, ran.stderr
    for command in ("demo", "files", "jobs", "plan", "sql"):
        assert f" {command} " in ran.stdout


def test_a_small_log_imports_neither_dask_nor_fsspec(log):
    """One small input runs inline."""
    code = (
        "import sys; from pipeline.cli import run_command_line\n"
        f"assert run_command_line(['volume', {str(log)!r}, '-q', '--year', '2007']) == 0\n"
        "heavy = {'dask', 'fsspec', 'distributed', 'pandas', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )

    assert (0, "") == (ran.returncode, ran.stderr)


def test_year_on_standard_input_reads_all_of_it(sawlog, demo):
    """The newest line of a pipe is looked for, and then the pipe is read: no line is lost."""
    text = (demo / "maillog").read_bytes()
    for stored in (text, gzip.compress(text)):
        ran = sawlog(
            "sql",
            "SELECT count(*), max(day) FROM lines",
            "-",
            "--year",
            2008,
            "--to",
            "values",
            stdin=stored,
        )
        assert (0, f"{text.count(10)},2008-01-07\n") == (ran.code, ran.out)


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
def test_a_query_that_fails_on_a_line_is_no_traceback(sawlog, log, query):
    """What the data make impossible is the query's fault: exit 2 and what DuckDB says."""
    ran = sawlog("sql", query, log)

    assert 2 == ran.code
    assert "fails on some line" in ran.err
    assert "Traceback" not in ran.err


def test_brackets_of_where_must_balance(sawlog, log):
    """A typical mistake of quoting is refused, not run as something else."""
    assert 2 == sawlog("volume", log, "--where", "1=1) OR (1=1").code


def test_a_name_that_is_no_utf8(sawlog, tmp_path):
    """Every table and the account can show it."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff")).write_bytes(_LOG)

    assert 0 == sawlog("files", tmp_path, "--to", "csv").code
    assert 0 == sawlog("volume", tmp_path, "--account", tmp_path.parent / "a.json").code


def test_an_input_that_could_not_be_read_has_a_row_in_files(sawlog, log, tmp_path):
    """sawlog files names what is missing, and the account counts what is whole."""
    ran = sawlog("files", log, tmp_path / "nothere", "--to", "csv")

    assert 3 == ran.code
    assert f"{tmp_path / 'nothere'},,,,,,,,missing" in ran.out
    assert "1 of 2 files whole" in ran.err


def test_a_source_is_not_written_over(sawlog, log):
    """-o PATH that names a source is refused."""
    csv = log.with_suffix(".csv")
    csv.write_bytes(_LOG)

    assert 2 == sawlog("volume", csv, "-o", csv).code
    assert _LOG == csv.read_bytes()


def test_another_file_under_the_same_name_is_not_read(tmp_path):
    """logrotate renames files during a run: what was planned is read, or it is said."""
    from pipeline.errors import SourceError
    from pipeline.source import find_sources, open_stored

    path = tmp_path / "maillog"
    path.write_bytes(_LOG)
    (file,) = find_sources([str(path)]).files
    path.rename(tmp_path / "maillog.1")
    path.write_bytes(_LOG)

    with pytest.raises(SourceError, match="changed"):
        open_stored(file)


def test_closed_and_full_streams(log):
    """Closed descriptors and a full disk behind stdout are no tracebacks."""
    for redirect, code in ((">&-", 0), ("2>&-", 0), ("<&-", 0), (">/dev/full", 1)):
        command = " ".join(_command("volume", log, "--to", "csv", "--year", 2007, "-q"))
        ran = subprocess.run(
            ["bash", "-c", f"{command} {redirect}"], capture_output=True, text=True, check=False
        )
        assert (code, False) == (ran.returncode, "Traceback" in ran.stderr), (redirect, ran.stderr)
