"""What ``sawlog trace`` does with its options."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.commands import begin, check_written, end, progress_of
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.trace.run import Traced

_NOT_FOUND = 5
_REFUSED = {
    "where": "--where: ask for a text with -e",
    "processes": "--process: messages are made of the lines of several processes",
    "by": "--by: there is a row for each message and recipient",
    "key_path": "--pseudonymise: the lines are shown as they are",
    "expand_repeats": "--expand-repeats: the lines are shown as they are",
    "repeats": "--repeats: the lines are shown as they are, each as often as it is there",
    "parameters": "-p: it has no parameters",
}
_OWN = (".json", ".html", ".txt")


def run_trace_command(
    arguments: Sequence[str],
    *,
    logins: Sequence[str],
    regexes: Sequence[str],
    queries_path: str | None,
    match: str,
    limit: int,
    **options: Any,
) -> int:
    """Trace messages; return the exit code."""
    from pipeline.trace.query import read_queries
    from pipeline.trace.run import trace

    for name, why in _REFUSED.items():
        if options[name]:
            raise UsageError(f"trace does not take {why}")
    texts, sources = _texts(arguments, logins, regexes, queries_path)
    queries = read_queries(texts, logins, regexes, match)
    settings = begin(sources, options)
    folders = [path for path in options["outputs"] if path.endswith("/")]
    files = [path for path in options["outputs"] if path not in folders]
    check_written(sources, {**options, "outputs": [p for p in files if not _is_own(p)]}, ["trace"])
    for folder in folders:
        from pipeline.extract.run import check_folder

        check_folder(Path(folder))
    progress = progress_of(options)
    try:
        traced = trace(queries, sources, settings, progress.take, progress.plan)
    finally:
        progress.clear()
    _write(traced, files, options)
    for folder in folders:
        from pipeline.trace.evidence import write_evidence

        write_evidence(Path(folder), traced, sources, settings, sys.argv[1:])
    _print(traced, options, limit)
    code = end(traced.inputs.account, traced.inputs.warnings, options)
    if not traced.stories and not code:
        return _NOT_FOUND
    return code


def _texts(
    arguments: Sequence[str],
    logins: Sequence[str],
    patterns: Sequence[str],
    queries_path: str | None,
) -> tuple[list[str], list[str]]:
    """Tell queries and sources apart: the first word is a query, unless one is given otherwise."""
    texts, sources = [], list(arguments)
    if queries_path is not None:
        try:
            lines = Path(queries_path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--queries {queries_path}: can't be read: {error}") from None
        texts = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not texts:
            raise UsageError(f"--queries {queries_path}: there is nothing in it")
    if not (logins or patterns or texts):
        if not sources:
            raise UsageError("trace QUERY SOURCE…: say what to trace")
        texts.append(sources.pop(0))
    return texts, sources


def _is_own(path: str) -> bool:
    return Path(path).suffix in _OWN


def _write(traced: Traced, paths: Sequence[str], options: dict[str, Any]) -> None:
    from pipeline.outputs.files import put_files
    from pipeline.render import write_outputs
    from pipeline.trace.show import deliveries_table

    put_files([(path, _writer(path, traced)) for path in paths if _is_own(path)])
    others = [path for path in paths if not _is_own(path)]
    if others:
        write_outputs(
            {"trace": deliveries_table(traced.stories)},
            others,
            csv_safe=options["csv_safe"],
            top=options["top"],
        )


def _writer(path: str, traced: Traced) -> Callable[[Path], None]:
    def write(place: Path) -> None:
        place.write_text(_content(Path(path).suffix, traced), encoding="utf-8", newline="\n")

    return write


def _content(suffix: str, traced: Traced) -> str:
    from pipeline.trace.page import timeline_page
    from pipeline.trace.show import stories_json, text_lines

    if suffix == ".html":
        return timeline_page(traced.stories)
    if suffix == ".json":
        text = json.dumps(stories_json(traced.stories), indent=1, ensure_ascii=True)
        return f"{text}\n"
    return "".join(f"{line}\n" for line in text_lines(traced.stories, 0))


def _print(traced: Traced, options: dict[str, Any], limit: int) -> None:
    from pipeline.outputs.streams import write_bytes
    from pipeline.render import render
    from pipeline.trace.show import deliveries_table, text_lines

    if options["to"] == "json":
        write_bytes(sys.stdout, _content(".json", traced).encode())
    elif options["to"] == "table":
        text = "".join(f"{line}\n" for line in text_lines(traced.stories, limit))
        write_bytes(sys.stdout, text.encode("utf-8", "replace"))
    else:
        table = deliveries_table(traced.stories)
        shown = {"csv_safe": options["csv_safe"], "top": options["top"]}
        render({"trace": table}, options["to"], sys.stdout, **shown)
    if options["quiet"]:
        return
    if not traced.stories:
        print("nothing found", file=sys.stderr)
    if traced.n_more:
        print(
            f"warning: {traced.n_more:,} more lines were not kept: --since, --until or --match "
            "make it fewer",
            file=sys.stderr,
        )
    for queue_id in traced.not_followed[:10]:
        print(f"tied, but not followed: sawlog trace {queue_id}", file=sys.stderr)
