"""All that a run is watched for, from its options to its exit code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.watch.alerts import Alert, check_alerts, read_alerts, run_alerts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, tzinfo

    import pyarrow as pa

    from pipeline.job import Job
    from pipeline.model import Account, Damage

#: Rows of an alert that are told on stderr.
MAX_ROWS = 50


@dataclass(frozen=True, slots=True)
class Watch:
    """What a run is watched for.

    Attributes
    ----------
    name : str
        What the run is called.
    alerts : list of Alert
    expected : tuple of str
        Hosts, or globs, of which there must be a line.
    metrics : str or None
        Where its metrics go.
    """

    name: str
    alerts: list[Alert]
    expected: tuple[str, ...]
    metrics: str | None

    @property
    def jobs(self) -> list[Job]:
        """What must be asked beside the user's jobs."""
        if not self.expected:
            return []
        from pipeline.watch.hosts import hosts_job

        return [hosts_job()]

    def check(self, empty: Mapping[str, pa.Table]) -> None:
        """Refuse before the run an alert that its results can't answer."""
        check_alerts(self.alerts, empty)

    def take_silent(self, results: dict[str, pa.Table]) -> list[Damage]:
        """Take what `jobs` gave out of the results; return the hosts that are missing."""
        if not self.expected:
            return []
        from pipeline.watch.hosts import NAME, find_silent

        return find_silent(self.expected, results.pop(NAME))

    def ask(self, results: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
        """Return the rows of the alerts that fire, by name."""
        return run_alerts(self.alerts, results) if self.alerts else {}

    def tell(self, fired: Mapping[str, pa.Table]) -> list[str]:
        """Return what is said of alerts on stderr: their names and rows."""
        from pipeline.outputs.table import table_text
        from pipeline.text import escape_visibly

        return [
            f"alert {escape_visibly(name)}: {len(rows):,} row{'s' * (len(rows) != 1)}\n"
            + table_text(rows, MAX_ROWS).rstrip("\n")
            for name, rows in fired.items()
        ]

    def write_metrics(
        self,
        account: Account,
        code: int,
        *,
        begun: datetime,
        latest: int | None,
        zone: tzinfo | None,
        n_known: int,
        results: Mapping[str, pa.Table],
        fired: Mapping[str, pa.Table],
    ) -> None:
        """Write the file of metrics, where one is wanted; whole or not at all.

        Parameters
        ----------
        latest, zone
            Of the newest line, see `pipeline.watch.metrics.newest_time`.
        begun, n_known
            See `pipeline.watch.metrics.format_metrics`.
        """
        if self.metrics is None:
            return
        from pipeline.outputs.files import put_files
        from pipeline.watch.metrics import format_metrics, newest_time

        text = format_metrics(
            self.name,
            account,
            begun=begun,
            newest=newest_time(latest, zone),
            code=code,
            n_known=n_known,
            results={name: len(table) for name, table in results.items()},
            alerts={one.name: len(fired.get(one.name, ())) for one in self.alerts},
        )
        put_files([(self.metrics, lambda path: _write(path, text))])


def read_watch(name: str, options: Mapping[str, Any]) -> Watch:
    """Read the options that watch a run.

    Raises
    ------
    UsageError
        One of them is wrong.
    """
    metrics = options["metrics"]
    if metrics is not None:
        from pipeline.watch.metrics import check_metrics_path

        check_metrics_path(metrics)
    hosts = [host.strip() for one in options["expect_hosts"] for host in one.split(",")]
    return Watch(name, read_alerts(options["alerts"]), tuple(filter(None, hosts)), metrics)


def _write(path: Any, text: str) -> None:
    path.write_text(text, encoding="utf-8")
