"""The story of an incremental run: what is known is reused, what is new is mapped and kept."""

from __future__ import annotations

import contextlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.chain import STEP, Chain, Piece, digest
from pipeline.errors import UsageError
from pipeline.model import Account, Cut, Damage
from pipeline.state.contents import HEAD_BYTES, Content, Segment, digest_line, sum_lines
from pipeline.state.keep import Held, compact, forget, load_objects, load_partials
from pipeline.state.ledger import Ledger
from pipeline.state.look import Due, Work, look, name_of, seen_now, told_by, use
from pipeline.state.objects import Objects
from pipeline.state.parts import parts_of, plan_units
from pipeline.state.questions import note_asked, skip_outside
from pipeline.state.restated import note_restated
from pipeline.state.write import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.combine import FileCounts, Mapped
    from pipeline.inputs import Inputs
    from pipeline.job import Job
    from pipeline.query import MapPlan
    from pipeline.run import Planned, RunResult
    from pipeline.settings import Settings
    from pipeline.task import MapTask

#: Objects of a unit from which on they are merged at the end of a run.
MANY_OBJECTS = 12


def run_incrementally(
    jobs: Sequence[Job],
    arguments: Sequence[str],
    settings: Settings,
    on_done: Callable[[Mapped], None] = lambda _: None,
    on_found: Callable[[Inputs], None] = lambda _: None,
    planned: Planned | None = None,
) -> RunResult:
    """Answer jobs over all that a state knows and the sources hold; read only what is new.

    Parameters and errors are those of `pipeline.run.run_jobs`.

    Raises
    ------
    StateError
        The state can't be used, or another run uses it.
    UsageError
        Something is asked that can't be kept.
    """
    from pipeline.reduce import reduce_partials
    from pipeline.run import RunResult, as_read, plan_queries, stop_on_damage

    assert settings.state is not None
    if settings.count_duplicates:
        raise UsageError(
            "--state knows logs by their content, so that a copy can't be told from a log that was "
            "renamed: leave --duplicates all out"
        )
    begin = time.monotonic()
    plan, plans = planned or plan_queries(jobs, settings)
    settings = as_read(settings, plan)
    units = plan_units(plan, _told(plan, settings))
    assert settings.state is not None
    objects = Objects(settings.state, settings.storage_options)
    with objects.lease():
        work = Work(Ledger(objects), units, Account(), envelope_option=settings.envelope)
        skip_outside(work.ledger, units, plan, settings)
        held = load_objects(work.ledger, units, work.warnings)
        inputs = look(work, arguments, settings)
        on_found(inputs)
        if inputs.files:
            held |= _map(work, inputs, plan, settings, on_done)
        _note_lost(work)
        if settings.retention is not None:
            forget(work.ledger, settings.now - settings.retention)
        if work.n_again:
            work.warnings.append(
                f"{work.n_again:,} known files are read once more: what is asked was not kept of "
                "them"
            )
        note_asked(work.ledger, units, settings)
        with _saving(work):
            results = reduce_partials(load_partials(work.ledger, units, plan, held), plan, plans)
        if _has_many_objects(work):
            compact(work.ledger)
            _save(work)
        stop_on_damage(work.account, settings)  # who gets no result is told nothing of days
        note_restated(work.ledger, units, (plan, plans), results, work.account, settings.now)
    latest = _count(work, settings)
    account = work.account
    account.seconds = round(time.monotonic() - begin, 3)
    work.warnings += [*inputs.warnings, *work.ledger.notes]
    return RunResult(results, account, {}, work.warnings, latest)


@contextlib.contextmanager
def _saving(work: Work) -> Iterator[None]:
    """Write the ledger; to a store it is written meanwhile, since that is to wait."""
    if work.ledger.objects.is_local:
        _save(work)
        yield
        return
    with ThreadPoolExecutor(1) as saver:
        saved = saver.submit(_save, work)
        yield
        saved.result()


def _save(work: Work) -> None:
    """Write the ledger where it has changed, and remove what nothing needs."""
    ledger = work.ledger
    must_save = ledger.is_changed or ledger.is_new or ledger.is_damaged
    if must_save:
        ledger.save()
    if must_save or ledger.objects.is_local:
        ledger.sweep()


