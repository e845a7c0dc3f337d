"""Which format some text has: how many of its lines each format knows; and whether samples hold."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipeline import duck
from pipeline.formats.registry import find_formats
from pipeline.formats.syslog import LINES
from pipeline.model import Block
from pipeline.relations import Read, plan_views
from pipeline.scan import LineScanner
from pipeline.settings import Settings
from pipeline.yearless import year_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.formats.base import Format, FormatOptions, Sample

#: A head of this share of lines of a format is one of that format.
_ENOUGH = 0.5
#: Stamps without a year are taken to be of this one, which has every day.
_YEAR_END = datetime(2024, 12, 31, 23, 59, 59)  # noqa: DTZ001  (as written on the line)


def select_rows(
    relation: str,
    columns: frozenset[str],
    formats: Mapping[str, Format],
    text: bytes,
    *,
    max_rows: int = 1 << 14,
    now: datetime = _YEAR_END,
) -> list[dict[str, Any]]:
    """Return columns of the rows that a relation has of some text.

    ``now``: the year of stamps without one.
    """
    views = plan_views([Read(relation, columns, {})], Settings(), {}, formats)
    scanner = LineScanner(views.scanned, max_rows, formats=views.formats)
    scanner.begin_file("-", year_table(now))
    (selection,) = views.selections
    assert selection is not None
    rows: list[dict[str, Any]] = []
    cursor = duck.cursor()
    for table in scanner.scan(Block(bytearray(text), len(text), 0)):
        cursor.register("scanned", table.select(sorted(selection.columns)))
        try:
            rows += duck.query(selection.select).to_pylist()
        finally:
            cursor.unregister("scanned")
    return rows


def find_shares(text: bytes, options: FormatOptions) -> dict[str, float]:
    """Return the share of lines that each format knows, the more special formats first.

    ``syslog`` are lines with a stamp and a host. A line that the text ends within is not counted.
    """
    whole = text[: text.rfind(b"\n") + 1] or text
    n_lines = whole.count(b"\n") or 1
    formats = find_formats(options)
    asked = {**dict.fromkeys(formats, "bytes"), "mail": "event"}
    found = {
        name: len(select_rows(name, frozenset({column}), formats, whole)) / n_lines
        for name, column in asked.items()
    }
    rows = select_rows("lines", frozenset({"host"}), {}, whole)
    found["syslog"] = sum(row["host"] is not None for row in rows) / n_lines
    return found


def decide_format(shares: Mapping[str, float], options: FormatOptions) -> str:
    """Return what a file of these shares is: what the user says, else the most special format."""
    if options.only is not None:
        return options.only
    # Sign-ins are told of in logs of other formats, few or many.
    enough = [name for name, share in shares.items() if share >= _ENOUGH and name != "auth"]
    return enough[0] if enough else "text"


def say_shares(shares: Mapping[str, float]) -> str:
    """Return the shares as text, the largest first, without those that are none."""
    told = sorted(((-share, name) for name, share in shares.items() if share > 0))
    return ", ".join(f"{name} {_percent(-share)} %" for share, name in told)


def _percent(share: float) -> str:
    """Round down, so that 100 is all of them; but something is not nothing."""
    return f"{int(share * 100)}" if share >= 0.01 else "<1"


def check_samples(one: Format) -> list[str]:
    """Return what is wrong with the samples of a format; an empty list is what one wants."""
    samples = one.samples()
    if not samples:
        return ["there is no sample: add [[sample]] tables with line and fields"]
    wrong: list[str] = []
    seen: set[str] = set()
    for number, sample in enumerate(samples, 1):
        found = read_sample(one, sample)
        for problem in compare_sample(sample, found):
            shown = sample.line[:100].decode("utf-8", "replace")
            wrong.append(f"sample {number}: {problem}\n    {shown}")
        seen |= {str((found or {}).get("pattern"))}
    patterns = [pattern.name for pattern in getattr(one, "patterns", ())]
    wrong += [f"no sample shows the pattern {name!r}" for name in patterns if name not in seen]
    return wrong


def read_sample(one: Format, sample: Sample, now: datetime = _YEAR_END) -> dict[str, Any] | None:
    """Return what a format makes of a sample, as plain values: the fields it names, and its own."""
    columns = frozenset({*LINES, *one.columns})
    rows = select_rows(one.name, columns, {one.name: one}, sample.line + b"\n", now=now)
    if not rows:
        return None
    (row,) = rows
    told = {*(sample.fields or ()), *(name for name in one.columns if row[name] is not None)}
    return {name: _plain(row.get(name)) for name in told}


def compare_sample(sample: Sample, found: dict[str, Any] | None) -> list[str]:
    """Return how a row differs from what its sample says."""
    if sample.fields is None:
        return [] if found is None else ["it must be no row, and is one"]
    if found is None:
        return ["no pattern matches it"]
    expected = dict(sample.fields)
    return [
        f"{name} is {found.get(name)!r}, expected {expected.get(name)!r}"
        for name in sorted({*expected, *found})
        if found.get(name) != expected.get(name)
    ]


def _plain(value: object) -> object:
    return value if isinstance(value, (int, float, str, bool, type(None))) else str(value)
