"""An archive in envelopes gives the answers of the bare one: counts, traces, extracts."""

from __future__ import annotations

import gzip
import json
import re

import pytest

from pipeline import envelopes
from tests.support.enveloped import wrap
from tests.support.oracle import parse


@pytest.fixture(scope="module")
def bare(demo, tmp_path_factory):
    """Some thousand lines of the demo archive, in plain ASCII, all with a head."""
    lines = gzip.decompress((demo / "maillog.2.gz").read_bytes()).split(b"\n")
    kept = [line for line in lines[-3000:] if line.isascii() and parse(line, 2007).host]
    path = tmp_path_factory.mktemp("envelopes") / "bare.log"
    path.write_bytes(b"\n".join(kept) + b"\n")
    return path


@pytest.fixture(scope="module")
def known():
    """What the bare archive gave, by what was asked: the same for every envelope."""
    return {}


_QUESTIONS = (
    ("sql", "SELECT day, process, count(*) AS lines FROM lines GROUP BY ALL"),
    ("retries",),
    ("sql", "SELECT * FROM messages"),
)


@pytest.mark.parametrize("name", [*envelopes.NAMES, "docker in parts"])
def test_an_archive_in_an_envelope_gives_the_same(name, bare, known, sawlog, tmp_path):
    """volume's lines, retries and messages are those of the bare archive, the account the file's."""
    lines = bare.read_bytes().splitlines()
    text = b"".join(wrap(name, line) for line in lines)
    log, account = tmp_path / "wrapped.log", tmp_path / "account.json"
    log.write_bytes(text)
    options = ("--year", "2007", "--to", "csv", "-q")

    for question in _QUESTIONS:
        if question not in known:
            known[question] = sawlog(*question, bare, *options)
        expected = known[question]
        ran = sawlog(*question, log, *options, "--account", account, "--split-size", "100kB")
        assert (0, expected.out) == (ran.code, ran.out), expected.err + ran.err
        assert len(expected.out.splitlines()) > 5
    told = json.loads(account.read_text())
    n = len(lines) * (2 if name in ("cri", "docker in parts") else 1)
    assert (n, n, 0) == (told["lines"], told["dated_lines"], told["undated_lines"])
    assert len(text) == told["plain_bytes"] == told["read_bytes"]
    kind = "docker" if name == "docker in parts" else name
    assert [{"file": str(log), "envelope": kind, "lines": n, "not_peeled": 0}] == told["peeled"]


@pytest.mark.parametrize("name", [*envelopes.NAMES, "docker in parts"])
def test_a_message_is_traced_through_its_envelopes(name, bare, known, sawlog, tmp_path):
    """Its lines are those of the bare archive, and so are their numbers where each is one line."""
    lines = bare.read_bytes().splitlines()
    log, account = tmp_path / "wrapped.log", tmp_path / "account.json"
    log.write_bytes(b"".join(wrap(name, line) for line in lines))
    (parent,) = re.findall(rb": ([0-9A-F]+): sender non-delivery", bare.read_bytes())[:1]
    options = ("--year", "2007", "--to", "json", "-q", "--account", account)

    if "trace" not in known:
        (known["trace"],) = json.loads(sawlog("trace", parent.decode(), bare, *options).out)
    expected = known["trace"]
    (story,) = json.loads(sawlog("trace", parent.decode(), log, *options).out)

    told = json.loads(account.read_text())
    assert len(lines) * (2 if name in ("cri", "docker in parts") else 1) == told["lines"]
    assert told["lines"] == told["dated_lines"]
    assert len(expected["messages"]) > 1
    assert expected["messages"] == story["messages"]
    assert len(story["lines"]) == len(expected["lines"])
    for one, other in zip(expected["lines"], story["lines"], strict=True):
        n_parts = 2 if name in ("cri", "docker in parts") else 1
        assert n_parts * (one["line"] - 1) + 1 == other["line"]
        assert one["text"].partition(": ")[2] == other["text"].partition(": ")[2]


@pytest.mark.parametrize("name", [*envelopes.NAMES, "docker in parts"])
def test_extract_sorts_envelopes_as_they_stand_by_what_is_inside(name, bare, sawlog, tmp_path):
    """Every byte is in some file, in each as many lines as of the bare archive.

    A part of a line is a line there, and stands where its own text says. What is no text of lines
    is refused.
    """
    log = tmp_path / "wrapped.log"
    log.write_bytes(b"".join(wrap(name, line) for line in bare.read_bytes().splitlines()))
    options = ("--year", "2007", "--compress", "none", "--split-size", "100kB", "-q", "--to", "csv")

    sawlog("extract", bare, "-d", tmp_path / "bare", *options)
    ran = sawlog("extract", log, "-d", tmp_path / "out", *options)
    as_it_stands = sawlog("extract", log, "-d", tmp_path / "whole", "--by", "none", *options)

    assert as_it_stands.code == 0, as_it_stands.err
    assert log.read_bytes() == (tmp_path / "whole" / "wrapped.log").read_bytes()
    if name in ("octet-counting", "journal-export"):
        assert ran.code == 2
        assert "--by none" in ran.err
        assert not (tmp_path / "out").exists()
        return
    assert ran.code == 0, ran.err
    files = [path for path in sorted((tmp_path / "out").rglob("*")) if path.is_file()]
    lines = [line for path in files for line in path.read_bytes().splitlines()]
    assert sorted(log.read_bytes().splitlines()) == sorted(lines)
    for path in files:
        of_path = path.read_bytes().splitlines()
        rest = iter(log.read_bytes().splitlines())
        assert all(line in rest for line in of_path)
        if name in ("cri", "docker in parts"):
            continue
        other = (tmp_path / "bare" / path.relative_to(tmp_path / "out")).read_bytes().splitlines()
        assert len(other) == len(of_path)


@pytest.mark.parametrize("name", ["docker", "cri", "cloudwatch"])
@pytest.mark.parametrize("n_bytes", [1_100_000, 2_200_000, 3_000_000, 9_000_000])
def test_an_envelope_of_any_length_ends(name, n_bytes, bare, sawlog, tmp_path):
    """The lines around it count as they would, and it is a line."""
    lines = bare.read_bytes().splitlines()[:50]
    log = tmp_path / "wrapped.log"
    around = b"".join(wrap(name, line) for line in lines)
    log.write_bytes(around + wrap(name, lines[0] + b"x" * n_bytes) + around)

    for command in (("volume",), ("extract", "-d", tmp_path / "out")):
        account = tmp_path / "account.json"
        ran = sawlog(*command, log, "--year", "2007", "--account", account, "-q")
        assert ran.code == 0, ran.err
        told = json.loads(account.read_text())
        text = log.read_bytes()
        assert (text.count(b"\n"), len(text)) == (told["lines"], told["plain_bytes"])
