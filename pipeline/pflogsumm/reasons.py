"""Which words of a reason are kept, so that equal reasons become one row.

The cuts are the original's, odd ones included (a URL loses its ``http:``, some rejections keep
their whole text): another cut would give other counts. With ``--verbose-msg-detail`` nothing is
cut, and none of these is called but `find_parties` and `name_local`.
"""

from __future__ import annotations

import re

DEFERRAL_LENGTH, BOUNCE_LENGTH, NOTICE_LENGTH, CHECK_LENGTH = 65, 66, 66, 64
PIPELINING = "Improper use of SMTP command pipelining"
_OWN = re.compile(
    rf"\d{{3}} ({PIPELINING}|Message size exceeds fixed limit|Server configuration "
    "(?:error|problem));"
)


def shorten(text: str, length: int) -> str:
    """Return the begin of a text, with dots if that is not all."""
    return text if len(text) <= length else text[: length - 3] + "..."


def shorten_said(text: str, length: int) -> str:
    """Return the end of a text, from where it fits: behind ``said:``, behind a colon.

    Examples
    --------
    >>> shorten_said("host mx.example[192.0.2.1] said: 450 see http://example/", 20)
    '//example/'
    """
    if len(text) > length:
        text = text.rpartition(" said: ")[2]
    while len(text) > length and ":" in text:
        text = text.partition(":")[2].lstrip(" ")
    return shorten(text, length)


def deferral_reason(text: str) -> str:
    """Return the reason of a deferral; ``text`` is cut at its first closing parenthesis."""
    return _without_code(shorten_said(text, DEFERRAL_LENGTH)).removeprefix("connect to ")


def bounce_reason(text: str) -> str:
    """Return the reason of a bounce."""
    return _without_code(shorten_said(text, BOUNCE_LENGTH))


def check_text(text: str) -> str:
    """Return what a header or body check, or a milter, found, without client and envelope."""
    before, envelope, _ = text.partition("; from=<")
    return shorten(re.sub(r" from \S+$", "", before) if envelope else text, CHECK_LENGTH)


def refusal_reason(stage: str, text: str) -> str:
    """Return the reason of smtpd's or postscreen's refusal; ``text`` follows the client."""
    if stage in {"RCPT", "DATA", "CONNECT"}:
        return _recipient_reason(text)
    if stage == "MAIL":
        # A code alone may stand before the reason: with an enhanced one, that and the address
        # are taken for it.
        found = re.match(r"\d{3} (?:<.+>: )?([^;:]+)", text)
        return found[1] if found else text
    # Behind the last separator that has anything but a comma behind it.
    found = re.match(r"(?:.*[:;] )?([^,]+)", text)
    return found[1] if found else text


def name_local(reason: str) -> str:
    """Return the short name of a reason that Postfix gave without an enhanced code.

    Asked after `refusal_reason`, and with ``--verbose-msg-detail`` alone.
    """
    if ";" not in reason or not (found := _OWN.search(reason)):
        return reason
    return f"(Local) {found[1]}" if found[1].startswith("Server") else found[1]


def find_parties(text: str) -> tuple[str, str]:
    """Return sender and recipient of a refusal, ``<>`` where there is none.

    Examples
    --------
    >>> find_parties("550 5.1.1 <b@y>: User unknown; from=<a@x> to=<b@y> proto=SMTP")
    ('a@x', 'b@y')
    """
    sender = re.search(r"from=<([^>]+)>", text)
    recipient = (
        re.search(r"to=<([^>]+)>", text)
        or re.search(r"\d{3} <([^>]+)>: User unknown ", text)
        # An address that was cut; of to=<> it leaves the bracket.
        or re.search(r"to=<(.*?)(?:[, ]|$)", text)
    )
    return (sender[1] if sender else "<>"), (recipient[1] if recipient else "<>")


def _without_code(reason: str) -> str:
    return re.sub(r"^\d{3} ", "", reason, count=1)


def _recipient_reason(text: str) -> str:
    # The bracket behind a plain code may hold anything, separators too.
    text = re.sub(r"^(\d{3} <).*?>:", r"\1>:", text, count=1)
    if re.match(r"\d{3} \d\.\d\.\d Protocol error;", text):
        return "Protocol error"
    text = _first_clause(text)
    text = re.sub(r"^((?:Sender|Recipient) address rejected: [^:]+):.*", r"\1", text, count=1)
    return re.sub(r"(?:client|Client host|Sender address) .+? blocked", "blocked", text, count=1)


def _first_clause(text: str) -> str:
    """Return what stands between the first separator and the next semicolon or comma."""
    for separator in re.finditer("[:;] ", text):
        clause = re.compile(r"(?:\[[^\]]+\] )?([^;,]+)[;,]").match(text, separator.end())
        if clause:
            return clause[1]
    return text
