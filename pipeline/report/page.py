"""Results, their charts and the account as one self-contained HTML page.

The page asks nothing of any network, can be read without script, and its policy lets no script run
but the one inlined here, by its hash. Jinja2 escapes all values; what is marked as safe is made
here (style, script) or drawn from data by a library (SVG), and looked through.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree as ET

from pipeline.charts.choose import plan_charts
from pipeline.charts.colors import Palette
from pipeline.charts.draw import draw_svg
from pipeline.charts.spec import make_spec, tell_why
from pipeline.errors import OutputError
from pipeline.outputs.csv_text import format_csv
from pipeline.outputs.model import About, Rows, Style
from pipeline.outputs.texts import read_texts
from pipeline.outputs.top import KEY_NUMBERS
from pipeline.outputs.values import cut_pieces, is_numeric, to_text
from pipeline.text import clean, escape_visibly, in_bytes, say_number

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa

    from pipeline.model import Account
    from pipeline.outputs.model import Occasion

#: Rows of a table that stand in the page; files named in a list of the account.
MAX_ROWS, MAX_NAMED = 500, 100
#: Numbers of restated days.
MAX_RESTATED = 30
#: Characters of a cell.
MAX_CELL = 300
#: Characters of a table's CSV that is put into a page as it is, a longer one with gzip; of all in a
#: page; and bytes of a table in memory that is not tried.
MAX_PLAIN, MAX_CSV, _MAX_TABLE = 500_000, 4_000_000, 100_000_000

#: What may stand in a picture.
_SVG_TAGS = frozenset(
    (
        *("svg", "g", "defs", "clipPath", "linearGradient", "radialGradient", "stop"),
        *("path", "rect", "line", "text", "tspan", "title", "desc"),
    )
)


class _Cell(NamedTuple):
    text: str
    sort: str


@dataclass(frozen=True, slots=True)
class _Section:
    """One job of the page."""

    name: str
    question: str
    svgs: list[Any]
    undrawn: list[str]
    columns: list[tuple[str, bool]]
    rows: list[list[_Cell]]
    n_rows: int
    csv: str
    file_name: str


def write_html(results: Mapping[str, pa.Table], place: Path, style: Style) -> None:
    """Write the report of a run, a section for each of its jobs."""
    place.write_text(render_page(results, style), encoding="utf-8")


def render_page(results: Mapping[str, pa.Table], style: Style) -> str:
    """Return the report as HTML text.

    Parameters
    ----------
    results : mapping of str to pyarrow.Table
        By job, in order.
    style : Style
        Knows the jobs and the run.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    folder = files("pipeline.report")
    script, sheet = (folder.joinpath(f"report.{kind}").read_text("utf-8") for kind in ("js", "css"))
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(folder.joinpath("report.html.jinja").read_text("utf-8"))
    occasion = style.occasion
    return template.render(
        title=make_title(results, occasion),
        sections=_make_sections(with_alerts(results, occasion), style, Markup),
        command=occasion.command if occasion else "",
        begun=f"{occasion.begun:%Y-%m-%d %H:%M %Z}" if occasion else "",
        warnings=occasion.warnings if occasion else (),
        facts=make_facts(occasion),
        lists=_lists(occasion.account) if occasion else [],
        restated=make_restated(occasion),
        script=Markup(script),  # noqa: S704  # our own file
        sheet=Markup(sheet),  # noqa: S704
        policy=_policy(script, sheet),
    )


def with_alerts(results: Mapping[str, pa.Table], occasion: Occasion | None) -> dict[str, pa.Table]:
    """Return the sections of a report: the alerts that fired stand first."""
    alerts = occasion.alerts if occasion else {}
    return {**{f"alert {name}": rows for name, rows in alerts.items()}, **results}


