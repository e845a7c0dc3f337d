"""What `sawlog surge` asks of the lines, in one pass.

Groups are what the answer can name. Deliveries that succeed, nearly all, are therefore counted
together: else there would be a group for every message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.job import Job

#: What a delivery that failed is told by.
_FAILED = ("host", "queue_id", "recipient", "reason_class")
REFUSALS = ("reject", "milter-reject", "proxy-reject")


def surge_jobs(unit: str) -> list[Job]:
    """Return the jobs whose results `pipeline.investigation.surge` reads.

    Parameters
    ----------
    unit : str
        ``day`` or ``hour``: how finely mail is counted. Lines are counted by the hour anyway.
    """
    from pipeline.job import sql_job

    slot = "day, hour" if unit == "hour" else "day"
    failed = ", ".join(f"CASE WHEN status <> 'sent' THEN {name} END AS {name}" for name in _FAILED)
    refusals = ", ".join(f"'{event}'" for event in REFUSALS)
    texts = {
        "volume": "SELECT day, hour, host, process, count(*) AS lines, "
        "CAST(sum(bytes) AS BIGINT) AS bytes FROM lines GROUP BY ALL",
        "attempts": f"SELECT {slot}, status, failed_host, {failed}, count(*) AS lines FROM mail "
        "WHERE event = 'delivery' GROUP BY ALL",
        "taken_up": f"SELECT {slot}, sender, count(*) AS lines FROM mail WHERE event = 'active' "
        "GROUP BY ALL",
        "refused": f"SELECT {slot}, reason_class, client, count(*) AS lines FROM mail "
        f"WHERE event IN ({refusals}) GROUP BY ALL",
    }
    return [sql_job(name, text) for name, text in texts.items()]
