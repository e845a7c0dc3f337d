"""Sort every split into files, and show them all at once or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.combine import Mapped
from pipeline.errors import OutputError, UsageError
from pipeline.extract.frames import PACKERS
from pipeline.extract.keys import plan_keys, shown_key
from pipeline.extract.names import file_name, source_names
from pipeline.extract.outputs import Outputs
from pipeline.extract.sort import Sorter
from pipeline.task import begin_run, cancel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.combine import FileCounts
    from pipeline.extract.keys import KeyPlan
    from pipeline.extract.outputs import Output
    from pipeline.extract.pieces import Key
    from pipeline.inputs import Inputs
    from pipeline.settings import Settings
    from pipeline.task import MapTask


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
    packer = PACKERS[compress]()
    name_of = _name_of(keys, [file.url for file, _ in inputs.files])
    with new_folder(folder) as place:
        made = Outputs(place, packer, name_of)
        sorter = Sorter(keys, packer, made, place.parent)
        try:
            with _naming(place):
                counts = _sort(sorter, tasks, settings, on_done)
                take_counts(inputs, counts, settings, plan)
                outputs = made.end()
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
    settings: Settings,
    on_done: Callable[[Mapped], None],
) -> dict[str, FileCounts]:
    """Sort all splits; return what was read of each file, up to its damage."""
    from pipeline.run import take_part

    counts: dict[str, FileCounts] = {}
    begin_run()
    for url, of_split in _sorted(sorter, [task for of_file in tasks for task in of_file], settings):
        mapped = Mapped([], {url: of_split})
        on_done(mapped)
        take_part(counts, mapped)
    return counts


def _sorted(
    sorter: Sorter, tasks: Sequence[MapTask], settings: Settings
) -> Iterator[tuple[str, FileCounts]]:
    if settings.n_workers == 1 or len(tasks) == 1 or settings.scheduler == "inline":
        yield from map(sorter.sort, count(), tasks)
        return
    with _pool(settings) as pool:
        yield from pool.map(sorter.sort, count(), tasks)


@contextmanager
def _pool(settings: Settings) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(settings.n_workers, thread_name_prefix="sawlog-extract") as pool:
        try:
            yield pool
        except BaseException:
            cancel()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _name_of(keys: KeyPlan, urls: list[str]) -> Callable[[Key], str]:
    if not keys.by:
        names = source_names(urls)
        return lambda key: names[str(key[0])]

    def name(key: Key) -> str:
        parts = zip(keys.by, key, strict=True)
        return "/".join(file_name(shown_key(name, value)) for name, value in parts) + ".log"

    return name


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
