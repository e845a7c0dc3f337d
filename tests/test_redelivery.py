"""``--repeats``: lines that came before in their file are counted, or left out."""

from __future__ import annotations

import gzip
import json
import tomllib
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import redelivery
from pipeline.envelopes import read_envelope
from pipeline.kernels import seen
from pipeline.model import MAX_LINE_BYTES, Block
from pipeline.peel import Peeler
from pipeline.read import Unowned
from pipeline.redelivery import RepeatFinder
from pipeline.scan import LineCounts, LineScanner
from pipeline.yearless import year_table
from tests.support.kernels import reference
from tests.support.oracle import parse
from tests.support.strategies import hostile_text

_CASES = tomllib.loads(
    (Path(__file__).parent / "cases" / "redelivery" / "forms.toml").read_text(encoding="utf-8")
)["case"]
_YEARS = year_table(datetime(2008, 6, 1))


def _find(texts, *, leaves_out=True, extra=0):
    """Return what is left of some blocks of a file, and the finder."""
    finder = RepeatFinder(_YEARS, leaves_out=leaves_out)
    blocks = [Block(bytearray(text), len(text), 0) for text in texts]
    if extra:
        blocks[-1].extra_bytes = extra
    out = b"".join(bytes(one.buffer[: one.stop]) for one in finder.find(iter(blocks)))
    return out, finder


def _counts(text, finder=None) -> LineCounts:
    scanner = LineScanner(frozenset({"bytes"}))
    scanner.begin_file("x", _YEARS)
    for _ in scanner.scan(Block(bytearray(text), len(text), 0)):
        pass
    counts = scanner.counts()
    if finder is not None:
        finder.correct(counts)
    return counts


def _law(counts):
    return counts.lines, counts.dated, counts.yearless, counts.plain_bytes


def _slowly(lines, window):
    """The oracle: which lines are repeats, line by line; keys are the texts themselves."""
    latest: dict[tuple[bytes, ...], int] = {}
    key: tuple[bytes, ...] = ()
    for at, line in enumerate(lines):
        text = line.removesuffix(b"\n")
        if parse(line, 2007).time is not None:
            key = (text,)
        elif key:
            key = (*key, text)
        yield bool(key) and key in latest and at - latest[key] <= window
        if key:
            latest[key] = at


_LINES = st.sampled_from(
    [b"Dec  9 04:02:1%d m a: x\n" % k for k in range(5)]
    + [b"  at one\n", b"\n", b"\r\n", b"Dec  9 04:02:11 m a: x\r\n", b"<9>Dec  9 04:02:11 m a: x\n"]
)


@st.composite
def _cut_logs(draw):
    """Few lines that come again and again, and places to cut them into blocks."""
    lines = draw(st.lists(_LINES, min_size=1, max_size=40))
    if draw(st.booleans()):
        lines[-1] = lines[-1].removesuffix(b"\n") or b"x"
    cuts = sorted(draw(st.sets(st.integers(0, len(lines)), max_size=3)))
    return lines, [0, *cuts, len(lines)]


@pytest.fixture
def small(monkeypatch):
    """Set the size of the window and of the batches of rows."""

    def shrink(window, rows):
        monkeypatch.setattr(redelivery, "WINDOW", window)
        monkeypatch.setattr(redelivery, "_ROWS", rows)

    return shrink


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case["note"])
def test_each_form_leaves_the_lines_of_the_case(case):
    """What is a repeat and what is none; the counts stay those of the file."""
    log = case["log"].removeprefix("\n").encode()

    left, finder = _find([log])
    counts = _counts(left, finder)

    assert case["lines"].removeprefix("\n") == left.decode()
    assert _law(_counts(log)) == _law(counts)
    assert log.count(b"\n") - left.count(b"\n") == counts.repeated


@pytest.mark.parametrize("rows", [1, 2, 1 << 17])
@pytest.mark.parametrize("window", [2, 8, 1 << 10])
def test_blocks_may_end_anywhere(small, window, rows):
    """However lines lie in blocks and batches, repeats are what the oracle says: within a window."""
    small(window, rows)

    @settings(max_examples=60)
    @given(_cut_logs())
    def check(log):
        lines, cuts = log
        whole = b"".join(lines)
        repeats = list(_slowly(lines, window))
        texts = [b"".join(lines[a:b]) for a, b in pairwise(cuts) if a < b]

        left, finder = _find(texts)
        counted, watcher = _find(texts, leaves_out=False)

        kept = [line for line, is_one in zip(lines, repeats, strict=True) if not is_one]
        assert b"".join(kept) == left
        assert whole == counted
        for text, one in ((left, finder), (counted, watcher)):
            counts = _counts(text, one)
            assert _law(_counts(whole)) == _law(counts)
            assert sum(repeats) == counts.repeated

    check()


