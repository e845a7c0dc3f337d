"""The fold law: a question gets the same answer whether or not equal rows are brought together."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import fold, run
from pipeline.job import builtin_jobs, find_job, sql_job, with_sections
from pipeline.run import run_jobs
from pipeline.settings import Settings
from pipeline.sql import plan_query
from tests.support.mail_logs import mail_log
from tests.support.stitch_logs import mail_files
from tests.support.strategies import log_text

#: Questions over any line, and whether they can be folded.
_LINES = {
    "SELECT day, process, count(*) AS n, sum(bytes) AS b FROM lines GROUP BY ALL": True,
    "SELECT count(*) AS n FROM lines": True,
    "SELECT hour, month, count(pid) AS n, sum(bytes), count(DISTINCT host) FROM lines GROUP BY ALL": True,
    "SELECT host, min(time) AS a, max(time) AS b, min(pid), count(*) FILTER (WHERE day IS NULL) FROM lines GROUP BY ALL": True,
    "SELECT process, severity, max(bytes), bool_or(facility = 'mail'), approx_count_distinct(host) FROM lines WHERE process LIKE '%s%' GROUP BY ALL": True,
    "SELECT day, count(*) AS n FROM lines GROUP BY ROLLUP (day, host) HAVING count(*) > 1": True,
    "SELECT sum(pid) FILTER (WHERE hour < 12), count(severity) FILTER (WHERE host > 'a') FROM lines": True,
    "SELECT DISTINCT host, day FROM lines ORDER BY ALL": True,
    "SELECT sum(bytes), max(bytes) FROM lines": False,  # a column can't be both
    "SELECT avg(bytes) FROM lines": False,
    "SELECT day, mode(process) FROM lines GROUP BY day": False,
    "SELECT sum(bytes * 2) FROM lines": False,
    "SELECT first(process ORDER BY time) FROM lines": False,
    "SELECT sum(DISTINCT pid) FROM lines": True,  # each value once
    "SELECT message, count(*) FROM lines GROUP BY ALL": None,
}
_OPTIONS = (
    {},
    {"hosts": ("m*",)},
    {"since": datetime(2024, 1, 2, 3), "until": datetime(2030, 1, 1)},
    {"since": datetime(2024, 1, 2, 3, 4)},
    {"where": "pid > 1 OR process = 'kernel'"},
    {"processes": ("postfix*",), "count_hops": False},
)


def _without_folds(planned):
    plan, jobs = planned
    selections = tuple(s and replace(s, folding=None) for s in plan.views.selections)
    stitch = plan.views.stitch and replace(plan.views.stitch, folds={})
    return replace(plan, views=replace(plan.views, selections=selections, stitch=stitch)), jobs


def _both(jobs, paths, **options):
    """Answers with and without the fold."""
    settings = Settings(scheduler="inline", count_duplicates=True, **options)
    planned = run.plan_queries(jobs, settings)
    arguments = [str(path) for path in paths]
    return [
        {
            name: sorted(table.to_pylist(), key=repr)
            for name, table in run_jobs(jobs, arguments, settings, planned=one).results.items()
        }
        for one in (planned, _without_folds(planned))
    ]


@pytest.mark.parametrize(("text", "foldable"), [(t, f) for t, f in _LINES.items() if f is not None])
def test_what_can_be_folded(text, foldable):
    """Of a plan's queries those whose aggregates don't mind."""
    from pipeline.relations import RELATIONS

    (query,) = plan_query(text, RELATIONS).queries
    assert (query.fold is not None) is foldable
    assert all((b.folded_sql is not None) is foldable for b in query.branches)


@pytest.mark.parametrize("name", ["volume", "rejects", "mail"])
def test_built_in_jobs_are_folded(name):
    """The rows of what is asked every night needn't reach SQL."""
    plan, _ = run.plan_queries(with_sections([find_job(name)]), Settings())
    folded = [s.folding is not None for s in plan.views.selections if s is not None]
    assert sum(folded) >= 0.8 * len(folded)
    assert plan.views.stitch is None or set(plan.views.stitch.folds) == {"_m", "_d"}


@pytest.mark.parametrize("options", _OPTIONS, ids=str)
@settings(max_examples=12)
@given(text=log_text(max_lines=40), other=st.integers(0, 5))
def test_lines_are_folded_rightly(tmp_path_factory, options, text, other):
    """Any questions over any text, hostile ones included, with any filter."""
    path = tmp_path_factory.mktemp("fold") / "log"
    path.write_bytes(text + mail_log(other, messages=3).encode())
    jobs = [sql_job(f"job{k}", text) for k, text in enumerate(_LINES)]
    folded, plain = _both(jobs, [path], **options)
    assert folded == plain


@pytest.mark.parametrize("name", sorted(set(builtin_jobs()) - {"sessions"}))
def test_jobs_are_folded_rightly(tmp_path, name):
    """Every built-in job, over a log with all kinds of lines, in two files."""
    paths = [tmp_path / "maillog", tmp_path / "maillog.1"]
    for k, path in enumerate(paths):
        path.write_text(mail_log(k, messages=80))
    folded, plain = _both(with_sections([find_job(name)]), paths, split_bytes=20_000)
    assert folded == plain


@settings(max_examples=25)
@given(files=mail_files(), size=st.sampled_from([200, 1000, 1 << 40]))
def test_messages_are_folded_rightly(tmp_path_factory, files, size):
    """Fragments that the kernel makes are those that SQL makes."""
    folder = tmp_path_factory.mktemp("fold")
    for name, text in files.items():
        (folder / name).write_bytes(text)
    queries = [
        "SELECT * FROM messages",
        "SELECT * FROM deliveries",
        "SELECT * EXCLUDE (generation, parent_id, parent_link) FROM messages",
    ]
    jobs = [sql_job(f"job{k}", text) for k, text in enumerate(queries)]
    folded, plain = _both(jobs, sorted(folder.iterdir()), split_bytes=size)
    assert folded == plain


def test_a_full_folder_hands_on(tmp_path, monkeypatch):
    """Many groups, and rows that hardly agree, are handed on in the midst of a split."""
    path = tmp_path / "maillog"
    path.write_text(mail_log(1, messages=400))
    jobs = [
        sql_job("a", "SELECT day, queue_id, count(*) AS n FROM mail GROUP BY ALL"),
        find_job("volume"),
    ]
    expected, _ = _both(jobs, [path])
    monkeypatch.setattr(fold, "MAX_GROUPS", 3)
    assert _both(jobs, [path])[0] == expected
    monkeypatch.setattr(fold, "ENOUGH_ROWS", 1)
    assert _both(jobs, [path])[0] == expected


def test_sums_of_huge_sizes_do_not_wrap(tmp_path):
    """A size that a stranger wrote is added up by SQL, in 128 bits."""
    path = tmp_path / "maillog"
    line = "Jan  1 00:00:0{} mx postfix/qmgr[1]: A1B2C3D4E{}: from=<a@b.example>, size={}, nrcpt=1 (queue active)\n"
    path.write_text("".join(line.format(k, k, 10**17) for k in range(9)))
    jobs = [sql_job("a", "SELECT day, sum(size) AS s FROM mail GROUP BY ALL")]
    folded, plain = _both(jobs, [path])
    assert folded == plain
    assert folded["a"][0]["s"] == 9 * 10**17
