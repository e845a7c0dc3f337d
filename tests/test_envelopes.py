"""Envelopes: the inner lines are those that were put in, the account is that of the file."""

from __future__ import annotations

import gzip
import json
import re
import struct
import tomllib
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import envelopes, peel
from pipeline.kernels import inner as compiled
from pipeline.model import Block
from pipeline.peel import Peeler, peel_text
from pipeline.read import Unowned
from pipeline.scan import LineScanner
from pipeline.yearless import year_table
from tests.support.kernels import is_compiled, reference
from tests.support.oracle import parse, split_lines

_CASES = tomllib.loads(
    (Path(__file__).parent / "cases" / "envelopes" / "forms.toml").read_text(encoding="utf-8")
)["case"]
_NOW = datetime(2008, 6, 1)
_YEARS = year_table(_NOW)
_TIME = "2007-12-09T04:02:11.123456789Z"
_US = 1197172931123456


def _peel(envelope, texts):
    """Return the inner text, what each line takes in the file, and the peeler."""
    peeler = Peeler(envelope, _YEARS)
    blocks, offset = [], 0
    for text in texts:
        blocks.append(Block(bytearray(text), len(text), offset))
        offset += len(text)
    out, sizes, offsets = b"", [], []
    for block in peeler.peel(iter(blocks), Unowned()):
        piece = bytes(block.buffer[: block.stop])
        out += piece
        n = piece.count(b"\n")
        sizes += block.outer.bytes[:n]
        offsets += block.outer.offset[:n]
    return out, sizes, offsets, peeler


def _count(out, peeler):
    """Return the counts that a run would give."""
    scanner = LineScanner(frozenset())
    scanner.begin_file("x", _YEARS)
    list(scanner.scan(Block(bytearray(out), len(out), 0)))
    counts = scanner.counts()
    peeler.correct(counts)
    return counts


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case["note"])
def test_each_form_gives_the_lines_of_the_case(case):
    """Every envelope with what it may hold, and what stays as it stands."""
    log = case["log"].removeprefix("\n").encode()

    out, sizes, _, peeler = _peel(envelopes.read_envelope(case["envelope"]), [log])

    lines = case["lines"].removeprefix("\n").replace("␍", "\r")
    assert lines == out.decode("utf-8", "replace")
    assert len(log) == sum(sizes)
    if peeler._envelope.is_lined:
        assert (
            log.count(b"\n") == peeler.n_peeled + peeler.n_not_peeled == _count(out, peeler).lines
        )


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case["note"])
def test_heads_tell_the_envelope(case):
    """What is asked for by name in a case is found by itself, where most lines have it."""
    log = case["log"].removeprefix("\n").encode()
    found = envelopes.find_envelope(log, "auto")

    if case["envelope"].startswith("json:") or "stays as it" in case["note"]:
        return
    assert found is not None
    assert case["envelope"] == found.envelope.name


@pytest.mark.parametrize(
    "line",
    [
        "Dec  9 04:02:11 mx postfix/smtpd[81]: connect",
        "2007-12-09T04:02:11Z mx postfix/smtpd[81]: connect",
        "<34>1 2003-10-11T22:14:15.003Z mx su - ID47 - failed",
        '{"level":"info","msg":"started","ts":1197172931}',
        '{"log":{"level":"info"},"time":"2007-12-09T04:02:11Z"}',
        "{",
        "[1,2]",
        "\t\t{}",
        "",
        "12 monkeys",
        "\x00\xff",
    ],
)
def test_what_is_in_no_envelope_is_left_alone(line):
    """Bare logs, JSON of an unknown shape, and rubbish."""
    assert envelopes.find_envelope(f"{line}\n".encode("latin-1") * 3, "auto") is None


# The text of lines: what JSON must escape, what is no character, and what forges.
_texts = st.text(
    st.sampled_from('ab\\"/{}[]:,n\t\n\r\0 \u00e4\u2028\ufffd\U0001f600\x7f\x1b0'), max_size=20
)


def _expected(text):
    """Return an inner line as it must be read: its last line end off, others visible."""
    return text.removesuffix("\n").replace("\n", "#012")


