"""Incremental runs: whatever happens to the files in between, the numbers are those of one run."""

from __future__ import annotations

import gzip
import itertools
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.chain import STEP, Chain, Digester, Piece, digest, digest_steps
from pipeline.errors import StateError
from pipeline.job import find_job, sql_job, with_sections
from pipeline.run import run_jobs
from pipeline.settings import Settings
from pipeline.state.ledger import Ledger
from pipeline.state.objects import Objects
from pipeline.state.run import run_incrementally
from tests.support.rotation_history import Log
from tests.support.stitch_logs import many_messages

_VOLUME = "SELECT process, day, count(*) AS n, sum(bytes) AS b FROM lines GROUP BY ALL ORDER BY ALL"


def _run(folder, state, jobs=None, **options):
    jobs = jobs or [sql_job("v", _VOLUME)]
    given_ = Settings(scheduler="inline", state=str(state), **options)
    return run_incrementally(jobs, [str(folder)], given_)


def _rows(done, name="v"):
    return [
        (r["process"], str(r["day"]), r["n"], int(r["b"])) for r in done.results[name].to_pylist()
    ]


def _counted(lines) -> list[tuple[str, str, int, int]]:
    """The oracle: what was written, line by line."""
    count, size = Counter(), Counter()
    for line in lines:
        key = line.split()[2].rstrip(b":").split(b"[")[0].decode(), line[:10].decode()
        count[key] += 1
        size[key] += len(line)
    return sorted((*key, count[key], size[key]) for key in count)


_step = st.one_of(
    st.tuples(st.just("write"), st.integers(1, 40)),
    st.tuples(st.just("write"), st.integers(1, 2500)),
    st.tuples(st.just("part"), st.integers(1, 9)),
    st.tuples(
        st.sampled_from(["rotate", "copytruncate", "gz", "zst", "run", "run", "drop"]), st.just(0)
    ),
)


@settings(max_examples=25)
@given(steps=st.lists(_step, min_size=2, max_size=12), size=st.sampled_from([None, 2000, 20_000]))
def test_any_history_equals_one_run(tmp_path_factory, steps, size):
    """Appends, rotations of every kind, compression, lines half written, and runs in between."""
    folder = tmp_path_factory.mktemp("state")
    log = Log(folder / "logs")
    log.folder.mkdir()
    log.write(3)
    for name, n in steps:
        if name in ("write", "part"):
            log.write(n, whole=name == "write")
        elif name == "drop":
            _run(log.folder, folder / "state", split_bytes=size)
            log.drop_oldest()
        elif name == "run":
            done = _run(log.folder, folder / "state", split_bytes=size)
            assert _rows(done) == _counted(log.lines)
        elif name in ("gz", "zst"):
            log.compress(name)
        else:
            getattr(log, name)()
    log.finish_line()
    done = _run(log.folder, folder / "state", split_bytes=size)
    assert _rows(done) == _counted(log.lines)
    again = _run(log.folder, folder / "state")
    assert _rows(again) == _counted(log.lines)
    assert again.account.read_bytes == 0
    verified = _run(log.folder, folder / "state", verify_content=True)
    assert _rows(verified) == _counted(log.lines)


_MAIL = [find_job("mail"), find_job("retries"), find_job("queue")]
_MESSAGES = (
    "SELECT host, queue_id, sender, count(*) AS n, sum(recipients) AS r, sum(attempts) AS a, "
    "min(first) AS f, max(last) AS l FROM messages GROUP BY ALL ORDER BY ALL"
)
_LATE = (
    "SELECT generation, parent_link, count(*) AS n, sum(attempts) AS a FROM messages GROUP BY ALL"
)


