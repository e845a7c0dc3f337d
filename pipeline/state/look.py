"""Look at the sources: which are known, which hold more of what is known, which are new."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.chain import STEP
from pipeline.errors import SourceError
from pipeline.model import Account, Damage
from pipeline.state.ledger import Content, Ledger, Seen
from pipeline.state.match import Match, match_by_content, match_by_hint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.model import Head, SourceFile
    from pipeline.run import Inputs
    from pipeline.settings import Settings
    from pipeline.state.parts import Unit

#: A plain file that was written to within this many seconds may have half a line at its end.
FRESH_S = 3600.0


@dataclass(slots=True)
class Due:
    """A file of which something must be mapped.

    Attributes
    ----------
    begin : int
        Plain bytes that need no mapping.
    stop : int or None
        Where it ends: behind its last line end. None: at its end.
    units : list of Unit
        Those that need it.
    """

    file: SourceFile
    head: Head
    match: Match
    begin: int
    stop: int | None
    held: int
    units: list[Unit]


@dataclass(slots=True)
class Work:
    """What one run found and did."""

    ledger: Ledger
    units: list[Unit]
    account: Account
    warnings: list[str] = field(default_factory=list)
    due: list[Due] = field(default_factory=list)
    used: dict[str, Content] = field(default_factory=dict)
    read_bytes: int = 0
    n_again: int = 0  # known files of which something is read once more


def look(work: Work, arguments: Sequence[str], settings: Settings) -> Inputs:
    """List the sources; tell what is known from what must be read."""
    from pipeline.head import STDIN, read_head
    from pipeline.run import Inputs
    from pipeline.source import find_sources
    from pipeline.years import resolve_years

    if STDIN in arguments:
        raise SourceError(STDIN, "unreadable", "--state knows files, not standard input")
    listing = find_sources(
        arguments, rotated=settings.rotated, options=settings.storage_options, stdin=_no_stdin
    )
    account = work.account
    account.skipped = [{"file": url, "why": why} for url, why in listing.skipped]
    account.damaged = [Damage(one.url, one.kind, detail=one.detail) for one in listing.failed]
    account.stored_bytes = sum(file.size or 0 for file in listing.files)
    account.files = len(listing.files)
    newest = max((file.mtime or 0.0 for file in listing.files), default=0.0)
    unknown: list[tuple[SourceFile, Head]] = []
    for file in listing.files:
        known = None if settings.verify_content else work.ledger.find_seen(file)
        if known is not None and not known.seen[file.url].held and _is_covered(work, known):
            _reuse(work, known, known.seen[file.url])
            continue
        empty = work.ledger.empty.get(file.url)
        if empty is not None and empty.is_of(file) and not settings.verify_content:
            account.reused_files += 1
            continue
        try:
            unknown.append((file, read_head(file)))
        except SourceError as error:
            account.damaged.append(Damage(error.url, error.kind, detail=error.detail))
    if not listing.files and account.damaged:
        first = account.damaged[0]
        raise SourceError(first.file, first.kind, first.detail)
    matches = _match_all(work, unknown, settings)
    for (file, head), match in zip(unknown, matches, strict=True):
        _place(work, file, head, match, newest, settings)
    files = _without_copies(work, settings)
    anchors = resolve_years(
        files, year=settings.year, newest_stamp=lambda _: None, now=settings.now
    )
    return Inputs(files, anchors, account)


def _no_stdin() -> Any:
    raise SourceError("-", "unreadable", "--state knows files, not standard input")


def _match_all(
    work: Work, files: Sequence[tuple[SourceFile, Head]], settings: Settings
) -> list[Match]:
    """Find out what files hold; several are read at a time."""
    from concurrent.futures import ThreadPoolExecutor

    def match(one: tuple[SourceFile, Head]) -> Match:
        file, head = one
        known = None if settings.verify_content else work.ledger.find_seen(file)
        if known is not None:
            return Match(known, known.length)
        if not settings.verify_content:
            found = match_by_hint(file, head, work.ledger)
            if found is not None:
                return found
        return match_by_content(file, head, work.ledger)

    with ThreadPoolExecutor(settings.n_workers) as pool:
        return list(pool.map(match, files))


def _place(
    work: Work, file: SourceFile, head: Head, match: Match, newest: float, settings: Settings
) -> None:
    """Decide what of a file must be mapped."""
    work.read_bytes += match.read_bytes
    stop, held = _line_end(file, head, newest, settings)
    seen = seen_now(file)
    content = match.content
    if content is None:
        work.due.append(Due(file, head, match, 0, stop, held, work.units))
        return
    if match.is_prefix:
        work.account.duplicates.append(
            {"file": file.url, "same_as": name_of(content), "kind": "prefix"}
        )
        work.ledger.see(content, seen)
        use(work, content)
        return
    covered = {unit.key: content.covered(unit.key) for unit in work.units}
    begin = min(covered.values())
    if len(set(covered.values())) > 1 or begin < content.length:
        begin = _common_begin(work, content, begin)
    is_whole = begin == content.length
    # Nothing behind what is known, as far as that can be told without reading.
    known_end = stop if stop is not None else (file.size if head.compression == "plain" else None)
    if is_whole and (
        known_end == content.length if known_end is not None else match.read_bytes and _ends(match)
    ):
        seen.held = held
        copies = [url for url in content.seen if url != file.url]
        work.ledger.see(content, seen)
        if content.id in work.used and copies:
            _tell_copy(work, file, content)
        _reuse(work, content, seen)
        return
    work.n_again += begin < content.length
    work.due.append(Due(file, head, match, begin, stop, held, work.units))


def _ends(match: Match) -> bool:
    """Tell whether the file has no more than its content; it was read to its end."""
    return match.total == match.length


def _common_begin(work: Work, content: Content, begin: int) -> int:
    """Let all units' partials end at one place, from which on the content is mapped again."""
    while True:
        for unit in work.units:
            for segment in content.segments:
                if unit.key in segment.units and segment.stop > begin:
                    del segment.units[unit.key]
        least = min(content.covered(unit.key) for unit in work.units)
        if least == begin:
            content.segments = [one for one in content.segments if one.units]
            return begin
        begin = least


