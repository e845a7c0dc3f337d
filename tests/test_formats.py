"""Formats as users meet them: patterns of one's own, --format, --columns, --bots, plan, times."""

from __future__ import annotations

import csv
import io
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import duck
from pipeline.errors import UsageError
from pipeline.formats.base import FormatOptions
from pipeline.formats.json_format import make_format
from pipeline.formats.patterns import read_patterns
from pipeline.formats.times import MONTHS, check_format, offset_sql, time_sql
from tests.support.access_logs import access_lines

_CASES = tomllib.loads((Path(__file__).parent / "cases" / "times" / "all.toml").read_text())["case"]
_APP = """
name = "app"

[[pattern]]
name = "request"
template = "{time:iso} {level} {user} took {took:float} ms"

[[pattern]]
name = "french"
template = "[{when:time}] {level}: {said:rest}"
time = { field = "when", format = "%d %B %Y %H:%M:%S", locale = "fr" }

[[sample]]
line = "2024-01-02 10:00:00,250 INFO alice took 3.5 ms"
fields = { pattern = "request", level = "INFO", user = "alice", took = 3.5, day = "2024-01-02" }

[[sample]]
line = "[3 février 2024 10:00:00] warning: disk is full"
fields = { pattern = "french", when = "3 février 2024 10:00:00", level = "warning", said = "disk is full", day = "2024-02-03" }
"""
_LOG = """2024-01-02 10:00:00,250 INFO alice took 3.5 ms
[3 février 2024 10:00:00] warning: disk is full
neither
"""


@pytest.fixture
def app(tmp_path) -> Path:
    (tmp_path / "app.toml").write_text(_APP)
    (tmp_path / "app.log").write_text(_LOG)
    return tmp_path


def _times():
    return [
        pytest.param(
            case,
            *[*time, "", None][:2],
            [*time, None, None][2],
            id=f"{case['formats'][0]} {time[0]}",
        )
        for case in _CASES
        for time in case["times"]
    ]


@pytest.mark.parametrize(("case", "text", "time", "offset"), _times())
def test_time(case, text, time, offset):
    """A time is read as written; its offset stands beside it."""
    found = _read(case, text)

    assert (time or None) == found[0]
    if time:
        assert offset == found[1]


def _read(case, text: str) -> tuple[str | None, int | None]:
    made = time_sql("x", case["formats"], case.get("locale"))
    offset = offset_sql("x", case["formats"])
    table = duck.query(
        f"SELECT CAST({made} AS VARCHAR) AS t, {offset} AS o FROM (SELECT {duck.quote(text)} AS x)"
    )
    return table["t"][0].as_py(), table["o"][0].as_py()


@given(text=st.text(max_size=30), case=st.sampled_from(_CASES))
def test_no_text_is_an_error(text, case):
    """Whatever stands where a time is expected is a time or NULL."""
    _read(case, text.replace("\x00", ""))


@pytest.mark.parametrize("locale", MONTHS)
def test_every_month_of_a_language_is_read(locale):
    """By each of its names, and to its own number."""
    for number, names in enumerate(MONTHS[locale], 1):
        for name in names:
            case = {"formats": ["%Y %B %d"], "locale": locale}
            assert f"2024-{number:02}-01 00:00:00" == _read(case, f"2024 {name.title()} 01")[0], (
                name
            )


@pytest.mark.parametrize(
    ("format_", "locale", "said"),
    [
        ("%d %b", None, "no year"),
        ("isoo", None, "'iso'"),
        ("%z %Y", None, "%z"),
        ("%Y", "it", "fr"),
    ],
)
def test_what_is_no_format_of_a_time(format_, locale, said):
    """It is told before anything is read."""
    with pytest.raises(UsageError, match=said):
        check_format(format_, locale)


