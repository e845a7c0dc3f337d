"""The questions that the facts answer, as SQL over mail, messages and deliveries.

A query's columns are the fields of its class in `pipeline.pflogsumm.facts`, in their order. Each
is one grouped SELECT over one relation, so that they share a pass. The texts of reasons are cut in
SQL as far as that keeps groups few; `pipeline.pflogsumm.reasons` says what the cuts mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.pflogsumm.facts import (
    Copies,
    Facts,
    Failure,
    Notice,
    Received,
    Refusal,
    Sent,
    Traffic,
)
from pipeline.pflogsumm.reasons import BOUNCE_LENGTH, DEFERRAL_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.pflogsumm.arguments import Arguments

_SENT = "event = 'delivery' AND status = 'sent'"
_DELIVERED = f"{_SENT} AND link IS DISTINCT FROM 'forwarded'"
_DEFERRED = "event = 'delivery' AND status = 'deferred'"
_CHECKED = "daemon = 'cleanup' AND stage IN ('header', 'body', 'END-OF-MESSAGE')"
# A milter that refuses a recipient is logged by smtpd, in lines that pflogsumm doesn't know.
_KINDS = {
    "rejects": "event IN ('reject', 'milter-reject')",
    "reject_warnings": f"(event = 'reject_warning' OR event = 'warn' AND {_CHECKED})",
    "holds": f"(event = 'hold' OR event = 'milter-hold' AND {_CHECKED})",
    "discards": f"(event = 'discard' OR event = 'milter-discard' AND {_CHECKED})",
}
_ANY_KIND = " OR ".join(_KINDS.values())
_KIND = " ".join(f"WHEN {condition} THEN '{kind}'" for kind, condition in _KINDS.items())


def build_queries(arguments: Arguments) -> dict[str, str]:
    """Return the queries that a report needs, by name.

    Those of sections that the arguments leave out are left out, too.
    """
    queries = {
        "traffic": _traffic(),
        "sent": _sent(),
        "received": _received(),
        "copies_sent": _copies_sent(),
        "deferred_messages": _deferred_messages(),
        "notices": _notices(),
    }
    if arguments.deferral_detail or arguments.bounce_detail:
        queries["failures"] = _failures(arguments)
    if arguments.reject_detail:
        queries["refusals"] = _refusals(arguments)
        queries["checks"] = _checks(arguments)
    if arguments.no_size_report:
        queries["no_size"] = _no_size()
    if arguments.message_detail:
        queries["senders_of_copies"], queries["copies"] = _copies()
    if arguments.syslog_name:
        name = arguments.syslog_name.replace("'", "''")
        own = f"instance IN ('postfix', '{name}')"
        return {key: _with_condition(query, own) for key, query in queries.items()}
    return queries


def gather_facts(results: Mapping[str, Iterable[tuple[object, ...]]]) -> Facts:
    """Return the facts of the queries' rows; connections come from elsewhere."""

    def rows(name: str) -> list[tuple[object, ...]]:
        return list(results.get(name, ()))

    facts = Facts(are_cut=True)
    facts.traffic = [Traffic(*row) for row in rows("traffic") if row[0] is not None]  # type: ignore[arg-type]
    facts.sent = [Sent(*row) for row in rows("sent")]  # type: ignore[arg-type]
    facts.received = [Received(*row) for row in rows("received") + rows("copies_sent")]  # type: ignore[arg-type]
    facts.failures = [Failure(*row) for row in rows("failures")]  # type: ignore[arg-type]
    facts.refusals = [Refusal(*row) for row in rows("refusals") + rows("checks")]  # type: ignore[arg-type]
    facts.notices = [Notice(*row) for row in rows("notices")]  # type: ignore[arg-type]
    facts.no_size = [(str(queue_id), str(to)) for queue_id, to in rows("no_size")]
    facts.deferred_messages = sum(int(str(row[0])) for row in rows("deferred_messages"))
    recipients: dict[tuple[object, ...], tuple[str, ...]] = {}
    for *key, names, times in rows("copies"):
        pairs = zip(names, times, strict=True)  # type: ignore[call-overload]
        recipients[tuple(key)] = tuple(name for name, n in pairs for _ in range(n))
    for host, instance, queue_id, generation, sender, size in rows("senders_of_copies"):
        to = recipients.pop((host, instance, queue_id, generation), ())
        if size is not None or to:
            facts.copies.append(Copies(str(queue_id), sender, size, to))  # type: ignore[arg-type]
    return facts


def said_sql(text: str, length: int) -> str:
    """Return SQL for `reasons.shorten_said`, over a SQL text."""
    behind = f"regexp_replace({text}, '^.* said: ', '')"
    # The leftmost colon that leaves no more than the length; else what is behind the last one.
    fits = f"'(?:^|: *)(.{{0,{length}}})$'"
    last = f"regexp_extract({behind}, '(?:^|: *)([^:]*)$', 1)"
    return (
        f"CASE WHEN length({text}) <= {length} THEN {text} "
        f"WHEN regexp_matches({behind}, {fits}) THEN regexp_extract({behind}, {fits}, 1) "
        f"ELSE left({last}, {length - 3}) || '...' END"
    )


