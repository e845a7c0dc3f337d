"""Results, their charts and the account as a message: text and HTML, for ``| sendmail -t``.

Charts are PNG files inside the message, named by ``cid:``: mail programs show neither SVG nor what
must be fetched. Headers are of the user's options only, no text of a log gets into one, and what
could end a header is refused before the run.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from email.headerregistry import AddressHeader
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pipeline.charts.choose import plan_charts
from pipeline.charts.colors import Palette
from pipeline.charts.draw import draw_png
from pipeline.charts.spec import make_spec, stack_specs
from pipeline.errors import UsageError
from pipeline.model import Letter
from pipeline.outputs.model import About, Style
from pipeline.outputs.table import table_text
from pipeline.outputs.top import cut_rows
from pipeline.outputs.values import is_numeric
from pipeline.report.page import make_cells, make_facts, make_restated, make_title, with_alerts
from pipeline.text import escape_visibly, is_hostile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from pipeline.outputs.model import Occasion
    from pipeline.report.page import Restated

#: Rows of a result; a message is read, not searched.
MAX_ROWS = 25
#: Charts of a message: each is some 50 KB.
MAX_CHARTS = 30
#: sendmail and its like want the line ends of the system.
_POLICY = SMTP.clone(linesep="\n", cte_type="7bit", raise_on_defect=False)


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    question: str
    pictures: list[tuple[str, bytes]]
    columns: list[tuple[str, bool]]
    rows: list[list[Any]]
    n_more: int


def read_letter(sender: str | None, recipients: Sequence[str], subject: str | None) -> Letter:
    """Check the headers that a user wants.

    Raises
    ------
    UsageError
        One holds a line end or another character that can't be seen, or is no address.
    """
    for option, text in (
        ("--mail-subject", subject or ""),
        ("--mail-from", sender or ""),
        *(("--mail-to", one) for one in recipients),
    ):
        if any(map(is_hostile, text)):
            raise UsageError(f"{option} holds a character that can't be seen: {text!r}")
    for option, text in (
        *([("--mail-from", sender)] if sender is not None else []),
        *(("--mail-to", one) for one in recipients),
    ):
        _check_address(option, text)
    return Letter(sender or "", tuple(recipients), subject or "")


def _check_address(option: str, text: str) -> None:
    parsed: dict[str, Any] = {"defects": []}
    AddressHeader.parse(text, parsed)
    boxes = [box for group in parsed["groups"] for box in group.addresses]
    # The address of a user of this machine has no domain.
    told = [defect for defect in parsed["defects"] if "with no domain" not in str(defect)]
    if not boxes or told or not all(box.username and box.addr_spec.isascii() for box in boxes):
        raise UsageError(f"{option} takes an address as me@example.org, got {text!r}")


def write_eml(results: Mapping[str, pa.Table], place: Path, style: Style) -> None:
    """Write the message to a file."""
    place.write_bytes(format_eml(results, style))


def format_eml(results: Mapping[str, pa.Table], style: Style) -> bytes:
    """Return the message as it goes to ``sendmail -t``: 7 bit, LF, no line that ends it early.

    Parameters
    ----------
    results : mapping of str to pyarrow.Table
        By job, in order.
    style : Style
        Knows the jobs, the run, and the headers that are wanted.
    """
    occasion = style.occasion
    letter = (occasion.letter if occasion else None) or Letter()
    title = make_title(results, occasion)
    message = EmailMessage(policy=_POLICY)
    if letter.sender:
        message["From"] = letter.sender
    if letter.recipients:
        message["To"] = ", ".join(letter.recipients)
    message["Subject"] = _subject(letter.subject or f"sawlog: {title}", occasion)
    domain = re.sub(r"[^\w.-]", "-", socket.gethostname(), flags=re.ASCII) or "localhost"
    if occasion:
        message["Date"] = format_datetime(occasion.begun)
    message["Message-ID"] = make_msgid(domain=domain)
    # Nobody's "I'm on holiday" shall answer.
    message["Auto-Submitted"] = "auto-generated"
    sections = _make_sections(with_alerts(results, occasion), style, domain)
    message.set_content(_text(results, style, title), cte="quoted-printable")
    message.add_alternative(
        _html(sections, occasion, title), subtype="html", cte="quoted-printable"
    )
    parts = [*message.iter_parts()]
    for part in parts:
        _guard(part)
    for section in sections:
        for cid, png in section.pictures:
            parts[-1].add_related(
                png, "image", "png", cid=cid, disposition="inline", filename=f"{cid[1:9]}.png"
            )
    return message.as_bytes()


def _guard(part: Any) -> None:
    """Hide line begins that mean something on the way: a lone dot ends input, From is changed."""
    part.set_payload(
        re.sub(r"(?m)^(\.|F(?=rom ))", lambda m: f"={ord(m[0]):02X}", part.get_payload())
    )


def _subject(wanted: str, occasion: Occasion | None) -> str:
    n = len(occasion.alerts) if occasion else 0
    told = f": {n} alert{'s' * (n != 1)}" if n else ""
    return escape_visibly(wanted)[:200] + told


def _make_sections(results: Mapping[str, pa.Table], style: Style, domain: str) -> list[_Section]:
    palette = Palette()
    n_left = MAX_CHARTS
    sections = []
    for job, table in results.items():
        about = style.about.get(job, About())
        pictures = []
        for chart in plan_charts(table.schema, about) if job in style.about else ():
            spec = make_spec(table, chart, about, palette, is_page=False) if n_left else None
            if spec is not None:
                n_left -= 1
                png = draw_png(stack_specs([spec]))
                pictures.append((make_msgid(f"chart{MAX_CHARTS - n_left}", domain), png))
        shown, _ = cut_rows(table, MAX_ROWS, about.keys)
        sections.append(
            _Section(
                escape_visibly(job),
                escape_visibly(about.question),
                pictures,
                [(escape_visibly(field.name), is_numeric(field.type)) for field in table.schema],
                make_cells(shown),
                len(table) - len(shown),
            )
        )
    return sections


def _html(sections: Sequence[_Section], occasion: Occasion | None, title: str) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = files("pipeline.report").joinpath("mail.html.jinja").read_text("utf-8")
    return environment.from_string(template).render(
        title=title,
        sections=sections,
        command=occasion.command if occasion else "",
        begun=f"{occasion.begun:%Y-%m-%d %H:%M %Z}" if occasion else "",
        warnings=occasion.warnings if occasion else (),
        facts=make_facts(occasion),
        restated=make_restated(occasion),
    )


def _text(results: Mapping[str, pa.Table], style: Style, title: str) -> str:
    occasion = style.occasion
    parts = [title]
    if occasion:
        parts[0] += f"\n{occasion.command}\n{occasion.begun:%Y-%m-%d %H:%M %Z}"
        parts += [
            f"ALERT {table_text(rows, MAX_ROWS, title=name)}"
            for name, rows in occasion.alerts.items()
        ]
        if occasion.warnings:
            parts.append("\n".join(f"warning: {one}" for one in occasion.warnings))
    restated = make_restated(occasion)
    if restated is not None:
        parts.append(_restated_text(restated))
    for job, table in results.items():
        about = style.about.get(job, About())
        shown, _ = cut_rows(table, MAX_ROWS, about.keys)
        asked = f"{escape_visibly(about.question)}\n" if about.question else ""
        parts.append(asked + table_text(shown, MAX_ROWS, title=job, n_rows=len(table)))
    facts = make_facts(occasion)
    if facts:
        parts.append("\n".join(f"{name}: {value}" for name, value in facts))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _restated_text(restated: Restated) -> str:
    lines = ["Restated days"]
    lines += [
        f"{day} {job}: {column} {before} → {after}"
        for job, day, column, before, after in restated.rows
    ]
    return "\n".join(lines + ([f"… {restated.n_more:,} more"] if restated.n_more else []))
