"""Texts for people: sizes, and strangers' text made harmless for a terminal."""

from __future__ import annotations

from unicodedata import category

# Cc: C0, DEL, C1. Cf: bidi marks and overrides, zero-width characters, soft hyphen, tags. Cs:
# surrogates. Zl, Zp: line and paragraph separator. They can't be seen, and move what can.
_HOSTILE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_SHORT_ESCAPES = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def is_hostile(character: str) -> bool:
    """Tell whether a character can't be seen, so that it had better be shown as an escape."""
    return not character.isprintable() and category(character) in _HOSTILE_CATEGORIES


def escape_visibly(text: str) -> str:
    r"""Return the text with every character that can't be seen written as an escape.

    Examples
    --------
    >>> print(escape_visibly("a\x1b[31mb\u202e\n"))
    a\x1b[31mb\u202e\n
    """
    if text.isprintable():
        return text
    return "".join(_escape(character) for character in text)


def _escape(character: str) -> str:
    if not is_hostile(character):
        return character
    code = ord(character)
    if code < 0x100:
        return _SHORT_ESCAPES.get(character) or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def in_bytes(n: float) -> str:
    """Return a number of bytes for people: ``468 MB``."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if n < 999.5 or unit == "TB":
            break
        n /= 1000
    return f"{n:.0f} {unit}" if unit == "B" or n >= 99.5 else f"{n:.1f} {unit}"


def say_number(value: object) -> str:
    """Return a number for people: ``12,345``; ``none`` where there is none."""
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def clean(text: str) -> str:
    """Return a file's name as text that can be written anywhere: a name may be no UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
