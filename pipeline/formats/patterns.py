"""Formats of patterns: a relation by regular expressions or templates with named fields, in TOML.

Several patterns may stand in a file; the first that matches a line makes its row. They are matched
by RE2, which takes time in proportion to the length of a line, whoever wrote it.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.duck import quote
from pipeline.errors import UsageError, unknown_name
from pipeline.formats.base import Sample, load_toml_samples, quoted, scanned_name
from pipeline.formats.syslog import LINES
from pipeline.formats.times import check_format, offset_sql, time_sql

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.formats.base import RowReader
    from pipeline.kernels.scan import Scanner

#: Type of a field → its DuckDB type, and what a template takes for it.
TYPES: dict[str, tuple[str, str]] = {
    "word": ("VARCHAR", r"\S+"),
    "text": ("VARCHAR", r".*?"),
    "rest": ("VARCHAR", r".*"),
    "int": ("BIGINT", r"[+-]?\d+"),
    "float": ("DOUBLE", r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"),
    "bool": ("BOOLEAN", r"(?:true|false|yes|no|0|1)"),
    "ip": ("VARCHAR", r"[0-9A-Fa-f.:]+"),
    "quoted": ("VARCHAR", r'"(?:[^"\\]|\\.)*"'),
    # A time whose form is told is matched five times as fast as one that may be anything.
    "iso": (
        "VARCHAR",
        r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?",
    ),
    "epoch": ("VARCHAR", r"\d{9,19}(?:\.\d+)?"),
    "apache": ("VARCHAR", r"\d\d/\w\w\w/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}"),
    "time": ("VARCHAR", r".*?"),
}
#: Types whose text may begin with a space.
_LOOSE = ("text", "rest", "time")
#: Types of fields that tell the time, and how it is read where nothing else is said.
_TIMES = {"iso": "iso", "epoch": "auto", "apache": "apache", "time": "auto"}
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_FIELD = re.compile(r"\{([A-Za-z_]\w*)?(?::(\w+))?\}")
_KEYS = ("name", "regex", "template", "over", "process", "types", "time", "literal", "set")
_FILE_KEYS = ("name", "note", "pattern", "sample")
_OVER = ("line", "message")
#: No field can be called like these: they tell of the file.
_FIXED = ("file", "offset", "instant", "day", "hour", "month", "bytes", "pattern")


@dataclass(frozen=True, slots=True)
class Time:
    """How a field tells the time."""

    field: str
    formats: tuple[str, ...]
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern; the first of its format that matches makes the row.

    Attributes
    ----------
    regex : str
        For RE2, with named groups.
    over : int
        0: whole lines; 1: messages, and lines without a stamp; 2: messages of ``process``.
    literal : bytes
        Stands in every text that matches.
    process : tuple of str
        Globs of names of processes.
    types : tuple of (str, str)
        Field → DuckDB type.
    set : tuple of (str, str)
        Column → value of every row.
    """

    name: str
    regex: str
    over: int = 0
    literal: bytes = b""
    process: tuple[str, ...] = ()
    types: tuple[tuple[str, str], ...] = ()
    time: Time | None = None
    set: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class PatternFormat:
    """A relation by patterns; ``text`` is its file, for its samples."""

    name: str
    patterns: tuple[Pattern, ...]
    text: str = field(repr=False)
    needs: ClassVar[frozenset[str]] = frozenset({"text", "line", "process"})

    @property
    def columns(self) -> Mapping[str, str]:
        """Fields of all patterns and what they set, and which pattern it was."""
        found: dict[str, str] = {"pattern": "VARCHAR"}
        for pattern in self.patterns:
            found |= dict(pattern.types)
        for pattern in self.patterns:
            found |= {name: found.get(name, "VARCHAR") for name, _ in pattern.set}
        return found

    @property
    def condition(self) -> str:
        """A pattern matched."""
        return f"{self._scanned('pattern')} IS NOT NULL"

    def scanned(self, columns: frozenset[str], lines: frozenset[str]) -> frozenset[str]:
        """Return what the reader must build: which pattern, fields, and texts of times."""
        wanted = {"pattern"} | {name for name in columns if any(self._places(name))}
        wanted |= {f"set {name}" for name in columns if any(self._values(name))}
        if lines & {"time", "day", "utc_offset"}:
            wanted |= {one.time.field for one in self.patterns if one.time is not None}
        return frozenset(scanned_name(self.name, name) for name in wanted)

    def source(self, scanned: frozenset[str]) -> str:
        """Return the scanned table with the times of patterns in the place of the scanner's."""
        timed = [(k, one.time) for k, one in enumerate(self.patterns) if one.time is not None]
        replaced = scanned & {"time", "day", "utc_offset"}
        if not timed or not replaced:
            return "scanned"
        times, offsets = [], []
        for k, time in timed:
            text = self._scanned(time.field)
            found = f"WHEN {self._scanned('pattern')} = {quote(self.patterns[k].name)} THEN "
            times.append(f"{found} {time_sql(text, time.formats, time.locale)}")
            offsets.append(f"{found} {offset_sql(text, time.formats)}")
        made = f"CASE {' '.join(times)} END"
        sql = {
            "time": f"coalesce(made_time, {_of_lines('time', scanned)})",
            "day": f"coalesce(CAST(made_time AS DATE), {_of_lines('day', scanned)})",
            "utc_offset": f"CASE WHEN made_time IS NULL THEN {_of_lines('utc_offset', scanned)} "
            f"ELSE CASE {' '.join(offsets)} END END",
        }
        inner = f"SELECT *, {made} AS made_time FROM scanned"
        parts = ", ".join(f"{sql[name]} AS {name}" for name in sorted(replaced))
        return f"(SELECT * REPLACE ({parts}) FROM ({inner}))"

    def expressions(self, columns: frozenset[str]) -> dict[str, str]:
        """Return the SQL of each column: fields by their types, empty ones NULL."""
        made = {}
        for name, kind in self.columns.items():
            if name not in columns:
                continue
            parts = []
            if any(self._places(name)):
                text = f"nullif({self._scanned(name)}, '')"
                parts.append(text if kind == "VARCHAR" else f"TRY_CAST({text} AS {kind})")
            if any(self._values(name)):
                text = self._scanned(f"set {name}")
                parts.append(text if kind == "VARCHAR" else f"TRY_CAST({text} AS {kind})")
            if name == "pattern":
                parts = [f"CAST({self._scanned(name)} AS VARCHAR)"]
            if name in LINES:  # what a line itself tells counts where the pattern tells nothing
                parts.append(quoted(name))
            made[name] = f"coalesce({', '.join(parts)})" if len(parts) > 1 else parts[0]
        return made

    def reader(self, scanner: Scanner, columns: frozenset[str], max_rows: int) -> RowReader:
        """Return the reader of these columns."""
        from pipeline.formats.pattern_reader import PatternReader

        return PatternReader(self, scanner, columns, max_rows)

    def samples(self) -> list[Sample]:
        """Return the samples of the file."""
        return load_toml_samples(self.text)

    def _scanned(self, column: str) -> str:
        return quoted(scanned_name(self.name, column))

    def _places(self, column: str) -> list[bool]:
        return [any(column == name for name, _ in one.types) for one in self.patterns]

    def _values(self, column: str) -> list[str]:
        return [value for one in self.patterns for name, value in one.set if name == column]