@given(st.lists(_texts, max_size=6), st.booleans(), st.data())
def test_json_gives_back_what_was_put_in(texts, is_ascii, data):
    """Whatever Python writes as JSON is read as Python reads it, wherever the keys stand."""
    lines = []
    for text in texts:
        items = [("m", text), ("x", data.draw(_values)), ("t", _TIME), ("a", {"m": "no"})]
        record = dict(data.draw(st.permutations(items)))
        lines.append(json.dumps(record, ensure_ascii=is_ascii).encode() + b"\n")
    envelope = envelopes.read_envelope("json:message=m,time=t")

    out, sizes, offsets, peeler = _peel(envelope, [b"".join(lines)])

    assert "".join(f"{_TIME} - {_expected(text)}\n" for text in texts) == out.decode()
    assert [len(line) for line in lines] == sizes
    assert [sum(map(len, lines[:k])) for k in range(len(lines))] == offsets
    assert (len(texts), 0) == (peeler.n_peeled, peeler.n_not_peeled)


_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), _texts),
    lambda inside: st.one_of(
        st.lists(inside, max_size=3), st.dictionaries(_texts, inside, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def _hostile(draw):
    """Nearly envelopes: pieces of all kinds, bytes changed, ends cut off."""
    pieces = st.sampled_from(
        [b'{"log":"', b'"', b"\\", b"\\n", b"\\u00", b"\\ud83d", b'\\ude00","', b'stream":"stderr', b",", b":", b"{", b"}", b"[", b"]",
         b'","time":"2007-12-09T04:02:11Z"}\n', b"\n", b"\n\n", b"\r", b"\0", b"\xff\xc3", b"x" * 60, b"MESSAGE=", b"MESSAGE\n", b"\3\0\0\0\0\0\0\0ab\n\n",
         b"__REALTIME_TIMESTAMP=1197172931250001\n", b"2007-12-09T04:02:11Z stdout P ", b"2007-12-09T04:02:11Z stderr F ", b"\xff" * 8, b"PRIORITY=3\n",
         b"9 <22>short", b"7 <1>", b"20 <22>Dec  9 04:02:11 ", b'{"MESSAGE":[97,10,255]}\n', b'{"MESSAGE":null}\n', b"\t", b"<13>", b"1197172931.5", b"\xef\xbb\xbf",
         b"_HOSTNAME=a b\n"]
    )  # fmt: skip
    text = bytearray(b"".join(draw(st.lists(pieces, max_size=14))))
    for _ in range(draw(st.integers(0, 2))):
        if text:
            text[draw(st.integers(0, len(text) - 1))] = draw(st.integers(0, 255))
    return bytes(text)


_ENVELOPES = [envelopes.read_envelope(name) for name in envelopes.NAMES]


@given(_hostile(), st.sampled_from(_ENVELOPES))
def test_hostile_text_keeps_the_account(text, envelope):
    """Whatever stands in a file: each byte is some line's, and lines and bytes are the file's."""
    out, sizes, offsets, peeler = _peel(envelope, [text])
    counts = _count(out, peeler)

    assert len(text) == counts.plain_bytes
    assert counts.dated <= counts.lines
    assert len(sizes) == len(offsets) == out.count(b"\n")
    if envelope.is_lined:
        assert len(split_lines(text)) == counts.lines == peeler.n_peeled + peeler.n_not_peeled
    if envelope.shape != "entries":  # empty lines behind its last entry are nobody's
        assert len(text) == sum(sizes)


@given(_hostile(), st.sampled_from(_ENVELOPES), st.sets(st.integers(1, 200), max_size=3))
def test_blocks_may_end_anywhere(text, envelope, cuts):
    """Lines in blocks that end on line ends, others in blocks that end anywhere."""
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    if envelope.is_lined:
        edges = [text.rfind(b"\n", 0, edge) + 1 if edge < len(text) else edge for edge in edges]
    texts = [text[a:b] for a, b in pairwise(edges) if a < b]

    assert _peel(envelope, [text])[:3] == _peel(envelope, texts)[:3]


_ENTRY = (
    b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1197172931250001\nMESSAGE\n\3\0\0\0\0\0\0\0a\nb\n"
    b"_COMM=su\n_HOSTNAME=mx\n\n"
)


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("journal-export", _ENTRY * 2, b"2007-12-09T04:02:11.250001Z mx su: a#012b\n" * 2),
        ("octet-counting", b"8 <22>a\nbc\n9 <22>short7 <22>end\n", b"<22>a#012bc\n<22>short\n<22>end\n"),
    ],
)  # fmt: skip
def test_what_is_no_lines_may_be_cut_anywhere(name, text, lines):
    """At every place, and into single bytes."""
    envelope = envelopes.read_envelope(name)
    whole = _peel(envelope, [text])[:3]

    assert lines == whole[0]
    for cut in range(1, len(text)):
        assert whole == _peel(envelope, [text[:cut], text[cut:]])[:3], cut
    assert whole == _peel(envelope, [text[k : k + 1] for k in range(len(text))])[:3]


