"""The Postfix grammar: compiled = reference on every input; samples and cases give what they say."""

from __future__ import annotations

import tomllib
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.formats import postfix
from pipeline.formats.reasons import load_rules
from pipeline.kernels import mail as compiled
from tests.support.kernels import is_compiled, reference
from tests.support.mail import Parsed, parse_lines, split_line
from tests.support.strategies import mail_message

_CASES = sorted((Path(__file__).parent / "cases" / "mail").glob("*.toml"))
_KINDS = list(range(len(postfix.DAEMONS)))
_only_compiled = pytest.mark.skipif(
    not is_compiled(compiled), reason="the kernels are not compiled here: nothing to compare"
)


def _fields(line: str) -> dict[str, object]:
    (row,) = parse_lines(compiled, [line])
    if row.get("repeats") == 1:
        del row["repeats"]
    return row


@pytest.mark.parametrize("path", _CASES, ids=lambda path: path.stem)
def test_case(path):
    """Each case is a line with all the fields that it must give."""
    case = tomllib.loads(path.read_text())

    assert case["expect"] == _fields(case["line"]), case["note"]


@pytest.mark.parametrize(("line", "fields"), postfix.load_samples())
def test_sample_line_of_the_format(line, fields):
    """The sample lines that the format carries give what they say."""
    assert fields == _fields(line)


def test_every_event_has_a_sample():
    """Whoever adds an event adds its line."""
    assert set(postfix.EVENTS[1:]) == {fields["event"] for _, fields in postfix.load_samples()}


@_only_compiled
@given(
    messages=st.lists(mail_message(), min_size=1, max_size=5),
    kinds=st.lists(st.sampled_from(_KINDS), min_size=5, max_size=5),
    mask=st.one_of(st.just(postfix.ALL_COLUMNS), st.integers(0, postfix.ALL_COLUMNS)),
)
@settings(deadline=None)
def test_compiled_equals_reference(messages, kinds, mask):
    """The compiled kernel and its source, interpreted, write the same bytes everywhere."""
    seen = [
        Parsed(kernel, messages, kinds[: len(messages)], mask).snapshot()
        for kernel in (reference("mail"), compiled)
    ]

    assert seen[0] == seen[1]