def _line_end(
    file: SourceFile, head: Head, newest: float, settings: Settings
) -> tuple[int | None, int]:
    """Return where the last whole line of a plain file that is still written to ends.

    Returns
    -------
    tuple of (int or None, int)
        None: the file is whole, its last line counts whatever it ends with. Then how many bytes
        wait for their line's rest.
    """
    from pipeline.head import open_source, read_full

    if head.compression != "plain" or not file.size or file.mtime is None:
        return None, 0
    is_fresh = file.mtime >= newest or settings.now.timestamp() - file.mtime < FRESH_S
    if not is_fresh:
        return None, 0
    at = file.size
    with open_source(file) as stored:
        while at > 0:
            begin = max(0, at - STEP)
            stored.seek(begin)
            place = read_full(stored, at - begin).rfind(b"\n")
            if place >= 0:
                stop = begin + place + 1
                return (None, 0) if stop == file.size else (stop, file.size - stop)
            at = begin
    return 0, file.size


def _is_covered(work: Work, content: Content) -> bool:
    return all(content.covered(unit.key) >= content.length for unit in work.units)


def _reuse(work: Work, content: Content, seen: Seen) -> None:
    """Take a file as it is known."""
    work.account.reused_files += 1
    if seen.damage is not None:
        work.account.damaged.append(Damage(**seen.damage))
    use(work, content)


def use(work: Work, content: Content) -> None:
    """Note that a file of this run holds a content."""
    work.used[content.id] = content


def _tell_copy(work: Work, file: SourceFile, content: Content) -> None:
    work.account.duplicates.append(
        {"file": file.url, "same_as": name_of(content, file.url), "kind": "same content"}
    )


def name_of(content: Content, but: str = "") -> str:
    """Return a name that a content goes by."""
    return next((url for url in content.seen if url != but), f"content {content.id}")


def _without_copies(work: Work, settings: Settings) -> list[tuple[SourceFile, Head]]:
    """Leave out new files that hold what another new one holds; return the others."""
    new = [(one.file, one.head) for one in work.due if one.match.content is None]
    if not settings.count_duplicates and len(new) > 1:
        from pipeline.duplicates import find_duplicates

        found = {one.file: one for one in find_duplicates(new)}
        for one in sorted(found.values(), key=lambda one: one.file):
            work.account.duplicates.append(
                {"file": one.file, "same_as": one.same_as, "kind": one.kind}
            )
            if one.damage is not None:
                work.account.damaged.append(one.damage)
        work.due = [one for one in work.due if one.file.url not in found]
    # Of files that go on with one content the longest tells all.
    longest: dict[str, Due] = {}
    for due in work.due:
        if due.match.content is not None:
            known = longest.get(due.match.content.id)
            if known is None or (due.file.size or 0) > (known.file.size or 0):
                longest[due.match.content.id] = due
    kept = []
    for due in work.due:
        content = due.match.content
        if content is None or longest[content.id] is due:
            kept.append(due)
        else:
            _tell_copy(work, due.file, content)
    work.due = kept
    return [(due.file, due.head) for due in work.due]


def seen_now(file: SourceFile) -> Seen:
    """Return a file's state as it is listed."""
    inode = None if file.inode is None else [*file.inode]
    return Seen(file.url, file.size, file.mtime, inode)
