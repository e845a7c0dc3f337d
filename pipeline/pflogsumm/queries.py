"""The questions that the facts answer, as queries in two phases over mail, messages, deliveries.

A query's columns are the fields of its class in `pipeline.pflogsumm.facts`, in their order. Each
is one SELECT over one relation, so that they share a pass. They are written as `Query`, not planned
from a SELECT: so a map can group twice, by texts as they stand on the lines and then by what
`pipeline.pflogsumm.cuts` leaves of them, and regular expressions see each text once a block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.duck import quote
from pipeline.formats.postfix import EVENTS
from pipeline.pflogsumm.cuts import (
    answer_sql,
    check_sql,
    parties_sql,
    refusal_tables,
    said_tables,
)
from pipeline.pflogsumm.reasons import BOUNCE_LENGTH, DEFERRAL_LENGTH
from pipeline.sql import Branch, Query
from pipeline.sql.folds import Fold

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pipeline.pflogsumm.arguments import Arguments

_CHECKED = "daemon = 'cleanup' AND stage IN ('header', 'body', 'END-OF-MESSAGE')"
# A milter that refuses a recipient is logged by smtpd, in lines that pflogsumm doesn't know. What
# only cleanup may do counts by `is_check`.
_KINDS = {
    "rejects": "event IN ('reject', 'milter-reject')",
    "reject_warnings": "(event = 'reject_warning' OR event = 'warn' AND is_check)",
    "holds": "(event = 'hold' OR event = 'milter-hold' AND is_check)",
    "discards": "(event = 'discard' OR event = 'milter-discard' AND is_check)",
}
_KIND = " ".join(f"WHEN {condition} THEN '{kind}'" for kind, condition in _KINDS.items())
_REFUSED = frozenset({
    "reject", "milter-reject", "reject_warning", "warn", "hold", "milter-hold", "discard",
    "milter-discard",
})  # fmt: skip
# What warns and what master says; the frequent events are none of it.
_NOTICED = frozenset(EVENTS[1:]) - frozenset({
    "connect", "disconnect", "client", "pickup", "message-id", "active", "delivery", "removed",
    "reply", "reject", "tls", "lost_connection", "connect_error",
})  # fmt: skip
_GROUP, _SUM, _MAX = "{0}", "CAST(sum({0}) AS BIGINT) AS {0}", "max({0}) AS {0}"


def build_queries(arguments: Arguments) -> dict[str, Query]:
    """Return the queries that a report needs, by name.

    Those of sections that the arguments leave out are left out, too.
    """
    make = _Maker(arguments)
    queries = [
        make.traffic(),
        make.sent(),
        make.received(),
        make.copies_sent(),
        make.deferred_messages(),
        make.notices(),
    ]
    if arguments.deferral_detail or arguments.bounce_detail:
        queries.append(make.failures())
    if arguments.reject_detail:
        queries.append(make.refusals())
    if arguments.smtp_detail:
        queries.append(make.connect_errors())
    if arguments.no_size_report:
        queries.append(make.no_size())
    if arguments.message_detail:
        queries += [make.senders_of_copies(), make.copies()]
    if arguments.postscreen_stats or arguments.postscreen_detail:
        queries.append(make.postscreen())
    if arguments.unprocessed_file:
        queries.append(make.unprocessed())
    return {query.name: query for query in queries}


_COUNT = "count(*)"
#: Queries that only count, over columns in which lines often agree.
_FOLDED = ("traffic", "failures", "connect_errors")


class _Maker:
    """Makes the queries of one report."""

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments
        name = arguments.syslog_name
        self._own = f"instance IN ('postfix', {quote(name)})" if name else ""
        self._recipient = "coalesce(orig_to, recipient)" if arguments.use_orig_to else "recipient"

    def traffic(self) -> Query:
        """Count lines by hour, first by all that tells them apart: a map of few branches."""
        sent = "status = 'sent' AND link IS DISTINCT FROM 'forwarded'"
        conditions = (
            "event IN ('client', 'pickup')",
            sent,
            "status = 'sent' AND link = 'forwarded'",
            "status = 'deferred'",
            "status = 'bounced'",
            *_KINDS.values(),
        )
        sums = (f"CAST(coalesce(sum(n) FILTER ({c}), 0) AS BIGINT)" for c in conditions)
        is_check = (
            f"CASE WHEN event IN ('warn', 'milter-hold', 'milter-discard') THEN {_CHECKED} END"
        )
        return self._query(
            "traffic",
            "mail",
            "day hour event status link daemon stage",
            f"SELECT day, hour, event, status, link, {is_check} AS is_check, count(*) AS n "
            f"FROM mail{self._where()} GROUP BY ALL",
            dict.fromkeys(("day", "hour", "event", "status", "link", "is_check"), _GROUP)
            | {"n": _SUM},
            finish=f"SELECT day, hour, {', '.join(sums)} FROM partials0 WHERE day IS NOT NULL "
            "GROUP BY day, hour",
        )

    def failures(self) -> Query:
        """Cut the reasons of deferrals and bounces."""
        cut, reason = "", "text"
        if not self._arguments.verbose_reasons:
            cut, reason = f", {said_tables('parted')}", "reason"
        return self._query(
            "failures",
            "mail",
            "status daemon relay reason",
            "WITH raw AS (SELECT status, daemon, reason, "
            "CASE WHEN status = 'bounced' THEN mail.relay END AS relay, count(*) AS lines "
            f"FROM mail{self._where()} GROUP BY ALL), "
            # Only the reasons of deferrals end at the first bracket.
            "parted AS (SELECT status, daemon, relay, lines, coalesce(CASE WHEN status = 'bounced' "
            "THEN reason ELSE split_part(reason, ')', 1) END, '') AS text, "
            f"CASE WHEN status = 'bounced' THEN {BOUNCE_LENGTH} ELSE {DEFERRAL_LENGTH} END AS most "
            f"FROM raw){cut} SELECT status, daemon, relay, {reason} AS reason, "
            f"CAST(sum(lines) AS BIGINT) AS lines FROM {'said' if cut else 'parted'} GROUP BY ALL",
            dict.fromkeys(("status", "daemon", "relay", "reason"), _GROUP) | {"lines": _SUM},
            status=("deferred", "bounced"),
        )

    def refusals(self) -> Query:
        """Cut what smtpd and postscreen answered, and what cleanup found.

        Whom it met stays only where that is shown.
        """
        arguments = self._arguments
        is_whole = arguments.verbose_reasons
        # The relation has the reply without code and envelope, but the cuts go by these, too.
        cut = "" if is_whole else f"{refusal_tables('answers')}, "
        reason = "text" if is_whole else "reason"
        sender, recipient = parties_sql("text")
        with_sender = "true" if arguments.add_sender else "is_sender"
        with_recipient = "true" if arguments.add_recipient else "is_recipient"
        where = self._where(f"(daemon <> 'cleanup' OR {_CHECKED})")
        return self._query(
            "refusals",
            "mail",
            "event daemon stage client message",
            "WITH refused AS (SELECT event, daemon, stage, client, message, "
            f"daemon = 'cleanup' AS is_check FROM mail{where}), "
            f"kinds AS (SELECT *, CASE {_KIND} END AS kind FROM refused), "
            "answers AS (SELECT kind, daemon, stage, is_check, client, CASE WHEN is_check THEN "
            f"{check_sql('message', is_whole=is_whole)} ELSE {answer_sql('message')} END AS text "
            f"FROM kinds WHERE kind IS NOT NULL), {cut}"
            f"told AS (SELECT kind, daemon, stage, is_check, client, text, "
            f"CASE WHEN is_check THEN text ELSE {reason} END AS reason "
            f"FROM {'cut' if cut else 'answers'}), "
            "met AS (SELECT *, NOT is_check AND starts_with(reason, 'Sender address rejected:') "
            "AS is_sender, NOT is_check AND (starts_with(reason, 'Recipient address rejected:') "
            "OR reason = 'User unknown' OR starts_with(reason, 'User unknown ')) AS is_recipient "
            "FROM told) SELECT kind, daemon, stage, reason, CASE WHEN is_check OR is_sender "
            "OR is_recipient THEN '' ELSE coalesce(client, '') END AS client, "
            f"CASE WHEN {with_sender} THEN {sender} ELSE '<>' END AS sender, "
            f"CASE WHEN {with_recipient} THEN {recipient} ELSE '<>' END AS recipient, "
            "count(*) AS lines FROM met GROUP BY ALL",
            dict.fromkeys(
                ("kind", "daemon", "stage", "reason", "client", "sender", "recipient"), _GROUP
            )
            | {"lines": _SUM},
            event=_REFUSED,
        )

    def notices(self) -> Query:
        """Warnings and worse, and what master says."""
        kinds = (
            "WHEN 'warning' THEN 'warnings' WHEN 'fatal' THEN 'fatals' WHEN 'panic' THEN 'panics'"
        )
        return self._query(
            "notices",
            "mail",
            "event daemon message",
            "WITH raw AS (SELECT daemon, message, count(*) AS lines "
            f"FROM mail{self._where()} GROUP BY ALL), "
            f"named AS (SELECT *, CASE split_part(message, ': ', 1) {kinds} "
            "ELSE CASE WHEN daemon = 'master' THEN 'master' END END AS kind FROM raw) "
            "SELECT kind, daemon AS name, CASE WHEN kind = 'master' "
            "THEN regexp_replace(message, '^.*: ', '') "
            "ELSE regexp_replace(message, '^.*(?:warning|fatal|panic): ', '') END AS text, "
            "CAST(sum(lines) AS BIGINT) AS lines FROM named WHERE kind IS NOT NULL GROUP BY ALL",
            dict.fromkeys(("kind", "name", "text"), _GROUP) | {"lines": _SUM},
            event=_NOTICED,
        )

    def connect_errors(self) -> Query:
        """Failed connects of smtp, by reason and host."""
        where = self._where("daemon = 'smtp'")
        host = (
            "CASE WHEN contains(reason, '; address ') THEN relay ELSE split_part(relay, '[', 1) END"
        )
        return self._query(
            "connect_errors",
            "mail",
            "event daemon relay reason",
            "WITH failed AS (SELECT relay, reason, count(*) AS lines "
            f"FROM mail{where} GROUP BY ALL) "
            f"SELECT 'smtp_failures' AS kind, {host} AS name, "
            "coalesce(split_part(reason, '; address ', 1), '') AS text, "
            "CAST(sum(lines) AS BIGINT) AS lines FROM failed GROUP BY ALL",
            dict.fromkeys(("kind", "name", "text"), _GROUP) | {"lines": _SUM},
            event=["connect_error"],
        )

    def sent(self) -> Query:
        """Messages by who sent them; by client only where the sender has no domain.

        Two asterisks of VERP may cut the local part away, and with it the domain's meaning.
        """
        is_local = "service <> 'pickup'"
        if (self._arguments.verp_level or 0) < 2:
            is_local += (
                " AND NOT coalesce(strpos(sender, '@') > 1 AND NOT ends_with(sender, '@'), false)"
            )
        return self._query(
            "sent",
            "messages",
            "sender service client size opened active",
            f"SELECT sender, CASE WHEN {is_local} THEN client END AS client, "
            "count(*) AS messages, CAST(coalesce(sum(size), 0) AS BIGINT) AS bytes "
            f"FROM messages{self._where('opened AND active IS NOT NULL')} GROUP BY ALL",
            {"sender": _GROUP, "client": _GROUP, "messages": _SUM, "bytes": _SUM},
        )

    def received(self) -> Query:
        """Lines of deliveries, by recipient."""
        is_sent = "status = 'sent'"
        where = self._where("link IS DISTINCT FROM 'forwarded'")
        return self._query(
            "received",
            "mail",
            f"recipient status link delay_us{self._orig_to()}",
            f"SELECT {self._recipient} AS recipient, count(*) FILTER ({is_sent}) AS sent, "
            "CAST(0 AS BIGINT) AS bytes, count(*) FILTER (status = 'deferred') AS deferrals, "
            f"CAST(coalesce(sum(delay_us) FILTER ({is_sent}), 0) AS BIGINT) AS delay_us, "
            f"coalesce(max(delay_us), 0) AS longest_us FROM mail{where} GROUP BY ALL",
            {"recipient": _GROUP}
            | dict.fromkeys(("sent", "bytes", "deferrals", "delay_us"), _SUM)
            | {"longest_us": _MAX},
            status=("sent", "deferred"),
        )

    def copies_sent(self) -> Query:
        """Bytes by recipient: another line than that of the delivery tells them."""
        return self._query(
            "copies_sent",
            "deliveries",
            f"recipient size sent forwarded{self._orig_to()}",
            f"SELECT {self._recipient} AS recipient, CAST(0 AS BIGINT) AS sent, "
            "CAST(coalesce(sum(size * (sent - forwarded)), 0) AS BIGINT) AS bytes "
            f"FROM deliveries{self._where('sent > forwarded')} GROUP BY ALL",
            {"recipient": _GROUP, "sent": _SUM, "bytes": _SUM},
        )

    def deferred_messages(self) -> Query:
        """Messages that were deferred once or more."""
        return self._query(
            "deferred_messages",
            "messages",
            "deferrals",
            f"SELECT count(*) AS messages FROM messages{self._where('deferrals > 0')}",
            {"messages": _SUM},
        )

    def no_size(self) -> Query:
        """Queue ids of what was delivered though no line tells its size, with the last recipient.

        Ids that are used again make one row, as there: nothing then depends on other messages, and
        the relation has its rows early.
        """
        names = "host, instance, queue_id"
        last = "max({'at': last_attempt, 'to': recipient}) AS latest"
        return self._query(
            "no_size",
            "deliveries",
            f"host instance queue_id recipient last_attempt size sent forwarded{self._orig_to()}",
            f"WITH unknown AS (SELECT {names}, {self._recipient} AS recipient, last_attempt "
            f"FROM deliveries{self._where('size IS NULL AND sent > forwarded')}) "
            f"SELECT {names}, {last} FROM unknown GROUP BY {names}",
            {
                **dict.fromkeys(("host", "instance", "queue_id"), _GROUP),
                "latest": _MAX,
            },
            finish="SELECT queue_id, latest.to FROM partials0",
        )

    def senders_of_copies(self) -> Query:
        """All messages, for the message detail."""
        names = "host, instance, queue_id, generation"
        return self._query(
            "senders_of_copies",
            "messages",
            "host instance queue_id generation sender size",
            f"SELECT {names}, sender, size FROM messages{self._where()}",
            finish="SELECT * FROM partials0 ORDER BY ALL",
        )

    def copies(self) -> Query:
        """All copies sent, for the message detail."""
        names = "host, instance, queue_id, generation"
        return self._query(
            "copies",
            "deliveries",
            "host instance queue_id generation recipient last_attempt sent forwarded"
            + self._orig_to(),
            f"SELECT {names}, {self._recipient} AS recipient, last_attempt, "
            f"sent - forwarded AS copies FROM deliveries{self._where('sent > forwarded')}",
            finish=f"SELECT {names}, list(recipient ORDER BY last_attempt, recipient, copies), "
            "list(copies ORDER BY last_attempt, recipient, copies) "
            f"FROM partials0 GROUP BY {names}",
        )

    def postscreen(self) -> Query:
        """Events of postscreen, by address."""
        return self._query(
            "postscreen",
            "mail",
            "event detail client_ip",
            "SELECT 'postscreen' AS kind, replace(substr(event, 12), '_', ' ') || "
            "CASE event WHEN 'postscreen_pass' THEN coalesce(' ' || lower(detail), '') ELSE '' END "
            "AS name, coalesce(client_ip, '') AS text, count(*) AS lines "
            f"FROM mail{self._where()} GROUP BY ALL",
            dict.fromkeys(("kind", "name", "text"), _GROUP) | {"lines": _SUM},
            event=[event for event in EVENTS if event.startswith("postscreen_")],
        )

    def unprocessed(self) -> Query:
        """Postfix lines that the grammar does not know, whole."""
        day = "lpad(CAST(day(time) AS VARCHAR), 2, ' ')"
        stamp = f"strftime(time, '%b ') || {day} || strftime(time, ' %H:%M:%S')"
        pid = "coalesce('[' || pid || ']', '')"
        return self._query(
            "unprocessed",
            "mail",
            "time host process pid event message",
            f"SELECT concat_ws(' ', {stamp}, host, process || {pid} || ': ' || message) AS line "
            f"FROM mail{self._where()}",
            event=["other"],
        )

    def _orig_to(self) -> str:
        return " orig_to" if self._arguments.use_orig_to else ""

    def _where(self, condition: str = "") -> str:
        if condition and self._own:
            return f" WHERE ({condition}) AND {self._own}"
        return f" WHERE {condition or self._own}" if condition or self._own else ""

    def _query(
        self,
        name: str,
        relation: str,
        columns: str,
        map_sql: str,
        merged: Mapping[str, str] | None = None,
        finish: str = "SELECT * FROM partials0",
        **picked: Collection[str],
    ) -> Query:
        """Return a query.

        ``merged`` says of each column how its partials become one; None: rows stay as they are.
        Only rows with the ``picked`` values are handed to it.
        """
        combine = ""
        if merged is not None:
            items = ", ".join(how.format(column) for column, how in merged.items())
            keys = ", ".join(column for column, how in merged.items() if how == _GROUP)
            combine = f"SELECT {items} FROM partials" + (f" GROUP BY {keys}" if keys else "")
        read = frozenset(columns.split()) | ({"instance"} if self._own else frozenset())
        fold, folded_sql = None, None
        if name in _FOLDED:
            fold, folded_sql = Fold(read), map_sql.replace(_COUNT, "CAST(sum(_n) AS BIGINT)")
        return Query(
            name=name,
            relation=relation,
            columns=read,
            branches=(Branch(map_sql, combine, folded_sql),),
            finish_sql=finish,
            map_only=merged is None,
            limit=None,
            picked={column: frozenset(values) for column, values in picked.items()},
            fold=fold,
        )
