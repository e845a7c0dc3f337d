"""Cut source files into splits. Reads tables and headers, never lines."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import SourceError
from pipeline.model import Cut, Split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.compression.seek_index import SeekIndex, SourceIdentity
    from pipeline.model import SourceFile

#: Plain bytes that a split should hold, so that its own costs don't show.
SPLIT_PLAIN_BYTES = 64 << 20
#: Stored bytes from which on a gzip file gets a seek index. To make one costs a quarter of the
#: pass. Two workers, one decoding and one scanning, are busy without it, so only what takes
#: seconds is worth it to them; more workers would idle over one stream.
INDEX_BYTES = 160 << 20
INDEX_BYTES_MANY_WORKERS = 32 << 20
#: How much text a stored byte stands for, roughly; bzip2's splits are small since it is slow.
_RATIO = {"plain": 1, "bzip2": 32}
_USUAL_RATIO = 8
#: More tasks than this cost more than they bring.
MAX_SPLITS = 10_000


def choose_target_bytes(files: Sequence[tuple[SourceFile, str]], workers: int) -> int:
    """Choose the plain bytes of a split from the input.

    Parameters
    ----------
    files : sequence of (SourceFile, str)
        Each file with its compression.

    Returns
    -------
    int
        Enough splits that every worker has several, and few enough to be planned.
    """
    plain = sum((file.size or 0) * _RATIO.get(kind, _USUAL_RATIO) for file, kind in files)
    fair = plain // (4 * workers)
    return max(min(SPLIT_PLAIN_BYTES, fair), 4 << 20, plain // MAX_SPLITS)


def plan_splits(
    file: SourceFile,
    compression: str,
    target_bytes: int,
    *,
    is_exact: bool = False,
    needs_offset: bool = False,
    is_whole: bool = False,
    index: SeekIndex | None = None,
) -> list[Split]:
    """Cut one source file into splits.

    Parameters
    ----------
    target_bytes : int
        Wanted length of a split: plain bytes, by a rough ratio for the compression.
    is_exact : bool
        ``target_bytes`` are stored bytes, as the user asked with ``--split-size``.
    needs_offset : bool
        Only cuts with a known plain offset will do.
    is_whole : bool
        Don't cut it.
    index : SeekIndex, optional
        Of a gzip file; without one it is one split.

    Returns
    -------
    list of Split
        In file order, without gap or overlap; at least one, also for an empty file.
    """
    stored_target = (
        target_bytes if is_exact else max(1, target_bytes // _RATIO.get(compression, _USUAL_RATIO))
    )
    cuts: list[Cut]
    if is_whole:
        cuts = []
    elif index is not None:
        cuts = index.cuts(stored_target * _USUAL_RATIO)
    else:
        cuts = _find_cuts(file, compression, stored_target)
    if needs_offset and any(cut.plain_offset is None for cut in cuts):
        cuts = []
    edges: list[Cut | None] = [None, *cuts, None]
    return [
        Split(file, compression, index, start, stop)
        for index, (start, stop) in enumerate(pairwise(edges))
    ]


def find_index(
    file: SourceFile, compression: str, workers: int
) -> tuple[SourceIdentity | None, SeekIndex | None]:
    """Return the state of a big gzip file and the seek index that the cache holds for it.

    Returns
    -------
    tuple of (SourceIdentity or None, SeekIndex or None)
        No identity: the file needs no index, or none can be made of it here.
    """
    least = INDEX_BYTES if workers <= 2 else INDEX_BYTES_MANY_WORKERS
    if compression != "gzip" or file.size is None or file.size < least:
        return None, None
    from pipeline.compression import seek_index
    from pipeline.compression.seek_build import SeekIndexBuilder
    from pipeline.source import open_stored

    if not SeekIndexBuilder.is_worthwhile():
        return None, None
    try:
        with open_stored(file) as stored:
            identity = seek_index.identify(stored, _absolute(file.url), file.size, file.mtime)
    except (OSError, SourceError):
        return None, None
    return identity, seek_index.load(identity)


def _absolute(url: str) -> str:
    """Return a name that means the same file from every folder."""
    return url if "://" in url else str(Path(url).absolute())


def _find_cuts(file: SourceFile, compression: str, target_bytes: int) -> list[Cut]:
    from pipeline.compression import get_codec
    from pipeline.source import open_stored

    if file.size is None or file.size <= target_bytes:
        return []
    try:
        with open_stored(file) as stored:
            return get_codec(compression).find_cuts(stored, file.size, target_bytes)
    except (OSError, SourceError):  # reading the one split will say what is wrong
        return []
