"""An overview as one screen: at most 40 lines of 100 cells.

Sections that have nothing to tell take a line or none. What a stranger wrote is shown escaped, and
cut where it is long.
"""

from __future__ import annotations

import shlex
from functools import partial
from os.path import commonprefix
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.charts.bars import Part, make_spark
from pipeline.charts.units import in_units
from pipeline.investigation.overview import shown_processes, tell_hosts
from pipeline.investigation.overview_causes import tell_causes, tell_innocent
from pipeline.investigation.overview_files import tell_pace
from pipeline.investigation.surge import N_TOLD
from pipeline.investigation.surge_text import (
    Line,
    Look,
    tell_change,
    tell_name,
    tell_others,
    tell_share,
    tell_silence,
    wrap_text,
)
from pipeline.outputs.table import cut_cells, make_bar, measure_cells
from pipeline.text import escape_visibly, in_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime, timedelta

    from pipeline.investigation.overview import Overview
    from pipeline.investigation.overview_files import FileFound
    from pipeline.investigation.surge import Surge

#: Cells that the names of sections take.
_MARGIN = 9
#: Rows of files; names of hosts; cells of a process, of a sparkline.
_FILE_ROWS, _HOSTS, _PROCESS, _SPARK = 6, 3, 20, 40
_BAR = 10
#: A message that failed less often needs no line of its own.
_OFTEN = 5


def tell_overview(
    overview: Overview, sources: Sequence[str], commands: Collection[str]
) -> Callable[[Look], list[Line]]:
    """Return what writes the screen, for any look.

    Parameters
    ----------
    sources : sequence of str
        As typed, for what is proposed next.
    commands : collection of str
        What may be proposed.
    """
    return partial(_write, overview, sources, commands)


def _write(
    overview: Overview, sources: Sequence[str], commands: Collection[str], look: Look
) -> list[Line]:
    lines = _head(overview, look) + _files(overview.files, look)
    surge = overview.surge
    if surge is None:
        told = "no line has a time stamp: is this a log?"
        if not any(one.plain_bytes for one in overview.files):
            told = "there is nothing in it"
        lines += _section("", [told], look)
        return lines
    lines += _changed(overview, surge, look)
    lines += _section("WHY", _why(overview, surge), look)
    lines += _section("QUEUE", _queue(overview, surge), look)
    lines += _section("CAUSE", tell_causes(overview.causes)[:3], look)
    lines += _section("NOT IT", [tell_innocent(overview, surge)], look)
    missing = [f"missing: {', '.join(map(escape_visibly, overview.missing[:5]))}"]
    lines += _section("GAPS", tell_gaps(surge) + missing * bool(overview.missing), look)
    return lines + _next(overview, surge, sources, commands, look)


def _section(name: str, texts: Sequence[str], look: Look) -> list[Line]:
    """Return texts under the name of a section, each wrapped; nothing where there is none."""
    lines: list[Line] = []
    for text in filter(None, texts):
        for part in wrap_text(text, max(look.width - _MARGIN, 12)):
            head = name if not lines else ""
            lines.append([Part(f"{head:{_MARGIN}}", "name" if head else ""), Part(part)])
    return lines


def _head(overview: Overview, look: Look) -> list[Line]:
    files, surge = overview.files, overview.surge
    total = sum(one.plain_bytes for one in files)
    parts = [f"{len(files):,} file{'s' * (len(files) != 1)}", in_bytes(total)]
    moments = [at for one in files for at in (one.first, one.last) if at is not None]
    if moments:
        parts.append(f"{min(moments):%Y-%m-%d} … {max(moments):%Y-%m-%d %H:%M}")
    if surge is not None:
        hosts = tell_hosts(surge.growths.top("host"))
        names = ", ".join(cut_cells(escape_visibly(host), 24) for host in hosts[:_HOSTS])
        more = f" and {len(hosts) - _HOSTS:,} more" if len(hosts) > _HOSTS else ""
        parts.append(f"host{'s' * (len(hosts) != 1)} {names}{more}" if hosts else "no host")
    return [[Part(line, "name")] for line in wrap_text("  ".join(parts), look.width)]


