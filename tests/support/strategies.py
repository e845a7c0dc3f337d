"""Inputs that can fail: few letters and short lines, so that edges often meet; hostile headers."""

from __future__ import annotations

from hypothesis import strategies as st

from pipeline.formats.postfix import load_samples

# Few letters and short lines, so that line ends often fall exactly on a split edge.
_line = st.text("ab ", max_size=5).map(str.encode)


@st.composite
def log_text(draw: st.DrawFn, max_lines: int = 12) -> bytes:
    """Text of some short lines, with or without a line end after the last one."""
    text = b"\n".join(draw(st.lists(_line, max_size=max_lines)))
    return text + draw(st.sampled_from([b"", b"\n"]))


_stamps = [
    "Dec 26 04:02:11", "Dec  9 23:59:59", "Jan 4 00:00:00", "Feb 29 12:00:00", "Feb 30 12:00:00", "Dec 26 24:00:00",
    "Dec 26 04:02:60", "Dec 26 04:02:11.123456", "2007-12-26T04:02:11", "2024-02-29T04:02:11.5Z", "2023-02-29T04:02:11Z",
    "2007-12-26T04:02:11,250+05:30", "2007-12-26T04:02:11-0800", "2007-12-26 04:02:11", "0000-01-01T00:00:00", "-", "",
    "9999-12-31T23:59:59.9999999", "dec 26 04:02:11", "Dec  26 04:02:11", "Dec 26 4:02:11", "Dec 31 23:59:59x",
]  # fmt: skip
_pris = [
    "",
    "<22>",
    "<191>",
    "<192>",
    "<>",
    "<0>",
    "<34>1 ",
    "<34>12 ",
    "<34>01 ",
    "<1234>1 ",
    "\ufeff",
    "\ufeff<22>",
]
_hosts = [
    "mx1",
    "-",
    "",
    "<mail.info> mx1",
    "<4.6> mx1",
    "<mail.nix> mx1",
    "mx\u00fc",
    "a" * 300,
    "--- last message repeated 2 times ---",
]
_tags = [
    "postfix/smtpd[12]:", "kernel:", "su[x]:", "sshd(pam_unix)[77]", "cron[99999999999]:", "tag", ":", "[1]:", "a[b", "a[]:", "syslogd:",
    "last message repeated 3 times", "last message repeated x times", "-- MARK --", "su[1]: [ID 7 auth.notice]", "su: [ID x auth.notice]",
    "app 12 ID47 -", 'app - - [x@1 a="]\\"" b="c"][y]', "app - - [never ends", "t" * 9000 + "[1]:",
]  # fmt: skip
_messages = [
    "",
    " ",
    " hello",
    " to=<a@b>, status=sent",
    " \u00e4\u00f6",
    " \x00\x1b[31m",
    " " + "x" * 13,
    "\r",
    " a\rb\r",
]


@st.composite
def header_line(draw: st.DrawFn) -> bytes:
    """A line that is nearly, or really, one of the dialects."""
    parts = [
        draw(st.sampled_from(_pris)),
        draw(st.sampled_from(_stamps)),
        draw(st.sampled_from([" ", "  ", "", "\t"])),
        draw(st.sampled_from(_hosts)),
        draw(st.sampled_from([" ", "  ", ""])),
        draw(st.sampled_from(_tags)),
        draw(st.sampled_from(_messages)),
    ]
    line = "".join(parts).encode()
    for _ in range(draw(st.integers(0, 2))):  # damage it: a byte changed, the end cut off
        if line:
            at = draw(st.integers(0, len(line) - 1))
            line = draw(
                st.sampled_from(
                    [
                        line[:at],
                        line[:at] + draw(st.binary(min_size=1, max_size=2)) + line[at + 1 :],
                    ]
                )
            )
    return line


_access_parts = [
    "192.0.2.1", "2001:db8::1", "www.example.com:443", "203.0.113.4,", "-", "frank", "john doe", "caf\u00e9", "[", '"', "\\", '\\"', "\\\\",
    "[26/Dec/2007:04:02:11 +0100]", "[29/Feb/2023:04:02:11 +0100]", "[26/Dec/2007:04:02:60 -0730]", "[26/dec/2007:04:02:11 +0100]",
    "[26/Dec/2007:04:02:11 +9900]", '"GET / HTTP/1.1"', '"GET /a?b=c HTTP/1.1"', '"GET /a b"', '"-"', '"\\x16\\x03"', '"POST', "?", "200",
    "404", "2326", "0.250", "rt=1.5", "request_time=0.1", "2500", '"Mozilla/5.0 (compatible; bingbot/2.0)"', "99999999999999999999",
]  # fmt: skip


