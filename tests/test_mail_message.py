"""The message of a run: what mail programs, sendmail and attackers make of it."""

from __future__ import annotations

import email
import email.policy
import re
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.model import Account, Letter
from pipeline.outputs.model import About, Occasion, Style
from pipeline.report.mail import MAX_ROWS, format_eml, read_letter
from tests.support.hostile import HOSTILE

_TABLE = pa.table({"day": pa.array([0, 1], pa.int32()).cast(pa.date32()), "lines": [3, 7]})
_ABOUT = {"volume": About("How much?", ("day",), ("x=day y=lines mark=bar",), frozenset({"lines"}))}


def make_message(results, *, about=None, letter=None, **changes):
    occasion = Occasion(
        "sawlog volume", datetime(2026, 1, 2, 3, 4, tzinfo=UTC), Account(), letter=letter, **changes
    )
    raw = format_eml(results, Style(about=about or {}, occasion=occasion))
    return raw, email.message_from_bytes(raw, policy=email.policy.default)


def test_text_html_and_charts_inline():
    """Both parts tell the same; every picture that the page names is in the message."""
    _, message = make_message({"volume": _TABLE}, about=_ABOUT)

    text = message.get_body(("plain",)).get_content()
    html = message.get_body(("html",)).get_content()
    pictures = {
        part["Content-ID"]: part
        for part in message.walk()
        if part.get_content_maintype() == "image"
    }

    assert "multipart/alternative" == message.get_content_type()
    assert "day         lines\n----------  -----\n1970-01-01      3\n1970-01-02      7\n" in text
    assert "How much?" in text
    assert "<td" in html
    assert ["1970-01-01", "3", "1970-01-02", "7"] == re.findall(r"<td[^>]*>([^<]*)<", html)
    assert 1 == len(pictures)
    assert {f"<{cid}>" for cid in re.findall(r'src="cid:([^"]*)"', html)} == set(pictures)
    assert all(part.get_content().startswith(b"\x89PNG") for part in pictures.values())
    assert not re.search(r"(src|href)=.?(?!\"?cid:)", html)


def test_headers():
    """Those that were asked for; nobody's holiday answers."""
    letter = read_letter(
        "Bob <bob@example.org>", ("root", "a@example.org, Jürgen <j@example.org>"), "Größe"
    )
    raw, message = make_message({"volume": _TABLE}, letter=letter)

    assert "Bob <bob@example.org>" == message["From"]
    assert "root, a@example.org, Jürgen <j@example.org>" == message["To"]
    assert "Größe" == message["Subject"]
    assert "auto-generated" == message["Auto-Submitted"]
    assert "Fri, 02 Jan 2026 03:04:00 +0000" == message["Date"]
    assert raw.isascii()
    assert b"\r" not in raw


def test_alerts_come_first():
    """The subject counts them; their rows stand above the results."""
    _, message = make_message({"volume": _TABLE}, alerts={"stuck": pa.table({"id": ["4A1"]})})

    text = message.get_body(("plain",)).get_content()
    assert "sawlog: volume: 1 alert" == message["Subject"]
    assert text.index("ALERT stuck\nid\n---\n4A1\n") < text.index("volume\nday")
    assert "alert stuck</h2>" in message.get_body(("html",)).get_content()


@pytest.mark.parametrize(
    ("sender", "to", "subject"),
    [
        ("a@b\nBcc: x@y", (), None),
        (None, ("a@b\r\nBcc: x@y",), None),
        (None, ("a@b",), "hello\nBcc: x@y"),
        (None, ("a@b",), "hello\u2028Bcc: x@y"),
        (None, ("a@b",), "hello\x00"),
        (None, ("a@b", "a b c"), None),
        (None, ("",), None),
        ("<>", (), None),
        ("", (), None),
        ("a@b, ", ("ü@example.org",), None),
    ],
)
def test_headers_that_would_be_more_are_refused(sender, to, subject):
    """No option can end its header, and addresses are addresses."""
    with pytest.raises(UsageError, match="--mail-"):
        read_letter(sender, to, subject)


@settings(max_examples=30)
@given(
    name=st.text() | st.sampled_from(HOSTILE),
    title=st.text(),
    subject=st.text(),
    cell=st.sampled_from(HOSTILE) | st.text(),
)
def test_no_text_gets_into_a_header_or_ends_the_message(name, title, subject, cell):
    """Whatever jobs, titles and rows are called: the same headers, and no lone dot."""
    results = {name: pa.table({"x": [cell, ".", "From me", ".."]})}
    raw, message = make_message(results, title=title, letter=Letter("a@b", ("c@d",), subject))

    head = raw.partition(b"\n\n")[0]
    names = re.findall(rb"(?m)^([^\s:]+):", head)
    assert [
        b"From",
        b"To",
        b"Subject",
        b"Date",
        b"Message-ID",
        b"Auto-Submitted",
        b"MIME-Version",
        b"Content-Type",
    ] == names
    assert raw.isascii()
    lines = raw.split(b"\n")
    assert not [line for line in lines if line.startswith((b".", b"From ")) or len(line) > 998]
    text = message.get_body(("plain",)).get_content()
    html = message.get_body(("html",)).get_content()
    assert "\n.\n" in text
    assert "From me" in text
    assert 4 == len(re.findall("<td", html))
    assert not re.findall(r"<(?:script|img|svg|iframe|a)\b", html)


def test_long_results_are_cut(sawlog):
    """A message is read: it holds some rows, and says how many more there are."""
    _, message = make_message({"x": pa.table({"n": list(range(MAX_ROWS + 1))})})

    assert "… 1 more row\n" in message.get_body(("plain",)).get_content()
    assert "… 1 more row<" in message.get_body(("html",)).get_content()


def test_a_run_writes_a_message(sawlog, tmp_path):
    """To stdout, for sendmail -t, and to a file; one that can't be is refused before the run."""
    log = tmp_path / "maillog"
    log.write_text("Dec 26 00:00:01 mx1 kernel: up\n")
    arguments = ("volume,retries", log, "--year", "2007", "--to", "eml", "-o", tmp_path / "r.eml")

    ran = sawlog(*arguments, "--mail-to", "root", "--mail-from", "me@example.org")

    assert (0, "root") == (ran.code, email.message_from_string(ran.out)["To"])
    assert "me@example.org" == email.message_from_bytes((tmp_path / "r.eml").read_bytes())["From"]
    assert 2 == sawlog("volume", tmp_path / "gone", "--to", "eml", "--mail-to", "a\nb").code
