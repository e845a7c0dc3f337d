"""`sawlog SOURCE…`: one screen, by golden cases and on the demo archive."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cli import commands
from pipeline.investigation.overview_files import find_missing
from pipeline.investigation.surge_text import wrap_text
from pipeline.outputs.table import measure_cells
from tests.support.day_logs import write_log
from tests.support.processes import read_terminal, sawlog_command

CASES = Path(__file__).parent / "cases" / "overview"


@pytest.fixture(autouse=True)
def _usual_width(monkeypatch):
    """Whatever the terminal that runs the tests."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.mark.parametrize("path", sorted(CASES.glob("*.toml")), ids=lambda path: path.stem)
def test_case(sawlog, tmp_path, path, monkeypatch):
    """The screen is what the case says, however small the splits are."""
    case = tomllib.loads(path.read_text(encoding="utf-8"))
    (tmp_path / "log").write_bytes(write_log(case["lines"]))
    monkeypatch.chdir(tmp_path)

    for split_bytes in (1 << 40, 30_000):
        ran = sawlog("./log", *case.get("args", []), "--split-size", split_bytes)
        assert (0, case["output"]) == (ran.code, ran.out.replace("./log", "log")), ran.err


def test_the_demo_archive_tells_its_story(sawlog, demo):
    """Day, factor, processes, messages, the one that is tried most, and the list that wrote it."""
    story = json.loads((demo / "truth" / "story.json").read_text())

    ran = sawlog(*sorted(demo.glob("maillog*")))
    text = re.sub(r"\n {9,}", " ", ran.out)

    assert 0 == ran.code
    assert f"from Wed {story['surge_day']}" in text
    assert re.search(r"CHANGED .*, × \d+\.\d; ", text)
    assert re.search(r"\n postfix/smtp .*\n postfix/qmgr .*\n postfix/smtpd .* 0 %\n", ran.out)
    assert f"{story['stuck_messages']} of them from <>" in text
    counts = " · ".join(
        f"{int(day[5:7])}/{int(day[8:])} {n}" for day, n in story["attempts"].items()
    )
    assert f"{story['queue_id']} → {story['forged_sender']}: {counts}, given up after 5 d" in text
    assert re.search(rf"CAUSE +backscatter: \d+ % .* {re.escape(story['list_address'])}", text)
    assert f"about {story['waiting_at_end']} waiting" in text
    assert "postfix/smtpd" in text.partition("NOT IT")[2].partition("\n")[0]


def test_the_demo_archive_as_tables(sawlog, demo):
    """--to json has all of it, --to csv the screen by sections."""
    story = json.loads((demo / "truth" / "story.json").read_text())
    sources = sorted(demo.glob("maillog*"))
    truth = list(csv.DictReader(io.StringIO((demo / "truth" / "files.csv").read_text())))

    found = json.loads(sawlog(*sources, "--to", "json").out)
    screen = list(csv.DictReader(io.StringIO(sawlog(*sources, "--to", "csv").out)))

    assert ("backscatter", story["list_address"]) == tuple(found["causes"][0].values())[:2]
    assert story["stuck_messages"] == found["queue"][0]["stuck_from_nobody"]
    sizes = {one["file"]: (one["bytes"], one["first"], one["last"]) for one in found["files"]}
    assert sizes == {
        row["file"]: (int(row["plain_bytes"]), row["first"], row["last"]) for row in truth
    }
    sections = list(dict.fromkeys(row["section"] for row in screen))
    assert ["LOG", "CHANGED", "WHY", "QUEUE", "CAUSE", "NOT IT", "NEXT"] == sections


@pytest.mark.parametrize("option", ["--since=2007-12-20", "--since 2007-12-20", "-q"])
def test_options_may_stand_before_the_sources(sawlog, demo, option):
    """As they may behind them."""
    source = demo / "maillog.1"

    before = sawlog(*option.split(), source)

    assert before.code == 0
    assert before.out == sawlog(source, *option.split()).out


@pytest.mark.parametrize("job", ["volume", "formats", "volume,rejects"])
def test_options_before_a_job_are_no_overview(sawlog, demo, job):
    """Whoever types them means the job."""
    ran = sawlog("--to", "csv", job, demo / "maillog")

    assert (2, "") == (ran.code, ran.out)
    assert f"sawlog {job} …" in ran.err


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 200])
def test_no_line_is_wider_than_the_screen(sawlog, demo, width, monkeypatch):
    """Down to narrow ones; but for commands to be typed, which must be whole, and the axis."""
    monkeypatch.setenv("COLUMNS", str(width))

    ran = sawlog(*sorted(demo.glob("maillog*")))

    lines = ran.out.splitlines()
    body = lines[: lines.index("NEXT")]
    assert max(map(measure_cells, body)) <= max(width, 60)
    if width >= 100:
        assert len(lines) <= 40


def test_there_is_colour_on_a_terminal_only(demo):
    """Escape sequences never reach a pipe, and no terminal that asks for none."""
    sources = [str(path) for path in sorted(demo.glob("maillog*"))]

    piped = subprocess.run(sawlog_command(*sources, "-q"), capture_output=True, check=True).stdout

    assert b"\x1b" not in piped
    assert b"\x1b[" in _run_on_terminal(sources, {"TERM": "xterm"})
    assert b"\x1b[36m" not in _run_on_terminal(sources, {"TERM": "xterm", "NO_COLOR": "1"})


