"""Years of stamps without one: cases in ``cases/years``, the table against the slow rule."""

from __future__ import annotations

import tomllib
from calendar import isleap
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.model import Head, SourceFile
from pipeline.stamps import decode_queue_id, parse_stamp, place_stamp
from pipeline.years import (
    IMPOSSIBLE_DAY,
    Anchor,
    YearlessStamp,
    check_years,
    evidence_of,
    evidence_of_anchor,
    find_evidence,
    first_stamp,
    last_stamp,
    provably_outside,
    resolve_years,
    resolved_stamps,
    year_of,
    year_table,
)

CASES = sorted((Path(__file__).parent / "cases" / "years").glob("*.toml"))
NOW = datetime(2026, 5, 2, 12)


def unix(time: datetime | None) -> float | None:
    return None if time is None else (time - datetime(1970, 1, 1)).total_seconds()


def read_case(case: dict) -> tuple[list[tuple[SourceFile, Head]], dict[str, bytes]]:
    files, tails = [], {}
    for one in case["file"]:
        size = None if one.get("stream") else 1000
        head = Head(
            "plain", one["head"].lstrip("\n").encode(), int(unix(one.get("gzip_mtime")) or 0)
        )
        files.append((SourceFile(one["url"], size, unix(one.get("mtime"))), head))
        tails[one["url"]] = one.get("tail", "").encode()
    return files, tails


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_years_are_resolved_by_the_best_evidence(path):
    """Each case names its files as a store describes them, and the years and evidence to be found."""
    case = tomllib.loads(path.read_text())
    files, tails = read_case(case)

    def newest_stamp(file: SourceFile) -> YearlessStamp | datetime | None:
        return last_stamp(tails[file.url])

    for order in (files, files[::-1]):
        anchors = resolve_years(
            order, year=case.get("year"), newest_stamp=newest_stamp, now=case["now"]
        )
        assert [file.url for file, _ in order] == list(anchors)

        for one in case["file"]:
            anchor = anchors[one["url"]]
            assert (one["evidence"], one.get("guess", False)) == (
                anchor.evidence,
                anchor.is_guess,
            ), one["url"]
            for text, year in one["years"].items():
                stamp = parse_stamp(text.encode())
                assert year == year_of(*stamp, anchor.limit), (one["url"], text, anchor)


def slow_year(stamp: tuple[int, int, int, int, int], limit: datetime) -> int:
    """The rule word by word: try every year from the latest on."""
    for year in range(limit.year, 0, -1):
        try:
            time = datetime(year, *stamp)
        except ValueError:
            continue
        if time <= limit.replace(microsecond=0):
            return year
    raise AssertionError


limits = st.one_of(
    st.datetimes(datetime(1975, 1, 1), datetime(2099, 12, 31)),
    st.builds(
        lambda year, place, s: datetime(year, *place) + timedelta(seconds=s),
        st.integers(1976, 2099).filter(isleap),
        st.sampled_from([(2, 28), (2, 29), (3, 1), (1, 1), (12, 31)]),
        st.integers(0, 86399),
    ),
)
# Leap years have all days; times near those of the limit are drawn often enough to matter.
times = st.datetimes(datetime(2000, 1, 1), datetime(2000, 12, 31, 23, 59, 59))


@given(limits, times, st.sampled_from([None, -1, 0, 1]))
@example(datetime(2008, 2, 29, 10), datetime(2000, 2, 29, 11), None)
def test_year_of_and_table_follow_the_rule(limit, time, near):
    """Fast, slow and literal reading of the rule agree, at the limit's own second as well."""
    if near is not None:
        time = limit.replace(year=2000) + timedelta(seconds=near)
    stamp = (time.month, time.day, time.hour, time.minute, time.second)
    table = year_table(limit)
    index, second = time.month * 32 + time.day, (time.hour * 60 + time.minute) * 60 + time.second
    is_later = index == table.limit_index and second > table.limit_s

    expected = slow_year(stamp, limit)

    assert expected == year_of(*stamp, limit)
    day = date(expected, time.month, time.day).toordinal() - date(1970, 1, 1).toordinal()
    assert day == (table.later if is_later else table.days)[index]
    if index != table.limit_index:
        assert table.days[index] == table.later[index]


