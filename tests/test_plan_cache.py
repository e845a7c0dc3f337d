"""Plans that are kept between runs: the same answers, and never in the way."""

from __future__ import annotations

import pytest

from pipeline import plan_cache
from pipeline.plan_cache import remembered
from pipeline.relations import RELATIONS
from pipeline.sql import plan_query

_TEXT = "SELECT day, count(*) AS n, sum(bytes) FROM lines WHERE process IN ('a', 'b') GROUP BY ALL"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "sawlog"


def _ask(text=_TEXT, question="q", made=None):
    made = [] if made is None else made

    def make():
        made.append(text)
        return {"": plan_query(text, RELATIONS)}

    return remembered([question], text, make)[""]


def test_a_plan_is_kept_whole(folder):
    """What comes back equals what was made, and is not made again."""
    made = []
    first = _ask(made=made)
    assert _ask(made=made) == first == plan_query(_TEXT, RELATIONS)
    assert len(made) == 1
    assert len(list(folder.iterdir())) == 1


def test_another_question_has_another_plan(folder):
    """What the plan depends on is part of the question."""
    assert _ask(question="a") == _ask(question="b")
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize(
    "text",
    [
        "SELECT count(*) FROM lines WHERE time < now()",
        "SELECT count(*) FROM lines WHERE time < NOW ( )",
        "SELECT count(*) FROM lines WHERE day = current_date",
        "SELECT count(*) FROM lines WHERE day = today()",
        "SELECT count(*) FROM lines WHERE time < now/**/()",
        "SELECT count(*) FROM lines WHERE time < now -- so late\n()",
        """SELECT count(*) FROM lines WHERE time < "now"()""",
        "SELECT count(*) FROM lines WHERE process = '--' AND time < now()",
    ],
)
def test_the_time_of_the_run_is_not_kept(folder, text):
    """A plan holds the moment at which it was made."""
    _ask(text)
    assert not folder.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"key": 1}', b'{"key": null, "plans": 3}'])
def test_a_damaged_plan_is_made_anew(folder, content):
    """A cache may hold anything."""
    expected = _ask()
    (path,) = folder.iterdir()
    path.write_bytes(content)
    assert _ask() == expected
    made = []
    _ask(made=made)
    assert made == []


def test_another_version_makes_its_own(folder, monkeypatch):
    """A plan of another state of the program is not used."""
    _ask()
    monkeypatch.setattr(plan_cache, "_version", lambda: "another")
    made = []
    _ask(made=made)
    assert len(made) == 1


def test_the_oldest_go_first(folder, monkeypatch):
    """The folder doesn't grow for ever."""
    monkeypatch.setattr(plan_cache, "MAX_PLANS", 3)
    for k in range(6):
        _ask(question=k)
    assert len(list(folder.iterdir())) == 3


def test_no_room_is_no_error(folder, monkeypatch):
    """A cache directory that can't be written to is not used."""
    folder.parent.joinpath("file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent / "file"))
    assert _ask() == plan_query(_TEXT, RELATIONS)