def test_the_bytes_that_a_huge_line_lost_count():
    """The reader cuts lines of more than a mebibyte, and says by how much."""
    for name in ("docker", "cri"):
        peeler = Peeler(envelopes.read_envelope(name), _YEARS)
        block = Block(bytearray(b'{"log":"x'), 9, 0, extra_bytes=1000)

        (peeled,) = peeler.peel(iter([block]), Unowned())

        assert 1009 == peeled.outer.bytes[0]
        assert 1009 == _count(b'{"log":"x\n', peeler).plain_bytes


@pytest.mark.skipif(
    not is_compiled(compiled), reason="the kernels are not compiled here: nothing to compare"
)
@given(_hostile(), st.sampled_from(_ENVELOPES))
def test_compiled_equals_reference(text, envelope):
    """The kernel law."""
    known = peel._local.__dict__.pop("opener", None)
    expected = _peel(envelope, [text])
    opener = _reference_opener(envelope)
    peel._local.opener = (envelope, opener)
    try:
        found = _peel(envelope, [text])
    finally:
        peel._local.opener = known or (envelope, peel._make_opener(envelope))

    assert found[3]._opener is opener
    assert expected[:3] == found[:3]
    names = ("n_lines", "n_opened", "n_joined", "n_joined_dated", "n_outer_bytes", "n_out_bytes")
    for name in names:
        assert getattr(expected[3]._inner, name) == getattr(found[3]._inner, name)


_references: dict[str, object] = {}


def _reference_opener(envelope):
    if envelope.name not in _references:
        if envelope.shape == "json":
            kernel = reference("open_json").JsonOpener(
                envelope.mapping, envelope.joins, envelope.may_be_null, envelope.has_prefix
            )
        elif envelope.shape == "frames":
            kernel = reference("open_frames").FrameOpener()
        elif envelope.shape == "entries":
            kernel = reference("open_frames").EntryOpener(envelope.mapping)
        else:
            kernel = reference("open_text").TextOpener(envelope.shape == "cri")
        _references[envelope.name] = kernel
    return _references[envelope.name]


