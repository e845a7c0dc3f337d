"""The files of the demo archive: compressed while they are written, dated as logrotate does."""

from __future__ import annotations

import gzip
import lzma
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from pipeline.demo.timeline import ROTATIONS, unix_time

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

#: Name and compression of each file, oldest first.
FILES = (
    ("maillog.4", "xz"),
    ("maillog.3", "zstd"),
    ("maillog.2", "gzip"),
    ("maillog.1", "plain"),
    ("maillog", "plain"),
)
_SUFFIXES = {"xz": ".xz", "zstd": ".zst", "gzip": ".gz", "plain": ""}
FILE_NAMES = tuple(name + _SUFFIXES[compression] for name, compression in FILES)

_GZIP_LEVEL = 6
_ZSTD_LEVEL = 3
# Higher presets take five times as long for a tenth less; the demo is made in a few seconds.
_XZ_PRESET = 1
# Blocks that may wait for the compressor: they bound the memory of a fast generator.
_MAX_WAITING = 3


class _Sink(Protocol):
    def write(self, plain: bytes, /) -> object: ...


@dataclass(slots=True)
class FileCount:
    """What a file holds; ``first`` and ``last`` are times of the demo, -1 without lines."""

    name: str
    compression: str
    stored_bytes: int = 0
    plain_bytes: int = 0
    lines: int = 0
    first: int = -1
    last: int = -1


class Archive:
    """Writes the five files one after the other; a thread compresses what has been handed in.

    Parameters
    ----------
    folder : Path
        Where the files are made; it exists.
    """

    def __init__(self, folder: Path) -> None:
        self.counts: list[FileCount] = []
        self._folder = folder
        self._thread = ThreadPoolExecutor(1)
        self._waiting: deque[Future[object]] = deque()
        self._open = ExitStack()
        self._sink: _Sink | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        try:
            if kind is None:
                self._finish()
        finally:
            self._thread.shutdown(cancel_futures=True)
            self._open.close()

    def write(self, file: int, plain: bytes, lines: int, first: int, last: int) -> None:
        """Append whole lines to the file with this place in `FILES`.

        Raises
        ------
        OSError
            If these or earlier lines can't be written.
        """
        if file == len(self.counts):
            self._finish()
            self._begin(file)
        count = self.counts[file]
        count.plain_bytes += len(plain)
        count.lines += lines
        if lines:
            count.first = first if count.first < 0 else count.first
            count.last = last
        if len(self._waiting) == _MAX_WAITING:
            self._waiting.popleft().result()
        assert self._sink is not None
        self._waiting.append(self._thread.submit(self._sink.write, plain))

    def _begin(self, file: int) -> None:
        count = FileCount(FILE_NAMES[file], FILES[file][1])
        self.counts.append(count)
        stored = self._open.enter_context((self._folder / count.name).open("wb"))
        if count.compression == "gzip":
            # As gzip does: the time of the last write to the plain file stands in the header.
            mtime = unix_time(ROTATIONS[file])
            self._sink = self._open.enter_context(
                gzip.GzipFile("", "wb", _GZIP_LEVEL, stored, mtime)
            )
        elif count.compression == "zstd":
            import zstandard

            compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True)
            self._sink = self._open.enter_context(compressor.stream_writer(stored, closefd=False))
        elif count.compression == "xz":
            packed = lzma.LZMAFile(stored, "wb", preset=_XZ_PRESET)  # noqa: SIM115  the stack closes it
            self._sink = self._open.enter_context(packed)
        else:
            self._sink = stored

    def _finish(self) -> None:
        """Write the current file to its end and set its time."""
        while self._waiting:
            self._waiting.popleft().result()
        self._open.close()
        if not self.counts:
            return
        count = self.counts[-1]
        path = self._folder / count.name
        file = len(self.counts) - 1
        # Renamed and compressed files keep the time of their last write, the rotation.
        mtime = unix_time(ROTATIONS[file] if file < len(ROTATIONS) else count.last)
        os.utime(path, (mtime, mtime))
        count.stored_bytes = path.stat().st_size
