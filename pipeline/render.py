"""Step 9: result tables → text on standard output, and files.

A format is a line in one of the two tables below and a small file in `pipeline.outputs`, which is
imported when it is asked for. Text formats turn rows into chunks of UTF-8; file formats write a
path. Files appear whole or not at all (`pipeline.outputs.files`).

Log text is written by strangers. A table never shows characters that can't be seen as they are,
JSON and Markdown never hold them, and CSV, which is exact everywhere else, escapes them
when it goes to a terminal.
"""

from __future__ import annotations

import os
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.errors import UsageError, unknown_name
from pipeline.outputs.files import is_remote, put_files, to_local
from pipeline.outputs.model import About, Rows, Style
from pipeline.outputs.streams import Screen, measure_width, write_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import TextIO

    import pyarrow as pa

    from pipeline.outputs.model import Occasion


class _Format(NamedTuple):
    """Where a format is, and whether it holds the results of several jobs."""

    place: str
    holds_several: bool


TEXT_FORMATS = {
    "csv": _Format("csv_text:format_csv", holds_several=False),
    "eml": _Format("pipeline.report.mail:format_eml", holds_several=True),
    "json": _Format("json_text:format_json", holds_several=True),
    "markdown": _Format("markdown:format_markdown", holds_several=True),
    "ndjson": _Format("json_text:format_ndjson", holds_several=False),
    "table": _Format("table:write_table", holds_several=True),
    "values": _Format("csv_text:format_values", holds_several=False),
}
SUFFIXES = {
    ".csv": _Format("csv_text:format_csv", holds_several=False),
    ".duckdb": _Format("duckdb_file:write_duckdb", holds_several=True),
    ".eml": _Format("pipeline.report.mail:write_eml", holds_several=True),
    ".html": _Format("pipeline.report.page:write_html", holds_several=True),
    ".json": _Format("json_text:format_json", holds_several=True),
    ".md": _Format("markdown:format_markdown", holds_several=True),
    ".ndjson": _Format("json_text:format_ndjson", holds_several=False),
    ".parquet": _Format("parquet:write_parquet", holds_several=False),
    ".png": _Format("pipeline.charts.pictures:write_png", holds_several=True),
    ".svg": _Format("pipeline.charts.pictures:write_svg", holds_several=True),
}
#: Formats that need the packages which draw.
_DRAWN = ("pipeline.charts", "pipeline.report")
#: Rows of a result that a terminal shows; more would only push the first ones out of sight.
TERMINAL_ROWS = 200
#: The same where a chart below sums them up.
SUMMED_UP_ROWS = 100


def render(
    results: Mapping[str, pa.Table],
    to: str,
    stream: TextIO,
    *,
    top: int | None = None,
    width: int | None = None,
    csv_safe: bool = False,
    about: Mapping[str, About] | None = None,
    occasion: Occasion | None = None,
) -> None:
    """Write the results of one job, or of several in order, to a stream.

    Parameters
    ----------
    results : mapping of str to pyarrow.Table
        The result of each job, by its name.
    to : str
        ``table``, ``csv``, ``json``, ``ndjson``, ``markdown``, ``eml`` (a message), ``values``
        (CSV without header) or ``none``.
    stream : TextIO
        Standard output. Flushed, not closed. A terminal gets a table of at most
        ``TERMINAL_ROWS`` rows a job, cut to its width; anything else gets all of it.
    top : int, optional
        Rows to keep of each group, see `take_top_rows`.
    width : int, optional
        Cells that a row of a table may take; default: the terminal's, else no limit.
    csv_safe : bool
        Put a ``'`` before cells that a spreadsheet would run as a formula.
    about : mapping of str to About, optional
        What is known of each job beside its rows.
    occasion : Occasion, optional
        The run, for a message.

    Raises
    ------
    UsageError
        If the format is unknown, or holds one result only and there are several.
    BrokenPipeError
        If the reader has gone away.
    """
    check_format(to, list(results))
    if to == "none":
        return
    kept = _keep_top(results, top, about or {})
    if to == "table":
        _render_table(results, kept, stream, top, width, about or {})
        return
    style = Style(visible=stream.isatty(), csv_safe=csv_safe, about=about or {}, occasion=occasion)
    if to == "eml":
        write_bytes(stream, _load(TEXT_FORMATS[to])(kept, style))
        return
    rows = {job: Rows.of(table) for job, table in kept.items()}
    for chunk in _load(TEXT_FORMATS[to])(rows, style):
        write_bytes(stream, chunk)


