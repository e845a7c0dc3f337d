"""Heads of many files: what is kept of them tells the same, and takes little."""

from __future__ import annotations

import tomllib
import tracemalloc
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import many_heads
from pipeline.head import HEAD_BYTES, decode_head, may_be_wrapped, read_head, unwrap_head
from pipeline.many_heads import Heads, cut_head
from pipeline.model import Head, SourceFile
from pipeline.stamps import find_evidence, first_stamp, has_years, parse_stamp
from pipeline.years import provably_outside, resolve_years
from tests.test_years import CASES, read_case

NOW = datetime(2026, 5, 2, 12)

LINES = st.lists(
    st.sampled_from(
        [
            b"Dec 23 04:02:05 ", b"<13>Dec  1 00:00:00 ", b"2025-12-23T04:02:05+01:00 ",
            b"<13>1 2024-02-03T04:05:06Z ", b'x [12/Dec/2025:01:02:03 +0100] "GET', b"mx1 ",
            b"<mail.info> ", b"postfix/cleanup[12]: ", b"postfix/smtp[1]: ", b"[ID 12 mail.info] ",
            b"4PL3j0443nz30Ms: ", b"C9733C972A3: ", b"message-id=<20071223040206.C9733C972A3@mx1>",
            (b"Feb 20 00:00:00 mx1 postfix/cleanup[12]: 4PL3j0443nz30Ms: message-id=<20230220135044"
            b".4PL3j0443nz30Ms@x>"),
            b"Feb 20 00:00:00 mx1 postfix/smtp[12]: 4PL3j0443nz30Ms: x",
            b"Feb 20 00:00:00 mx1 postfix/smtp[12]: [ID 1 mail.info] 4PL3j0443nz30Ms: x",
            (b"Dec 23 00:00:00 mx1 postfix/cleanup[12]: C9733C972A3: message-id=<20071223040206"
            b".C9733C972A3@mx1>"),
            b"\xef\xbb\xbf", b"{", b"__CURSOR=", b"12 <3", b"\t{", b"\t", b"stdout ", b"\r",
            b"\n", b"\n", b"\n",
        ]
    ),
    max_size=12,
).map(b"".join)  # fmt: skip


@given(LINES)
def test_evidence_is_that_of_the_lines_one_by_one(text):
    """Only lines that have a sign in them are looked at."""
    lines = text.split(b"\n")
    found = [one for line in lines if (one := find_evidence(line, NOW))]
    best = [one for kind in ("dated stamps", "queue ids", "message-ids")
            for one in [[e.time for e in found if e.kind == kind]] if one]  # fmt: skip

    whole = find_evidence(text, NOW)

    assert (max(best[0]) if best else None) == (whole and whole.time)
    assert any(isinstance(parse_stamp(line), datetime) for line in lines) == has_years(text)
    assert any(may_be_wrapped(Head("plain", line)) for line in lines) == may_be_wrapped(
        Head("plain", text)
    )


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_years_are_those_of_whole_heads(path, monkeypatch):
    """Also where hardly anything of a head is kept."""
    monkeypatch.setattr(many_heads, "KEPT_BYTES", 0)
    case = tomllib.loads(path.read_text())
    files, _ = read_case(case)
    now = case["now"]
    cut = [(file, cut_head(head, "auto", now)) for file, head in files]

    def resolve(files):
        return resolve_years(files, newest_stamp=lambda _: None, now=now)

    anchors = resolve(files)
    assert anchors == resolve(cut)
    middle = max(anchor.limit for anchor in anchors.values()) - timedelta(30)
    for bounds in ((middle, None), (None, middle)):
        assert provably_outside(files, anchors, *bounds) == provably_outside(cut, anchors, *bounds)


def test_lines_in_envelopes_are_dated_before_the_head_is_cut():
    """And what is kept of them is taken out of its envelopes as all of it would be."""
    line = b'{"log":"Dec 30 00:00:00 mx1 postfix/smtp[1]: x\\n","time":"2007-12-30T00:00:00.1Z"}\n'
    whole = Head("plain", line * 100)

    cut = cut_head(whole, "auto", NOW)

    assert len(cut.text) < 600
    seen, kept = unwrap_head(whole, "auto", NOW), unwrap_head(cut, "auto", NOW)
    assert (seen.envelope, seen.wrapped) == (kept.envelope, kept.wrapped)
    assert seen.text.startswith(kept.text)
    assert first_stamp(seen.text) == first_stamp(kept.text) == kept.dates.first


def test_what_is_kept_is_the_begin_with_its_first_line_and_a_stamp():
    """Evidence behind the cut counts; a first line is kept whole; a stamp far in keeps all."""
    line = b"Dec 30 00:00:00 a b: c\n"
    behind = cut_head(Head("plain", line * 100 + b"2008-01-02T00:00:00Z a\n"), "auto", NOW)
    long = cut_head(Head("plain", line[:-1] + b"x" * 2000 + b"\n" + line * 100), "auto", NOW)
    late = cut_head(Head("plain", b"----\n" * 200 + line), "auto", NOW)

    assert (512, datetime(2008, 1, 2)) == (len(behind.text), behind.dates.evidence.time)
    assert 2000 + len(line) == len(long.text)
    assert late.text.endswith(line)


def test_heads_of_many_files_take_little():
    """The first are kept whole, of the others less than a kilobyte each."""
    text = b"Dec 30 00:00:00 mx1 postfix/smtp[1]: AAAAAAAAAA: some more of it\n" * 1100
    n = 300
    heads = Heads("auto", NOW, whole_bytes=2 * HEAD_BYTES)
    files = [SourceFile(f"s3://logs/{k}", len(text)) for k in range(n)]
    tracemalloc.start()
    for file in files:
        heads.take(file, text[:HEAD_BYTES])
    kept = [head for _, head in heads.read(files)]
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert [HEAD_BYTES] * 2 + [512] * (n - 2) == [len(head.text) for head in kept]
    assert size < 2 * HEAD_BYTES + n * 1500


def test_a_head_that_was_read_is_as_good_as_the_file(demo):
    """For each compression, from the stored bytes that a listing has read."""
    for path in sorted(Path(demo).glob("maillog*")):
        stored = path.read_bytes()
        file = SourceFile(str(path), len(stored))

        assert read_head(file) == decode_head(file, stored[:HEAD_BYTES])
