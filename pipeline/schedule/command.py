"""The command ``sawlog schedule``."""

from __future__ import annotations

import os

from pipeline.schedule.jobfile import read_job_file
from pipeline.schedule.start import (
    cron_line,
    install_cron,
    install_units,
    plan_start,
    read_moment,
    systemd_units,
)


def run_schedule_command(file: str, kind: str, at: str, *, install: bool, of_user: bool) -> int:
    """Print what starts a job file, or put it in place; return the exit code.

    Parameters
    ----------
    kind : str
        ``systemd`` or ``cron``.
    at : str
        When, see `pipeline.schedule.start.read_moment`.
    of_user : bool
        systemd's units of this user, not of the system; so for anybody but root.
    """
    start = plan_start(read_job_file(file), read_moment(at))
    if install:
        of_user = of_user or os.geteuid() != 0
        lines = install_cron(start) if kind == "cron" else install_units(start, of_user=of_user)
        print("\n".join(lines))
        return 0
    if kind == "cron":
        print(cron_line(start))
        return 0
    for n, (name, text) in enumerate(systemd_units(start).items()):
        print("\n" * bool(n) + f"# {name}\n{text}", end="")
    return 0
