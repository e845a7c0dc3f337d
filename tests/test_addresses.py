"""``--addresses``: forms of one address come together, and only for who asks."""

from __future__ import annotations

import tomllib
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.formats.addresses import NAMES, address_sql, read_rules

_CASES = tomllib.loads(
    (Path(__file__).parent / "cases" / "addresses" / "rules.toml").read_text(encoding="utf-8")
)["case"]

_LOG = b"""\
Mar  1 10:00:00 mx postfix/smtpd[1]: 4A1B2C3D: client=c.example[192.0.2.1]
Mar  1 10:00:00 mx postfix/qmgr[2]: 4A1B2C3D: from=<prvs=0123456789=Alice@Example.org>, size=100, nrcpt=3 (queue active)
Mar  1 10:00:01 mx postfix/smtp[3]: 4A1B2C3D: to=<bob+x@Example.NET>, relay=none, delay=1, status=deferred (timeout)
Mar  1 10:00:02 mx postfix/smtp[3]: 4A1B2C3D: to=<bob@example.net>, relay=none, delay=1, status=sent (ok)
Mar  1 10:00:03 mx postfix/smtp[3]: 4A1B2C3D: to=<eve@example.net>, orig_to=<e+ve@MX.example>, relay=none, delay=1, status=sent (ok)
Mar  1 10:00:04 mx postfix/qmgr[2]: 4A1B2C3D: removed
"""


def _rewrite(addresses, rules):
    text = address_sql("sender", rules)
    with duckdb.connect() as connection:
        rows = connection.execute(
            f'SELECT {text} FROM (SELECT unnest($1::VARCHAR[]) AS "sender")', [list(addresses)]
        ).fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case["rules"])
def test_rules_give_what_the_cases_say(case):
    """Each address becomes what its line in the case says."""
    written, wanted = zip(*case["addresses"], strict=True)

    assert list(wanted) == _rewrite(written, read_rules(case["rules"]))


@given(
    st.lists(st.text("aB1@=+-./\"'SR0prvs", max_size=24), min_size=1, max_size=8),
    st.sets(st.sampled_from(NAMES)),
)
def test_rules_keep_rows_and_never_empty_an_address(addresses, rules):
    """Whatever an address looks like, it stays one, and the null sender stays the null sender."""
    rewritten = _rewrite(addresses, rules)

    assert [a != "" for a in addresses] == [a != "" for a in rewritten]


def test_an_unknown_rule_names_the_nearest():
    """A slip of the finger is told, with what was meant."""
    with pytest.raises(UsageError, match=r"'domain'.*'domains'"):
        read_rules("srs,domain")


def test_addresses_come_together_in_mail_messages_and_deliveries(sawlog, tmp_path):
    """The columns of all three relations are rewritten: two forms of a recipient are one delivery."""
    log = tmp_path / "mail.log"
    log.write_bytes(_LOG)

    def ask(query, *more):
        ran = sawlog("sql", query, log, "--year", "2024", "--to", "values", "-q", *more)
        assert ran.code == 0, ran.err
        return ran.out.split()

    rules = ("--addresses", "domains,batv,plus")
    mail = "SELECT coalesce(sender, recipient) FROM mail WHERE sender <> '' OR recipient <> ''"
    messages = "SELECT sender, recipients FROM messages"
    deliveries = "SELECT recipient, orig_to, attempts FROM deliveries ORDER BY ALL"
    assert ["Alice@example.org", "bob@example.net", "bob@example.net", "eve@example.net"] == ask(
        mail, *rules
    )
    assert ["Alice@example.org,2"] == ask(messages, *rules)
    assert ["bob@example.net,,2", "eve@example.net,e@mx.example,1"] == ask(deliveries, *rules)
    assert ["prvs=0123456789=Alice@Example.org,3"] == ask(messages)
    assert ["Alice@example.org"] == ask(
        "SELECT sender FROM messages", *rules, "--where", "sender = 'Alice@example.org'"
    )
