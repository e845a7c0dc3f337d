"""Sort every split, put the outputs together, and show them all at once or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.combine import Mapped
from pipeline.errors import OutputError, UsageError
from pipeline.extract.assemble import put_together
from pipeline.extract.frames import PACKERS
from pipeline.extract.keys import Key, plan_keys, shown_key
from pipeline.extract.names import file_name, source_names
from pipeline.extract.sort import Group, Sorted, Sorter
from pipeline.kernels.route import NEVER
from pipeline.map import begin_run, cancel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.combine import FileCounts
    from pipeline.extract.keys import KeyPlan
    from pipeline.inputs import Inputs
    from pipeline.map import MapTask
    from pipeline.settings import Settings

#: Files that are synced at a time: what many wait for, a journal does in one go.
_N_SYNCING = 32
#: A group, in order of the input: its parts in the splits that have some of it.
_Parts = list[Group]


class Output:
    """One file that was made: its name under the folder, lines, plain and stored bytes."""

    __slots__ = ("lines", "name", "newest", "plain_bytes", "stored_bytes")

    def __init__(self, name: str, parts: Sequence[Group], stored_bytes: int) -> None:
        self.name = name
        self.lines = sum(part.lines for part in parts)
        self.plain_bytes = sum(piece.plain for part in parts for piece in part.pieces)
        self.stored_bytes = stored_bytes
        newest = max(part.newest for part in parts)
        self.newest: int | None = None if newest == NEVER else newest


def extract(
    arguments: Sequence[str],
    settings: Settings,
    folder: Path,
    compress: str,
    on_done: Callable[[Mapped], None] = lambda _: None,
    on_found: Callable[[Inputs], None] = lambda _: None,
) -> tuple[list[Output], Inputs]:
    """Write every kept line into the file of its group below ``folder``.

    Parameters
    ----------
    folder : Path
        Is made; an empty one may be there already.
    compress : str
        A key of `pipeline.extract.frames.PACKERS`.
    on_done, on_found : callable
        As in `pipeline.run.run_jobs`.

    Returns
    -------
    tuple of (list of Output, Inputs)
        The files by name; the account in ``Inputs`` is complete.

    Raises
    ------
    UsageError
        An option is wrong; nothing has been read.
    OutputError
        The files can't be written; there are none.
    """
    from pipeline.inputs import find_inputs
    from pipeline.query import columns_of
    from pipeline.relations import RELATIONS
    from pipeline.run import plan_queries, plan_tasks, take_counts

    begin = time.monotonic()
    where = (
        frozenset[str]()
        if settings.where is None
        else columns_of(settings.where, "mail", RELATIONS)
    )
    keys = plan_keys(settings, where)
    if not keys.looks_inside and settings.envelope == "auto":
        settings = replace(settings, envelope="none")
    plan, _ = plan_queries([], replace(settings, where=None))
    inputs = find_inputs(arguments, settings)
    on_found(inputs)
    tasks = plan_tasks(inputs, plan, settings)
    for url, envelope in ((file.url, head.envelope) for file, head in inputs.files):
        if envelope is not None and not envelope.envelope.is_lined:
            raise UsageError(
                f"{url}: {envelope.envelope.name} is no text of lines; what is inside can't be "
                "extracted line by line (--by none extracts the file as it stands)"
            )
    with new_folder(folder) as place:
        sorter = Sorter(keys, PACKERS[compress](), place.parent)
        try:
            counts, groups = _sort(sorter, tasks, keys, settings, on_done)
            take_counts(inputs, counts, settings, plan)
            names = _names(groups, keys, [file.url for file, _ in inputs.files])
            outputs = _put_together(place, groups, names, compress, settings)
        finally:
            sorter.close()
    inputs.account.seconds = round(time.monotonic() - begin, 3)
    return outputs, inputs


def check_folder(folder: Path) -> None:
    """Refuse a folder that would be written into.

    Raises
    ------
    UsageError
        There is something in it, or it is none.
    """
    if not folder.absolute().parent.is_dir():
        raise UsageError(f"-d {folder}: there is no folder {folder.absolute().parent}")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"-d {folder}: this is no folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(
            f"-d {folder}: there is something in it already; the files are written into a new "
            "folder, all of them or none"
        )


def _sort(
    sorter: Sorter,
    tasks: Sequence[Sequence[MapTask]],
    keys: KeyPlan,
    settings: Settings,
    on_done: Callable[[Mapped], None],
) -> tuple[dict[str, FileCounts], dict[Key, _Parts]]:
    """Sort all splits; gather the groups' parts in order of the input, up to a file's damage."""
    from pipeline.run import take_part

    counts: dict[str, FileCounts] = {}
    groups: dict[Key, _Parts] = {}
    begin_run()
    for part in _sorted(sorter, [task for of_file in tasks for task in of_file], settings):
        mapped = Mapped([], {part.url: part.counts})
        on_done(mapped)
        if not take_part(counts, mapped):
            continue
        for key, group in part.groups.items():
            # Without columns to go by, a file is a group.
            groups.setdefault(key if keys.by else (part.url,), []).append(group)
    return counts, groups


def _sorted(sorter: Sorter, tasks: Sequence[MapTask], settings: Settings) -> Iterator[Sorted]:
    if settings.n_workers == 1 or len(tasks) == 1 or settings.scheduler == "inline":
        yield from map(sorter.sort, tasks)
        return
    with _pool(settings) as pool:
        yield from pool.map(sorter.sort, tasks)


@contextmanager
def _pool(settings: Settings) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(settings.n_workers, thread_name_prefix="sawlog-extract") as pool:
        try:
            yield pool
        except BaseException:
            cancel()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _names(groups: dict[Key, _Parts], keys: KeyPlan, urls: list[str]) -> dict[Key, str]:
    if not keys.by:
        names = source_names(urls)
        return {key: names[str(key[0])] for key in groups}
    return {
        key: "/".join(
            file_name(shown_key(name, value)) for name, value in zip(keys.by, key, strict=True)
        )
        + ".log"
        for key in groups
    }


def _put_together(
    place: Path,
    groups: dict[Key, _Parts],
    names: dict[Key, str],
    compress: str,
    settings: Settings,
) -> list[Output]:
    packer = PACKERS[compress]()

    def put(key: Key) -> Output:
        name = names[key] + packer.suffix
        return Output(name, groups[key], put_together(place / name, groups[key], packer))

    ordered = sorted(groups, key=lambda key: names[key])
    with _naming(place), _pool(settings) as pool:
        outputs = list(pool.map(put, ordered))
    with _naming(place), ThreadPoolExecutor(_N_SYNCING) as pool:
        list(pool.map(_sync, (place / output.name for output in outputs)))
    return outputs


def _sync(path: Path) -> None:
    """See that a file is on the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give a hidden folder beside the one that is wanted; rename it in the end.

    Raises
    ------
    OutputError
        One of them can't be made.
    """
    target = folder.absolute()
    target = target.resolve() if target.is_symlink() else target
    with _naming(folder):
        work = Path(tempfile.mkdtemp(prefix=".sawlog-", dir=target.parent))
    try:
        place = work / "out"
        place.mkdir()
        yield place
        with _naming(folder):
            mode = target.stat().st_mode if target.exists() else None
            if mode is not None:
                place.chmod(mode & 0o7777)
            place.rename(target)  # an empty folder gives way
            parent = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(parent)
            finally:
                os.close(parent)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{folder}: can't be written: {error.strerror or error}") from error