def test_the_table_marks_days_that_no_year_has():
    """Feb 30, month 0 and 13, day 0 have no day; all 366 others have one."""
    table = year_table(datetime(2008, 1, 7))

    assert 13 * 32 == len(table.days) == len(table.later)
    assert sum(day != IMPOSSIBLE_DAY for day in table.days) == 366
    assert IMPOSSIBLE_DAY == table.days[2 * 32 + 30] == table.days[4 * 32 + 31] == table.days[0]
    with pytest.raises(ValueError, match="no year"):
        year_of(2, 30, 0, 0, 0, datetime(2008, 1, 7))


def test_a_leap_second_is_the_second_before_it():
    """23:59:60 on New Year's Eve belongs to the old year, and is not later than 23:59:59."""
    assert year_of(12, 31, 23, 59, 60, datetime(2008, 12, 31, 23, 59, 59)) == 2008


@pytest.mark.parametrize(
    ("line", "stamp"),
    [
        (b"Jan  7 10:00:01 mx1 x", YearlessStamp(1, 7, 10, 0, 1)),
        (b"Jan 7 10:00:01 mx1 x", YearlessStamp(1, 7, 10, 0, 1)),
        (b"Jan 17 10:00:01.123 mx1 x", YearlessStamp(1, 17, 10, 0, 1)),
        (b"<22>Feb 29 23:59:60 mx1 x", YearlessStamp(2, 29, 23, 59, 60)),
        (b"2007-12-26T10:00:01.123456+01:00 mx1 x", datetime(2007, 12, 26, 10, 0, 1)),
        (b"<165>1 2003-10-11T22:14:15.003Z mymachine x", datetime(2003, 10, 11, 22, 14, 15)),
        (b"2008-12-31T23:59:60Z mx1 x", datetime(2008, 12, 31, 23, 59, 59)),
        (b"2007-12-26 10:00:01 mx1 x", None),
        (b"2007-13-26T10:00:01 mx1 x", None),
        (b"Jan 32 10:00:01 mx1", None),
        (b"Feb 30 10:00:01 mx1", None),
        (b"Jan  7 24:00:01 mx1", None),
        (b"jan  7 10:00:01 mx1", None),
        (b"Jan  7 10:00:011 mx1", None),
        (b"", None),
    ],
)
def test_stamps_are_read(line, stamp):
    """RFC 3164, RFC 3339 with T, and RFC 5424, after a priority or not; nothing else."""
    assert stamp == parse_stamp(line)


def test_first_and_last_stamp_pass_over_lines_without_one():
    """Heads begin, and tails end, with whatever lines."""
    text = b"garbage\n\nDec  9 04:02:00 a\n continued\nJan  7 10:00:00 b\ncut off at 10:0"

    assert YearlessStamp(12, 9, 4, 2, 0) == first_stamp(text)
    assert YearlessStamp(1, 7, 10, 0, 0) == last_stamp(text)
    assert first_stamp(b"no") is last_stamp(b"") is None


def test_a_long_queue_id_holds_its_time():
    """The id of a line stamped 2023-02-20T19:20:44.573590+05:30 was born 145 microseconds before."""
    assert datetime(2023, 2, 20, 13, 50, 44, 573445) == decode_queue_id(b"4PL3j0443nz30Ms")


@pytest.mark.parametrize(
    "word",
    [
        b"90442C9CB29",
        b"4PL3j0443nz",
        b"4PL3j0443nz30zs",
        b"4PL3j0443a30Mss",
        b"4PL3j0zzzzz30M",
        b"",
    ],
)
def test_what_is_no_long_queue_id(word):
    """Short ids, no inode, a z in the inode, a vowel, a million microseconds."""
    assert decode_queue_id(word) is None