def _told(plan: MapPlan, settings: Settings) -> list[str]:
    """Return what partials depend on beside their question."""
    from pathlib import Path

    told = [str(settings.year), settings.envelope]
    files = [settings.reasons]
    if plan.views.formats:
        formats = settings.formats
        told += [str(formats.only), str(formats.json_columns)]
        files += [formats.bots, *formats.patterns]
    told += [digest(Path(one).read_bytes()).hex() if one else "" for one in files]
    if settings.pseudonyms is not None:
        told += [
            settings.pseudonyms.tokens.text("state@key.example"),
            *sorted(settings.pseudonyms.keep),
        ]
    return told


# Map what is new, keep it.


def _map(
    work: Work,
    inputs: Inputs,
    plan: MapPlan,
    settings: Settings,
    on_done: Callable[[Mapped], None],
) -> Held:
    """Return the partials that were made, by the names of their objects."""
    from pipeline.run import executor_for, plan_tasks

    files = plan_tasks(inputs, replace(plan), settings, needs_offset=True)
    files = [
        _from_begin(tasks, due, work.ledger) for tasks, due in zip(files, work.due, strict=True)
    ]
    executor = executor_for(settings, files)
    writer = Writer(work.ledger, work.units)
    for due, mapped in zip(work.due, executor.each(files, plan, on_done), strict=True):
        (counts,) = mapped.files.values()
        _keep(work, due, mapped, counts, plan, inputs, writer)
    writer.flush(is_last=True)
    return writer.written


def _from_begin(tasks: list[MapTask], due: Due, ledger: Ledger) -> list[MapTask]:
    """Leave out what needs no mapping; number messages so that no other run's are the same."""
    begin, stop = due.begin, due.stop if due.end is None else due.end
    if due.head.compression == "plain" and (begin or stop is not None):
        # The line that starts at s belongs to the split with start < s <= stop.
        edge = Cut(begin - 1, begin - 1, begin - 1) if begin else None
        end = None if stop is None else Cut(stop - 1, stop - 1, stop - 1)
        first = begin - 1 if begin else -1
        kept = []
        for task in tasks:
            split = task.split
            if split.stop is not None and split.stop.stored_offset <= first:
                continue
            if end is not None and split.start is not None and split.start.position >= end.position:
                continue
            start = edge if split.start is None or split.start.position < first else split.start
            later = (
                end
                if end is not None and (split.stop is None or split.stop.position > end.position)
                else split.stop
            )
            kept.append(replace(task, split=replace(split, start=start, stop=later)))
        tasks = kept or [replace(tasks[0], split=replace(tasks[0].split, start=edge, stop=end))]
    elif begin or due.end is not None:
        split = replace(tasks[0].split, start=None, stop=None)
        tasks = [replace(tasks[0], split=split, begin=begin, end=due.end)]
    numbered = []
    for task in tasks:
        numbered.append(replace(task, number=ledger.next_number, is_digested=True))
        ledger.next_number += 1
    return numbered


def _keep(
    work: Work,
    due: Due,
    mapped: Mapped,
    counts: FileCounts,
    plan: MapPlan,
    inputs: Inputs,
    writer: Writer,
) -> None:
    """Take in what was mapped of a file."""
    from pipeline import __version__
    from pipeline.years import years_entry

    ledger, file = work.ledger, due.file
    ledger.is_changed = True
    work.read_bytes += counts.stored_bytes
    damage, piece = counts.damage, counts.piece
    if damage is not None and damage not in work.account.damaged:
        work.account.damaged.append(damage)
    if piece is None:
        return  # it could not be opened any more
    chain = _chain(due, piece, ledger)
    if due.match.content is None and chain.length == 0:
        if damage is None and not due.held:
            ledger.empty[file.url] = seen_now(file)
        return  # nothing was read: no content to remember
    content = due.match.content or _new_content(due, chain, counts, told_by(work, file))
    stop = chain.length if due.end is None else due.end
    # A file that was cut off meanwhile tells no more than was known.
    units = [unit for unit in due.units if content.covered(unit.key) < stop <= chain.length]
    is_new = due.match.content is None or chain.length > content.length
    if is_new:
        content.length = chain.length
        content.stops = [*content.stops[-7:], [chain.length, chain.tail.hex()]]
    if content.first is None:
        content.first = counts.lines.first
    seen = replace(seen_now(file), held=due.held)
    seen.damage = None if damage is None else asdict(damage)
    ledger.see(content, seen)
    use(work, content)
    if not units:
        return
    for segment in [one for one in content.segments if due.begin <= one.start < stop]:
        anew = [unit.key for unit in units if segment.units.pop(unit.key, None) is not None]
        if anew and not segment.units:  # without `anew` it is yet to be written
            content.segments.remove(segment)
    segment = Segment(
        os.urandom(8).hex(),
        due.begin,
        stop,
        asdict(counts.lines),
        years_entry(file.url, counts.lines, inputs.anchors[file.url]),
        __version__,
        due.is_alone or (piece.is_open and due.end is None),
        piece.is_open and due.end is None,
        due.envelope,
        work.envelope_option,
    )
    content.segments.append(segment)
    content.forgotten = min(content.forgotten, due.begin)
    parts = {unit.key: parts_of(unit, mapped, plan, file.url) for unit in units}
    writer.add(content, segment, parts, chain if is_new else None)


