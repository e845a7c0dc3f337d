"""Look at the sources: which are known, which hold more of what is known, which are new."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.chain import STEP
from pipeline.errors import SourceError
from pipeline.inputs import leave_out_copies
from pipeline.model import Account, Damage
from pipeline.state.contents import Content, Seen, sum_lines
from pipeline.state.match import Match, match_by_content, match_by_hint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.inputs import Inputs
    from pipeline.model import Head, Place, SourceFile
    from pipeline.settings import Settings
    from pipeline.state.ledger import Ledger
    from pipeline.state.parts import Unit

#: A plain file that was written to within this many seconds may have half a line at its end.
FRESH_S = 3600.0


@dataclass(slots=True, eq=False, repr=False)
class Due:
    """A file of which something must be mapped.

    Attributes
    ----------
    begin : int
        Plain bytes that need no mapping.
    end : int or None
        Plain offset from which on no mapping is needed. None: all that is there.
    stop : int or None
        Where the file ends: behind its last line end. None: at its end.
    units : list of Unit
        Those that need it.
    envelope : str
        Name of what its lines stand in; empty without.
    is_alone : bool
        Its partials must lie in objects of their own: they are made anew when the file grows.
    """

    file: SourceFile
    head: Head
    match: Match
    begin: int
    end: int | None
    stop: int | None
    held: int
    units: list[Unit]
    envelope: str
    is_alone: bool


@dataclass(slots=True, eq=False, repr=False)
class Work:
    """What one run found and did.

    Attributes
    ----------
    listed : sequence of SourceFile
        All files that there are.
    holders : dict of str to list of SourceFile
        Those that hold all of a content, by its id.
    used : dict of str to Content
        Contents that files of this run hold, by their ids.
    n_again : int
        Known files of which something is read once more.
    envelope_option : str
        As ``--envelope`` says.
    """

    ledger: Ledger
    units: list[Unit]
    account: Account
    warnings: list[str] = field(default_factory=list)
    due: list[Due] = field(default_factory=list)
    used: dict[str, Content] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    listed: Sequence[SourceFile] = ()
    holders: dict[str, list[SourceFile]] = field(default_factory=dict)
    read_bytes: int = 0
    n_again: int = 0
    envelope_option: str = "auto"


def look(work: Work, arguments: Sequence[str], settings: Settings) -> Inputs:
    """List the sources; tell what is known from what must be read."""
    from pipeline.head import STDIN
    from pipeline.inputs import Inputs, date_files, list_sources
    from pipeline.many_heads import Heads

    if STDIN in arguments:
        raise SourceError(STDIN, "unreadable", "--state knows files, not standard input")
    find = (lambda _: None) if settings.verify_content else work.ledger.find_seen
    # Whole: contents are found by the digest of their first kilobytes.
    heads = Heads(settings.envelope, settings.now, whole_bytes=sys.maxsize)
    listed = list_sources(
        arguments,
        settings,
        needs_all=True,
        is_known=lambda file: find(file) is not None,
        on_head=heads.take,
    )
    work.account = account = listed.account
    work.places, work.listed = listed.places, listed.files
    account.files = len(listed.files)
    newest = max((file.mtime or 0.0 for file in listed.files), default=0.0)
    asked = []
    for file in listed.files:
        known = None if settings.verify_content else work.ledger.find_seen(file)
        empty = work.ledger.empty.get(file.url)
        if known is not None and not known.seen[file.url].held and _is_covered(work, known):
            _reuse(work, known, known.seen[file.url])
            work.holders.setdefault(known.id, []).append(file)
        elif empty is not None and empty.is_of(file) and not settings.verify_content:
            account.reused_files += 1
        else:
            asked.append(file)
    unknown: list[tuple[SourceFile, Head]] = []
    for file, head in heads.read(asked):
        if isinstance(head, SourceError):
            account.damaged.append(Damage(head.url, head.kind, detail=head.detail))
        else:
            unknown.append((file, head))
    if not listed.files and account.damaged:
        first = account.damaged[0]
        raise SourceError(first.file, first.kind, first.detail)
    matches = _match_all(work, unknown, settings)
    for (file, _), match in zip(unknown, matches, strict=True):
        if match.content is not None and not match.is_prefix:
            work.holders.setdefault(match.content.id, []).append(file)
    for (file, head), match in zip(unknown, matches, strict=True):
        _place(work, file, head, match, newest, settings)
    files = _without_copies(work, settings)
    files, anchors = date_files(files, work.places, settings, _dated(work))
    return Inputs(files, anchors, account, places=work.places)


def _match_all(
    work: Work, files: Sequence[tuple[SourceFile, Head]], settings: Settings
) -> list[Match]:
    """Find out what files hold; several are read at a time."""
    from concurrent.futures import ThreadPoolExecutor

    def match(one: tuple[SourceFile, Head]) -> Match:
        file, head = one
        place = told_by(work, file)
        known = None if settings.verify_content else work.ledger.find_seen(file)
        if known is not None:
            return Match(known, known.length)
        if not settings.verify_content:
            marked = work.ledger.find_marked(file)
            if marked is not None and marked[0].place == place:
                content, seen = marked
                damage = seen.damage and Damage(**{**seen.damage, "file": file.url})
                return Match(content, content.length, total=content.length, damage=damage or None)
            found = match_by_hint(file, head, work.ledger, place)
            if found is not None:
                return found
        return match_by_content(file, head, work.ledger, place)

    if len(files) < 2:
        return [*map(match, files)]
    with ThreadPoolExecutor(settings.n_workers) as pool:
        return list(pool.map(match, files))


def _place(
    work: Work, file: SourceFile, head: Head, match: Match, newest: float, settings: Settings
) -> None:
    """Decide what of a file must be mapped."""
    work.read_bytes += match.read_bytes
    stop, held = _line_end(file, head, newest, settings)
    seen = seen_now(file)
    content = _holder(work, file, head, match) if match.guesses else match.content
    if content is None:
        if stop == 0:
            return  # the begin of its first line
        wrapped = _wrapped(head, settings)
        due = Due(file, head, Match(), 0, None, stop, held, work.units, *wrapped)
        work.due.append(due)
        return
    if match.damage is not None:
        seen.damage = asdict(match.damage)
        work.account.damaged.append(match.damage)
    if match.is_prefix:
        work.account.duplicates.append(
            {"file": file.url, "same_as": name_of(content), "kind": "prefix"}
        )
        work.ledger.see(content, seen)
        use(work, content)
        return
    is_whole = _is_known_whole(file, head, match, stop)
    envelope, must_be_whole, is_alone = _wrapping(head, settings)
    spans: dict[tuple[int, int | None], list[Unit]] = {}
    for unit in work.units:
        for span in _missing(content, unit, envelope, is_whole=is_whole, by_all=must_be_whole):
            spans.setdefault(span, []).append(unit)
    if not spans:
        seen.held = held
        copies = [url for url in content.seen if url != file.url]
        work.ledger.see(content, seen)
        if content.id in work.used and copies:
            _tell_copy(work, file, content)
        work.account.reused_files += 1
        use(work, content)
        return
    work.n_again += any(content.missing(unit.key) for unit in work.units)
    for (begin, end), units in spans.items():
        due = Due(file, head, match, begin, end, stop, held, units, envelope, is_alone)
        work.due.append(due)


def _missing(
    content: Content, unit: Unit, envelope: str, *, is_whole: bool, by_all: bool
) -> list[tuple[int, int | None]]:
    """Return the ranges of a file that must be mapped for a unit; None: to its end.

    Parameters
    ----------
    is_whole : bool
        The file has nothing behind its known content.
    by_all : bool
        Lines can't be read without those before them.
    """
    missing = content.missing(unit.key)
    if is_whole and not missing:
        return []
    segments = content.segments_of(unit.key)
    if by_all or any(one.envelope != envelope for one in segments):
        return [(0, None)]  # what comes first decides how the rest is read
    spans: list[tuple[int, int | None]] = list(missing)
    if spans and spans[-1][1] == content.length:
        spans[-1] = (spans[-1][0], None)
    elif not is_whole:
        spans.append((content.length, None))
    begin, end = spans[-1]
    # A line that had no end, and has one now, is read once more.
    for one in segments:
        if end is None and one.is_open and one.stop == begin:
            spans[-1] = (one.start, None)
    return spans


def _is_known_whole(file: SourceFile, head: Head, match: Match, stop: int | None) -> bool:
    """Tell whether a file has nothing behind what is known of it, as far as that shows."""
    if stop is None and head.compression != "plain":
        return _ends(match)
    # A last line that counted without its end may wait for it now: there is nothing more to count.
    return (file.size or 0 if stop is None else stop) <= match.length


def _wrapping(head: Head, settings: Settings) -> tuple[str, bool, bool]:
    """Return what a file's lines stand in, as far as its head tells.

    Returns
    -------
    tuple of (str, bool, bool)
        The envelope's name, empty without one; whether lines can't be read without those before
        them; whether more of the file may tell otherwise.
    """
    from pipeline.head import may_be_wrapped, unwrap_head

    if settings.expand_repeats or settings.repeats:
        return "repeats", True, True
    found = unwrap_head(head, settings.envelope, settings.now).envelope
    if found is None:
        return "", False, settings.envelope == "auto" and may_be_wrapped(head)
    return found.envelope.name, found.envelope.is_whole, True


def _dated(work: Work) -> list[tuple[SourceFile, datetime, datetime]]:
    """Return the files of which nothing is read, and the times of their first and last lines."""
    due = {one.file.url for one in work.due}
    found = []
    for file in work.listed if due else ():
        content = None if file.url in due else work.ledger.find_seen(file)
        if content is None or content.first is None:
            continue
        latest = sum_lines(content.segments).latest or content.first
        first, last = (datetime.fromtimestamp(us / 1e6, UTC) for us in (content.first, latest))
        found.append((file, first.replace(tzinfo=None), last.replace(tzinfo=None)))
    return found


def _holder(work: Work, file: SourceFile, head: Head, match: Match) -> Content | None:
    """Compare what seems to be the begin of some contents with files that hold these."""
    from pipeline.duplicates import find_duplicates
    from pipeline.head import read_heads

    for content in match.guesses:
        for other, other_head in read_heads(work.holders.get(content.id, [])):
            if isinstance(other_head, SourceError):
                continue
            found = find_duplicates([(file, head), (other, other_head)])
            if any(one.file == file.url for one in found):
                return content
    if match.length < STEP or any(one.id in work.holders for one in match.guesses):
        return None
    work.warnings.append(
        f"{file.url} is taken for the begin of what was read before, and is gone: its last bytes, "
        f"less than {STEP:,}, could not be compared"
    )
    return match.content


def _wrapped(head: Head, settings: Settings) -> tuple[str, bool]:
    """Return a file's envelope, and whether its partials must lie alone."""
    envelope, _, is_alone = _wrapping(head, settings)
    return envelope, is_alone


