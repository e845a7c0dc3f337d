"""Find the queue ids of what was asked for, then their lines: two passes.

One is enough for queue ids that nothing is tied to. Where the session that brought a message lies
across the edge of a split, the splits beside it are read once more.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.combine import Mapped
from pipeline.task import begin_run, cancel
from pipeline.trace.search import HOPS, LINKS, Search, Searcher
from pipeline.trace.sessions import session_of
from pipeline.trace.story import Story, tell_stories

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

    from pipeline.combine import FileCounts
    from pipeline.inputs import Inputs
    from pipeline.settings import Settings
    from pipeline.task import MapTask
    from pipeline.trace.query import Queries
    from pipeline.trace.search import Found, Needle
    from pipeline.trace.sessions import Row, Session

#: More queue ids, or processes, than this are not looked for one by one.
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
    passes = _Passes(tasks, settings)
    found = passes.first(_first_search(queries), on_done)
    take_counts(inputs, passes.counts, settings, plan)
    links = [link for one in found for link in one.links]
    rows = {_place(row): row for row in _rows(found)}
    matched = {place for place, row in rows.items() if row["matched"] and _is_in(row, settings)}
    ids = _tied({rows[place]["queue_id"] for place in matched} | queries.ids, links)
    n_more = sum(one.n_more for one in found)
    if not queries.only_ids or ids != queries.ids:
        # Ids alone have all their lines already.
        found = passes.again(_second_search(ids))
        n_more += sum(one.n_more for one in found)
        links = [link for one in found for link in one.links]
        rows = {place: row for place, row in rows.items() if place in matched}
        rows.update((_place(row), row) for row in _rows(found))
    for row in passes.rest_of_sessions(found):
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


def _pids(sessions: Iterable[Session]) -> tuple[Needle, ...] | None:
    pids = sorted({session[2] for session in sessions if isinstance(session[2], int)})
    return tuple((b"[%d]: " % pid, False) for pid in pids) if len(pids) <= MAX_IDS else None


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


class _Passes:
    """Searches the same splits again and again; those behind damage once."""

    def __init__(self, tasks: Sequence[MapTask], settings: Settings) -> None:
        self.counts: dict[str, FileCounts] = {}
        self._tasks = tasks
        self._settings = settings
        self._befores: dict[int, int] = {}  # by number of the task: lines of its file before it

    def first(self, search: Search, on_done: Callable[[Mapped], None]) -> list[Found]:
        """Search all splits and count their lines."""
        from pipeline.run import take_part

        kept, tasks = [], []
        for task, one in zip(self._tasks, self._search(search, self._tasks), strict=True):
            n_before = self.counts[one.url].lines.lines if one.url in self.counts else 0
            mapped = Mapped([], {one.url: one.counts})
            on_done(mapped)
            if take_part(self.counts, mapped):
                self._befores[task.number] = n_before
                tasks.append(task)
                kept.append(one)
        self._tasks = tasks
        self._locate(tasks, kept)
        return kept

    def again(self, search: Search) -> list[Found]:
        """Search all splits that count."""
        return self._look(search, self._tasks)

    def rest_of_sessions(self, found: Sequence[Found]) -> list[Row]:
        """Return the lines of sessions that begin or end beyond the split they were found in.

        They are looked for in the splits beside it, and further away only if they aren't there.
        """
        places: dict[Session, list[int]] = {}
        for k, one in enumerate(found):
            for session in one.open_sessions:
                places.setdefault(session, []).append(k)
        clients = [row for row in _rows(found) if row["event"] == "client"]
        rows: list[Row] = []
        reach = 1
        while places:
            search = Search(None, _pids(places), sessions=frozenset(places))
            near = {at + k for of in places.values() for at in of for k in range(-reach, reach + 1)}
            tasks = [task for k, task in enumerate(self._tasks) if k in near]
            rows = [*_rows(self._look(search, tasks))]
            if len(tasks) == len(self._tasks) or _are_whole(rows, clients, places):
                break
            reach *= 4
        return rows

    def _look(self, search: Search, tasks: Sequence[MapTask]) -> list[Found]:
        found = list(self._search(search, tasks))
        self._locate(tasks, found)
        return found

    def _locate(self, tasks: Sequence[MapTask], found: Sequence[Found]) -> None:
        """Give rows their file, their line in it, and their order in the input."""
        for task, one in zip(tasks, found, strict=True):
            for row in one.rows:
                row["file"] = one.url
                row["number"] = self._befores[task.number] + row["line"] + 1
                row["order"] = (task.number, row["place"])

    def _search(self, search: Search, tasks: Sequence[MapTask]) -> Iterator[Found]:
        begin_run()
        return _searched(Searcher(search), tasks, self._settings)


def _are_whole(rows: Iterable[Row], clients: Iterable[Row], sessions: Container[Session]) -> bool:
    """Tell whether all these sessions begin before, and end behind, the messages they brought."""
    edges: dict[tuple[Session, str], list[tuple[int, ...]]] = {}
    for row in rows:
        edges.setdefault((session_of(row), row["event"] or ""), []).append(_place(row))
    return all(
        min(edges.get((session, "connect"), [place]), default=place) < place
        and max(edges.get((session, "disconnect"), [place]), default=place) > place
        for session, place in ((session_of(row), _place(row)) for row in clients)
        if session in sessions
    )


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
