"""Metrics of a run in Prometheus' text format, for the textfile collector of node_exporter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.text import clean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, tzinfo

    from pipeline.model import Account

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HELP = {
    "files": "Files read.",
    "lines": "Lines read.",
    "undated_lines": "Lines without a time stamp.",
    "repeated_lines": "Lines that came before in their file, where they were looked for.",
    "restated_days": "Earlier days of which a run with a state says another number than before.",
    "plain_bytes": "Bytes of text read.",
    "read_bytes": "Stored bytes read.",
    "damage": "Inputs that are missing or damaged, those that are known left out.",
    "known_damage": "Inputs that are missing or damaged, which somebody has acknowledged.",
    "duplicates": "Files left out since their content stands elsewhere.",
    "skipped": "Files left out for another reason.",
    "run_seconds": "Duration of the run.",
    "last_run_timestamp_seconds": "When the run began, in Unix time.",
    "newest_line_timestamp_seconds": "Time of the newest line read, in Unix time.",
    "newest_line_age_seconds": "Age of the newest line read, at the begin of the run.",
    "exit_code": "What the run exited with: 0 well, 3 damage, 4 an alert.",
    "result_rows": "Rows of each result.",
    "alert_rows": "Rows that each alert gave; 0: it did not fire.",
}


def check_metrics_path(path: str) -> None:
    """Raise UsageError where the collector would not look at the file."""
    if not path.endswith(".prom"):
        raise UsageError(f"--metrics {path}: the collector reads files called *.prom only")


def format_metrics(
    name: str,
    account: Account,
    *,
    begun: datetime,
    newest: float | None,
    code: int,
    n_known: int,
    results: Mapping[str, int],
    alerts: Mapping[str, int],
) -> str:
    """Return the metrics of a run as text.

    Parameters
    ----------
    name : str
        Of the run; the label ``sawlog_job`` (``job`` is what Prometheus calls the scrape).
    begun : datetime
        With its zone.
    newest : float or None
        Time of the newest line in Unix seconds.
    n_known : int
        Damages in the account that are known.
    results, alerts : mapping of str to int
        Rows of each.
    """
    values: dict[str, float] = {
        "files": account.files,
        "lines": account.lines,
        "undated_lines": account.undated_lines,
        "plain_bytes": account.plain_bytes,
        "read_bytes": account.read_bytes,
        "damage": len(account.damaged) - n_known,
        "known_damage": n_known,
        "duplicates": len(account.duplicates),
        "skipped": len(account.skipped),
        "run_seconds": account.seconds,
        "last_run_timestamp_seconds": round(begun.timestamp(), 3),
        "exit_code": code,
    }
    if account.repeated_lines is not None:
        values["repeated_lines"] = account.repeated_lines
    if account.restated_days is not None:
        values["restated_days"] = account.restated_days
    if newest is not None:
        values["newest_line_timestamp_seconds"] = newest
        values["newest_line_age_seconds"] = round(begun.timestamp() - newest, 3)
    of_run = _label("sawlog_job", name)
    families: dict[str, list[str]] = {
        key: [f"{{{of_run}}} {_number(value)}"] for key, value in values.items()
    }
    families["result_rows"] = _by_label(of_run, "result", results)
    families["alert_rows"] = _by_label(of_run, "alert", alerts)
    lines: list[str] = []
    for key, text in _HELP.items():
        if samples := families.get(key):
            lines += [f"# HELP sawlog_{key} {text}", f"# TYPE sawlog_{key} gauge"]
            lines += [f"sawlog_{key}{sample}" for sample in samples]
    return "\n".join(lines) + "\n"


def newest_time(latest: int | None, zone: tzinfo | None) -> float | None:
    """Return the time of a line as Unix seconds.

    Parameters
    ----------
    latest : int or None
        Microseconds since 1970 as written on the line.
    zone : tzinfo or None
        Where it was written; None: the zone of this machine.
    """
    from datetime import UTC, datetime, timedelta

    if latest is None:
        return None
    written = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=zone) + timedelta(microseconds=latest)
    # Without a zone a datetime is of this machine.
    return written.timestamp()


def _by_label(of_run: str, label: str, values: Mapping[str, int]) -> list[str]:
    return [f"{{{of_run},{_label(label, key)}}} {value}" for key, value in values.items()]


def _label(name: str, value: str) -> str:
    escaped = clean(value).replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    # Parsers of the format end lines at LF only; other tools may do so at other characters.
    visible = _CONTROL.sub("?", escaped)
    return f'{name}="{visible}"'


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