def test_the_latest_credible_stamp_of_a_head_is_its_evidence():
    """An older line behind a newer one does not move the anchor back."""
    head = b"2007-12-30T00:00:00Z a\n2007-12-31T00:00:00Z a\n2007-12-29T00:00:00Z a\n2999-01-01T00:00:00Z a"

    found = find_evidence(head, NOW)

    assert (datetime(2007, 12, 31), "dated stamps") == (found.time, found.kind)
    assert find_evidence(b"Dec 30 00:00:00 a b: c\n", NOW) is None


def test_the_newest_line_on_feb_29_needs_a_leap_year():
    """``--year`` with a year that lacks the newest line's day is the user's mistake."""
    files = [(SourceFile("maillog", 9, 1.0), Head("plain", b""))]

    with pytest.raises(UsageError, match="Feb 29, which 2007 lacks"):
        resolve_years(
            files, year=2007, newest_stamp=lambda _: YearlessStamp(2, 29, 1, 1, 1), now=NOW
        )


def test_without_a_stamp_the_year_itself_is_the_limit():
    """``--year`` of a run whose newest lines tell nothing ends with that year."""
    files = [(SourceFile("maillog", 9, 1.0), Head("plain", b""))]

    anchors = resolve_years(files, year=2007, newest_stamp=lambda _: None, now=NOW)

    assert (
        Anchor(datetime(2007, 12, 31, 23, 59, 59), "--year", is_guess=False) == anchors["maillog"]
    )


def test_no_store_time_at_all_is_a_guess_from_the_run():
    """Stores without times, times before 1990 and of the future leave only the run's begin."""
    files = [
        (SourceFile(str(mtime), 9, mtime), Head("plain", b""))
        for mtime in (None, 0.0, 60.0, 2e9, 1e12, 1e300)
    ]

    anchors = resolve_years(files, newest_stamp=lambda _: None, now=NOW)

    assert {NOW + timedelta(days=1)} == {anchor.limit for anchor in anchors.values()}
    assert all(anchor.is_guess for anchor in anchors.values())


@dataclass
class Lines:
    dated: int = 1
    yearless: int = 1
    steps_back: int = 0
    first: int | None = None
    last: int | None = None
    earliest: int | None = None
    latest: int | None = None


@dataclass
class Counts:
    lines: Lines = field(default_factory=Lines)


def count_lines(*times: datetime, **others: int) -> Counts:
    us = [round(unix(time) * 1e6) for time in times]
    return Counts(Lines(first=us[0], last=us[-1], earliest=min(us), latest=max(us), **others))


def check(evidence: str = "file time", **counts: Counts) -> list[str]:
    names = {name.replace("_", "."): count for name, count in counts.items()}
    files = [(SourceFile(name, 9), Head("plain", b"")) for name in names]
    anchors = {name: Anchor(NOW, evidence, is_guess=False) for name in names}
    return check_years(files, anchors, names)


DEC, JAN, NEXT = datetime(2007, 12, 30), datetime(2008, 1, 6), datetime(2008, 1, 7)


def test_a_sound_set_contradicts_nothing():
    """Files that follow each other, an hour of overlap, a file without stamps."""
    assert (
        check(
            maillog=count_lines(JAN, NEXT),
            maillog_1=count_lines(DEC, JAN + timedelta(hours=1)),
            maillog_2=Counts(),
        )
        == []
    )


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (
            {
                "a": count_lines(
                    datetime(2010, 2, 28), datetime(2008, 2, 29), datetime(2010, 3, 1), steps_back=1
                )
            },
            "Feb 29",
        ),
        ({"a": count_lines(JAN, datetime(2009, 2, 1))}, "span more than a year"),
        (
            {"a": count_lines(datetime(2008, 1, 1), datetime(2008, 12, 1), DEC, steps_back=1)},
            "go back by more than half",
        ),
        (
            {
                "maillog": count_lines(DEC, JAN),
                "maillog_1": count_lines(JAN, NEXT + timedelta(days=9)),
            },
            "out of order",
        ),
        (
            {"maillog": count_lines(datetime(2026, 1, 1)), "maillog_1": count_lines(DEC, JAN)},
            "more than half a year",
        ),
    ],
)
def test_contradictions_are_named(counts, message):
    """Each contradiction gives one sentence that names the file."""
    (found,) = check(**counts)

    assert message in found
    assert next(iter(counts)).split("_")[0] in found


