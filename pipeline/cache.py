"""The cache directory: what is kept there saves work, and may be removed at any time."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def default_cache_dir() -> Path:
    """Return the cache directory: ``$XDG_CACHE_HOME/sawlog``, else ``~/.cache/sawlog``.

    Raises
    ------
    RuntimeError
        If there is no home directory.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (cache if cache.is_absolute() else Path.home() / ".cache") / "sawlog"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all.

    Raises
    ------
    OSError
        It can't be written.
    """
    handle, name = tempfile.mkstemp(suffix=".tmp", prefix=path.stem, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
