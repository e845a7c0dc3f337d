"""Measure, print the table, keep it: ``make bench``, ``make bench ARGS=--write``."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.corpus import Corpus, default_folder, find_corpus
from tests.benchmarks.groups import plan_groups
from tests.benchmarks.machine import describe_machine, describe_versions
from tests.benchmarks.measure import ROOT, BenchmarkError, child_environment, run_in_turn
from tests.benchmarks.table import Results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.goals import Group

RESULTS = Path(__file__).with_name("results")

_SIZES = (0.1, 0.4, 1.0)
_FULL_GB = 4.0
_MAX_LOAD = 0.5


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return 1 where a command failed or gave a wrong result."""
    options = _read_options(arguments)
    sizes = sorted({*options.sizes, *([_FULL_GB] if options.full else [])})
    corpora: list[Corpus] = []
    try:
        facts = _describe(arguments, options.reps)  # before the load is our own
        for size in sizes:
            _tell(f"logs of {size:g} GB in {options.corpus}")
            corpora.append(find_corpus(options.corpus, size))
        groups = _choose_groups(corpora, options.only)
        _warm_up(corpora)
        measured = []
        for group in groups:
            n_rounds = options.reps * group.weight
            rounds = run_in_turn(
                group.commands, n_rounds, lambda text, g=group: _tell(f"{g.name}: {text}")
            )
            measured.append((group, rounds))
    except BenchmarkError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    finally:
        if options.full:
            _remove(options.corpus, corpora)
    results = Results(measured, facts)
    print(results.to_markdown())
    if options.write:
        _write(results)
    return 0


def _read_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "--sizes", type=_read_sizes, default=_SIZES, metavar="GB,...", help="default: 0.1,0.4,1"
    )
    parser.add_argument(
        "--full", action="store_true", help=f"also {_FULL_GB:g} GB, removed afterwards"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="groups whose name holds this")
    parser.add_argument("--reps", type=int, default=5, metavar="N", help="rounds; default: 5")
    parser.add_argument(
        "--corpus", type=Path, default=default_folder(), metavar="DIR", help="where logs are kept"
    )
    parser.add_argument(
        "--write", action="store_true", help="keep the table in tests/benchmarks/results/"
    )
    options = parser.parse_args(arguments)
    if options.reps < 1:
        parser.error("--reps is at least 1")
    if options.write and options.only:
        parser.error("--write keeps whole tables: leave out --only")
    return options


def _read_sizes(text: str) -> list[float]:
    sizes = [float(size) for size in text.split(",")]
    if min(sizes) < 0.001:
        raise argparse.ArgumentTypeError("the smallest log has 0.001 GB")
    return sizes


def _describe(arguments: Sequence[str], n_rounds: int) -> dict[str, object]:
    machine = describe_machine()
    notes = []
    if float(machine["load"]) > _MAX_LOAD:
        notes.append(f"**The machine was not idle: a load of {machine['load']} at the start.**")
    if int(machine["cores"]) != 2:
        notes.append(
            f"**The goals are for two cores, this machine gave {machine['cores']}** (`taskset -c 0,1` gives two)."
        )
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "command": shlex.join(["python", "-m", "tests.benchmarks", *_without_corpus(arguments)]),
        "rounds": n_rounds,
        "machine": machine,
        "versions": describe_versions(),
        "notes": notes,
    }


def _without_corpus(arguments: Sequence[str]) -> list[str]:
    """Leave out where the logs were: it says nothing, and may name a user."""
    kept = []
    skip = False
    for argument in arguments:
        if not skip and not argument.startswith("--corpus"):
            kept.append(argument)
        skip = argument == "--corpus"
    return kept


def _choose_groups(corpora: Sequence[Corpus], only: str) -> list[Group]:
    groups = plan_groups(corpora)
    chosen = [group for group in groups if only.lower() in group.name.lower()]
    if not chosen:
        names = "; ".join(group.name for group in groups)
        raise BenchmarkError(f"--only {only!r} leaves nothing to measure. There are: {names}")
    return chosen


def _warm_up(corpora: Sequence[Corpus]) -> None:
    """Compile sawlog's modules, read every file once: all commands then find them in memory."""
    compile_all = [sys.executable, "-m", "compileall", "-q", "pipeline", "jobs"]
    subprocess.run(compile_all, cwd=ROOT, env=child_environment(), check=True)
    for corpus in corpora:
        for path in filter(Path.is_file, corpus.folder.iterdir()):
            with path.open("rb", buffering=0) as stored:
                buffer = bytearray(1 << 20)
                while stored.readinto(buffer):
                    pass


def _remove(folder: Path, corpora: Sequence[Corpus]) -> None:
    for corpus in corpora:
        if corpus.size_gb == _FULL_GB and corpus.folder.parent == folder:
            shutil.rmtree(corpus.folder, ignore_errors=True)


def _write(results: Results) -> None:
    RESULTS.mkdir(exist_ok=True)
    name = str(results.facts["date"])
    (RESULTS / f"{name}.md").write_text(results.to_markdown())
    (RESULTS / f"{name}.json").write_text(json.dumps(results.to_json(), indent=1) + "\n")
    _tell(f"written: {os.path.relpath(RESULTS)}/{name}.md and .json")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