def _wrap(name, line):
    """Put a line of an archive into an envelope, as its author would."""
    text = line.decode("latin-1")
    row = parse(line, 2007)
    if name == "docker":
        return json.dumps({"log": text + "\n", "stream": "stdout", "time": _TIME}).encode() + b"\n"
    if name == "docker in parts":
        parts = [text[:40], text[40:] + "\n"]
        records = [{"log": part, "stream": "stdout", "time": _TIME} for part in parts]
        return b"".join(json.dumps(record).encode() + b"\n" for record in records)
    if name == "cri":
        return f"{_TIME} stdout P {text[:30]}\n{_TIME} stdout F {text[30:]}\n".encode("latin-1")
    if name == "cloudwatch":
        return f"{_TIME[:23]}Z {text}\n".encode("latin-1")
    if name == "octet-counting":
        return b"%d <22>%s" % (len(line) + 4, line)
    us = int(row.time.replace(tzinfo=UTC).timestamp()) * 1_000_000
    fields = {
        "__CURSOR": "s=1",
        "__REALTIME_TIMESTAMP": str(us),
        "PRIORITY": "6",
        "SYSLOG_FACILITY": "2",
        "_HOSTNAME": row.host.decode(),
    }
    if not row.process.startswith(b"("):  # "(no tag)" and "(mark)" are no names
        fields["SYSLOG_IDENTIFIER"] = row.process.decode()
    if row.pid is not None:
        fields["SYSLOG_PID"] = str(row.pid)
    message = row.message.decode("latin-1")
    if name == "journal-json":
        data = list(row.message) if us % 3_000_000 == 0 else message
        return json.dumps({**fields, "MESSAGE": data}).encode() + b"\n"
    if name == "journal-export":
        told = "".join(f"{key}={value}\n" for key, value in fields.items()).encode()
        if us % 3_000_000 == 0:
            return told + b"MESSAGE\n" + struct.pack("<Q", len(row.message)) + row.message + b"\n\n"
        return told + b"MESSAGE=" + row.message + b"\n\n"
    record = {
        "fluent-bit": {"date": 1197172931.5, "log": text},
        "fluentd": {"tag": "mail", "time": _TIME, "message": text},
        "vector": {"message": text, "source_type": "file", "timestamp": _TIME, "host": "node"},
        "filebeat": {"@timestamp": _TIME, "message": text, "host": {"name": "node"}},
        "cloudwatch-json": {"timestamp": _US // 1000, "message": text, "eventId": "1"},
    }[name]
    return json.dumps(record).encode() + b"\n"


@pytest.fixture(scope="module")
def bare(demo, tmp_path_factory):
    """Some thousand lines of the demo archive, in plain ASCII, all with a head."""
    lines = gzip.decompress((demo / "maillog.2.gz").read_bytes()).split(b"\n")
    kept = [line for line in lines[-3000:] if line.isascii() and parse(line, 2007).host]
    path = tmp_path_factory.mktemp("envelopes") / "bare.log"
    path.write_bytes(b"\n".join(kept) + b"\n")
    return path


_QUESTIONS = (
    ("sql", "SELECT day, process, count(*) AS lines FROM lines GROUP BY ALL"),
    ("retries",),
    ("sql", "SELECT * FROM messages"),
)


@pytest.mark.parametrize("name", [*envelopes.NAMES, "docker in parts"])
def test_an_archive_in_an_envelope_gives_the_same(name, bare, sawlog, tmp_path):
    """volume's lines, retries and messages are those of the bare archive, the account the file's."""
    lines = bare.read_bytes().splitlines()
    text = b"".join(_wrap(name, line) for line in lines)
    log, account = tmp_path / "wrapped.log", tmp_path / "account.json"
    log.write_bytes(text)
    options = ("--year", "2007", "--to", "csv", "-q")

    for question in _QUESTIONS:
        expected = sawlog(*question, bare, *options)
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
def test_a_message_is_traced_through_its_envelopes(name, bare, sawlog, tmp_path):
    """Its lines are those of the bare archive, and so are their numbers where each is one line."""
    lines = bare.read_bytes().splitlines()
    log, account = tmp_path / "wrapped.log", tmp_path / "account.json"
    log.write_bytes(b"".join(_wrap(name, line) for line in lines))
    (parent,) = re.findall(rb": ([0-9A-F]+): sender non-delivery", bare.read_bytes())[:1]
    options = ("--year", "2007", "--to", "json", "-q", "--account", account)

    (expected,) = json.loads(sawlog("trace", parent.decode(), bare, *options).out)
    (story,) = json.loads(sawlog("trace", parent.decode(), log, *options).out)

    told = json.loads(account.read_text())
    assert len(lines) * (2 if name in ("cri", "docker in parts") else 1) == told["lines"]
    assert told["lines"] == told["dated_lines"]
    assert len(expected["messages"]) > 1
    assert expected["messages"] == story["messages"]
    assert len(story["lines"]) == len(expected["lines"])
    for one, other in zip(expected["lines"], story["lines"], strict=True):
        assert one["line"] == other["line"]
        assert one["text"].partition(": ")[2] == other["text"].partition(": ")[2]


@pytest.mark.parametrize("name", [*envelopes.NAMES, "docker in parts"])
def test_extract_sorts_envelopes_as_they_stand_by_what_is_inside(name, bare, sawlog, tmp_path):
    """Every byte is in some file, as many lines in each as of the bare archive; or it is refused."""
    log = tmp_path / "wrapped.log"
    log.write_bytes(b"".join(_wrap(name, line) for line in bare.read_bytes().splitlines()))
    options = ("--year", "2007", "--compress", "none", "--split-size", "100kB", "-q", "--to", "csv")

    sawlog("extract", bare, "-d", tmp_path / "bare", *options)
    ran = sawlog("extract", log, "-d", tmp_path / "out", *options)
    as_it_stands = sawlog("extract", log, "-d", tmp_path / "whole", "--by", "none", *options)

    assert as_it_stands.code == 0, as_it_stands.err
    assert log.read_bytes() == (tmp_path / "whole" / "wrapped.log").read_bytes()
    if name in ("cri", "docker in parts", "octet-counting", "journal-export"):
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
        other = (tmp_path / "bare" / path.relative_to(tmp_path / "out")).read_bytes().splitlines()
        assert len(other) == len(of_path)
        places = {line: k for k, line in enumerate(log.read_bytes().splitlines())}
        assert sorted(of_path, key=places.__getitem__) == of_path


def test_rows_have_the_bytes_and_offsets_of_their_envelopes(sawlog, tmp_path):
    """Bytes add up to the file; an offset is where the envelope begins."""
    log = tmp_path / "app.log"
    lines = [
        json.dumps({"log": f"line {k}\n", "stream": "stdout", "time": _TIME}) + "\n"
        for k in range(99)
    ]
    log.write_text("".join(lines))

    ran = sawlog("sql", 'SELECT "offset", bytes, message FROM lines', log, "--to", "values", "-q")

    offset = 0
    for k, row in enumerate(ran.out.splitlines()):
        assert f"{offset},{len(lines[k])},{k}" == row.replace("line ", "")
        offset += len(lines[k])


def test_lines_in_no_envelope_are_named(sawlog, tmp_path):
    """They count as they stand, and the account says how many."""
    log, account = tmp_path / "app.log", tmp_path / "account.json"
    wrapped = '{"log":"a: x\\n","stream":"stdout","time":"2007-12-09T04:02:11Z"}\n'
    log.write_text(wrapped * 3 + "Dec  9 04:02:12 mx b: bare\n" + '{"log":"cut')

    ran = sawlog("volume", log, "--by", "process", "--to", "csv", "--account", account)

    assert "process,lines,bytes\na,3,195\nb,1,27\n,1,11\n" == ran.out
    assert f"{log}: 2 of its lines are in no envelope of docker" in ran.err
    assert "out of envelopes: docker" in ran.err
    told = json.loads(account.read_text())
    assert [{"file": str(log), "envelope": "docker", "lines": 3, "not_peeled": 2}] == told["peeled"]
    assert (5, 4, 1) == (told["lines"], told["dated_lines"], told["undated_lines"])


def test_the_plan_shows_the_envelope(sawlog, tmp_path):
    """With the share of the head's lines that it fits; asked for by name it is taken as it is."""
    log = tmp_path / "app.log"
    log.write_text('{"date":1197172931.5,"log":"hello"}\n' * 3 + "bare\n")

    shown = sawlog("plan", "volume", log, "--to", "csv").out
    asked = sawlog("plan", "volume", log, "--to", "csv", "--envelope", "docker").out
    none = sawlog("plan", "volume", log, "--to", "csv", "--envelope", "none").out

    assert ",fluent-bit (75% of its first lines),1," in shown
    assert ",docker (as asked),1,its envelopes" in asked
    assert ",,1," in none


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("dcoker", "Did you mean 'docker'?"),
        ("json", "json:message="),
        ("json:time=t", "message=PATH"),
        ("json:message=", "FIELD=PATH"),
        ("json:message=a,massage=b", "Did you mean 'message'?"),
        ("json:message=a,message=b", "twice"),
    ],
)
def test_a_wrong_envelope_is_refused(asked, said, sawlog, tmp_path):
    """Before anything is read, with what to write instead."""
    ran = sawlog("volume", tmp_path, "--envelope", asked)

    assert 2 == ran.code
    assert said in ran.err


