"""Jobs: a question in one file, found by its name among the built-in ones or by its path.

A job file is a SELECT under a header of comments: the question, then settings.

    -- How often was each stuck message tried again, per day?
    -- by: day, queue_id of day, host, queue_id, lower(relay) AS relay
    -- param: status VARCHAR = 'deferred'   which outcome to count
    -- chart: x=day y=attempts mark=bar

A report is a file with several questions. What its sections share stands before the first of them:
a ``WITH`` of the tables that they are made of, of which each takes those that it names.

    WITH tried AS (SELECT … FROM mail …)
    -- section: attempts   How often was it tried?
    SELECT … FROM tried …

What SQL cannot say goes into a Python module with ``RELATION``, ``COLUMNS``, ``map``, ``combine``
and ``finish`` over Arrow tables; its docstring is the question.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_SECTION = re.compile(r"^-- section:(.*)$", re.MULTILINE)
_SECTION_NAME = re.compile(r"\s*([\w-]+)(?:\s+(\S.*))?\s*$")
_ALIAS = re.compile(r"^(.*\S)\s+AS\s+(\w+)$", re.IGNORECASE | re.DOTALL)
_SETTING = re.compile(r"^(chart|param|by):\s*(.*)$")
#: How a chart is drawn; see `pipeline.charts.choose`.
MARKS = ("area", "bar", "heat", "line", "rank")
#: ``-- chart: none``: the table says it better.
NO_CHART = "none"
_CHART_PARTS = ("x", "y", "color", "mark", "title")
_CHART_PART = re.compile(r"(\w+)=('(?:[^']|'')*'|\S+)\s*")
_PARAM = re.compile(r"^(\w+)\s+([A-Za-z]+)\s*(?:=\s*('(?:[^']|'')*'|\S+))?\s*(.*)$")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that the user can set with ``-p NAME=VALUE``; ``default`` None: must be set."""

    name: str
    type: str
    default: object
    help: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """One question.

    Attributes
    ----------
    name : str
        Built-in name, or the stem of the file.
    question : str
        What it answers, one line.
    text : str
        The SQL as its author wrote it; empty for a Python job.
    path : Path or None
        Where it was read from; None for SQL typed at the command line.
    by, by_choices : tuple of str
        Columns it groups by unless told otherwise, and those it can group by.
    by_items : dict of str to str
        Each of these as the query says it: ``lower(relay) AS relay``.
    charts : tuple of str
        How it wants to be drawn, as written; a header line each.
    sections : tuple of Job
        Of a report: the questions that are asked in its place.
    tables : str or None
        Of a section: the ``WITH …`` that it shares with the others of its report.
    """

    name: str
    question: str
    text: str
    path: Path | None = None
    by: tuple[str, ...] = ()
    by_choices: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    charts: tuple[str, ...] = ()
    is_python: bool = field(default=False)
    by_items: Mapping[str, str] = field(default_factory=dict)
    sections: tuple[Job, ...] = ()
    tables: str | None = None

    def sql(self, by: Sequence[str] | None = None) -> str:
        """Return the SQL, grouped by other columns where ``by`` is given.

        Raises
        ------
        UsageError
            The job does not offer a choice, or not this column.
        """
        if by is None or tuple(by) == self.by:
            return self.text
        if not self.by:
            raise UsageError(f"the job {self.name!r} has no --by; its columns are fixed in its SQL")
        for column in by:
            if column not in self.by_choices:
                raise unknown_name(f"column for --by of {self.name}", column, self.by_choices)
        if len(set(by)) != len(by):
            raise UsageError(f"--by names a column twice: {', '.join(by)}")
        # The header promises that the list stands like this wherever the query groups by it.
        listed = (re.escape(self.by_items[name]) for name in self.by)
        # A name that is given to something else (AS …) is not what the query groups by.
        pattern = r"(?<!\w)(?<!\bAS\s)" + r"\s*,\s*".join(listed) + r"(?!\w)"
        wanted = ", ".join(self.by_items[name] for name in by)
        head, body = _parted(self.text)
        return head + re.sub(pattern, lambda _: wanted, body, flags=re.IGNORECASE)

    def values(self, given: Mapping[str, str]) -> dict[str, object]:
        """Return the value of each parameter, those given on the command line read by their type.

        Raises
        ------
        UsageError
            Unknown name, a value that is not of the type, a parameter without value.
        """
        known = {p.name: p for p in self.parameters}
        values = {p.name: p.default for p in self.parameters}
        for name, text in given.items():
            if known and name not in known:
                raise unknown_name(f"parameter of {self.name}", name, known)
            values[name] = (
                _read_value(known[name].type, text, name) if name in known else _guess(text)
            )
        for name, value in values.items():
            if value is None:
                raise UsageError(f"the job {self.name!r} needs -p {name}=VALUE: {known[name].help}")
        return values


