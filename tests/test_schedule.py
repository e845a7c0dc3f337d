"""What starts a job file at night: units that systemd accepts, cron lines that a shell reads."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.schedule.jobfile import JobFile
from pipeline.schedule.start import Moment, Start, cron_line, plan_start, read_moment, systemd_units

_ODD = """a b%c$d;it's "q" \\x"""
_JOB = 'jobs = "volume"\nsources = "maillog"\n'


@pytest.fixture
def job_file(tmp_path) -> Path:
    path = tmp_path / "mail.toml"
    path.write_text(_JOB)
    return path


@pytest.fixture
def programs(tmp_path, monkeypatch) -> Path:
    """A folder in front of the PATH, and a home."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return folder


def write_program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(
    ("text", "calendar", "fields"),
    [
        ("03:17", "*-*-* 03:17:00", "17 3 * * *"),
        ("0:05", "*-*-* 00:05:00", "5 0 * * *"),
        ("hourly", "*-*-* *:17:00", "17 * * * *"),
        ("mon 23:59", "Mon *-*-* 23:59:00", "59 23 * * 1"),
        ("Sun 04:00", "Sun *-*-* 04:00:00", "0 4 * * 0"),
    ],
)
def test_moments(text, calendar, fields):
    """A time of day, of a week, or every hour; as each of the two writes it."""
    assert (calendar, fields) == (read_moment(text).calendar, read_moment(text).fields)
    if shutil.which("systemd-analyze"):
        subprocess.run(["systemd-analyze", "calendar", calendar], check=True, capture_output=True)


@pytest.mark.parametrize(
    "text", ["24:00", "3:60", "noon", "", "Mon", "Mon 3", "03:17\n* * * * * x"]
)
def test_moments_that_are_none(text):
    """Anything else is refused."""
    with pytest.raises(UsageError, match="--at takes"):
        read_moment(text)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
@pytest.mark.parametrize("name", ["mail", _ODD])
@pytest.mark.parametrize("to", ["table", "eml"])
def test_systemd_accepts_the_units(name, to, tmp_path):
    """Whatever the file is called, and what it prints is mailed or not."""
    folder = tmp_path / _ODD
    folder.mkdir()
    asked = JobFile(folder / f"{name}.toml", "volume", (), {"to": to})
    units = systemd_units(plan_start(asked, Moment(17, 3)))
    for unit, text in units.items():
        (tmp_path / unit).write_text(text)

    ran = subprocess.run(
        ["systemd-analyze", "verify", *(tmp_path / unit for unit in units)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (0, "") == (ran.returncode, ran.stderr)
    assert {".service", ".timer"} == {Path(unit).suffix for unit in units}


def read_exec(text: str) -> list[str]:
    """Read ExecStart as systemd.service(5) says: quotes and escapes of C, %% and $$."""
    (line,) = [one for one in text.splitlines() if one.startswith("ExecStart=")]
    words, word, quoted, characters = [], None, False, iter(line.removeprefix("ExecStart="))
    for c in characters:
        if c == "\\" and quoted:
            word = (word or "") + next(characters)
        elif c == '"' and (quoted or word is None):
            quoted, word = not quoted, word or ""
        elif c == " " and not quoted:
            words.append(word)
            word = None
        else:
            assert c not in "%$" or c == next(characters)
            word = (word or "") + c
    return [*words, word]


_names = st.text(st.sampled_from("ab %$'\"\\;|&*~#!`(){}<>=é"), min_size=1, max_size=8)


@given(name=_names)
def test_any_path_reaches_the_command_as_it_is(name):
    """Of the unit and of the cron line, whatever the characters mean to systemd, cron or sh."""
    start = Start("x", ("/usr/bin/printf", "%s."), Path(f"/etc/{name}.toml"), Moment(17, 3))
    wanted = ["/usr/bin/printf", "%s.", "run", f"/etc/{name}.toml"]

    assert wanted == read_exec(systemd_units(start)["sawlog-x.service"])

    line = cron_line(start)
    command = line.split(" ", 5)[5]
    assert "%" not in command.replace(r"\%", "")  # cron makes a line end of a bare one
    locked = shlex.split(command.replace(r"\%", "%"))
    assert wanted == locked[-4:]
    assert f"/etc/{name}.toml" in locked[1:-4]


def test_names_that_can_end_a_line_are_refused(tmp_path):
    """A file's name could else add a line of its own to a crontab or a unit."""
    asked = JobFile(tmp_path / "a\n* * * * * evil.toml", "volume", (), {})

    with pytest.raises(UsageError, match="can't stand in a schedule"):
        plan_start(asked, Moment(17, 3))


def test_printing_changes_nothing(sawlog, job_file, tmp_path):
    """Without --install the units, or the line, are printed."""
    units = sawlog("schedule", job_file, "--at", "04:05")
    line = sawlog("schedule", job_file, "--as", "cron", "--at", "Mon 04:05")

    assert (0, 0) == (units.code, line.code)
    assert "OnCalendar=*-*-* 04:05:00\n" in units.out
    assert line.out.startswith("5 4 * * 1 ")
    assert line.out.endswith(f" run {job_file}\n")
    assert ["mail.toml"] == [one.name for one in tmp_path.iterdir()]


