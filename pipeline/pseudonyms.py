"""Keyed tokens in the place of addresses, logins, host names and IP addresses.

A token is an HMAC-SHA256 under the key of ``--pseudonymise``, in letters: the same key gives the
same tokens in every run, and without it nobody gets back, nor can try names out. What is equal, or
equal but for case, stays so: ``lower()`` of two tokens is equal where that of the texts was.

===================  ==================================================================
address              ``u-TOKEN@n-TOKEN.invalid``; the first token is of the whole address
login                ``u-TOKEN``, or as an address
host name, domain    ``n-TOKEN.invalid``
IP address           ``ip4-TOKEN``, ``ip6-TOKEN``
``--keep domains``   ``u-TOKEN@example.org``
``--keep networks``  ``192.0.2.h-TOKEN`` (/24), ``2001:db8:0:1::h-TOKEN`` (/64)
===================  ==================================================================

What tells nobody apart stays: the null sender, ``unknown``, ``localhost``, loopback addresses, and
Postfix's own words where a host might stand (``relay=none``).
"""

from __future__ import annotations

import hmac
import re
import stat
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

from pipeline.errors import UsageError, unknown_name

MIN_KEY_BYTES = 16
_MAX_KEY_BYTES = 1 << 20
KEPT = ("domains", "networks")
#: A letter for each byte of a digest.
_LETTERS = bytes(97 + byte % 26 for byte in range(256))
_LENGTH = 14  # 65 bits