def _chain(due: Due, piece: Piece, ledger: Ledger) -> Chain:
    """Return the chain of a content with what was read of it now."""
    content = due.match.content
    if content is None or piece.start == 0:
        return Chain.of(piece)
    begin = due.begin
    if piece.start == piece.stop:
        return Chain(begin, b"", b"")  # nothing has come
    # Where it is mapped again from a place in its midst the match knows of another place.
    lead = (due.match.lead if begin == content.length else None) or _lead(due, begin)
    lead.extend(piece)
    digests = ledger.digests(content, begin // STEP) + bytes(lead.digests)
    return Chain(piece.stop, digests, digest(lead.tail))


def _lead(due: Due, stop: int) -> Piece:
    """Read what lies between the last border between steps and a place of a plain file."""
    from pipeline.head import open_source, read_full

    border = stop // STEP * STEP
    with open_source(due.file) as stored:
        stored.seek(border)
        return Piece(border, stop, tail=read_full(stored, stop - border))


def _new_content(due: Due, chain: Chain, counts: FileCounts, place: str) -> Content:
    n = min(HEAD_BYTES, chain.length, len(due.head.text))
    return Content(
        os.urandom(8).hex(),
        digest(due.head.text[:n]).hex(),
        n,
        chain.length,
        [],
        None,
        place,
        _month(counts.lines.first),
        line=digest_line(due.head.text),
    )


def _month(time_us: int | None) -> str:
    if time_us is None:
        return "undated"
    return f"{datetime.fromtimestamp(time_us / 1e6, UTC):%Y-%m}"


# What the result covers.


def _note_lost(work: Work) -> None:
    """Name what a unit has no partials of, of contents whose files are gone."""
    for content in work.ledger.contents.values():
        lost = next((found for one in work.units if (found := content.missing(one.key))), [])
        for start, stop in lost:
            damage = Damage(
                name_of(content),
                "lost",
                plain_offset=start,
                detail=f"read earlier, but not for this question, or what was kept is damaged; the "
                f"plain bytes {start:,} to {stop:,} of {content.length:,} are not in the result, "
                "and the file is gone",
            )
            work.account.damaged.append(damage)


def _count(work: Work, settings: Settings) -> int | None:
    """Complete the account: the lines of all that the result covers, the bytes of this run.

    Returns the time of the newest of these lines.
    """
    from pipeline.run import stop_on_damage

    account = work.account
    latest = []
    unit = work.units[0].key
    for content in work.ledger.contents.values():
        segments = content.segments_of(unit)
        lines = sum_lines(segments)
        account.lines += lines.lines
        account.dated_lines += lines.dated
        account.plain_bytes += lines.plain_bytes
        latest.append(lines.latest)
        account.years += [segment.year for segment in segments[-1:]]
    if settings.repeats:
        from pipeline.redelivery import note_repeated

        found = [
            (name_of(one), sum_lines(one.segments_of(unit)))
            for one in work.ledger.contents.values()
        ]
        note_repeated(account, found, leaves_out=settings.repeats == "once")
    account.undated_lines = account.lines - account.dated_lines
    account.read_bytes = work.read_bytes
    stop_on_damage(account, settings)
    return max((time for time in latest if time is not None), default=None)


def _has_many_objects(work: Work) -> bool:
    for unit in work.units:
        names = {
            segment.units[unit.key]
            for _, segment in work.ledger.all_segments()
            if segment.units.get(unit.key)
        }
        if len(names) > MANY_OBJECTS:
            return True
    return False
