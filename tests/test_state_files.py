"""Incremental runs over files that do what files do: each run is compared with one from scratch."""

from __future__ import annotations

import gzip
import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pipeline.errors import StateError, UsageError
from pipeline.formats.base import FormatOptions
from pipeline.job import find_job, sql_job
from pipeline.pseudonyms import Pseudonyms
from pipeline.run import run_jobs
from pipeline.settings import Settings
from pipeline.state import run as state_run
from pipeline.state.keep import forget
from pipeline.state.ledger import Ledger
from pipeline.state.objects import Objects
from pipeline.state.run import run_incrementally

_VOLUME = "SELECT process, day, count(*) AS n, sum(bytes) AS b FROM lines GROUP BY ALL ORDER BY ALL"
_DAYS = "SELECT day, count(*) AS n FROM lines GROUP BY ALL ORDER BY ALL"
_ROOT = Path(__file__).parent.parent
#: Long ago: nobody writes to these files any more.
_OLD = 1_704_100_000


class Place:
    """Logs, a state, and the time of the last change."""

    def __init__(self, folder: Path) -> None:
        self.logs, self.state = folder / "logs", folder / "state"
        self.logs.mkdir()
        self._clock = _OLD

    def put(self, name: str, content: bytes, mode: str = "wb") -> Path:
        path = self.logs / name
        with path.open(mode) as file:
            file.write(content)
        self._clock += 5
        os.utime(path, (self._clock, self._clock))
        return path

    def add(self, name: str, content: bytes) -> Path:
        return self.put(name, content, "ab")

    def compress(self, name: str) -> Path:
        path = self.logs / name
        packed = self.put(f"{name}.gz", gzip.compress(path.read_bytes()))
        path.unlink()
        return packed

    def run(self, query=_VOLUME, **options):
        given = Settings(scheduler="inline", state=str(self.state), **options)
        return run_incrementally([sql_job("v", query)], [str(self.logs)], given)

    def check(self, query=_VOLUME, n_damaged=0, **options):
        """An incremental run gives what one from scratch gives, damage included."""
        done = self.run(query, **options)
        given = Settings(scheduler="inline", **options)
        whole = run_jobs([sql_job("v", query)], [str(self.logs)], given)
        assert done.results["v"].to_pylist() == whole.results["v"].to_pylist()
        for name in ("lines", "dated_lines", "undated_lines", "plain_bytes"):
            assert getattr(done.account, name) == getattr(whole.account, name), name
        assert {d.file for d in done.account.damaged} == {d.file for d in whole.account.damaged}
        assert len(done.account.damaged) == n_damaged
        return done

    def count(self, **options) -> int:
        return sum(row["n"] for row in self.run(**options).results["v"].to_pylist())

    def parts(self) -> list[Path]:
        return [path for path in (self.state / "parts").rglob("*") if path.is_file()]


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path)


def _line(k: int, text: str = "") -> bytes:
    return f"2024-01-{1 + k % 27:02}T00:00:{k % 60:02}Z mx a: line {k} {text}\n".encode()


def _lines(start: int, stop: int, text: str = "") -> bytes:
    return b"".join(_line(k, text) for k in range(start, stop))


_HALF = b"2024-01-01T00:00:00Z mx a: half a line"


# What files hold.


def test_logs_that_began_alike(place):
    """Once they were equal and counted once; then each went on in its own way."""
    for name in "ab":
        place.put(name, _line(1))
    place.check()
    place.add("a", _line(2))
    place.add("b", _lines(3, 5))
    place.check()
    place.add("a", _line(6))
    place.check()
    assert place.check(verify_content=True).account.reused_files == 2


@pytest.mark.parametrize("n", [3, 90, 1500])
def test_a_copy_made_earlier_is_the_begin(place, n):
    """It stands beside the log that went on, and is new to each question; then that is rotated."""
    place.put("log", _lines(0, n))
    place.put("copy", _lines(0, n))
    place.check()
    place.add("log", _lines(n, n + 40))
    place.check()
    place.check(_DAYS)
    (place.logs / "log").rename(place.logs / "log.1")
    place.put("log", _line(99))
    (place.logs / "copy").rename(place.logs / "copy.old")
    place.check("SELECT process, count(*) AS n FROM lines GROUP BY ALL ORDER BY ALL")
    place.check()
    place.put("other", _lines(0, n) + _line(77))  # no begin, though it begins alike
    place.check()
    place.check(_DAYS)


