"""Read pflogsumm's own command line, with the freedoms that the original takes.

Options may stand before and after the files, be abbreviated as long as that is unambiguous, begin
with ``-``, ``--`` or ``+``, be written in any case, and have underscores for dashes. Values stand
behind ``=`` or in the next argument.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ALL: Final = -1


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a report shall show. A limit of a detail is a number of rows; 0 none, negative all."""

    files: tuple[str, ...] = ()
    date: str | None = None
    hosts: int = ALL
    users: int = ALL
    bounce_detail: int = ALL
    deferral_detail: int = ALL
    reject_detail: int = ALL
    smtp_detail: int = ALL
    warning_detail: int = ALL
    message_detail: bool = False
    ignore_case: bool = False
    iso_dates: bool = False
    mail_queue: bool = False
    uucp_paths: bool = False
    no_size_report: bool = True
    problems_first: bool = False
    add_sender: bool = False
    add_recipient: bool = False
    quiet: bool = False
    smtpd_stats: bool = False
    syslog_name: str | None = None
    verbose_reasons: bool = False
    verp_level: int | None = None
    zero_fill: bool = False
    # Of versions after 1.1.5.
    weeks_begin_on_monday: bool = False
    postscreen_stats: bool = False
    postscreen_detail: int = 0
    unwrap_srs: bool = False
    use_orig_to: bool = False
    unprocessed_file: str | None = None
    # Asked for instead of a report.
    show_help: bool = False
    show_version: bool = False
    # To be told on stderr.
    notes: tuple[str, ...] = ()
    # Options of somebody else, with their values.
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Option:
    field: str
    kind: str = "flag"  # flag, integer, optional integer, text
    # What a flag sets, and by which option it is superseded.
    value: Any = True
    instead: str = ""


_CLASSIC: Final = {
    "bounce-detail": _Option("bounce_detail", "integer"),
    "d": _Option("date", "text"),
    "deferral-detail": _Option("deferral_detail", "integer"),
    "detail": _Option("detail", "integer"),
    "e": _Option("message_detail"),
    "h": _Option("hosts", "integer"),
    "help": _Option("show_help"),
    "i": _Option("ignore_case"),
    "ignore-case": _Option("ignore_case"),
    "iso-date-time": _Option("iso_dates"),
    "m": _Option("uucp_paths"),
    "mailq": _Option("mail_queue"),
    "no-bounce-detail": _Option("bounce_detail", value=0, instead="bounce-detail=0"),
    "no-deferral-detail": _Option("deferral_detail", value=0, instead="deferral-detail=0"),
    "no-no-msg-size": _Option("no_size_report", value=False),
    "no-reject-detail": _Option("reject_detail", value=0, instead="reject-detail=0"),
    "no-smtpd-warnings": _Option("warning_detail", value=0, instead="smtpd-warning-detail=0"),
    "problems-first": _Option("problems_first"),
    "q": _Option("quiet"),
    "rej-add-from": _Option("add_sender"),
    "reject-detail": _Option("reject_detail", "integer"),
    "smtp-detail": _Option("smtp_detail", "integer"),
    "smtpd-stats": _Option("smtpd_stats"),
    "smtpd-warning-detail": _Option("warning_detail", "integer"),
    "syslog-name": _Option("syslog_name", "text"),
    "u": _Option("users", "integer"),
    "uucp-mung": _Option("uucp_paths"),
    "verbose-msg-detail": _Option("verbose_reasons"),
    "verp-mung": _Option("verp_level", "optional integer"),
    "version": _Option("show_version"),
    "zero-fill": _Option("zero_fill"),
}
_NEWER: Final = {
    "dow0mon": _Option("weeks_begin_on_monday"),
    "pscrn-detail": _Option("postscreen_detail", "integer"),
    "pscrn-stats": _Option("postscreen_stats"),
    "rej-add-to": _Option("add_recipient"),
    "srs-mung": _Option("unwrap_srs"),
    "unprocd-file": _Option("unprocessed_file", "text"),
    "use-orig-to": _Option("use_orig_to"),
}
_NOT_HERE: Final = {
    "colwidth": "lines are not cut here",
    "config": "write the options on the command line",
    "dump-config": "there is no configuration file here",
    "x": "there is nothing to debug here",
}
_LIMITED: Final = (
    "hosts",
    "users",
    "bounce_detail",
    "deferral_detail",
    "smtp_detail",
    "warning_detail",
    "reject_detail",
)