def test_dated_lines_contradict_nothing():
    """Files whose stamps carry their year may span years; sure neighbours may have a gap."""
    assert check(a=count_lines(JAN, datetime(2019, 2, 1), yearless=0)) == []
    assert (
        check(
            "queue ids", maillog=count_lines(datetime(2026, 1, 1)), maillog_1=count_lines(DEC, JAN)
        )
        == []
    )


def test_evidence_in_words():
    """A guess is called guessed, and lines that carry their year need no anchor."""
    guess = Anchor(NOW, "file time", is_guess=True)

    assert "file time (guessed)" == evidence_of_anchor(guess) == evidence_of(Lines(), guess)
    assert evidence_of(Lines(yearless=0), guess) == "dated stamps"
    assert evidence_of(Lines(dated=0, yearless=0), guess) == "no stamps"


def test_resolved_stamps_of_head_and_tail():
    """First and last time of a file, with the years of its anchor; None where there is no stamp."""
    anchor = Anchor(datetime(2008, 1, 8), "file time", is_guess=True)

    assert resolved_stamps(b"Dec 30 00:00:00 a", b"Jan  6 00:00:00 a", anchor) == (DEC, JAN)
    assert resolved_stamps(b"2008-01-06T00:00:00Z a", None, anchor) == (JAN, None)


def test_files_provably_outside_are_named():
    """Before --since by the mtime or the limit, after --until by the first line; a day is left."""
    names = {
        "old": (SourceFile("old", 9, unix(JAN)), Head("plain", b"Dec 30 00:00:00 a")),
        "copy": (SourceFile("copy", 9, unix(NOW)), Head("plain", b"2007-12-30T00:00:00 a")),
        "new": (SourceFile("new", 9, unix(NOW)), Head("plain", b"May  1 00:00:00 a")),
    }
    anchors = resolve_years(list(names.values()), newest_stamp=lambda _: None, now=NOW)

    def outside(since=None, until=None):
        return set(provably_outside(list(names.values()), anchors, since, until))

    assert {"old"} == outside(since=datetime(2010, 1, 1))
    assert set() == outside(since=JAN + timedelta(days=2))
    assert {"new"} == outside(until=datetime(2026, 4, 30))
    assert set() == outside(until=datetime(2026, 4, 30, 1))
    assert {"new", "copy", "old"} == outside(until=datetime(2007, 1, 1))


def test_times_at_the_end_of_the_calendar():
    """A stamp of the last day there is, and a store's absurd mtime, overflow nothing."""
    last = Head("plain", b"9999-12-31T23:59:59Z a b: c\n")
    files = [(SourceFile(name, 9, 1e300), last) for name in ("maillog", "maillog.1")]

    for year in (None, 9999):
        anchors = resolve_years(
            files, year=year, newest_stamp=lambda _: YearlessStamp(12, 31, 23, 59, 59), now=NOW
        )
        assert provably_outside(files, anchors, NOW, None) == {}
        assert {"maillog", "maillog.1"} == set(provably_outside(files, anchors, None, NOW))


def test_placing_a_stamp_in_a_year_without_its_day():
    """Feb 29 has no place in a common year."""
    assert place_stamp(YearlessStamp(2, 29, 0, 0, 0), 2007) is None