@pytest.mark.parametrize("late", [False, True])
@settings(max_examples=3)
@given(seed=st.integers(0, 10_000))
def test_messages_are_put_together_over_runs(tmp_path_factory, late, seed):
    """A message whose lines were read by several runs is one message."""
    jobs = with_sections(
        [*_MAIL, sql_job("m", _MESSAGES), *([sql_job("late", _LATE)] if late else [])]
    )
    draw = random.Random(seed)
    folder = tmp_path_factory.mktemp("state")
    logs = folder / "logs"
    logs.mkdir()
    lines = many_messages(40, seed).splitlines(keepends=True)
    at, clock = 0, time.time() - 100_000
    while at < len(lines):
        n = draw.randrange(1, len(lines) // 2)
        with (logs / "maillog").open("ab") as file:
            file.write(b"".join(lines[at : at + n]))
        at += n
        clock += 5
        os.utime(logs / "maillog", (clock, clock))
        what = draw.choice(["run", "run", "rotate", "gz"])
        if what == "run":
            _run(logs, folder / "state", jobs, split_bytes=draw.choice([None, 2000]))
            continue
        older = sorted(logs.glob("maillog.*"), key=lambda p: -int(p.name.split(".")[1]))
        for path in older:
            name, number, *rest = path.name.split(".")
            path.rename(logs / ".".join([name, str(int(number) + 1), *rest]))
        if what == "rotate":
            (logs / "maillog").rename(logs / "maillog.1")
        else:
            (logs / "maillog.1.gz").write_bytes(gzip.compress((logs / "maillog").read_bytes()))
            os.utime(logs / "maillog.1.gz", (clock, clock))
            (logs / "maillog").unlink()
    kept = _run(logs, folder / "state", jobs).results
    whole = run_jobs(jobs, [str(logs)], Settings(scheduler="inline")).results
    assert {n: t.to_pylist() for n, t in kept.items()} == {
        n: t.to_pylist() for n, t in whole.items()
    }


def test_only_new_bytes_are_read(tmp_path):
    """What was appended, and not a byte more than a step before it."""
    log = Log(tmp_path / "logs")
    log.folder.mkdir()
    log.write(5000)
    size = log.path.stat().st_size
    assert _run(log.folder, tmp_path / "state").account.read_bytes == size
    log.write(50)
    done = _run(log.folder, tmp_path / "state")
    new = log.path.stat().st_size - size
    assert new <= done.account.read_bytes <= 1.1 * new + STEP
    assert _rows(done) == _counted(log.lines)


def test_several_jobs_share_a_state(tmp_path):
    """Jobs asked one by one or together, in any order, each over all that was ever read."""
    log = Log(tmp_path / "logs")
    log.folder.mkdir()
    log.write(30)
    days = sql_job("d", "SELECT day, count(*) AS n FROM lines GROUP BY ALL ORDER BY ALL")
    volume = sql_job("v", _VOLUME)
    _run(log.folder, tmp_path / "state", [volume])
    log.write(20)
    done = _run(log.folder, tmp_path / "state", [days])
    assert any("once more" in one for one in done.warnings)
    log.write(10)
    both = _run(log.folder, tmp_path / "state", [volume, days])
    assert _rows(both) == _counted(log.lines)
    assert sum(row["n"] for row in both.results["d"].to_pylist()) == 60
    assert _run(log.folder, tmp_path / "state", [days]).account.read_bytes == 0


def test_what_is_gone_and_was_not_kept_is_named(tmp_path):
    """A new question about content whose file rotation has removed."""
    log = Log(tmp_path / "logs")
    log.folder.mkdir()
    log.write(30)
    _run(log.folder, tmp_path / "state")
    log.path.unlink()
    log.write(5)
    done = _run(
        log.folder,
        tmp_path / "state",
        [sql_job("d", "SELECT day, count(*) AS n FROM lines GROUP BY ALL")],
    )
    (damage,) = done.account.damaged
    assert (damage.kind, damage.plain_offset) == ("lost", 0)
    # The question asked before still has all of it.
    assert _rows(_run(log.folder, tmp_path / "state")) == _counted(log.lines)


def test_lines_in_envelopes(tmp_path):
    """A container's log that grows: parts of a line may be joined over two runs."""
    path = tmp_path / "logs" / "c-json.log"
    path.parent.mkdir()
    (path.parent / "other.log").write_text("2024-01-01T00:00:00Z mx a: b\n" * 7)
    rows, total = [], 0
    for k in range(6):
        part = {"log": f"2024-01-01T00:00:0{k}Z mx b: {k} ", "stream": "stdout"}
        rest = {"log": f"end {k}\n", "stream": "stdout"}
        rows += [json.dumps({**one, "time": "2024-01-01T00:00:00Z"}) for one in (part, rest)]
        total += 1
        path.write_text("\n".join(rows[: 2 * k + 1]) + "\n")  # the rest comes later
        os.utime(path, (1_704_100_000 + k, 1_704_100_000 + k))
        _run(path.parent, tmp_path / "state")
    path.write_text("\n".join(rows) + "\n")
    kept = _run(path.parent, tmp_path / "state")
    whole = run_jobs([sql_job("v", _VOLUME)], [str(path.parent)], Settings(scheduler="inline"))
    assert _rows(kept) == _rows(whole)
    assert sum(row[2] for row in _rows(kept)) == total + 7


def test_many_small_files_share_objects(tmp_path):
    """A thousand files are not a thousand objects."""
    for k in range(200):
        (tmp_path / f"log-{k}").write_text(f"2024-01-01T00:00:00Z mx a: {k}\n")
    done = _run(tmp_path, tmp_path.parent / "shared")
    assert _rows(done)[0][2] == 200
    assert len(list((tmp_path.parent / "shared" / "parts").rglob("*"))) < 30
    assert not list((tmp_path.parent / "shared").glob("chains/*"))


def test_rows_as_they_are_are_not_kept(tmp_path, sawlog):
    """Only aggregates are small enough."""
    (tmp_path / "log").write_text("Jan  1 00:00:00 a b: c\n")
    ran = sawlog(
        "sql", "SELECT message FROM lines", tmp_path / "log", "--state", tmp_path / "state"
    )
    assert ran.code == 2
    assert "--state keeps aggregates" in ran.err


# Killed, damaged, crowded.


def _killable(folder: str, state: str) -> None:
    _run(folder, state, split_bytes=2000)


@pytest.mark.slow
def test_killed_runs_go_on_where_they_were(tmp_path):
    """SIGKILL at a hundred moments: the next run ends with the right numbers, nothing twice."""
    draw = random.Random(7)
    log = Log(tmp_path / "logs")
    log.folder.mkdir()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.test_state"])
    n_killed = 0
    for k in range(100):
        log.write(draw.randrange(20, 200))
        if k % 7 == 3:
            log.rotate()
            log.write(5)
        if k % 11 == 5:
            log.compress(draw.choice(["gz", "zst"]))
        child = context.Process(target=_killable, args=(str(log.folder), str(tmp_path / "state")))
        child.start()
        time.sleep(draw.random() * 0.35)
        if child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
            n_killed += 1
        child.join()
        if k % 20 == 19:
            assert _rows(_run(log.folder, tmp_path / "state")) == _counted(log.lines)
    assert n_killed > 30
    done = _run(log.folder, tmp_path / "state")
    assert _rows(done) == _counted(log.lines)
    assert not list((tmp_path / "state").rglob("*.tmp"))
    assert not list((tmp_path / "state").glob("journal/*"))


def test_what_a_killed_run_left_is_removed(tmp_path):
    """Half an object, wherever it was written."""
    log = Log(tmp_path / "logs")
    log.folder.mkdir()
    log.write(3)
    _run(log.folder, tmp_path / "state")
    (unit,) = (tmp_path / "state" / "parts").iterdir()
    for name in ("ledger.0.tmp", f"parts/{unit.name}/x.0.tmp", "chains/y.0.tmp"):
        path = tmp_path / "state" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    _run(log.folder, tmp_path / "state")
    assert not [*(tmp_path / "state").rglob("*.tmp")]


def test_a_damaged_chain_or_journal_costs_nothing(tmp_path):
    """A content whose digests are lost is told by its begin and end, also when it goes on."""
    log = Log(tmp_path / "logs")
    log.folder.mkdir()
    log.write(12_000)
    state = tmp_path / "state"
    _run(log.folder, state)
    (chain,) = (state / "chains").iterdir()
    chain.write_bytes(b"")
    log.write(2000)
    _run(log.folder, state)
    log.rotate()
    log.compress("gz")
    log.write(5)
    assert _rows(_run(log.folder, state)) == _counted(log.lines)


def test_a_full_disk_leaves_the_old_state(tmp_path, monkeypatch):
    """A clear error; the next run goes on."""
    log = Log(tmp_path / "logs")
    log.folder.mkdir()
    log.write(30)
    _run(log.folder, tmp_path / "state")
    log.write(30)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StateError, match="No space left on device"):
            _run(log.folder, tmp_path / "state")
    assert _rows(_run(log.folder, tmp_path / "state")) == _counted(log.lines)


