"""The relation ``mail``: one row a line that Postfix wrote, whatever the instance is called."""

from __future__ import annotations

from typing import TypeAlias

from pipeline.kernels.mail_names import (
    CODES,
    COLUMNS,
    DAEMONS,
    EVENTS,
    INTS,
    LINKS,
    STAGES,
    STATUSES,
    TEMPLATES,
    TEXTS,
)

__all__ = [
    "ALL_COLUMNS",
    "COLUMNS",
    "DAEMONS",
    "EVENTS",
    "KINDS",
    "LINKS",
    "MAIL",
    "STAGES",
    "STATUSES",
    "daemon_class",
    "load_samples",
    "split_process",
]

Kind: TypeAlias = tuple[str] | tuple[str, tuple[str, ...]]

#: Column of the kernel → ("text",), ("code", names by code), ("int",) or ("template",). A text is
#: an Arrow string view, a code an unsigned byte (0: NULL), an int 64 bits long, and a template
#: the code (32 bits) of one of the parser's ``reasons``.
KINDS: dict[str, Kind] = {
    **dict.fromkeys(TEXTS, ("text",)),
    **{name: ("code", names) for name, names in CODES.items()},
    **dict.fromkeys(INTS, ("int",)),
    **dict.fromkeys(TEMPLATES, ("template",)),
}

#: The mask of all columns of the kernel.
ALL_COLUMNS: int = sum(COLUMNS.values())

#: Column of ``mail`` → DuckDB type, beside those of ``lines``, in the order of ``SELECT *``.
#: Delays in seconds are made of those in microseconds, ``reason_class`` of the rules.
MAIL: dict[str, str] = {
    **dict.fromkeys(("instance", "service", "daemon", "queue_id", "event"), "VARCHAR"),
    **dict.fromkeys(("sender", "recipient", "orig_to"), "VARCHAR"),
    **dict.fromkeys(("relay", "relay_ip", "failed_host"), "VARCHAR"),
    **dict.fromkeys(("delay", "delay_a", "delay_b", "delay_c", "delay_d"), "DOUBLE"),
    **{name: "BIGINT" for name in INTS if name.startswith("delay")},
    **dict.fromkeys(("dsn", "status", "reason", "reason_group", "reason_class"), "VARCHAR"),
    **dict.fromkeys(("size", "nrcpt"), "BIGINT"),
    **dict.fromkeys(("client", "client_ip", "helo", "sasl_method", "sasl_user"), "VARCHAR"),
    "message_id": "VARCHAR",
    "code": "BIGINT",
    **dict.fromkeys(("stage", "child_id", "link"), "VARCHAR"),
    "uid": "BIGINT",
    "tally": "VARCHAR",
    "repeats": "BIGINT",
    "detail": "VARCHAR",
}

_AGENTS = frozenset(
    [
        "smtp",
        "lmtp",
        "local",
        "virtual",
        "pipe",
        "error",
        "retry",
        "discard",
        "verify",
        "smtp-sink",
        "spawn",
    ]
)
_OTHERS = frozenset(
    [
        "anvil",
        "bounce",
        "defer",
        "trace",
        "dnsblog",
        "flush",
        "master",
        "oqmgr",
        "nqmgr",
        "pickup",
        "postalias",
        "postcat",
        "postconf",
        "postdrop",
        "postfix",
        "postfix-script",
        "postkick",
        "postlock",
        "postlog",
        "postlogd",
        "postmap",
        "postmulti",
        "postqueue",
        "postsuper",
        "proxymap",
        "qmqpd",
        "scache",
        "sendmail",
        "showq",
        "tlsmgr",
        "trivial-rewrite",
    ]
)
_CLASSES: dict[str, str] = {
    "smtpd": "smtpd",
    "qmqpd": "smtpd",
    "cleanup": "cleanup",
    "qmgr": "qmgr",
    "postscreen": "postscreen",
    "tlsproxy": "tlsproxy",
    **dict.fromkeys(_AGENTS, "agent"),
    **dict.fromkeys(_OTHERS - {"qmqpd"}, "any"),
    **dict.fromkeys(("oqmgr", "nqmgr"), "qmgr"),
}
# Processes of one word only: others that begin with "postfix" are other people's programs.
_ALONE = ("postfix", "postfix-script")


def split_process(name: str) -> tuple[str, str, str] | None:
    """Return instance, service and daemon of a process; None if it isn't Postfix.

    Postfix is what has ``postfix…`` as its first part, or, under whatever instance name, a
    Postfix daemon as its last. What stands between is the service.

    Examples
    --------
    >>> split_process("postfix/submission/smtpd")
    ('postfix', 'submission', 'smtpd')
    >>> split_process("mx-out/smtp")
    ('mx-out', 'smtp', 'smtp')
    >>> split_process("dovecot")
    """
    first, *middle = name.split("/")
    if not middle:
        return ("postfix", name, name) if name in _ALONE else None
    daemon = middle.pop()
    if not first or not daemon:
        return None
    if not first.startswith("postfix") and daemon not in _CLASSES:
        return None
    return first, "/".join(middle) or daemon, daemon


def daemon_class(daemon: str) -> int:
    """Return the kind of a Postfix daemon as the kernel's ``daemons`` wants it, never 0."""
    kind = _CLASSES.get(daemon, "policy" if daemon.startswith("policy") else "any")
    return DAEMONS.index(kind)


def load_samples() -> list[tuple[str, dict[str, str | int]]]:
    """Return made-up lines of every event (process and message), each with all its fields.

    ``repeats`` is left out where it is 1.
    """
    import tomllib
    from pathlib import Path

    path = Path(__file__).with_name("postfix_samples.toml")
    tables = tomllib.loads(path.read_text(encoding="utf-8"))["sample"]
    return [(table["line"], table["fields"]) for table in tables]
