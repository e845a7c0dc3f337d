"""What a trace is asked for: the literals that a line must hold, and the test of a parsed line."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
#: What ``--match`` takes, and the columns that an address is looked for in.
MATCHES = {
    "any": ("sender", "recipient", "orig_to"),
    "sender": ("sender",),
    "recipient": ("recipient", "orig_to"),
}
#: More literals than this are not looked for one by one: every line is parsed instead.
MAX_NEEDLES = 24

_QUEUE_ID = re.compile(r"[0-9A-Za-z]{5,}")
_WORDS = re.compile(rb"[^\s<>\[\](){},;:\"'=]+@[^\s<>\[\](){},;:\"'=]+")
_LITERAL = re.compile(r"[\w@<>=:,/ -]{3,}")


@dataclass(slots=True)
class Queries:
    """Everything that was asked for, told apart by kind so that a line is tested at once.

    Attributes
    ----------
    needles : dict of bytes to None
        A line that holds none of these cannot match; none at all: every line may.
    """

    columns: tuple[str, ...]
    ids: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    domains: set[str] = field(default_factory=set)
    message_ids: set[str] = field(default_factory=set)
    clients: set[str] = field(default_factory=set)
    addresses_of_hosts: set[str] = field(default_factory=set)
    networks: list[Network] = field(default_factory=list)
    logins: set[str] = field(default_factory=set)
    patterns: list[re.Pattern[bytes]] = field(default_factory=list)
    needles: dict[bytes, None] = field(default_factory=dict)
    needs_every_line: bool = False

    @property
    def only_ids(self) -> bool:
        """Whether nothing but queue ids was asked for."""
        others = (self.addresses, self.domains, self.message_ids, self.clients, self.networks)
        return not any((*others, self.addresses_of_hosts, self.logins, self.patterns))

    def matches(self, row: dict[str, Any], raw: bytes) -> bool:
        """Tell whether a parsed line is what was asked for."""
        if row["queue_id"] in self.ids or row["child_id"] in self.ids:
            return True
        if self.addresses or self.domains:
            for name in self.columns:
                address = row[name]
                if address is None:
                    continue
                address = address.lower()
                domain = address.rpartition("@")[2]
                if address in self.addresses or domain in self.domains:
                    return True
            if row["event"] is None and self._is_named(raw):
                return True
        if self.message_ids and _bare(row["message_id"]) in self.message_ids:
            return True
        if self.clients and _host(row["client"]) in self.clients:
            return True
        if self.logins and row["sasl_user"] in self.logins:
            return True
        if (self.addresses_of_hosts or self.networks) and self._is_of_host(row):
            return True
        return any(pattern.search(raw) for pattern in self.patterns)

    def _is_named(self, raw: bytes) -> bool:
        """Tell whether a line that is none of Postfix's names an address: a list's, a filter's."""
        words = _WORDS.findall(raw.lower())
        return any(word.decode("utf-8", "replace").strip(".") in self.addresses for word in words)

    def _is_of_host(self, row: dict[str, Any]) -> bool:
        for name in ("client_ip", "relay_ip"):
            text = row[name]
            if text is None:
                continue
            try:
                address = ipaddress.ip_address(text)
            except ValueError:
                continue
            if str(address) in self.addresses_of_hosts:
                return True
            if any(address in network for network in self.networks):
                return True
        return False


def read_queries(
    texts: Iterable[str], logins: Iterable[str], patterns: Iterable[str], match: str
) -> Queries:
    """Read what was asked for.

    Parameters
    ----------
    texts : iterable of str
        Queue ids, addresses, ``@domain``, message-ids, names of clients, IP addresses, networks.
    match : str
        A key of `MATCHES`.

    Raises
    ------
    UsageError
        One can't be read, or there is none.
    """
    found = Queries(MATCHES[match])
    for text in texts:
        _read_one(text.strip(), found, only_addresses=match != "any")
    for login in logins:
        found.logins.add(login)
        found.needles[login.encode()] = None
    for pattern in patterns:
        try:
            found.patterns.append(re.compile(pattern.encode()))
        except re.error as error:
            raise UsageError(f"-e {pattern!r}: {error}") from None
        literal = _literal(pattern)
        if literal:
            found.needles[literal.encode()] = None
        else:
            found.needs_every_line = True
    if not found.needles and not found.needs_every_line:
        raise UsageError(
            "say what to trace: a queue id, an address, @domain, a message-id, a client's name, an "
            "IP address or network, --login NAME or -e REGEX"
        )
    if len(found.needles) > MAX_NEEDLES or b"" in found.needles:
        found.needs_every_line = True
    return found


def _read_one(text: str, found: Queries, *, only_addresses: bool) -> None:
    if not text:
        raise UsageError("an empty text can't be traced")
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        if "/" in text and text.replace("/", "").replace(".", "").isdigit():
            raise UsageError(f"{text!r} is no network; 192.0.2.0/24 is one") from None
    else:
        _read_network(text, network, found)
        return
    needle = text
    if text.startswith("@"):
        found.domains.add(text[1:].lower())
    elif "@" in text:
        bare = text.removeprefix("<").removesuffix(">")
        if not only_addresses:
            found.message_ids.add(bare)
        found.addresses.add(bare.lower())
        needle = bare
    elif "." in text:
        found.clients.add(text.lower())
    elif _QUEUE_ID.fullmatch(text):
        found.ids.add(text)
    else:
        raise UsageError(
            f"{text!r} is no queue id, address, @domain, message-id, client's name, IP address or "
            "network; -e REGEX finds any text"
        )
    found.needles[needle.encode()] = None


def _read_network(text: str, network: Network, found: Queries) -> None:
    if "/" not in text:
        found.addresses_of_hosts.add(str(network.network_address))
        found.needles[text.encode()] = None
        found.needles[str(network.network_address).encode()] = None
        return
    found.networks.append(network)
    if network.version == 4 and network.prefixlen >= 8:
        octets = str(network.network_address).split(".")[: network.prefixlen // 8]
        dot = "." if len(octets) < 4 else ""
        found.needles[f"{'.'.join(octets)}{dot}".encode()] = None
    else:
        found.needs_every_line = True


def _bare(message_id: str | None) -> str | None:
    return None if message_id is None else message_id.removeprefix("<").removesuffix(">")


def _host(client: str | None) -> str | None:
    return None if client is None else client.partition("[")[0].lower()


def _literal(pattern: str) -> str:
    """Return the longest text that every match of a plain pattern holds; empty if unsure."""
    if re.search(r"[|?*{(\[]", pattern):
        return ""
    runs = _LITERAL.findall(re.sub(r"\\.|.\+|[.^$]", "\0", pattern))
    return max(runs, key=len, default="")