def parse_arguments(
    args: Sequence[str], others: Mapping[str, bool] = MappingProxyType({})
) -> Arguments:
    """Read pflogsumm's arguments.

    Parameters
    ----------
    args : sequence of str
        What follows the name of the command.
    others : mapping of str to bool, optional
        Names of long options that are not pflogsumm's, and whether each takes a value. They are
        known by their full names only, and kept as they are.

    Returns
    -------
    Arguments
        ``detail`` is already spread over the limits that were not given.

    Raises
    ------
    UsageError
        An option is unknown (the nearest is named), ambiguous, or its value missing or wrong.

    Examples
    --------
    >>> parse_arguments(["-d", "yesterday", "--problems_first", "-u=5", "mail.log"]).users
    5
    """
    found: dict[str, Any] = {}
    files: list[str] = []
    notes: list[str] = []
    strange: list[str] = []
    rest = _with_dashes(args)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            files += rest
            break
        if not (parts := re.fullmatch(r"(?:--|-|\+)([^=]+)(?:=(.*))?", argument, re.DOTALL)):
            files.append(argument)
            continue
        if argument.startswith("--") and parts[1] in others:
            strange.append(argument)
            if others[parts[1]] and parts[2] is None:
                strange += rest[:1]
                del rest[:1]
            continue
        name = _complete(parts[1])
        option = _CLASSIC.get(name) or _NEWER[name]
        found[option.field] = _value(name, option, parts[2], rest)
        if option.instead:
            notes.append(f'"{name}" is deprecated, use "{option.instead}" instead')
    detail = found.pop("detail", None)
    if detail is not None:
        found |= {name: detail for name in _LIMITED if found.get(name, ALL) == ALL}
    return Arguments(files=tuple(files), notes=tuple(notes), others=tuple(strange), **found)


def _with_dashes(args: Sequence[str]) -> list[str]:
    """Return the arguments with ``--some_name`` as ``--some-name``, up to ``--``.

    The original turns the underscores of a value behind ``=``, too, so that no ``--syslog-name``
    may hold one. That is not kept.
    """
    end = list(args).index("--") if "--" in args else len(args)
    dashed = []
    for argument in args[:end]:
        if re.match(r"--\w", argument):
            name, equals, value = argument.partition("=")
            dashed.append(name.replace("_", "-") + equals + value)
        else:
            dashed.append(argument)
    return [*dashed, *args[end:]]


def _complete(written: str) -> str:
    """Return the full name of an option.

    What is unambiguous among the options of 1.1.5 stays so, whatever was added since.
    """
    name = written.lower()
    if name in _CLASSIC or name in _NEWER:
        return name
    if name in _NOT_HERE:
        raise UsageError(f"pflogsumm's option --{name} is not supported: {_NOT_HERE[name]}.")
    for known in (_CLASSIC, _NEWER):
        begun = [option for option in known if option.startswith(name)]
        if len(begun) == 1:
            return begun[0]
        if begun:
            raise UsageError(f"option {written!r} is ambiguous: {', '.join(begun)}.")
    raise unknown_name("option of pflogsumm", written, [*_CLASSIC, *_NEWER])


def _value(name: str, option: _Option, given: str | None, rest: list[str]) -> Any:
    """Return the value of an option; takes it from the front of ``rest`` if it stands there."""
    if option.kind == "flag":
        if given is not None:
            raise UsageError(f"option {name} does not take a value.")
        return option.value
    is_optional = option.kind == "optional integer"
    if given is None and rest and (not is_optional or _is_integer(rest[0])):
        given = rest.pop(0)
    if not given:
        if is_optional:
            return 0
        raise UsageError(f"option {name} requires a value.")
    if option.kind == "text":
        return given
    if not _is_integer(given):
        raise UsageError(f"the value of option {name} must be a whole number, got {given!r}.")
    return int(given.replace("_", ""))


def _is_integer(text: str) -> bool:
    return re.fullmatch(r"[-+]?_*[0-9][0-9_]*", text) is not None
