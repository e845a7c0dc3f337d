"""Keep credentials out of everything that is printed: URLs, messages, tables.

A URL that holds a password or a signature is shown without it. What was taken out travels as a
storage option whose name begins with NUL, and is put back when the store is opened.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_HIDDEN = "\0"
# As URL parsers have it, the last @ before the path ends the password.
_PASSWORD = re.compile(r"((?:^|::)[a-z0-9+.-]+://[^/:@?]*):([^/]*)@", re.IGNORECASE)
_SIGNED = re.compile(
    r"([?&][^=&]*(?:sig|signature|token|key|secret|credential|password|auth)[^=&]*=)[^&#]+",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(r"key|secret|token|pass|sas|cred|auth|signature|cookie", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d{1,18}")
_WORDS = {"true": True, "false": False, "null": None, "none": None}


def hide_secrets(url: str) -> tuple[str, dict[str, str]]:
    r"""Return a URL as it may be shown, and the options that bring back what it holds.

    Examples
    --------
    >>> hide_secrets("sftp://ann:pw@host/log")
    ('sftp://ann@host/log', {'\x00sftp://ann@host/': 'sftp://ann:pw@host/'})
    """
    secrets = {}
    shown = _PASSWORD.sub(r"\1@", url)
    if shown != url:
        at = shown.index("@")
        end = shown.find("/", at) + 1 or len(shown)
        secrets[_HIDDEN + shown[:end]] = url[: end + len(url) - len(shown)]
    if shown.startswith("http") and (signed := _SIGNED.sub(r"\1***", shown)) != shown:
        secrets = {_HIDDEN + signed: url}
        shown = signed
    return shown, secrets


def reveal_url(url: str, options: Mapping[str, str]) -> str:
    """Return the URL with the secrets that `hide_secrets` took out of it."""
    for name, value in options.items():
        if name.startswith(_HIDDEN) and url.startswith(name[1:]):
            return value + url[len(name) - 1 :]
    return url


def typed_options(options: Mapping[str, str]) -> dict[str, Any]:
    """Return storage options as the types that they look like, hidden ones left out.

    ``true``, ``false``, ``null``, numbers, JSON objects and lists are what they say; what may be
    a secret stays text: a password may look like a number.

    Examples
    --------
    >>> typed_options({"anon": "false", "port": "2222", "password": "2222"})
    {'anon': False, 'port': 2222, 'password': '2222'}
    """
    return {
        name: _typed(name, value) for name, value in options.items() if not name.startswith(_HIDDEN)
    }


def scrub(text: str, options: Mapping[str, str]) -> str:
    """Return a message with the values of secret options replaced."""
    for secret in sorted(set(_secrets(options)), key=len, reverse=True):
        if len(secret) >= 3:
            text = text.replace(secret, "***")
    return text


def _typed(name: str, value: str) -> Any:
    if value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    if value.lower() in _WORDS:
        return _WORDS[value.lower()]
    is_number = _NUMBER.fullmatch(value) and not _SECRET_NAME.search(name)
    return int(value) if is_number and "user" not in name else value


def _secrets(options: Mapping[str, str]) -> Iterator[str]:
    for name, value in options.items():
        if name.startswith(_HIDDEN):
            found = _PASSWORD.search(value)
            if found:
                yield found[2]
            yield from (one.partition("=")[2] for one in _SIGNED.findall(value))
            yield from _signatures(value)
        elif value[:1] == "{":
            try:
                yield from _secrets(dict(_flat(json.loads(value))))
            except ValueError:
                yield value
        elif _SECRET_NAME.search(name):
            yield value


def _signatures(url: str) -> Iterable[str]:
    return (found[0].partition("=")[2] for found in _SIGNED.finditer(url))


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _flat(below, str(key))
    elif isinstance(value, list):
        for below in value:
            yield from _flat(below, name)
    else:
        yield name, str(value)
