"""The cuts of `pipeline.pflogsumm.reasons` in SQL: tables of a WITH, each made of the one before.

A table for each step, since an expression that stands in many places is worked out in each of them.
Regular expressions are asked only where something cheaper says that they may fit.
"""

from __future__ import annotations


def said_tables(source: str) -> str:
    """Return the tables that end in ``said``: `reasons.shorten_said`.

    Parameters
    ----------
    source : str
        Name of a table with ``text`` and ``most``, the characters that may stay. ``said`` has its
        columns and ``reason``.
    """
    # The leftmost colon behind which no more than that is left stands before the last ``most``
    # characters (blanks between don't count), or is the first among them.
    return (
        f"behind AS (SELECT *, CASE WHEN length(text) > most AND contains(text, ' said: ') "
        f"THEN regexp_replace(text, '^.* said: ', '') ELSE text END AS behind FROM {source}), "
        "tails AS (SELECT *, right(behind, most) AS tail FROM behind), "
        "said AS (SELECT *, CASE WHEN length(behind) <= most THEN behind "
        "WHEN ends_with(rtrim(left(behind, length(behind) - most), ' '), ':') "
        "THEN ltrim(tail, ' ') "
        "WHEN contains(tail, ':') THEN ltrim(substr(tail, strpos(tail, ':') + 1), ' ') "
        "ELSE left(regexp_extract(behind, '(?:^|: *)([^:]*)$', 1), most - 3) || '...' END "
        "AS reason FROM tails)"
    )


def refusal_tables(source: str) -> str:
    """Return the tables that end in ``cut``: `reasons.refusal_reason`.

    Parameters
    ----------
    source : str
        Name of a table with ``stage`` and ``text``. ``cut`` has its columns and ``reason``.
    """
    rejected = r"'^((?:Sender|Recipient) address rejected: [^:]+):.*'"
    blocked = "'(?:client|Client host|Sender address) .+? blocked'"
    separated = r"'[:;] (?:\[[^\]]+\] )?([^;,]+)[;,]'"
    return (
        # The bracket behind a plain code may hold anything, separators too.
        "plain AS (SELECT *, CASE WHEN substr(text, 5, 1) = '<' "
        rf"THEN regexp_replace(text, '^(\d{{3}} <).*?>:', '\1>:') ELSE text END AS plain "
        f"FROM {source}), "
        # Behind the first separator, up to the next semicolon or comma.
        "rests AS (SELECT *, CASE WHEN stage IN ('RCPT', 'DATA', 'CONNECT') "
        "THEN substr(plain, length(split_part(split_part(plain, ': ', 1), '; ', 1)) + 3) END "
        "AS rest FROM plain), "
        "parts AS (SELECT *, split_part(split_part(rest, ';', 1), ',', 1) AS part FROM rests), "
        "clauses AS (SELECT *, CASE WHEN part <> '' AND part <> rest AND NOT starts_with(rest, '[') "
        "THEN part WHEN rest IS NOT NULL "
        f"THEN coalesce(nullif(regexp_extract(plain, {separated}, 1), ''), plain) END AS clause "
        "FROM parts), "
        "cut AS (SELECT *, CASE "
        "WHEN stage = 'MAIL' THEN "
        rf"coalesce(nullif(regexp_extract(text, '^\d{{3}} (?:<.+>: )?([^;:]+)', 1), ''), text) "
        "WHEN clause IS NULL THEN "
        "coalesce(nullif(regexp_extract(text, '^(?:.*[:;] )?([^,]+)', 1), ''), text) "
        "WHEN contains(plain, ' Protocol error;') "
        rf"AND regexp_matches(plain, '^\d{{3}} \d\.\d\.\d Protocol error;') THEN 'Protocol error' "
        f"WHEN contains(clause, ' address rejected: ') THEN regexp_replace(regexp_replace(clause, "
        rf"{rejected}, '\1'), {blocked}, 'blocked') "
        f"WHEN contains(clause, ' blocked') THEN regexp_replace(clause, {blocked}, 'blocked') "
        "ELSE clause END AS reason FROM clauses)"
    )


def parties_sql(text: str) -> tuple[str, str]:
    """Return SQL for the sender and recipient of `reasons.find_parties`."""
    recipients = ", ".join(
        f"nullif(regexp_extract({text}, {pattern}, 1), '')"
        for pattern in (
            "'to=<([^>]+)>'",
            r"'\d{3} <([^>]+)>: User unknown '",
            "'to=<(.*?)(?:[, ]|$)'",
        )
    )
    sender = f"nullif(regexp_extract({text}, 'from=<([^>]+)>', 1), '')"
    return (
        f"CASE WHEN {_is_closed(text, 'from=<')} THEN {_closed(text, 'from=<')} "
        f"ELSE coalesce({sender}, '<>') END",
        f"CASE WHEN {_is_closed(text, 'to=<')} THEN {_closed(text, 'to=<')} "
        f"ELSE coalesce({recipients}, '<>') END",
    )


def _closed(text: str, opening: str) -> str:
    return f"split_part(split_part({text}, '{opening}', 2), '>', 1)"


def _is_closed(text: str, opening: str) -> str:
    """Return SQL that tells whether what follows an opening ends in a bracket, and is not empty."""
    behind = f"split_part({text}, '{opening}', 2)"
    return f"contains({behind}, '>') AND NOT starts_with({behind}, '>')"


def answer_sql(message: str) -> str:
    """Return SQL for what follows the client in ``QUEUEID: reject: RCPT from CLIENT: ANSWER``."""
    client = f"substr({message}, strpos({message}, ' from ') + 6)"
    return f"substr({client}, strpos({client}, ': ') + 2)"


def check_sql(message: str, *, is_whole: bool) -> str:
    """Return SQL for what follows header, body or END-OF-MESSAGE in a line of cleanup.

    If not whole, cut as `reasons.check_text` does, but for the length.
    """
    text = f"regexp_extract({message}, ': (?:header|body|END-OF-MESSAGE) (.*)', 1)"
    if is_whole:
        return text
    return (
        f"CASE WHEN contains({text}, '; from=<') "
        f"THEN regexp_replace(split_part({text}, '; from=<', 1), ' from \\S+$', '') "
        f"ELSE {text} END"
    )
