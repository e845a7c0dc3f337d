"""How long did clients stay connected to smtpd, per day?"""

from __future__ import annotations

import pyarrow as pa  # noqa: TC002  # jobs are read by people

from pipeline.pflogsumm.connections import COLUMNS, RELATION, combine, map  # noqa: A004
from pipeline.pflogsumm.connections import finish as finish_hours

#: What may be added up, over days say.
ADDITIVE = ("sessions", "seconds")

__all__ = ["ADDITIVE", "COLUMNS", "RELATION", "combine", "finish", "map"]


def finish(table: pa.Table) -> pa.Table:
    """Return day, client, sessions, their seconds in all and the longest."""
    hours = finish_hours(table)
    days = hours.group_by(["day", "client"]).aggregate(
        [("connections", "sum"), ("seconds", "sum"), ("longest", "max")]
    )
    named = days.rename_columns(["day", "client", "sessions", "seconds", "longest"])
    return named.sort_by([("day", "ascending"), ("client", "ascending")])
