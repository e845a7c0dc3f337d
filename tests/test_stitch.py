"""The stitch law: however the lines are cut, the messages are the same; and those of the rules."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline import at_hand, run, shuffle, stitch
from pipeline import map as map_stage
from pipeline.job import sql_job
from pipeline.run import run_jobs
from pipeline.scan import LineScanner
from pipeline.settings import Settings
from tests.support.stitch_logs import mail_files
from tests.support.stitch_oracle import (
    delivery_rows,
    is_ambiguous,
    message_rows,
    read_lines,
    read_messages,
)

# What depends on other messages is known at the end of the run only; without it whole messages
# are queried as they are found, which is another way through the engine.
_LATE = {"generation", "parent_id", "parent_link"}
_WAYS = {
    "late": ["SELECT * FROM messages", "SELECT * FROM deliveries"],
    "whole at once": [
        f"SELECT * EXCLUDE ({', '.join(_LATE)}) FROM messages",
        "SELECT * EXCLUDE (generation) FROM deliveries",
    ],
}


@cache
def _planned(queries: tuple[str, ...]):
    jobs = [sql_job(f"job{k}", query) for k, query in enumerate(queries)]
    return jobs, run.plan_queries(jobs, Settings())


def _run(queries, paths, **options) -> list[list[dict[str, object]]]:
    """Rows of each query; without more options: one split a file, on this thread."""
    options = {"scheduler": "inline", "split_bytes": 1 << 40, **options}
    jobs, planned = _planned(tuple(queries))
    settings = Settings(count_duplicates=True, **options)
    done = run_jobs(jobs, [str(path) for path in paths], settings, planned=planned)
    return [_in_order(done.results[job.name].to_pylist()) for job in jobs]


def _in_order(rows):
    return sorted(rows, key=repr)


def _differences(expected, found) -> list[str]:
    """Say in which rows and columns two results differ."""
    said = [f"{len(expected)} rows, found {len(found)}"] if len(expected) != len(found) else []
    for row, other in zip(_in_order(expected), _in_order(found), strict=False):
        other = {name: other.get(name) for name in row}
        if row != other:
            names = [name for name in row if row[name] != other[name]]
            said.append(
                f"{[*row.values()][:4]}: "
                + ", ".join(f"{name} {row[name]!r}, found {other[name]!r}" for name in names)
            )
    return said


def _write(folder: Path, files: dict[str, bytes]) -> list[Path]:
    for name, text in files.items():
        (folder / name).write_bytes(text)
    return [folder / name for name in files]


class _Small(ExitStack):
    """Makes blocks, tables and limits so small that every way through the engine is gone."""

    def __init__(self, **limits: int) -> None:
        super().__init__()
        held = {"block_bytes": 300, "max_rows": 4, "blocks": 2, "join_rows": 1,
                "pile_bytes": 1, "partition_rows": 5, **limits}  # fmt: skip
        scanner = partial(LineScanner, max_rows=held["max_rows"])
        self.enter_context(patch.object(run, "_block_bytes", lambda *_, **__: held["block_bytes"]))
        self.enter_context(patch.object(at_hand, "LineScanner", scanner))
        self.enter_context(patch.object(stitch, "BLOCKS", held["blocks"]))
        self.enter_context(patch.object(stitch, "JOIN_ROWS", held["join_rows"]))
        self.enter_context(patch.object(shuffle, "PILE_BYTES", held["pile_bytes"]))
        self.enter_context(patch.object(shuffle, "PARTITION_ROWS", held["partition_rows"]))

    def __enter__(self):
        _forget_thread()
        return super().__enter__()

    def __exit__(self, *error):
        _forget_thread()
        return super().__exit__(*error)


def _forget_thread() -> None:
    """Let this thread make its buffers and scanner anew."""
    at_hand._local.__dict__.clear()
    map_stage._local.__dict__.clear()


def _differs(files, way, found) -> list[str]:
    """Say what differs between the oracle's messages and deliveries and those that were found."""
    said = []
    for rows, others in zip((message_rows(files), delivery_rows(files)), found, strict=True):
        if way == "late":
            wanted = rows
        else:
            wanted = [{k: v for k, v in row.items() if k not in _LATE} for row in rows]
        said += _differences(wanted, others)
    return said


@pytest.mark.parametrize("way", _WAYS)
@given(files=mail_files())
@settings(max_examples=15)
def test_messages_are_those_of_the_rules(tmp_path_factory, way, files):
    """An independent reading, line by line, gives the same messages and deliveries."""
    assume(not is_ambiguous(read_messages(read_lines(files))))
    paths = _write(tmp_path_factory.mktemp("logs"), files)

    assert [] == _differs(files, way, _run(_WAYS[way], paths))


@pytest.mark.parametrize("way", _WAYS)
@given(files=mail_files(), data=st.data())
@settings(max_examples=15)
def test_any_cut_gives_the_same_messages(tmp_path_factory, way, files, data):
    """Splits, blocks, tables, early joins, spilling, partitions, order of arguments: nothing shows."""
    assume(not is_ambiguous(read_messages(read_lines(files))))
    paths = _write(tmp_path_factory.mktemp("logs"), files)
    small = {
        "block_bytes": data.draw(st.sampled_from([150, 400, 1 << 20])),
        "max_rows": data.draw(st.sampled_from([1, 3, 1000])),
        "blocks": data.draw(st.sampled_from([1, 2, 100])),
        "join_rows": data.draw(st.sampled_from([0, 1, 6, 1000])),
        "pile_bytes": data.draw(st.sampled_from([0, 400, 1 << 20])),
        "partition_rows": data.draw(st.sampled_from([1, 4, 1000])),
    }
    split_bytes = data.draw(st.sampled_from([1, 130, 500, 2000, 1 << 30]))

    with _Small(**small):
        found = _run(_WAYS[way], data.draw(st.permutations(paths)), split_bytes=split_bytes)

    assert [] == _differs(files, way, found)
