"""What starts a job file every night: systemd's units, or a line of a crontab."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import OutputError, UsageError

if TYPE_CHECKING:
    from pipeline.schedule.jobfile import JobFile

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_AT = re.compile(rf"(?:({'|'.join(_DAYS)})\s+)?(\d\d?):(\d\d)", re.IGNORECASE)
#: What a unit may be called; anything else would need systemd's escapes.
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class Moment:
    """When a run begins: every hour, day, or week, in the machine's time."""

    minute: int
    hour: int | None = None
    day: str | None = None

    @property
    def calendar(self) -> str:
        """As systemd's OnCalendar wants it."""
        day = f"{self.day} " if self.day else ""
        hour = "*" if self.hour is None else f"{self.hour:02}"
        return f"{day}*-*-* {hour}:{self.minute:02}:00"

    @property
    def fields(self) -> str:
        """The five fields of a crontab."""
        hour = "*" if self.hour is None else self.hour
        day = "*" if self.day is None else (_DAYS.index(self.day) + 1) % 7
        return f"{self.minute} {hour} * * {day}"


def read_moment(text: str) -> Moment:
    """Read ``03:17``, ``Mon 03:17`` or ``hourly``.

    Raises
    ------
    UsageError
        It is none of them.
    """
    if text.strip().lower() == "hourly":
        return Moment(17)
    match = _AT.fullmatch(text.strip())
    if match is None or int(match[2]) > 23 or int(match[3]) > 59:
        raise UsageError(f"--at takes 03:17, 'Mon 03:17' or hourly, got {text!r}")
    return Moment(int(match[3]), int(match[2]), match[1] and match[1].capitalize())


@dataclass(frozen=True, slots=True)
class Start:
    """A job file, the command that runs it, and when.

    Attributes
    ----------
    command : tuple of str
        Ends before the job file; its first word is an absolute path.
    path : Path
        Of the job file, absolute.
    is_mailed : bool
        What it prints is a message for sendmail.
    """

    name: str
    command: tuple[str, ...]
    path: Path
    moment: Moment
    is_mailed: bool = False

    @property
    def unit(self) -> str:
        """What its units are called, without suffix."""
        return f"sawlog-{_NOT_IN_NAMES.sub('-', self.name)}"

    @property
    def words(self) -> tuple[str, ...]:
        """The command line."""
        return (*self.command, "run", str(self.path))


def plan_start(asked: JobFile, moment: Moment) -> Start:
    """Return how a job file is started.

    Raises
    ------
    UsageError
        Its path can't stand in a unit or a crontab.
    """
    path = asked.path.absolute()
    start = Start(asked.name, _own_command(), path, moment, asked.settings.get("to") == "eml")
    for word in start.words:
        if not word.isprintable():
            raise UsageError(f"{word!r} can't stand in a schedule: rename it")
    return start


def _own_command() -> tuple[str, ...]:
    """Return the command that runs this program, whatever the PATH of the night is."""
    typed = shutil.which(sys.argv[0])
    if typed is not None and Path(typed).name.startswith("sawlog"):
        return (str(Path(typed).absolute()),)
    beside = Path(sys.executable).with_name("sawlog")
    if beside.exists():
        return (str(beside),)
    return (sys.executable, "-m", "pipeline")


def systemd_units(start: Start) -> dict[str, str]:
    """Return the texts of a service and its timer, by file name.

    A service that is running is not started again: it needs no lock.
    """
    command = " ".join(map(_systemd_word, _in_one(start) if start.is_mailed else start.words))
    said = start.path.name.replace("%", "%%")
    service = f"""\
# Made by: sawlog schedule {start.path} --as systemd
[Unit]
Description={said}, run by sawlog
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={command}
Nice=10
IOSchedulingClass=idle
NoNewPrivileges=yes
"""
    timer = f"""\
# Made by: sawlog schedule {start.path} --as systemd
[Unit]
Description={said}, started for sawlog

[Timer]
OnCalendar={start.moment.calendar}
# A night on which the machine was off is made up for.
Persistent=true

[Install]
WantedBy=timers.target
"""
    return {f"{start.unit}.service": service, f"{start.unit}.timer": timer}


def _in_one(start: Start) -> tuple[str, ...]:
    """Return the command with its message handed to sendmail; it fails where either does."""
    import shlex

    bash = shutil.which("bash")
    shell = (bash, "-o", "pipefail", "-c") if bash else ("/bin/sh", "-c")
    return (*shell, f"{shlex.join(start.words)} | {shlex.join(_sendmail())}")