def told_by(work: Work, file: SourceFile) -> str:
    """Return what a file's path tells, as text: contents of two places are two."""
    place = work.places.get(file.url)
    return "" if place is None else repr(place)


def _ends(match: Match) -> bool:
    """Tell whether the file has no more than its content; it was read to its end."""
    return match.total == match.length


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
    kept_new = leave_out_copies(new, work.places, work.account, settings)
    urls = {file.url for file, _ in kept_new}
    work.due = [one for one in work.due if one.match.content is not None or one.file.url in urls]
    rivals: dict[str, dict[str, Due]] = {}
    for due in work.due:
        if due.match.content is not None:
            rivals.setdefault(due.match.content.id, {})[due.file.url] = due
    for of_content in rivals.values():
        if len(of_content) > 1:
            _part(work, of_content, settings)
    return [(due.file, due.head) for due in work.due]


def _part(work: Work, rivals: dict[str, Due], settings: Settings) -> None:
    """Decide which of several files goes on with a content; those that tell otherwise are new."""
    files = [(one.file, one.head) for one in rivals.values()]
    kept = [file for file, _ in leave_out_copies(files, work.places, work.account, settings)]
    heir = max(kept, key=lambda file: file.size or 0)
    new = {file.url for file in kept} - {heir.url}
    work.due = [one for one in work.due if one.file.url == heir.url or one.file.url not in rivals]
    for url in new:
        one = rivals[url]
        work.due.append(replace(one, match=Match(), begin=0, end=None, units=work.units))


def seen_now(file: SourceFile) -> Seen:
    """Return a file's state as it is listed."""
    inode = None if file.inode is None else [*file.inode]
    return Seen(file.url, file.size, file.mtime, inode, mark=file.mark)
