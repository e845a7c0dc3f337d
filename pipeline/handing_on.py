"""What others get to see of a run: results, account, warnings and the command line.

Keys and passwords are left out of the command line, always. With ``--pseudonymise`` tokens stand in
all of it, and the command line is told without what the user asked for by name.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

    from pipeline.model import Account
    from pipeline.outputs.model import About
    from pipeline.pseudonyms import Pseudonyms

#: Options whose values name nobody, and those of which only the name is told.
_TOLD = (
    "to",
    "by",
    "since",
    "until",
    "day",
    "year",
    "log_tz",
    "report_tz",
    "top",
    "addresses",
    "envelope",
    "repeats",
)
_FLAGS = ("expand_repeats", "path_template", "rotated", "csv_safe")
_DEFAULTS = (("to", "table"), ("envelope", "auto"))
_HIDDEN = {
    "hosts": "--host",
    "processes": "--process",
    "where": "--where",
    "parameters": "-p",
    "key_path": "--pseudonymise",
}


class Veil:
    """What lies between a run and others; without ``--pseudonymise`` all is as it is."""

    def __init__(self, pseudonyms: Pseudonyms | None) -> None:
        self._replacer = None
        if pseudonyms is not None:
            from pipeline.pseudonym_columns import Replacer

            self._replacer = Replacer(pseudonyms)

    def table(self, table: pa.Table) -> pa.Table:
        """Return a result; tokens in it stay as they are."""
        return table if self._replacer is None else self._replacer.look_through(table)

    def account(self, account: Account) -> Account:
        """Return the account."""
        return account if self._replacer is None else self._replacer.account(account)

    def texts(self, texts: Iterable[str]) -> list[str]:
        """Return warnings."""
        return list(texts if self._replacer is None else map(self._replacer.text, texts))

    def about(self, about: Mapping[str, About]) -> dict[str, About]:
        """Return what is known of each job."""
        if self._replacer is None:
            return dict(about)
        names = self._replacer.names
        return {
            job: replace(one, question=names(one.question), charts=tuple(map(names, one.charts)))
            for job, one in about.items()
        }

    def command(
        self,
        arguments: Sequence[str],
        words: Sequence[str],
        sources: Sequence[str],
        options: Mapping[str, Any],
    ) -> str:
        """Return the command line.

        Parameters
        ----------
        arguments : sequence of str
            It, without the name of the command.
        words : sequence of str
            The command's name, or the jobs'.
        sources, options
            What was read from it.
        """
        if self._replacer is None:
            return shlex.join(["sawlog", *hide_secrets(arguments)])
        told = ["sawlog", self._replacer.names(",".join(words))]
        for name in _TOLD:
            if options[name] and (name, options[name]) not in _DEFAULTS:
                values = options[name] if isinstance(options[name], tuple) else (options[name],)
                told += [
                    part for one in values for part in (f"--{name.replace('_', '-')}", str(one))
                ]
        told += [f"--{name.replace('_', '-')}" for name in _FLAGS if options[name]]
        told = [shlex.quote(self._replacer.names(one)) for one in told]
        told += [f"{flag} ***" for name, flag in _HIDDEN.items() if options[name]]
        told += [f"--keep {options['keep']}"] if options["keep"] else []
        files = [shlex.quote(self._replacer.text(one)) for one in hide_secrets(sources)]
        return " ".join(told + files)


def hide_secrets(arguments: Sequence[str]) -> list[str]:
    """Return the command line without keys and passwords: a report is handed on."""
    text = "\0".join(arguments)
    text = re.sub(r"(?s)((?:^|\0)--storage-option[=\0][^=\0]*=)[^\0]*", r"\1***", text)
    return re.sub(r"(://[^/:@\0]*):[^/@\0]*@", r"\1:***@", text).split("\0")
