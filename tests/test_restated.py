"""A run says which earlier days it restates: those of which an earlier run said another number."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.account import account_notes
from pipeline.errors import StateError
from pipeline.job import sql_job
from pipeline.model import Account
from pipeline.settings import Settings
from pipeline.state import restated
from pipeline.state.ledger import Ledger
from pipeline.state.objects import Objects
from pipeline.state.run import run_incrementally

if TYPE_CHECKING:
    from pathlib import Path

_DAYS = "SELECT day, count(*) AS n, sum(bytes) AS b, avg(bytes) AS m FROM lines GROUP BY day"
_PROCESSES = "SELECT day, process, count(*) AS n FROM lines GROUP BY day, process"
_OLD = 1_704_100_000


class Place:
    """Logs and a state."""

    def __init__(self, folder: Path) -> None:
        self.logs, self.state = folder / "logs", folder / "state"
        self.logs.mkdir()
        self._clock = _OLD

    def add(self, name: str, *days: int, text: str = "x") -> None:
        """Append a line of each of some days of January 2024."""
        path = self.logs / name
        with path.open("ab") as file:
            for day in days:
                file.write(f"2024-01-{day:02}T00:00:00Z mx a: {text} {name}\n".encode())
        self.touch(path)

    def touch(self, path: Path) -> None:
        self._clock += 5
        os.utime(path, (self._clock, self._clock))

    def run(self, *queries: str, **options):
        jobs = [sql_job(f"v{k}", query) for k, query in enumerate(queries or (_DAYS,))]
        given_ = Settings(scheduler="inline", state=str(self.state), **options)
        return run_incrementally(jobs, [str(self.logs)], given_)

    def restated(self, *queries: str, column="n", **options):
        """Return what is restated of one column: job, day, before, after."""
        account = self.run(*queries, **options).account
        assert account.restated_days == len({one["day"] for one in account.restated})
        return [
            (one["job"], int(one["day"][-2:]), one["before"], one["after"])
            for one in account.restated
            if one["column"] == column
        ]


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path)


def test_logs_that_go_on_restate_nothing(place):
    """Appended to, rotated, compressed: only the newest day grows, and new ones come."""
    for day in range(1, 8):
        place.add("log", day, day, day)
        assert [] == place.restated()
        place.add("log", day, day)
        assert [] == place.restated()
        packed = place.logs / f"log.{day}.gz"
        packed.write_bytes(gzip.compress((place.logs / "log").read_bytes()))
        place.touch(packed)
        (place.logs / "log").unlink()


def test_a_late_file_restates_its_days(place):
    """Exactly those that an earlier result had, but for its newest; each additive column."""
    place.add("a", 3, 3, 4, 6)
    assert [] == place.restated()
    place.add("b", 1, 3, 5, 6, 7)

    account = place.run().account

    size = len(b"2024-01-03T00:00:00Z mx a: x b\n")
    assert [
        {"job": "v0", "day": "2024-01-03", "column": "n", "before": 2, "after": 3},
        {"job": "v0", "day": "2024-01-03", "column": "b", "before": 2 * size, "after": 3 * size},
    ] == account.restated
    assert 1 == account.restated_days
    assert [] == place.restated()
    assert ["restated by v0: 2024-01-03 n 2 → 3, b 62 → 93"] == account_notes(account)


_steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from("abc"), st.lists(st.integers(1, 9), min_size=1, max_size=4)),
        st.just(("run", [])),
    ),
    max_size=12,
)


@settings(max_examples=30)
@given(steps=_steps)
def test_any_history_tells_what_has_changed(tmp_path_factory, steps):
    """Lines of any days in any logs: each run tells what the runs before it had said."""
    place = Place(tmp_path_factory.mktemp("place"))
    counted, said = Counter(), {}
    place.add("z", 5)
    counted[5] += 1
    for name, days in [*steps, ("run", [])]:
        if name != "run":
            place.add(name, *days)
            counted.update(days)
            continue
        newest = max(said, default=0)
        expected = [
            ("v0", day, said[day], counted[day])
            for day in sorted(said)
            if day < newest and said[day] != counted[day]
        ]
        assert expected == place.restated()
        said = dict(counted)


def test_questions_are_told_apart(place):
    """Two jobs in one state, asked together and one by one: each tells of what it said itself."""
    place.add("a", 1, 2, 3)
    assert [] == place.restated(_DAYS, _PROCESSES)
    place.add("b", 1)
    assert [("v0", 1, 1, 2)] == place.restated(_PROCESSES)
    place.add("c", 2)
    assert [("v0", 1, 1, 2), ("v0", 2, 1, 2), ("v1", 2, 1, 2)] == place.restated(_DAYS, _PROCESSES)
    assert [] == place.restated(_DAYS, _PROCESSES)
    assert [] == place.restated(_DAYS, where="process = 'a'")  # another question: it said nothing
    place.add("d", 2)
    assert [("v0", 2, 2, 3)] == place.restated(_DAYS, where="process = 'a'")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT process, count(*) AS n FROM lines GROUP BY process",
        "SELECT day, avg(bytes) AS n FROM lines GROUP BY day",
        "SELECT day, process, count(*) AS n FROM lines GROUP BY ALL ORDER BY n DESC LIMIT 2",
        "SELECT hour, count(*) AS n, min(day) AS first FROM lines GROUP BY hour",
    ],
)
def test_where_no_day_is_added_up_nothing_is_told(place, query):
    """No day, a mean, rows that drive others out."""
    place.add("a", 1, 2, 3)
    place.run(query)
    place.add("b", 1, 1)
    assert [] == place.restated(query)


def test_messages_that_go_on_are_not_late(place):
    """A message of an earlier day is told of when a late log has come, not when it goes on."""
    query = "SELECT day, count(*) AS messages, sum(attempts) AS n FROM messages GROUP BY day"
    mail = "Jan  {} 00:00:0{} mx postfix/{}: 4A1B2C3D: {}\n"
    begin = mail.format(1, 1, "qmgr[1]", "from=<a@b.example>, size=1, nrcpt=1 (queue active)")
    tries = [
        mail.format(day, 2, "smtp[1]", "to=<c@d.example>, relay=none, delay=1, status=deferred (t)")
        for day in (1, 2, 3)
    ]
    log = place.logs / "log"

    def ask():
        place.touch(log)
        return place.restated(query, year=2024)

    log.write_text(begin + tries[0])
    assert [] == ask()
    with log.open("a") as file:
        file.write(tries[1])
        file.write(begin.replace("4A1B", "4A1C").replace("Jan  1", "Jan  2"))
    assert [] == ask()
    with log.open("a") as file:
        file.write(tries[2])
    assert [] == ask()
    (place.logs / "other").write_text((begin + tries[0]).replace(" mx ", " my "))
    assert [("v0", 1, 3, 4)] == ask()


def test_today_is_not_over(place):
    """A line of a wrong clock is of a day to come: what comes today restates nothing."""
    place.add("a", 1, 2, 3, 30)
    assert [] == place.restated(now=datetime(2024, 1, 3, 23))
    place.add("a", 3)
    assert [] == place.restated(now=datetime(2024, 1, 4, 23))
    place.add("a", 3)
    assert [("v0", 3, 2, 3)] == place.restated(now=datetime(2024, 1, 5, 23))


def test_what_is_forgotten_is_not_restated(place):
    """What becomes less since logs were forgotten is not told; a late file after it is."""

    def put(name, *days):
        text = "".join(f"2024-{day}T00:00:00Z mx a: {name}\n" for day in days)
        (place.logs / name).write_text(text)
        place.touch(place.logs / name)

    put("a", "01-30", "02-01")
    put("b", "02-01", "02-20")
    now = datetime(2024, 3, 1)
    assert [] == place.restated(now=now)
    days = {row["day"]: row["n"] for row in place.run(now=now).results["v0"].to_pylist()}
    assert {date(2024, 1, 30): 1, date(2024, 2, 1): 2, date(2024, 2, 20): 1} == days
    done = place.run(now=now, retention=timedelta(days=20))
    left = {row["day"]: row["n"] for row in done.results["v0"].to_pylist()}
    assert {date(2024, 2, 1): 1, date(2024, 2, 20): 1} == left
    assert [] == done.account.restated
    put("c", "02-01", "02-01", "02-20")
    assert [("v0", 1, 1, 3)] == place.restated(now=now)


def _break(monkeypatch, name):
    """Let writing an object fail, as a run that is killed there leaves the state."""
    for way in ("put", "put_next"):
        _fail_at(monkeypatch, way, name)


def _fail_at(monkeypatch, way, name):
    put = getattr(Objects, way)

    def fail(self, at, content, **options):
        if at == name:
            raise StateError("killed")
        put(self, at, content, **options)

    monkeypatch.setattr(Objects, way, fail)


@pytest.mark.parametrize("at", ["ledger", "said"])
def test_a_run_that_was_killed_has_said_nothing(place, monkeypatch, at):
    """The next one tells what it would have told."""
    place.add("a", 1, 2, 3)
    place.run()
    place.add("b", 1)
    with monkeypatch.context() as patched:
        _break(patched, at)
        with pytest.raises(StateError, match="killed"):
            place.run()
    assert [("v0", 1, 1, 2)] == place.restated()
    assert [] == place.restated()


def test_a_damaged_object_forgets(place):
    """It is no error: from then on runs tell again."""
    place.add("a", 1, 2, 3)
    place.run()
    said = place.state / "said"
    said.write_bytes(said.read_bytes()[:-1])
    place.add("b", 1)
    done = place.run()
    assert ([], []) == (done.account.restated, done.warnings)
    place.add("c", 1)
    assert [("v0", 1, 2, 3)] == place.restated()


def test_the_state_stays_small(place, monkeypatch):
    """Questions that were asked last are kept; years of days are a few kilobytes."""
    monkeypatch.setattr(restated, "MAX_QUESTIONS", 3)
    place.add("a", 1, 2, 3)
    for k in range(5):
        place.run(_DAYS, where=f"bytes > {k}")
    place.run(_DAYS, where="bytes > 3")
    ledger = Ledger(Objects(str(place.state)))
    held = restated._load(ledger)
    assert 3 == len(held)
    place.add("b", 1)
    assert [] == place.restated(where="bytes > 1")
    assert [("v0", 1, 1, 2)] == place.restated(where="bytes > 3")
    days = {f"2024-{k:04}": [10**9 + 7919 * k, 10**12 + 7919 * k] for k in range(3650)}
    assert 60_000 > len(restated._packed({"a": {"days": days}}))


def test_the_note_tells_the_largest():
    """Of each job some days, the rest as a number."""
    account = Account()
    for job in "abcde":
        for day in range(1, 7):
            account.restated.append(
                {
                    "job": job,
                    "day": f"2024-01-0{day}",
                    "column": "n\x1b",
                    "before": 12345,
                    "after": 12345 + day,
                }
            )
    notes = account_notes(account)
    assert (
        "restated by a: 2024-01-04 n\\x1b 12,345 → 12,349; 2024-01-05 n\\x1b 12,345 → 12,350; "
        "2024-01-06 n\\x1b 12,345 → 12,351; … and 3 more days"
    ) == notes[0]
    assert "… and 2 more jobs: see --account" == notes[3]


def test_reports_have_a_section(sawlog, tmp_path):
    """The page, the message, the account and the metrics; nothing of it without a change."""
    log, late = tmp_path / "a.log", tmp_path / "b.log"
    log.write_text("".join(f"2024-01-0{day}T00:00:00Z mx a: x\n" for day in (1, 2, 3)))
    page, letter, account, metrics = (
        tmp_path / f"r{end}" for end in (".html", ".eml", ".json", ".prom")
    )
    words = ("volume", "--state", tmp_path / "state", "--to", "none", "--account", account)
    words += ("-o", page, "-o", letter, "--metrics", metrics)

    first = sawlog(*words, log)
    told = first.err.lower() + letter.read_text().lower()
    assert "restated by" not in told
    assert "restated days" not in told
    assert "Restated days" not in page.read_text()
    assert 'sawlog_restated_days{sawlog_job="volume"} 0\n' in metrics.read_text()

    late.write_text("2024-01-02T00:00:00Z mx a: x\n" * 1200)
    ran = sawlog(*words, log, late)
    assert "restated by volume: 2024-01-02 lines 1 → 1,201, bytes 29 → 34,829\n" in ran.err
    assert "2024-01-02 volume: lines 1 =E2=86=92 1,201\n" in letter.read_text()
    text = page.read_text()
    assert text.index("<h2>Restated days</h2>") < text.index("<h2>volume</h2>")
    assert '<td>lines</td><td class="number">1</td><td class="number">1,201</td>' in text
    told = json.loads(account.read_text())
    assert (1, ["lines", "bytes"]) == (
        told["restated_days"],
        [one["column"] for one in told["restated"]],
    )
    assert 'sawlog_restated_days{sawlog_job="volume"} 1\n' in metrics.read_text()

    alone = sawlog("volume", log, "--to", "none", "--account", account, "--metrics", metrics)
    assert json.loads(account.read_text())["restated_days"] is None
    assert "restated" not in alone.err + metrics.read_text()
