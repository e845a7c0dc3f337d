"""What ``sawlog extract`` does with its options."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.commands import begin, check_written, progress_of, tell_table
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from pipeline.extract.outputs import Output

_REFUSED = {
    "key_path": "--pseudonymise: the lines are written as they are, byte for byte",
    "expand_repeats": "--expand-repeats: the lines are written as they are, byte for byte",
    "repeats": "--repeats: the lines are written as they are, byte for byte",
    "parameters": "-p: it has no parameters",
}


def run_extract_command(
    sources: Sequence[str], *, directory: str, compress: str, **options: Any
) -> int:
    """Split logs into files; return the exit code."""
    from pipeline.extract.run import check_folder, extract
    from pipeline.outputs.model import About

    for name, why in _REFUSED.items():
        if options[name]:
            raise UsageError(f"extract does not take {why}")
    settings = begin(sources, options)
    check_written(sources, options, ["extract"])
    folder = Path(directory)
    check_folder(folder)
    progress = progress_of(options)
    try:
        outputs, inputs = extract(sources, settings, folder, compress, progress.take, progress.plan)
    finally:
        progress.clear()
    about = About(
        "Which files were made, of how many lines?",
        ("file",),
        ("x=file y=bytes mark=rank",),
        frozenset({"lines", "bytes", "stored_bytes"}),
    )
    run = inputs.account, inputs.warnings
    return tell_table("extract", _table(outputs), about, settings, run, sources, options)


def _table(outputs: Sequence[Output]) -> pa.Table:
    import pyarrow as pa

    columns = {
        "file": pa.array([one.name for one in outputs], pa.string()),
        "lines": pa.array([one.lines for one in outputs], pa.int64()),
        "bytes": pa.array([one.plain_bytes for one in outputs], pa.int64()),
        "stored_bytes": pa.array([one.stored_bytes for one in outputs], pa.int64()),
        "newest": pa.array([one.newest for one in outputs], pa.timestamp("us")),
    }
    return pa.table(columns)
