"""Time stamps of the first lines of a file, and what else there tells the year.

Slow and simple, for heads of files only; the scan kernel reads all lines by the same rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Postfix gives up on a message after this time: so long may a line follow its queue id's birth.
MAXIMAL_QUEUE_LIFETIME = timedelta(days=5)
#: Clock skew, time zone and slow delivery between the birth of an id and the line that shows it.
_ID_SLACK = timedelta(days=2)
_FIRST_YEAR = 1990

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MONTH_NUMBERS = {name.encode(): number for number, name in enumerate(_MONTHS, 1)}

_PRI = rb"(?:<\d{1,3}>)?"
_YEARLESS = re.compile(
    _PRI + rb"(" + "|".join(_MONTHS).encode() + rb") ( ?\d|\d\d) (\d\d):(\d\d):(\d\d)(?=[\s.,]|$)"
)
_DATED = re.compile(
    _PRI + rb"(?:\d{1,2} )?"  # RFC 5424 has its version between PRI and stamp
    rb"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?=[\s.,Z+-]|$)"
)
# A web server's, as `pipeline.kernels.stamp.find_bracket` finds it.
_BRACKETED = re.compile(
    rb" \[(\d\d)/(" + "|".join(_MONTHS).encode() + rb")/(\d{4}):(\d\d):(\d\d):(\d\d) [+-]\d{4}\] \""
)
# A year-less line up to the end of its tag, so that nothing a sender wrote can pass as an id:
# FreeBSD's <mail.info> may stand before the host, Solaris' [ID 1 mail.info] after the tag.
_TAG = (
    rb"^[^\n]{15,32}? (?:<[\w.]+> )?[^\s:]+ (?P<process>[^\s:\[]+)\[\d+\]: (?:\[ID \d+ [\w.]+\] )?"
)
# Long queue ids (Postfix 2.9, global/mail_queue.h): seconds and microseconds in base 52, the last
# z, the inode in base 51, which has no z. Seconds have six digits until the year 2596.
_BASE_52 = b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
_LONG_ID = re.compile(
    _TAG
    + rb"(?P<id>[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]+): "
)
# cleanup(8) makes a missing Message-ID from the arrival time in UTC and the queue id. Only with
# the line's own id inside is it cleanup's: other hosts' message-ids look the same.
_MESSAGE_ID = re.compile(
    _TAG + rb"(?P<id>[0-9A-Za-z]{5,}): (?:resent-)?message-id=<(?P<time>\d{14})\.(?P=id)@"
)

# What lines with such stamps and ids have in them, each with a byte at its begin for which `re`
# looks at memory's speed: of most heads no line must be looked at.
_DATED_SIGN = re.compile(rb"\n(?:<\d{1,3}>)?(?:\d{1,2} )?\d{4}-\d\d-\d\dT")
_BRACKETED_SIGN = re.compile(rb" \[\d\d/[A-Z][a-z][a-z]/")
_LONG_ID_SIGN = re.compile(rb" [0-9A-Za-z]{10}z[0-9A-Za-z]+: ")
_MESSAGE_ID_SIGN = re.compile(rb"message-id=<\d{14}\.")


class YearlessStamp(NamedTuple):
    """A time stamp as RFC 3164 writes it; ``second`` may be 60."""

    month: int
    day: int
    hour: int
    minute: int
    second: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """The latest time on lines of a head whose year is known, and what told it.

    ``time`` is naive local time as on the lines; ``kind`` is ``dated stamps``, ``queue ids`` or
    ``message-ids``.
    """

    time: datetime
    kind: str


@dataclass(frozen=True, slots=True)
class HeadDates:
    """What the stamps of a head tell.

    Attributes
    ----------
    first : YearlessStamp, datetime or None
        The stamp of the first line that has one.
    evidence : Evidence or None
        Of the year, see `find_evidence`.
    has_years : bool
        A stamp carries its year.
    """

    first: YearlessStamp | datetime | None
    evidence: Evidence | None
    has_years: bool


def parse_stamp(line: bytes) -> YearlessStamp | datetime | None:
    """Return the stamp at the begin of a line: dated ones as naive time as written."""
    if match := _YEARLESS.match(line):
        month = _MONTH_NUMBERS[match[1]]
        day, hour, minute, second = (int(part) for part in match.groups()[1:])
        if 1 <= day <= _MONTH_DAYS[month - 1] and hour < 24 and minute < 60 and second <= 60:
            return YearlessStamp(month, day, hour, minute, second)
    elif match := _DATED.match(line):
        year, month, day, hour, minute, second = (int(part) for part in match.groups())
        return _dated(year, month, day, hour, minute, second)
    elif match := _BRACKETED.search(line):
        day, year, hour, minute, second = (int(match[k]) for k in (1, 3, 4, 5, 6))
        return _dated(year, _MONTH_NUMBERS[match[2]], day, hour, minute, second)
    return None


def _dated(year: int, month: int, day: int, hour: int, minute: int, second: int) -> datetime | None:
    try:
        # A leap second can't be a datetime; here nothing depends on one second.
        return datetime(year, month, day, hour, minute, second - (second == 60))  # noqa: DTZ001
    except ValueError:
        return None


def first_stamp(text: bytes) -> YearlessStamp | datetime | None:
    """Return the stamp of the first line that has one."""
    return next((stamp for line in text.split(b"\n") if (stamp := parse_stamp(line))), None)


def last_stamp(text: bytes) -> YearlessStamp | datetime | None:
    """Return the stamp of the last line that has one; of a tail that begins inside a line too."""
    return next(
        (stamp for line in reversed(text.split(b"\n")) if (stamp := parse_stamp(line))), None
    )


def place_stamp(stamp: YearlessStamp, year: int) -> datetime | None:
    """Return the stamp in this year, None where it has no such day."""
    try:
        return datetime(year, *stamp[:4], min(stamp.second, 59))  # noqa: DTZ001
    except ValueError:
        return None


def decode_queue_id(queue_id: bytes) -> datetime | None:
    """Return the second of creation, in naive UTC, that a long Postfix queue id holds.

    Returns
    -------
    datetime or None
        None for what is no long queue id.

    Examples
    --------
    >>> decode_queue_id(b"4PL3j0443nz30Ms")
    datetime.datetime(2023, 2, 20, 13, 50, 44, 573445)
    """
    if queue_id.rfind(b"z") != 10 or len(queue_id) < 12:
        return None
    digits = [_BASE_52.find(digit) for digit in queue_id]
    if min(digits) < 0:
        return None
    seconds, microseconds = _from_base_52(digits[:6]), _from_base_52(digits[6:10])
    if microseconds >= 1_000_000:
        return None
    return datetime(1970, 1, 1) + timedelta(seconds=seconds, microseconds=microseconds)  # noqa: DTZ001


def find_evidence(head_text: bytes, now: datetime) -> Evidence | None:
    """Return the best evidence of the year on the lines of a head.

    Dated stamps go before long queue ids, those before message-ids made by cleanup. Of each kind
    the latest counts that is credible: not before 1990, nor more than two days after ``now``, and
    for ids: born at most two days after the line, and for queue ids at most five days and two
    before it (a message may be tried again for so long), for message-ids at most two.

    Parameters
    ----------
    head_text : bytes
        First plain bytes of a file; a line that is cut at the end does no harm.
    now : datetime
        Begin of the run, naive.
    """
    found = (("dated stamps", _dates), ("queue ids", _queue_ids), ("message-ids", _message_ids))
    for kind, find in found:
        if credible := [time for time in find(head_text, now) if is_credible(time, now)]:
            return Evidence(max(credible), kind)
    return None


def _dates(text: bytes, now: datetime) -> Iterator[datetime]:
    del now
    for sign in (_DATED_SIGN, _BRACKETED_SIGN):
        for line in _lines_with(sign, text):
            if isinstance(stamp := parse_stamp(line), datetime):
                yield stamp


def _queue_ids(text: bytes, now: datetime) -> Iterator[datetime]:
    for line in _lines_with(_LONG_ID_SIGN, text):
        stamp = parse_stamp(line)
        if isinstance(stamp, YearlessStamp) and (match := _LONG_ID.match(line)):
            born = decode_queue_id(match["id"])
            yield from _place_after(stamp, born, MAXIMAL_QUEUE_LIFETIME, now)


def _message_ids(text: bytes, now: datetime) -> Iterator[datetime]:
    for line in _lines_with(_MESSAGE_ID_SIGN, text):
        stamp = parse_stamp(line)
        if (
            isinstance(stamp, YearlessStamp)
            and (match := _MESSAGE_ID.match(line))
            and b"cleanup" in match["process"]
        ):
            yield from _place_after(stamp, _parse_digits(match["time"]), timedelta(0), now)


def _lines_with(sign: re.Pattern[bytes], text: bytes) -> Iterator[bytes]:
    """Yield the lines in which something is found: to try each line takes ten times as long."""
    text = b"\n" + text
    for match in sign.finditer(text):
        begin = match.start() + 1 if match[0][0] == 10 else text.rfind(b"\n", 0, match.start()) + 1
        end = text.find(b"\n", begin)
        yield text[begin : end if end >= 0 else len(text)]


def find_dates(text: bytes, now: datetime) -> HeadDates:
    """Return what the stamps of a head tell; see `find_evidence`."""
    return HeadDates(first_stamp(text), find_evidence(text, now), has_years=has_years(text))


def has_years(text: bytes) -> bool:
    """Tell whether a line's stamp carries its year."""
    return any(True for _ in _dates(text, datetime.max))  # noqa: DTZ901  (it is not looked at)