def _run_on_terminal(sources: list[str], environment: dict[str, str]) -> bytes:
    master, slave = pty.openpty()
    with subprocess.Popen(
        sawlog_command(*sources, "-q"),
        stdout=slave,
        env={**os.environ, "COLUMNS": "100", **environment},
    ) as process:
        os.close(slave)
        said = read_terminal(master)
    assert 0 == process.returncode
    return said


def test_names_from_the_log_are_harmless(sawlog, tmp_path):
    """Hosts, processes, addresses and queue ids cannot move the cursor or turn lines round."""
    log = tmp_path / "log"
    evil = "\x1b[2J\x1b]0;owned\x07\u202e"
    lines = []
    for n in range(600):
        stamp = f"2024-03-{1 + n // 50:02}T12:{n % 60:02}:00 h{evil}x"
        times = 1 if n < 300 else 9
        for _ in range(times):
            lines.append(
                f"{stamp} postfix/smtp[7]: 4A1B2C3D4E5: to=<{evil}@example.org>, relay=none, delay=1, dsn=4.4.1, status=deferred ({evil} timed out)\n"
            )
            lines.append(f"{stamp} p{evil}[8]: {evil}\n")
    log.write_text("".join(lines), encoding="utf-8")

    for to in ("table", "json", "csv", "markdown"):
        ran = sawlog(log, "--to", to)
        assert 0 == ran.code
        if to != "csv":  # exact, but for terminals
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", ran.out), to
        assert "\x1b" not in ran.err


def test_what_is_proposed_can_be_run(sawlog, demo):
    """Every command below NEXT is one, with the sources in one pattern, and ends well."""
    sources = [str(path) for path in sorted(demo.glob("maillog*"))]

    ran = sawlog(*sources)
    proposed = re.findall(
        r"^ sawlog (\S+) (.*?)(?:   .*)?$", ran.out.partition("NEXT")[2], re.MULTILINE
    )

    assert proposed
    for name, rest in proposed:
        assert f"{demo}/maillog*" == rest.split()[-1]
        assert name in commands.commands or name in ("mail", "volume")


@pytest.mark.parametrize("first", ["maillog", "./maillog", "mail*", "-"])
def test_a_source_in_the_place_of_a_job_is_looked_at(sawlog, demo, monkeypatch, first):
    """A file, a glob, standard input; what is a job's name is the job."""
    monkeypatch.chdir(demo)
    ran = sawlog(first, "-q", stdin=(demo / "maillog").read_bytes())

    assert 0 == ran.code
    assert "host mx1" in ran.out


def test_a_job_goes_before_a_file_of_its_name(sawlog, tmp_path, monkeypatch):
    """./volume is the file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "volume").write_text("2024-03-01T12:00:00 a b[1]: c\n")

    assert "day,process,lines,bytes\n" in sawlog("volume", "./volume", "--to", "csv").out
    assert "host a" in sawlog("./volume").out
    assert 2 == sawlog("volum").code


@pytest.mark.parametrize(
    ("args", "said"),
    [(["--by", "day"], "no --by"), (["-o", "x.pdf"], "kind of output"), (["--top", "0"], "--top")],
)
def test_wrong_use_is_told(sawlog, demo, args, said):
    """Exit 2."""
    ran = sawlog(demo / "maillog", *args)

    assert 2 == ran.code
    assert said in ran.err


def test_filters_hold(sawlog, demo):
    """--process and --where keep lines, of which no messages are made; the rest is told."""
    for arguments in (["--process", "postfix/smtp"], ["--where", "process = 'postfix/smtp'"]):
        ran = sawlog(*sorted(demo.glob("maillog*")), *arguments)
        assert 0 == ran.code, ran.err
        assert "QUEUE" not in ran.out
        assert "100 %" in ran.out


def test_pseudonyms_hide_who_it_was(sawlog, demo, tmp_path):
    """The list, the forged sender and the host that refuses are tokens, everywhere."""
    story = json.loads((demo / "truth" / "story.json").read_text())
    (tmp_path / "key").write_bytes(bytes(32))
    (tmp_path / "key").chmod(0o600)

    for to in ("table", "json"):
        ran = sawlog(*sorted(demo.glob("maillog*")), "--to", to, "--pseudonymise", tmp_path / "key")
        assert "backscatter" in ran.out
        for name in (story["list_address"], story["forged_sender"], "uk.psi.example"):
            assert name not in ran.out


def test_a_text_without_stamps_is_told(sawlog, tmp_path):
    """Exit 0: all lines were counted."""
    (tmp_path / "log").write_text("hello\nworld\n")

    ran = sawlog(tmp_path / "log")

    assert 0 == ran.code
    assert "no line has a time stamp" in ran.out


def test_an_empty_file_is_told(sawlog, tmp_path):
    """There is nothing in it, and no failure."""
    (tmp_path / "log").touch()

    ran = sawlog(tmp_path / "log")

    assert 0 == ran.code
    assert "there is nothing in it" in ran.out


def test_missing_numbers_of_a_rotated_set_are_named():
    """What lies between the numbers that are there."""
    names = [f"/v/maillog{suffix}" for suffix in ("", ".1", ".2.gz", ".5.gz")]

    assert ["maillog.3", "maillog.4"] == find_missing(names)
    assert [] == find_missing(["/v/maillog", "/v/maillog-20240101"])


@settings(max_examples=50)
@given(st.text(st.sampled_from("ab \x00漢→"), max_size=60), st.integers(8, 30))
def test_wrapped_text_is_whole(text, width):
    """Nothing is lost but spaces, and no line is wider."""
    lines = wrap_text(text, width)

    assert re.sub(r"[\s\0]", "", text) == re.sub(r"\s", "", "".join(lines))
    assert all(measure_cells(line) <= width for line in lines)