@given(data=st.data(), n=st.integers(5, 120), n_batches=st.integers(1, 4))
def test_batches_that_come_again_leave_no_trace(data, n, n_batches):
    """Of lines that all differ, batches with any cuts are put in again, anywhere behind them."""
    lines = [b"Dec  9 04:%02d:%02d m a: %d\n" % (k // 60, k % 60, k) for k in range(n)]
    log = list(lines)
    for _ in range(n_batches):
        begin = data.draw(st.integers(0, n - 1))
        stop = data.draw(st.integers(begin + 1, n))
        behind = max(k for k, line in enumerate(log) if line in lines[begin:stop]) + 1
        at = data.draw(st.integers(behind, len(log)))
        log[at:at] = lines[begin:stop]

    left, finder = _find([b"".join(log)])
    counts = _counts(left, finder)

    assert b"".join(lines) == left
    assert len(log) - n == counts.repeated


@given(hostile_text())
def test_hostile_text_keeps_the_account(text):
    """Whatever stands in a log, the counts stay those of the file as it is."""
    if not text:
        return
    left, finder = _find([text])
    first = text + b"\n" * (not text.endswith(b"\n"))
    twice, again = _find([first, text])

    assert _law(_counts(text)) == _law(_counts(left, finder))
    assert _law(_counts(first + text)) == _law(_counts(twice, again))


_OBJECTS = st.sampled_from(
    [
        '{"log":"%s","time":"2007-12-09T04:00:0%dZ"}',
        '{"log":"%s"}',
        "%s",
        '{"log":"%s","time":"12:30:00"}',
    ]
)


@given(
    lines=st.lists(
        st.tuples(_OBJECTS, st.sampled_from(["a\\n", "a", "Dec  9 04:00:00 m a: x\\n", "", "at 10:00:00\\n"]),
                  st.integers(0, 2)),
        max_size=20,
    ),
    name=st.sampled_from(["docker", "json:message=log,time=time", "json:message=log"]),
    leaves_out=st.booleans(),
)  # fmt: skip
def test_the_account_of_envelopes_is_the_same(lines, name, leaves_out):
    """Whatever stands in them, cut lines and lines without a time, too."""
    envelope = read_envelope(name)
    texts = [form % ((text, k) if "%d" in form else text) + "\n" for form, text, k in lines]
    whole = "".join(texts).encode()

    def count(finder):
        peeler, scanner = Peeler(envelope, _YEARS), LineScanner(frozenset({"bytes"}))
        scanner.begin_file("x", _YEARS)
        blocks = iter([Block(bytearray(whole), len(whole), 0)])
        for block in peeler.peel(finder.find(blocks) if finder else blocks, Unowned()):
            for _ in scanner.scan(block):
                pass
        counts = scanner.counts()
        peeler.correct(counts)
        if finder:
            finder.correct(counts)
        return counts

    found = count(RepeatFinder(_YEARS, leaves_out=leaves_out, envelope=envelope))
    expected = count(None)

    assert (expected.lines, expected.plain_bytes) == (found.lines, found.plain_bytes)
    if envelope.joins:
        assert found.dated <= found.lines  # parts of a line that were left out tell no time
    else:
        assert _law(expected) == _law(found)


def test_the_least_and_the_greatest_time_are_told():
    """Of the repeats only; another file begins anew."""
    first = b"Dec  9 04:02:11 m a: x\n"
    text = first + b"Dec  9 04:02:12 m a: x\nDec  9 04:02:13 m a: x\n"

    counts = _counts(*_find([text, text[len(first) :], first]))
    other = _counts(*_find([text]))

    times = (counts.repeated_first, counts.repeated_last)
    assert (3, 2_000_000) == (counts.repeated, times[1] - times[0])
    assert 0 == other.repeated
    assert other.repeated_first is None


def test_a_line_that_is_cut_equals_none():
    """Of an overlong line only the begin is there: what differs may stand behind it."""
    long = b"Dec  9 04:02:11 m a: ".ljust(MAX_LINE_BYTES, b"x")
    short = b"Dec  9 04:02:11 m a: x\n"
    finder = RepeatFinder(_YEARS, leaves_out=True)
    blocks = [Block(bytearray(long), len(long), 0, extra_bytes=7) for _ in range(2)]
    for _ in range(2):
        text = b"  at one\n" + short
        blocks.append(Block(bytearray(text), len(text), 0))
        blocks.append(Block(bytearray(long), len(long), 0, extra_bytes=7))

    left = b"".join(bytes(one.buffer[: one.stop]) for one in finder.find(iter(blocks)))

    assert long * 2 + text + long + b"  at one\n" + long == left


# The kernel.


def test_the_hash_is_siphash():
    """Two of the published vectors of SipHash-2-4 with 128 bits."""
    lines = seen.SeenLines(2, bytes(range(16)))
    assert "a3817f04ba25a8e66df67214c7550293" == lines.digest(b"").hex()
    assert "da87c1d86b99af44347659119b22fc45" == lines.digest(b"\0").hex()


@given(
    lines=st.lists(st.binary(max_size=20).map(lambda t: t.replace(b"\n", b"") + b"\n"), max_size=30),
    dated=st.binary(min_size=4, max_size=4),
    is_cut=st.booleans(),
    keeps=st.integers(0, 3),
)  # fmt: skip
def test_the_kernel_is_its_reference(lines, dated, is_cut, keeps):
    """Marks, copies and what is closed up are those of the uncompiled kernel."""
    lines += [*lines[:keeps], b'{"t":"10:00:00"}\n', b'{"t":"10:00:00"}\n']
    text = b"".join(lines)
    begins = memoryview(bytearray(8 * len(lines))).cast("q")
    at = 0
    for k, line in enumerate(lines):
        begins[k], at = at, at + len(line)
    dated = bytearray(dated + bytes(8))
    made = []
    for module in (seen, reference("seen")):
        found = module.SeenLines(4, b"0123456789abcdef")
        block, marks, out = bytearray(text), bytearray(len(lines)), bytearray(len(text) + 1)
        numbers = memoryview(bytearray(begins)).cast("q")
        n = found.mark(block, begins, len(lines), len(text), dated, is_cut, marks)
        end = module.copy_marked(block, begins, len(lines), len(text), marks, out)
        stop = module.close_up(block, begins, len(lines), len(text), marks, 0)
        kept = module.close_up_numbers(numbers, 0, len(lines), marks, 0)
        assert n == sum(mark != 0 for mark in marks)
        made.append((n, marks, out[:end], block[:stop], numbers[:kept].tolist()))
    assert made[1] == made[0]


# The command line.


def _log(n=400):
    """A log, and the same with batches that came again."""
    lines = [
        f"Dec  9 04:{k // 60:02}:{k % 60:02} mx postfix/smtp[9]: 4A1B2C{k:03X}: to=<a{k}@b.example>, "
        f"relay=none, delay=1, status=deferred (t)\n"
        for k in range(n)
    ]
    twice = lines[:100] + lines[50:90] + lines[100:350] + lines[200:340] + lines[350:]
    return "".join(lines), "".join(twice)


_QUESTIONS = ("SELECT count(*), sum(bytes), min(time), max(time) FROM lines",
              "SELECT count(*), count(DISTINCT recipient) FROM mail",
              "SELECT sum(attempts), count(*) FROM deliveries",
              "SELECT message FROM lines LIMIT 500")  # fmt: skip


def _ask(sawlog, query, source, *more):
    ran = sawlog("sql", query, source, "--year", "2007", "--to", "values", "-q", *more)
    assert 0 == ran.code
    assert "" == ran.err.replace(_AGAIN, "")
    return ran.out


_AGAIN = "warning: 1 known files are read once more: what is asked was not kept of them\n"


def test_once_is_as_if_each_batch_had_come_once(sawlog, tmp_path):
    """In all relations, for any split size, number of workers, executor and compression."""
    once, twice = _log()
    (tmp_path / "once.log").write_text(once)
    plain, packed = tmp_path / "twice.log", tmp_path / "twice.log.gz"
    plain.write_text(twice)
    packed.write_bytes(gzip.compress(twice.encode()))
    account = tmp_path / "account.json"
    for query in _QUESTIONS:
        expected = _ask(sawlog, query, tmp_path / "once.log")
        as_it_is = _ask(sawlog, query, plain)
        assert expected != as_it_is
        for source in (plain, packed):
            for more in (
                (),
                ("--split-size", "900"),
                ("--workers", "3"),
                ("--scheduler", "inline"),
            ):
                asked = (*more, "--account", account)
                assert expected == _ask(sawlog, query, source, "--repeats", "once", *asked)
                told = json.loads(account.read_text())
                assert (580, 580, 0, len(twice), 180) == tuple(
                    told[name]
                    for name in (
                        *("lines", "dated_lines", "undated_lines", "plain_bytes"),
                        "repeated_lines",
                    )
                )
                assert as_it_is == _ask(sawlog, query, source, "--repeats", "report", *asked)
                assert 180 == json.loads(account.read_text())["repeated_lines"]


def test_the_run_says_what_came_again(sawlog, tmp_path):
    """One line on stderr, the account, the metrics, a report and a message; else nothing."""
    log, account, metrics = (tmp_path / name for name in ("twice.log", "a.json", "m.prom"))
    log.write_text(_log()[1])
    page, letter = tmp_path / "r.html", tmp_path / "r.eml"
    files = ("-o", page, "-o", letter, "--account", account, "--metrics", metrics)

    ran = sawlog("volume", log, "--year", "2007", "--repeats", "once", *files)
    said = "180 lines repeated, left out: byte for byte as lines before them: "
    assert f"{said}{log} 180, 2007-12-09 04:00:50 to 2007-12-09 04:05:39\n" in ran.err
    assert " · 180 repeated, left out · " in ran.err
    told = json.loads(account.read_text())
    assert [
        {
            "file": str(log),
            "lines": 180,
            "counted": False,
            "first": "2007-12-09 04:00:50",
            "last": "2007-12-09 04:05:39",
        }
    ] == told["repeated"]
    assert 'sawlog_repeated_lines{sawlog_job="volume"} 180\n' in metrics.read_text()
    assert "<dt>repeated, left out</dt><dd>180</dd>" in page.read_text()
    assert "repeated, left out: 180" in letter.read_text()

    counted = sawlog("volume", log, "--year", "2007", "--repeats", "report", *files)
    assert " · 180 repeated · " in counted.err
    assert json.loads(account.read_text())["repeated"][0]["counted"]

    without = sawlog("volume", log, "--year", "2007", *files)
    assert "repeated" not in without.err + metrics.read_text()
    assert json.loads(account.read_text())["repeated_lines"] is None
    plan = sawlog("plan", "volume", log, "--repeats", "once", "--split-size", "900", "--to", "csv")
    assert ",1,repeats are looked for" in plan.out


@pytest.mark.parametrize(
    "words",
    [
        ("trace", "-e", "x", "LOG", "--repeats", "once"),
        ("extract", "LOG", "-d", "DIR", "--repeats", "report"),
        ("files", "--quick", "LOG", "--repeats", "report"),
        ("sql", 'SELECT "offset" FROM lines', "LOG", "--repeats", "once"),
    ],
    ids=lambda words: words[0],
)
def test_what_can_not_heed_it_refuses_it(sawlog, tmp_path, words):
    """Rather than answer as if nothing had been asked."""
    (tmp_path / "a.log").write_text(_log()[1])
    places = {"LOG": tmp_path / "a.log", "DIR": tmp_path / "out"}

    ran = sawlog(*(places.get(word, word) for word in words))

    assert 2 == ran.code
    assert "--repeats" in ran.err


@pytest.mark.parametrize("kind", ["docker", "cri", "octet-counting"])
def test_lines_in_envelopes_are_compared_as_the_file_has_them(sawlog, tmp_path, kind):
    """Two lines that read the same inside are two where their envelopes tell two times."""
    inner = [
        "Dec  9 04:00:00 mx cron[1]: x",
        "Dec  9 04:00:00 mx cron[1]: x",
        "Dec  9 04:00:01 mx cron[1]: y",
    ]
    stamps = [f"2007-12-09T04:00:00.{k:09}Z" for k in range(3)]
    wrapped = {
        "docker": [
            json.dumps({"log": text + "\n", "stream": "stdout", "time": stamp}) + "\n"
            for text, stamp in zip(inner, stamps, strict=True)
        ],
        "cri": [f"{stamp} stdout F {text}\n" for text, stamp in zip(inner, stamps, strict=True)],
        "octet-counting": [f"{len(text) + 4} <9>{text} " for text in inner],
    }[kind]
    log, account = tmp_path / "a.log", tmp_path / "a.json"
    log.write_text("".join(wrapped + wrapped[1:]))
    n = 2 if kind == "octet-counting" else 3  # a frame tells no time of its own

    for asked, n_counted in (("once", n), ("report", 5)):
        out = _ask(
            sawlog, "SELECT count(*), sum(bytes) FROM lines", log,
            "--envelope", kind, "--repeats", asked, "--account", account,
        )  # fmt: skip
        told = json.loads(account.read_text())
        left = wrapped[: 3 if n == 3 else 0] or [wrapped[0], wrapped[2]]
        size = sum(map(len, left)) if asked == "once" else log.stat().st_size
        assert f"{n_counted},{size}\n" == out
        assert (5, 5, log.stat().st_size, 5 - n) == tuple(
            told[name] for name in ("lines", "dated_lines", "plain_bytes", "repeated_lines")
        )
        (one,) = told["repeated"]
        assert ("2007-12-09 04:00:00", "2007-12-09 04:00:01") == (one["first"], one["last"])


def test_pieces_of_a_line_come_again_with_any_cuts(sawlog, tmp_path):
    """A batch may begin in the midst of a line that a container runtime has cut."""
    parts = [f"2007-12-09T04:00:00.{k:09}Z stdout {'F' if k == 2 else 'P'} {k} " for k in range(3)]
    text = "".join(f"{one}\n" for one in [*parts, *parts[1:]])
    (tmp_path / "a.log").write_text(text)

    out = _ask(
        sawlog, "SELECT message FROM lines", tmp_path / "a.log",
        "--envelope", "cri", "--repeats", "once",
    )  # fmt: skip

    assert ["0 1 2"] == [one.strip() for one in out.splitlines()]


def test_a_state_looks_at_all_of_a_file_that_grew(sawlog, tmp_path):
    """What was there before the last run is repeated in the next: the answer is that of one run."""
    once, twice = _log()
    log, account = tmp_path / "mail.log", tmp_path / "a.json"
    lines = twice.splitlines(keepends=True)
    asked = ("--state", tmp_path / "state", "--account", account)
    query = "SELECT hour, count(*), sum(bytes) FROM lines GROUP BY hour"
    for n in (80, 120, 130, 500, 580):
        log.write_text("".join(lines[:n]))
        alone = tmp_path / "alone.json"
        for how in ("once", "report", None):
            more = ("--repeats", how) if how else ()
            kept = _ask(sawlog, query, log, *asked, *more)
            assert kept == _ask(sawlog, query, log, "--account", alone, *more)
            mine, other = (json.loads(path.read_text()) for path in (account, alone))
            for name in ("lines", "dated_lines", "plain_bytes", "repeated_lines", "repeated"):
                assert mine[name] == other[name]
    log.rename(tmp_path / "mail.log.1")
    moved = _ask(sawlog, query, tmp_path / "mail.log.1", *asked, "--repeats", "once")
    (tmp_path / "once.log").write_text(once)
    assert moved == _ask(sawlog, query, tmp_path / "once.log")
    assert 180 == json.loads(account.read_text())["repeated_lines"]


def test_it_is_a_key_of_job_files(sawlog, tmp_path):
    """As every option."""
    (tmp_path / "a.log").write_text(_log()[1])
    job = tmp_path / "mail.toml"
    job.write_text(
        f'jobs = "volume"\nsources = "{tmp_path / "a.log"}"\nrepeats = "once"\nyear = 2007\nto = "values"\n'
    )

    ran = sawlog("run", job)

    assert 0 == ran.code
    assert ran.out.startswith("2007-12-09,postfix/smtp,400,")
    job.write_text(job.read_text().replace("once", "twice"))
    assert 2 == sawlog("run", job).code


def test_pseudonyms_hide_the_files_that_have_repeats(sawlog, tmp_path):
    """Times and counts stay."""
    log, key, account = tmp_path / "a@b.example.log", tmp_path / "key", tmp_path / "a.json"
    log.write_text(_log()[1])
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)

    sawlog(
        "volume",
        log,
        "--pseudonymise",
        key,
        "--repeats",
        "once",
        "--account",
        account,
        "--year",
        "2007",
    )

    (one,) = json.loads(account.read_text())["repeated"]
    assert "b.example" not in one["file"]
    assert ("2007-12-09 04:00:50", 180) == (one["first"], one["lines"])


def test_repeats_are_left_out_before_they_are_expanded(sawlog, tmp_path):
    """A line that stands for three came twice: it stands for three."""
    lines = "Dec  9 04:02:11 mx a: x\nDec  9 04:02:12 mx last message repeated 3 times\n"
    (tmp_path / "a.log").write_text(lines * 2)
    asked = ("--expand-repeats", "--repeats", "once", "--account", tmp_path / "a.json")

    assert "4\n" == _ask(sawlog, "SELECT count(*) FROM lines", tmp_path / "a.log", *asked)
    told = json.loads((tmp_path / "a.json").read_text())
    assert (4, 2, 2 * len(lines)) == (told["lines"], told["repeated_lines"], told["plain_bytes"])
