"""Versions, memory, clocks and reading of workers: what is checked before a cluster gets anything."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.executors.fitness import (
    PACKAGES,
    compare_memory,
    compare_versions,
    examine,
)
from pipeline.executors.on_worker import RunPlugin
from pipeline.sources import rate


def _told(**changed):
    packages = {"python": "3.11.7.final.0", **dict.fromkeys(PACKAGES, "1.0"), **changed}
    return {"packages": packages}


def test_other_versions_are_named_with_their_machine():
    """Another version, a package that is not there, a machine that says nothing."""
    versions = {
        "client": _told(),
        "scheduler": _told(sawlog=None),
        "workers": {
            "tls://a:1": _told(python="3.11.2.final.0"),
            "tls://b:1": _told(duckdb="2.0.1", python="3.12.1.final.0"),
            "tls://c:1": None,
        },
    }

    problems = compare_versions(versions)

    assert not any("tls://a:1" in one for one in problems)
    assert any(
        one.startswith("the scheduler has sawlog (none), here it is 1.0") for one in problems
    )
    assert any(one.startswith("tls://b:1 has duckdb 2.0.1, here it is 1.0") for one in problems)
    assert any(one.startswith("tls://b:1 has python 3.12") for one in problems)
    assert 6 == sum("tls://c:1" in one for one in problems)


def test_a_worker_with_little_memory_is_named():
    """Threads times what one takes must fit; 0 is no limit."""
    workers = {
        "tls://a:1": {"memory_limit": 1_000_000_000, "nthreads": 8},
        "tls://b:1": {"memory_limit": 0, "nthreads": 8},
        "tls://c:1": {"memory_limit": 16_000_000_000, "nthreads": 8},
    }
    (problem,) = compare_memory(workers)
    assert "tls://a:1 may use 1,000 MB for 8 threads, which need 2,700 MB" in problem


class _Client:
    """A cluster of which one worker lacks sawlog, one is late, and one can't read."""

    def __init__(self, off_s, errors):
        self.off_s, self.errors = off_s, errors

    def scheduler_info(self, n_workers):
        worker = {"memory_limit": 0, "nthreads": 2}
        return {"workers": {"tls://a:1": worker, "tls://b:1": worker}}

    def get_versions(self, packages):
        workers = {"tls://a:1": _told(), "tls://b:1": _told(sawlog=None)}
        return {"client": _told(), "scheduler": _told(), "workers": workers}

    def run(self, function, files, workers):
        assert ["tls://a:1"] == workers
        told = function(files)
        return {"tls://a:1": {"time": told["time"] + self.off_s, "errors": self.errors}}


@pytest.mark.parametrize(("off_s", "word"), [(0, None), (3600, "+3600"), (-60, "-60")])
def test_a_check_finds_clocks_that_are_off(off_s, word):
    """More than five seconds are a problem; a worker without sawlog is asked nothing more."""
    rows, problems = examine(_Client(off_s, []), [])
    assert [True, None] == [row["reads"] for row in rows]
    assert any("has sawlog (none)" in one for one in problems)
    assert (word is not None) == any("clock" in one and word in one for one in problems if word)
    assert 1 + (word is not None) == len(problems)


def test_a_check_names_what_a_worker_can_not_read():
    """A worker that can't reach the store is a problem, with what the store said."""
    rows, problems = examine(_Client(0, ["s3://logs/a: denied"]), [])
    assert rows[0]["reads"] is False
    assert "tls://a:1: s3://logs/a: denied" in problems


class _LateClient(_Client):
    """A cluster whose second worker registers while the versions of the first are asked for."""

    def __init__(self):
        super().__init__(0, [])
        self.known = ["tls://a:1"]

    def scheduler_info(self, n_workers):
        return {"workers": {name: {"memory_limit": 0, "nthreads": 2} for name in self.known}}

    def get_versions(self, packages):
        told = {"client": _told(), "scheduler": _told(), "workers": {"tls://a:1": _told()}}
        self.known.append("tls://b:1")
        return told


def test_a_worker_that_comes_during_a_check_is_not_half_told_of():
    """A row has all that is asked of a worker, or there is a problem."""
    rows, problems = examine(_LateClient(), [])
    assert [("tls://a:1", True)] == [(row["worker"], row["reads"]) for row in rows]
    assert [] == problems


class _Worker:
    """A worker of a cluster that grows."""

    address = "tls://a:1"
    local_directory = ""

    class memory_manager:  # noqa: N801
        memory_limit = None

    def __init__(self):
        self.scheduler = self
        self.n_workers = 2

    async def identity(self, n_workers):
        return {"n_workers": self.n_workers}


def test_a_workers_share_of_the_rate_follows_their_number(monkeypatch):
    """Half of it, a third when another has come; all of it again without a run's plan."""
    monkeypatch.setattr("pipeline.executors.on_worker.SHARE_S", 0.01)
    seen = []

    async def run():
        worker, plugin = _Worker(), RunPlugin("run", None, {}, 900)
        await plugin.setup(worker)
        seen.append((plugin.share, rate.read_rate()))
        worker.n_workers = 3
        while plugin.share != 300:  # noqa: ASYNC110  (it tells nobody)
            await asyncio.sleep(0.01)
        seen.append((plugin.share, rate.read_rate()))
        plugin.teardown(worker)
        worker.n_workers = 9
        await asyncio.sleep(0.05)
        assert 300 == plugin.share

    try:
        asyncio.run(asyncio.wait_for(run(), 20))
    finally:
        rate.limit_read_rate(None)
    assert [(450, 450), (300, 300)] == seen