def latest_dated(text: bytes, now: datetime) -> datetime | None:
    """Return the latest credible time of stamps that carry their year; None where none does."""
    times = (parse_stamp(line) for line in text.split(b"\n"))
    dated = (time for time in times if isinstance(time, datetime) and is_credible(time, now))
    return max(dated, default=None)


def is_credible(time: datetime, now: datetime) -> bool:
    """Tell whether a time can be that of a log line or file: a clock without battery starts in 1970."""  # noqa: E501
    return time.year >= _FIRST_YEAR and time <= now + timedelta(days=2)


def _place_after(
    stamp: YearlessStamp, born: datetime | None, lifetime: timedelta, now: datetime
) -> list[datetime]:
    """Return the stamp in the year in which it follows the birth of its id, if there is one."""
    if born is None or not is_credible(born, now):
        return []
    placed = (place_stamp(stamp, year) for year in (born.year - 1, born.year, born.year + 1))
    return [time for time in placed if time and -_ID_SLACK <= time - born <= lifetime + _ID_SLACK]


def _from_base_52(digits: list[int]) -> int:
    number = 0
    for digit in digits:
        number = number * 52 + digit
    return number


def _parse_digits(text: bytes) -> datetime | None:
    """Return the time of ``YYYYMMDDHHMMSS``."""
    try:
        return datetime.strptime(text.decode(), "%Y%m%d%H%M%S")  # noqa: DTZ007  (naive UTC)
    except ValueError:
        return None
