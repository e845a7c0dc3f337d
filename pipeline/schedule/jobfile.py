"""Job files: a command line of ``sawlog`` as TOML, for runs that repeat.

    jobs = ["mail", "stuck.sql"]
    sources = ["/var/log/maillog*"]
    since = "7d"
    output = ["mail-{date}.html"]

    [[alert]]
    sql = "SELECT queue_id, attempts FROM stuck WHERE attempts > 10000"

Each key is the long name of an option of the jobs, with ``_`` or ``-``; its value is what would be
typed behind it: a list for an option that can be given again and again, a table for NAME=VALUE,
true for a switch. Nothing else is known here of any option, so that a new one is a key at once.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date, datetime, time
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Keys that are no options.
_JOBS, _SOURCES = "jobs", "sources"
#: What options take that name a place. In a job file it is seen from the file: whatever starts the
#: run at night starts it in some other folder.
_PLACES = frozenset({"DIR", "FILE", "FILE.prom", "KEYFILE", "PATH", "URL"})


@dataclass(frozen=True, slots=True)
class JobFile:
    """A job file, read; its keys are checked when the options of its jobs are known.

    Attributes
    ----------
    path : Path
        As the user named it.
    jobs : str
        As at the command line: built-in names and paths, with commas.
    sources : tuple of str
        What to read.
    settings : mapping of str to object
        All other keys, with ``_``.
    """

    path: Path
    jobs: str
    sources: tuple[str, ...]
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What the run is called in metrics, units and messages."""
        return self.path.stem

    def options(self, parameters: Sequence[click.Parameter]) -> dict[str, Any]:
        """Return the values of options by the names that click gives them.

        Parameters
        ----------
        parameters : sequence of click.Parameter
            Of the command that runs the jobs.

        Raises
        ------
        UsageError
            A key is no option, or its value is none that the option could have.
        """
        options = {
            name.removeprefix("--").replace("-", "_"): one
            for one in parameters
            if isinstance(one, click.Option)
            for name in one.opts
            if name.startswith("--")
        }
        values: dict[str, Any] = {}
        for key, value in self.settings.items():
            if key not in options:
                raise unknown_name("key", key, [*options, _JOBS, _SOURCES])
            option = options[key]
            try:
                read = _read(option, value)
            except TypeError as error:
                raise UsageError(f"{key} takes {error}, got {value!r}") from None
            # A name may be that of a file, too: --cluster NAME|PROFILE.toml.
            if option.metavar in _PLACES or str(read).endswith(".toml"):
                read = [self._place(one) for one in read] if option.multiple else self._place(read)
            assert option.name is not None
            values[option.name] = read
        return values

    def _place(self, place: str) -> str:
        return seen_from(self.path.parent, place.replace("{date}", f"{date.today()}"))  # noqa: DTZ011  # the user's


def read_job_file(name: str) -> JobFile:
    """Read a job file.

    Raises
    ------
    UsageError
        It can't be read, is no TOML, or says not what to ask, or of what.
    """
    path = Path(name)
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the job file can't be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the job file is no TOML: {error}") from None
    settings = {key.replace("-", "_"): value for key, value in settings.items()}
    jobs, sources = (_words(key, settings.pop(key, None)) for key in (_JOBS, _SOURCES))
    if not jobs:
        for wrong in get_close_matches(_JOBS, settings, 1):
            raise UsageError(f"it has no key {wrong!r}. Did you mean {_JOBS!r}?")
        near = f'{_JOBS} = ["volume"]'
        raise UsageError(f"it says not what to ask: {near}, or any that `sawlog jobs` lists")
    folder = path.parent
    asked = [one.strip() for job in jobs for one in job.split(",")]
    found = [seen_from(folder, one) if one.endswith((".sql", ".py")) else one for one in asked]
    return JobFile(path, ",".join(found), tuple(seen_from(folder, s) for s in sources), settings)


def seen_from(folder: Path, place: str) -> str:
    """Return a path in a file as seen from outside of it; a URL and ``-`` are as they are."""
    if "://" in place or place in ("", "-"):
        return place
    whole = str(folder / Path(place).expanduser())
    return whole + "/" * place.endswith("/")


def _words(key: str, value: object) -> list[str]:
    words = [value] if isinstance(value, str) else value if value is not None else []
    if not isinstance(words, list) or not all(isinstance(one, str) for one in words):
        raise UsageError(f"{key} takes a list of texts, got {value!r}")
    return words


def _read(option: click.Option, value: object) -> Any:
    """Return a value as click would have it.

    Raises
    ------
    TypeError
        It is of another kind; says of which it must be.
    """
    metavar = option.metavar or ""
    if option.is_flag:
        if not isinstance(value, bool):
            raise TypeError("true or false")
        return value
    if option.multiple:
        if "=" in metavar and isinstance(value, dict):
            return [f"{name}={_text(one, metavar)}" for name, one in value.items()]
        items = value if isinstance(value, list) else [value]
        if option.type is click.UNPROCESSED:  # what may be a table is read where it is used
            return items
        return [_text(one, f"{metavar}, or a list of them") for one in items]
    if isinstance(option.type, click.types.IntParamType):
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError("a number")
        return value
    if isinstance(value, list) and "," in metavar:
        return ",".join(_text(one, metavar) for one in value)
    return _text(value, metavar or "a text")


def _text(value: object, wanted: str) -> str:
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float | date | time):
        return str(value)
    raise TypeError(wanted)
