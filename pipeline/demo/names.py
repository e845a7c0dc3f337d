"""Who takes part in the demo: users, senders, relays, clients; all invented, on reserved names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

DOMAIN = "example.net"
HOST_NAME = f"mx1.{DOMAIN}"
LIST_ADDRESS = f"maint@lists.{DOMAIN}"
FORGED_SENDER = "sally@uk.psi.example"

_FIRST = [
    "al", "ben", "cora", "dan", "eva", "finn", "gus", "hana", "ida", "jon", "kim", "leo", "mia",
    "nils", "olga", "pia", "ron", "sue", "tom", "una", "vic", "wim",
]  # fmt: skip
_LAST = [
    "berg", "cole", "dorn", "ek", "frost", "gray", "holm", "iyer", "jansen", "kerr", "lund",
    "moss", "nash", "ott", "pace", "rusk", "sand", "tate",
]  # fmt: skip
_HEADS = [
    "al", "bo", "cor", "dem", "el", "fen", "gar", "hol", "in", "jur", "kal", "lor", "mer", "nor",
    "or", "pel", "quin", "ros", "sel", "tor", "ul", "ver", "wes", "zan",
]  # fmt: skip
_TAILS = [
    "bridge", "dale", "field", "gate", "ham", "ling", "mark", "net", "port", "side", "stead",
    "tech", "vik", "ware", "wood", "works",
]  # fmt: skip
_LANDS = ("", "", "", "uk.", "de.", "se.", "mail.", "nl.")


@dataclass(frozen=True, slots=True)
class Address:
    """A mail address outside, and the relay that takes its mail."""

    name: str
    relay: str


@dataclass(frozen=True, slots=True)
class Client:
    """An SMTP client: ``name[ip]`` as smtpd writes it, its address alone, and its HELO."""

    name: str
    ip: str
    helo: str


class Names:
    """Fixed pools to draw from; what stands first in one is drawn most often."""

    def __init__(self, random: Random) -> None:
        self._random = random
        pick = self._pick
        self.domains = [f"{pick(_LANDS)}{a}{b}.example" for b in _TAILS for a in _HEADS[::2]]
        random.shuffle(self.domains)
        self.users = sorted({f"{pick(_FIRST)}.{pick(_LAST)}" for _ in range(140)})
        random.shuffle(self.users)
        self.people = [self._address(self._person()) for _ in range(4000)]
        self.servers = [self._server(d) for d in self.domains]
        self.spammers = [self._spammer(n) for n in range(900)]
        self.desks = [Client(f"pc{n}.{DOMAIN}[10.1.{n % 7}.{n}]", f"10.1.{n % 7}.{n}", f"pc{n}")
                      for n in range(11, 140)]  # fmt: skip
        # Domains that spammers like to forge, all without a working mail server.
        self.dead_domains = ["uk.psi.example", *(f"{pick(_LANDS)}{a}{b}.example"
                             for a in _HEADS[1::5] for b in _TAILS[::2])]  # fmt: skip
        self.dead_relays = {
            d: f"mail.{d}[192.0.2.{7 + n * 5 % 240}]" for n, d in enumerate(self.dead_domains)
        }

    def forge(self) -> str:
        """Return a sender that does not exist, in a domain without working mail server."""
        domain = self.dead_domains[int(self._random.random() ** 1.7 * len(self.dead_domains))]
        return f"{self._person()}@{domain}"

    def _pick(self, words: list[str] | tuple[str, ...]) -> str:
        return words[int(self._random.random() * len(words))]

    def _person(self) -> str:
        first, last = self._pick(_FIRST), self._pick(_LAST)
        return (f"{first}.{last}", f"{first[0]}{last}", first)[int(self._random.random() * 3)]

    def _address(self, person: str) -> Address:
        n = int(self._random.random() ** 2 * len(self.domains))
        domain = self.domains[n]
        return Address(f"{person}@{domain}", f"mx.{domain}[203.0.113.{n % 250 + 1}]:25")

    def _server(self, domain: str) -> Client:
        ip = f"198.51.100.{int(self._random.random() * 254) + 1}"
        return Client(f"mail.{domain}[{ip}]", ip, f"mail.{domain}")

    def _spammer(self, n: int) -> Client:
        third, fourth = (int(self._random.random() * 254) + 1 for _ in range(2))
        ip = f"198.{18 + n % 2}.{third}.{fourth}"
        if n % 5 < 2:
            name = f"{ip.replace('.', '-')}.dsl.{self.domains[n % 23]}"
            return Client(f"{name}[{ip}]", ip, name)
        return Client(f"unknown[{ip}]", ip, ("localhost", "friend", f"[{ip}]", "pc-7f3a")[n % 4])