def test_a_cron_line_waits_for_no_other_run(sawlog, job_file, programs):
    """While one run holds the lock the next one does nothing."""
    if not shutil.which("flock"):
        pytest.skip("flock is not installed")
    command = sawlog("schedule", job_file, "--as", "cron").out.split(" ", 5)[5]
    command = command.replace(shlex.split(command)[3], "echo")

    free = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    with subprocess.Popen(
        ["flock", "-n", str(job_file), "sh", "-c", "echo held; read line"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as holder:  # fmt: skip
        assert "held\n" == holder.stdout.readline()
        held = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        holder.communicate("\n")

    assert (0, True) == (free.returncode, str(job_file) in free.stdout)
    assert (1, "") == (held.returncode, held.stdout)


def test_a_job_file_that_is_wrong_is_not_scheduled(sawlog, tmp_path):
    """What would fail at night fails now."""
    path = tmp_path / "mail.toml"
    for text in (_JOB + "tpo = 3\n", _JOB + 'to = "cvs"\n', 'jobs = "volum"\n'):
        path.write_text(text)
        ran = sawlog("schedule", path)
        assert (2, "") == (ran.code, ran.out)
        assert f"sawlog: {path}: " in ran.err


def test_units_are_installed_and_started(sawlog, job_file, programs, tmp_path):
    """Both files are in place before systemd is told; a second time the same again."""
    log = tmp_path / "calls"
    units = tmp_path / "config" / "systemd" / "user"
    write_program(programs / "systemctl", f'echo "$@" >> {log}; ls {units} >> {log}')

    for at in ("03:17", "04:05"):
        ran = sawlog("schedule", job_file, "--install", "--user", "--at", at)
        assert (0, "") == (ran.code, ran.err)

    both = "sawlog-mail.service\nsawlog-mail.timer\n"
    once = f"--user daemon-reload\n{both}--user enable --now sawlog-mail.timer\n{both}"
    assert 2 * once == log.read_text()
    assert "OnCalendar=*-*-* 04:05:00\n" in (units / "sawlog-mail.timer").read_text()


def test_units_of_another_job_file_stay(sawlog, job_file, programs, tmp_path):
    """Two files of one name would be one unit."""
    write_program(programs / "systemctl", "exit 0")
    other = tmp_path / "other" / "mail.toml"
    other.parent.mkdir()
    other.write_text(_JOB)
    sawlog("schedule", job_file, "--install", "--user")

    ran = sawlog("schedule", other, "--install", "--user")

    assert 2 == ran.code
    assert "rename the job file" in ran.err


def test_systemd_that_refuses_is_an_error(sawlog, job_file, programs):
    """The message says what was done and what was not."""
    write_program(programs / "systemctl", "echo 'Failed to connect to bus' >&2; exit 1")

    ran = sawlog("schedule", job_file, "--install", "--user")

    assert 1 == ran.code
    assert "daemon-reload: Failed to connect to bus; the units are in " in ran.err


def test_a_crontab_keeps_its_other_lines(sawlog, job_file, programs, tmp_path):
    """The line is added once, and replaced by the next installation."""
    table = tmp_path / "table"
    write_program(
        programs / "crontab",
        f'if [ "$1" = -l ]; then cat {table} 2>/dev/null || {{ echo "no crontab for me" >&2; exit 1; }}; '
        f"else cat > {table}; fi",
    )
    first = sawlog("schedule", job_file, "--as", "cron", "--install")
    table.write_text("MAILTO=me\n" + table.read_text() + "1 2 3 4 5 other\n")

    second = sawlog("schedule", job_file, "--as", "cron", "--install", "--at", "04:05")

    assert (0, 0) == (first.code, second.code)
    lines = table.read_text().splitlines()
    assert ["MAILTO=me", "1 2 3 4 5 other", f"# sawlog schedule {job_file}"] == lines[:3]
    assert lines[3].startswith("5 4 * * * ")
    assert 4 == len(lines)


def test_a_crontab_that_can_not_be_read_is_not_written(sawlog, job_file, programs, tmp_path):
    """Its other lines would be lost."""
    table = tmp_path / "table"
    write_program(
        programs / "crontab",
        f'if [ "$1" = -l ]; then echo "I/O error" >&2; exit 1; else cat > {table}; fi',
    )

    ran = sawlog("schedule", job_file, "--as", "cron", "--install")

    assert 1 == ran.code
    assert "crontab -l: I/O error; nothing is changed" in ran.err
    assert not table.exists()


def test_a_mail_is_handed_to_sendmail(sawlog, job_file, programs):
    """With to = "eml" what is printed is piped, and a failure of either end is one of the unit."""
    write_program(programs / "sendmail", "cat")
    job_file.write_text(_JOB + 'to = "eml"\nmail_to = "root"\n')

    unit = sawlog("schedule", job_file)
    line = sawlog("schedule", job_file, "--as", "cron")

    assert f"| {programs}/sendmail -t" in read_exec(unit.out)[-1]
    assert line.out.endswith(f" | {programs}/sendmail -t\n")
    if shutil.which("bash"):
        words = read_exec(unit.out)
        failing = words[-1].replace(shlex.split(words[-1])[0], "false", 1)
        assert 1 == subprocess.run([*words[:-1], failing], check=False).returncode
