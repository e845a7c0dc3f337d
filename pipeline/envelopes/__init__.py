"""Envelopes: what forwarders, containers and the journal put around a line.

A file of this package is one envelope: what it is, and how it is recognised. The kernels
`open_json`, `open_text` and `open_frames` open them, `pipeline.peel` stands between reader and
scanner.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, cast

from pipeline.envelopes.base import Envelope, Found, HeadLines
from pipeline.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from pipeline.envelopes.base import Recogniser

__all__ = ["NAMES", "Envelope", "Found", "find_envelope", "read_envelope"]

#: Name → module; of two that fit a head as well, the first is taken.
NAMES = {
    "docker": "docker",
    "cri": "cri",
    "journal-export": "journal_export",
    "octet-counting": "octet_counting",
    "journal-json": "journal_json",
    "vector": "vector",
    "filebeat": "filebeat",
    "cloudwatch": "cloudwatch",
    "cloudwatch-json": "cloudwatch_json",
    "fluentd": "fluentd",
    "fluent-bit": "fluent_bit",
}
#: A head with fewer lines in an envelope has none: a few such lines may stand in any log.
LEAST_SHARE = 0.5


def find_envelope(head_text: bytes, asked: str) -> Found | None:
    """Return the envelope that a file's lines are in.

    Parameters
    ----------
    head_text : bytes
        The first plain bytes of the file.
    asked : str
        What ``--envelope`` says: ``none``, ``auto``, a name, ``json:FIELD=PATH,…``.
    """
    if asked == "none":
        return None
    if asked != "auto":
        return Found(read_envelope(asked), None)
    head = HeadLines(head_text)
    best: Found | None = None
    for name in NAMES:
        share = _module(name).share(head)
        if share >= LEAST_SHARE and (best is None or best.share is None or share > best.share):
            best = Found(_module(name).ENVELOPE, share)
    return best


@lru_cache(maxsize=8)
def read_envelope(asked: str) -> Envelope:
    """Return the envelope that ``--envelope`` names.

    Raises
    ------
    UsageError
        There is none of this name, or its fields can't be read.
    """
    kind, colon, fields = asked.partition(":")
    if kind == "json":
        if not colon:
            raise UsageError(
                "--envelope json: says where the line stands: json:message=log,time=@timestamp"
            )
        return _read_json(fields)
    if asked not in NAMES:
        raise unknown_name("envelope", asked, ["none", "auto", "json:…", *NAMES])
    return _module(asked).ENVELOPE


def _read_json(text: str) -> Envelope:
    from pipeline.kernels.envelope_fields import FIELDS

    mapping: dict[str, tuple[str, ...]] = {}
    for part in text.split(","):
        name, equals, paths = part.partition("=")
        name = name.strip().lower()
        if name not in FIELDS:
            raise unknown_name("field of an envelope", name, FIELDS)
        if not equals or not all(paths.split("|")):
            raise UsageError(f"--envelope json:… takes FIELD=PATH, got {part!r}")
        if name in mapping:
            raise UsageError(f"--envelope json:… names {name} twice; write {name}=ONE|OTHER")
        mapping[name] = tuple(paths.split("|"))
    if "message" not in mapping:
        raise UsageError("--envelope json:… must say where the line stands: message=PATH")
    return Envelope("json", "json", tuple(mapping.items()))


def _module(name: str) -> Recogniser:
    return cast("Recogniser", import_module(f"pipeline.envelopes.{NAMES[name]}"))
