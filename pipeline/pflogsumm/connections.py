"""Pair the connects of smtpd with the disconnects: the one question that needs lines in order.

A Python job (`pipeline.python_job`). A disconnect ends the connect that the same process logged
last; connects and disconnects without their other half count nowhere. A piece of the log is a
table: the pairs it holds, grouped by the hour of their end, and for each process what the piece
leaves to its neighbours: the disconnect it begins with, and whether it ends in an open connect. So
pieces combine in the order of the lines, however they are grouped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from datetime import datetime

RELATION = "mail"
COLUMNS = ("time", "host", "pid", "daemon", "event", "client")
#: Rows with other events can't matter.
EVENTS = frozenset({"connect", "disconnect"})

_SCHEMA = pa.schema(
    {
        "what": pa.string(),  # pairs, end, state
        "host": pa.string(),
        "pid": pa.int64(),
        "client": pa.string(),
        "time": pa.timestamp("us"),  # of pairs: the begin of their hour; of a state: NULL if idle
        "connections": pa.int64(),
        "seconds": pa.int64(),
        "longest": pa.int64(),
    }
)


class _Row(NamedTuple):
    what: str
    host: str | None = None
    pid: int | None = None
    client: str | None = None
    time: datetime | None = None
    connections: int = 0
    seconds: int = 0
    longest: int = 0


class _Pieces:
    """What was seen so far, in the order of the lines."""

    def __init__(self) -> None:
        self.pairs: dict[tuple[Any, ...], list[int]] = {}
        self.ends: dict[tuple[Any, ...], tuple[str | None, datetime]] = {}
        # Processes seen → the time of their open connect; None: there is none.
        self.states: dict[tuple[Any, ...], datetime | None] = {}

    def end(self, process: tuple[Any, ...], client: str | None, time: datetime) -> None:
        """Take in a disconnect."""
        if process not in self.states:
            # Its connect may stand in the piece before.
            self.ends[process] = client, time
        elif (begin := self.states[process]) is not None:
            seconds = max(int((time - begin).total_seconds()), 0)
            self.add(client, time, 1, seconds, seconds)
        self.states[process] = None

    def add(
        self, client: str | None, time: datetime, connections: int, seconds: int, longest: int
    ) -> None:
        """Take in pairs that ended in the hour of a time."""
        key = client, time.replace(minute=0, second=0, microsecond=0)
        sums = self.pairs.setdefault(key, [0, 0, 0])
        sums[0] += connections
        sums[1] += seconds
        sums[2] = max(sums[2], longest)

    def table(self) -> pa.Table:
        """Return the piece; ends come before states, as `combine` reads them."""
        rows = [
            _Row("pairs", None, None, client, time, *sums)
            for (client, time), sums in self.pairs.items()
        ]
        rows += [
            _Row("end", host, pid, client, time)
            for (host, pid), (client, time) in self.ends.items()
        ]
        rows += [_Row("state", host, pid, None, time) for (host, pid), time in self.states.items()]
        columns = zip(*rows, strict=True) if rows else [()] * len(_SCHEMA)
        arrays = [pa.array(list(c), type=f.type) for c, f in zip(columns, _SCHEMA, strict=True)]
        return pa.Table.from_arrays(arrays, schema=_SCHEMA)


def map(table: pa.Table) -> pa.Table:  # noqa: A001
    """Return the piece that some lines are."""
    is_wanted = pc.and_(
        pc.equal(table["daemon"], "smtpd"),
        pc.is_in(table["event"], value_set=pa.array(sorted(EVENTS))),
    )
    pieces = _Pieces()
    rows = table.filter(pc.and_(is_wanted, pc.is_valid(table["time"])))
    names = ("time", "host", "pid", "event", "client")
    for time, host, pid, event, client in zip(
        *(rows[name].to_pylist() for name in names), strict=True
    ):
        if event == "connect":
            pieces.states[host, pid] = time
        else:
            pieces.end((host, pid), client, time)
    return pieces.table()


def combine(table: pa.Table) -> pa.Table:
    """Return the piece that pieces are, which stand one behind the other in their order."""
    pieces = _Pieces()
    for values in zip(*(table[name].to_pylist() for name in _SCHEMA.names), strict=True):
        row = _Row(*values)
        process = row.host, row.pid
        if row.what == "state":
            pieces.states[process] = row.time
        elif row.time is not None and row.what == "end":
            pieces.end(process, row.client, row.time)
        elif row.time is not None:
            pieces.add(row.client, row.time, row.connections, row.seconds, row.longest)
    return pieces.table()


def finish(table: pa.Table) -> pa.Table:
    """Return day, hour, client, connections, seconds, longest."""
    rows = table.filter(pc.equal(table["what"], "pairs"))
    columns = {
        "day": rows["time"].cast(pa.date32(), safe=False),
        "hour": pc.hour(rows["time"]),
        **{name: rows[name] for name in ("client", "connections", "seconds", "longest")},
    }
    return pa.table(columns)
