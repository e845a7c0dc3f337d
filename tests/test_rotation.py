"""Names of rotated files: sets, order and dates, as cases in ``cases/rotation``."""

# ruff: noqa: DTZ007  (names have no zone)

from __future__ import annotations

import random
import tomllib
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.rotation import group_sets, newest_first, parse_name

CASES = Path(__file__).parent / "cases" / "rotation"
SETS = tomllib.loads((CASES / "sets.toml").read_text())["case"]
DATES = tomllib.loads((CASES / "dates.toml").read_text())["dates"]


@pytest.mark.parametrize("case", SETS, ids=lambda case: case["note"])
def test_sets_are_found_and_ordered_whatever_the_order_of_the_listing(case):
    """A listing in any order gives the same sets, each oldest first."""
    urls = [url for rotated_set in case["sets"] for url in rotated_set]
    for seed in range(8):
        random.Random(seed).shuffle(urls)

        found = group_sets(urls)

        assert sorted(case["sets"]) == sorted(found)
        firsts = [min(urls.index(url) for url in rotated_set) for rotated_set in found]
        assert sorted(firsts) == firsts, "sets stand in the order of their first file"


@pytest.mark.parametrize(("url", "date"), DATES.items())
def test_a_date_in_the_name_or_path_is_found(url, date):
    """The date is the begin of what the name names; a name without one has none."""
    assert (date or None) == parse_name(url).date


@pytest.mark.parametrize(
    ("url", "base", "suffix"),
    [
        ("/var/log/maillog", "/var/log/maillog", ""),
        ("/var/log/maillog.1.gz", "/var/log/maillog", ".1.gz"),
        ("maillog-20080106.zst", "maillog", "-20080106.zst"),
        ("mail-2008-01-06.log", "mail.log", "-2008-01-06.log"),
        ("tar://log/maillog.1::a.tar", "tar://log/maillog::a.tar", ".1"),
        ("https://host/x/maillog.1.gz?sig=1.2", "https://host/x/maillog?sig=1.2", ".1.gz"),
        ("simplecache::s3://b/maillog.3", "simplecache::s3://b/maillog", ".3"),
        ("maillog.gz", "maillog", ".gz"),
        (".gz", ".gz", ""),
    ],
)
def test_base_and_suffix(url, base, suffix):
    """The base is the live file's URL, whatever chain it stands in; the suffix is the rest."""
    name = parse_name(url)

    assert (base, suffix) == (name.base, name.suffix)


def test_twins_share_a_place():
    """Of a file and its compressed twin neither is newer."""
    places = newest_first(["maillog.2", "maillog.1", "maillog.1.gz", "maillog"])

    assert places == [["maillog"], ["maillog.1", "maillog.1.gz"], ["maillog.2"]]


@given(st.text(st.sampled_from("mail.-_0128:/#WTzg "), max_size=30))
def test_no_name_is_refused(name):
    """Whatever a file is called, it has a base, a place, and a date that exists."""
    parsed = parse_name(name)

    assert isinstance(parsed.order, tuple)
    assert parsed.date is None or isinstance(parsed.date, datetime)
    assert [[name]] == group_sets([name])


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)),
    st.sampled_from(["-%Y%m%d", ".%Y-%m-%d", "-%Y%m%d%H", ".%Y%m%d-%H%M%S", "-%Y-%m", "_%Y.%m.%d"]),
    st.sampled_from(["", ".gz", ".zst", ".log", ".log.xz"]),
)
def test_every_date_format_is_read_back(time, pattern, ending):
    """A date written as the common tools write it is read as the begin of what it names."""
    text = time.strftime(pattern)

    assert datetime.strptime(text, pattern) == parse_name(f"maillog{text}{ending}").date
