"""The command lines that are measured: sawlog's, and those of the tools beside it."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.corpus import Corpus, Counts, read_counts
from tests.benchmarks.measure import BenchmarkError, Command

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Workers of sawlog, and files that a peer decodes at a time: the goals are for two cores.
N_WORKERS = 2

_CHILDREN = str(Path(__file__).with_name("children.py"))

# As one writes it: the fields, the tag without its end, counts by both.
MAWK = r"""
{ p = "(no tag)"; if ($5 ~ /[:[]/) { p = $5; sub(/[:[].*/, "", p) }
  k = $1 " " $2 "," p; lines[k]++; bytes[k] += length($0) + 1 }
END { for (k in lines) print k "," lines[k] "," bytes[k] }
"""

# The fastest we found: no field is split, nothing is changed before the end. Twice as fast.
MAWK_TUNED = r"""
{ k = substr($0, 1, 6) substr($0, 17, 80)
  if (match(k, /[:[]/)) k = substr(k, 1, RSTART - 1); else k = k " "
  lines[k]++; bytes[k] += length($0) + 1 }
END { for (k in lines) {
        n = split(substr(k, 7), word, " ")
        row = substr(k, 1, 6) "," (n == 2 && k !~ / $/ ? word[2] : "(no tag)")
        row_lines[row] += lines[k]; row_bytes[row] += bytes[k] }
      for (row in row_lines) print row "," row_lines[row] "," row_bytes[row] }
"""

MAWK_EXTRACT = r"""
{ p = "none"; if ($5 ~ /[:[]/) { p = $5; sub(/[:[].*/, "", p); gsub("/", "_", p) }
  print > ($1 "-" $2 "-" p) }
"""

_MONTHS = {name: n + 1 for n, name in enumerate(
    ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
)}  # fmt: skip


def sawlog(
    name: str, paths: Sequence[str], truth: Counts | None = None, *options: str, **flags: Any
) -> Command:
    """Return ``sawlog volume``: started as its console script is, at the priority of its peers."""
    argv = [sys.executable, "-m", "pipeline", "volume", *paths, "--to", "csv", "-q"]
    argv += ["--workers", str(N_WORKERS), "--nice", "0", *options]
    check = None if truth is None else _check_equal(truth)
    return Command(name, tuple(argv), check=check, **flags)


def sawlog_wrapped(name: str, path: str, truth: Counts | None = None) -> Command:
    """Return ``sawlog volume`` of lines in JSON, on one core; bytes are those of the envelopes."""
    options = ("--envelope", "json:message=log", "--scheduler", "inline")
    command = sawlog(name, [path], None, *options)
    return command if truth is None else replace(command, check=_check_lines(truth))


def job(name: str, job_name: str, paths: Sequence[str], *options: str) -> Command:
    """Return another of sawlog's jobs, started likewise."""
    argv = [sys.executable, "-m", "pipeline", job_name, *paths, "--to", "json", "-q"]
    argv += ["--workers", str(N_WORKERS), "--nice", "0", *options]
    return Command(name, tuple(argv))


def trace(name: str, query: str, paths: Sequence[str]) -> Command:
    """Return ``sawlog trace``; what is not found is no failure where it may be missing."""
    argv = [sys.executable, "-m", "pipeline", "trace", query, *paths, "--to", "csv", "-q"]
    argv += ["--workers", str(N_WORKERS), "--nice", "0", "--index", "never"]
    # A log of one line lacks what is looked for.
    return Command(name, ("/bin/sh", "-c", f'{shlex.join(argv)} || test "$?" -eq 5'))


def ripgrep(text: str, path: str) -> Command:
    """Return ripgrep, which counts the lines that hold a text."""
    return _shell("rg -c", f"exec rg -c {shlex.quote(text)} {shlex.quote(path)}", ["rg"])


def extract(paths: Sequence[str], folder: str) -> Command:
    """Return ``sawlog extract`` by day and process, into a new folder each time."""
    argv = [sys.executable, "-m", "pipeline", "extract", *paths, "--by", "day,process", "-q"]
    argv += ["--compress", "none", "-d", folder, "--workers", str(N_WORKERS), "--nice", "0"]
    line = f"rm -rf {shlex.quote(folder)} && exec {shlex.join(argv)} > /dev/null"
    return Command("sawlog extract", ("/bin/sh", "-c", line))


def mawk_extract(paths: Sequence[str], folder: str) -> Command:
    """Return mawk's way to split a log: it neither syncs nor minds what a name holds."""
    place = shlex.quote(folder)
    line = (
        f"rm -rf {place} && mkdir {place} && cd {place} && "
        f"exec mawk {shlex.quote(MAWK_EXTRACT)} {shlex.join(paths)}"
    )
    return _shell("mawk, print > file", line, ["mawk"])


def with_state(name: str, source: str, state: str, before: str = "") -> Command:
    """Return ``sawlog volume`` with a state: a fresh one, or a copy of one made before."""
    argv = [sys.executable, "-m", "pipeline", "volume", source, "--to", "csv", "-q"]
    argv += ["--workers", str(N_WORKERS), "--nice", "0", "--state", state]
    ready = f"rm -rf {shlex.quote(state)}"
    if before:
        ready += f" && cp -r {shlex.quote(before)} {shlex.quote(state)}"
    return Command(name, ("sh", "-c", f"{ready} && exec {shlex.join(argv)}"))


def sql(name: str, query: str, paths: Sequence[str], *options: str) -> Command:
    """Return a query typed at the command line, started likewise."""
    argv = [sys.executable, "-m", "pipeline", "sql", query, *paths, "--to", "json", "-q"]
    argv += ["--workers", str(N_WORKERS), "--nice", "0", *options]
    return Command(name, tuple(argv))


def goaccess(paths: Sequence[str]) -> Command:
    """Return goaccess, which reads for its dashboard's totals and panels; NCSA combined."""
    form = '%h %^[%d:%t %^] "%r" %s %b "%R" "%u" %T'
    line = (
        f"exec goaccess {shlex.join(paths)} --no-progress --log-format={shlex.quote(form)} "
        "--date-format=%d/%b/%Y --time-format=%T -o json < /dev/null"
    )
    return _shell("goaccess", line, ["goaccess"])


def sawlog_pflogsumm(paths: Sequence[str]) -> Command:
    """Return the report in pflogsumm's own layout."""
    argv = (sys.executable, "-m", "pipeline", "pflogsumm", "--workers", str(N_WORKERS), *paths)
    return Command("sawlog pflogsumm", argv)


def pflogsumm(paths: Sequence[str]) -> Command:
    """Return the original, as cron starts it; and ours, by the same arguments."""
    missing = "" if shutil.which("pflogsumm") else "pflogsumm"
    return Command("pflogsumm", ("pflogsumm", *paths), missing=missing)


def mawk(name: str, corpus: Corpus, paths: Sequence[str], program: str, cat: str = "") -> Command:
    """Return mawk's volume table, behind a decompressor where ``cat`` names one."""
    files = shlex.join(paths)
    line = f"{cat} {files} | mawk {shlex.quote(program)}" if cat else ""
    line = line or f"exec mawk {shlex.quote(program)} {files}"
    check = _check_like(corpus)
    return _shell(name, line, ["mawk", *cat.split()[:1]], check)


def duckdb(corpus: Corpus, paths: Sequence[str]) -> Command:
    """Return DuckDB's own volume table, from Python."""
    return _child("duckdb", "duckdb", paths, _check_like(corpus))


def dask_bag(corpus: Corpus, paths: Sequence[str]) -> Command:
    """Return the volume table of dask.bag."""
    return _child("dask.bag", "dask.bag", paths, _check_like(corpus))


def igzip(name: str, paths: Sequence[str], plain_bytes: int | None = None) -> Command:
    """Return igzip alone: decoded text is dropped. As fast as the library is, called in steps."""
    return _child(name, "igzip", paths, _check_number(plain_bytes))


def decompress(tool: str, path: str) -> Command:
    """Return a decompressor alone."""
    return _shell(f"{tool} -dc", f"exec {tool} -dc {shlex.quote(path)} > /dev/null", [tool])


def two_zstd(halves: Sequence[str]) -> Command:
    """Return two zstd at a time, a file each."""
    first, second = map(shlex.quote, halves)
    line = f"zstd -dc {first} > /dev/null & zstd -dc {second} > /dev/null && wait $!"
    return _shell("2 x zstd -dc", line, ["zstd"])


def wc(path: str, n_lines: int) -> Command:
    """Return ``wc -l``."""
    return _shell("wc -l", f"exec wc -l < {shlex.quote(path)}", ["wc"], _check_number(n_lines))


def python(name: str, *arguments: str) -> Command:
    """Return a run of this interpreter."""
    return Command(name, (sys.executable, *arguments))


def _shell(
    name: str, line: str, tools: Sequence[str], check: Callable[[bytes], None] | None = None
) -> Command:
    missing = next((tool for tool in tools if shutil.which(tool) is None), "")
    return Command(name, ("/bin/sh", "-c", line), {"LC_ALL": "C"}, check, missing=missing)


def _child(
    name: str, peer: str, paths: Sequence[str], check: Callable[[bytes], None]
) -> Command:  # fmt: skip
    module = {"igzip": "isal", "dask.bag": "dask"}.get(peer, peer)
    missing = "" if importlib.util.find_spec(module) else module
    return Command(name, (sys.executable, _CHILDREN, peer, *paths), check=check, missing=missing)


def check_file(path: str, most_bytes: int) -> Callable[[bytes], None]:
    """Return a check that a command has written a file, and not a larger one than that."""

    def check(_: bytes) -> None:
        size = Path(path).stat().st_size
        if not 0 < size <= most_bytes:
            raise BenchmarkError(f"{path} has {size:,} bytes, wanted 1 to {most_bytes:,}")

    return check


def _check_equal(truth: Counts) -> Callable[[bytes], None]:
    def check(out: bytes) -> None:
        _compare(read_counts(out), truth)

    return check


def _check_lines(truth: Counts) -> Callable[[bytes], None]:
    def check(out: bytes) -> None:
        counted = {key: (n_lines, 0) for key, (n_lines, _) in read_counts(out).items()}
        _compare(counted, {key: (n_lines, 0) for key, (n_lines, _) in truth.items()})

    return check


def _check_like(corpus: Corpus) -> Callable[[bytes], None]:
    """Check a peer's table: days have no year, and whatever has no tag is one process."""

    def check(out: bytes) -> None:
        _compare(_fold(read_counts(out)), _fold(corpus.read_truth()))

    return check


def _fold(counts: Counts) -> Counts:
    """Bring days to ``MM-DD`` and tags that are none to ``(no tag)``; add up what is then equal."""
    folded: Counts = {}
    for (day, process), (n_lines, n_bytes) in counts.items():
        words = day.split()
        if len(words) == 2 and words[0] in _MONTHS:
            key = f"{_MONTHS[words[0]]:02}-{int(words[1]):02}", process
        elif len(day) == len("2007-12-09") and day[4] == "-":
            key = day[5:], process
        else:
            key = "", "(no tag)"
        if key[1].startswith("("):
            key = key[0], "(no tag)"
        before = folded.get(key, (0, 0))
        folded[key] = before[0] + n_lines, before[1] + n_bytes
    return folded


def _compare(counts: Counts, truth: Counts) -> None:
    wrong = [key for key in {**truth, **counts} if counts.get(key) != truth.get(key)]
    if wrong:
        key = min(wrong)
        raise BenchmarkError(
            f"{len(wrong)} rows are wrong, as {key}: {counts.get(key)}, not {truth.get(key)}"
        )


def _check_number(number: int | None) -> Callable[[bytes], None]:
    def check(out: bytes) -> None:
        if number is not None and int(out) != number:
            raise BenchmarkError(f"{int(out):,}, not {number:,}")

    return check
