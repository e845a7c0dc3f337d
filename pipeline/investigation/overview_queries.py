"""What the overview asks beside the questions of `surge`: about whole messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.job import Job

_IDENTITY = "host, instance, queue_id, generation"
#: Agents that deliver on this machine: to mailboxes, and to programs such as a list manager.
_HERE = "'local', 'virtual', 'pipe', 'lmtp'"

_MESSAGES = {
    "queue": "SELECT day, CAST(last AS DATE) AS gone_day, removed, sender = '' AS is_nobodys, "
    "count(*) AS messages, min(time) AS oldest, max(last) AS newest FROM messages GROUP BY ALL",
    # A message that is deferred once may be greylisted; one that is deferred again is stuck.
    "stuck": f"SELECT {_IDENTITY}, parent_link, sender, deferrals, time, last, expired, removed "
    "FROM messages WHERE deferrals > 1",
    "stuck_copies": f"SELECT {_IDENTITY}, recipient, deferrals FROM deliveries WHERE deferrals > 1",
    "delivered_here": "SELECT sender, recipient, min(last_attempt) AS first, "
    "max(last_attempt) AS last FROM deliveries "
    f"WHERE sent > 0 AND sender <> '' AND daemon IN ({_HERE}) GROUP BY ALL",
}


def overview_jobs(unit: str, *, has_messages: bool) -> list[Job]:
    """Return the jobs beside those of `surge_jobs`.

    Parameters
    ----------
    unit : str
        ``day`` or ``hour``.
    has_messages : bool
        Messages can be put together: not where lines of some processes only are kept.
    """
    from pipeline.job import sql_job

    slot = "day, hour" if unit == "hour" else "day"
    texts = {
        "logins_failed": f"SELECT {slot}, client_ip, count(*) AS lines FROM mail "
        "WHERE event = 'sasl_failed' GROUP BY ALL",
    }
    if has_messages:
        texts |= _MESSAGES
        texts["logins"] = (
            f"SELECT {slot}, sasl_user, count(*) AS lines FROM messages "
            "WHERE sasl_user IS NOT NULL GROUP BY ALL"
        )
    return [sql_job(name, text) for name, text in texts.items()]