def test_a_huge_line_is_cut_as_a_bare_one_is():
    """Texts beyond a mebibyte: JSON that is cut is no envelope; parts are joined up to there."""
    docker = envelopes.read_envelope("docker")
    piece = json.dumps({"log": "x" * 16384, "stream": "stdout", "time": _TIME}).encode() + b"\n"
    end = json.dumps({"log": "y\n", "stream": "stdout", "time": _TIME}).encode() + b"\n"

    out, sizes, _, peeler = _peel(docker, [piece * 100, end])

    assert f"{_TIME} - ".encode() + b"x" * (1 << 20) + b"\n" == out
    assert [100 * len(piece) + len(end)] == sizes
    assert 101 == peeler.n_peeled


def test_years_of_inner_lines_come_from_the_head_inside(sawlog, tmp_path):
    """Stamps without a year in an envelope are dated as bare ones are; the tail counts for --year."""
    log = tmp_path / "maillog"
    line = '{"log":"%s mx a: x\\n","stream":"stdout","time":"2007-12-31T04:02:11Z"}\n'
    log.write_text(line % "Dec 31 23:00:00" + line % "Jan  1 00:00:00")

    ran = sawlog("volume", log, "--by", "day", "--to", "csv", "--year", "2008", "-q")

    assert ["2007-12-31", "2008-01-01"] == [row.split(",")[0] for row in ran.out.splitlines()[1:]]


