"""The stitch law: however the lines are cut, the messages are the same; and those of the rules."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support.stitch_logs import mail_files
from tests.support.stitch_oracle import (
    delivery_rows,
    is_ambiguous,
    message_rows,
    read_lines,
    read_messages,
)
from tests.support.stitched import LATE, WAYS, SmallLimits, in_order, run_queries, write_logs


def _differences(expected, found) -> list[str]:
    """Say in which rows and columns two results differ."""
    said = [f"{len(expected)} rows, found {len(found)}"] if len(expected) != len(found) else []
    for row, other in zip(in_order(expected), in_order(found), strict=False):
        same = {name: other.get(name) for name in row}
        if row != same:
            names = [name for name in row if row[name] != same[name]]
            said.append(
                f"{[*row.values()][:4]}: "
                + ", ".join(f"{name} {row[name]!r}, found {other.get(name)!r}" for name in names)
            )
    return said


def _differs(files, way, found) -> list[str]:
    """Say what differs between the oracle's messages and deliveries and those that were found."""
    said = []
    for rows, others in zip((message_rows(files), delivery_rows(files)), found, strict=True):
        if way == "late":
            wanted = rows
        else:
            wanted = [{k: v for k, v in row.items() if k not in LATE} for row in rows]
        said += _differences(wanted, others)
    return said


@pytest.mark.parametrize("way", WAYS)
@given(files=mail_files())
@settings(max_examples=15)
def test_messages_are_those_of_the_rules(tmp_path_factory, way, files):
    """An independent reading, line by line, gives the same messages and deliveries."""
    assume(not is_ambiguous(read_messages(read_lines(files))))
    paths = write_logs(tmp_path_factory.mktemp("logs"), files)

    assert [] == _differs(files, way, run_queries(WAYS[way], paths))


@pytest.mark.parametrize("way", WAYS)
@given(files=mail_files(), data=st.data())
@settings(max_examples=15)
def test_any_cut_gives_the_same_messages(tmp_path_factory, way, files, data):
    """Splits, blocks, tables, early joins, spilling, partitions, order of arguments: nothing shows."""
    assume(not is_ambiguous(read_messages(read_lines(files))))
    paths = write_logs(tmp_path_factory.mktemp("logs"), files)
    small = {
        "block_bytes": data.draw(st.sampled_from([150, 400, 1 << 20])),
        "max_rows": data.draw(st.sampled_from([1, 3, 1000])),
        "blocks": data.draw(st.sampled_from([1, 2, 100])),
        "join_rows": data.draw(st.sampled_from([0, 1, 6, 1000])),
        "pile_bytes": data.draw(st.sampled_from([0, 400, 1 << 20])),
        "partition_rows": data.draw(st.sampled_from([1, 4, 1000])),
    }
    split_bytes = data.draw(st.sampled_from([1, 130, 500, 2000, 1 << 30]))

    with SmallLimits(**small):
        found = run_queries(WAYS[way], data.draw(st.permutations(paths)), split_bytes=split_bytes)

    assert [] == _differs(files, way, found)


@pytest.mark.parametrize("n_splits", [1, 3])
def test_hundred_thousands_of_messages_keep_their_order(tmp_path, n_splits):
    """Groups leave DuckDB in any order; the generations of an id stay in that of their lines."""
    n = 150_000
    line = "2024-03-0{} 00:00:00 mx1 postfix/smtpd[1]: {:X}: client=c[192.0.2.1]\n".replace(
        " 00", "T00"
    )
    text = "".join(line.format(day, 0xA00000 + k) for day in (1, 2) for k in range(n))
    (path,) = write_logs(tmp_path, {"log": text.encode()})
    query = (
        "SELECT generation, CAST(day AS VARCHAR) AS day, count(*) AS n FROM messages GROUP BY ALL"
    )

    (found,) = run_queries([query], [path], split_bytes=len(text) // n_splits + 1)

    assert [
        {"generation": 1, "day": "2024-03-01", "n": n},
        {"generation": 2, "day": "2024-03-02", "n": n},
    ] == found


@pytest.mark.parametrize("split_bytes", [100, 1 << 40])
def test_the_clock_of_another_host_says_nothing(tmp_path, split_bytes):
    """In a log of two hosts of different zones a message is one, wherever the log is cut."""
    text = (
        b"2024-03-01T18:00:00 east postfix/smtpd[1]: A1B2C3: client=c[192.0.2.1]\n"
        b"2024-03-01T10:00:00 west postfix/smtpd[1]: connect from unknown[unknown]\n"
        b"2024-03-01T10:00:01 west postfix/smtpd[1]: A1B2C3: client=c[192.0.2.1]\n"
        b"2024-03-01T18:00:02 east postfix/cleanup[1]: A1B2C3: message-id=<m@x.example>\n"
        b"2024-03-01T18:00:03 east postfix/qmgr[1]: A1B2C3: removed\n"
    )
    paths = write_logs(tmp_path, {"log": text})
    query = "SELECT host, message_id, opened, removed FROM messages"

    assert [
        {"host": "east", "message_id": "m@x.example", "opened": True, "removed": True},
        {"host": "west", "message_id": None, "opened": True, "removed": False},
    ] == run_queries([query], paths, split_bytes=split_bytes)[0]


@pytest.mark.parametrize("text", [b"", b"\n", b"no stamp\n", b"Dec 26 00:00:00 mx1 cron[1]: 4A1: job\n",
                                  b"Dec 26 00:00:00 mx1 postfix/smtpd[1]: NOQUEUE: reject: RCPT from x[1.2.3.4]: 550 no\n"])  # fmt: skip
@pytest.mark.parametrize("relation", ["messages", "deliveries"])
def test_without_any_message(sawlog, tmp_path, text, relation):
    """Rows are none, and an aggregate has its one row."""
    paths = write_logs(tmp_path, {"log": text})
    columns = "queue_id,generation,day,parent_id" if relation == "messages" else "queue_id,delay"

    ran = sawlog("sql", f"SELECT {columns} FROM {relation}", *paths, "--to", "csv")
    assert (0, columns + "\n") == (ran.code, ran.out), ran.err
    ran = sawlog(
        "sql", f"SELECT count(*) AS n, max(time) AS t FROM {relation}", *paths, "--to", "csv"
    )
    assert (0, "n,t\n0,\n") == (ran.code, ran.out)
