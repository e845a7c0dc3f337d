"""The kernel law: compiled = reference on every input; and both keep the rules of `lines`."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.formats.syslog import SAMPLES, SCANNED
from pipeline.kernels import scan as compiled
from pipeline.model import Block
from pipeline.scan import LineScanner
from pipeline.yearless import year_table
from tests.support.kernels import is_compiled, reference
from tests.support.oracle import parse, split_lines
from tests.support.strategies import hostile_text

_EPOCH = datetime(1970, 1, 1)
_TABLE = year_table(datetime(2007, 12, 31, 23, 59, 59))


def _snapshot(
    kernel, text: bytes, columns: int, max_rows: int, fill: tuple[bytes, bytes, int]
) -> list[object]:
    """Everything that a scanner lets one see after scanning a text."""
    scanner = kernel.Scanner(max_rows, columns)
    scanner.begin_file(_TABLE.days, _TABLE.later, _TABLE.limit_index, _TABLE.limit_s)
    scanner.fill(*fill)
    buffer = bytearray(text)
    at, seen = 0, []
    while at < len(buffer):
        at = scanner.scan(buffer, at, len(buffer), 7)
        n = scanner.n_rows
        seen.append((at, n, scanner.n_bad, scanner.n_undated_rows, scanner.n_hostless_rows))
        seen.extend(
            bytes(memoryview(held).cast("B"))
            for name, held in scanner.buffers.items()
            if name != "bad"
        )
        seen.append(list(scanner.buffers["bad"][: 3 * scanner.n_bad]))
        seen.append((scanner.hosts.names(), scanner.processes.names()))
    seen.append((scanner.n_lines, scanner.n_dated, scanner.n_yearless, scanner.n_steps_back))
    seen.append((scanner.first_time, scanner.last_time, scanner.min_time, scanner.max_time))
    return seen


@pytest.mark.skipif(
    not is_compiled(compiled), reason="the kernels are not compiled here: nothing to compare"
)
@given(
    text=hostile_text(),
    columns=st.sampled_from([0, 1, 1023, 64, 10, 511]),
    max_rows=st.integers(1, 9),
    fill=st.sampled_from([(b"", b"", 0), (b"mx9", b"app", 5), (b"", b"a b", 0)]),
)
@settings(deadline=None)
def test_compiled_equals_reference(text, columns, max_rows, fill):
    """The compiled kernel and its source, interpreted, write the same bytes everywhere."""
    assert _snapshot(reference("scan"), text, columns, max_rows, fill) == _snapshot(
        compiled, text, columns, max_rows, fill
    )


def _rows(text: bytes, max_rows: int = 4) -> list[dict[str, object]]:
    scanner = LineScanner(frozenset(SCANNED), max_rows)
    scanner.begin_file("f", _TABLE)
    block = Block(bytearray(text), len(text), 0)
    return [row for table in scanner.scan(block) for row in table.to_pylist()]


@given(text=hostile_text())
@settings(deadline=None)
def test_every_line_is_scanned_by_the_rules(text):
    """An independent reading by regular expressions gives the same rows, hostile lines included."""
    lines = split_lines(text)
    rows = _rows(text)

    assert len(lines) == len(rows)
    offset = 0
    for line, row in zip(lines, rows, strict=True):
        expected = parse(line, 2007)
        assert {
            "file": "f",
            "offset": offset,
            "time": expected.time,
            "day": expected.time.date() if expected.time else None,
            "host": _text(expected.host),
            "process": _text(expected.process),
            "pid": expected.pid,
            "severity": expected.severity,
            "facility": expected.facility,
            "message": _text(expected.message),
            "bytes": len(line),
        } == {name: value for name, value in row.items() if name != "utc_offset"}, line
        offset += len(line)


def _text(text: bytes | None) -> str | None:
    return None if text is None else text.decode("utf-8", "replace")


@pytest.mark.parametrize(("line", "host", "process", "pid", "message"), SAMPLES)
def test_sample_lines_of_the_format(line, host, process, pid, message):
    """The sample lines that the format carries give what they say."""
    (row,) = _rows(line.encode() + b"\n")

    assert SimpleNamespace(host=host, process=process, pid=pid, message=message) == SimpleNamespace(
        **{name: row[name] for name in ("host", "process", "pid", "message")}
    )


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [
        ("Z", 0),
        ("+05:30", 19800),
        ("-0800", -28800),
        ("+02", 7200),
        ("", None),
        ("+2", None),
        ("+24:00", None),
    ],
)
def test_the_offset_of_a_stamp(stamp, seconds):
    """The offset is kept in seconds east of UTC; one that is malformed is no offset."""
    (row,) = _rows(f"2007-12-26T04:02:11{stamp} mx1 a: b\n".encode())

    assert seconds == row["utc_offset"]


def test_a_stamp_later_than_the_limit_is_of_the_year_before():
    """On the limit's own day the time of day decides."""
    scanner = LineScanner(frozenset({"time"}), 4)
    scanner.begin_file("f", year_table(datetime(2008, 1, 7, 12, 0, 0)))
    text = b"Jan  7 12:00:00 a b: c\nJan  7 12:00:01 a b: c\nJan  8 00:00:00 a b: c\n"

    (table,) = scanner.scan(Block(bytearray(text), len(text), 0))

    assert [2008, 2007, 2007] == [moment.year for moment in table["time"].to_pylist()]


