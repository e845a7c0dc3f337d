"""Run the original pflogsumm, and read every number out of a report in its layout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PATH = shutil.which("pflogsumm") or shutil.which("pflogsumm", path="/usr/sbin:/usr/local/sbin")

needs_pflogsumm = pytest.mark.skipif(PATH is None, reason="pflogsumm is not installed")

Numbers = dict[str, Any]

_TRAFFIC = ("received", "delivered", "deferred", "bounced", "rejected")
_CONNECTIONS = ("connections", "seconds", "average", "max")
# Section → the levels of its tree, the leaves included.
_DETAILS = {
    "message deferral detail": 2,
    "message bounce detail (by relay)": 2,
    "message reject detail": 3,
    "message reject warning detail": 3,
    "message hold detail": 3,
    "message discard detail": 3,
    "smtp delivery failures": 2,
    "Warnings": 2,
    "Fatal Errors": 2,
    "Panics": 2,
    "Master daemon messages": 1,
    "postscreen detail": 2,
}
_USERS = (
    "Senders by message count",
    "Recipients by message count",
    "Senders by message size",
    "Recipients by message size",
)
_TOTALS = re.compile(r"^ *(-?\d+)([ km])  ([^()]+?)(?: +\((-?\d+)(?:([ km]) deferrals|%)\))?$")
_LEAF = re.compile(r"^ *(-?\d+)([ km])  (.*)$")
_GROUP = re.compile(r"^(.*?)(?: \(top \d+\))? \(total: (\d+)\)$")
_LABEL = re.compile(r"^    (.{11})((?:    .{6,}?[ km])+)$")
_CELL = re.compile(r"(-?\d+)([ km])")
_CLOCK = r" *(-?\d+):(-?\d+):(-?\d+)"


def run_pflogsumm(args: Sequence[str], *logs: Path, text: str | None = None) -> str:
    """Return what the original prints for these logs, or for this text on its standard input."""
    assert PATH is not None
    done = subprocess.run(
        [PATH, *args, *map(str, logs)],
        input=None if text is None else text.encode(),
        stdin=subprocess.DEVNULL if text is None else None,
        capture_output=True,
        # Its sorting and letter case follow the locale.
        env={**os.environ, "LC_ALL": "C"},
        check=True,
        timeout=300,
    )
    return done.stdout.decode(errors="replace")


def parse_report(text: str) -> Numbers:
    """Return the numbers of a report: section → key → number, or → column → number.

    The names of sections lose their limit (``top 5``). Numbers with a unit are multiplied out, as
    far as they were printed; connect times are seconds; an average or longest delay is seconds,
    too. A section that is empty is an empty dict, one that was not printed is missing. Nothing
    is passed over: a line that belongs to no section is an error.

    Examples
    --------
    >>> parse_report("\\nFatal Errors\\n------------\\n  smtpd (total: 2)\\n         2   no table\\n")
    {'Fatal Errors': {'smtpd': {'no table': 2, '(total)': 2}}}
    """
    report: Numbers = {}
    for title, lines in _sections(text.split("\n")):
        name = re.sub(r"^(?:top|first) \d+ | \(top \d+\)$", "", title).rstrip()
        read = _reader(name)
        for line in lines:
            if not read(report.setdefault(name, {}), line):
                raise ValueError(f"{name}: cannot read the line {line!r}")
        report.setdefault(name, {})
    return report


def differences(
    expected: Numbers, actual: Numbers, path: tuple[str, ...] = (), *, limited: bool = False
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yield (section and keys, expected, actual) of every number that differs; None: not there.

    Of rows with equal counts pflogsumm shows any where a limit falls among them. With ``limited``
    a key that is missing may be another one with the same number.
    """
    missing = {key: number for key, number in expected.items() if key not in actual}
    for key in [*expected, *(key for key in actual if key not in expected)]:
        left, right = expected.get(key), actual.get(key)
        if limited and left is None and (tied := _key_of(right, missing)) is not None:
            del missing[tied]
        elif limited and key in missing and right is None:
            continue
        elif isinstance(left, dict) and isinstance(right, dict):
            yield from differences(left, right, (*path, key), limited=limited)
        elif left != right and not (key == "average delay" and _is_half(left, right)):
            yield (*path, key), left, right
    if limited:
        yield from (((*path, key), number, None) for key, number in missing.items())