def _policy(script: str, sheet: str) -> str:
    hashes = [_in_base64(hashlib.sha256(text.encode()).digest()) for text in (script, sheet)]
    return (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _make_sections(
    results: Mapping[str, pa.Table], style: Style, markup: type[Any]
) -> list[_Section]:
    palette = Palette()
    left = MAX_CSV
    sections = []
    for job, table in results.items():
        about = style.about.get(job, About())
        svgs, undrawn = [], []
        for chart in plan_charts(table.schema, about):
            spec = make_spec(table, chart, about, palette, is_page=True)
            if spec is not None:
                svgs.append(markup(_check_svg(draw_svg(spec))))
            elif len(table) and about.charts:
                undrawn.append(f"{escape_visibly(chart.title)}: {tell_why(chart, about)}")
        csv, suffix = _csv_link(job, table, style, left)
        left -= len(csv)
        name = escape_visibly(job)
        sections.append(
            _Section(
                name,
                escape_visibly(about.question),
                svgs,
                undrawn,
                [(escape_visibly(field.name), is_numeric(field.type)) for field in table.schema],
                make_cells(table.slice(0, MAX_ROWS)),
                len(table),
                csv,
                f"{name}{suffix}",
            )
        )
    return sections


def _check_svg(svg: str) -> str:
    """Return the SVG; nothing may be in it that could act or fetch.

    Raises
    ------
    OutputError
        There is: then a library has changed.
    """
    for element in ET.fromstring(svg).iter():  # noqa: S314  # written by the library just now
        tag = element.tag.rpartition("}")[2]
        bad = [name for name in element.attrib if name.startswith("on") or "href" in name]
        if tag not in _SVG_TAGS or bad:
            raise OutputError(f"a chart holds what a page must not: <{tag} {' '.join(bad)}>")
    return svg


def _csv_link(job: str, table: pa.Table, style: Style, left: int) -> tuple[str, str]:
    """Return the whole table as a data URL, and its suffix; empty where it is too large."""
    if table.nbytes > _MAX_TABLE:
        return "", ""
    plain = Style(csv_safe=style.csv_safe)
    text = b"".join(format_csv({job: Rows.of(table)}, plain))
    link, suffix = "data:text/csv;charset=utf-8;base64," + _in_base64(text), ".csv"
    if len(link) > min(MAX_PLAIN, left):
        packed = gzip.compress(text, 5, mtime=0)
        link, suffix = "data:application/gzip;base64," + _in_base64(packed), ".csv.gz"
    return (link, suffix) if len(link) <= left else ("", "")


def _in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def make_cells(table: pa.Table) -> list[list[_Cell]]:
    """Return the rows of a table as texts to show."""
    rows: list[list[_Cell]] = []
    for piece in cut_pieces([table]):
        columns = [
            _column_cells(values, field)
            for values, field in zip(piece.columns, table.schema, strict=True)
        ]
        rows += map(list, zip(*columns, strict=True))
    return rows


def _column_cells(values: pa.Array, field: pa.Field) -> list[_Cell]:
    texts = read_texts(to_text(values))
    if not is_numeric(field.type):
        return [_Cell(_shorten(text), "") if text is not None else _Cell("", "") for text in texts]
    separated = field.name not in KEY_NUMBERS
    return [
        _Cell("", "") if text is None else _Cell(_separate(text) if separated else text, text)
        for text in texts
    ]


def _shorten(text: str) -> str:
    cut = escape_visibly(text[: MAX_CELL + 1])
    return cut if len(cut) <= MAX_CELL else cut[:MAX_CELL] + "…"


def _separate(number: str) -> str:
    digits, point, fraction = number.partition(".")
    sign = "-" if digits.startswith("-") else ""
    whole = digits.lstrip("-")
    return f"{sign}{int(whole):,}{point}{fraction}" if whole.isdecimal() else number


def make_title(results: Mapping[str, pa.Table], occasion: Occasion | None) -> str:
    """Return what stands above a report."""
    asked = occasion.title if occasion else ""
    return escape_visibly(asked or " · ".join(results))


def make_facts(occasion: Occasion | None) -> list[tuple[str, str]]:
    """Return what was read, as names and values."""
    if occasion is None:
        return []
    account = occasion.account
    facts = [
        ("files", f"{account.files:,}"),
        ("read", in_bytes(account.read_bytes)),
        ("of text", in_bytes(account.plain_bytes)),
        ("lines", f"{account.lines:,}"),
        ("undated", f"{account.undated_lines:,}"),
        *_repeated_fact(account),
        ("damaged", f"{len(account.damaged):,}"),
        ("duplicate", f"{len(account.duplicates):,}"),
        ("skipped", f"{len(account.skipped):,}"),
        ("seconds", f"{account.seconds:.1f}"),
    ]
    dated = [one for one in account.years if one["first"] is not None]
    if dated:
        years = sorted(int(str(one[end])) for one in dated for end in ("first", "last"))
        facts.append(("years", " to ".join(map(str, sorted({years[0], years[-1]})))))
        facts.append(
            ("years from", ", ".join(dict.fromkeys(str(one["evidence"]) for one in dated)))
        )
    return facts


@dataclass(frozen=True, slots=True)
class Restated:
    """Days of which earlier runs said other numbers, to show; ``n_more`` stand elsewhere."""

    columns: list[tuple[str, bool]]
    rows: list[list[str]]
    n_more: int


def make_restated(occasion: Occasion | None) -> Restated | None:
    """Return what stands under "Restated days"; None where there is none."""
    found = occasion.account.restated if occasion else []
    if not found:
        return None
    rows = [
        [
            *(_say(one[name]) for name in ("job", "day", "column")),
            *(say_number(one[name]) for name in ("before", "after")),
        ]
        for one in found[:MAX_RESTATED]
    ]
    names = ("job", "day", "column", "before", "after")
    columns = [(name, name in ("before", "after")) for name in names]
    return Restated(columns, rows, len(found) - len(rows))


def _repeated_fact(account: Account) -> list[tuple[str, str]]:
    """Return how many lines came before, where that was asked."""
    if account.repeated_lines is None:
        return []
    is_left_out = any(not one["counted"] for one in account.repeated)
    return [("repeated, left out" if is_left_out else "repeated", f"{account.repeated_lines:,}")]


def _lists(account: Account) -> list[tuple[str, list[str], list[list[str]], int]]:
    """Return the lists of files in the account: title, columns, rows to show, number of all."""
    made: list[tuple[str, list[str], list[list[Any]]]] = [
        (
            "Files, their years and the evidence",
            ["file", "first year", "last year", "evidence"],
            [[one["file"], one["first"], one["last"], one["evidence"]] for one in account.years],
        ),
        (
            "Duplicates, counted once",
            ["file", "same as", "kind"],
            [[one["file"], one["same_as"], one["kind"]] for one in account.duplicates],
        ),
        ("Skipped", ["file", "why"], [[one["file"], one["why"]] for one in account.skipped]),
        (
            "Repeated lines",
            ["file", "lines", "first", "last"],
            [[one["file"], one["lines"], one["first"], one["last"]] for one in account.repeated],
        ),
    ]
    return [
        (title, columns, [list(map(_say, row)) for row in rows[:MAX_NAMED]], len(rows))
        for title, columns, rows in made
        if rows
    ]


def _say(value: object) -> str:
    return "" if value is None else _shorten(clean(str(value)))
