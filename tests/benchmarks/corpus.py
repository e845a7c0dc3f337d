"""The logs that are measured: the demo's text in every compression, with its true counts.

Run as a program it makes one corpus, ``python -m tests.benchmarks.corpus FOLDER SIZE_GB``: a
process of its own, since what takes much memory would show in the peaks that its parent measures.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from tests.benchmarks.measure import ROOT, BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Part of the folder's name: raise it when the files change.
VERSION = 2
N_PARTS = 4
#: Sizes up to this one also come as .bz2, .xz and .lz4, which take long to make.
SMALL_GB = 0.1

_PIECE_BYTES = 1 << 20
_FRAME_BYTES = 8 << 20
_MB_BYTES = 1_000_000
# Files on disk for each byte of text while a corpus is made: the text twice, gzip and zstd.
_DISK_SHARE = 3.0

Counts = dict[tuple[str, str], tuple[int, int]]  # (day, process) -> lines, bytes


@dataclass(frozen=True)
class Corpus:
    """One text and the files it is stored in."""

    folder: Path
    size_gb: float
    plain_bytes: int
    n_lines: int

    def path(self, name: str) -> str:
        """Return the path of a file; see the table in `_write_forms`."""
        return str(self.folder / name)

    @property
    def parts(self) -> tuple[str, ...]:
        """The text cut in four, each a gzip file."""
        return tuple(self.path(f"part-{n + 1}.log.gz") for n in range(N_PARTS))

    @property
    def has_other_compressions(self) -> bool:
        """Whether it comes as .bz2, .xz and .lz4, too."""
        return self.size_gb <= SMALL_GB

    def read_truth(self) -> Counts:
        """Return the true table, as counted while the text was made."""
        return read_counts((self.folder / "truth.csv").read_bytes())


def read_counts(text: bytes) -> Counts:
    """Read a volume table in CSV, with or without a header.

    Raises
    ------
    BenchmarkError
        If a group stands there twice.
    """
    counts = {}
    for day, process, lines, n_bytes in csv.reader(text.decode().splitlines()):
        if lines == "lines":
            continue
        if (day, process) in counts:
            raise BenchmarkError(f"{day} {process} stands there twice")
        counts[day, process] = int(lines), int(n_bytes)
    return counts


def default_folder() -> Path:
    """Return where corpora are kept: below the system's folder for temporary files."""
    return Path(tempfile.gettempdir()) / f"sawlog-benchmarks-{os.getuid()}"


