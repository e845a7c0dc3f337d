"""The kernel that tells messages with one queue id apart: its law, and its rule."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels import generations as compiled
from pipeline.kernels.generations import NEVER, PHASES, RECEPTION_US, SILENCE_US, begins_anew
from tests.support.kernels import is_compiled, reference

_HOUR, _DAY = 3_600_000_000, 86_400_000_000
# Ids up to 12 bytes stand in an Arrow view itself, longer ones in the block.
_IDS = (b"", b"A1", b"A1B2C3", b"A1B2C4", b"90442C9CB29A", b"4PL3j0443nz30Ms", b"4PL3j0443nz30Mt")


@dataclass(frozen=True)
class Row:
    """What the scan and the mail kernel say of a line."""

    queue_id: bytes
    phase: int
    time: int
    host: int | None = 0
    process: int = 0


_row = st.builds(
    Row,
    st.sampled_from(_IDS),
    st.integers(1, len(PHASES) - 1),
    # Few times, so that differences often fall on the bounds of the rule.
    st.sampled_from([0, 1, _HOUR, _HOUR + 1, 3 * _HOUR + 1, 5 * _DAY, 5 * _DAY + 1, 9 * _DAY]),
    st.sampled_from([None, 0, 1]),
    st.integers(0, 1),
)


class Numbered:
    """A kernel that numbers tables of rows, those of one split."""

    def __init__(self, kernel, first_number: int = 0) -> None:
        self.kernel = kernel.Generations()
        self.kernel.reset(first_number)
        self.firsts = memoryview(struct.pack("3q", NEVER, NEVER, NEVER)).cast("q")
        self.firsts = memoryview(bytearray(self.firsts)).cast("q")

    def table(self, rows: list[Row]) -> list[tuple[int, int, int]]:
        """Number, phase and begin of each row."""
        block = bytearray(b" " + b"".join(row.queue_id for row in rows))
        views, at = bytearray(), 1
        for row in rows:
            n = len(row.queue_id)
            views += (
                struct.pack("<i12s", n, row.queue_id)
                if n <= 12
                else struct.pack("<i4sii", n, row.queue_id[:4], 0, at)
            )
            at += n
        n = len(rows)
        hosted = bytearray(n // 8 + 1)
        for k, row in enumerate(rows):
            hosted[k >> 3] |= (row.host is not None) << (k & 7)
        numbers = memoryview(bytearray(8 * n + 8)).cast("q")
        phases, begins = bytearray(n + 1), bytearray(n + 1)
        views = memoryview(views or bytearray(16))
        self.kernel.number(
            block,
            n,
            views.cast("i"),
            views,
            _ints("i", [row.host or 0 for row in rows]),
            hosted,
            _ints("Q", [11, 12]),
            self.firsts,
            _ints("i", [row.process for row in rows]),
            _ints("Q", [1 << 40, 1 << 63]),
            bytearray([row.phase for row in rows] or [0]),
            bytearray(range(len(PHASES))),
            _ints("q", [row.time for row in rows]),
            numbers,
            phases,
            begins,
        )
        return [*zip(numbers[:n], phases[:n], begins[:n], strict=True)]


def _ints(kind: str, values: list[int]) -> memoryview:
    return memoryview(bytearray(struct.pack(f"{len(values) or 1}{kind}", *values or [0]))).cast(
        kind
    )


@pytest.mark.skipif(
    not is_compiled(compiled), reason="the kernels are not compiled here: nothing to compare"
)
@given(
    tables=st.lists(st.lists(_row, max_size=12), max_size=4), first=st.sampled_from([0, 7 << 40])
)
@settings(deadline=None)
def test_compiled_equals_reference(tables, first):
    """The compiled kernel and its source, interpreted, write the same everywhere."""
    slow, fast = Numbered(reference("generations"), first), Numbered(compiled, first)

    for rows in tables:
        assert slow.table(rows) == fast.table(rows)
    assert slow.kernel.n_given == fast.kernel.n_given


@given(tables=st.lists(st.lists(_row, max_size=12), max_size=4))
@settings(deadline=None)
def test_rows_are_numbered_by_the_rule(tables):
    """However the rows are cut into tables: a number is a message, by host, instance and id."""
    kernel, last, n_given = Numbered(compiled), {}, 0
    for rows in tables:
        for row, (number, phase, _) in zip(rows, kernel.table(rows), strict=True):
            if not row.queue_id:
                assert (0, 0) == (number, phase)
                continue
            place = row.host, row.process, row.queue_id
            known = last.get(place)
            is_new = known is None or begins_anew(known[0], known[1], row.phase, row.time)
            n_given += is_new
            number_of_it = n_given if is_new else known[2]
            last[place] = row.phase, row.time, number_of_it
            assert (number_of_it, row.phase) == (number, phase)


@given(rows=st.lists(_row, max_size=25), cut=st.integers(0, 25))
@settings(deadline=None)
def test_a_line_that_begins_a_message_does_so_behind_any_lines(rows, cut):
    """What is marked as a message's first line is one, whatever an earlier split holds.

    As long as no host's clock falls back by more than the hour of a change of time.
    """
    rows = [row for row in rows if row.queue_id]
    kept, newest = [], {}
    for row in rows:
        if row.time >= newest.get(row.host, 0) - _HOUR:
            kept.append(row)
            newest[row.host] = max(row.time, newest.get(row.host, 0))
    whole = Numbered(compiled).table(kept)
    later = Numbered(compiled).table(kept[cut:])

    for k, (_, _, begins) in enumerate(later, start=cut):
        if begins:
            assert whole[k][0] not in [number for number, _, _ in whole[:k]], kept


O, M, R, Q, X = (PHASES.index(name) for name in ("opening", "message-id", "reception", "queue", "removed"))  # fmt: skip  # noqa: E741


@pytest.mark.parametrize(
    ("last", "line", "after_us", "expected"),
    [
        # What opens a message begins one, whatever was before.
        (O, O, 0, True), (M, O, 0, True), (R, O, 0, True), (Q, O, 1, True), (X, O, 1, True),
        # Nothing belongs to a message that was removed, be it the clock that fell back.
        (X, M, 0, True), (X, R, 0, True), (X, Q, 0, True), (X, X, 0, True), (X, Q, -_HOUR, True),
        # A message-id belongs to what was opened within the hour ...
        (O, M, 0, False), (R, M, 1, False), (M, M, 1, False), (O, M, RECEPTION_US, False),
        (O, M, RECEPTION_US + 1, True), (R, M, RECEPTION_US + 1, True), (M, M, RECEPTION_US + 1, True),
        (O, M, -_HOUR, False),
        # ... and is a bounce's where the queue manager had the id already.
        (Q, M, 0, True), (Q, M, -1, True),
        # Anything else belongs to the message before, for as long as one can be in the queue.
        (O, R, _HOUR + 1, False), (O, Q, 4 * _DAY, False), (M, Q, 0, False), (Q, Q, SILENCE_US, False),
        (Q, X, SILENCE_US, False), (Q, Q, SILENCE_US + 1, True), (Q, X, SILENCE_US + 1, True),
        (M, Q, SILENCE_US + 1, True), (O, X, 0, False), (Q, R, 5, False), (Q, Q, -_HOUR, False),
    ],
)  # fmt: skip
def test_rule(last, line, after_us, expected):
    """A generation ends at `removed`, and when another message opens under its id."""
    assert expected is begins_anew(last, 10 * _DAY, line, 10 * _DAY + after_us)
    if is_compiled(compiled):
        slow = reference("generations").begins_anew
        assert expected is slow(last, 10 * _DAY, line, 10 * _DAY + after_us)


def test_equal_ids_of_hosts_and_instances_are_apart():
    """A message is that of its host and instance; without host it is none of the others'."""
    places = [Row(b"A1", Q, 0, host, process) for host in (None, 0, 1) for process in (0, 1)]

    numbers = [number for number, _, _ in Numbered(compiled).table(places * 2)]

    assert [1, 2, 3, 4, 5, 6] * 2 == numbers