@pytest.mark.parametrize("packed", [False, True])
def test_a_last_line_without_end_goes_on(place, packed):
    """It counted, since nobody wrote to the file any more; later it is another line."""
    place.put("a", _line(1) + _HALF)
    place.put("z", _line(9))
    place.check()
    place.check(_DAYS)
    place.add("a", b", and its rest\n" + _line(2))
    if packed:
        place.compress("a")
    place.check()
    place.add("z", _line(10))
    place.check(_DAYS)


def test_a_last_line_without_end_that_is_touched(place):
    """It counted already: nothing waits for its rest."""
    path = place.put("a", _line(1) + _HALF)
    place.put("z", _line(9))
    place.check()
    os.utime(path)
    place.check()


def test_overlong_lines(place):
    """Lines that are cut off are known by all of their bytes."""
    place.put("a", _line(1) + _line(2, "y" * (6 << 20)))
    place.put("z", _line(9))
    place.check()
    place.add("a", _line(3))
    assert place.check().account.read_bytes < 100_000
    place.add("a", _line(4, "y" * (3 << 20)) + _line(5))
    place.check(split_bytes=1 << 20)
    place.compress("a")
    done = place.check()
    assert done.account.reused_files == 2
    place.put("b", _line(1) + _line(2, "y" * (6 << 20) + "z"))
    place.check()


def test_a_length_on_a_border_is_no_identity(place):
    """Of what ends with a step of the chain the step itself is compared."""
    begin = _lines(0, 200)
    pad = (1 << 16) - len(begin) - 1
    place.put("a", begin + b"x" * pad + b"\n")
    n = place.count()
    place.put("a", begin + b"y" * pad + b"\n" + _line(4))
    assert place.count() == 2 * n + 1


@pytest.mark.parametrize("n", [1, 9])
def test_an_inode_with_another_content(place, n):
    """Truncated and written anew, shorter or longer."""
    place.put("a", _line(1) * 3)
    assert place.count() == 3
    place.put("a", _line(2) * n)
    assert place.count() == 3 + n


def test_only_reading_sees_what_hints_hide(place):
    """Another content, with the name, size, time and inode of the old one."""
    path = place.put("a", _line(1) * 3)
    place.run()
    time = path.stat().st_mtime_ns
    with path.open("r+b") as file:
        file.write(_line(2) * 3)
    os.utime(path, ns=(time, time))
    assert place.count() == 3
    assert place.count(verify_content=True) == 6


def test_names_that_are_no_text(place):
    """And files without a byte."""
    for name in (os.fsdecode(b"x\xff.log"), "z"):
        place.put(name, _line(len(name)))
    place.put("empty", b"")
    place.check()
    assert place.check().account.read_bytes == 0


_DATED = (
    b"Jan  3 00:00:01 mx postfix/cleanup[1]: ABCDEF012: message-id=<20080103000001.ABCDEF012@mx>\n"
)


@pytest.mark.parametrize("year", [None, 2008])
def test_the_years_of_late_files(place, year):
    """They are told by newer files of the set, though nothing of these is read."""
    place.put("maillog", _DATED)
    place.run(year=year)
    place.put("maillog.1", b"Dec  3 00:00:01 mx a: x\n")
    done = place.check(year=year)
    assert {str(row["day"])[:4] for row in done.results["v"].to_pylist()} == {"2007", "2008"}


_REPEATED = b"Jan  1 00:00:01 mx last message repeated 3 times\n"


def test_repeats_are_expanded_from_the_begin(place):
    """Of two questions, one about lines as they are and one about those they stand for."""
    place.put("a", b"Jan  1 00:00:00 mx a: x\n" + _REPEATED)
    for k in range(3):
        place.check(expand_repeats=True)
        if k != 1:
            place.check()
        place.add("a", _REPEATED)
    place.check()
    place.check(expand_repeats=True)