def test_damage_is_told_every_night(tmp_path):
    """Of a file that is known, too; when it is whole again its rest is read."""
    log = Log(tmp_path / "logs")
    log.folder.mkdir()
    log.write(3000)
    log.rotate()
    log.compress("gz")
    log.write(3)
    path = log.folder / "log.1.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    for _ in range(2):
        (damage,) = _run(log.folder, tmp_path / "state").account.damaged
        assert damage.file == str(path)
    path.write_bytes(whole)
    done = _run(log.folder, tmp_path / "state")
    assert not done.account.damaged
    assert _rows(done) == _counted(log.lines)


# Commands.


def test_states_are_compacted_and_forgotten(tmp_path, sawlog):
    """Objects of a month become one; old contents go when they are told to."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for month in range(1, 5):
        for day in range(1, 4):
            path = folder / f"log-{month}-{day}"
            path.write_text(f"2024-{month:02}-{day:02}T00:00:00Z mx a: x {month}{day}\n" * 3)
    jobs = [sql_job("v", _VOLUME), find_job("senders")]
    first = _run(folder, tmp_path / "state", jobs)
    state = ("--state", tmp_path / "state")
    assert int(re.match(r"\d+", sawlog("state", "compact", *state).out)[0]) > 10
    assert sawlog("state", "verify", *state).code == 0
    again = _run(folder, tmp_path / "state", jobs)
    assert again.account.read_bytes == 0
    assert again.results["v"].equals(first.results["v"])
    shown = json.loads(sawlog("state", "show", "--to", "json", *state).out)
    assert len(shown) == 12
    assert shown[0]["lines"] == 3
    out = sawlog("state", "forget", "--before", "2024-03-01", *state).out
    assert "6 contents forgotten, 6 kept" in out
    for path in folder.glob("log-[12]-*"):
        path.unlink()
    left = _run(folder, tmp_path / "state", jobs)
    assert {row[1][:7] for row in _rows(left)} == {"2024-03", "2024-04"}


def test_the_command_line(tmp_path, sawlog, demo):
    """The same results as without, an account that says what was known, the right codes."""
    logs = [str(path) for path in sorted(demo.glob("maillog*"))]
    state = ("--state", tmp_path / "state")
    plain = sawlog("volume", *logs, "--to", "csv")
    first = sawlog("volume", *logs, "--to", "csv", *state)
    again = sawlog("volume", *logs, "--to", "csv", *state, "--account", tmp_path / "account.json")
    assert plain.out == first.out == again.out
    account = json.loads((tmp_path / "account.json").read_text())
    assert account["read_bytes"] == 0
    assert account["reused_files"] == len(logs)
    assert "5 known" in again.err
    assert sawlog("state", "forget", *state).code == 2
    assert sawlog("volume", *logs, "--retention", "9d").code == 2
    assert sawlog("volume", "-", *state).code == 1


def test_the_state_is_small(tmp_path, demo):
    """Less than a hundredth of the text, for what is asked every night."""
    for name in ("volume", "retries", "rejects"):
        _run(demo, tmp_path / name, [find_job(name)])
        size = sum(p.stat().st_size for p in (tmp_path / name).rglob("*") if p.is_file())
        assert size < 50_000 + 0.01 * 30_000_000


# Parts.


@given(data=st.data())
@settings(max_examples=60)
def test_digests_do_not_depend_on_the_cuts(data):
    """Pieces of any cuts join to the chain of the whole."""
    n = data.draw(st.integers(0, 3 * STEP + 5))
    content = random.Random(n).randbytes(n)
    cuts = sorted(data.draw(st.sets(st.integers(0, n), max_size=4)) | {0, n})
    piece = Piece(0, 0)
    for start, stop in itertools.pairwise(cuts):
        digester = Digester(start)
        at = start
        while at < stop:
            size = data.draw(st.sampled_from([1000, STEP - 1, STEP, STEP + 1, 5 * STEP]))
            digester.feed(memoryview(content)[at : min(stop, at + size)])
            at += size
        piece.extend(digester.end())
    chain = Chain.of(piece)
    assert chain.length == n
    assert chain.tail == digest(content[n // STEP * STEP :])
    assert chain.digests == b"".join(
        digest_steps(content[k * STEP : (k + 1) * STEP]) for k in range(n // STEP)
    )


@given(place=st.integers(0, 3 * STEP - 1), change=st.integers(1, 255))
def test_a_changed_byte_shows_wherever_it_stands(place, change):
    """In the digest of its step, and in no other."""
    content = bytearray(random.Random(1).randbytes(3 * STEP))
    before = digest_steps(content)
    content[place] ^= change
    after = digest_steps(content)
    n = len(before) // 3
    assert [place // STEP] == [
        k for k in range(3) if before[k * n : (k + 1) * n] != after[k * n : (k + 1) * n]
    ]


def test_marks_tell_the_digest_of_a_shorter_content():
    """As `Chain.tail` of what ended there."""
    content = random.Random(1).randbytes(2 * STEP + 100)
    marks = [1, 77, STEP - 1, STEP, STEP + 1, 2 * STEP, 2 * STEP + 100]
    digester = Digester(0, marks)
    digester.feed(memoryview(content))
    digester.end()
    for mark in marks:
        assert digester.tails[mark] == digest(content[mark // STEP * STEP : mark])


def test_another_format_is_refused(tmp_path):
    """A state of a later version is left alone."""
    objects = Objects(str(tmp_path / "state"))
    ledger = Ledger(objects)
    ledger.save()
    from pipeline.state import ledger as module

    held = module._unpacked(objects.get("ledger"))
    objects.put("ledger", module._packed({**held, "format": 99}))
    with pytest.raises(StateError, match="another version"):
        Ledger(objects)


# Real rotation.

_WAYS = {
    "create": "rotate 9\ncreate",
    "copytruncate": "rotate 9\ncopytruncate",
    "compress": "rotate 9\ncompress",
    "delaycompress": "rotate 9\ncompress\ndelaycompress",
    "dateext": "rotate 9\ndateext\ndateformat -%Y%m%d-%s",
    "zstd": "rotate 9\ncompress\ncompresscmd /usr/bin/zstd\nuncompresscmd /usr/bin/unzstd\ncompressext .zst\ncompressoptions -q --rm",
    "maxsize": "rotate 9\nmaxsize 1k",
    "olddir": "rotate 9\nolddir old\ncompress",
    "few": "rotate 1",
}


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="logrotate is not installed")
@pytest.mark.parametrize("way", _WAYS)
def test_logrotate(tmp_path, way):
    """Debian's logrotate in all its ways, with runs in between: each line counts once."""
    if "zstd" in _WAYS[way] and shutil.which("zstd") is None:
        pytest.skip("zstd is not installed")
    logs = tmp_path / "logs"
    (logs / "old").mkdir(parents=True)
    log = Log(logs)
    config = tmp_path / "rotate.conf"
    config.write_text(f"su root root\n{logs}/log {{\n{_WAYS[way]}\nmissingok\n}}\n")
    config.chmod(0o644)
    draw = random.Random(3)
    for k in range(7):
        log.write(draw.randrange(10, 300))
        if k % 3 != 1 or way == "few":
            _run(logs, tmp_path / "state")
        time.sleep(1.1 if "%s" in _WAYS[way] else 0)
        subprocess.run(
            ["logrotate", "-f", "-s", str(tmp_path / "status"), str(config)],
            check=True, capture_output=True,
        )  # fmt: skip
    log.write(5)
    assert _rows(_run(logs, tmp_path / "state")) == _counted(log.lines)
    assert Path(logs).exists()
