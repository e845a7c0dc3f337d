"""Path templates: ``logs/{host}/{day}/*`` names files, and what their paths tell of their lines."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pipeline.errors import SourceError, UsageError, unknown_name
from pipeline.model import Place
from pipeline.sources.local import local_path
from pipeline.sources.opening import archive_protocol, source_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAMES = {
    "host": r"[^/]+",
    "process": r"[^/]+",
    "year": r"\d{4}",
    "month": r"\d\d",
    "day": r"\d{4}-\d\d-\d\d|\d{8}",
    "hour": r"\d\d",
}
_FIELD = re.compile(r"\{([^{}/]*)\}")
_TOKEN = re.compile(r"\{[^{}/]*\}|\*\*|\*|\?|\[[^\]/]+\]|[^{*?[]+|.", re.DOTALL)
_MAGIC = re.compile(r"[*?\[{]")
#: Lines may be written in another zone than the path is, and files be closed late.
_SLACK = timedelta(days=1)


@dataclass(slots=True)
class Template:
    """One SOURCE of ``--path-template``.

    Attributes
    ----------
    since, until : datetime or None
        Folders and files whose paths lie outside are left out.
    skipped : list of (str, str)
        What was left out, and why.

    Raises
    ------
    UsageError
        It names a field that there is none of.
    """

    text: str
    since: datetime | None = None
    until: datetime | None = None
    skipped: list[tuple[str, str]] = field(default_factory=list)
    _whole: re.Pattern[str] = field(init=False)
    _days: str = field(init=False)

    def __post_init__(self) -> None:
        if archive_protocol(self.text):
            raise UsageError(
                f"{self.text}: --path-template takes paths and URLs, not members of archives"
            )
        names = _FIELD.findall(self.text)
        for name in names:
            if name not in _NAMES:
                raise unknown_name("field of a path", name, _NAMES)
        # Behind {year} and {month} a day is that of the month.
        self._days = r"\d\d" if {"year", "month"} <= {*names} else _NAMES["day"]
        if "hour" in names and "day" not in names:
            raise UsageError(f"{self.text}: an {{hour}} without a {{day}} says nothing")
        if "month" in names and "year" not in names:
            raise UsageError(f"{self.text}: a {{month}} without a {{year}} says nothing")
        # A folder that matches is walked.
        self._whole = re.compile(f"{self._pattern(self.text)}(?:/.*)?", re.DOTALL)

    def place(self, url: str) -> Place | None:
        """Return what the path of a file tells; None where it is not as the template says."""
        match = self._whole.fullmatch(url)
        return None if match is None else _place(match.groupdict())

    def expand(self, options: Mapping[str, str]) -> Iterator[str]:
        """Yield the paths and globs that list what may be asked for; lists no other folder.

        ``options`` are fsspec storage options.
        """
        before, mark, path = self.text.rpartition("://")
        parts = path.split("/")
        yield from self._expand(before + mark, parts, {}, dict(options))

    def why_not(self, place: Place | None) -> str | None:
        """Say why a listed file is left out."""
        if place is None:
            return f"its path is not as {self.text} says"
        return self._why_outside(place)

    def _expand(
        self, done: str, parts: list[str], known: dict[str, str], options: dict[str, str]
    ) -> Iterator[str]:
        """Yield what lies below ``done``, a path that ends where the next part begins."""
        n = 0
        while n < len(parts) and not _MAGIC.search(parts[n]):
            n += 1
        done += "".join(f"{part}/" for part in parts[:n])
        parts = parts[n:]
        if not any(_FIELD.search(part) for part in parts[:-1]) or parts[0] == "**":
            rest = _FIELD.sub("*", "/".join(parts))
            is_local = local_path(done) is not None
            yield (glob.escape(done) if is_local and rest else done) + rest if rest else done[:-1]
            return
        pattern = re.compile(self._pattern(parts[0]), re.DOTALL)
        for name in _folders(done, options):
            match = pattern.fullmatch(name)
            if match is None or (name.startswith(".") and not parts[0].startswith(".")):
                continue
            found = known | match.groupdict()
            if any(found[key] != value for key, value in known.items()):
                continue
            place = _place(found)
            if place is None:
                self.skipped.append((done + name, f"its path is not as {self.text} says"))
            elif why := self._why_outside(place):
                self.skipped.append((done + name, why))
            else:
                yield from self._expand(f"{done}{name}/", parts[1:], found, options)

    def _why_outside(self, place: Place) -> str | None:
        if self.since and place.end and place.end + _SLACK <= self.since:
            return f"ends by {place.end:%Y-%m-%d}, before --since, as its path says"
        if self.until and place.begin and place.begin - _SLACK >= self.until:
            return f"begins at {place.begin:%Y-%m-%d}, after --until, as its path says"
        return None

    def _pattern(self, text: str) -> str:
        """Return the regular expression of a template, or of a part of it."""
        seen: set[str] = set()
        pattern = ""
        for piece in _TOKEN.findall(text):
            inside = piece[1:-1]
            if _FIELD.fullmatch(piece):
                kind = self._days if inside == "day" else _NAMES[inside]
                pattern += f"(?P={inside})" if inside in seen else f"(?P<{inside}>{kind})"
                seen.add(inside)
            elif piece == "**":
                pattern += ".*"
            elif piece in ("*", "?"):
                pattern += "[^/]*" if piece == "*" else "[^/]"
            elif len(piece) > 2 and piece[0] == "[":
                negated = inside.startswith("!")
                letters = inside[negated:].replace("\\", "\\\\").replace("^", "\\^")
                pattern += f"[{'^' * negated}{letters}]"
            else:
                pattern += re.escape(piece)
        return pattern


def _place(found: Mapping[str, str]) -> Place | None:
    """Return what the fields tell; None where they name no day that there is."""
    digits = (found.get("day") or "").replace("-", "")
    if len(digits) == 8:
        year, month, day = digits[:4], digits[4:6], digits[6:]
    else:
        year, month, day = found.get("year") or "", found.get("month") or "", digits
    begin = end = None
    try:
        if year:
            hour = found.get("hour") or ""
            begin = datetime(int(year), int(month or 1), int(day or 1), int(hour or 0))  # noqa: DTZ001
            if hour and day:
                end = begin + timedelta(hours=1)
            elif day:
                end = begin + timedelta(days=1)
            elif month:
                end = (begin + timedelta(days=31)).replace(day=1)
            else:
                end = begin.replace(year=begin.year + 1)
    except (ValueError, OverflowError):
        return None
    # Without an end it is far away from the ends of time.
    if begin is not None and not 1 < begin.year < 9998:
        return None
    is_day = bool(year and month and day)
    return Place(
        found.get("host"),
        found.get("process"),
        begin.date() if is_day and begin is not None else None,
        begin,
        end,
    )


def _folders(done: str, options: dict[str, str]) -> list[str]:
    """Return the names of the folders in a folder, sorted.

    Raises
    ------
    SourceError
        It can't be listed.
    """
    path = local_path(done)
    if path is None:
        from pipeline.sources.remote import Store

        return Store(done, tuple(sorted(options.items()))).folders()
    try:
        with os.scandir(path or ".") as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except OSError as error:
        raise source_error(done, error) from error


def expand_templates(
    arguments: list[str], since: datetime | None, until: datetime | None, options: Mapping[str, str]
) -> tuple[list[Template], list[str], list[SourceError]]:
    """Return the templates, what they list, and what could not be listed.

    Raises
    ------
    UsageError
        A template is wrong.
    """
    templates = [Template(argument, since, until) for argument in arguments]
    listed: list[str] = []
    failed: list[SourceError] = []
    for template in templates:
        n_before = len(listed)
        try:
            listed += template.expand(options)
        except SourceError as error:
            failed.append(error)
        else:
            if len(listed) == n_before and not template.skipped:
                failed.append(SourceError(template.text, "no match", "no folder matches"))
    return templates, listed, failed
