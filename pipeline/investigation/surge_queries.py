"""What `sawlog surge` asks of the lines, in one pass.

Groups are what the answer can name. Deliveries that succeed, nearly all, are therefore counted
together: else there would be a group for every message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.kernels.mail_names import STATUSES

if TYPE_CHECKING:
    from pipeline.job import Job

#: What a delivery that failed is told by.
_FAILED = ("host", "queue_id", "recipient", "failed_host", "reason_class")
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
    failed = ", ".join(_FAILED)
    failures = ", ".join(f"'{status}'" for status in STATUSES if status not in ("", "sent"))
    refusals = ", ".join(f"'{event}'" for event in REFUSALS)
    texts = {
        "volume": "SELECT day, hour, host, process, count(*) AS lines, "
        "CAST(sum(bytes) AS BIGINT) AS bytes FROM lines GROUP BY ALL",
        "attempts": f"""
            WITH failed AS (
                SELECT {slot}, status, {failed}, count(*) AS lines FROM mail
                WHERE event = 'delivery' AND status IN ({failures}) GROUP BY ALL
            ), every AS (
                SELECT {slot}, status, count(*) AS lines FROM mail
                WHERE event = 'delivery' GROUP BY ALL
            )
            FROM failed UNION ALL BY NAME
            FROM every WHERE status = 'sent' OR status IS NULL
        """,
        "taken_up": f"SELECT {slot}, sender, count(*) AS lines FROM mail WHERE event = 'active' "
        "GROUP BY ALL",
        "refused": f"SELECT {slot}, reason_class, client, count(*) AS lines FROM mail "
        f"WHERE event IN ({refusals}) GROUP BY ALL",
    }
    return [sql_job(name, text) for name, text in texts.items()]
