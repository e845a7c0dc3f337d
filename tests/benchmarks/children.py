"""What a peer in Python runs, in a process of its own: ``python children.py PEER PATH...``."""

from __future__ import annotations

import sys

# One regular expression for both columns: as fast as two in DuckDB 2.0.0, or faster.
_VOLUME = r"""
SELECT head.day, coalesce(nullif(head.process, ''), '(no tag)'), count(*), sum(bytes)
FROM (
  SELECT coalesce(strlen(line), 0) + 1 AS bytes, regexp_extract(line,
    '^([A-Z][a-z][a-z] [ 0-9][0-9]) .{8} [^ ]+ (?:([^ :\[]+)[:\[])?', ['day', 'process']) AS head
  FROM read_csv($paths, columns = {'line': 'VARCHAR'}, delim = '\x01', quote = '', escape = '',
                header = false, auto_detect = false)
)
GROUP BY ALL
"""


def run_duckdb(paths: list[str]) -> None:
    """Print the volume table as DuckDB makes it, with its own threads and decompressors."""
    import duckdb

    for row in duckdb.execute(_VOLUME.replace("\\x01", "\x01"), {"paths": paths}).fetchall():
        print(*row, sep=",")


def run_dask_bag(paths: list[str]) -> None:
    """Print the volume table as dask.bag makes it, on its default scheduler: processes."""
    import dask.bag

    lines = dask.bag.read_text(paths, blocksize="16MiB", encoding="latin-1")
    for (day, process), (n_lines, n_bytes) in lines.foldby(
        _key, _count, (0, 0), _add, (0, 0)
    ).compute():
        print(day, process, n_lines, n_bytes, sep=",")


def _key(line: str) -> tuple[str, str]:
    words = line.split(None, 5)
    if len(words) < 5 or line[0].isspace():
        return "", "(no tag)"
    tag = words[4]
    end = min(n for n in (tag.find("["), tag.find(":"), len(tag)) if n >= 0)
    return line[:6], tag[:end] if end < len(tag) else "(no tag)"


def _count(total: tuple[int, int], line: str) -> tuple[int, int]:
    return total[0] + 1, total[1] + len(line)


def _add(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]


def run_igzip(paths: list[str]) -> None:
    """Print the plain bytes of gzip files, decoded by igzip and dropped; two files at a time."""
    from concurrent.futures import ThreadPoolExecutor

    if len(paths) == 1:
        print(_decode(paths[0]))
        return
    with ThreadPoolExecutor(2) as threads:
        print(sum(threads.map(_decode, paths)))


def _decode(path: str, step_bytes: int = 256 << 10) -> int:
    """Return the plain bytes of one gzip member. The step is the fastest of 256 KiB to 1 MiB."""
    from isal import igzip_lib

    decoder = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_GZIP)  # checks the CRC
    n_bytes = 0
    with open(path, "rb", buffering=0) as stored:  # noqa: PTH123  pathlib is slow to import
        while not decoder.eof:
            piece = stored.read(step_bytes // 2) if decoder.needs_input else b""
            n_bytes += len(decoder.decompress(piece, step_bytes))
    return n_bytes


if __name__ == "__main__":
    peer, *sources = sys.argv[1:]
    {"duckdb": run_duckdb, "dask.bag": run_dask_bag, "igzip": run_igzip}[peer](sources)
