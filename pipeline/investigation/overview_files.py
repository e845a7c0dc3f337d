"""The files of a log: sizes, days, what their names say is missing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from os.path import commonprefix
from statistics import median
from typing import TYPE_CHECKING

from pipeline.rotation import group_sets, parse_name
from pipeline.text import clean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.combine import FileCounts
    from pipeline.run import Inputs

_WEEK, _DAY = timedelta(days=7), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class FileFound:
    """A file; ``first`` and ``last`` are its times, None where no line has one."""

    name: str
    plain_bytes: int
    first: datetime | None
    last: datetime | None


def list_files(inputs: Inputs, counts: Mapping[str, FileCounts]) -> list[FileFound]:
    """Return the files that were read, in rotation order, by their names without what is common."""
    urls = [file.url for file, _ in inputs.files]
    cut = len(_folder(urls))
    found = []
    for url in urls:
        lines = counts[url].lines if url in counts else None
        found.append(
            FileFound(
                clean(url[cut:]),
                lines.plain_bytes if lines else 0,
                _moment(lines.earliest) if lines else None,
                _moment(lines.latest) if lines else None,
            )
        )
    return found


def find_missing(urls: Sequence[str]) -> list[str]:
    """Return the numbers that are missing in rotated sets: ``maillog.3`` of .1, .2, .4."""
    missing = []
    for rotated in group_sets(list(urls)):
        names = [parse_name(url) for url in rotated]
        numbers = {-name.order[1] for name in names if name.order[0] == 1 and len(name.order) == 2}
        if numbers:
            base = clean(names[0].base.rpartition("/")[2])
            gaps = sorted(set(range(min(numbers), max(numbers))) - numbers)
            missing += [f"{base}.{number}" for number in gaps]
    return missing


def tell_pace(files: Sequence[FileFound]) -> tuple[timedelta, float, str] | None:
    """Return of a newest file that is not full yet its span, its bytes in a full one, and of what.

    None where it is full, or files are not rotated by the day or the week.
    """
    spans = [file.last - file.first for file in files if file.first and file.last]
    if len(spans) != len(files) or len(files) < 3:
        return None
    usual = timedelta(seconds=median(span.total_seconds() for span in spans[:-1]))
    newest = spans[-1]
    for period, word in ((_WEEK, "week"), (_DAY, "day")):
        is_rotated_so = 0.8 * period < usual < 1.2 * period
        if is_rotated_so and timedelta(0) < newest < 0.8 * period and newest > 0.05 * period:
            return newest, files[-1].plain_bytes * (period / newest), word
    return None


def _folder(urls: Sequence[str]) -> str:
    """Return the begin that all URLs share, up to a slash."""
    if not all("/" in url for url in urls):
        return ""
    return commonprefix(list(urls)).rpartition("/")[0] + "/"  # noqa: RUF071  # URLs are no paths


def _moment(at: object) -> datetime | None:
    if not isinstance(at, int):
        return None
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)).replace(tzinfo=None)
