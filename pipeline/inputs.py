"""Find what a run reads: list the sources, read their heads, leave out copies, date the files."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.errors import SourceError
from pipeline.model import Account, Damage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from pipeline.model import Head, Place, SourceFile
    from pipeline.settings import Settings
    from pipeline.sources.template import Template
    from pipeline.years import Anchor, YearlessStamp


@dataclass(slots=True)
class Inputs:
    """What a run reads, and what it leaves out.

    Attributes
    ----------
    files : list of (SourceFile, Head)
        To be read, in rotation order.
    anchors : dict of str to Anchor
        The years' evidence of each file, by URL.
    account : Account
        Holds what is known before the first line is read.
    warnings : list of str
        To be said once, on stderr.
    places : dict of str to Place
        What the path of each file tells, by URL, with ``--path-template``.
    """

    files: list[tuple[SourceFile, Head]]
    anchors: dict[str, Anchor]
    account: Account
    warnings: list[str] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)


@dataclass(slots=True)
class Listed:
    """The files that there are, and what was left out or could not be listed."""

    files: list[SourceFile]
    places: dict[str, Place]
    account: Account


def find_inputs(arguments: Sequence[str], settings: Settings, *, needs_all: bool = False) -> Inputs:
    """Find the source files, read their heads, leave out duplicates, resolve their years.

    Parameters
    ----------
    needs_all : bool
        Don't leave out files whose lines are out of the asked time.

    Raises
    ------
    SourceError
        Not one argument could be read.
    """
    from pipeline.many_heads import Heads

    heads = Heads(settings.envelope, settings.now)
    listed = list_sources(arguments, settings, needs_all=needs_all, on_head=heads.take)
    account = listed.account
    files: list[tuple[SourceFile, Head]] = []
    for file, head in heads.read(listed.files):
        if isinstance(head, SourceError):
            account.damaged.append(Damage(head.url, head.kind, detail=head.detail))
        else:
            files.append((file, head))
    if not files and account.damaged:
        first = account.damaged[0]
        raise SourceError(first.file, first.kind, first.detail)
    files = leave_out_copies(files, listed.places, account, settings)
    files, anchors = date_files(files, listed.places, settings)
    inputs = Inputs(files, anchors, account, places=listed.places)
    if not needs_all:
        _skip_out_of_range(inputs, settings)
    account.files = len(inputs.files)
    return inputs


def list_sources(
    arguments: Sequence[str],
    settings: Settings,
    *,
    needs_all: bool = False,
    is_known: Callable[[SourceFile], bool] = lambda _: False,
    on_head: Callable[[SourceFile, bytes], None] | None = None,
) -> Listed:
    """List the source files, in rotation order, without reading them.

    Parameters
    ----------
    needs_all : bool
        As for `find_inputs`.
    is_known, on_head : callable, optional
        As for `pipeline.source.find_sources`.

    Raises
    ------
    SourceError
        Not one argument could be listed.
    """
    from pipeline.head import STDIN, spool_stdin, stdin_head, stdin_stream
    from pipeline.source import find_sources

    if settings.is_elsewhere:
        # What is a relative path here is another one in the folder that a worker runs in.
        arguments = [_absolute(argument) for argument in arguments]
    if settings.year is not None and STDIN in arguments:
        spool_stdin()  # its newest line is looked for before it is read
    templates: list[Template] = []
    unlisted: list[SourceError] = []
    if settings.path_template:
        from pipeline.sources.template import expand_templates

        period = (None, None) if needs_all else (settings.since, settings.until)
        templates, arguments, unlisted = expand_templates(
            list(arguments), *period, settings.storage_options
        )
    with ExitStack() as stack:
        listing = find_sources(
            arguments,
            rotated=settings.rotated,
            options=settings.storage_options,
            stdin=lambda: (stdin_head(), stack.enter_context(stdin_stream())),
            is_known=is_known,
            on_head=on_head,
        )
    account = Account()
    account.skipped = [{"file": url, "why": why} for url, why in listing.skipped]
    account.damaged = [
        Damage(error.url, error.kind, detail=error.detail) for error in (*unlisted, *listing.failed)
    ]
    files, places = _places(listing.files, templates, account)
    if not settings.count_duplicates:
        account.duplicates = [
            {"file": url, "same_as": same, "kind": kind} for url, same, kind in listing.duplicates
        ]
    account.stored_bytes = sum(file.size or 0 for file in files)
    return Listed(files, places, account)


def leave_out_copies(
    files: list[tuple[SourceFile, Head]],
    places: dict[str, Place],
    account: Account,
    settings: Settings,
) -> list[tuple[SourceFile, Head]]:
    """Leave out files that hold what another one holds, and name them."""
    if settings.count_duplicates or len(files) < 2:
        return files
    from pipeline.duplicates import find_duplicates

    groups = _by_place(files, places)
    found = {one.file: one for group in groups for one in find_duplicates(group)}
    for one in sorted(found.values(), key=lambda one: one.file):
        account.duplicates.append({"file": one.file, "same_as": one.same_as, "kind": one.kind})
        if one.damage is not None:
            account.damaged.append(one.damage)
    return [(file, head) for file, head in files if file.url not in found]


def date_files(
    files: list[tuple[SourceFile, Head]],
    places: dict[str, Place],
    settings: Settings,
    known: Sequence[tuple[SourceFile, datetime, datetime]] = (),
) -> tuple[list[tuple[SourceFile, Head]], dict[str, Anchor]]:
    """Look into envelopes, and find the years of all files; return the heads as the scan sees them.

    Parameters
    ----------
    known : sequence of (SourceFile, datetime, datetime)
        Files that are not read, with the times of their first and last lines: they bound those of
        older files.

    Returns
    -------
    tuple of (list of (SourceFile, Head), dict of str to Anchor)
        The anchors are by URL.
    """
    from pipeline.head import read_tail, unwrap, unwrap_head
    from pipeline.model import Head
    from pipeline.years import anchor_of_path, last_stamp, resolve_years

    compression = {file.url: head.compression for file, head in files}
    files = [(file, unwrap_head(head, settings.envelope, settings.now)) for file, head in files]
    envelopes = {file.url: head.envelope for file, head in files}
    ends = {file.url: last for file, _, last in known}

    def newest_stamp(file: SourceFile) -> YearlessStamp | datetime | None:
        if file.url in ends:
            return ends[file.url]
        tail = read_tail(file, compression[file.url])
        return last_stamp(unwrap(tail, envelopes[file.url], settings.now))

    others = [
        (file, Head("plain", f"{first:%Y-%m-%dT%H:%M:%S} -\n".encode())) for file, first, _ in known
    ]
    anchors = resolve_years(
        [*files, *others], year=settings.year, newest_stamp=newest_stamp, now=settings.now
    )
    if settings.year is None:
        anchors |= {url: told for url, place in places.items() if (told := anchor_of_path(place))}
    return files, anchors


def _places(
    files: Sequence[SourceFile], templates: Sequence[Template], account: Account
) -> tuple[list[SourceFile], dict[str, Place]]:
    """Return the files that are as the templates say, and what their paths tell."""
    if not templates:
        return list(files), {}
    for template in templates:
        account.skipped += [{"file": url, "why": why} for url, why in template.skipped]
    kept, places = [], {}
    for file in files:
        why: str | None = None
        for template in templates:
            place = template.place(file.url)
            why = template.why_not(place)
            if place is not None and why is None:
                kept.append(file)
                places[file.url] = place
                break
        else:
            account.skipped.append({"file": file.url, "why": str(why)})
    return kept, places


def _by_place(
    files: list[tuple[SourceFile, Head]], places: dict[str, Place]
) -> list[list[tuple[SourceFile, Head]]]:
    """Return the files in groups for which the paths tell the same: else equal text is not."""
    groups: dict[object, list[tuple[SourceFile, Head]]] = {}
    for file, head in files:
        groups.setdefault(places.get(file.url), []).append((file, head))
    return list(groups.values())


def _absolute(argument: str) -> str:
    """Return a local path as an absolute one; of a chain of archives that is its last part."""
    from pathlib import Path

    chain, mark, last = argument.rpartition("::")
    if argument == "-" or "://" in last:
        return argument
    return f"{chain}{mark}{Path.cwd() / last}"


def _skip_out_of_range(inputs: Inputs, settings: Settings) -> None:
    """Leave out files whose lines are provably out of the asked time, and name them."""
    from pipeline.years import provably_outside

    if settings.since is None and settings.until is None:
        return
    outside = provably_outside(inputs.files, inputs.anchors, settings.since, settings.until)
    for file, _ in inputs.files:
        if file.url in outside:
            inputs.account.skipped.append({"file": file.url, "why": outside[file.url]})
    inputs.files = [(file, head) for file, head in inputs.files if file.url not in outside]
