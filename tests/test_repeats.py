"""``--expand-repeats``: a line that says how often stands for so many lines."""

from __future__ import annotations

import gzip
import json
import re
import tomllib
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import repeats
from pipeline.model import Block
from pipeline.repeats import Expander
from pipeline.scan import LineScanner
from pipeline.yearless import year_table
from tests.support.oracle import split_lines
from tests.support.strategies import hostile_text

_CASES = tomllib.loads(
    (Path(__file__).parent / "cases" / "repeats" / "forms.toml").read_text(encoding="utf-8")
)["case"]
_YEARS = year_table(datetime(2008, 6, 1))


class _Buffers:
    """Counts what comes back."""

    def __init__(self) -> None:
        self.given_back: list[object] = []

    def give_back(self, buffer) -> None:
        self.given_back.append(buffer)


def _expand(texts, expander=None):
    blocks = [Block(bytearray(text), len(text), 0) for text in texts]
    buffers = _Buffers()
    expander = expander or Expander(_YEARS)
    out = b"".join(
        bytes(block.buffer[: block.stop]) for block in expander.expand(iter(blocks), buffers)
    )
    assert [id(block.buffer) for block in blocks] == [id(b) for b in buffers.given_back]
    return out, expander


def _counts(text, expander=None):
    scanner = LineScanner(frozenset({"bytes"}))
    scanner.begin_file("x", _YEARS)
    for _ in scanner.scan(Block(bytearray(text), len(text), 0)):
        pass
    counts = scanner.counts()
    if expander is not None:
        expander.correct(counts)
    return counts.lines, counts.dated, counts.yearless, counts.plain_bytes


def _slowly(lines):
    """The oracle, for lines of one dialect: what each line stands for, line by line."""
    before: dict[bytes, bytes] = {}
    for line in lines:
        stamp, host, text = line[:15], *line[16:].split(b" ", 1)
        last = re.match(rb"last message repeated (\d+) times", text)
        brackets = re.match(rb"(\S+: )message repeated (\d+) times: \[ (.*)\]$", text)
        if last and host in before and int(last[1]):
            yield from [stamp + before[host]] * int(last[1])
        elif brackets and int(brackets[2]):
            before[host] = b" " + host + b" " + brackets[1] + brackets[3]
            yield from [stamp + before[host]] * int(brackets[2])
        else:
            if not last:
                before[host] = line[15:]
            yield line


@st.composite
def _logs(draw):
    """Lines of few hosts, many of them repeats, and places to cut them into blocks."""
    texts = st.sampled_from(
        ["a[1]: x", "last message repeated %d times", "last message repeated %d times", "b: y",
         "a[1]: message repeated %d times: [ z]", "-- MARK --"]
    )  # fmt: skip
    lines = []
    for second in range(draw(st.integers(1, 12))):
        text = draw(texts)
        text = text % draw(st.integers(0, 3)) if "%" in text else text
        lines.append(f"Dec  9 04:02:{second:02} {draw(st.sampled_from('mn'))} {text}".encode())
    cuts = sorted(draw(st.sets(st.integers(0, len(lines)), max_size=3)))
    return lines, [0, *cuts, len(lines)]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case["note"])
def test_each_form_stands_for_the_lines_of_the_case(case):
    """All forms of DESIGN, rule 5, with what they repeat; and what stays as written."""
    log = case["log"].lstrip("\n").encode()

    expanded, expander = _expand([log])

    assert case["lines"].lstrip("\n") == expanded.decode()
    assert _counts(log) == _counts(expanded, expander)


@given(_logs(), st.sampled_from([1, 2, 1 << 17]), st.booleans())
def test_blocks_may_end_anywhere(log, rows, has_end):
    """However the lines are cut into blocks and batches, they stand for what the oracle says."""
    lines, cuts = log
    whole = b"\n".join(lines) + b"\n" * has_end
    parts = split_lines(whole)
    texts = [b"".join(parts[a:b]) for a, b in pairwise(cuts) if a < b]
    kept = repeats._ROWS
    repeats._ROWS = rows
    try:
        expanded, expander = _expand(texts)
    finally:
        repeats._ROWS = kept

    assert list(_slowly(lines)) == expanded.removesuffix(b"\n").split(b"\n")
    assert _counts(whole) == _counts(expanded, expander)


