"""What the user asked of a run, read and checked."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.formats.base import FormatOptions
from pipeline.formats.syslog import Zones

if TYPE_CHECKING:
    from cluster.profile import Profile
    from pipeline.model import KnownDamage, Letter
    from pipeline.pseudonyms import Pseudonyms

_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?$", re.IGNORECASE)

#: Threads that a cluster is taken to have which was not asked yet: splits are cut for as many.
REMOTE_THREADS = 32


@dataclass(frozen=True, slots=True)
class Settings:
    """Options common to all jobs; see DESIGN.md, "The command line".

    Attributes
    ----------
    since, until : datetime or None
        Lines in [since, until), as written or in the report's zone.
    split_bytes : int or None
        Stored bytes of a split; None: chosen from the input.
    count_hops : bool
        A message that a content filter took and handed in again counts twice.
    read_rate : int or None
        Bytes per second that all workers together may ask stores for.
    reasons : str or None
        File with rules for ``reason_class`` that come before the built-in ones.
    addresses : tuple of str
        Rules by which addresses of mail are rewritten, see `pipeline.formats.addresses`.
    expand_repeats : bool
        Lines that stand for several are written out, see `pipeline.repeats`.
    repeats : str or None
        Lines that came before in their file are counted (``report``) or left out (``once``), see
        `pipeline.redelivery`.
    envelope : str
        What lines stand in: ``auto``, ``none``, or as `pipeline.envelopes.read_envelope` takes it.
    path_template : bool
        Sources are templates, see `pipeline.sources.template`.
    cut_messages : bool
        Messages are made only of lines in [since, until); else a message belongs to the time of its
        first line, and all its lines count.
    statuses : frozenset of str or None
        Deliveries are made only of attempts with these outcomes; None: of all.
    formats : FormatOptions
        What the user says of the formats of sources.
    pseudonyms : Pseudonyms or None
        With what key addresses, logins, hosts and IP addresses become tokens.
    known_damage : tuple of KnownDamage
        Damage that neither ends a run nor makes it exit 3.
    letter : Letter or None
        Headers of the message that is to be written.
    state : str or None
        Directory or URL where partials are kept, see `pipeline.state`.
    verify_content : bool
        Read all files, whatever names, sizes and times say of them.
    retention : timedelta or None
        Contents whose last line is older are forgotten by the state.
    cluster : Profile or None
        A cluster that is started for the run.
    insecure : bool
        Logs may travel over networks without TLS.
    now : datetime
        Begin of the run, naive, UTC.
    """

    since: datetime | None = None
    until: datetime | None = None
    hosts: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()
    where: str | None = None
    by: tuple[str, ...] | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    year: int | None = None
    zones: Zones = field(default_factory=Zones)
    workers: int = 0
    split_bytes: int | None = None
    scheduler: str = "threads"
    storage_options: dict[str, str] = field(default_factory=dict, repr=False)
    read_rate: int | None = None
    rotated: bool = False
    stop_on_damage: bool = False
    count_duplicates: bool = False
    count_hops: bool = True
    reasons: str | None = None
    index: bool = True
    addresses: tuple[str, ...] = ()
    expand_repeats: bool = False
    repeats: str | None = None
    envelope: str = "auto"
    path_template: bool = False
    cut_messages: bool = False
    statuses: frozenset[str] | None = None
    formats: FormatOptions = field(default_factory=FormatOptions)
    pseudonyms: Pseudonyms | None = None
    known_damage: tuple[KnownDamage, ...] = ()
    letter: Letter | None = None
    state: str | None = None
    verify_content: bool = False
    retention: timedelta | None = None
    cluster: Profile | None = None
    insecure: bool = False
    now: datetime = field(default_factory=lambda: datetime.now().astimezone().replace(tzinfo=None))

    @property
    def n_workers(self) -> int:
        """Workers asked for, or one for each core that this process may use.

        On a cluster these are its threads, as far as they are known before it is there.
        """
        if self.cluster is not None:
            return self.cluster.n_threads
        if "://" in self.scheduler:
            return self.workers or REMOTE_THREADS
        return self.workers or len(os.sched_getaffinity(0))

    @property
    def is_elsewhere(self) -> bool:
        """Map tasks run on other machines: with other folders, caches and working directories."""
        if self.cluster is not None:
            return self.cluster.is_elsewhere
        return "://" in self.scheduler


def read_size(text: str) -> int:
    """Read a number of bytes: ``64MiB``, ``1GB``, ``4096``.

    Raises
    ------
    UsageError
        It is none, or less than 1 byte.
    """
    match = _SIZE.match(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no size. Write 64MiB, 1GB or 4096")
    base = 1024 if match[3] or not match[2] else 1000
    size = int(float(match[1]) * base ** " kmgt".index(match[2].lower() or " "))
    if size < 1:
        raise UsageError(f"a size must be at least 1 byte, got {text!r}")
    return size


def read_rate(text: str) -> int:
    """Read a number of bytes per second: ``20MB``, ``20MB/s``, ``1MiB``.

    Raises
    ------
    UsageError
        It is none.
    """
    try:
        return read_size(text.strip().lower().removesuffix("/s"))
    except UsageError:
        raise UsageError(f"{text!r} is no rate. Write 20MB, 500kB or 1GiB a second") from None


def read_zones(log: tuple[str, ...], report: str | None) -> Zones:
    """Read ``--log-tz [HOST=]ZONE`` (again and again) and ``--report-tz ZONE``.

    Raises
    ------
    UsageError
        A zone is unknown.
    """
    everywhere = None
    hosts = []
    for item in log:
        host, separator, zone = item.rpartition("=")
        _check_zone(zone)
        if separator:
            hosts.append((host, zone))
        else:
            everywhere = zone
    if report is not None:
        _check_zone(report)
    return Zones(everywhere, tuple(hosts), report)


def _check_zone(name: str) -> None:
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        from pipeline.errors import unknown_name

        known = available_timezones()
        near = unknown_name("time zone", name, known)
        raise UsageError(
            str(near).split(" Known:")[0] + " Zones are named like Europe/Berlin."
        ) from None
