"""``--pseudonymise``: reports that leave the house tell of nobody."""

from __future__ import annotations

import json
import re
import shutil

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import relations
from pipeline.errors import UsageError
from pipeline.job import builtin_jobs, read_job, with_sections
from pipeline.pseudonym_columns import Replacer
from pipeline.pseudonym_text import TextHider, hide_in_names
from pipeline.pseudonyms import Pseudonyms, read_key
from tests.support.people import PEOPLE, write_log

_KEY = b"0123456789abcdef-the-key-of-tests"
_OTHER = b"another key that is long enough"
_BOTH = frozenset(("domains", "networks"))


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A folder with a log of people, and a key."""
    folder = tmp_path_factory.mktemp("house")
    write_log(folder / "mail.log")
    for name, key in (("key", _KEY), ("other", _OTHER)):
        (folder / name).write_bytes(key)
        (folder / name).chmod(0o600)
    return folder


def _told(text: str, kept: frozenset[str] = frozenset()) -> list[str]:
    """Return whom a text tells of."""
    text = text.lower()
    found = [name for name in PEOPLE["logins"] if re.search(rf"(?<![a-z-]){name}(?![a-z])", text)]
    found += [address for address in PEOPLE["addresses"] if address.lower() in text]
    found += [ip for ip in PEOPLE["ips"] if ip in text]
    hosts = PEOPLE["hosts"] if "domains" in kept else PEOPLE["hosts"] + PEOPLE["domains"]
    found += [name for name in hosts if name in text]
    return found + [key.decode() for key in (_KEY, _OTHER) if key.decode() in text]


def _jobs() -> list[str]:
    return sorted(builtin_jobs())


@pytest.mark.parametrize("keep", [(), ("--keep", "domains,networks")], ids=["all", "kept"])
@pytest.mark.parametrize("to", ["table", "csv", "json", "ndjson", "markdown", "values"])
def test_no_job_tells_of_anybody_on_standard_output(sawlog, house, to, keep):
    """Every built-in job, in every format: nobody of the log is in it, nor the key."""
    for name in _jobs():
        if to in ("csv", "ndjson", "values") and read_job(builtin_jobs()[name]).sections:
            continue
        ran = sawlog(
            name,
            house / "mail.log",
            "--year",
            "2024",
            "--to",
            to,
            "--pseudonymise",
            house / "key",
            *keep,
        )
        assert (0, []) == (ran.code, _told(ran.out + ran.err, frozenset(keep[1:] and _BOTH))), name


def test_no_file_tells_of_anybody(sawlog, house, tmp_path):
    """Files of all formats, charts and report too, with a command line that names people."""
    log = house / "alice@corp.example.log"
    shutil.copy(house / "mail.log", log)
    suffixes = ("csv", "json", "ndjson", "md", "parquet", "duckdb", "html", "svg")
    job = tmp_path / "who.sql"
    job.write_text(
        "-- What became of mail to alice@corp.example?\n-- chart: x=recipient y=n mark=rank title='to bob@corp.example'\n"
        "SELECT recipient, file, any_value(reason) AS reason, 'bob@corp.example' AS \"of 192.0.2.77\", count(*) AS n "
        "FROM mail WHERE recipient <> $but GROUP BY ALL ORDER BY ALL\n"
    )
    outs = [part for suffix in suffixes for part in ("-o", tmp_path / f"out.{suffix}")]
    ran = sawlog(
        job, log, "--year", "2024", "-p", "but=alice@corp.example", "--where", "coalesce(sender, '') <> 'carol'",
        "--pseudonymise", house / "key", "--account", tmp_path / "account.json", *outs,
    )  # fmt: skip

    assert 0 == ran.code, ran.err
    texts = {
        path.name: path.read_bytes().decode("utf-8", "replace") for path in tmp_path.glob("out.*")
    }
    texts["account"] = (tmp_path / "account.json").read_text()
    texts["parquet"] = json.dumps(pq.read_table(tmp_path / "out.parquet").to_pydict())
    with duckdb.connect(str(tmp_path / "out.duckdb")) as connection:
        texts["duckdb"] = str(connection.execute("SELECT * FROM who").fetchall())
    assert len(suffixes) + 3 == len(texts)
    assert {name: [] for name in texts} == {name: _told(text) for name, text in texts.items()}
    assert "--where ***" in texts["out.html"]
    assert "--pseudonymise ***" in texts["out.html"]
    # The parameter means the token of the address that it names.
    assert (
        texts["out.csv"].count("\n")
        == len({*re.findall(r"^u-[^,]*", texts["out.csv"], re.MULTILINE)}) + 1
    )


@pytest.mark.parametrize("relation", sorted(relations.RELATIONS))
def test_whatever_sql_does_it_sees_tokens_only(sawlog, house, relation):
    """No column of any relation holds anybody, taken apart, turned round or not."""
    columns = [
        name
        for name, kind in relations.RELATIONS[relation].items()
        if kind == "VARCHAR" and name != "file"
    ]
    picked = ", ".join(f'"{name}"' for name in columns)
    turned = ", ".join(f'reverse(reverse("{name}") || \'x\') AS "t_{name}"' for name in columns)
    parts = ", ".join(f'string_split("{name}", \'@\') AS "p_{name}"' for name in columns)
    for shown in (picked, turned, parts):
        for to in ("csv", "json"):
            ran = sawlog(
                "sql", f"SELECT {shown} FROM {relation}", house / "mail.log", "--year", "2024", "--to", to, "-q",
                "--pseudonymise", house / "key",
            )  # fmt: skip
            assert (0, []) == (ran.code, _told(ran.out))
            assert "u-" in ran.out


def test_what_is_behind_the_tokens_is_out_of_reach(sawlog, house):
    """No query reads the tables and views that relations are made of."""
    for name in ("scanned", "scanned0", "rows0", "_events", "_m"):
        for query in (f"SELECT * FROM {name}", f"SELECT (SELECT count(*) FROM {name}) FROM lines"):
            ran = sawlog("sql", query, house / "mail.log", "--pseudonymise", house / "key")
            assert 2 == ran.code
            assert [] == _told(ran.err)


def test_filters_see_what_is_written(sawlog, house):
    """--where names real addresses; an error of it does not quote the line."""
    asked = (
        "sql",
        "SELECT recipient FROM mail",
        house / "mail.log",
        "--year",
        "2024",
        "-q",
        "--to",
        "values",
    )
    hidden = "--pseudonymise", house / "key"
    where = "--where", "recipient = 'alice@corp.example'"

    assert (
        sawlog(*asked, *where).out.count("alice")
        == sawlog(*asked, *where, *hidden).out.count("u-")
        > 0
    )
    for query in ("mail", "deliveries"):
        wrong = sawlog(
            "sql",
            f"SELECT recipient FROM {query}",
            house / "mail.log",
            "--where",
            "recipient::INTEGER = 1",
            *hidden,
        )
        assert 2 == wrong.code
        assert [] == _told(wrong.err)
        assert "--where fails on some line" in wrong.err


@pytest.mark.parametrize(
    ("relation", "columns"),
    [
        (
            "mail",
            "sender, recipient, orig_to, client, client_ip, helo, relay, sasl_user, message_id",
        ),
        ("mail", "lower(sender), lower(split_part(recipient, '@', -1))"),
        ("lines", "message"),
        ("mail", "reason_group"),
        ("messages", "sender, client_ip, sasl_user"),
        ("deliveries", "recipient, relay, relay_ip, failed_host"),
    ],
)
def test_groups_stay_the_same_and_tokens_are_the_keys(sawlog, house, relation, columns):
    """As many groups as without, of the same sizes; the same key gives the same tokens."""

    def ask(*more):
        query = f"SELECT {columns}, count(*) AS n FROM {relation} GROUP BY ALL ORDER BY ALL"
        ran = sawlog(
            "sql", query, house / "mail.log", "--year", "2024", "--to", "json", "-q", *more
        )
        assert 0 == ran.code, ran.err
        rows = [tuple(row.values()) for row in json.loads(ran.out)]
        return sorted(row[-1] for row in rows), {str(row[:-1]) for row in rows if any(row[:-1])}

    real, hidden = ask(), ask("--pseudonymise", house / "key")
    kept = ask("--pseudonymise", house / "key", "--keep", "networks,domains")
    other = ask("--pseudonymise", house / "other")

    assert real[0] == hidden[0] == kept[0] == other[0]
    assert hidden == ask("--pseudonymise", house / "key")
    with_tokens = {row for row in hidden[1] if re.search(r"(?i)\b[untip46]+-[a-z]{14}", row)}
    assert with_tokens
    assert not with_tokens & other[1]


def test_text_and_columns_agree(sawlog, house):
    """The token of a column stands in the line that it was taken from."""
    query = (
        "SELECT count(*), bool_and(contains(message, '<' || recipient || '>')), count(client_ip), "
        "bool_and(contains(message, '[' || client_ip || ']')), count(sasl_user), "
        "bool_and(contains(message, 'sasl_username=' || sasl_user)) FROM mail WHERE event IN ('delivery', 'client')"
    )
    for keep in ((), ("--keep", "domains,networks")):
        ran = sawlog(
            "sql",
            query,
            house / "mail.log",
            "--year",
            "2024",
            "--to",
            "json",
            "-q",
            "--pseudonymise",
            house / "key",
            *keep,
        )
        values = [*json.loads(ran.out)[0].values()]
        assert [True, True, True] == values[1::2]
        assert all(values[::2])


_local = st.text("aBz'.+=-_/#%", min_size=1, max_size=8)
_domain = st.sampled_from(
    ["corp.example", "Sub.Corp.EXAMPLE", "[192.0.2.1]", "x", "b\u00fccher.example"]
)
_address = st.builds("{}@{}".format, _local, _domain)
_around = st.sampled_from(
    [
        "to=<%s>,",
        "<%s>: x",
        "%s",
        "(%s)",
        "from=%s",
        "mailto:%s",
        "x %s said",
        "'%s'",
        "[%s]",
        "id=<%s",
        "\t%s;",
        '"%s"',
    ]
)


@given(
    st.lists(st.tuples(_around, _address), min_size=1, max_size=4),
    st.sampled_from([frozenset(), _BOTH]),
)
def test_no_address_is_left_in_any_text(parts, keep):
    """However it is written and whatever stands around it, its local part is gone; once is enough."""
    tokens = Pseudonyms(_KEY, keep).tokens
    text = " ".join(form % address for form, address in parts)

    hidden = TextHider(tokens)(text)

    assert "@" not in re.sub(r"(?i)\bu-[a-z]{14}(@|%40)", "", hidden)
    assert hidden == hide_in_names(tokens)(hidden)
    assert hidden == TextHider(tokens)(hidden)


@given(
    st.ip_addresses(),
    st.sampled_from(["%s", "[%s]:25", "a[%s]", "from %s port 2", "ip=%s;", "(%s)"]),
    st.booleans(),
)
def test_no_ip_address_is_left_in_any_text(ip, form, keeps):
    """Every IPv4 and IPv6 address is found; of a network that is kept only the network is told."""
    tokens = Pseudonyms(_KEY, frozenset(("networks",)) if keeps else frozenset()).tokens

    hidden = TextHider(tokens)(form % ip)

    rest = re.sub(r"[0-9a-f.:]+h-[a-z]{14}", "", hidden)
    assert ip.is_loopback or ip.is_unspecified or str(ip) not in rest
    assert hidden == hide_in_names(tokens)(hidden)
    if keeps and ip.version == 4 and not ip.is_loopback and not ip.is_unspecified:
        assert str(ip).rpartition(".")[0] + ".h-" in hidden


@given(st.text("aA@.xX", max_size=6), st.text("aA@.xX", max_size=6))
def test_tokens_are_equal_where_addresses_are(one, two):
    """Equal but for case stays equal but for case."""
    address = Pseudonyms(_KEY).tokens.address

    assert (one == two) == (address(one) == address(two))
    assert (one.lower() == two.lower()) == (address(one).lower() == address(two).lower())


def test_text_takes_time_in_proportion(tmp_path):
    """A line of a megabyte, made to make a search begin everywhere, is no trouble."""
    hide = TextHider(Pseudonyms(_KEY).tokens)
    for part in (
        "a",
        "a.",
        "1.",
        "a=",
        "a:",
        "=<",
        "/",
        "%",
        "@",
        '"',
        "[",
        "'",
        "a@",
        "header x: ",
        ">: <",
        "for user ",
        "(",
    ):
        hide(part * (60_000 // len(part)))


def test_keys_are_checked(sawlog, house, tmp_path):
    """No key, a short one, an unknown word: refused; one that others can read is warned of."""
    (tmp_path / "short").write_bytes(b"x" * 15)
    (tmp_path / "open").write_bytes(_KEY)
    (tmp_path / "open").chmod(0o644)
    log = house / "mail.log", "--year", "2024", "-q"

    for path, said in ((tmp_path / "none", "can't be read"), (tmp_path / "short", "15 bytes")):
        ran = sawlog("senders", *log, "--pseudonymise", path)
        assert 2 == ran.code
        assert said in ran.err
        assert "head -c 32 /dev/urandom" in ran.err
    assert not (tmp_path / "none").exists()
    ran = sawlog("senders", *log, "--pseudonymise", tmp_path / "open")
    assert 0 == ran.code
    assert "others can read the key file" in ran.err
    assert "" == sawlog("senders", *log, "--pseudonymise", house / "key").err
    assert 2 == sawlog("senders", *log, "--keep", "domains").code
    with pytest.raises(UsageError, match="Did you mean 'domains'"):
        read_key(str(house / "key"), "domain")
    assert (
        2
        == sawlog(
            "senders", *log, "--pseudonymise", tmp_path / "open", "-o", tmp_path / "open"
        ).code
    )


def test_the_key_shows_nowhere(house):
    """Not in the repr of what holds it, and not in a view."""
    held = read_key(str(house / "key"))

    assert _KEY.decode() not in repr(held)
    assert "key" not in repr(Replacer(held))


def test_sections_of_a_report_are_hidden_too(sawlog, house):
    """A report of several questions in one pass."""
    reports = [
        name for name in _jobs() if with_sections([read_job(builtin_jobs()[name])])[0].name != name
    ]
    for name in [*reports, "senders,recipients,rejects"]:
        ran = sawlog(
            name,
            house / "mail.log",
            "--year",
            "2024",
            "--to",
            "json",
            "-q",
            "--pseudonymise",
            house / "key",
        )
        assert (0, []) == (ran.code, _told(ran.out))


def test_pflogsumm_tells_of_nobody(sawlog, house):
    """The other command that prints what is in a log; its warnings and unprocessed lines, too."""
    arguments = "--smtpd-stats", "--iso-date-time", "-e", "--year", "2024", "--expand-repeats"
    ran = sawlog("pflogsumm", *arguments, "--pseudonymise", house / "key", house / "mail.log")

    assert (0, []) == (ran.code, _told(ran.out + ran.err))
    assert "u-" in ran.out
