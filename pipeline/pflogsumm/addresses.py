"""Which address, and which host or domain, a line counts for."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.pflogsumm.arguments import Arguments

NULL_SENDER = "from=<>"

# What mailing lists put before a number: it is the number that varies.
_VERP_NUMBER = re.compile(
    r"((?:bounce[ds]?|no(?:list|reply|response)|return|sentto|\d+).*?)(?:[+_.*-]\d+\b)+",
    re.IGNORECASE | re.ASCII,
)
_VERP_RECIPIENT = re.compile(r"[*-](?:\d+[*-])?[^=*-]+[=*][^@]+@", re.ASCII)
# The domain that was registered, as far as its length tells: X.com, X.co.uk.
_REGISTERED = re.compile(r".*\.([^.]+\.(?:[^.]{3}|[^.]{2,3}\.[^.]{2}))")
_SRS0 = re.compile(r"SRS0[=+-][^=]*=[^=]*=([^=@]+)=([^@]+)@.*", re.IGNORECASE)
_SRS1 = re.compile(r"SRS1[=+-][^=]*=[^=]*=[=+-]?[^=]*=[^=]*=([^=@]+)=([^@]+)@.*", re.IGNORECASE)


def fold_recipient(address: str, arguments: Arguments) -> str:
    """Return the address that a delivery counts for: its domain in lower case."""
    if arguments.unwrap_srs:
        address = unwrap_srs(address)
    if arguments.uucp_paths:
        address = turn_path(address)
    if arguments.ignore_case:
        return address.lower()
    at = address.find("@")
    return address if at < 0 else address[:at] + address[at:].lower()


def fold_sender(address: str | None, arguments: Arguments) -> str:
    """Return the address that a message counts for; the null sender has a name of its own."""
    if not address:
        return NULL_SENDER
    return cut_verp(fold_recipient(address, arguments), arguments.verp_level)


def turn_path(address: str) -> str:
    """Return ``far!user@near`` as ``near!user@far``, where near is a name without dots.

    Examples
    --------
    >>> turn_path("a!far.example!user@near"), turn_path("user@far.example")
    ('near!a!user@far.example', 'user@far.example')
    """
    route, _, near = address.rpartition("@")
    *path, far, user = route.split("!") if route.count("!") else (route,) * 2
    if "!" not in route or "@" in user or not (far and user and near) or "." in near:
        return address
    return "!".join([near, *path, user]) + f"@{far}"


def cut_verp(address: str, level: int | None) -> str:
    """Return an address with the numbers of a mailing list's return paths as ``ID``.

    A level above 1 also cuts the recipient that is written into the local part.

    Examples
    --------
    >>> cut_verp("list-return-36-ann=example.com@lists.example", 1)
    'list-return-ID-ann=example.com@lists.example'
    """
    if level is None:
        return address
    address = _VERP_NUMBER.sub(r"\1-ID", address, count=1)
    return _VERP_RECIPIENT.sub("@", address, count=1) if level > 1 else address


def unwrap_srs(address: str) -> str:
    """Return the address that a forwarder rewrote by SRS.

    Examples
    --------
    >>> unwrap_srs("SRS0=Q3=RM=example.com=ann@forwarder.example")
    'ann@example.com'
    """
    found = _SRS1.fullmatch(address) or _SRS0.fullmatch(address)
    return f"{found[2]}@{found[1]}" if found else address


def recipient_domain(address: str) -> str:
    """Return the domain of a folded recipient; an address without one is its own."""
    user, at, domain = address.partition("@")
    return domain if user and at else address


def sender_domain(address: str, client: str | None) -> str:
    """Return the domain of a folded sender; else that of the client, if there was one."""
    user, _, domain = address.partition("@")
    if user and domain:
        return domain
    return address if client is None else client_domain(client)


@lru_cache(maxsize=1 << 16)
def client_domain(client: str) -> str:
    """Return the registered domain of a client ``name[ip]``, its address if it has no name.

    What is registered is guessed by the length of the last parts, and only then the case folded:
    equal to the original, so that a name of ``.info`` or ``.de`` keeps its host.

    Examples
    --------
    >>> client_domain("mx.Example.COM[192.0.2.1]"), client_domain("unknown[2001:db8::1] quit=1")
    ('example.com', '2001:db8::1')
    """
    found = re.match(r"([^\[]*)\[([^\]]+)\]", client) or re.match(r"([^(/]*)[(/]([^\])]+)", client)
    name, address = (found[1], found[2]) if found else (client, client)
    if name in {"", "unknown"}:
        return address
    registered = _REGISTERED.fullmatch(name)
    return registered[1].lower() if registered else name
