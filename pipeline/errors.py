"""Every error that the engine raises on purpose.

SawlogError
├── UsageError              the run was asked for something impossible (exit 2)
│   └── QueryError          a job's SQL is wrong, or can't be split; points into the job's text
├── SourceError             an input is missing, can't be listed or opened
├── DamageError             stored bytes can't be turned into plain bytes
├── LimitError              a limit that the user set, or the machine has, was reached
├── ClusterError            a cluster can't be started or reached, or was lost during the run
└── OutputError             a result can't be written

StoreError, an OSError, is what handles on files in stores raise; it ends as one of the above.
A user's mistake never shows a traceback: ``pipeline.cli`` prints these, anything else is a bug.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class SawlogError(Exception):
    """Base of all errors raised on purpose."""


class UsageError(SawlogError):
    """The run was asked for something impossible: wrong option, unknown name, wrong query."""


class QueryError(UsageError):
    """A query is wrong or can't be split into map and reduce.

    Parameters
    ----------
    message : str
        What is wrong, and the way out.
    sql : str, optional
        The query as its author wrote it.
    position : int, optional
        0-based offset of the place in ``sql``, in characters.
    """

    def __init__(self, message: str, sql: str = "", position: int | None = None) -> None:
        super().__init__(message, sql, position)
        self.message = message
        self.sql = sql
        self.position = position

    def __str__(self) -> str:
        if self.position is None or not self.sql:
            return self.message
        position = min(self.position, len(self.sql))
        row = self.sql.count("\n", 0, position)
        start = self.sql.rfind("\n", 0, position) + 1
        line = self.sql[start:].split("\n", 1)[0]
        mark = " " * (position - start) + "^"
        return f"{self.message}\n  line {row + 1}: {line}\n  {' ' * len(f'line {row + 1}:')} {mark}"


class SourceError(SawlogError):
    """An input is missing, can't be listed or can't be opened.

    Parameters
    ----------
    url : str
        The input.
    kind : str
        ``missing``, ``denied``, ``unreadable``, ``changed`` or ``no match``.
    detail : str
        What the store said.
    """

    def __init__(self, url: str, kind: str, detail: str = "") -> None:
        super().__init__(url, kind, detail)
        self.url = url
        self.kind = kind
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.url}: {self.kind}" + (f" ({self.detail})" if self.detail else "")


class StoreError(OSError):
    """A store failed while a file was read; an OSError, as of any other handle.

    Parameters
    ----------
    kind : str
        As of `SourceError`, or ``changed``.
    detail : str
        What happened, without secrets.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class DamageError(SawlogError):
    """Stored bytes can't be turned into plain bytes from here on.

    Raised by a plain reader only after it has delivered every plain byte before the damage.

    Parameters
    ----------
    kind : str
        ``truncated`` (the file ends early), ``corrupt`` (a decoder or a checksum refuses),
        ``trailing garbage`` (bytes after a complete file that are not part of it),
        ``unreadable`` (the store failed) or ``changed`` (it gives another object now).
    stored_offset : int
        Offset in the source file of the unit (member, frame, block) or byte that is damaged.
    plain_offset : int or None
        Plain bytes of the file before the damage; None where the reader began inside the file
        at an unknown plain offset.
    detail : str
        What the decoder said.
    """

    def __init__(
        self, kind: str, stored_offset: int, plain_offset: int | None, detail: str = ""
    ) -> None:
        # Positional arguments only: the error crosses process borders and is rebuilt from .args.
        super().__init__(kind, stored_offset, plain_offset, detail)
        self.kind = kind
        self.stored_offset = stored_offset
        self.plain_offset = plain_offset
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.kind} at stored byte {self.stored_offset:,}" + (
            f": {self.detail}" if self.detail else ""
        )


class LimitError(SawlogError):
    """A limit that the user set, or the machine has, was reached."""


class ClusterError(SawlogError):
    """A cluster can't be started or reached, or was lost during the run."""


class OutputError(SawlogError):
    """A result can't be written."""


class StateError(SawlogError):
    """The kept partials of earlier runs can't be used, or another run uses them."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for an unknown name: it lists the known ones and the nearest."""
    from difflib import get_close_matches

    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UsageError(f"unknown {what} {name!r}.{hint} Known: {', '.join(names)}.")
