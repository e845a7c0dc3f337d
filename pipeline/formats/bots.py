"""Bots by their user agent: rules in a file, which become one SQL expression."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.duck import quote
from pipeline.errors import UsageError

_BUILT_IN = Path(__file__).with_name("bots.toml")
_SPECIAL = re.compile(r"[.^$*+?()\[\]{}|\\]")


@cache
def load_bots(path: str | None = None) -> tuple[dict[str, str], ...]:
    """Return the user's rules, where a file is given, and the built-in ones: text → bot, each.

    Raises
    ------
    UsageError
        The file can't be read, is no TOML, or a rule is wrong.
    """
    own = [_read(Path(path))] if path is not None else []
    return (*own, _read(_BUILT_IN))


def bot_sql(agent: str, path: str | None = None) -> str:
    """Return the SQL of the bot that a user agent names; NULL where it names none.

    One search for all texts of a file at once: a rule after the other would cost ten times as much.
    """
    found = [_one_file(agent, texts) for texts in load_bots(path) if texts]
    return f"coalesce({', '.join(found)})" if found else "NULL::VARCHAR"


def _one_file(agent: str, texts: dict[str, str]) -> str:
    # Of alternatives that begin at one place RE2 takes the first: so the longest stand first.
    ordered = sorted(texts, key=lambda text: (-len(text), text))
    pattern = "|".join(_SPECIAL.sub(r"\\\g<0>", text) for text in ordered)
    names = ", ".join(f"{quote(text)}: {quote(texts[text])}" for text in ordered)
    return (
        f"(MAP {{{names}}})[nullif(lower(regexp_extract({agent}, {quote(f'(?i){pattern}')})), '')]"
    )


def _read(path: Path) -> dict[str, str]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from None
    tables: Any = document.get("rule", [])
    if document.keys() - {"rule"} or not isinstance(tables, list):
        raise UsageError(f"{path}: a file of bots has [[rule]] tables only, in double brackets.")
    texts: dict[str, str] = {}
    for number, table in enumerate(tables, 1):
        name = table.get("bot") if isinstance(table, dict) else None
        listed = table.get("any") if isinstance(table, dict) else None
        if (
            not isinstance(name, str)
            or not name
            or not isinstance(listed, list)
            or not listed
            or not all(isinstance(text, str) and text for text in listed)
            or table.keys() - {"bot", "any"}
        ):
            raise UsageError(
                f'{path}: rule {number} reads bot = "NAME" and any = ["text of the agent", …], and '
                "has nothing else."
            )
        for text in listed:
            texts.setdefault(text.lower(), name)
    return texts