def refusal_reason_sql(stage: str, text: str) -> str:
    """Return SQL for `reasons.refusal_reason`, over SQL for stage and text."""
    plain = rf"regexp_replace({text}, '^(\d{{3}} <).*?>:', '\1>:')"
    clause = rf"nullif(regexp_extract({plain}, '[:;] (?:\[[^\]]+\] )?([^;,]+)[;,]', 1), '')"
    clause = f"coalesce({clause}, {plain})"
    rejected = r"'^((?:Sender|Recipient) address rejected: [^:]+):.*'"
    clause = rf"regexp_replace({clause}, {rejected}, '\1')"
    clause = (
        f"regexp_replace({clause}, '(?:client|Client host|Sender address) .+? blocked', 'blocked')"
    )
    by_mail = rf"nullif(regexp_extract({text}, '^\d{{3}} (?:<.+>: )?([^;:]+)', 1), '')"
    by_other = f"nullif(regexp_extract({text}, '^(?:.*[:;] )?([^,]+)', 1), '')"
    return (
        f"CASE WHEN {stage} IN ('RCPT', 'DATA', 'CONNECT') THEN "
        rf"CASE WHEN regexp_matches({plain}, '^\d{{3}} \d\.\d\.\d Protocol error;') "
        f"THEN 'Protocol error' ELSE {clause} END "
        f"WHEN {stage} = 'MAIL' THEN coalesce({by_mail}, {text}) "
        f"ELSE coalesce({by_other}, {text}) END"
    )


def parties_sql(text: str) -> tuple[str, str]:
    """Return SQL for the sender and recipient of `reasons.find_parties`."""
    sender = f"nullif(regexp_extract({text}, 'from=<([^>]+)>', 1), '')"
    recipient = ", ".join(
        f"nullif(regexp_extract({text}, {pattern}, 1), '')"
        for pattern in (
            "'to=<([^>]+)>'",
            r"'\d{3} <([^>]+)>: User unknown '",
            "'to=<(.*?)(?:[, ]|$)'",
        )
    )
    return f"coalesce({sender}, '<>')", f"coalesce({recipient}, '<>')"


def _traffic() -> str:
    kinds = ", ".join(
        f"count(*) FILTER ({condition}) AS {column}"
        for column, condition in zip(
            ("rejected", "reject_warnings", "held", "discarded"), _KINDS.values(), strict=True
        )
    )
    return (
        "SELECT day, hour, "
        "count(*) FILTER (event IN ('client', 'pickup')) AS received, "
        f"count(*) FILTER ({_DELIVERED}) AS delivered, "
        f"count(*) FILTER ({_SENT} AND link = 'forwarded') AS forwarded, "
        f"count(*) FILTER ({_DEFERRED}) AS deferred, "
        "count(*) FILTER (event = 'delivery' AND status = 'bounced') AS bounced, "
        f"{kinds} FROM mail GROUP BY day, hour"
    )


def _failures(arguments: Arguments) -> str:
    bounced, deferred = "reason", "split_part(reason, ')', 1)"
    if not arguments.verbose_reasons:
        bounced = said_sql(bounced, BOUNCE_LENGTH)
        deferred = said_sql(deferred, DEFERRAL_LENGTH)
    return (
        "SELECT status, daemon, CASE WHEN status = 'bounced' THEN relay END AS relay, "
        f"coalesce(CASE WHEN status = 'bounced' THEN {bounced} ELSE {deferred} END, '') AS reason, "
        "count(*) AS lines FROM mail "
        "WHERE event = 'delivery' AND status IN ('deferred', 'bounced') "
        "GROUP BY ALL"
    )


def _refusals(arguments: Arguments) -> str:
    # The relation has the reply without code and envelope, but the cuts go by these, too.
    head = r"(?:reject|reject_warning|hold|discard): \S+ from \S+?: (.*)"
    text = f"regexp_extract(message, '{head}', 1)"
    sender, recipient = parties_sql(text)
    reason = text if arguments.verbose_reasons else refusal_reason_sql("stage", text)
    is_sender = f"starts_with({reason}, 'Sender address rejected:')"
    is_recipient = (
        f"regexp_matches({reason}, '^(?:Recipient address rejected:|User unknown(?: |$))')"
    )
    with_sender = "true" if arguments.add_sender else is_sender
    with_recipient = "true" if arguments.add_recipient else is_recipient
    return (
        f"SELECT CASE {_KIND} END AS kind, daemon, stage, {reason} AS reason, "
        f"CASE WHEN {is_sender} OR {is_recipient} THEN '' ELSE coalesce(client, '') END AS client, "
        f"CASE WHEN {with_sender} THEN {sender} ELSE '<>' END AS sender, "
        f"CASE WHEN {with_recipient} THEN {recipient} ELSE '<>' END AS recipient, "
        f"count(*) AS lines FROM mail WHERE daemon <> 'cleanup' AND ({_ANY_KIND}) "
        "GROUP BY ALL"
    )