def _sendmail() -> tuple[str, ...]:
    """Return the command that takes a message; it often lies outside of a user's PATH."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/lib"))
    return (shutil.which("sendmail", path=path) or "/usr/sbin/sendmail", "-t")


def cron_line(start: Start) -> str:
    """Return the line of a crontab; it locks the job file, so that no run meets the one before.

    Raises
    ------
    UsageError
        There is no command here that locks.
    """
    flock, lockf = shutil.which("flock"), shutil.which("lockf")
    path = _shell_word(str(start.path))
    if flock:
        # A lock on the job file itself: nothing is left behind by whatever ends a run.
        locked = f"{flock} -n {path}"
    elif lockf:
        locked = f"{lockf} -kst 0 {path}"
    else:
        raise UsageError("a cron line needs a lock: install flock (util-linux)")
    command = " ".join(map(_shell_word, start.words))
    piped = f" | {' '.join(_sendmail())}" if start.is_mailed else ""
    return f"{start.moment.fields} {locked} {command}{piped}"


def install_units(start: Start, *, of_user: bool) -> list[str]:
    """Put the units in place and start the timer; return what was done.

    Raises
    ------
    OutputError
        They can't be written, or systemd refuses them.
    """
    from pipeline.outputs.files import put_files

    folder = _unit_folder(of_user=of_user)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror}") from None
    units = systemd_units(start)
    for name, text in units.items():
        _check_ours(folder / name, text)
    writers = [
        (str(folder / name), lambda place, text=text: place.write_text(text, encoding="utf-8"))
        for name, text in units.items()
    ]
    put_files(writers)
    done = [str(folder / name) for name in units]
    systemctl = ["systemctl", *(["--user"] if of_user else [])]
    for words in (["daemon-reload"], ["enable", "--now", f"{start.unit}.timer"]):
        _call([*systemctl, *words], f"the units are in {folder}")
        done.append(" ".join([*systemctl, *words]))
    return done


def _check_ours(place: Path, text: str) -> None:
    """Refuse to write over a unit that starts something else."""
    first = text.partition("\n")[0]
    if place.exists() and first not in place.read_text("utf-8", "replace").splitlines():
        raise UsageError(f"{place} is there already, and not of this job file: rename the job file")


def install_cron(start: Start) -> list[str]:
    """Put the line into this user's crontab, in the place of one for the same file.

    Raises
    ------
    OutputError
        There is no crontab here, or it refuses.
    """
    mark = f"# sawlog schedule {start.path}"
    # Without one of this user it fails; whatever else it says must not cost the lines in it.
    before = _call(["crontab", "-l"], "nothing is changed", fine="no crontab").splitlines()
    if mark in before:  # its line stands below it
        at = before.index(mark)
        del before[at : at + 2]
    text = "\n".join([*before, mark, cron_line(start)]) + "\n"
    _call(["crontab", "-"], "nothing is changed", text=text)
    return [f"crontab: {cron_line(start)}"]


def _unit_folder(*, of_user: bool) -> Path:
    if not of_user:
        return Path("/etc/systemd/system")
    config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(config).expanduser() / "systemd" / "user"


def _call(words: list[str], state: str, text: str = "", *, fine: str = "") -> str:
    """Run a command; return what it prints, nothing where it fails with a message that is fine."""
    told = " ".join(words)
    try:
        ran = subprocess.run(words, input=text, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        raise OutputError(f"{told}: {error.strerror}" + f"; {state}" * bool(state)) from None
    if ran.returncode and not (fine and fine in ran.stderr):
        why = ran.stderr.strip() or f"exit code {ran.returncode}"
        raise OutputError(f"{told}: {why}" + f"; {state}" * bool(state))
    return ran.stdout if not ran.returncode else ""


def _systemd_word(word: str) -> str:
    """Return a word of ExecStart: % begins a specifier, $ a variable, quotes are C's."""
    word = word.replace("%", "%%").replace("$", "$$")
    if re.fullmatch(r"[\w@%+=:,./$-]+", word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _shell_word(word: str) -> str:
    """Return a word of a cron line: quoted for sh; % would be a line end to cron."""
    import shlex

    return shlex.quote(word).replace("%", r"\%")