def stream_batches(
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch | pa.Table],
    to: str,
    stream: TextIO,
    *,
    csv_safe: bool = False,
) -> None:
    """Write the rows of one job as they come; the same bytes as `render` writes of all of them.

    The header stands before the first batch is asked for; every batch is handed on at once.

    Parameters
    ----------
    schema : pyarrow.Schema
        The columns of every batch.
    batches : iterable of pyarrow.RecordBatch or pyarrow.Table
        In order.
    to : str
        Any text format but ``table``, which must see all rows first.
    stream, csv_safe
        As in `render`.

    Raises
    ------
    UsageError
        If the format is unknown or is ``table``.
    BrokenPipeError
        If the reader has gone away.
    """
    check_format(to, [""])
    if to in ("table", "eml", "none"):
        raise UsageError(f"--to {to} can't be written row by row; use --to csv, values or ndjson.")
    style = Style(visible=stream.isatty(), csv_safe=csv_safe)
    for chunk in _load(TEXT_FORMATS[to])({"": Rows(schema, batches)}, style):
        write_bytes(stream, chunk)


def check_format(to: str, jobs: Sequence[str]) -> None:
    """Raise UsageError if ``--to`` is unknown or can't hold the results of these jobs."""
    if to == "none":
        return
    if to not in TEXT_FORMATS:
        raise unknown_name("format", to, TEXT_FORMATS)
    if to == "eml":
        from pipeline.charts.draw import check_drawing

        check_drawing(is_page=True)
    if len(jobs) > 1 and not TEXT_FORMATS[to].holds_several:
        suffix = ".ndjson" if to == "ndjson" else ".csv"
        raise UsageError(
            f"--to {to} holds one result, and there are {len(jobs)} jobs. Write a file for each "
            f"with -o '{{job}}{suffix}', or use --to table, markdown or json."
        )


def check_outputs(paths: Sequence[str], jobs: Sequence[str]) -> None:
    """Find out before the run what would keep the results from being written after it.

    Parameters
    ----------
    paths : sequence of str
        Paths or fsspec URLs as given with ``-o``; ``{job}`` stands for the name of the job.
    jobs : sequence of str
        The names of the jobs.

    Raises
    ------
    UsageError
        If a suffix is unknown, a format holds one result only and there are several, two
        outputs are the same file, or a place is missing or can't be written to.
    """
    seen: dict[str, str] = {}
    for output in _expand(paths, jobs):
        identity = output.path if is_remote(output.path) else str(to_local(output.path))
        if identity in seen:
            raise UsageError(
                f"-o {output.path}: this is the same file as -o {seen[identity]}."
                + (" Put {job} into the name." if len(jobs) > 1 else "")
            )
        seen[identity] = output.path
        if output.form.place.startswith(_DRAWN):
            from pipeline.charts.draw import check_drawing

            check_drawing(is_page=output.form.place.startswith("pipeline.report"))
        if is_remote(output.path):
            _check_protocol(output.path)
        else:
            _check_place(output.path, to_local(output.path))