def find_corpus(folder: Path, size_gb: float) -> Corpus:
    """Return the corpus of a size, made where it isn't there yet.

    Parameters
    ----------
    folder : Path
        Where corpora are kept.
    size_gb : float
        Plain bytes in 1e9, at least 0.001.

    Raises
    ------
    BenchmarkError
        If the folder belongs to someone else, or the disk has too little space.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise BenchmarkError(f"{folder}: belongs to another user. --corpus names another folder")
    place = folder / f"v{VERSION}-{size_gb:g}GB"
    if not place.exists():
        free = shutil.disk_usage(folder).free
        if free < _DISK_SHARE * size_gb * 1e9 + 1e9:
            raise BenchmarkError(
                f"{folder}: {free / 1e9:.1f} GB free, too little for logs of {size_gb:g} GB"
            )
        make = [sys.executable, "-m", "tests.benchmarks.corpus", str(place), str(size_gb)]
        subprocess.run(make, cwd=ROOT, check=True)
    facts = json.loads((place / "facts.json").read_text())
    return Corpus(place, size_gb, facts["plain_bytes"], facts["n_lines"])


def make_corpus(place: Path, size_gb: float) -> None:
    """Make the files of a corpus; ``place`` is there whole or not at all."""
    from pipeline.demo import make_demo

    partial = place.with_name(place.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        demo = make_demo(partial / "demo", round(size_gb * 1000))
        _write_text(demo.paths, partial / "plain.log")
        shutil.move(demo.truth / "volume.csv", partial / "truth.csv")
        end = (partial / "demo" / "maillog").stat().st_mtime
        shutil.rmtree(partial / "demo")
        os.utime(partial / "plain.log", (end, end))
        _write_forms(partial, size_gb)
        for path in partial.glob("*log*"):
            os.utime(path, (end, end))  # as logrotate leaves them
        facts = {"plain_bytes": demo.plain_bytes, "n_lines": demo.lines}
        (partial / "facts.json").write_text(json.dumps(facts))
        partial.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_text(paths: tuple[Path, ...], target: Path) -> None:
    """Join the demo's files, oldest first.

    Its few bytes that are not UTF-8 become question marks: DuckDB's ``read_csv`` refuses them.
    """
    import zstandard

    openers: dict[str, Callable[[Any], IO[bytes]]] = {
        ".gz": gzip.open, ".xz": lzma.open, ".zst": zstandard.open
    }  # fmt: skip
    ascii_only = bytes(range(128)) + b"?" * 128
    with target.open("wb") as text:
        for path in sorted(paths, key=lambda path: path.stat().st_mtime):
            with openers.get(path.suffix, lambda path: path.open("rb"))(path) as plain:
                while piece := plain.read(_PIECE_BYTES):
                    text.write(piece.translate(ascii_only))


def _write_forms(folder: Path, size_gb: float) -> None:
    """Write the text in every form; two files at a time, compressors release the GIL.

    ================== ==================================================================
    plain.log          the text
    gzip.log.gz        one member, level 6
    part-N.log.gz      the text cut in four at line ends
    zstd.log.zst       one frame, level 3, with checksum, as ``zstd -3`` makes it
    frames.log.zst     a frame for each 8 MiB, cut anywhere; half-N.log.zst: the same in two
    one.log .gz .zst   its last line
    mb.log             its last MB
    bzip2 xz lz4       small corpora only
    wrapped.log        each line in a JSON object, as Docker does; small corpora only
    ================== ==================================================================
    """
    source = folder / "plain.log"
    size = source.stat().st_size
    borders = [_next_line(source, size * n // N_PARTS) for n in range(N_PARTS)] + [size]
    last_line = _last_line(source)
    files = [("gzip.log.gz", 0, size), ("zstd.log.zst", 0, size)]
    files += [(f"part-{n + 1}.log.gz", *borders[n : n + 2]) for n in range(N_PARTS)]
    files += [(name, last_line, size) for name in ("one.log", "one.log.gz", "one.log.zst")]
    files += [("mb.log", _next_line(source, max(0, size - _MB_BYTES)), size)]
    if size_gb <= SMALL_GB:
        files += [(name, 0, size) for name in ("bzip2.log.bz2", "xz.log.xz", "lz4.log.lz4")]
    with ThreadPoolExecutor(2) as threads:
        jobs = [threads.submit(_copy, source, folder / name, a, b) for name, a, b in files]
        jobs.append(threads.submit(_write_frames, source, folder))
        if size_gb <= SMALL_GB:
            jobs.append(threads.submit(_wrap, source, folder / "wrapped.log"))
        for job in jobs:
            job.result()


def _wrap(source: Path, target: Path) -> None:
    """Put each line into an envelope, without a time: lines that have none must stay so."""
    with source.open() as lines, target.open("w") as wrapped:
        for line in lines:
            wrapped.write(json.dumps({"log": line, "stream": "stdout", "n": 1}) + "\n")


def _next_line(path: Path, offset: int) -> int:
    """Return the first place at or after ``offset`` where a line begins."""
    with path.open("rb") as text:
        if offset > 0:
            text.seek(offset - 1)
            text.readline()
        return text.tell()


def _last_line(path: Path) -> int:
    with path.open("rb") as text:
        text.seek(-min(10_000, path.stat().st_size), os.SEEK_END)
        return text.tell() + text.read().rstrip(b"\n").rfind(b"\n") + 1


class _Sink(Protocol):
    def write(self, plain: bytes, /) -> object: ...

    def close(self) -> object: ...


def _open_sink(path: Path, plain_bytes: int, mtime: float) -> _Sink:
    """Open a file that is compressed as its suffix says."""
    if path.suffix == ".gz":
        return gzip.GzipFile(path, "wb", 6, mtime=mtime)
    if path.suffix == ".zst":
        import zstandard

        compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
        return compressor.stream_writer(path.open("wb"), size=plain_bytes)
    if path.suffix == ".bz2":
        return bz2.open(path, "wb")
    if path.suffix == ".xz":
        return lzma.open(path, "wb", preset=1)
    if path.suffix == ".lz4":
        import lz4.frame

        return lz4.frame.open(path, "wb", content_checksum=True)
    return path.open("wb")


def _copy(source: Path, target: Path, start: int, stop: int) -> None:
    with closing(_open_sink(target, stop - start, source.stat().st_mtime)) as sink:
        for piece in _pieces(source, start, stop, _PIECE_BYTES):
            sink.write(piece)


def _pieces(source: Path, start: int, stop: int, piece_bytes: int) -> Iterator[bytes]:
    with source.open("rb") as text:
        text.seek(start)
        while piece := text.read(min(piece_bytes, stop - text.tell())):
            yield piece


def _write_frames(source: Path, folder: Path) -> None:
    import zstandard

    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
    size = source.stat().st_size
    done = 0
    with ExitStack() as stack:
        names = ("frames.log.zst", "half-1.log.zst", "half-2.log.zst")
        whole, *halves = (stack.enter_context((folder / name).open("wb")) for name in names)
        for piece in _pieces(source, 0, size, min(_FRAME_BYTES, size // N_PARTS)):
            frame = compressor.compress(piece)
            whole.write(frame)
            halves[2 * done >= size].write(frame)
            done += len(piece)


if __name__ == "__main__":
    make_corpus(Path(sys.argv[1]), float(sys.argv[2]))