#: Where a host might stand, and none does.
_NO_HOSTS = frozenset(
    (
        *("", "unknown", "localhost", "localhost.localdomain", "none", "local", "virtual", "pipe"),
        *("error", "retry", "discard", "smtp", "lmtp", "relay", "dovecot", "maildrop", "cyrus"),
        *("procmail", "mailman", "amavis", "spamassassin"),
    )
)
_TOKEN = rf"[a-z]{{{_LENGTH}}}"
_NAME_TOKEN = rf"n-{_TOKEN}\.invalid"
_IP_TOKEN = rf"ip[46]-{_TOKEN}|[0-9a-f.:]+h-{_TOKEN}"
_HOST_TOKEN = re.compile(rf"(?i:{_NAME_TOKEN}|{_IP_TOKEN})")
_ADDRESS_TOKEN = re.compile(rf"(?i:u-{_TOKEN}(?:@{_NAME_TOKEN}|@\[(?:{_IP_TOKEN})\])?|{_IP_TOKEN})")
_KEPT_TOKEN = re.compile(rf"(?i:u-{_TOKEN}@.*)")
_LIKE_IP = re.compile(r"[0-9A-Fa-f]{0,4}[.:][0-9A-Fa-f.:]+(?:%.*)?\Z")
_LITERAL = re.compile(r"\[(?:IPv6:)?(.*)\]")
_HOST = re.compile(r"(.*?)(?:\[(?:IPv6:)?([0-9A-Fa-f.:]+)\])?(:\d+)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """What tokens are made with, and what is kept. Its repr does not show the key.

    Attributes
    ----------
    key : bytes
        Of the key file; never part of any SQL, so that no error can quote it.
    keep : frozenset of str
        Of `KEPT`.
    """

    key: bytes = field(repr=False)
    keep: frozenset[str] = frozenset()

    @property
    def tokens(self) -> Tokens:
        """What makes the tokens; the same object for equal settings."""
        return _tokens(self)


@lru_cache(maxsize=4)
def _tokens(pseudonyms: Pseudonyms) -> Tokens:
    return Tokens(pseudonyms)


class Tokens:
    """Makes tokens of single values; of NULL and of what tells nobody apart it makes none."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._key = pseudonyms.key
        self._keeps_domains = "domains" in pseudonyms.keep
        self._keeps_networks = "networks" in pseudonyms.keep

    def address(self, text: str) -> str:
        """Return the token of an address or a login; of a token itself."""
        if _ADDRESS_TOKEN.fullmatch(text) or (self._keeps_domains and _KEPT_TOKEN.fullmatch(text)):
            return text
        local, at, domain = text.rpartition("@")
        if not at:
            return self._user(text, text) if text and not is_ip(text) else self.ip(text)
        is_kept = self._keeps_domains and not is_ip(domain.strip("[]").removeprefix("IPv6:"))
        return f"{self._user(text, local)}@{domain if is_kept else self.domain(domain)}"

    def message_id(self, text: str) -> str:
        """Return the token of a message-id: what looks like a domain in it is a host."""
        if _ADDRESS_TOKEN.fullmatch(text):
            return text
        local, at, host = text.rpartition("@")
        return f"{self._user(text, local)}@{self._name(host)}" if at else self.address(text)

    def domain(self, text: str) -> str:
        """Return the token of an address's domain; of a literal (``[192.0.2.1]``) the IP's."""
        literal = _LITERAL.fullmatch(text)
        if literal is not None and is_ip(literal[1]):
            return f"[{self.ip(literal[1])}]"
        return self._name(text) if text else ""

    def host(self, text: str) -> str:
        """Return the token of a host's name, with or without ``[ip]:port``, or of its IP."""
        if text.lower() in _NO_HOSTS or text.startswith(("private/", "public/")):
            return text
        if _HOST_TOKEN.fullmatch(text):
            return text
        if is_ip(text):
            return self.ip(text)
        match = _HOST.fullmatch(text)
        assert match is not None
        name, ip, port = match[1], match[2], match[3] or ""
        made = name if name.lower() in _NO_HOSTS else self._name(name)
        if ip is not None:
            made += f"[{self.host(ip)}]"
        return made + port

    def ip(self, text: str) -> str:
        """Return the token of an IP address; of anything else that of a name."""
        try:
            ip = ip_address(text)
        except ValueError:
            return self.host(text) if text else ""
        if ip.is_loopback or ip.is_unspecified:
            return text
        token = self._make("ip", text)
        if not self._keeps_networks:
            return f"ip{ip.version}-{token}"
        return f"{_network(ip)}h-{token}"

    def text(self, text: str) -> str:
        """Return the token of some words."""
        return f"t-{self._make('text', text)}" if text else ""

    def _user(self, whole: str, local: str) -> str:
        return f"u-{self._cased(self._make('user', whole.lower()), local)}"

    def _name(self, text: str) -> str:
        return f"{self._cased('n-' + self._make('name', text.lower()), text)}.invalid"

    def _make(self, kind: str, text: str) -> str:
        return self._hash(kind, text)[:_LENGTH].translate(_LETTERS).decode()

    def _cased(self, token: str, written: str) -> str:
        """Return the token with some capitals where what was written has some.

        Which ones is told by how it was written: two ways to write it stay two.
        """
        if written == written.lower():
            return token
        bits = int.from_bytes(self._hash("case", written)[:8], "big")
        mixed = "".join(c.upper() if bits >> k & 1 else c for k, c in enumerate(token))
        return mixed if mixed != token else token.upper()

    def _hash(self, kind: str, text: str) -> bytes:
        said = f"{kind}\0{text}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, said, "sha256")


def is_ip(text: str) -> bool:
    """Tell whether a text is an IP address and nothing else."""
    if not _LIKE_IP.match(text):  # most are none, and the error below takes its time
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _network(ip: IPv4Address | IPv6Address) -> str:
    if ip.version == 4:
        return str(ip).rpartition(".")[0] + "."
    return str(ip_network((int(ip) >> 64 << 64, 64)).network_address)


def read_key(path: str, keep: str | None = None) -> Pseudonyms:
    """Read the key of ``--pseudonymise`` and what ``--keep`` names.

    Raises
    ------
    UsageError
        There is no key, it is too short, or ``keep`` is unknown.
    """
    kept = frozenset(name.strip().lower() for name in (keep or "").split(",") if name.strip())
    for name in sorted(kept):
        if name not in KEPT:
            raise unknown_name("word for --keep", name, KEPT)
    make = f"make one with: head -c 32 /dev/urandom > {path}; chmod 600 {path}"
    try:
        with Path(path).open("rb") as file:
            key = file.read(_MAX_KEY_BYTES)
    except OSError as error:
        raise UsageError(
            f"--pseudonymise: the key file {path} can't be read: {error.strerror}; {make}"
        ) from None
    if len(key) < MIN_KEY_BYTES:
        raise UsageError(
            f"--pseudonymise: the key file {path} holds {len(key)} bytes, and a key that can't be "
            f"guessed has at least {MIN_KEY_BYTES}; {make}"
        )
    return Pseudonyms(key, kept)


def is_open(path: str) -> bool:
    """Tell whether others can read a key file."""
    return bool(stat.S_IMODE(Path(path).stat().st_mode) & 0o077)