def builtin_jobs() -> dict[str, Path]:
    """Return the built-in jobs, by name."""
    import jobs

    folder = Path(jobs.__file__).parent
    return {
        path.stem: path
        for path in sorted(folder.iterdir())
        if path.suffix in (".sql", ".py") and not path.stem.startswith("_")
    }


def find_job(name: str) -> Job:
    """Return a built-in job by its name, or the job in a file by its path.

    Raises
    ------
    UsageError
        There is no such job; the message names the nearest.
    """
    builtin = builtin_jobs()
    if name in builtin:
        return read_job(builtin[name])
    if name.endswith((".sql", ".py")) or "/" in name:
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"there is no job file {name!r}")
        return read_job(path)
    raise unknown_name("job", name, builtin)


def read_job(path: Path) -> Job:
    """Read a job file.

    Raises
    ------
    UsageError
        It can't be read, or its header is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the job file {path} can't be read: {error}") from error
    if path.suffix == ".py":
        return Job(path.stem, _docstring(path, text), "", path, is_python=True)
    return sql_job(path.stem, text, path)


def sql_job(name: str, text: str, path: Path | None = None) -> Job:
    """Return the job or the report that an SQL text with an optional header makes.

    Raises
    ------
    UsageError
        A header line is wrong, or what a report consists of.
    """
    begin = _SECTION.search(text)
    if begin is None:
        return _one_job(name, text, path)
    shared = text[: begin.start()]
    whole = _one_job(name, shared, path)
    tables = _parted(shared)[1]
    if tables.strip() and not re.match(r"\s*WITH\b", tables, re.IGNORECASE):
        raise UsageError(
            f"the report {name!r} begins with something else than a WITH of the tables that its "
            "sections share; a SELECT of its own needs a line '-- section: NAME   question' above"
        )
    settings = "".join(f"-- param: {line}\n" for line in _said(shared, "param"))
    sections: dict[str, Job] = {}
    places = [*_SECTION.finditer(text)]
    ends = [*(place.start() for place in places[1:]), len(text)]
    for place, end in zip(places, ends, strict=True):
        named = _SECTION_NAME.match(place[1])
        if named is None:
            raise UsageError(
                f"the report {name!r} has a wrong line: {place[0]!r}. It reads "
                "-- section: NAME   question, and a name is of letters, digits, '_' and '-'"
            )
        if named[1] in sections:
            raise UsageError(f"the report {name!r} has two sections that are called {named[1]!r}")
        own = text[place.end() : end].lstrip()
        if not _parted(own)[1].strip():
            raise UsageError(f"the section {named[1]!r} of the report {name!r} has no SELECT")
        section = _one_job(named[1], f"-- {named[2] or ''}\n{settings}{own}", path)
        sections[named[1]] = replace(section, tables=tables)
    return replace(whole, sections=tuple(sections.values()))


def with_sections(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs, and in place of each report its sections.

    Raises
    ------
    UsageError
        Two of them have one name: their results could not be told apart.
    """
    every = [one for job in jobs for one in (job.sections or (job,))]
    names = [job.name for job in every]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two jobs, or sections of reports, are called {name!r}")
    return every


def _said(text: str, setting: str) -> list[str]:
    """Return the values of a setting in the header of a text."""
    lines = (line.strip().removeprefix("--").strip() for line in _parted(text)[0].splitlines())
    found = map(_SETTING.match, lines)
    return [match[2] for match in found if match is not None and match[1] == setting]


