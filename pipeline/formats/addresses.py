r"""Rules that bring different forms of one address together, as SQL over its text.

``sender``, ``recipient`` and ``orig_to`` are kept as written unless ``--addresses`` names rules.
They run in the order of `RULES`, whatever the order on the command line: a bounce address may be
signed around an SRS address or inside of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import unknown_name

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

COLUMNS = frozenset({"sender", "recipient", "orig_to"})

_AFTER_BOUNCE = (
    r"(?i)^((?:[^@]*[^@a-z])?(?:bounces?|bounced|returns?|sentto|noreply|no-reply))"
    r"(?:[+_.*-][0-9]+)*[+_.*-](?:[0-9]+|[^@=]+=[^@=]+)@"
)
#: Rule → steps of (character that every address holds which it changes, or none, RE2 pattern,
#: replacement).
RULES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "batv": (
        # prvs=KDDDSSSSSS=local@domain; older ones local/KDDDSSSSSS.
        ("=", r"(?i)^prvs=([^/=@]+)/[0-9a-f]{10}@", r"\1@"),
        ("=", r"(?i)^(?:prvs=[^=@]*=|btv1==[^=@]*==)(.+)$", r"\1"),
    ),
    "srs": (
        # SRS1=HASH=first.forwarder==HASH=TT=domain=local@second.forwarder, or without the first.
        (
            "=",
            r"(?i)^(?:SRS0|SRS1[=+-][^=@]*=[^=@]+=)[=+-][^=@]*=[^=@]*=([^=@]+)=(.+)@[^@]*$",
            r"\2@\1",
        ),
    ),
    "verp": (
        # list-bounces+user=example.org@…, bounces+1234-5f-user=example.org@…
        ("=", r"^([^@+=]+)\+[^@]*=[^@]*@", r"\1@"),
        # list-return-36-user=example.org@…, bounce-1234-56@…
        (
            "",
            _AFTER_BOUNCE,
            r"\1@",
        ),
        # owner-list-user=example.org@…
        ("=", r"^([^@=]+)-[^@=+-]+=[^@=]*\.[^@=]*@", r"\1@"),
    ),
    "plus": (("+", r'^([^"+@][^+@]*)\+[^@]*', r"\1"),),
}
_DOMAINS = "domains"
#: All rules, in the order in which help and errors name them.
NAMES = (_DOMAINS, "srs", "verp", "batv", "plus")


def read_rules(text: str) -> tuple[str, ...]:
    """Read ``--addresses RULE,…``.

    Raises
    ------
    UsageError
        A rule is unknown; the message names the nearest.
    """
    rules = [name.strip().lower() for name in text.split(",")]
    for name in rules:
        if name not in NAMES:
            raise unknown_name("rule for --addresses", name, NAMES)
    return tuple(name for name in NAMES if name in rules)


def address_sql(column: str, rules: Collection[str]) -> str:
    """Return the SQL of a column of addresses, rewritten by rules.

    Examples
    --------
    >>> address_sql("sender", ())
    '"sender"'
    """
    written = f'"{column}"'
    if column not in COLUMNS or not rules:
        return written
    steps = [
        step for rule in ("batv", "srs", "batv", "verp", "plus") if rule in rules
        for step in RULES[rule]
    ]  # fmt: skip
    # Most addresses hold neither = nor +: they are spared the patterns. Each step names the text
    # before it once, or the SQL would grow as the power of the steps.
    text = written
    if steps:
        few = _run([step for step in steps if not step[0]], written)
        text = (
            f"CASE WHEN contains({written}, '=') OR contains({written}, '+') "
            f"THEN {_run(steps, written)} ELSE {few} END"
        )
    if _DOMAINS in rules:
        text = f"regexp_replace({text}, '@[^@]*$', '') || lower(regexp_extract({text}, '@[^@]*$'))"
    return text


def _run(steps: Sequence[tuple[str, str, str]], text: str) -> str:
    for _, pattern, by in steps:
        text = f"regexp_replace({text}, '{pattern}', '{by}')"
    return text