def write_outputs(
    results: Mapping[str, pa.Table],
    paths: Sequence[str],
    *,
    csv_safe: bool = False,
    top: int | None = None,
    about: Mapping[str, About] | None = None,
    occasion: Occasion | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> None:
    """Write results to files, all of them whole or none.

    Parameters
    ----------
    results : mapping of str to pyarrow.Table
        The result of each job, by its name.
    paths : sequence of str
        As checked by `check_outputs`.
    csv_safe, top, about
        As in `render`.
    occasion : Occasion, optional
        The run, for reports.
    storage_options : mapping, optional
        For fsspec.

    Raises
    ------
    UsageError
        If a suffix is unknown, or a format holds one result only and there are several.
    OutputError
        If a file can't be written; then no file has changed, but for those moved to their
        places before the move of another one failed.
    """
    outputs = _expand(paths, list(results))
    kept = _keep_top(results, top, about or {})
    style = Style(csv_safe=csv_safe, about=about or {}, occasion=occasion)

    def writer(output: _Output) -> Callable[[Path], None]:
        chosen = {job: kept[job] for job in output.jobs}
        return lambda place: _write_file(chosen, output.form, place, style)

    put_files([(output.path, writer(output)) for output in outputs], storage_options)


def takes_one(path: str) -> bool:
    """Tell whether a file given with ``-o`` takes the result of one job."""
    return "{job}" not in path and not _format_of(path).holds_several


class _Output(NamedTuple):
    path: str
    form: _Format
    jobs: list[str]


def _expand(paths: Sequence[str], jobs: Sequence[str]) -> list[_Output]:
    """Return the files that are asked for, and which results go where."""
    outputs = []
    for path in paths:
        form = _format_of(path)
        if "{job}" in path:
            for job in jobs:
                # A job's name may not lead to another directory.
                name = re.sub(r"[^\w.+-]", "_", job).lstrip(".") or "result"
                outputs.append(_Output(path.replace("{job}", name), form, [job]))
        elif len(jobs) == 1 or form.holds_several:
            outputs.append(_Output(path, form, list(jobs)))
        else:
            stem, suffix = os.path.splitext(path)  # noqa: PTH122  # a URL is no Path
            raise UsageError(
                f"-o {path}: a {suffix} file holds one result, and there are {len(jobs)} jobs. "
                f"Write one for each: -o '{stem}-{{job}}{suffix}'."
            )
    return outputs


def _format_of(path: str) -> _Format:
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122  # a URL is no Path
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    if suffix:
        raise unknown_name(f"kind of output in -o {path}:", suffix, SUFFIXES)
    raise UsageError(
        f"-o {path}: the suffix says what to write. Known: {', '.join(SUFFIXES)}. "
        "For standard output use --to."
    )


def _check_protocol(url: str) -> None:
    import fsspec

    try:
        fsspec.get_filesystem_class(url.partition("://")[0].rpartition("::")[2])
    except (ImportError, ValueError) as error:
        raise UsageError(f"-o {url}: {error}") from error


def _check_place(path: str, place: Path) -> None:
    if not place.parent.is_dir():
        raise UsageError(f"-o {path}: there is no directory {place.parent}.")
    if place.exists() and not place.is_file():
        raise UsageError(f"-o {path}: this is no regular file, and would be replaced by one.")
    blocked = place if place.exists() else place.parent
    if not (os.access(blocked, os.W_OK) and os.access(place.parent, os.W_OK | os.X_OK)):
        raise UsageError(f"-o {path}: no permission to write there.")
    if place.suffix == ".duckdb" and place.with_name(place.name + ".wal").exists():
        raise UsageError(
            f"-o {path}: {place.name}.wal stands beside it: another program has the database "
            "open, or has died with changes in it. Close it, or remove the .wal file."
        )


def _keep_top(
    results: Mapping[str, pa.Table],
    top: int | None,
    about: Mapping[str, About],
) -> dict[str, pa.Table]:
    if top is None:
        return dict(results)
    from pipeline.outputs.top import take_top_rows

    return {
        job: take_top_rows(table, top, about.get(job, About()).keys or None)
        for job, table in results.items()
    }


def _render_table(
    results: Mapping[str, pa.Table],
    kept: Mapping[str, pa.Table],
    stream: TextIO,
    top: int | None,
    width: int | None,
    about: Mapping[str, About],
) -> None:
    terminal = stream.isatty()
    if terminal and width is None:
        width = measure_width(stream)
    screen = Screen(stream)
    from pipeline.outputs.top import cut_rows

    write = _load(TEXT_FORMATS["table"])
    for n, (job, table) in enumerate(kept.items()):
        drawn = _draw(results[job], about.get(job, About()), screen, width) if terminal else []
        rows = (SUMMED_UP_ROWS if drawn and top is None else TERMINAL_ROWS) if terminal else None
        shown, note = cut_rows(table, rows, about.get(job, About()).keys)
        if (more := len(results[job]) - len(table)) and not note:
            note = f"… {more:,} more rows (shown: --top {top})"
        title = job if len(kept) > 1 else ""
        screen.write("\n" if n else "")
        write(shown, screen, title=title, note=note, width=width, terminal=terminal)
        if drawn:
            from pipeline.charts.bars import write_bars

            screen.write("\n")
            write_bars(drawn, screen)
    screen.flush()


def _draw(table: pa.Table, about: About, screen: Screen, width: int | None) -> list[Any]:
    """Return the chart below a table on a terminal."""
    from pipeline.charts.bars import draw_bars

    return draw_bars(table, about, width or 80, is_ascii=not screen.has_blocks)


def _write_file(results: Mapping[str, pa.Table], form: _Format, place: Path, style: Style) -> None:
    function = _load(form)
    if form.place.startswith(("duckdb", "parquet")):
        function(results, place)
        return
    if form.place.startswith(_DRAWN):
        function(results, place, style)
        return
    rows = {job: Rows.of(table) for job, table in results.items()}
    with place.open("xb") as file:
        file.writelines(function(rows, style))


def _load(form: _Format) -> Callable[..., Any]:
    module, _, function = form.place.partition(":")
    module = module if "." in module else f"pipeline.outputs.{module}"
    loaded: Callable[..., Any] = getattr(import_module(module), function)
    return loaded
