"""What one task of a cluster maps: a split, or some small files together."""

from __future__ import annotations

import pickle
import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.task import MapTask

#: Tasks of a run at most: a scheduler takes a millisecond or two for each.
MAX_UNITS = 10_000
#: So many tasks keep any cluster busy with what is small; from there on each has so many stored
#: bytes, where there are as many: a task costs as much as a quarter of that does.
ENOUGH_UNITS, UNIT_BYTES = 1_000, 1 << 20


@dataclass(frozen=True, slots=True)
class Unit:
    """Adjacent splits of one file, or all splits of adjacent files.

    Attributes
    ----------
    files : tuple of tuple of MapTask
        Per file, in order.
    given_up : dict of (int, int) to str
        Splits that are not tried any more, by the place of file and split, and why.
    """

    number: int
    files: tuple[tuple[MapTask, ...], ...]
    given_up: dict[tuple[int, int], str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What a message calls it."""
        first, last = self.files[0][0].split, self.files[-1][-1].split
        if first is last:
            return f"split {first.index} of {first.file.url}"
        return (
            f"the splits from {first.index} of {first.file.url} to {last.index} of {last.file.url}"
        )

    def pack(self, run: str) -> bytes:
        """Return it small, and without the plan, which each worker has already."""
        bare = tuple(tuple(replace(t, plan=None) for t in of_file) for of_file in self.files)  # type: ignore[arg-type]
        return zlib.compress(pickle.dumps((run, replace(self, files=bare))), 1)


def unpack_unit(packed: bytes) -> tuple[str, Unit]:
    """Return a run's name and the unit that was packed for it."""
    run, unit = pickle.loads(zlib.decompress(packed))  # noqa: S301  # our own scheduler's
    return run, unit


def count_units(n_splits: int, stored_bytes: int) -> int:
    """Return how many units there are at most, for so many splits of so many bytes."""
    return min(n_splits, MAX_UNITS, max(ENOUGH_UNITS, stored_bytes // UNIT_BYTES))


def pack_splits(files: Sequence[Sequence[MapTask]]) -> list[list[Unit]]:
    """Make the units of a run; see `make_units`."""
    stored_bytes = sum(of_file[0].split.file.size or 0 for of_file in files)
    return make_units(files, count_units(sum(map(len, files)), stored_bytes))


def make_units(files: Sequence[Sequence[MapTask]], max_units: int) -> list[list[Unit]]:
    """Make at most about ``max_units`` units of all splits; see `count_units`.

    Returns
    -------
    list of list of Unit
        In order: the units of one large file, or the one unit of some small files.

    Examples
    --------
    >>> tasks = [["a0"], ["b0"], ["c0", "c1", "c2", "c3", "c4"], ["d0"]]
    >>> [[unit.files for unit in units] for units in make_units(tasks, 4)]
    [[(('a0',), ('b0',))], [(('c0', 'c1'),), (('c2', 'c3'),), (('c4',),)], [(('d0',),)]]
    """
    each = max(1, -(-sum(map(len, files)) // max_units))
    made: list[list[Unit]] = []
    small: list[tuple[MapTask, ...]] = []
    n_units = 0

    def end_small() -> None:
        nonlocal n_units
        if small:
            made.append([Unit(n_units, tuple(small))])
            small.clear()
            n_units += 1

    for tasks in files:
        if len(tasks) > each:
            end_small()
            units = []
            for begin in range(0, len(tasks), each):
                units.append(Unit(n_units, (tuple(tasks[begin : begin + each]),)))
                n_units += 1
            made.append(units)
            continue
        if sum(map(len, small)) + len(tasks) > each:
            end_small()
        small.append(tuple(tasks))
    end_small()
    return made