def _checks(arguments: Arguments) -> str:
    text = "regexp_extract(message, ': (?:header|body|END-OF-MESSAGE) (.*)', 1)"
    if not arguments.verbose_reasons:
        text = (
            f"CASE WHEN contains({text}, '; from=<') "
            f"THEN regexp_replace(split_part({text}, '; from=<', 1), ' from \\S+$', '') "
            f"ELSE {text} END"
        )
    return (
        f"SELECT CASE {_KIND} END AS kind, daemon, stage, {text} AS reason, '' AS client, "
        "'<>' AS sender, '<>' AS recipient, count(*) AS lines FROM mail "
        f"WHERE {_CHECKED} AND ({_ANY_KIND}) GROUP BY ALL"
    )


def _notices() -> str:
    is_notice = " OR ".join(
        f"starts_with(message, '{word}: ')" for word in ("warning", "fatal", "panic")
    )
    failed = "daemon = 'smtp' AND event = 'connect_error'"
    old = "contains(reason, '; address ')"
    return (
        "SELECT CASE WHEN starts_with(message, 'warning: ') THEN 'warnings' "
        "WHEN starts_with(message, 'fatal: ') THEN 'fatals' "
        "WHEN starts_with(message, 'panic: ') THEN 'panics' "
        "WHEN daemon = 'master' THEN 'master' ELSE 'smtp_failures' END AS kind, "
        f"CASE WHEN {failed} AND NOT ({is_notice}) THEN "
        f"CASE WHEN {old} THEN relay ELSE split_part(relay, '[', 1) END ELSE daemon END AS name, "
        f"CASE WHEN {is_notice} THEN regexp_replace(message, '^.*(?:warning|fatal|panic): ', '') "
        "WHEN daemon = 'master' THEN regexp_replace(message, '^.*: ', '') "
        "ELSE regexp_replace(reason, '; address .*', '') END AS text, "
        "count(*) AS lines FROM mail "
        f"WHERE {is_notice} OR daemon = 'master' OR {failed} GROUP BY ALL"
    )


def _sent() -> str:
    return (
        "SELECT sender, CASE WHEN service <> 'pickup' THEN client END AS client, "
        "count(*) AS messages, coalesce(sum(size), 0) AS bytes FROM messages "
        "WHERE opened AND active IS NOT NULL GROUP BY ALL"
    )


def _received() -> str:
    either = f"({_DELIVERED} OR {_DEFERRED})"
    return (
        f"SELECT recipient, count(*) FILTER ({_DELIVERED}) AS sent, 0 AS bytes, "
        f"count(*) FILTER ({_DEFERRED}) AS deferrals, "
        f"coalesce(sum(delay_us) FILTER ({_DELIVERED}), 0) AS delay_us, "
        f"coalesce(max(delay_us), 0) AS longest_us FROM mail WHERE {either} GROUP BY recipient"
    )


def _copies_sent() -> str:
    """Bytes are told by another line than the delivery is."""
    return (
        "SELECT recipient, 0 AS sent, coalesce(sum(size * sent), 0) AS bytes FROM deliveries "
        "WHERE sent > 0 AND NOT contains(reason, 'forwarded as ') GROUP BY recipient"
    )


def _deferred_messages() -> str:
    return (
        "SELECT count(*) AS messages FROM (SELECT host, instance, queue_id, generation "
        "FROM deliveries WHERE status IN ('sent', 'deferred', 'bounced', 'expired') "
        "AND attempts > sent + CAST(status = 'bounced' AS BIGINT) GROUP BY ALL)"
    )


def _no_size() -> str:
    return (
        "SELECT queue_id, arg_max(recipient, last_attempt) AS recipient FROM deliveries "
        "WHERE size IS NULL AND sent > 0 AND NOT contains(reason, 'forwarded as ') "
        "GROUP BY host, instance, queue_id, generation"
    )


def _copies() -> tuple[str, str]:
    names = "host, instance, queue_id, generation"
    senders = f"SELECT {names}, sender, size FROM messages"
    recipients = (
        f"SELECT {names}, list(recipient ORDER BY last_attempt) AS recipients, "
        "list(sent ORDER BY last_attempt) AS times FROM deliveries "
        "WHERE sent > 0 AND NOT contains(reason, 'forwarded as ') "
        f"GROUP BY {names}"
    )
    return senders, recipients


def _with_condition(query: str, condition: str) -> str:
    """Return a query over the rows that meet a condition as well; it has one relation."""
    head, relation, tail = _cut(query)
    if tail.startswith(" WHERE "):
        groups = tail.find(" GROUP BY ")
        wanted, rest = (tail[7:groups], tail[groups:]) if groups >= 0 else (tail[7:], "")
        return f"{head}{relation} WHERE ({wanted}) AND {condition}{rest}"
    return f"{head}{relation} WHERE {condition}{tail}"


def _cut(query: str) -> tuple[str, str, str]:
    for relation in ("mail", "messages", "deliveries"):
        before, found, after = query.partition(f" FROM {relation}")
        if found and not after[:1].isalpha():
            return before, found, after
    raise AssertionError(query)
