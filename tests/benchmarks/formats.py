"""Logs of other formats, as large as a corpus, made beside it once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.access_logs import access_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PATTERN = """
name = "app"

[[pattern]]
name = "request"
template = "{time:iso} {level} [{thread}] {logger} - {user} took {took:float} ms: {said:rest}"

[[pattern]]
name = "other"
template = "{time:iso} {level} [{thread}] {logger} - {said:rest}"
"""
_LEVELS = ("INFO", "WARN", "DEBUG", "ERROR")


@dataclass(frozen=True)
class Formats:
    """Where the logs lie; ``one`` is one line of ``access``."""

    access: Path
    app: Path
    json: Path
    pattern: Path
    one: Path


def make_formats(folder: Path, plain_bytes: int) -> Formats:
    """Write the logs that are not there yet."""
    made = Formats(
        *(folder / f"formats.{name}" for name in ("access", "app", "ndjson", "toml", "one"))
    )
    lines = access_lines(20_000)
    _write(made.one, lines[:1], 0)
    _write(made.access, lines, plain_bytes)
    _write(made.app, [_app_line(k) for k in range(20_000)], plain_bytes)
    _write(made.json, [_json_line(k) for k in range(20_000)], plain_bytes)
    made.pattern.write_text(_PATTERN)
    return made


def _stamp(k: int) -> str:
    return f"2024-01-{k // 700 + 1:02} {k % 24:02}:{k % 60:02}:00,{k % 1000:03}"


def _app_line(k: int) -> str:
    what = (
        f"user{k % 997} took {k % 5000 / 10} ms: POST /api/v1/items" if k % 3 else "cache refreshed"
    )
    return f"{_stamp(k)} {_LEVELS[k % 4]} [worker-{k % 16}] org.example.app.Requests - {what}"


def _json_line(k: int) -> str:
    stamp = _stamp(k).replace(" ", "T").replace(",", ".") + "Z"
    request = {"path": "/api/v1/items", "took": k % 5000 / 10}
    fields = {
        "@timestamp": stamp,
        "level": _LEVELS[k % 4],
        "status": 200 + k % 5,
        "request": request,
    }
    return json.dumps({**fields, "message": "a message of usual length, with words in it"})


def _write(path: Path, lines: Sequence[str], plain_bytes: int) -> None:
    """Write the lines again and again, until there are enough bytes."""
    if path.exists() and path.stat().st_size >= plain_bytes:
        return
    text = "".join(f"{line}\n" for line in lines).encode()
    with path.open("wb") as out:
        out.writelines(text for _ in range(max(1, -(-plain_bytes // len(text)))))
