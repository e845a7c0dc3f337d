"""The rules of the `lines` relation once more, as slow regular expressions: an independent count."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

_MONTHS = {
    name: k for k, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)
}
_SEVERITIES = "emerg alert crit err warning notice info debug".split()
_FACILITIES = (
    "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp security console solaris-cron "
    "local0 local1 local2 local3 local4 local5 local6 local7"
).split()
_RFC3164 = re.compile(
    rb"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)  ?(\d{1,2}) (\d\d):(\d\d):(\d\d)(?:\.(\d+))?+(?![0-9A-Za-z])"
)
_ISO = re.compile(
    rb"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?+([Zz]|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d|(?!:?\d\d)))?+(?![0-9A-Za-z])"
)
_BRACKET = re.compile(rb"(?<= )\[(..)/(...)/(....):(..)(.)(..)(.)(..) (.{5})\] \"", re.DOTALL)
_WS = rb"[ \t\n\r\x0b\x0c]"
_LAST = re.compile(rb"(?:--- )?last message repeated \d+ time")
_LEVEL = rb"([0-9A-Za-z-]{1,13})\.([0-9A-Za-z-]{1,13})"


@dataclass
class Row:
    time: datetime | None = None
    host: bytes | None = None
    process: bytes | None = None
    pid: int | None = None
    severity: str | None = None
    facility: str | None = None
    message: bytes = b""
    bytes: int = 0


def split_lines(text: bytes) -> list[bytes]:
    """Return the lines with their line ends."""
    return re.findall(rb"[^\n]*\n|[^\n]+\Z", text)


def parse(line: bytes, year: int) -> Row:
    """Parse one line; a stamp without a year gets the given one, as long as it has such a day."""
    body = line
    if body.endswith(b"\n"):
        body = body[:-1].removesuffix(b"\r")
    row = Row(message=body, bytes=len(line))
    rest = body.removeprefix(b"\xef\xbb\xbf")
    pri = re.match(rb"<(\d{1,3})>", rest)
    if rest.startswith(b"<") and (not pri or int(pri[1]) > 191):
        return row
    if pri:
        rest = rest[pri.end() :]
        rfc5424 = re.match(rb"[1-9]\d?\d? ", rest)
        if rfc5424:
            stamp = _stamp(rest[rfc5424.end() :], year)
            if stamp is None or (stamp[1] and not stamp[1].startswith(b" ")):
                return row
            return _rfc5424(row, stamp, int(pri[1]))
    stamp = _stamp(rest, year)
    if stamp is None and not pri and (time := _bracketed(rest)):
        row.time, row.process = time, b"(no tag)"
    if stamp is None:
        return row
    row.time, rest = stamp
    row.process = b"(no tag)"
    if pri:
        _set_level(row, int(pri[1]) >> 3, int(pri[1]) & 7)
    stripped = re.sub(rb"\A" + _WS + rb"+", b"", rest)
    if rest and stripped == rest:
        row.message = rest
        return row
    rest = stripped
    bsd = re.match(rb"<" + _LEVEL + rb">" + _WS + rb"*", rest)
    if bsd and (level := _level(bsd[1], bsd[2])):
        _set_level(row, *level)
        rest = rest[bsd.end() :]
    if _special(row, rest) or not rest:
        row.message = rest
        return row
    host = re.match(rb"[^ \t\n\r\x0b\x0c]+", rest)
    row.host = None if host[0] == b"-" else host[0]
    rest = re.sub(rb"\A" + _WS + rb"+", b"", rest[host.end() :])
    row.message = rest
    if _special(row, rest):
        return row
    tag = re.match(rb"([^ \t\n\r\x0b\x0c:\[]+)(?:\[([^\]]*)\]:?|:) ?", rest)
    if not tag:
        return row
    rest = rest[tag.end() :]
    if tag[1] == b"syslogd" and _LAST.match(rest):
        row.process = b"(last message repeated)"
    else:
        row.process = tag[1]
        row.pid = _number(tag[2])
        solaris = re.match(rb"\[ID \d* " + _LEVEL + rb"\] ?", rest)
        if solaris and (level := _level(solaris[1], solaris[2])):
            _set_level(row, *level)
            rest = rest[solaris.end() :]
    row.message = rest
    return row


def _special(row: Row, rest: bytes) -> bool:
    if _LAST.match(rest):
        row.process = b"(last message repeated)"
    elif rest.startswith(b"-- MARK --"):
        row.process = b"(mark)"
    else:
        return False
    return True


def _rfc5424(row: Row, stamp: tuple[datetime, bytes], pri: int) -> Row:
    row.time, rest = stamp
    row.process = b"(no tag)"
    _set_level(row, pri >> 3, pri & 7)
    fields = []
    for _ in range(4):
        rest = rest.removeprefix(b" ") if rest.startswith(b" ") else rest
        field, space, after = rest.partition(b" ")
        fields.append(None if field in (b"", b"-") else field)
        rest = space + after
    rest = rest.removeprefix(b" ")
    row.host = fields[0]
    row.process = fields[1] or b"(no tag)"
    row.pid = _number(fields[2])
    structured = re.match(rb'(?:-(?= |\Z)|(?:\[(?:[^"\]]|"(?:[^"\\]|\\.)*")*\])+)', rest, re.DOTALL)
    if structured:
        rest = rest[structured.end() :].removeprefix(b" ").removeprefix(b"\xef\xbb\xbf")
    row.message = rest
    return row


def _number(text: bytes | None) -> int | None:
    if text is None or not re.fullmatch(rb"\d{1,10}", text):
        return None
    return int(text) if int(text) < 2**31 else None


def _level(facility: bytes, severity: bytes) -> tuple[int, int] | None:
    def place(text: bytes, names: list[str]) -> int:
        if re.fullmatch(rb"\d{1,10}", text):
            return int(text)
        return names.index(text.decode()) if text.decode() in names else -1

    f, s = place(facility, _FACILITIES), place(severity, _SEVERITIES)
    return (f, s) if 0 <= f < 24 and 0 <= s < 8 else None


def _set_level(row: Row, facility: int, severity: int) -> None:
    row.facility, row.severity = _FACILITIES[facility], _SEVERITIES[severity]


def _bracketed(text: bytes) -> datetime | None:
    """Return the time of a web server's line: that of the first bracket that looks like a stamp."""
    found = _BRACKET.search(text)
    if not found:
        return None
    numbers = [found[k] for k in (1, 3, 4, 6, 8)]
    if not all(number.isdigit() for number in numbers) or found[5] + found[7] != b"::":
        return None
    if not re.fullmatch(rb"[+-](?:[01]\d|2[0-3])[0-5]\d", found[9]):
        return None
    d, y, h, mi, s = map(int, numbers)
    us = 0
    if s == 60:
        s, us = 59, 999_999
    try:
        return datetime(y, _MONTHS.get(found[2].decode("latin-1"), 0), d, h, mi, s, us)
    except ValueError:
        return None


def _stamp(text: bytes, year: int) -> tuple[datetime, bytes] | None:
    iso = _ISO.match(text)
    if iso:
        y, mo, d, h, mi, s = (int(iso[k]) for k in range(1, 7))
        fraction = iso[7]
        found = iso
    else:
        found = _RFC3164.match(text)
        if not found:
            return None
        y, mo = year, _MONTHS[found[1].decode()]
        d, h, mi, s = (int(found[k]) for k in range(2, 6))
        fraction = found[6]
    us = int((fraction or b"0")[:6].ljust(6, b"0"))
    if s == 60:
        s, us = 59, 999_999
    for back in range(9):
        try:
            return datetime(y - back, mo, d, h, mi, s) + timedelta(microseconds=us), text[
                found.end() :
            ]
        except ValueError:
            if iso or (mo, d) != (2, 29):
                return None
    return None