def _of_lines(name: str, scanned: frozenset[str]) -> str:
    return name if name in scanned else "NULL"


def read_patterns(path: Path) -> PatternFormat:
    """Read a file of patterns.

    Raises
    ------
    UsageError
        It can't be read, is no TOML, or something in it is wrong. Names file, pattern and place.
    """
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from None
    _check_keys(str(path), document, _FILE_KEYS)
    name = document.get("name", path.stem.removesuffix("_format"))
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            f"{path}: name is that of a relation, of letters, digits and '_': name = \"app\""
        )
    tables = document.get("pattern")
    if not isinstance(tables, list) or not tables:
        raise UsageError(f"{path}: needs patterns, each as a table [[pattern]].")
    patterns = []
    for number, table in enumerate(tables, 1):
        called = table.get("name", f"{name}{number}")
        try:
            patterns.append(_pattern(str(called), table))
        except UsageError as error:
            raise UsageError(f"{path}: pattern {number} ({called!r}): {error}") from None
    made = PatternFormat(name, tuple(patterns), text)
    _check_together(path, made)
    return made


def _pattern(name: str, table: dict[str, Any]) -> Pattern:
    _check_keys("it", table, _KEYS)
    kinds: dict[str, str] = dict(table.get("types", {}))
    for kind in kinds.values():
        if kind not in TYPES:
            raise unknown_name("type", str(kind), TYPES)
    if ("regex" in table) == ("template" in table):
        raise UsageError("needs either a regex or a template.")
    if "template" in table:
        regex, literal, found = _read_template(table["template"])
        kinds = found | kinds
    else:
        regex, literal = table["regex"], b""
    groups = _check_regex(regex)
    literal = table["literal"].encode() if "literal" in table else literal
    process = table.get("process", ())
    process = (process,) if isinstance(process, str) else tuple(process)
    over = table.get("over", "line")
    if over not in _OVER:
        raise unknown_name("over", str(over), _OVER)
    time = _read_time(table["time"], groups) if "time" in table else None
    if time is None:
        told = (g for g in groups if kinds.get(g) in _TIMES)
        time = next((Time(g, (_TIMES[kinds[g]],)) for g in told), None)
    if time is not None and time.formats == ("syslog",):
        time = None
    for column in {**kinds, **table.get("set", {})}:
        if column in _FIXED:
            raise UsageError(f"no field can be called {column!r}: the line itself has that.")
    if missing := kinds.keys() - {*groups}:
        raise UsageError(f"types names {min(missing)!r}, which is no field of it.")
    types = [(g, TYPES[kinds.get(g, "word")][0]) for g in groups if not g.startswith("_")]
    if "time" in dict(types) and time is not None and time.field == "time":
        types = [(g, kind) for g, kind in types if g != "time"]
    return Pattern(
        name,
        regex,
        2 if process else _OVER.index(over),
        literal,
        process,
        tuple(types),
        time,
        tuple((column, str(value)) for column, value in table.get("set", {}).items()),
    )