@given(hostile_text())
def test_hostile_text_keeps_the_account(text):
    """Whatever stands in a log, the counts stay those of the file as it is."""
    if not text:
        return
    expanded, expander = _expand([text])

    assert _counts(text) == _counts(expanded, expander)


def test_a_hostile_count_is_cut_in_pieces_that_fit():
    """A line can't blow a run up: its lines are limited, handed on in blocks, and it is told of."""
    log = b"Dec  9 04:02:11 mx a: x\nDec  9 04:02:12 mx last message repeated 999999999999 times\n"
    blocks = list(
        (expander := Expander(_YEARS)).expand(
            iter([Block(bytearray(log), len(log), 0)]), _Buffers()
        )
    )

    assert repeats.MAX_REPEATS + 1 == sum(
        block.buffer[: block.stop].count(b"\n") for block in blocks
    )
    assert (1, 999_999_999_999) == (expander.n_cut, expander.most)


def test_a_long_line_is_repeated_up_to_a_limit_of_bytes(monkeypatch):
    """A few long lines can't fill the disk of a sort, either."""
    monkeypatch.setattr(repeats, "MAX_BYTES", 10_000)
    line = b"Dec  9 04:02:11 mx a: " + b"x" * 977 + b"\n"

    expanded, _ = _expand([line + b"Dec  9 04:02:12 mx last message repeated 5000 times\n"])

    assert 11 == expanded.count(b"\n")


def test_all_relations_see_the_lines_and_the_account_the_file(sawlog, tmp_path):
    """A file of several splits is one; lines and mail count N, the account what is written."""
    line = "Dec  9 04:02:11 mx postfix/smtp[9]: 4A1B2C3D: to=<a@b.example>, relay=none, delay=1, status=deferred (t)\n"
    text = (
        line
        + line.replace("9 04", "9 05") * 99
        + "Dec  9 06:00:00 mx last message repeated 7 times\n"
    )
    text += "Dec  9 06:00:01 mx postfix/smtp[9]: message repeated 2 times: [ 4A1B2C3D: to=<a@b.example>, relay=none, delay=1, status=deferred (t)]\n"
    plain, packed = tmp_path / "mail.log", tmp_path / "mail.log.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    account = tmp_path / "account.json"

    def ask(query, source, *more):
        ran = sawlog(
            "sql",
            query,
            source,
            "--year",
            "2007",
            "--to",
            "values",
            "-q",
            "--account",
            account,
            *more,
        )
        assert (ran.code, ran.err) == (0, "")
        return ran.out.split()

    for source in (plain, packed):
        for more in ((), ("--split-size", "500")):
            asked = "--expand-repeats", *more
            assert ["109,0"] == ask(
                "SELECT count(*), count(*) FILTER (WHERE contains(message, 'repeated')) FROM lines",
                source,
                *asked,
            )
            assert ["109"] == ask(
                "SELECT count(*) FROM mail WHERE event = 'delivery'", source, *asked
            )
            told = json.loads(account.read_text())
            assert (102, 102, len(text)) == (
                told["lines"],
                told["dated_lines"],
                told["plain_bytes"],
            )
            assert ["109"] == ask("SELECT attempts FROM deliveries", source, *asked)
        assert ["102"] == ask("SELECT count(*) FROM lines", source)


def test_the_run_tells_of_cut_counts_and_the_plan_of_whole_files(sawlog, tmp_path):
    """The warning names file and count; the plan says why a file is one split."""
    log = tmp_path / "mail.log"
    log.write_text(
        "Dec  9 04:02:11 mx a: x\nDec  9 04:02:12 mx last message repeated 999999999 times\n" * 9
    )

    ran = sawlog("volume", log, "--expand-repeats", "--year", "2007", "-q")
    plan = sawlog("plan", "volume", log, "--expand-repeats", "--split-size", "100", "--to", "csv")
    both = sawlog("sql", 'SELECT "offset" FROM lines', log, "--expand-repeats")

    assert 0 == ran.code
    assert f"{log}: 9 lines say that a message was repeated 999,999,999 times at most" in ran.err
    assert ",1,repeats are expanded" in plan.out
    assert 2 == both.code
    assert "--expand-repeats" in both.err
