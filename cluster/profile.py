"""Profiles: the settings of a cluster, in TOML, each key checked."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError, unknown_name

PROFILES = Path(__file__).parent / "profiles"
#: Module of each target, imported when it is used.
TARGETS = {
    "kubernetes": "cluster.kubernetes",
    "local": "cluster.local",
    "slurm": "cluster.slurm",
    "ssh": "cluster.ssh",
}

_SIZE = re.compile(r"\d+(\.\d+)? ?[KMGT]i?B")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?")
_IMAGE = re.compile(r"[a-z0-9][-a-zA-Z0-9._/:@]{0,250}")
_WALLTIME = re.compile(r"(\d+-)?\d{1,3}:\d\d(:\d\d)?")


@dataclass(frozen=True, slots=True)
class Key:
    """What a profile's key may be.

    Attributes
    ----------
    kind : type
        ``str``, ``int`` or ``list`` (of texts).
    default : str, int, tuple or None
        None: the key must be given.
    form : re.Pattern or None
        What a text must look like, unless it is empty.
    like : str
        An example for the message.
    """

    kind: type
    default: Any = None
    form: re.Pattern[str] | None = None
    like: str = ""
    least: int = 0


_SHARED = {
    "workers": Key(int, least=1),
    "threads": Key(int, 0),
    "memory": Key(str, "", _SIZE, "4GiB"),
    "timeout_s": Key(int, 60, least=1),
}
_TLS = {
    "tls_ca": Key(str, "~/.config/sawlog/tls/ca.pem"),
    "tls_cert": Key(str, "~/.config/sawlog/tls/cert.pem"),
    "tls_key": Key(str, "~/.config/sawlog/tls/key.pem"),
}
#: The keys of each target, beside ``target``.
KEYS: dict[str, dict[str, Key]] = {
    "local": {**_SHARED, "workers": Key(int, 0), "folder": Key(str, "")},
    "ssh": {
        **_SHARED,
        **_TLS,
        "hosts": Key(list, None, like='["mx1", "mx2"]'),
        "workers": Key(int, 1, least=1),
        "port": Key(int, 22, least=1),
        "user": Key(str, ""),
        "identity": Key(str, ""),
        "known_hosts": Key(str, "~/.ssh/known_hosts"),
        "python": Key(str, ""),
        "folder": Key(str, ""),
    },
    "slurm": {
        **_SHARED,
        **_TLS,
        "threads": Key(int, least=1),
        "memory": Key(str, None, _SIZE, "4GiB"),
        "walltime": Key(str, "01:00:00", _WALLTIME, "04:00:00"),
        "partition": Key(str, ""),
        "account": Key(str, ""),
        "interface": Key(str, ""),
        "python": Key(str, ""),
        "folder": Key(str, ""),
        "logs": Key(str, "sawlog-slurm"),
        "directives": Key(list, ()),
        "prologue": Key(list, ()),
    },
    "kubernetes": {
        **_SHARED,
        **_TLS,
        "timeout_s": Key(int, 300, least=1),
        "threads": Key(int, 2, least=1),
        "memory": Key(str, "4GiB", _SIZE, "4GiB"),
        "namespace": Key(str, "sawlog", _NAME, "logs"),
        "name": Key(str, "sawlog", _NAME, "sawlog"),
        "image": Key(str, None, _IMAGE, "registry.example.org/sawlog:0.1.0"),
        "context": Key(str, ""),
        "tls_secret": Key(str, "sawlog-tls", _NAME, "sawlog-tls"),
        "store_secret": Key(str, "sawlog-store", _NAME, "sawlog-store"),
        "manifest": Key(str, ""),
    },
}


@dataclass(frozen=True, slots=True)
class Profile:
    """Checked settings; ``profile["workers"]``.

    Attributes
    ----------
    name : str
        As the user gave it.
    is_insecure : bool
        Without TLS, though traffic leaves the machine.
    """

    name: str
    target: str
    values: dict[str, Any]
    is_insecure: bool = False

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    @property
    def n_workers(self) -> int:
        """Worker processes, of all hosts."""
        if self.target == "local":
            return n_local_workers(self)
        return int(self["workers"]) * max(1, len(self.values.get("hosts", ())))

    @property
    def n_threads(self) -> int:
        """Threads of all workers."""
        if self.target == "local":
            return self.n_workers * n_local_threads(self)
        return self.n_workers * int(self["threads"] or os.cpu_count() or 1)

    @property
    def is_elsewhere(self) -> bool:
        """The workers are on other machines, as far as is known."""
        return self.target != "local"


def n_local_workers(profile: Profile) -> int:
    """Return the number of worker processes on this machine."""
    cores = len(os.sched_getaffinity(0))
    return profile["workers"] or min(cores, max(2, cores // 4))


def n_local_threads(profile: Profile) -> int:
    """Return the threads of each worker process on this machine."""
    cores = len(os.sched_getaffinity(0))
    return profile["threads"] or max(1, cores // n_local_workers(profile))


def read_profile(name: str, *, is_insecure: bool = False) -> Profile:
    """Read a profile by its name (``slurm``) or path (``my/cluster.toml``).

    Raises
    ------
    UsageError
        There is none, or something in it is wrong.
    """
    path = PROFILES / f"{name}.toml"
    if name.endswith(".toml"):
        path = Path(name).expanduser()
    elif name not in TARGETS:
        raise unknown_name("cluster", name, TARGETS)
    try:
        with path.open("rb") as file:
            given = tomllib.load(file)
    except OSError as error:
        raise UsageError(f"the profile {path} can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the profile {path} is no TOML: {error}") from None
    target = given.pop("target", None)
    if target is None:
        raise UsageError(
            f'the profile {path} does not say where it runs: target = "local", or '
            f"{', '.join(one for one in TARGETS if one != 'local')}"
        )
    if not isinstance(target, str) or target not in TARGETS:
        raise unknown_name(f"target in the profile {path}", str(target), TARGETS)
    return Profile(name, target, _checked(given, KEYS[target], path), is_insecure)


def _checked(given: dict[str, Any], keys: dict[str, Key], path: Path) -> dict[str, Any]:
    for name in given:
        if name not in keys:
            raise unknown_name(f"key in the profile {path}:", name, keys)
    values = {}
    for name, key in keys.items():
        value = given.get(name, key.default)
        if value is None or (key.default is None and value in ("", [])):
            raise UsageError(f"the profile {path} lacks {name}{_like(key)}")
        if name in given:
            _check(value, key, f"{name} in the profile {path}")
        values[name] = tuple(value) if key.kind is list else value
    return values


def _check(value: Any, key: Key, what: str) -> None:
    kind = key.kind
    if not issubclass(type(value), kind) or value is True or value is False:
        name = {str: "a text", int: "a whole number", list: "a list of texts"}[kind]
        raise UsageError(f"{what} must be {name}, not {value!r}")
    if kind is int and value < key.least:
        raise UsageError(f"{what} must be at least {key.least}, not {value}")
    if key.kind is list and not all(isinstance(one, str) for one in value):
        raise UsageError(f"{what} must be a list of texts, not {value!r}")
    if key.form is not None and value and not key.form.fullmatch(value):
        raise UsageError(f"{what} can't be {value!r}{_like(key)}")
    texts = value if key.kind is list else [value] if key.kind is str else []
    if any(not one.isprintable() or one.startswith("-") for one in texts):
        raise UsageError(f"{what} has a character that can't stand there: {value!r}")


def _like(key: Key) -> str:
    return f". Write it like {key.like}" if key.like else ""
