"""The contract of executors: whatever runs the map tasks, the results are those of ``inline``."""

from __future__ import annotations

import random
from contextlib import ExitStack
from functools import partial

import pytest
import zstandard

from pipeline import run, shuffle
from pipeline.executors import tasks as task_module
from pipeline.executors import units
from pipeline.executors.dask import DaskThreadsExecutor
from pipeline.executors.distributed import DistributedExecutor
from pipeline.executors.inline import InlineExecutor
from pipeline.executors.pool import PoolExecutor
from pipeline.inputs import find_inputs
from pipeline.job import find_job, sql_job, with_sections
from pipeline.reduce import reduce_partials
from pipeline.settings import Settings
from pipeline.task import begin_run
from tests.support.cluster import Processes

EXACT = """
SELECT day, process, count(*) AS lines, sum(length(message)) AS bytes, min(message) AS first,
    max(time) AS last, count(DISTINCT host) AS hosts
FROM lines GROUP BY day, process
"""
MESSAGES = "SELECT * FROM messages"
DELIVERIES = """
SELECT day, status, count(*) AS n, sum(attempts) AS attempts, sum(delay_us) AS delay_us
FROM deliveries GROUP BY day, status
"""


@pytest.fixture(scope="module")
def clusters(tmp_path_factory):
    """Start a cluster of so many worker processes when it is first asked for."""
    with ExitStack() as stack:
        known = {}

        def get(workers):
            from cluster.join import joined

            if workers not in known:
                folder = tmp_path_factory.mktemp(f"cluster{workers}")
                known[workers] = stack.enter_context(Processes(folder, workers))
            return partial(joined, known[workers].address)

        yield get


KINDS = ["inline", "pool", "dask", "1 process", "2 processes", "4 processes"]


@pytest.fixture(autouse=True)
def _begin():
    """An earlier test may have given a run up."""
    begin_run()


@pytest.fixture(
    params=[pytest.param(k, marks=pytest.mark.cluster if " " in k else ()) for k in KINDS]
)
def executor(request):
    kind = request.param
    if " " in kind:
        return DistributedExecutor(request.getfixturevalue("clusters")(int(kind.split()[0])))
    return {
        "inline": InlineExecutor,
        "pool": lambda: PoolExecutor(3),
        "dask": lambda: DaskThreadsExecutor(3),
    }[kind]()


def _planned(jobs, paths, **options):
    settings = Settings(**options)
    plan, plans = run.plan_queries(with_sections(jobs), settings)
    inputs = find_inputs([str(path) for path in paths], settings)
    return plan, plans, run.plan_tasks(inputs, plan, settings)


def _results(executor, jobs, paths, on_done=lambda _: None, **options):
    """Return the rows of each job and what was read of each file."""
    plan, plans, tasks = _planned(jobs, paths, **options)
    merged = executor.reduce(tasks, plan, on_done)
    counts = {url: (one.lines, one.stored_bytes, one.damage) for url, one in merged.files.items()}
    tables = reduce_partials(merged, plan, plans)
    return {name: table.to_pylist() for name, table in tables.items()}, counts


@pytest.mark.parametrize("split_bytes", [20_000, 1 << 40])
def test_results_and_counts_are_those_of_inline(executor, demo, split_bytes):
    """One pass over lines, messages and deliveries: equal rows, equal counts of every file."""
    paths = sorted(demo.glob("maillog*"))
    jobs = [
        find_job("volume"),
        *(sql_job(f"q{k}", sql) for k, sql in enumerate((EXACT, MESSAGES, DELIVERIES))),
    ]
    done = []

    rows, counts = _results(executor, jobs, paths, done.append, split_bytes=split_bytes)

    expected = _results(InlineExecutor(), jobs, paths, split_bytes=split_bytes)
    assert expected == (rows, counts)
    _, _, tasks = _planned(jobs, paths, split_bytes=split_bytes)
    assert sum(map(len, tasks)) == len(done)
    assert 0 < sum(counts.stored_bytes for part in done for counts in part.files.values())
    assert {str(path) for path in paths} == {url for part in done for url in part.files}


@pytest.mark.parametrize("repeats", ["report", "once"])
def test_repeats_are_those_of_inline(executor, demo, tmp_path, repeats):
    """Files in which batches came twice, in whatever order they are read."""
    paths = []
    for k in range(3):
        lines = (demo / "maillog.1").read_bytes().splitlines(keepends=True)[k:900]
        (tmp_path / f"{k}.log").write_bytes(b"".join(lines[: 500 + k] + lines[100:]))
        paths.append(tmp_path / f"{k}.log")
    jobs = [find_job("volume"), sql_job("d", DELIVERIES)]

    rows, counts = _results(executor, jobs, paths, repeats=repeats, split_bytes=20_000)

    assert (rows, counts) == _results(InlineExecutor(), jobs, paths, repeats=repeats)
    assert all(lines.repeated >= 400 for lines, _, _ in counts.values())