def test_copies_on_purpose_are_refused(place):
    """A copy can't be told from a new name."""
    place.put("a", _line(1))
    with pytest.raises(UsageError, match="leave --duplicates all out"):
        place.run(count_duplicates=True)


# Damage.


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_object_leaves_a_hole(place, packed, which):
    """Only the hole is filled: what stands beside it counts once."""
    seen: list[Path] = []
    made = []
    for k in range(3):
        place.add("a", _lines(10 * k, 10 * k + 3 + k))
        place.run()
        made += [path for path in place.parts() if path not in seen]
        seen = place.parts()
    if packed:
        place.compress("a")
    made[which].write_bytes(b"x")
    place.check()
    place.check()


def test_damage_of_another_question_stops_nobody(place):
    """Neither a run that merges objects, nor the command; who asks has it made again."""
    for k in range(3):
        place.add("a", _line(k))
        place.run(_DAYS)
    place.parts()[0].write_bytes(b"x")
    for k in range(3, 20):
        place.add("a", _line(k))
        place.run()
    place.check(_DAYS)


def test_a_store_that_fails_loses_nothing(place, monkeypatch):
    """What can't be read now is not what is damaged: its source may be gone."""
    path = place.put("a", _line(1) * 3)
    place.run()
    path.unlink()
    place.put("b", _line(2))

    with monkeypatch.context() as patch:
        patch.setattr(Objects, "get", _failing(Objects.get))
        with pytest.raises(StateError, match="Input/output error"):
            place.run()
    assert place.count() == 4


def _failing(get):
    def fail(self, name):
        if name.startswith("parts/"):
            raise StateError(f"{name} can't be read: Input/output error")
        return get(self, name)

    return fail