@pytest.mark.parametrize("n_open", [0, 30_000])
def test_many_ids_are_told_apart(n_open):
    """The table grows, and forgets what was removed: open messages keep their numbers."""
    kernel = Numbered(compiled)
    opened = [Row(b"OPEN%08d" % k, O, 0) for k in range(n_open)]
    assert [(k + 1, O, 1) for k in range(n_open)] == kernel.table(opened)

    for day in range(20):
        rows = [
            Row(b"GONE%04d%07d" % (day % 3, k), phase, day)
            for k in range(9_000)
            for phase in (O, X)
        ]
        given = [number for number, _, _ in kernel.table(rows)]
        before = n_open + 9_000 * day
        assert [before + 1 + k // 2 for k in range(18_000)] == given

    again = kernel.table([Row(b"OPEN%08d" % k, Q, 1) for k in range(n_open)])
    assert [(k + 1, Q, 0) for k in range(n_open)] == again


def test_numbers_go_on_from_those_of_another_split():
    """Messages of two splits have different numbers, and what the first knew is forgotten."""
    kernel = Numbered(compiled)
    kernel.table([Row(b"A1", Q, 0)])
    kernel.kernel.reset(5 << 40)

    assert [((5 << 40) + 1, Q, 0)] == kernel.table([Row(b"A1", Q, 0)])


def test_a_message_id_is_the_first_line_only_long_after_its_host_was_heard():
    """Another host's clock may be in another zone: it says nothing of this one's opening."""
    hours = Numbered(compiled).table(
        [
            Row(b"A1", Q, 0, host=0),
            Row(b"B1", M, 8 * _HOUR, host=1),
            Row(b"B2", M, 11 * _HOUR, host=1),
            Row(b"B3", M, 11 * _HOUR + 1, host=1),
            Row(b"C1", M, 11 * _HOUR + 1, host=None),
            Row(b"A2", M, 3 * _HOUR + 1, host=0),
        ]
    )

    assert [0, 0, 0, 1, 0, 1] == [begins for _, _, begins in hours]
