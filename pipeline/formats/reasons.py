"""Classes of reasons ("timed out", "unknown user") by rules that a user's file can extend."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError

OTHER = "other"
_BUILT_IN = Path(__file__).with_name("reasons.toml")
_KEYS = {"class", "any", "match"}


class Rules:
    """Ordered rules: class → a pattern, the first that fits decides.

    Parameters
    ----------
    rules : list of (str, re.Pattern)
        Class, and what must be found in a reason.
    """

    def __init__(self, rules: list[tuple[str, re.Pattern[str]]]) -> None:
        self.rules = rules

    @property
    def classes(self) -> list[str]:
        """The classes, in the order of their first rules."""
        return list(dict.fromkeys([*(name for name, _ in self.rules), OTHER]))

    def classify(self, template: str) -> str:
        """Return the class of a reason, or of a reason's template.

        Examples
        --------
        >>> load_rules().classify("Recipient address rejected: User unknown")
        'unknown user'
        """
        return next((name for name, pattern in self.rules if pattern.search(template)), OTHER)


def classify(template: str) -> str:
    """Return the class of a reason by the built-in rules."""
    return load_rules().classify(template)


@cache
def load_rules(path: str | None = None) -> Rules:
    """Return the built-in rules, after those of a user's file.

    Parameters
    ----------
    path : str, optional
        A TOML file of ``[[rule]]`` tables with ``class`` and ``any`` (texts, whatever their case)
        or ``match`` (regular expressions) or both.

    Raises
    ------
    UsageError
        If the file can't be read, is no TOML, or a rule is wrong. Names file, rule and place.
    """
    rules = _read(Path(path)) if path is not None else []
    return Rules(rules + _read(_BUILT_IN))


def _read(path: Path) -> list[tuple[str, re.Pattern[str]]]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from None
    unknown = document.keys() - {"rule"}
    if unknown:
        raise UsageError(
            f"{path}: unknown key {min(unknown)!r}. A file of rules has [[rule]] only."
        )
    tables = document.get("rule", [])
    if not isinstance(tables, list):
        raise UsageError(f"{path}: rules are written as [[rule]], in double brackets.")
    return [_rule(path, number, table) for number, table in enumerate(tables, 1)]


def _rule(path: Path, number: int, table: Any) -> tuple[str, re.Pattern[str]]:
    where = f"{path}: rule {number}"
    if not isinstance(table, dict):
        raise UsageError(f"{where}: a rule is a table with class and any or match.")
    name = table.get("class")
    if not isinstance(name, str) or not name:
        raise UsageError(f'{where}: needs a class, such as class = "greylisted".')
    where += f" ({name!r})"
    unknown = table.keys() - _KEYS
    if unknown:
        known = ", ".join(sorted(_KEYS))
        raise UsageError(f"{where}: unknown key {min(unknown)!r}. Known: {known}.")
    parts = [re.escape(text) for text in _texts(where, table, "any")]
    for place, pattern in enumerate(_texts(where, table, "match"), 1):
        try:
            re.compile(pattern)
        except re.error as error:
            at = "" if error.pos is None else f"\n  {pattern}\n  {' ' * error.pos}^"
            raise UsageError(
                f"{where}: match {place} is no regular expression: {error.msg}{at}"
            ) from None
        parts.append(f"(?:{pattern})")
    if not parts:
        raise UsageError(f"{where}: needs texts in any, or regular expressions in match.")
    return name, re.compile("|".join(parts), re.IGNORECASE)


def _texts(where: str, table: dict[str, Any], key: str) -> list[str]:
    texts = table.get(key, [])
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise UsageError(f'{where}: {key} is a list of texts, such as {key} = ["timed out"].')
    return texts
