"""The formats there are: a file each in this folder, and the user's own."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.formats.base import Format, FormatOptions

_SUFFIX = "_format"
_FOLDER = Path(__file__).parent
#: Relations that are no format of this kind; a pattern can't be called like them.
TAKEN = ("lines", "mail", "messages", "deliveries")

#: Formats that the scanner itself knows.
_GENERAL = ("mail", "syslog", "text")


@cache
def builtin_formats() -> dict[str, Path]:
    """Return the files of built-in formats, by the names of their relations."""
    return {
        path.stem.removesuffix(_SUFFIX): path
        for path in sorted(_FOLDER.iterdir())
        if path.suffix in (".py", ".toml") and path.stem.endswith(_SUFFIX)
    }


def load_builtin(name: str, options: FormatOptions) -> Format:
    """Return a built-in format."""
    path = builtin_formats()[name]
    if path.suffix == ".toml":
        from pipeline.formats.patterns import read_patterns

        return read_patterns(path)
    module: Any = import_module(f"pipeline.formats.{path.stem}")
    made: Format = module.make_format(options)
    return made


def find_formats(options: FormatOptions, texts: Sequence[str] | None = None) -> dict[str, Format]:
    """Return the formats whose relations some queries name, and all of the user's own.

    Parameters
    ----------
    texts : sequence of str, optional
        Queries; without them all formats are loaded.

    Raises
    ------
    UsageError
        A file of patterns is wrong, or is called like something else.
    """
    found: dict[str, Format] = {}
    for path in options.patterns:
        from pipeline.formats.patterns import read_patterns

        own = read_patterns(Path(path))
        if own.name in TAKEN or own.name in found or own.name in builtin_formats():
            raise UsageError(f"{path}: there is another relation called {own.name!r}; rename it")
        found[own.name] = own
    for name in builtin_formats():
        if texts is None or name == options.only or _is_named(name, texts):
            found[name] = load_builtin(name, options)
    known = [*found, *builtin_formats(), *_GENERAL]
    if options.only is not None and options.only not in known:
        raise unknown_name("format", options.only, known)
    return found


def _is_named(name: str, texts: Iterable[str]) -> bool:
    word = re.compile(rf"\b{name}\b", re.IGNORECASE)
    return any(word.search(text) for text in texts)
