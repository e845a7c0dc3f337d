"""The relation ``mail`` over scanned columns: seconds for microseconds, addresses by rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.formats.addresses import address_sql
from pipeline.formats.postfix import MAIL

if TYPE_CHECKING:
    from collections.abc import Collection

#: Scanned columns that `is_hop` reads.
HOP_COLUMNS = frozenset({"event", "link", "relay_ip", "relay"})
_DELAYS = ("delay", "delay_a", "delay_b", "delay_c", "delay_d")


def mail_columns(columns: frozenset[str]) -> frozenset[str]:
    """Return the scanned columns that columns of ``mail`` are made from, but those of ``lines``."""
    return frozenset(f"{name}_us" if name in _DELAYS else name for name in columns & MAIL.keys())


def mail_expressions(columns: frozenset[str], rules: Collection[str] = ()) -> dict[str, str]:
    """Return the columns of ``mail`` beside those of ``lines``, with their SQL over ``scanned``.

    ``rules``: how addresses are rewritten, see `pipeline.formats.addresses`.
    """
    return {
        name: f"{name}_us / 1e6" if name in _DELAYS else address_sql(name, rules)
        for name in MAIL
        if name in columns
    }


def is_local(relay_ip: str) -> str:
    """Return the SQL that tells whether a relay is this machine: by its address, or a socket."""
    return f"({relay_ip} IS NULL OR {relay_ip} LIKE '127.%' OR {relay_ip} = '::1')"


def is_hop() -> str:
    """Return the SQL, over scanned columns, of lines that hand a message to a filter on this host.

    The filter hands it in again: its reply names the new queue id.
    """
    return f"coalesce(event = 'delivery' AND link = 'queued' AND {is_local('relay_ip')}, false)"
