"""Times in text, as SQL: ISO in all dresses, epochs, Apache's, months of other languages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.duck import quote
from pipeline.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Formats that have a name; any other is one of strptime, and has a ``%`` in it.
NAMED = ("auto", "iso", "epoch", "epoch_ms", "epoch_us", "epoch_ns", "apache", "cpanel", "syslog")

_EPOCHS = {"epoch": 1e6, "epoch_ms": 1e3, "epoch_us": 1.0, "epoch_ns": 1e-3}
_OFFSET = r"\s*(Z|z|UTC|GMT|[+-]\d\d:?\d\d)\]?$"

#: Months as they are written in a language, January first; abbreviations with and without point.
MONTHS: dict[str, tuple[tuple[str, ...], ...]] = {
    "fr": (
        ("janvier", "janv", "jan"),
        ("février", "fevrier", "févr", "fevr", "fév"),
        ("mars", "mar"),
        ("avril", "avr"),
        ("mai",),
        ("juin",),
        ("juillet", "juil"),
        ("août", "aout"),
        ("septembre", "sept", "sep"),
        ("octobre", "oct"),
        ("novembre", "nov"),
        ("décembre", "decembre", "déc", "dec"),
    ),
    "de": (
        ("januar", "jänner", "jan"),
        ("februar", "feber", "feb"),
        ("märz", "maerz", "mär", "mrz"),
        ("april", "apr"),
        ("mai",),
        ("juni", "jun"),
        ("juli", "jul"),
        ("august", "aug"),
        ("september", "sept", "sep"),
        ("oktober", "okt"),
        ("november", "nov"),
        ("dezember", "dez"),
    ),
    "ja": tuple((f"{k}月",) for k in range(1, 13)),
}


def check_format(format_: str, locale: str | None) -> None:
    """Refuse what is no format of a time.

    Raises
    ------
    UsageError
        It has no name that is known, or lacks the year; or the language is unknown.
    """
    if locale is not None and locale not in MONTHS:
        raise unknown_name("language of month names", locale, MONTHS)
    if "%" not in format_:
        if format_ not in NAMED:
            raise unknown_name("format of a time", format_, NAMED)
    elif not re.search(r"%[-]?[Yy]", format_):
        raise UsageError(
            f"the format of a time {format_!r} has no year. A stamp without one is read only at "
            'the begin of a line, where syslog has it: format = "syslog" takes that one'
        )
    elif "%z" in format_.removesuffix("%z"):
        raise UsageError(f"the format of a time {format_!r} has its %z not at the end")


def time_sql(text: str, formats: Sequence[str], locale: str | None = None) -> str:
    """Return the SQL of a time as written, a TIMESTAMP; NULL where no format fits.

    Parameters
    ----------
    text : str
        SQL of the text.
    formats : sequence of str
        Names (`NAMED`) or formats of strptime; the first that fits counts.
    locale : str, optional
        The language of month names in formats of strptime.
    """
    tried = [_one(text, format_, locale) for format_ in formats if format_ != "syslog"]
    return f"coalesce({', '.join(tried)})" if tried else "NULL::TIMESTAMP"


def offset_sql(text: str, formats: Sequence[str]) -> str:
    """Return the SQL of the offset from UTC in seconds; NULL where the text has none."""
    if all(format_ in _EPOCHS for format_ in formats):
        return "0"
    found = f"regexp_extract({text}, {quote(_OFFSET)}, 1)"
    digits = f"replace({found}, ':', '')"
    signed = (
        f"(CASE WHEN left({digits}, 1) = '-' THEN -1 ELSE 1 END) * "
        f"(CAST(substr({digits}, 2, 2) AS INTEGER) * 3600"
        f" + CAST(substr({digits}, 4, 2) AS INTEGER) * 60)"
    )
    epoch = (
        f"WHEN {text} SIMILAR TO '\\d+(\\.\\d+)?' THEN 0 "
        if {"auto", *_EPOCHS} & {*formats}
        else ""
    )
    return (
        f"CASE {epoch}WHEN {found} IN ('Z', 'z', 'UTC', 'GMT') THEN 0 "
        f"WHEN {found} <> '' THEN {signed} END"
    )


def _one(text: str, format_: str, locale: str | None) -> str:
    bare = f"regexp_replace({text}, {quote(_OFFSET)}, '')"
    if format_ in _EPOCHS:
        return _epoch(text, repr(_EPOCHS[format_]))
    if format_ in ("iso", "cpanel"):
        plain = f"replace(ltrim({bare}, '['), ',', '.')"
        # DuckDB knows "infinity", even in strptime, and years of five digits: no clock writes them.
        compact = f"CASE WHEN {plain} SIMILAR TO '\\d{{8}}.*' THEN {plain} END"
        dated = f"CASE WHEN {plain} SIMILAR TO '\\d{{4}}[-/].*' THEN {plain} END"
        return (
            f"coalesce({_plain_iso(text)}, TRY_CAST({dated} AS TIMESTAMP), "
            f"TRY_STRPTIME({compact}, ['%Y%m%dT%H%M%S', '%Y%m%dT%H%M%S.%f', '%Y%m%d%H%M%S']))"
        )
    if format_ == "apache":
        return _one(f"trim({text}, '[]')", "%d/%b/%Y:%H:%M:%S%z", None)
    if format_ == "auto":
        number = f"abs(TRY_CAST({text} AS DOUBLE))"
        scale = (
            f"(CASE WHEN {number} < 1e11 THEN 1e6 WHEN {number} < 1e14 THEN 1e3 "
            f"WHEN {number} < 1e17 THEN 1.0 ELSE 1e-3 END)"
        )
        others = ", ".join(_one(text, other, locale) for other in ("iso", "apache"))
        return f"coalesce({_plain_iso(text)}, {_epoch(text, scale)}, {others})"
    written = bare if format_.endswith("%z") else text
    format_ = format_.removesuffix("%z").rstrip()
    if locale is not None:
        written = _months(written, locale)
        format_ = re.sub(r"%[Bb]月?", "%m", format_)
    return (
        f"CASE WHEN regexp_matches({text}, '\\d') "
        f"THEN TRY_STRPTIME({written}, {quote(format_)}) END"
    )


def _plain_iso(text: str) -> str:
    """Return the SQL of what is most common, without an offset but Z: no regex, thrice as fast."""
    clock = f"substr({text}, 12)"
    return (
        f"CASE WHEN substr({text}, 5, 1) IN ('-', '/') AND NOT (contains({clock}, '+') "
        f"OR contains({clock}, '-')) THEN "
        f"TRY_CAST(replace(rtrim({text}, 'Zz'), ',', '.') AS TIMESTAMP) END"
    )


def _epoch(text: str, scale: str) -> str:
    # Not before 1970 nor behind year 9999: no clock says that.
    moment = f"TRY_CAST({text} AS DOUBLE) * {scale}"
    return (
        f"CASE WHEN {moment} BETWEEN 0 AND 253402300799e6 "
        f"THEN make_timestamp(CAST({moment} AS BIGINT)) END"
    )


def _months(text: str, locale: str) -> str:
    """Return the SQL of a text with a number in the place of the name of its month."""
    numbers = {name: k for k, names in enumerate(MONTHS[locale], 1) for name in names}
    # Longer names before those that they begin with.
    ordered = sorted(numbers, key=lambda name: (-len(name), name))
    point = "" if locale == "ja" else r"\.?"
    pattern = f"(?i)({'|'.join(ordered)}){point}"
    names = ", ".join(f"{quote(name)}: '{numbers[name]:02}'" for name in ordered)
    whole = f"regexp_extract({text}, {quote(pattern)})"
    return (
        f"replace({text}, {whole}, "
        f"coalesce((MAP {{{names}}})[lower(rtrim({whole}, '.'))], {whole}))"
    )
