"""``sawlog cluster check`` tells whether a cluster is fit for a long run."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.model import SourceFile

_FAILED = 1
#: Source files that each worker opens.
_N_FILES = 3
_TYPES = {"threads": "int64", "memory": "int64", "clock_s": "double", "reads": "bool"}


def run_cluster_check(
    cluster: str | None,
    scheduler: str | None,
    *,
    insecure: bool,
    storage_options: Sequence[str],
    to: str,
    sources: Sequence[str],
) -> int:
    """Start or join a cluster, look at every worker; return the exit code: 1 where one is unfit."""
    import pyarrow as pa

    from cluster.profile import read_profile
    from pipeline.executors import get_connection
    from pipeline.executors.fitness import PACKAGES, check_sources, examine
    from pipeline.render import render

    if (cluster is None) == (scheduler is None):
        raise UsageError(
            "name the cluster: --cluster local, ssh, slurm, kubernetes or a profile.toml, or "
            "--scheduler tls://HOST:PORT"
        )
    profile = None if cluster is None else read_profile(cluster, is_insecure=insecure)
    connect = get_connection(scheduler or "", profile, is_insecure=insecure)
    files = _find_files(sources, storage_options)
    check_sources(file.url for file in files)
    with connect() as client:
        rows, problems = examine(client, files)
    if not files:
        for row in rows:
            row["reads"] = None
    names = ["worker", "threads", "memory", "python", *PACKAGES, "clock_s", "reads"]
    table = pa.table(
        {name: pa.array([r[name] for r in rows], _TYPES.get(name, "string")) for name in names}
    )
    render({"workers": table}, to, sys.stdout)
    for problem in problems:
        print(f"problem: {problem}", file=sys.stderr)
    print(
        f"{len(rows)} workers, {sum(row['threads'] for row in rows)} threads · "
        + (f"{len(problems)} problems" if problems else "all fit"),
        file=sys.stderr,
    )
    return _FAILED if problems else 0


def _find_files(sources: Sequence[str], storage_options: Sequence[str]) -> list[SourceFile]:
    """Return the first files of the sources, by names that are the same on every machine."""
    from pipeline.errors import SourceError
    from pipeline.read_options import pairs
    from pipeline.source import find_sources

    if not sources:
        return []
    listing = find_sources(
        sources,
        rotated=False,
        options=pairs("--storage-option", storage_options),
    )
    if listing.failed:
        first = listing.failed[0]
        raise SourceError(first.url, first.kind, first.detail)
    return [
        file if "://" in file.url else replace(file, url=str(Path(file.url).absolute()))
        for file in listing.files[:_N_FILES]
    ]