def test_a_pattern_of_ones_own_is_a_relation(sawlog, app):
    """Fields are typed, times read, and the first pattern that matches makes the row."""
    asked = 'SELECT day, pattern, level, "user", took, said FROM app'
    ran = sawlog("sql", asked, app / "app.log", "--pattern", app / "app.toml", "--to", "csv")
    since = sawlog(
        "sql",
        asked,
        app / "app.log",
        "--pattern",
        app / "app.toml",
        "--to",
        "values",
        "--since",
        "2024-02-01",
    )

    rows = list(csv.reader(io.StringIO(ran.out)))
    assert 0 == ran.code, ran.err
    assert ["2024-01-02", "request", "INFO", "alice", "3.5", ""] == rows[1]
    assert ["2024-02-03", "french", "warning", "", "", "disk is full"] == rows[2]
    assert 3 == len(rows)
    assert "2024-02-03,french,warning,,,disk is full\n" == since.out


def test_with_format_lines_are_dated_by_it(sawlog, app):
    """No line is lost: those that it does not know stay without a day."""
    ran = sawlog(
        "volume",
        "--by",
        "day",
        app / "app.log",
        "--pattern",
        app / "app.toml",
        "--format",
        "app",
        "--to",
        "values",
    )

    assert (0, "2024-01-02,1,47\n2024-02-03,1,49\n,1,8\n") == (ran.code, ran.out)


def test_check_tells_what_a_sample_gives(sawlog, app):
    """Exit 0 and a line where all is as told; else each difference, and exit 1."""
    good = sawlog("formats", "check", app / "app.toml")
    (app / "app.toml").write_text(_APP.replace("took = 3.5", "took = 4.5"))
    bad = sawlog("formats", "check", app / "app.toml")
    (app / "app.toml").write_text(_APP.split('[[sample]]\nline = "[3', maxsplit=1)[0])
    few = sawlog("formats", "check", app / "app.toml")

    assert (0, True) == (good.code, "2 patterns, 2 samples" in good.out)
    assert (1, True) == (bad.code, "sample 1: took is 3.5, expected 4.5" in bad.err)
    assert (1, True) == (few.code, "no sample shows the pattern 'french'" in few.err)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "app"', 'name = "mail"', "another relation"),
        ('name = "app"', 'name = "App 1"', "letters, digits"),
        ("{took:float}", "{took:flot}", "Did you mean 'float'"),
        ("{level}: {said", "{level:int}: {said", "'level' is VARCHAR in one"),
        ('template = "[{', 'regx = "[{', "unknown key 'regx'"),
        (
            'template = "[{when:time}] {level}: {said:rest}"',
            "regex = '(?P<when>x(?P<level>y)'",
            "missing",
        ),
        ('template = "[{when:time}] {level}: {said:rest}"', "regex = 'x'", "no named group"),
        ('locale = "fr"', 'locale = "xx"', "language of month names"),
        ("{took:float}", "{day:int}", "'day'"),
        ("[[pattern]]", "[[pattern", "not TOML"),
    ],
)
def test_a_wrong_file_names_file_and_pattern(sawlog, app, old, new, said):
    """Exit 2, before anything is read."""
    (app / "app.toml").write_text(_APP.replace(old, new))

    ran = sawlog("sql", "SELECT count(*) FROM app", app / "app.log", "--pattern", app / "app.toml")

    assert 2 == ran.code
    assert said in ran.err
    assert "app.toml" in ran.err


def test_a_pattern_of_many_stars_takes_no_time(tmp_path):
    """RE2 has no backtracking: a line that another engine would choke on is read at once."""
    path = tmp_path / "evil.toml"
    path.write_text("[[pattern]]\nregex = '^(?P<a>(x+x+)+y)$'\n")
    with pytest.raises(UsageError, match="group"):
        read_patterns(path)  # Arrow wants every group named
    path.write_text(
        "[[pattern]]\nregex = '^(?P<a>(?:x+x+)+y)$'\n[[sample]]\nline = 'XX'\nrepeat = { XX = 100000 }\nis_row = false\n"
    )
    from pipeline.recognise import check_samples

    assert ["no sample shows the pattern 'evil1'"] == check_samples(read_patterns(path))