def _one_job(name: str, text: str, path: Path | None) -> Job:
    head, _ = _parted(text)
    question: list[str] = []
    by: dict[str, str] = {}
    choices: dict[str, str] = {}
    parameters = []
    charts = []
    for line in head.splitlines():
        said = line.strip().removeprefix("--").strip()
        setting = _SETTING.match(said)
        if setting is None:
            question.append(said)
        elif setting[1] == "chart":
            if setting[2] != NO_CHART:
                read_chart(setting[2])
            charts.append(setting[2])
        elif setting[1] == "by":
            first, _, rest = setting[2].partition(" of ")
            by = _items(first)
            choices = _items(rest) or by
        else:
            parameters.append(_parameter(setting[2], name))
    return Job(
        name,
        " ".join(filter(None, question)),
        text,
        path,
        tuple(by),
        tuple(choices),
        tuple(parameters),
        tuple(charts),
        by_items=choices | by,
    )


def read_chart(text: str) -> dict[str, str]:
    """Read a header line.

    Raises
    ------
    UsageError
        It is not of the form ``x=… y=… color=… mark=… title='…'``.
    """
    parts: dict[str, str] = {}
    at = 0
    while found := _CHART_PART.match(text, at):
        name, value = found[1], found[2]
        if name not in _CHART_PARTS:
            raise unknown_name("part of a chart", name, _CHART_PARTS)
        parts[name] = value[1:-1].replace("''", "'") if value.startswith("'") else value
        at = found.end()
    if at != len(text) or "x" not in parts or "y" not in parts:
        raise UsageError(
            f"wrong header line '-- chart: {text}'. It reads x=COLUMN y=COLUMN, and where wanted "
            "color=COLUMN mark=bar title='…'"
        )
    if parts.get("mark", "bar") not in MARKS:
        raise unknown_name("mark of a chart", parts["mark"], MARKS)
    return parts


def _parted(text: str) -> tuple[str, str]:
    """Return the comments at the top of an SQL text, and the rest."""
    end = 0
    for line in text.splitlines(keepends=True):
        if line.strip() and not line.lstrip().startswith("--"):
            break
        end += len(line)
    return text[:end], text[end:]


def _items(text: str) -> dict[str, str]:
    """Return the items of a list, by name: a column, or ``expression AS name``."""
    items: dict[str, str] = {}
    begin = depth = 0
    for at, character in enumerate(f"{text},"):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            item = text[begin:at].strip()
            begin = at + 1
            alias = _ALIAS.match(item)
            if item:
                items[alias[2] if alias else item] = item
    return items


def _parameter(text: str, job: str) -> Parameter:
    match = _PARAM.match(text)
    if match is None:
        raise UsageError(
            f"the job {job!r} has a wrong header line: '-- param: {text}'. "
            "It reads NAME TYPE = DEFAULT   help"
        )
    name, kind, default, help_text = match.groups()
    if default is None:
        return Parameter(name, kind.upper(), None, help_text)
    if default.startswith("'"):
        default = default[1:-1].replace("''", "'")
    return Parameter(name, kind.upper(), _read_value(kind.upper(), default, name), help_text)


def _read_value(kind: str, text: str, name: str) -> object:
    """Read a parameter's value by its declared type."""
    readers: dict[str, Callable[[str], object]] = {
        "VARCHAR": str,
        "INTEGER": int,
        "BIGINT": int,
        "DOUBLE": float,
        "BOOLEAN": _read_boolean,
        "DATE": date.fromisoformat,
        "TIMESTAMP": datetime.fromisoformat,
    }
    if kind not in readers:
        raise unknown_name("parameter type", kind, readers)
    try:
        return readers[kind](text)
    except ValueError as error:
        raise UsageError(f"the value of parameter {name!r} is no {kind}: {text!r}") from error


def _read_boolean(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0", "yes", "no"):
        raise ValueError(text)
    return text.lower() in ("true", "1", "yes")


def _guess(text: str) -> object:
    """Read a value whose type nobody declared: a number where it looks like one."""
    for reader in (int, float):
        try:
            return reader(text)
        except ValueError:
            continue
    return text


def _docstring(path: Path, text: str) -> str:
    try:
        found = ast.get_docstring(ast.parse(text))
    except SyntaxError as error:
        raise UsageError(f"the job file {path} is no Python: {error}") from error
    return (found or "").split("\n\n")[0].replace("\n", " ")
