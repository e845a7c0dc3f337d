"""Find the queue ids of what was asked for, then their lines: two passes.

One is enough for queue ids that nothing is tied to. One more is needed where the session that
brought a message lies across the edge of a block, once in some thousand messages.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.combine import Mapped
from pipeline.map import begin_run, cancel
from pipeline.trace.search import HOPS, LINKS, Search, Searcher, Session
from pipeline.trace.story import Story, tell_stories

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pipeline.combine import FileCounts
    from pipeline.inputs import Inputs
    from pipeline.map import MapTask
    from pipeline.settings import Settings
    from pipeline.trace.query import Queries
    from pipeline.trace.search import Found, Needle, Row

#: More queue ids than this are not looked for one by one in the second pass.
MAX_IDS = 200


@dataclass(slots=True)
class Traced:
    """What a trace gave.

    Attributes
    ----------
    not_followed : list of str
        Queue ids that the last lines found name, whose own lines were not looked for.
    n_more : int
        Lines that were not kept, since there are too many.
    """

    stories: list[Story]
    inputs: Inputs
    not_followed: list[str]
    n_more: int = 0


def trace(
    queries: Queries,
    arguments: Sequence[str],
    settings: Settings,
    on_done: Callable[[Mapped], None] = lambda _: None,
    on_found: Callable[[Inputs], None] = lambda _: None,
) -> Traced:
    """Find what was asked for, and all that is tied to it.

    Parameters
    ----------
    on_done, on_found : callable
        As in `pipeline.run.run_jobs`.

    Raises
    ------
    SourceError
        Nothing could be read at all.
    """
    from pipeline.inputs import find_inputs
    from pipeline.run import plan_queries, plan_tasks, take_counts

    begin = time.monotonic()
    plan, _ = plan_queries([], settings)
    inputs = find_inputs(arguments, settings, needs_all=True)
    on_found(inputs)
    tasks = [task for of_file in plan_tasks(inputs, plan, settings) for task in of_file]
    counts, found = _search(_first_search(queries), tasks, settings, on_done)
    take_counts(inputs, counts, settings, plan)
    links = [link for one in found for link in one.links]
    rows = {_place(row): row for row in _rows(found)}
    matched = {place for place, row in rows.items() if row["matched"] and _is_in(row, settings)}
    ids = _tied({rows[place]["queue_id"] for place in matched} | queries.ids, links)
    n_more = sum(one.n_more for one in found)
    if not queries.only_ids or ids != queries.ids:
        # Ids alone have all their lines already.
        _, found = _search(_second_search(ids), tasks, settings, lambda _: None)
        n_more += sum(one.n_more for one in found)
        links = [link for one in found for link in one.links]
        rows = {place: row for place, row in rows.items() if place in matched}
        rows.update((_place(row), row) for row in _rows(found))
    sessions = set[Session]().union(*(one.open_sessions for one in found))
    if sessions:
        # They lie across the edge of a block, and begin or end anywhere.
        search = Search(None, _pids(sessions), sessions=frozenset(sessions))
        _, found = _search(search, tasks, settings, lambda _: None)
        for row in _rows(found):
            rows.setdefault(_place(row), row)
    for place, row in rows.items():
        row["matched"] = place in matched
    stories = tell_stories(sorted(rows.values(), key=lambda row: row["order"]))
    told = {message.queue_id for story in stories for message in story.messages}
    beyond = sorted({child for parent, child in links if parent in told and child not in ids})
    inputs.account.seconds = round(time.monotonic() - begin, 3)
    return Traced(stories, inputs, beyond, n_more)


def _first_search(queries: Queries) -> Search:
    if queries.needs_every_line:
        return Search(queries, None)
    texts = queries.needles
    # Names of hosts and domains have no case; a queue id has.
    needles = tuple((text, not queries.only_ids) for text in texts)
    links = LINKS if queries.only_ids else (*LINKS, *HOPS)
    return Search(queries, needles, tuple((text, False) for text in links))


def _second_search(ids: frozenset[str]) -> Search:
    needles = tuple((one.encode(), False) for one in sorted(ids))
    return Search(None, needles if len(ids) <= MAX_IDS else None, ids=ids)


def _pids(sessions: Iterable[Session]) -> tuple[Needle, ...]:
    pids = sorted({session[2] for session in sessions if isinstance(session[2], int)})
    return tuple((b"[%d]: " % pid, False) for pid in pids)


def _tied(seeds: set[str | None], links: Sequence[tuple[str, str]]) -> frozenset[str]:
    """Return the ids that lines tie to the seeds, over any number of steps and either way."""
    ties: dict[str, set[str]] = {}
    for parent, child in links:
        ties.setdefault(parent, set()).add(child)
        ties.setdefault(child, set()).add(parent)
    ids = {one for one in seeds if one is not None}
    left = list(ids)
    while left:
        new = ties.get(left.pop(), set()) - ids
        ids |= new
        left += new
    return frozenset(ids)


def _is_in(row: Row, settings: Settings) -> bool:
    """Tell whether a line that matched is of the asked time and host."""
    from fnmatch import fnmatchcase

    if settings.hosts and not any(fnmatchcase(row["host"] or "", one) for one in settings.hosts):
        return False
    if settings.since is None and settings.until is None:
        return True
    when = row["time"]
    return (
        when is not None
        and (settings.since is None or when >= settings.since)
        and (settings.until is None or when < settings.until)
    )


def _place(row: Row) -> tuple[int, ...]:
    place: tuple[int, ...] = row["order"]
    return place


def _rows(found: Iterable[Found]) -> Iterator[Row]:
    return (row for one in found for row in one.rows)


def _search(
    search: Search,
    tasks: Sequence[MapTask],
    settings: Settings,
    on_done: Callable[[Mapped], None],
) -> tuple[dict[str, FileCounts], list[Found]]:
    """Search some splits; rows get their file, their line in it, and their order in the input."""
    from pipeline.run import take_part

    searcher = Searcher(search)
    counts: dict[str, FileCounts] = {}
    kept = []
    begin_run()
    for task, one in zip(tasks, _searched(searcher, tasks, settings), strict=True):
        n_before = counts[one.url].lines.lines if one.url in counts else 0
        mapped = Mapped([], {one.url: one.counts})
        on_done(mapped)
        if not take_part(counts, mapped):
            one.rows, one.links, one.open_sessions = [], [], set()
        for row in one.rows:
            row["file"] = one.url
            row["number"] = n_before + row["line"] + 1
            row["order"] = (task.number, row["place"])
        kept.append(one)
    return counts, kept


def _searched(searcher: Searcher, tasks: Sequence[MapTask], settings: Settings) -> Iterator[Found]:
    if settings.n_workers == 1 or len(tasks) == 1 or settings.scheduler == "inline":
        yield from map(searcher.search, tasks)
        return
    with ThreadPoolExecutor(settings.n_workers, thread_name_prefix="sawlog-trace") as pool:
        try:
            yield from pool.map(searcher.search, tasks)
        except BaseException:
            cancel()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