def test_the_first_pattern_that_matches_wins(sawlog, tmp_path):
    """Each line makes one row, whatever matches it."""
    (tmp_path / "two.toml").write_text(
        "name = 'two'\n[[pattern]]\nname = 'a'\nregex = '(?P<x>1)'\n[[pattern]]\nname = 'b'\nregex = '(?P<x>.)'\n"
    )
    (tmp_path / "log").write_text("1\n2\n\n21\n")

    ran = sawlog(
        "sql",
        "SELECT pattern, x FROM two",
        tmp_path / "log",
        "--pattern",
        tmp_path / "two.toml",
        "--to",
        "values",
    )

    assert (0, "a,1\nb,2\na,1\n") == (ran.code, ran.out)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("a:intt", "'int'"),
        ("time", "column of every line"),
        ("a,a", "two columns"),
        ("a..b", "empty part"),
        ("=a", "takes"),
        ("host:int", "is text in every line"),
        ("0", "give a name"),
    ],
)
def test_columns_that_cannot_be(columns, said):
    """What is wrong is told, with the way out."""
    with pytest.raises(UsageError, match=said):
        make_format(FormatOptions(json_columns=columns))


def test_plan_tells_the_format_of_each_file(sawlog, app, demo):
    """By the lines of its head; --format says otherwise."""
    (app / "access.log").write_text("\n".join(access_lines(50)) + "\n")
    (app / "x.ndjson").write_text('{"level":"info"}\n' * 9 + "{cut\n")
    paths = [app / "access.log", app / "app.log", app / "x.ndjson", demo / "maillog"]

    def formats(*options):
        ran = sawlog(
            "plan", "volume", *paths, "--pattern", app / "app.toml", "--to", "csv", "-q", *options
        )
        assert 0 == ran.code, ran.err
        return {
            Path(row["file"]).name: (row["format"], row["matching"])
            for row in csv.DictReader(io.StringIO(ran.out))
        }

    found = formats()
    assert ("access", "access 100 %") == found["access.log"]
    assert ("app", "app 66 %") == found["app.log"]
    assert ("json", "json 90 %") == found["x.ndjson"]
    assert "mail" == found["maillog"][0]
    assert {"json"} == {name for name, _ in formats("--format", "json").values()}
    assert 2 == sawlog("volume", app / "app.log", "--format", "jsn").code


def test_own_rules_for_bots_come_first(sawlog, tmp_path):
    """A file of the user's own; a wrong one is told."""
    (tmp_path / "log").write_text(
        '192.0.2.1 - - [26/Dec/2007:04:02:11 +0100] "GET / HTTP/1.1" 200 5 "-" "Googlebot (ours.example)"\n'
    )
    (tmp_path / "bots.toml").write_text('[[rule]]\nbot = "ours"\nany = ["OURS.example"]\n')

    builtin = sawlog("bots", tmp_path / "log", "--to", "values")
    own = sawlog("bots", tmp_path / "log", "--to", "values", "--bots", tmp_path / "bots.toml")
    (tmp_path / "wrong.toml").write_text('[[rule]]\nbot = "ours"\n')
    wrong = sawlog("bots", tmp_path / "log", "--bots", tmp_path / "wrong.toml")

    assert builtin.out.startswith("Google,1,")
    assert own.out.startswith("ours,1,")
    assert (2, True) == (wrong.code, "rule 1" in wrong.err)


def test_an_unknown_relation_names_all_there_are(sawlog, app):
    """Formats included, though none was loaded for the query."""
    ran = sawlog("sql", "SELECT count(*) FROM acces", app / "app.log")

    assert 2 == ran.code
    assert "Did you mean 'access'" in ran.err


def test_json_lines_are_no_envelopes_where_they_are_asked_for(sawlog, tmp_path):
    """Docker's own shape: a query over json sees its fields, one over lines what is in it."""
    path = tmp_path / "c-json.log"
    line = (
        '{{"log":"Jan  1 00:00:0{} mx app: {}\\n","stream":"stdout","time":"2024-01-01T00:00:00Z"}}'
    )
    path.write_text("".join(line.format(k, k) + "\n" for k in range(4)))

    asked = sawlog("sql", "SELECT stream, count(*) AS n FROM json GROUP BY ALL", path,
                   "--columns", "stream", "--to", "values")  # fmt: skip
    lines = sawlog("sql", "SELECT process, count(*) AS n FROM lines GROUP BY ALL", path,
                   "--to", "values")  # fmt: skip

    assert ("stdout,4\n", "app,4\n") == (asked.out, lines.out)
