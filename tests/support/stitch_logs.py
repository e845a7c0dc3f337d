"""Small Postfix logs in which everything meets: ids used again, hosts, instances, clocks, borders."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from hypothesis import strategies as st

_BEGIN = datetime(2024, 3, 29, 22, 0, 0)
# Short ones are used again; the last is too long for an Arrow view to hold it.
_IDS = ("A1B2C3", "90442C9CB29", "4PL3j0443nz30Ms")
_KEYS = tuple(
    (host, instance, queue_id)
    for queue_id in _IDS
    for host in ("mx1", "mx2")
    for instance in ("postfix", "postfix-out")
)
# Seconds between two lines. Clocks step back a little, or by an hour in autumn.
_STEPS = (
    0,
    1,
    1,
    1,
    2,
    7,
    60,
    3000,
    3601,
    86_400,
    5 * 86_400,
    5 * 86_400 + 1,
    6 * 86_400,
    -1,
    -3600,
)
_PEOPLE = ("a@x.example", "b@x.example", "")

_client = st.sampled_from(
    [
        "client=c.example[192.0.2.1]",
        "client=unknown[2001:db8::7]",
        "client=c.example[192.0.2.2], sasl_method=PLAIN, sasl_username=user@x.example",
    ]
)
_outcome = st.sampled_from(
    [
        ("sent", "2.0.0", "250 2.0.0 Ok"),
        ("deferred", "4.4.1", "connect to mx.example[198.51.100.1]:25: Connection timed out"),
        (
            "deferred",
            "4.2.0",
            "host mx.example[198.51.100.1] said: 450 4.2.0 <r@x.example>: Greylisted",
        ),
        ("bounced", "5.1.1", "host mx.example[198.51.100.1] said: 550 5.1.1 no such user"),
    ]
)
_child = st.sampled_from(_IDS)


def many_messages(n: int = 24, seed: int = 1) -> bytes:
    """Whole messages that overlap in time, with few senders and sizes, so that these tie."""
    draw = random.Random(seed)
    lines = []
    for k in range(n):
        queue_id = f"{draw.randrange(0xA00000, 0xFFFFFF):06X}"
        texts = [
            f"smtpd[1]: {queue_id}: client=c.example[192.0.2.{k % 3}]",
            f"qmgr[1]: {queue_id}: from=<s{k % 4}@x.example>, size={k % 2}, nrcpt=1 (queue active)",
            (
                f"smtp[1]: {queue_id}: to=<r{k % 5}@x.example>, relay=none, delay=1, "
                "delays=0/0/0/1, dsn=2.0.0, status=sent (ok)"
            ),
            f"qmgr[1]: {queue_id}: removed",
        ]
        lines += [(3 * k + i * draw.randrange(1, 9), text) for i, text in enumerate(texts)]
    return "".join(
        f"{(_BEGIN + timedelta(seconds=at)).isoformat()} mx1 postfix/{text}\n"
        for at, text in sorted(lines, key=lambda line: line[0])
    ).encode()


@st.composite
def _delivery(draw: st.DrawFn) -> tuple[str, str]:
    daemon = draw(st.sampled_from(["smtp", "smtp", "local", "lmtp", "error"]))
    status, dsn, reason = draw(_outcome)
    relay = draw(
        st.sampled_from(["none", "mx.example[198.51.100.1]:25", "127.0.0.1[127.0.0.1]:10025"])
    )
    link = draw(st.sampled_from(["", "", "queued", "forwarded"]))
    if link:
        status, dsn = "sent", "2.0.0"
        child = draw(_child)
        reason = (
            f"forwarded as {child}" if link == "forwarded" else f"250 2.0.0 Ok: queued as {child}"
        )
    person = draw(st.sampled_from(_PEOPLE[:2]))
    orig_to = draw(st.sampled_from(["", "", "orig_to=<list@x.example>, "]))
    delay = draw(st.sampled_from(["0.4", "1.25", "86400", "3"]))
    return daemon, (
        f"to=<{person}>, {orig_to}relay={relay}, delay={delay}, delays=0.1/0/0.2/0.1, dsn={dsn}, "
        f"status={status} ({reason})"
    )


@st.composite
def _event(draw: st.DrawFn) -> tuple[str, str]:
    """Service and text of a line about a message."""
    kind = draw(st.sampled_from(
        ["client", "pickup", "message-id", "message-id", "active", "active", "delivery", "delivery",
         "delivery", "removed", "removed", "reject", "milter", "expired", "bounce", "reply"]
    ))  # fmt: skip
    if kind == "client":
        return draw(st.sampled_from(["smtpd", "submission/smtpd"])), draw(_client)
    if kind == "pickup":
        return "pickup", f"uid=0 from=<{draw(st.sampled_from(('root', 'cron')))}>"
    if kind == "message-id":
        return "cleanup", f"message-id=<{draw(st.sampled_from('mn'))}@x.example>"
    if kind == "active":
        size, nrcpt = draw(st.sampled_from([(1, 1), (777_000, 2)]))
        return (
            "qmgr",
            f"from=<{draw(st.sampled_from(_PEOPLE))}>, size={size}, nrcpt={nrcpt} (queue active)",
        )
    if kind == "delivery":
        return draw(_delivery())
    if kind == "removed":
        return "qmgr", "removed"
    if kind == "reject":
        return "smtpd", (
            "reject: RCPT from c.example[192.0.2.1]: 550 5.1.1 <r@x.example>: Recipient address "
            "rejected: User unknown; from=<a@x.example> to=<r@x.example> proto=ESMTP helo=<c.example>"
        )
    if kind == "milter":
        return "cleanup", (
            "milter-reject: END-OF-MESSAGE from c.example[192.0.2.1]: 5.7.1 virus; "
            "from=<b@x.example> to=<a@x.example> proto=ESMTP helo=<c.example>"
        )
    if kind == "expired":
        return "qmgr", "from=<a@x.example>, status=expired, returned to sender"
    if kind == "bounce":
        return "bounce", f"sender non-delivery notification: {draw(_child)}"
    return (
        "smtp",
        "host mx.example[198.51.100.1] said: 450 4.2.0 Greylisted (in reply to RCPT TO command)",
    )


@st.composite
def mail_lines(draw: st.DrawFn, max_lines: int = 40) -> list[bytes]:
    """Lines in the order in which they were written, those of no message among them."""
    keys = draw(st.lists(st.sampled_from(_KEYS), min_size=1, max_size=4, unique=True))
    now = _BEGIN
    lines = []
    for _ in range(draw(st.integers(0, max_lines))):
        now += timedelta(seconds=draw(st.sampled_from(_STEPS)))
        host, instance, queue_id = draw(st.sampled_from(keys))
        service, text = draw(_event())
        text = draw(
            st.sampled_from(
                [f"{queue_id}: {text}"] * 12 + [f"NOQUEUE: {text}", "connect from unknown[unknown]"]
            )
        )
        process = draw(st.sampled_from([f"{instance}/{service}[7]"] * 9 + ["dovecot[8]"]))
        line = f"{now.isoformat()} {host} {process}: {text}"
        lines.append(draw(st.sampled_from([line] * 20 + ["no stamp here"])).encode() + b"\n")
    return lines


@st.composite
def mail_files(draw: st.DrawFn, max_lines: int = 40) -> dict[str, bytes]:
    """One to three log files by name, in any order; each begins later than the one before."""
    lines = draw(mail_lines(max_lines=max_lines))
    cuts = sorted(draw(st.lists(st.integers(0, len(lines)), max_size=2)))
    parts = [lines[a:b] for a, b in zip([0, *cuts], [*cuts, len(lines)], strict=True)]
    names = draw(st.permutations(["mail.a", "mail.b", "mail.c"]))
    files = {name: b"".join(part) for name, part in zip(names, parts, strict=False)}
    if draw(st.booleans()):
        files = {name: text.removesuffix(b"\n") for name, text in files.items()}
    return files
