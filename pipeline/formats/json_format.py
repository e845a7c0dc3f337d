"""The relation ``json``: lines of JSON, with chosen fields as columns.

DuckDB's own functions read them. A line that is no JSON object, or was cut, is no row. The time is
that of the line where it has one, else that of the first of some usual fields.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pipeline.duck import quote
from pipeline.errors import UsageError, unknown_name
from pipeline.formats.base import FormatOptions, Sample, load_toml_samples, quoted
from pipeline.formats.syslog import LINES
from pipeline.formats.times import offset_sql, time_sql

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.formats.base import RowReader
    from pipeline.kernels.scan import Scanner

#: Types that a user may write.
TYPES: dict[str, str] = {
    **dict.fromkeys(("text", "varchar", "string"), "VARCHAR"),
    **dict.fromkeys(("int", "bigint", "integer"), "BIGINT"),
    **dict.fromkeys(("float", "double"), "DOUBLE"),
    **dict.fromkeys(("bool", "boolean"), "BOOLEAN"),
    **dict.fromkeys(("time", "timestamp"), "TIMESTAMP"),
    "json": "JSON",
}
#: Where loggers put the time, the likelier first.
TIME_FIELDS = ("@timestamp", "timestamp", "time", "ts", "datetime", "date", "eventTime", "_time")
_COLUMN = re.compile(r"(?:(?P<name>[A-Za-z_]\w*)=)?(?P<path>[^:=\s][^:=]*?)(?::(?P<type>\w+))?")
#: Columns of lines that tell of the file, or follow from others.
_FIXED = ("file", "offset", "time", "instant", "day", "hour", "month", "bytes", "pid")
_TIMES = frozenset({"time", "day", "utc_offset"})


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """JSON objects; ``chosen`` are (column, path, DuckDB type)."""

    chosen: tuple[tuple[str, str, str], ...] = ()
    name: ClassVar[str] = "json"
    needs: ClassVar[frozenset[str]] = frozenset()
    condition: ClassVar[str] = "parsed_fields IS NOT NULL"

    @property
    def columns(self) -> Mapping[str, str]:
        """The columns that the user chose."""
        return {name: "VARCHAR" if kind == "JSON" else kind for name, _, kind in self.chosen}

    def scanned(self, columns: frozenset[str], lines: frozenset[str]) -> frozenset[str]:
        """Return the text, and what a line tells in the place of a field that is not there."""
        return (
            frozenset({"message"})
            | (columns & {"host", "process", "severity", "facility"})
            | ({"utc_offset"} if lines & {"utc_offset"} else frozenset())
        )

    def source(self, scanned: frozenset[str]) -> str:
        """Return the lines that begin with a bracket, with the texts of all fields."""
        paths = [quote(path) for _, path, _ in self.chosen]
        paths += [quote(f'$."{name}"') for name in TIME_FIELDS]
        text = "regexp_replace(message, '^@cee: *', '')"
        text = f"CASE WHEN starts_with(message, '@cee:') THEN {text} ELSE message END"
        # One parse tells whether it is JSON, one reads all fields; a broken line costs no other.
        fields = f"json_extract_string(json_text, [{', '.join(paths)}])"
        texts = f"SELECT *, {text} AS json_text FROM scanned"
        lines = (
            "SELECT *, CASE WHEN starts_with(ltrim(json_text), '{') AND json_valid(json_text) "
            f"THEN {fields} END AS parsed_fields FROM ({texts})"
        )
        replaced = sorted(scanned & _TIMES)
        if not replaced:
            return f"({lines})"
        n = len(self.chosen)
        first = ", ".join(f"parsed_fields[{n + k + 1}]" for k in range(len(TIME_FIELDS)))
        time = f"coalesce({first})"
        sql = {
            "time": "coalesce(time, made_time)" if "time" in scanned else "made_time",
            "day": "coalesce(day, CAST(made_time AS DATE))",
            "utc_offset": f"coalesce(utc_offset, {offset_sql('time_text', ['auto'])})",
        }
        parts = ", ".join(f"{sql[name]} AS {name}" for name in replaced)
        told = f"SELECT *, {time} AS time_text FROM ({lines})"
        made = f"SELECT *, {time_sql('time_text', ['auto'])} AS made_time FROM ({told})"
        return f"(SELECT * REPLACE ({parts}) FROM ({made}))"

    def expressions(self, columns: frozenset[str]) -> dict[str, str]:
        """Return the SQL of each column; what is not of its type is NULL."""
        made = {}
        for k, (name, _, kind) in enumerate(self.chosen, 1):
            if name not in columns:
                continue
            text = f"parsed_fields[{k}]"
            if kind == "TIMESTAMP":
                text = time_sql(text, ["auto"])
            elif kind not in ("VARCHAR", "JSON"):
                text = f"TRY_CAST({text} AS {kind})"
            if name in ("host", "process", "severity", "facility"):
                text = f"coalesce({text}, {quoted(name)})"
            made[name] = text
        return made

    def reader(self, scanner: Scanner, columns: frozenset[str], max_rows: int) -> RowReader | None:
        """Return nothing: all is SQL."""
        del scanner, columns, max_rows
        return None

    def samples(self) -> list[Sample]:
        """Return the lines beside this file; they are of the columns in its first line."""
        path = Path(__file__).with_name("json_samples.toml")
        return load_toml_samples(path.read_text(encoding="utf-8"))


def make_format(options: FormatOptions) -> JsonFormat:
    """Return the format with the columns that the user chose.

    Raises
    ------
    UsageError
        One of them can't be read.
    """
    if options.json_columns is None:
        return JsonFormat()
    chosen = [_read_column(text.strip()) for text in options.json_columns.split(",")]
    names = [name for name, _, _ in chosen]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--columns has two columns called {name!r}; write NAME=PATH for one")
    return JsonFormat(tuple(chosen))


def _read_column(text: str) -> tuple[str, str, str]:
    """Read ``level``, ``status:int``, ``a.b.c``, ``name=items.0.id:int``."""
    found = _COLUMN.fullmatch(text)
    if found is None:
        raise UsageError(
            f"--columns takes [NAME=]PATH[:TYPE],…, as level,status:int,a.b.c, got {text!r}"
        )
    kind = (found["type"] or "text").lower()
    if kind not in TYPES:
        raise unknown_name("type of --columns", kind, TYPES)
    parts = found["path"].split(".")
    if not all(parts):
        raise UsageError(f"--columns: the path {found['path']!r} has an empty part")
    name = (found["name"] or re.sub(r"\W+", "_", found["path"]).strip("_")).lower()
    if not re.fullmatch(r"[a-z_]\w*", name):
        raise UsageError(f"--columns: give a name to the path {found['path']!r}: NAME=PATH")
    if name in _FIXED:
        raise UsageError(
            f"--columns: {name!r} is a column of every line; call it otherwise: my_{name}={text}"
        )
    if name in LINES and TYPES[kind] != LINES[name]:
        raise UsageError(f"--columns: {name!r} is text in every line; call it otherwise")
    path = "$" + "".join(
        f"[{p}]" if p.isdigit() else '."' + p.replace('"', '\\"') + '"' for p in parts
    )
    return name, path, TYPES[kind]
