"""Questions about a time that moves: each night another one, over logs that are known."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

import pytest

from pipeline.job import find_job, sql_job
from pipeline.run import run_jobs
from pipeline.settings import Settings
from pipeline.state.keep import verify
from pipeline.state.ledger import Ledger
from pipeline.state.objects import Objects
from pipeline.state.questions import KEPT_DAYS
from pipeline.state.run import run_incrementally

_VOLUME = "SELECT process, day, count(*) AS n, sum(bytes) AS b FROM lines GROUP BY ALL ORDER BY ALL"
_BEGIN = datetime(2024, 3, 1)
_N = 400


class Nights:
    """A log of a day for each night, never rotated away."""

    def __init__(self, folder) -> None:
        self.logs, self.state = folder / "logs", folder / "state"
        self.logs.mkdir()
        self.day = _BEGIN
        self.size = 0

    def write(self) -> None:
        path = self.logs / f"log-{self.day:%Y-%m-%d}"
        lines = [
            f"{self.day + timedelta(minutes=3 * k):%Y-%m-%dT%H:%M:%S}Z mx app[{k}]: {k}\n"
            for k in range(_N)
        ]
        path.write_text("".join(lines))
        self.size = path.stat().st_size
        self.day += timedelta(days=1)
        os.utime(path, (self.day.timestamp(),) * 2)

    def run(self, jobs=None, **options):
        """Run with a state and from scratch, which give the same; return the first."""
        now = self.day + timedelta(hours=4, microseconds=17)
        jobs = jobs or [sql_job("v", _VOLUME)]
        if (days := options.pop("days", None)) is not None:
            options["since"] = now - timedelta(days=days)
        given = Settings(scheduler="inline", now=now, **options)
        scratch = run_jobs(jobs, [str(self.logs)], given)
        given = Settings(scheduler="inline", now=now, state=str(self.state), **options)
        done = run_incrementally(jobs, [str(self.logs)], given)
        assert scratch.results == done.results
        assert not done.account.damaged
        return done

    def ledger(self) -> Ledger:
        return Ledger(Objects(str(self.state)))


@pytest.fixture
def nights(tmp_path) -> Nights:
    return Nights(tmp_path)


@pytest.mark.parametrize("other", [False, True])
def test_a_span_before_now_reads_what_is_in_it(nights, other):
    """A week of a growing archive costs a week; what it kept last night goes."""
    for night in range(16):
        nights.write()
        if other:
            nights.run()
        done = nights.run(days=4)
        assert done.account.read_bytes <= 8 * nights.size  # and a border of two days
        names = nights.ledger().objects.sizes("parts")
        assert len({name.split("/")[1] for name in names}) <= 1 + other, night
    assert [] == verify(nights.ledger())
    kept = nights.run(_jobs("volume"))
    assert kept.account.read_bytes == 16 * nights.size


def _jobs(name):
    return [find_job(name)]


def test_what_is_gone_and_out_of_the_time_is_not_lost(nights):
    """It has nothing to tell."""
    for _ in range(10):
        nights.write()
    nights.run()
    for path in sorted(nights.logs.iterdir())[:5]:
        path.unlink()
    assert nights.run(days=2).account.read_bytes <= 5 * nights.size


def test_a_question_about_a_day_is_kept_for_a_while(nights):
    """Who asks again within a month or so reads nothing; then it goes, others stay for ever."""
    nights.write()
    nights.run()
    day = {"since": _BEGIN, "until": _BEGIN + timedelta(days=1)}
    nights.run(**day)
    assert 0 == nights.run(**day).account.read_bytes
    nights.day += timedelta(days=KEPT_DAYS - 1)
    nights.run()
    assert 0 == nights.run(**day).account.read_bytes
    nights.day += timedelta(days=KEPT_DAYS + 1)
    assert 0 == nights.run().account.read_bytes
    assert 1 == len(nights.ledger().objects.sizes("parts"))
    assert nights.size == nights.run(**day).account.read_bytes


def test_messages_are_read_whatever_the_time(nights):
    """A message of the time asked for may have begun before it."""
    for _ in range(4):
        nights.write()
    query = "SELECT count(*) AS n FROM messages"
    for _ in range(2):
        nights.write()
        nights.run([sql_job("m", query)], days=1)


def test_a_log_that_is_written_to(nights):
    """Of one file what came on other days is left out, segment by segment."""
    for _ in range(9):
        nights.write()
        names = sorted(nights.logs.iterdir())
        if len(names) > 1:
            names[0].write_bytes(names[0].read_bytes() + names[1].read_bytes())
            names[1].unlink()
            os.utime(names[0], (nights.day.timestamp(),) * 2)
        nights.run()
        assert nights.run(days=1).account.read_bytes <= 5 * nights.size
    assert [] == verify(nights.ledger())


def test_another_question_may_have_been_told_the_year(nights):
    """What is long ago for one is of this week for the other."""
    path = nights.logs / "log"
    path.write_text("".join(f"Mar  1 10:{k:02}:00 mx app[{k}]: {k}\n" for k in range(60)))
    nights.day += timedelta(days=1)
    os.utime(path, (nights.day.timestamp(),) * 2)
    nights.run(year=2008)
    done = nights.run(days=5)
    assert 60 == sum(row["n"] for row in done.results["v"].to_pylist())
    nights.run(year=2008, days=5)


def test_another_question_may_have_looked_in_other_envelopes(tmp_path):
    """Without them its lines had no time: that tells nothing of the lines inside."""
    log, state = tmp_path / "log", tmp_path / "state"
    record = '{{"log":"Mar  1 10:00:{:02} mx1 app: x\\n","stream":"stdout","time":"{}"}}\n'
    log.write_text("".join(record.format(k, "2024-03-01T10:00:00Z") for k in range(50)))
    now = datetime(2024, 3, 2)
    options = {"scheduler": "inline", "now": now, "state": str(state)}
    jobs = [sql_job("v", _VOLUME)]

    run_incrementally(jobs, [str(log)], Settings(envelope="none", **options))
    done = run_incrementally(jobs, [str(log)], Settings(since=datetime(2024, 2, 1), **options))

    assert [50] == done.results["v"]["n"].to_pylist()
