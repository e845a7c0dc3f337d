"""Listings of stores: in bounded memory, and no more than the glob names."""

from __future__ import annotations

import tracemalloc
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.listing import Lister


class Keys:
    """A file system of so many keys that it must not be held; it tells what was listed."""

    def __init__(self, n_folders: int, n_files: int) -> None:
        self.n_folders, self.n_files = n_folders, n_files
        self.listed: list[str] = []

    def ls(self, path: str, *, detail: bool) -> list[dict[str, object]]:
        self.listed.append(path)
        depth = path.count("/")
        if depth == 0:
            return [{"name": f"{path}/{n:04}", "type": "directory"} for n in range(self.n_folders)]
        return [
            {"name": f"{path}/maillog.{n:03}", "type": "file", "size": 1, "pad": "x" * 500}
            for n in range(self.n_files)
        ]


def lister(fs: object) -> Lister:
    return Lister(fs, lambda call: call())


@pytest.mark.parametrize("how", ["walk", "**", "*/mail*"])
def test_a_listing_is_not_held(how):
    """100,000 keys in 1000 folders: memory is that of some folders."""
    fs = Keys(1000, 100)
    found = lister(fs).walk("b") if how == "walk" else lister(fs).glob(f"b/{how}")
    tracemalloc.start()
    n_found = sum(1 for _ in found)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert 100_000 == n_found
    assert peak < 5e6


def test_folders_that_do_not_match_are_not_listed():
    """A glob reads only what its parts name."""
    fs = Keys(1000, 2)
    found = [info["name"] for info in lister(fs).glob("b/00[12]7/maillog.*1")]

    assert ["b/0017/maillog.001", "b/0027/maillog.001"] == found
    assert {"b", "b/0017", "b/0027"} == set(fs.listed)


@pytest.mark.timeout(20)
def test_a_deep_glob_does_not_wait_for_itself(monkeypatch):
    """Listings of many levels need no more threads than there are."""
    from concurrent.futures import ThreadPoolExecutor

    import pipeline.sources.listing

    class Deep(Keys):
        def ls(self, path, *, detail):
            kind = "file" if path.count("/") == 4 else "directory"
            return [{"name": f"{path}/{n}", "type": kind} for n in range(4)]

    with ThreadPoolExecutor(2) as two:
        monkeypatch.setattr(pipeline.sources.listing, "pool", lambda: two)
        found = [info["name"] for info in lister(Deep(0, 0)).glob("b/*/*/*/*/*")]

    assert 4**5 == len(set(found)) == len(found)
    assert sorted(found) == found


_part = st.sampled_from(["a", "b", "ab", "ba.log"])


@given(
    paths=st.sets(st.lists(_part, min_size=1, max_size=4).map("/".join), max_size=12),
    pattern=st.lists(
        st.sampled_from(["a", "*", "a*", "?", "[ab]", "*.log", "**"]), min_size=1, max_size=4
    ).filter(lambda parts: any(set(part) & set("*?[") for part in parts)),
)
def test_a_glob_finds_what_its_parts_match(paths, pattern):
    """Against the slow obvious meaning; one star ends at a slash, two don't."""
    import fsspec

    # A file can't be a folder as well.
    files = {p for p in paths if not any(other.startswith(p + "/") for other in paths)}
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    memory.mkdir("/top")
    for path in files:
        memory.pipe(f"/top/{path}", b"x")

    found = lister(memory).glob("/top/" + "/".join(pattern))
    seen = [info["name"].removeprefix("/top/") for info in found if info["type"] == "file"]
    memory.store.clear()

    def matches(parts: list[str], names: list[str]) -> bool:
        if not parts:
            return not names
        if parts[0] == "**":
            if len(parts) == 1:
                return bool(names)
            return any(matches(parts[1:], names[n:]) for n in range(len(names) + 1))
        return bool(names) and fnmatchcase(names[0], parts[0]) and matches(parts[1:], names[1:])

    assert sorted(p for p in files if matches(pattern, p.split("/"))) == sorted(seen)