def _files(files: Sequence[FileFound], look: Look) -> list[Line]:
    if len(files) < 2:
        return []
    n_columns = 2 if look.width >= 80 and len(files) > 3 else 1
    shown = list(files[-_FILE_ROWS * n_columns :])
    if len(files) > len(shown):
        shown = shown[n_columns:]
    pace = tell_pace(files)
    width = min(look.width, 100) // n_columns
    room = max(min(width - 2 * _BAR - 4, 30), 8)
    names = [cut_cells(escape_visibly(one.name), room) for one in shown]
    room = max(map(measure_cells, names))
    largest = max(one.plain_bytes for one in files)
    cells: list[Line] = []
    for one, name in zip(shown, names, strict=True):
        bar = make_bar(one.plain_bytes, largest, _BAR, is_ascii=look.is_ascii)
        size = f"{in_bytes(one.plain_bytes):>8}"
        said = ""
        if pace is not None and one is files[-1]:
            said = f" ({_span(pace[0])} → {in_bytes(pace[1])}/{pace[2]})"
            said = cut_cells(said, max(width - room - 12 - len(bar), 1))
        pad = " " * (room - measure_cells(name))
        cells.append([Part(f" {name}{pad}  {size} "), Part(bar, "bar"), Part(said)])
    n_rows = -(-len(cells) // n_columns)
    lines: list[Line] = []
    for row in range(n_rows):
        line: Line = []
        for k, cell in enumerate(cells[row::n_rows]):
            used = sum(measure_cells(part.text) for part in line)
            line += [Part(" " * (width * k - used)), *cell]
        lines.append(line)
    if len(files) > len(shown):
        lines.append([Part(f" … and {len(files) - len(shown):,} older ones")])
    return lines


def _changed(overview: Overview, surge: Surge, look: Look) -> list[Line]:
    is_changed = surge.main is not None
    lines = _section("CHANGED" if is_changed else "STEADY", [tell_change(surge)], look)
    processes = shown_processes(surge)
    names = [cut_cells(tell_name(one), _PROCESS) for one in processes]
    before = [in_units(one.before or 0, "bytes") for one in processes]
    after = [in_units(one.after, "bytes") for one in processes]
    told = [
        f"{old:>8} → {new:>8}" if is_changed else f"{new:>8}"
        for old, new in zip(before, after, strict=True)
    ]
    series = surge.series
    first, last = (_short(series.slots[k], series.unit) for k in (0, -1))
    room = max((len(text) for text in told), default=0) + 12
    width = max((measure_cells(name) for name in names), default=0)
    n_cells = min(_SPARK, len(series.slots), max(look.width - width - room - 3, 4))
    between = n_cells - len(first) - len(last)
    axis = f"{first}{' ' * between}{last}" if between > 0 else " " * n_cells
    of = (
        ("of growth" if surge.totals["volume"].growth >= 0 else "of drop")
        if is_changed
        else "of all"
    )
    per = "an hour" if series.unit == "hour" else "a day"
    head = f"{per:^{room - 12}} {of:>10}"
    lines.append([Part(f" {' ' * width} {axis} {head}".rstrip(), "name")])
    for one, name, text in zip(processes, names, told, strict=True):
        spark = make_spark(
            overview.sparks.get(one.value or "", []), n_cells, is_ascii=look.is_ascii
        )
        pad = " " * (width - measure_cells(name))
        lines.append([
            Part(f" {name}{pad} "),
            Part(f"{spark:{n_cells}}", "bar"),
            Part(f" {text} {tell_share(one.share):>10}"),
        ])  # fmt: skip
    return lines + _section("", tell_others(surge)[:2], look)


def _why(overview: Overview, surge: Surge) -> list[str]:
    failed, lines = surge.totals["attempts"], surge.totals["lines"]
    stuck = overview.stuck
    texts = []
    hosts = surge.growths.top("host")
    if surge.main is not None and len(hosts) > 1 and (hosts[0].share or 0) >= 0.5:
        share = min(1.0, hosts[0].share or 0)
        texts.append(f"{tell_share(share)} of it is host {tell_name(hosts[0])}")
    if failed.growth > 0 and lines.growth > 0 and failed.growth >= 0.05 * lines.growth:
        # An attempt is a line of the agent, and one of the queue manager that hands it over.
        n_lines = failed.growth + max(0.0, min(failed.growth, surge.totals["taken_up"].growth))
        share = min(1.0, n_lines / lines.growth)
        of = "of the new lines" if surge.main is not None else "of the lines"
        told = "are deliveries that failed"
        if stuck is not None and stuck.messages:
            told = f"retry {stuck.messages:,} message{'s' * (stuck.messages != 1)}"
            if stuck.nobodys:
                told += f", {stuck.nobodys:,} of them from <>"
        reasons = [
            f"{tell_name(one)} {tell_share(one.share)}"
            for one in surge.growths.top("reason", 3)
            if (one.share or 0) >= 0.05
        ]
        texts.append(f"{tell_share(share)} {of} {told}: {', '.join(reasons)}")
        often = [name for name, days in surge.attempts.items() if sum(days.values()) >= _OFTEN]
        texts += [_tell_attempts(overview, surge, name) for name in often[:2]]
    refused = surge.totals["refused"]
    if refused.growth > 0 and lines.growth > 0 and refused.growth >= 0.05 * lines.growth:
        reasons = [
            f"{tell_name(one)} {tell_share(one.share)}"
            for one in surge.growths.top("refusal", 3)
            if (one.share or 0) >= 0.05
        ]
        share = min(1.0, refused.growth / lines.growth)
        of = "of the new lines" if surge.main is not None else "of the lines"
        texts.append(f"{tell_share(share)} {of} refuse mail: {', '.join(reasons)}")
    return texts


def _tell_attempts(overview: Overview, surge: Surge, queue_id: str) -> str:
    """Return the daily counts of a message that is tried again and again."""
    days = surge.attempts[queue_id]
    one = next(g for g in surge.growths.top("queue_id", N_TOLD) if g.value == queue_id)
    life = overview.lives.get(queue_id)
    counts = [f"{day.month}/{day.day}\0{n:,}" for day, n in list(days.items())[-8:]]
    end = ""
    if life is not None and life.expired:
        end = f", given up after {_span(life.last - life.born)}"
    elif life is not None and not life.removed:
        end = ", still waiting"
    return f"{cut_cells(tell_name(one), 60)}: {' · '.join(counts)}{end}"


def _queue(overview: Overview, surge: Surge) -> list[str]:
    queue = overview.queue
    if queue is None or not (queue.came or queue.waiting):
        return []
    told = "nothing waits"
    if queue.waiting:
        told = f"about {queue.waiting:,} waiting"
        if queue.oldest is not None:
            told += f", oldest {_span(queue.oldest)}"
        if queue.nobodys:
            told += f", {tell_share(queue.nobodys / queue.waiting)} from <>"
    since = f" since {surge.after.begin:%Y-%m-%d}" if surge.main is not None else ""
    return [f"{told} · in {queue.came:,.0f}, out {queue.gone:,.0f} a day{since}"]


def tell_gaps(surge: Surge) -> list[str]:
    """Return the hours without a line, in one text."""
    told = tell_silence(surge)
    return [" · ".join(told[:2]) + (f" · {len(surge.silence) - 2:,} more" if len(told) > 2 else "")]


def _next(
    overview: Overview,
    surge: Surge,
    sources: Sequence[str],
    commands: Collection[str],
    look: Look,
) -> list[Line]:
    """Return commands that tell more, ready to be typed."""
    proposed: list[tuple[str, list[str], str]] = []
    if overview.is_mail and surge.attempts:
        proposed.append(("trace", [next(iter(surge.attempts))], "the whole story"))
    if any(cause.kind in ("backscatter", "bounces") for cause in overview.causes):
        proposed.append(("backscatter", [], "what to change"))
    if surge.main is not None:
        proposed.append(("surge", [], "everything that grew"))
    if surge.silence or overview.missing:
        proposed.append(("coverage", [], "what is missing"))
    if overview.is_mail:
        proposed.append(("mail", ["-o", "mail.html"], "the whole report"))
    else:
        proposed.append(("volume", ["-o", "volume.html"], "lines and bytes by day and process"))
    named = _name_sources(sources)
    texts = [
        (" ".join(["sawlog", command, *map(shlex.quote, arguments), named]), why)
        for command, arguments, why in proposed
        if command in commands
    ][:4]
    room = max((measure_cells(text) for text, _ in texts), default=0)
    lines: list[Line] = [[Part("NEXT", "name")]]
    for text, why in texts:
        pad = " " * (room - measure_cells(text))
        is_room = room + len(why) + 4 <= look.width
        lines.append([Part(f" {text}"), Part(f"{pad}   {why}" if is_room else "")])
    return lines


def _name_sources(sources: Sequence[str]) -> str:
    """Return the sources as they could be typed: with one pattern where that means the same."""
    quoted = " ".join(shlex.quote(escape_visibly(source)) for source in sources)
    prefix = commonprefix(list(sources))  # noqa: RUF071  # characters, not components
    if len(sources) < 2 or "://" in prefix or not prefix or shlex.quote(prefix) != prefix:
        return quoted
    folder, _, stem = prefix.rpartition("/")
    try:
        found = {
            path.name for path in Path(folder or ("/" if "/" in prefix else ".")).glob(f"{stem}*")
        }
    except (OSError, ValueError):
        return quoted
    cut = len(prefix) - len(stem)
    return f"{prefix}*" if found == {source[cut:] for source in sources} else quoted


def _span(span: timedelta) -> str:
    """Return a length of time in its two largest units: ``4 d 22 h``, ``38 h``, ``12 min``."""
    minutes = max(int(span.total_seconds()) // 60, 0)
    if minutes >= 3 * 24 * 60:
        hours = minutes // 60
        return f"{hours // 24} d {hours % 24} h" if hours % 24 else f"{hours // 24} d"
    return f"{minutes // 60} h" if minutes >= 120 else f"{minutes} min"


def _short(moment: datetime, unit: str) -> str:
    return f"{moment:%b} {moment.day}" if unit == "day" else f"{moment:%m-%d %Hh}"