@given(text=mail_message(), data=st.data(), kind=st.sampled_from(_KINDS[1:]))
@settings(deadline=None)
def test_what_stands_around_a_message_does_not_matter(text, data, kind):
    """A message that is cut anywhere gives the same, whether or not its rest stands around it."""
    start = data.draw(st.sampled_from([0, 0, 12, len(text) // 2]))
    stop = data.draw(st.integers(min(start, len(text)), len(text)))
    message = text[start:stop]
    alone = Parsed(compiled, [message], [kind], postfix.ALL_COLUMNS).rows()

    within = Parsed(
        compiled, [message], [kind], postfix.ALL_COLUMNS, before=text[:start], after=text[stop:]
    ).rows()

    assert alone == within


def test_no_sample_is_read_beyond_its_cut():
    """Each sample line, cut at each of its bytes, as above."""
    for line, _ in postfix.load_samples():
        process, text = split_line(line.encode())
        kind = postfix.daemon_class(process.rpartition("/")[2])
        cuts = [text[:stop] for stop in range(len(text))]
        kinds = [kind] * len(cuts)

        alone = Parsed(compiled, cuts, kinds, postfix.ALL_COLUMNS).rows()
        spans = [(0, stop) for stop in range(len(text))]
        within = Parsed(compiled, cuts, kinds, postfix.ALL_COLUMNS, before=text, spans=spans).rows()

        assert alone == within, line


@given(
    message=mail_message(),
    kind=st.sampled_from(_KINDS[1:]),
    mask=st.integers(0, postfix.ALL_COLUMNS),
)
@settings(deadline=None)
def test_a_column_is_the_same_whichever_others_are_built(message, kind, mask):
    """What is skipped because nobody asked for it changes nothing else."""
    (whole,) = Parsed(compiled, [message], [kind], postfix.ALL_COLUMNS).rows()

    (part,) = Parsed(compiled, [message], [kind], mask).rows()

    assert {name: value for name, value in whole.items() if mask & postfix.COLUMNS[name]} == part


@given(
    messages=st.lists(mail_message(), min_size=1, max_size=5),
    kind=st.sampled_from(_KINDS[1:]),
    events=st.one_of(
        st.just({"delivery"}),
        st.sets(st.sampled_from(["delivery", "active", "expired", "client", "reject", "tls"])),
        st.sets(st.sampled_from(postfix.EVENTS[1:])),
    ),
)
@settings(deadline=None)
def test_lines_that_are_asked_for_are_the_same_whichever_others_are_not(messages, kind, events):
    """Of lines with other events, who asks for some need not look at one; no event is invented."""
    kinds, mask = [kind] * len(messages), postfix.ALL_COLUMNS
    for kernel in (compiled, reference("mail")):
        whole = Parsed(kernel, messages, kinds, mask).rows()

        parser = kernel.MailParser(len(messages), mask, frozenset(events))
        some = Parsed(kernel, messages, kinds, mask, parser).rows()

        for row, part in zip(whole, some, strict=True):
            if row.get("event") in events:
                assert row == part
            else:
                assert part.get("event") in (None, row.get("event"))


def test_every_sample_is_found_by_its_event():
    """Whoever asks for nothing but an event gets all its lines."""
    for line, fields in postfix.load_samples():
        process, message = split_line(line.encode())
        kind = postfix.daemon_class(process.rpartition("/")[2])
        parser = compiled.MailParser(1, postfix.ALL_COLUMNS, frozenset({fields["event"]}))

        (row,) = Parsed(compiled, [message], [kind], postfix.ALL_COLUMNS, parser).rows()

        assert fields["event"] == row["event"]


@_only_compiled
@pytest.mark.parametrize(
    "pattern",
    [
        *(b"<", b"[", b'"', b'<"', b"; from=<", b" from ", b"a[", b"helo=<a> ", b"from=<a> "),
        *(b", ", b"queued as ", b"://", b"(in reply to ", b" hostname ", b"\xe4", b"\0", b">: "),
        *(b" proto=", b"; server ", b": ", b" by host ", b", sasl_username=", b"x.y "),
    ],
)
@pytest.mark.parametrize(
    "head",
    [
        b"3D1C2A0F4B: to=<a@b>, status=bounced (",
        b"3D1C2A0F4B: to=<",
        b"3D1C2A0F4B: client=",
        b"NOQUEUE: reject: RCPT from a[192.0.2.1]: 554 5.7.1 ",
        b"NOQUEUE: reject: RCPT from a[192.0.2.1]: 554 5.7.1 x; from=<a> ",
        b"3D1C2A0F4B: reject: header ",
        b"warning: ",
        b"connect to ",
        b"",
    ],
)
def test_a_line_of_a_megabyte_takes_linear_time(head, pattern):
    """A stranger who writes the whole line can't make it take longer than its length allows."""
    message = head + pattern * ((1 << 20) // len(pattern))
    for tail in (b"", b">: x>", b"]", b")"):
        start = perf_counter()
        Parsed(compiled, [message + tail], [1], postfix.ALL_COLUMNS)
        assert perf_counter() - start < 0.5


def test_text_that_is_no_utf8_is_noted_for_the_caller():
    """Its view is empty, and `bad` says where it stands."""
    message = b"3D1C2A0F4B: to=<caf\xe9@example.com>, relay=none, status=deferred (na\xefve)"

    parsed = Parsed(compiled, [b"removed", message], [3, 4], postfix.ALL_COLUMNS)

    bad = list(parsed.parser.buffers["bad"][: 4 * parsed.parser.n_bad])
    places = [postfix.COLUMNS[name].bit_length() - 1 for name in ("recipient", "reason")]
    start = parsed.block.index(b"caf")
    assert [places[0], 1, start, start + 16] == bad[:4]
    assert places[1] == bad[4]
    (_, row) = parsed.rows()
    assert ("caf\ufffd@example.com", "na\ufffdve") == (row["recipient"], row["reason"])


def test_thousands_of_reasons_are_all_right():
    """No batch has more templates than the parser has room for; it forgets between batches."""
    n = 40_000
    parser = compiled.MailParser(n, postfix.COLUMNS["reason_group"])
    for batch in range(3):
        words = [_word(batch * n + k) for k in range(n)]
        messages = [f"warning: {word}".encode() for word in words]
        parsed = Parsed(compiled, messages, [1] * n, postfix.COLUMNS["reason_group"], parser)

        assert words == [row["reason_group"] for row in parsed.rows()]


def _word(number: int) -> str:
    return "w" + "".join("ghijklmnop"[int(digit)] for digit in str(number))


def test_rows_without_text_and_of_others_are_null():
    """Lines without stamp, and of processes that aren't Postfix, have nothing at all."""
    parsed = Parsed(compiled, [b"removed", b"connect from a"], [0, 1], postfix.ALL_COLUMNS)
    assert [set(), {"event", "repeats", "client"}] == [set(row) for row in parsed.rows()]

    parsed = Parsed(
        compiled, [b"connect from a"], [1], postfix.ALL_COLUMNS, parsed.parser, is_dated=False
    )
    assert [{}] == parsed.rows()


@pytest.mark.parametrize(
    ("process", "parts"),
    [
        ("postfix", ("postfix", "postfix", "postfix")),
        ("postfix/smtpd", ("postfix", "smtpd", "smtpd")),
        ("postfix/submission/smtpd", ("postfix", "submission", "smtpd")),
        ("postfix/a/b/smtpd", ("postfix", "a/b", "smtpd")),
        ("postfix-out/qmgr", ("postfix-out", "qmgr", "qmgr")),
        ("mx-out/smtp", ("mx-out", "smtp", "smtp")),
        ("postfix/policy-spf", ("postfix", "policy-spf", "policy-spf")),
        ("postfix-script", ("postfix", "postfix-script", "postfix-script")),
        ("postfixadmin", None),
        ("smtpd", None),
        ("systemd/local-fs", None),
        ("/smtpd", None),
        ("postfix/", None),
        ("dovecot", None),
        ("", None),
    ],
)
def test_processes_of_postfix(process, parts):
    """Instance, service and daemon are the parts of the process's name."""
    assert parts == postfix.split_process(process)


def test_every_column_of_the_kernel_is_a_column_of_mail():
    """And the others are those that the view makes."""
    made = {"instance", "service", "daemon", "reason_class"}
    made |= {"delay", "delay_a", "delay_b", "delay_c", "delay_d"}

    assert set(postfix.MAIL) == set(postfix.KINDS) | made


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("Connection timed out", "timed out"),
        ("Connection refused", "refused"),
        ("No route to host", "no route"),
        ("Recipient address rejected: Greylisted, try again later", "greylisted"),
        ("Recipient address rejected: User unknown in local recipient table", "unknown user"),
        ("Service unavailable; Client host blocked using zen.dnsbl.example", "blocked by list"),
        ("Relay access denied", "relay denied"),
        ("Sender address rejected: Domain not found", "sender rejected"),
        ("Helo command rejected: Host not found", "helo rejected"),
        ("Host or domain name not found. Name service error type=MX: Host not found", "DNS"),
        ("message size exceeds size limit of server", "too large"),
        ("The email account that you tried to reach is over quota", "mailbox full"),
        ("mail loops back to myself", "loop"),
        ("lost connection while sending RCPT TO", "lost connection"),
        ("delivered to maildir", "delivered"),
        ("Ok", "delivered"),
        ("something else", "other"),
        ("", "other"),
    ],
)
def test_class_of_a_reason(reason, name):
    """The built-in rules know the usual reasons; the first rule that fits decides."""
    assert name == load_rules().classify(reason)


def test_a_users_rules_come_first(tmp_path):
    """A class of one's own, by text whatever its case, or by regular expression."""
    path = tmp_path / "mine.toml"
    path.write_text('[[rule]]\nclass = "ours"\nany = ["TIMED out"]\nmatch = ["^no r.ute"]\n')

    rules = load_rules(str(path))

    assert ["ours", "ours", "refused"] == [
        rules.classify(text)
        for text in ("Connection timed out", "No route to host", "Connection refused")
    ]
    assert ("ours", "other") == (rules.classes[0], rules.classes[-1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[rule]]\nclass = 1", "rule 1: needs a class"),
        ('[[rule]]\nclass = "a"', "rule 1 ('a'): needs texts in any"),
        ('[[rule]]\nclass = "a"\nany = "b"', "rule 1 ('a'): any is a list of texts"),
        ('[[rule]]\nclass = "a"\nal = ["b"]', "rule 1 ('a'): unknown key 'al'"),
        ('[[rule]]\nclass = "a"\nmatch = ["b("]', "rule 1 ('a'): match 1 is no regular expression"),
        ("[rule]", "in double brackets"),
        ("rules = 1", "unknown key 'rules'"),
        ("[[rule", "not TOML"),
    ],
)
def test_a_wrong_rule_is_named(tmp_path, text, message):
    """The error names the file, the rule and what is wrong with it."""
    path = tmp_path / "mine.toml"
    path.write_text(text)

    with pytest.raises(UsageError) as caught:
        load_rules(str(path))

    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_file_of_rules_that_is_missing_is_named(tmp_path):
    """Reading it fails with a sentence."""
    with pytest.raises(UsageError, match=r"none\.toml: cannot be read"):
        load_rules(str(tmp_path / "none.toml"))
