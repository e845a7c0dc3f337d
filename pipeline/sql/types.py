"""DuckDB's types in text, and which of them survive Arrow and Parquet."""

from __future__ import annotations

import re
from typing import Any

from pipeline.sql.tree import literal, quote

# Measured on duckdb 2.0.0 with pyarrow 26, through Arrow and Parquet and back, twice:
#: values survive, the type needs a cast to come back
_RESTORED = re.compile(r"\b(?:HUGEINT|UUID|JSON|ENUM|TIMESTAMP_S)\b")
#: values or type are lost (UHUGEINT comes back negative, TIMETZ without its zone, BIT as BLOB)
_LOST = re.compile(r"\b(?:UHUGEINT|BIT|UNION|VARIANT|BIGNUM|GEOMETRY|TIMETZ)\b|TIME WITH TIME ZONE")
#: lost in a partial: Parquet knows no INTERVAL and no seconds, an ENUM comes back as VARCHAR
_LOST_IN_PARTIAL = re.compile(_LOST.pattern + r"|\b(?:INTERVAL|ENUM|TIMESTAMP_S)\b")
#: the type of a bare NULL, as the binder and as a bound plan spell it; it has no cast
NULL_TYPES = ('"NULL"', "NULL")
_SPELLED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")


def type_text(kind: dict[str, Any]) -> str:
    """Return the SQL text of a type as a bound plan spells it."""
    name: str = kind["id"]
    info = kind.get("type_info") or {}
    if info.get("alias") == "JSON":
        return "JSON"
    if name == "DECIMAL":
        return f"DECIMAL({info['width']},{info.get('scale', 0)})"
    if name == "ENUM":
        return f"ENUM({', '.join(literal(value) for value in info['values'])})"
    if name == "LIST":
        return type_text(info["child_type"]) + "[]"
    if name == "ARRAY":
        return f"{type_text(info['child_type'])}[{info['size']}]"
    if name == "MAP":
        fields = info["child_type"]["type_info"]["child_types"]
        return f"MAP({', '.join(type_text(field['second']) for field in fields)})"
    if name == "TUPLE":
        return f"TUPLE({', '.join(type_text(f['second']) for f in info['child_types'])})"
    if name == "STRUCT":
        fields = info["child_types"]
        return (
            f"STRUCT({', '.join(quote(f['first']) + ' ' + type_text(f['second']) for f in fields)})"
        )
    return name


def _names_of(kind: str) -> str:
    """Type without the labels of its ENUMs and the names of its fields."""
    return _SPELLED.sub("''", kind)


def needs_restoring(kind: str) -> bool:
    """Tell whether a column must be cast to its type again when it comes back from Arrow."""
    return _RESTORED.search(_names_of(kind)) is not None


def is_lost(kind: str) -> bool:
    """Tell whether Arrow loses values of this type."""
    return _LOST.search(_names_of(kind)) is not None


def is_lost_in_partial(kind: str) -> bool:
    """Tell whether Arrow, Parquet, or combining again loses values of this type."""
    return _LOST_IN_PARTIAL.search(_names_of(kind)) is not None


def restored(name: str, kind: str) -> str:
    """Return the expression that gives a column of a partial its type back."""
    if kind in NULL_TYPES:
        return "NULL"
    if is_lost_in_partial(kind) or needs_restoring(kind):
        return f"CAST({name} AS {kind})"
    return name


def transport(kind: str) -> str | None:
    """Return the type to which a column of a partial is cast on its way, None for its own.

    Raises
    ------
    ValueError
        If there is no such type.
    """
    if kind in NULL_TYPES:
        return "INTEGER"
    if not is_lost_in_partial(kind):
        return None
    plain = kind.split("(", maxsplit=1)[0]
    if plain in ("ENUM", "BIT", "INTERVAL", "TIMETZ", "TIME WITH TIME ZONE", "UHUGEINT") and (
        not kind.endswith("]")
    ):
        return "VARCHAR"
    if kind == "TIMESTAMP_S":
        return "TIMESTAMP"
    raise ValueError(kind)
