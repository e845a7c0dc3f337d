"""String arrays: building, reading and rewriting them, and escapes for what can't be seen.

Arrays are built from buffers here: ``pyarrow.array`` imports pandas where that is installed.
"""

from __future__ import annotations

import json
from array import array as numbers
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.outputs import compute as pc
from pipeline.text import is_hostile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: 64-bit offsets: one row may be long.
TEXT = pa.large_string()
# Cc: C0, DEL, C1. Cf: bidi marks and overrides, zero-width characters, soft hyphen, tags.
# Zl, Zp: line and paragraph separator. None of them can be seen, most of them move what can.
HOSTILE = r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]"


def build_texts(values: Iterable[str]) -> pa.Array:
    """Return a string array of these values, none of them null."""
    encoded = [value.encode("utf-8", "surrogateescape") for value in values]
    offsets = numbers("q", [0])
    stop = 0
    for value in encoded:
        stop += len(value)
        offsets.append(stop)
    return pa.LargeStringArray.from_buffers(
        len(encoded), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))
    )


def read_texts(array: pa.Array) -> list[str | None]:
    """Return the strings of an array; bytes that are not UTF-8 become U+FFFD."""
    try:
        texts: list[str | None] = array.to_pylist()
    except UnicodeDecodeError:
        texts = [
            None if value is None else value.decode("utf-8", "replace")
            for value in pc.cast(array, pa.large_binary()).to_pylist()
        ]
    return texts


def glue(*parts: pa.Array | str, separator: str = "") -> pa.Array:
    """Return the parts of each row as one text; null where one of them is."""
    # binary_join_element_wise takes one type only, and a plain str is not this one.
    return pc.join(
        *(pa.scalar(part, TEXT) if isinstance(part, str) else part for part in parts),
        pa.scalar(separator, TEXT),
    )


def join_rows(array: pa.Array) -> bytes:
    """Return the bytes of a string array without nulls, one row right after the other."""
    _, offsets, data = array.buffers()
    stops = memoryview(offsets).cast("q")
    start, stop = stops[array.offset], stops[array.offset + len(array)]
    return bytes(memoryview(data)[start:stop]) if data is not None else b""


def rewrite(texts: pa.Array, pattern: str, change: Callable[[str], str]) -> pa.Array:
    """Return the texts with those changed that match an RE2 pattern; made for few matches."""
    hits = pc.fill_null(pc.matches(texts, pattern), False)  # noqa: FBT003
    if not pc.any_true(hits):
        return texts
    changed = build_texts([change(text or "") for text in read_texts(texts.filter(hits))])
    return pc.replace_where(texts, hits, changed)


def quote_json(text: str) -> str:
    r"""Return the text as a JSON string: Unicode as it is, what can't be seen as ``\uXXXX``."""
    quoted = json.dumps(text, ensure_ascii=False)
    if quoted.isprintable():
        return quoted
    return "".join(json.dumps(c)[1:-1] if is_hostile(c) else c for c in quoted)