def test_counts_of_a_file():
    """First and last are in file order, earliest and latest by time; a half year back is a step."""
    scanner = LineScanner(frozenset(), 2)
    scanner.begin_file("f", _TABLE)
    text = b"Dec 20 00:00:00 a b: c\nDec 30 00:00:00 a b: c\nnothing\nJan  2 00:00:00 a b: c\nJan  1 23:00:00 a b: c"

    list(scanner.scan(Block(bytearray(text), len(text), 0)))
    counts = scanner.counts()

    assert (5, 4, 4, len(text), 1) == (
        counts.lines,
        counts.dated,
        counts.yearless,
        counts.plain_bytes,
        counts.steps_back,
    )
    times = [
        _EPOCH + timedelta(microseconds=t)
        for t in (counts.first, counts.last, counts.earliest, counts.latest)
    ]
    assert [
        datetime(2007, 12, 20),
        datetime(2007, 1, 1, 23),
        datetime(2007, 1, 1, 23),
        datetime(2007, 12, 30),
    ] == times


def test_thousands_of_names_are_all_right():
    """More hosts and processes than the interner holds: it forgets, no line gets a wrong name."""
    n = 40_000
    text = b"".join(b"Dec 26 00:00:00 host%d tag%d: x\n" % (k, k) for k in range(n))
    scanner = LineScanner(frozenset({"host", "process"}), 1 << 12)
    scanner.begin_file("f", _TABLE)

    rows = [
        row
        for table in scanner.scan(Block(bytearray(text), len(text), 0))
        for row in table.to_pylist()
    ]

    assert [{"host": f"host{k}", "process": f"tag{k}"} for k in range(n)] == rows


def test_a_line_of_a_megabyte_is_counted_whole_and_its_text_cut():
    """The text of a line ends at MAX_LINE_BYTES, its bytes are counted whole."""
    text = b"Dec 26 00:00:00 a " + b"x" * (3 << 20) + b"\n" + b"Dec 26 00:00:00 a b: c\n"

    first, second = _rows(text)

    assert (len(text) - 23, (1 << 20) - 18) == (first["bytes"], len(first["message"]))
    assert "c" == second["message"]


def test_counts_of_splits_add_up_to_those_of_the_file():
    """A step back inside a later split counts, and one between two splits."""

    def counts(text: bytes):
        scanner = LineScanner(frozenset(), 4)
        scanner.begin_file("f", _TABLE)
        list(scanner.scan(Block(bytearray(text), len(text), 0)))
        return scanner.counts()

    lines = [b"Dec 20 00:00:00 a b: c\n", b"nothing\n", b"Jan  2 00:00:00 a b: c\n"] * 3
    for cut in range(len(lines) + 1):
        added = counts(b"".join(lines[:cut]))
        added.add(counts(b"".join(lines[cut:])))
        assert counts(b"".join(lines)) == added