def test_messages_are_the_same_in_however_many_partitions(executor, demo, monkeypatch):
    """Fragments dealt out by their keys make the messages that they make together."""
    paths = sorted(demo.glob("maillog*"))
    jobs = [sql_job("m", MESSAGES), sql_job("d", DELIVERIES)]
    expected = _results(InlineExecutor(), jobs, paths, split_bytes=1 << 40)[0]

    monkeypatch.setattr(shuffle, "PARTITION_ROWS", 2_000)
    rows, _ = _results(executor, jobs, paths, split_bytes=20_000)

    assert expected == rows


def test_rows_are_streamed_in_the_order_of_the_lines(executor, demo):
    """A job that only maps gives its rows in order, split by split."""
    paths = sorted(demo.glob("maillog*"))
    jobs = [sql_job("rows", "SELECT message FROM lines")]
    plan, _, tasks = _planned(jobs, paths, split_bytes=20_000)

    def texts(parts):
        return [
            t
            for part in parts
            for table in part.partials[0][0]
            for t in table.column(0).to_pylist()
        ]

    assert texts(InlineExecutor().stream(tasks, plan)) == texts(executor.stream(tasks, plan))


def test_streams_may_be_left_off_early(executor, demo):
    """Who has seen enough closes the stream; the next run is not disturbed by it."""
    paths = sorted(demo.glob("maillog*"))
    plan, _, tasks = _planned([sql_job("r", "SELECT time FROM lines")], paths, split_bytes=20_000)
    for _ in range(2):
        begin_run()
        stream = executor.stream(tasks, plan)
        assert 0 < sum(counts.lines.lines for counts in next(stream).files.values())
        stream.close()


def test_what_is_behind_damage_is_left_out_wherever_it_was_cut(executor, demo, tmp_path):
    """A frame in the middle of a file is broken: lines before it count, and all other files."""
    text = (demo / "maillog").read_bytes()
    step = len(text) // 30
    frames = [zstandard.compress(text[k : k + step]) for k in range(0, len(text), step)]
    broken = bytearray(b"".join(frames))
    at = sum(map(len, frames[:17])) + 40
    broken[at : at + 8] = b"\xff" * 8
    (tmp_path / "broken.log.zst").write_bytes(bytes(broken))
    (tmp_path / "whole.log").write_bytes(text[step:])
    paths = [tmp_path / "broken.log.zst", tmp_path / "whole.log"]
    jobs = [find_job("volume"), sql_job("m", MESSAGES)]
    assert 4 < len(_planned(jobs, paths, split_bytes=3_000)[2][0])

    rows, counts = _results(executor, jobs, paths, split_bytes=3_000)

    assert _results(InlineExecutor(), jobs, paths, split_bytes=3_000) == (rows, counts)
    assert counts[str(paths[0])][2] is not None
    assert counts[str(paths[1])][2] is None


def test_many_small_files_share_tasks(executor, tmp_path, monkeypatch):
    """A run has a bounded number of tasks, however many files there are."""
    monkeypatch.setattr(units, "MAX_UNITS", 10)
    order = random.Random(7)
    for k in range(60):
        lines = [
            f"Dec  {1 + k % 9} 04:{n % 60:02}:11 mx{k % 3} su[5]: hello {order.randrange(9)}\n"
            for n in range(order.choice([0, 1, 40, 900]))
        ]
        (tmp_path / f"{k:02}.log").write_text("".join(lines))
    paths = sorted(tmp_path.glob("*.log"))
    jobs = [sql_job("q", EXACT)]
    options = {"split_bytes": 4_000, "year": 2007, "count_duplicates": True}

    expected = _results(InlineExecutor(), jobs, paths, **options)

    assert expected == _results(executor, jobs, paths, **options)
    assert 20 > sum(map(len, units.make_units(_planned(jobs, paths, **options)[2], 10)))


def test_the_tree_keeps_the_order():
    """Nodes of a tree merge neighbours, however many there are."""
    for n in (1, 2, 8, 9, 65):
        leaves = [task_module.Node(len) for _ in range(n)]
        top = task_module.tree(len, (), leaves, 8)
        order = [node for node in task_module._below([top]) if not node.children]
        assert leaves == order