@st.composite
def access_line(draw: st.DrawFn) -> bytes:
    """A line that is nearly, or really, one of a web server."""
    parts = draw(st.lists(st.sampled_from(_access_parts), max_size=12))
    if draw(st.booleans()):
        parts[3:3] = [
            "[26/Dec/2007:04:02:11 +0100]",
            draw(st.sampled_from(['"GET / HTTP/1.1"', '"'])),
        ]
    line = draw(st.sampled_from([" ", " ", " ", ""])).join(parts).encode()
    at = draw(st.integers(0, len(line)))
    return draw(st.sampled_from([line, line, line[:at], line[:at] + b"\xff" + line[at:]]))


@st.composite
def hostile_text(draw: st.DrawFn) -> bytes:
    """Lines of all kinds, random bytes among them."""
    lines = draw(
        st.lists(
            st.one_of(header_line(), header_line(), access_line(), st.binary(max_size=30)),
            max_size=8,
        )
    )
    return draw(st.sampled_from([b"\n", b"\r\n"])).join(lines) + draw(st.sampled_from([b"", b"\n"]))


_mail_fragments = [
    "3D1C2A0F4B: ", "4bGh2K1Rn7z2xQp: ", "NOQUEUE: ", "KLMNO11111: ", "warning: ", "facade: ", "message repeated 3 times: [ ", "]",
    "to=<", "from=<", "orig_to=<", ">, ", "> ", ">", "relay=", "mx.example.com[192.0.2.7]:25", "unknown[unknown]", "a[2001:db8::1]", ", ",
    "delay=", "1.5", "0.1/0/0/1", "delays=", "354169", ".", "dsn=", "4.4.1", "status=", "sent", "deferred", "expired", " (", ")", "size=",
    "nrcpt=", " (queue active)", "removed", "client=", "sasl_method=PLAIN", "sasl_username=", "message-id=<", "uid=0 ", "reject: ", "hold: ",
    "proxy-reject: ", "RCPT", "header", "body", " from ", ": ", "550", " ", "5.1.1", "550 5.7.1 ", "<a@b.example>: ", "; from=<", "proto=SMTP",
    " helo=<", "; ", '"', "\\", "<", "[", "]", "@", "host ", " said: ", "connect to ", "lost connection with ", "queued as ", "9A8B7C6D5E",
    "forwarded as ", "delivery temporarily suspended: ", "(in reply to RCPT TO command)", " (port 25)", "https://x.example/?q=1", "hostname ",
    "connect from ", "disconnect from ", "lost connection after ", "timeout after ", "CONNECT from ", "PASS NEW ", "DNSBL rank 3 for ",
    "PREGREET 11 after 0.1 from ", "HANGUP after 1 from ", "BARE NEWLINE from ", "after CONNECT", "addr ", " by domain ", "statistics: ",
    "sender non-delivery notification: ", "enabling PIX workarounds: ", " for ", "SASL LOGIN authentication failed: ", "name=", "mail for ",
    "TLS connection established to ", "59 seconds", "id=0123-45", "\u00e4", "\0", "\u65e5\u672c", " Saved", "1234567", "::1", "word",
]  # fmt: skip

_samples = load_samples()


@st.composite
def mail_message(draw: st.DrawFn) -> bytes:
    """A message that is nearly, or really, one of Postfix's; cut, or with strange bytes in it."""
    text = "".join(draw(st.lists(st.sampled_from(_mail_fragments), max_size=14))).encode()
    if draw(st.booleans()):
        line, _ = draw(st.sampled_from(_samples))
        sample = line.partition(": ")[2].encode()
        at = draw(st.integers(0, len(sample)))
        text = sample[:at] + text[: draw(st.integers(0, 40))] + sample[at:]
    if text and draw(st.booleans()):
        at = draw(st.integers(0, len(text) - 1))
        end = draw(st.sampled_from([b"", text[at + 1 :]]))
        text = text[:at] + draw(st.binary(max_size=2)) + end
    return text.replace(b"\n", b" ")