def differing_numbers(expected: Numbers, actual: Numbers) -> list[list[Any]]:
    """Return [place, expected, actual] of every single number or text that differs; None: none."""
    found: dict[str, list[Any]] = {}
    for path, *sides in differences(expected, actual):
        for side, tree in enumerate(sides):
            for place, value in _leaves(path, tree):
                found.setdefault(place, [None, None])[side] = value
    return [[place, *values] for place, values in found.items()]


def _leaves(path: tuple[str, ...], tree: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for key, inner in tree.items():
            yield from _leaves((*path, key), inner)
    elif tree is not None:
        yield " → ".join(path), tree


def _is_half(left: float | None, right: float | None) -> bool:
    """Tell whether averages differ by one in the last place: pflogsumm adds up binary fractions."""
    if left is None or right is None:
        return False
    unit = 3600 if left > 3600 else 60 if left > 60 else 1
    return abs(left - right) < 0.11 * unit


def _key_of(number: Any, numbers: Numbers) -> str | None:
    return next((key for key, other in numbers.items() if other == number), None)


def tell_differences(expected: Numbers, actual: Numbers, *, limited: bool = False) -> str:
    """Return the differences as lines of text, for the message of an assertion."""
    return "\n".join(
        f"{' → '.join(path)}: pflogsumm {left}, sawlog {right}"
        for path, left, right in differences(expected, actual, limited=limited)
    )


def _sections(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Cut a report at its titles; headings of columns and blank lines are left out."""
    title, rows = None, []
    for i, line in enumerate(lines):
        following = lines[i + 1] if i + 1 < len(lines) else ""
        # A title is underlined in full and stands after a blank line; so do column headings not.
        if line and not lines[i - 1] and following == "-" * len(line):
            found = line
        elif line.endswith(": none") and not lines[i - 1]:
            found = line.removesuffix(": none")
        elif line in {"messages", "smtpd"}:
            found = line
        elif line.startswith("Postfix log summaries for "):
            yield "title", [line]
            continue
        else:
            if title is not None and line and not _is_heading(line, following):
                rows.append(line)
            continue
        if title is not None:
            yield title, rows
        title, rows = found, []
    if title is not None:
        yield title, rows


def _is_heading(line: str, following: str) -> bool:
    dashes = re.compile(r" *-+[ -]*-")
    return bool(dashes.fullmatch(line) or (line[0] == " " and dashes.fullmatch(following)))


def _reader(name: str) -> Any:
    if name in _DETAILS:
        return _Tree(_DETAILS[name])
    if name in _USERS:
        return _read_leaf
    if name.startswith(("Per-Day Traffic", "Per-Hour Traffic")):
        return _read_traffic
    if "SMTPD Connection" in name:
        return _read_domain_connections if name.startswith("Host") else _read_connections
    return {
        "title": lambda section, line: section.update({line: 1}) or True,
        "Grand Totals": lambda section, line: False,
        "messages": _read_totals,
        "smtpd": _read_smtpd,
        "Host/Domain Summary: Message Delivery": _read_delivery,
        "Host/Domain Summary: Messages Received": _read_received,
        "Messages with no size data": _read_no_size,
        "Message detail": _Messages(),
        "Current Mail Queue": lambda section, line: True,
    }[name]


def _scale(number: str, unit: str | None) -> int:
    return int(number) * {"k": 1 << 10, "m": 1 << 20}.get(unit or "", 1)


def _seconds(hours: str, minutes: str, seconds: str) -> int:
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds)


def _read_totals(section: Numbers, line: str) -> bool:
    if not (found := _TOTALS.match(line)):
        return False
    number, unit, name, beside, beside_unit = found.groups()
    section[name] = _scale(number, unit)
    if beside is not None:
        section["deferrals" if name == "deferred" else f"{name} %"] = _scale(beside, beside_unit)
    return True


def _read_smtpd(section: Numbers, line: str) -> bool:
    if found := re.match(rf"^{_CLOCK}  (.*)$", line):
        section[found[4]] = _seconds(*found.groups()[:3])
        return True
    return _read_totals(section, line.replace(" (seconds)", ""))


def _read_leaf(section: Numbers, line: str) -> bool:
    if not (found := _LEAF.match(line)):
        return False
    section[found[3]] = section.get(found[3], 0) + _scale(found[1], found[2])
    return True


def _read_traffic(section: Numbers, line: str) -> bool:
    if not (found := _LABEL.match(line)):
        return False
    cells = [_scale(*cell) for cell in _CELL.findall(found[2])]
    section[found[1].strip()] = dict(zip(_TRAFFIC, cells, strict=False))
    return bool(cells)


def _read_connections(section: Numbers, line: str) -> bool:
    found = re.match(rf"^    (.{{11}}) +(\d+)([ km]) +{_CLOCK}(?: +(-?\d+)s +(-?\d+)s)?$", line)
    if found is None:
        return False
    label, number, unit, *clock, average, longest = found.groups()
    values = (_scale(number, unit), _seconds(*clock), average, longest)
    numbers = zip(_CONNECTIONS, values, strict=True)
    section[label.strip()] = {name: int(value) for name, value in numbers if value is not None}
    return True


def _read_domain_connections(section: Numbers, line: str) -> bool:
    found = re.match(rf"^ +(\d+)([ km]) +{_CLOCK} +(-?\d+)s +(-?\d+)s   (.*)$", line)
    if found is None:
        return False
    number, unit, *clock, average, longest, host = found.groups()
    values = (_scale(number, unit), _seconds(*clock), int(average), int(longest))
    section[host] = dict(zip(_CONNECTIONS, values, strict=True))
    return True


def _read_delivery(section: Numbers, line: str) -> bool:
    count, delay = r" +(-?\d+)([ km])", r" +(-?[\d.]+) ([smh])"
    if not (found := re.match(rf"^{count * 3}{delay * 2}  (.*)$", line)):
        return False
    sent, k1, size, k2, defers, k3, average, t1, longest, t2, domain = found.groups()
    times = {"s": 1, "m": 60, "h": 3600}
    section[domain] = {
        "sent": _scale(sent, k1),
        "bytes": _scale(size, k2),
        "defers": _scale(defers, k3),
        "average delay": round(float(average) * times[t1], 1),
        "max delay": round(float(longest) * times[t2], 1),
    }
    return True


def _read_received(section: Numbers, line: str) -> bool:
    if not (found := re.match(r"^ +(-?\d+)([ km]) +(-?\d+)([ km])  (.*)$", line)):
        return False
    section[found[5]] = {
        "messages": _scale(found[1], found[2]),
        "bytes": _scale(found[3], found[4]),
    }
    return True


def _read_no_size(section: Numbers, line: str) -> bool:
    queue_id, _, recipient = line[1:].partition("  ")
    section[queue_id] = recipient
    return line[0] == " "


class _Tree:
    """Reads the lines of a tree of counts whose depth is known."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._path: list[str] = []

    def __call__(self, section: Numbers, line: str) -> bool:
        outer = 2 * (self._depth - 1)
        if self._depth > 1 and (found := _GROUP.match(line[outer:])) and not line[:outer].strip():
            self._path = [*self._path[: self._depth - 2], found[1]]
            self._at(section)["(total)"] = int(found[2])
            return True
        if self._depth == 3 and re.match(r"^  (?! )", line):
            self._path = [line[2:]]
            return True
        return _read_leaf(self._at(section), line)

    def _at(self, section: Numbers) -> Numbers:
        for key in self._path:
            section = section.setdefault(key, {})
        return section


class _Messages:
    """Reads the message detail: a line with queue id and sender, one for each recipient."""

    def __init__(self) -> None:
        self._recipients: Numbers = {}

    def __call__(self, section: Numbers, line: str) -> bool:
        if line.startswith("   "):
            recipient = line[3:]
            self._recipients[recipient] = self._recipients.get(recipient, 0) + 1
            return True
        queue_id, _, sender = line[1:].partition("  ")
        self._recipients = section.setdefault(queue_id, {}).setdefault(sender, {})
        return line[0] == " "
