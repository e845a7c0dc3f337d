"""Run map tasks in a plain loop. What this gives is what every executor must give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.combine import combine_files, combine_splits
from pipeline.map import map_split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pipeline.combine import Mapped
    from pipeline.query import MapPlan
    from pipeline.task import MapTask


class InlineExecutor:
    """A loop over the splits, on the calling thread."""

    def reduce(
        self,
        files: Sequence[Sequence[MapTask]],
        plan: MapPlan,
        on_done: Callable[[Mapped], None],
    ) -> Mapped:
        """See `pipeline.executors.Executor.reduce`."""
        merged: Mapped | None = None
        for of_file in self.each(files, plan, on_done):
            merged = of_file if merged is None else combine_files([merged, of_file], plan)
        assert merged is not None
        return merged

    def each(
        self,
        files: Sequence[Sequence[MapTask]],
        plan: MapPlan,
        on_done: Callable[[Mapped], None],
    ) -> Iterator[Mapped]:
        """See `pipeline.executors.Executor.each`."""
        for tasks in files:
            of_file: Mapped | None = None
            for task in tasks:
                part = map_split(task)
                on_done(part)
                of_file = part if of_file is None else combine_splits([of_file, part], plan)
            assert of_file is not None
            yield of_file

    def stream(self, files: Sequence[Sequence[MapTask]], plan: MapPlan) -> Iterator[Mapped]:
        """See `pipeline.executors.Executor.stream`."""
        del plan
        for tasks in files:
            for task in tasks:
                yield map_split(task)
