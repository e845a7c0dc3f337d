"""Hosts that must be heard: one that wrote no line is missing input."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pipeline.job import Job
from pipeline.model import SILENT, Damage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

#: No job of a user is called like this.
NAME = "hosts that were heard"


class _HostsJob(Job):
    """A job that the run adds: the options of the user's jobs are not meant for it."""

    __slots__ = ()

    def sql(self, by: Sequence[str] | None = None) -> str:
        del by
        return self.text

    def values(self, given: Mapping[str, str]) -> dict[str, object]:
        del given
        return {}


def hosts_job() -> Job:
    """Return the job that lists the hosts of the lines which the run looks at."""
    return _HostsJob(NAME, NAME, "SELECT host, count(*) AS lines FROM lines GROUP BY host")


def find_silent(expected: Iterable[str], heard: pa.Table) -> list[Damage]:
    """Return what is missing: expected hosts, or globs, that no line is of."""
    names = [name for name in heard["host"].to_pylist() if name is not None]
    return [
        Damage(host, SILENT, detail="no line of it among those looked at")
        for host in expected
        if not any(fnmatchcase(name, host) for name in names)
    ]