def _read_template(template: str) -> tuple[str, bytes, dict[str, str]]:
    """Return regex, longest literal, and types of a template's fields.

    RE2 is thrice as fast where each character can be only one thing: so a word ends before what
    follows it, and of several spaces before a field that may begin with one, they are its.
    """
    kinds: dict[str, str] = {}
    found = [*_FIELD.finditer(template)]
    ends = [0, *(one.end() for one in found)]
    begins = [*(one.start() for one in found), len(template)]
    literals = [template[end:begin] for end, begin in zip(ends, begins, strict=True)]
    parts = [_escaped(literals[0])]
    for field_, before, after in zip(found, literals[:-1], literals[1:], strict=True):
        name, kind = field_[1], field_[2] or "word"
        if kind not in TYPES:
            raise unknown_name("type", kind, TYPES)
        if name in kinds:
            raise UsageError(f"its template has two fields called {name!r}.")
        pattern = TYPES[kind][1]
        if kind == "word" and after[:1].strip():
            pattern = rf"[^\s{re.escape(after[0])}]+"
        if kind in _LOOSE and before.endswith(" "):
            parts[-1] = parts[-1].removesuffix("+")
        group = f"(?P<{name}>{pattern})" if name is not None else f"(?:{pattern})"
        if name is not None:
            kinds[name] = kind
        parts += [group, _escaped(after)]
    literal = max((word for text in literals for word in text.split(" ")), key=len)
    return f"^{''.join(parts)}$", literal.encode(), kinds


def _escaped(text: str) -> str:
    """Return a regex for literal text; a space stands for one or more."""
    return re.sub(r" +", " +", re.sub(r"[.^$*+?()\[\]{}|\\]", r"\\\g<0>", text))


def _check_regex(regex: str) -> list[str]:
    """Return the names of a regex's groups."""
    import pyarrow as pa
    from pyarrow._compute import ExtractRegexOptions, call_function

    if not isinstance(regex, str) or "(?P<" not in regex:
        raise UsageError("its regex has no named group: (?P<name>…).")
    try:
        made = call_function(
            "extract_regex", [pa.array([], pa.string())], ExtractRegexOptions(regex)
        )
    except pa.ArrowInvalid as error:
        raise UsageError(f"{str(error).rstrip('.')}.\n  {regex}") from None
    names = [one.name for one in made.type]
    for name in names:
        if not _NAME.fullmatch(name):
            raise UsageError(f"the name {name!r} of a field is not of small letters, digits, '_'.")
    return names


def _read_time(table: Any, groups: list[str]) -> Time:
    if isinstance(table, str):
        table = {"format": table}
    if not isinstance(table, dict):
        raise UsageError('time reads time = { field = "time", format = "iso" }.')
    _check_keys("time", table, ("field", "format", "locale"))
    name = table.get("field", "time")
    if name not in groups and table.get("format") != "syslog":
        raise UsageError(f"time is told by the field {name!r}, which the pattern has not.")
    formats = table.get("format", "auto")
    formats = (formats,) if isinstance(formats, str) else tuple(formats)
    for one in formats:
        check_format(one, table.get("locale"))
    return Time(name, formats, table.get("locale"))


def _check_keys(what: str, table: dict[str, Any], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            raise UsageError(f"{what}: {unknown_name('key', key, known)}")


def _check_together(path: Path, made: PatternFormat) -> None:
    kinds: dict[str, str] = {}
    names: list[str] = []
    for pattern in made.patterns:
        if pattern.name in names:
            raise UsageError(f"{path}: two patterns are called {pattern.name!r}.")
        names.append(pattern.name)
        for name, kind in pattern.types:
            if kinds.setdefault(name, kind) != kind:
                raise UsageError(
                    f"{path}: the field {name!r} is {kinds[name]} in one pattern, {kind} in another"
                )