def test_the_time_of_envelopes_tells_the_year(sawlog, tmp_path):
    """Where the inner lines don't, as those of Docker that carry a stamp without one."""
    log, account = tmp_path / "maillog", tmp_path / "account.json"
    line = (
        '{"log":"Dec 31 %02d:00:00 mx a: x\\n","stream":"stdout","time":"2009-12-31T23:00:01Z"}\n'
    )
    log.write_text("".join(line % hour for hour in range(9)))

    ran = sawlog("volume", log, "--by", "day", "--to", "values", "-q", "--account", account)

    assert "2009-12-31,9," in ran.out
    told = json.loads(account.read_text())
    assert [("envelope", 2009)] == [(one["evidence"], one["first"]) for one in told["years"]]


def test_an_export_of_a_journal_found_in_a_folder_is_read(sawlog, tmp_path):
    """Lengths in binary don't make it a binary file."""
    entry = b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=%d\nMESSAGE\n\3\0\0\0\0\0\0\0a\nb\n\n" % _US
    (tmp_path / "journal.export").write_bytes(entry * 3)

    ran = sawlog("sql", "SELECT message FROM lines", tmp_path, "--to", "values", "-q")

    assert "a#012b\n" * 3 == ran.out


def test_damage_inside_an_entry_leaves_the_whole_ones(sawlog, tmp_path):
    """A cut gzip file of entries: those before count, the damage is named."""
    entry = b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=%d\nMESSAGE=hello\n\n"
    text = b"".join(entry % (_US + k * 10_000_019) for k in range(3000))
    log = tmp_path / "journal.export.gz"
    log.write_bytes(gzip.compress(text)[:9000])

    ran = sawlog("sql", "SELECT count(*) FROM lines WHERE message = 'hello'", log, "--to", "values")

    assert 3 == ran.code
    assert 500 < int(ran.out) < 3000


def test_peeling_a_tail_drops_nothing():
    """A tail that begins in the middle of a line."""
    text = b'ut","time":"x"}\n{"log":"Dec  9 04:02:11 mx a: b\\n","stream":"stdout","time":"x"}\n'

    inner = peel_text(envelopes.read_envelope("docker"), text, _NOW)

    assert b'ut","time":"x"}\nDec  9 04:02:11 mx a: b\n' == inner
