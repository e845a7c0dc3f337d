"""Read the options of a command line into settings."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cluster.profile import Profile
    from pipeline.model import KnownDamage, Letter
    from pipeline.settings import Settings


def read_settings(options: dict[str, Any]) -> Settings:
    """Read the shared options.

    Raises
    ------
    UsageError
        One of them is wrong.
    """
    from pipeline.formats.addresses import read_rules
    from pipeline.formats.base import FormatOptions
    from pipeline.settings import Settings, read_rate, read_size, read_zones

    split_size = options["split_size"]
    pseudonyms, parameters = None, pairs("-p", options["parameters"])
    if options["key_path"] is not None:
        from pipeline.pseudonym_columns import Replacer
        from pipeline.pseudonyms import read_key

        pseudonyms = read_key(options["key_path"], options["keep"])
        # A job looks for what it sees, and that is tokens.
        names = Replacer(pseudonyms).names
        parameters = {name: names(value) for name, value in parameters.items()}
    elif options["keep"] is not None:
        raise UsageError("--keep says what --pseudonymise KEYFILE keeps; give both")
    settings = Settings(
        hosts=options["hosts"],
        processes=options["processes"],
        where=options["where"],
        by=None
        if options["by"] is None
        else tuple(name.strip().lower() for name in options["by"].split(",")),
        parameters=parameters,
        year=options["year"],
        zones=read_zones(options["log_tz"], options["report_tz"]),
        workers=options["workers"] or 0,
        split_bytes=None if split_size is None else read_size(split_size),
        scheduler=options["scheduler"],
        cluster=_cluster(options),
        insecure=options["insecure"],
        storage_options=pairs("--storage-option", options["storage_options"]),
        read_rate=read_rate(options["max_read_rate"]) if options["max_read_rate"] else None,
        rotated=options["rotated"],
        stop_on_damage=options["on_damage"] == "stop",
        count_duplicates=options["duplicates"] == "all",
        count_hops=options["count"] == "lines",
        reasons=options["reasons"],
        index=options["index"] == "auto",
        addresses=read_rules(options["addresses"]) if options["addresses"] is not None else (),
        expand_repeats=options["expand_repeats"],
        repeats=options["repeats"],
        formats=FormatOptions(
            options["bots"], options["columns"], tuple(options["patterns"]), options["format"]
        ),
        envelope=_envelope(options["envelope"]),
        path_template=options["path_template"],
        pseudonyms=pseudonyms,
        known_damage=known_damage(options),
        letter=_letter(options),
        state=options["state"],
        verify_content=options["verify_content"],
        retention=_read_retention(options["retention"], options["state"]),
    )
    since, until = _read_period(options, settings.now)
    return replace(settings, since=since, until=until)


def _read_retention(text: str | None, state: str | None) -> timedelta | None:
    if text is None:
        return None
    if state is None:
        raise UsageError("--retention is about what --state keeps: name that, too")
    number = text.removesuffix("d")
    if not number.isdecimal() or not 0 < int(number) < 100_000:
        raise UsageError(f"--retention takes days, as 400d, got {text!r}")
    return timedelta(days=int(number))


def _envelope(asked: str) -> str:
    if asked not in ("auto", "none"):
        from pipeline.envelopes import read_envelope

        read_envelope(asked)
    return asked


def _cluster(options: dict[str, Any]) -> Profile | None:
    """Read the profile of ``--cluster``; ``--workers`` goes before what it says."""
    if options["cluster"] is None:
        return None
    from cluster.profile import read_profile

    if options["scheduler"] != "threads":
        raise UsageError("--scheduler joins a cluster, --cluster starts one: give either")
    profile = read_profile(options["cluster"], is_insecure=options["insecure"])
    if options["workers"] is not None:
        profile = replace(profile, values={**profile.values, "workers": options["workers"]})
    return profile


def _read_period(options: dict[str, Any], now: datetime) -> tuple[datetime | None, datetime | None]:
    from pipeline.filters import read_day, read_time

    if options["day"] is not None:
        if options["since"] or options["until"]:
            raise UsageError("--day stands for --since and --until together; give either")
        if read_day(options["day"], now.date()) is None:
            raise UsageError(
                f"no day can be read from {options['day']!r}. Write 2007-12-26, today or yesterday"
            )
        return read_time(options["day"], now), read_time(options["day"], now, is_end=True)
    since = read_time(options["since"], now) if options["since"] else None
    until = read_time(options["until"], now, is_end=True) if options["until"] else None
    if since is not None and until is not None and since >= until:
        raise UsageError("--since is later than --until: no line can match")
    return since, until


def known_damage(options: dict[str, Any]) -> tuple[KnownDamage, ...]:
    """Return the damage that the user knows of."""
    if not options["known_damage"]:
        return ()
    from pipeline.watch.known_damage import read_known_damage

    return read_known_damage(options["known_damage"])


def pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=VALUE`` again and again."""
    pairs = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise UsageError(f"{option} takes NAME=VALUE, got {text!r}")
        pairs[name] = value
    return pairs


def _letter(options: dict[str, Any]) -> Letter | None:
    """Read the headers of a message before the run, where one is to be written."""
    if options["to"] != "eml" and not any(
        path.lower().endswith(".eml") for path in options["outputs"]
    ):
        return None
    from pipeline.report.mail import read_letter

    return read_letter(options["mail_from"], options["mail_to"], options["mail_subject"])
