"""Whatever stands in a file and wherever blocks end: lines come out of envelopes whole."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import envelopes, peel
from pipeline.kernels import inner as compiled
from pipeline.model import Block
from pipeline.peel import Peeler, peel_text
from pipeline.read import Unowned
from tests.support.enveloped import NOW, TIME, YEARS, count_lines, peel_texts
from tests.support.kernels import is_compiled, reference
from tests.support.oracle import split_lines

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
        items = [("m", text), ("x", data.draw(_values)), ("t", TIME), ("a", {"m": "no"})]
        record = dict(data.draw(st.permutations(items)))
        lines.append(json.dumps(record, ensure_ascii=is_ascii).encode() + b"\n")
    envelope = envelopes.read_envelope("json:message=m,time=t")

    out, sizes, offsets, peeler = peel_texts(envelope, [b"".join(lines)])

    assert "".join(f"{TIME} - {_expected(text)}\n" for text in texts) == out.decode()
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
    out, sizes, offsets, peeler = peel_texts(envelope, [text])
    counts = count_lines(out, peeler)

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

    assert peel_texts(envelope, [text])[:3] == peel_texts(envelope, texts)[:3]


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
    whole = peel_texts(envelope, [text])[:3]

    assert lines == whole[0]
    for cut in range(1, len(text)):
        assert whole == peel_texts(envelope, [text[:cut], text[cut:]])[:3], cut
    assert whole == peel_texts(envelope, [text[k : k + 1] for k in range(len(text))])[:3]


def test_the_bytes_that_a_huge_line_lost_count():
    """The reader cuts lines of more than a mebibyte, and says by how much."""
    for name in ("docker", "cri"):
        peeler = Peeler(envelopes.read_envelope(name), YEARS)
        block = Block(bytearray(b'{"log":"x'), 9, 0, extra_bytes=1000)

        (peeled,) = peeler.peel(iter([block]), Unowned())

        assert 1009 == peeled.outer.bytes[0]
        assert 1009 == count_lines(b'{"log":"x\n', peeler).plain_bytes


@pytest.mark.skipif(
    not is_compiled(compiled), reason="the kernels are not compiled here: nothing to compare"
)
@given(_hostile(), st.sampled_from(_ENVELOPES))
def test_compiled_equals_reference(text, envelope):
    """The kernel law."""
    known = peel._local.__dict__.pop("opener", None)
    expected = peel_texts(envelope, [text])
    opener = _reference_opener(envelope)
    peel._local.opener = (envelope, opener)
    try:
        found = peel_texts(envelope, [text])
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


def test_a_huge_line_is_cut_as_a_bare_one_is():
    """Texts beyond a mebibyte: JSON that is cut is no envelope; parts are joined up to there."""
    docker = envelopes.read_envelope("docker")
    piece = json.dumps({"log": "x" * 16384, "stream": "stdout", "time": TIME}).encode() + b"\n"
    end = json.dumps({"log": "y\n", "stream": "stdout", "time": TIME}).encode() + b"\n"

    out, sizes, _, peeler = peel_texts(docker, [piece * 100, end])

    assert f"{TIME} - ".encode() + b"x" * (1 << 20) + b"\n" == out
    assert [100 * len(piece) + len(end)] == sizes
    assert 101 == peeler.n_peeled


def test_peeling_a_tail_drops_nothing():
    """A tail that begins in the middle of a line."""
    text = b'ut","time":"x"}\n{"log":"Dec  9 04:02:11 mx a: b\\n","stream":"stdout","time":"x"}\n'

    inner = peel_text(envelopes.read_envelope("docker"), text, NOW)

    assert b'ut","time":"x"}\nDec  9 04:02:11 mx a: b\n' == inner