def test_damage_is_told_under_a_new_name(place):
    """Of a file that was rotated on, and of one whose content is known from elsewhere."""
    text = b"".join(_line(k, str(hash((k, k)))) for k in range(9000))
    packed = gzip.compress(text)
    place.put("a.1.gz", packed[: len(packed) // 2])
    place.put("a", _line(1))
    place.check(n_damaged=1)
    (place.logs / "a.1.gz").rename(place.logs / "a.2.gz")
    for verify in (False, True, False):
        place.check(n_damaged=1, verify_content=verify)
    place.put("a.2", text)
    place.check(n_damaged=1)


# Races: what changes between planning and reading.


@pytest.fixture
def meanwhile(monkeypatch):
    """Do something once, when all is planned and nothing read."""

    def plan(what):
        real = state_run._from_begin

        def changed(*arguments):
            monkeypatch.undo()
            what()
            return real(*arguments)

        monkeypatch.setattr(state_run, "_from_begin", changed)

    return plan


@pytest.mark.parametrize("known", [False, True])
def test_a_file_vanishes(place, meanwhile, known):
    """It is named, and read when it is there again."""
    path = place.put("a", _line(1))
    place.put("b", _lines(2, 4))
    if known:
        place.run()
        place.add("a", _line(7))
        place.add("b", _line(8))
    meanwhile(lambda: path.rename(place.logs.parent / "a"))
    done = place.run()
    assert [damage.file for damage in done.account.damaged] == [str(path)]
    (place.logs.parent / "a").rename(path)
    place.check()


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("n_left", [0, 700, 3000])
def test_a_log_is_copied_and_truncated(place, meanwhile, known, n_left):
    """What was not read any more stands in the copy."""
    path = place.put("log", _lines(0, 50))
    if known:
        place.run()
        place.add("log", _lines(50, 90))
    copy = place.logs.parent / "log.1"

    def truncate():
        shutil.copyfile(path, copy)
        os.truncate(path, n_left)

    meanwhile(truncate)
    place.run()
    place.put("log", _line(99))
    copy.rename(place.logs / "log.1")
    place.check()
    place.check()


def test_a_log_is_written_to(place, meanwhile):
    """Half a line that came while it was read counts when it is whole."""
    place.put("log", _lines(0, 9))
    meanwhile(lambda: place.add("log", _line(9) + _HALF))
    place.run()
    place.add("log", b" is whole now\n")
    place.check()


# Old contents.


def test_what_began_in_one_month_is_forgotten_together(place):
    """Logs of five days each, read twice each; a log across the limit keeps its month only."""
    day = datetime(2024, 1, 1)
    for k in range(24):
        for i in (0, 3):
            place.add(f"l{k:02}", f"{day + timedelta(5 * k + i):%F}T00:00:00Z mx a: {k}\n".encode())
            place.run()
    ledger = Ledger(Objects(str(place.state)))
    gone, waiting = forget(ledger, datetime(2024, 4, 1))
    assert len(gone) == 12  # of January and February
    assert len(waiting) == 6  # of March, whose last log ends in April
    ledger.save()
    assert ledger.sweep()
    # They are still there, and do not come back; who goes on does.
    assert place.count() == 48 - 24
    place.add("l03", b"2024-05-01T00:00:00Z mx a: late\n")
    assert place.count() == 48 - 24 + 1
    (place.logs / "l04").rename(place.logs / "l04.old")
    assert place.count(verify_content=True) == 48 - 24 + 1


def test_a_first_run_forgets_in_months(place):
    """Many small files of a first run do not hold each other."""
    for month in range(1, 7):
        place.put(f"l{month}", f"2024-{month:02}-03T00:00:00Z mx a: x\n".encode() * 3)
    place.put("undated", b"no time at all\n")
    assert place.count() == 19
    assert place.count(retention=timedelta(100), now=datetime(2024, 7, 1)) == 9


# What partials depend on.


def _pattern(place, template):
    path = place.logs.parent / "app.toml"
    path.write_text(f'name = "app"\n[[pattern]]\nname = "one"\ntemplate = "{template}"\n')
    return FormatOptions(patterns=(str(path),))


def test_a_pattern_that_was_changed(place):
    """The question is the same, and so are its columns; what they mean is in the file."""
    place.put("app", b"2024-01-01 00:00:00 took 3 ms of 5 kB\n" * 2)
    query = "SELECT sum(n) AS s FROM app"
    for template, n in [
        ("{time:iso} took {n:int} ms{rest:rest}", 6),
        ("{time:iso} took {m:int} ms of {n:int} kB", 10),
    ]:
        done = place.check(query, formats=_pattern(place, template))
        assert done.results["v"].to_pylist() == [{"s": n}]


def test_tokens_that_keep_more(place):
    """One key; what of an address is kept is another question."""
    place.put("a", b"2024-01-01T00:00:00Z mx a: from 192.0.2.1\n")
    query = "SELECT message, count(*) AS n FROM lines GROUP BY ALL"
    for keep in ((), ("networks",), ("domains", "networks")):
        place.check(query, pseudonyms=Pseudonyms(b"k" * 32, frozenset(keep)))


def test_a_python_job(place):
    """By its path, and known by its text; a session may end in another run than it began."""
    job = find_job(str(_ROOT / "jobs/sessions.py"))
    line = "2024-01-01T00:00:{:02}Z mx postfix/smtpd[7]: {} from c.example[192.0.2.1]\n"
    for k in range(6):
        place.add("a", line.format(5 * k, "disconnect" if k % 2 else "connect").encode())
        given = Settings(scheduler="inline", state=str(place.state))
        done = run_incrementally([job], [str(place.logs)], given)
        whole = run_jobs([job], [str(place.logs)], Settings(scheduler="inline"))
        assert done.results["sessions"].to_pylist() == whole.results["sessions"].to_pylist()
    assert [row["sessions"] for row in done.results["sessions"].to_pylist()] == [3]
    assert run_incrementally([job], [str(place.logs)], given).account.read_bytes == 0


def test_a_state_that_is_not_there(place, sawlog):
    """A name that was mistyped is none that is whole."""
    for action in ("show", "verify", "compact", "forget"):
        ran = sawlog("state", action, "--before", "2024-01-01", "--state", place.state)
        assert (ran.code, "there is no state" in ran.err) == (1, True)
    assert not place.state.exists()
