"""What holds for every archive: patterns of members, places, threads, temporary files."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.source import find_sources, open_stored
from pipeline.sources.members import matcher
from tests.support.processes import run_python
from tests.support.sources import LINE, kinds, make_tar, make_zip, read, urls, write


def test_patterns_of_members(folder):
    """As in a folder: ``*`` ends at a slash, ``**`` does not, a folder means all in it; a full name is explicit."""
    names = ["a/x.log", "a/b/x.log", "x.log", "a[1].log"]
    write("logs.tar", make_tar(dict.fromkeys(names, LINE)))

    def found(pattern: str) -> list[str]:
        listing = find_sources([f"tar://{pattern}::logs.tar"])
        return sorted(
            file.url.removeprefix("tar://").removesuffix("::logs.tar") for file in listing.files
        )

    assert sorted(names) == found("*") == found("") == found("**")
    assert found("x.log") == ["x.log"]
    assert found("*.log") == ["a[1].log", "x.log"]
    assert found("**/x.log") == ["a/b/x.log", "a/x.log", "x.log"]
    assert ["a/b/x.log", "a/x.log"] == found("a") == found("a/") == found("./a")
    assert ["a/b/x.log"] == found("a/?/x.*") == found("a/[bc]")
    assert found("a[1].log") == ["a[1].log"]
    assert kinds(find_sources(["tar://y*::logs.tar", "tar://y::logs.tar"])) == [
        ("tar://y*::logs.tar", "no match"),
        ("tar://y::logs.tar", "missing"),
    ]
    assert find_sources(["tar://x.log::logs.tar"]).files[0].explicit


@given(
    st.text(st.sampled_from("a*?[]!./-"), max_size=8),
    st.text(st.sampled_from("ab./[]"), max_size=8),
)
@example("[.*]", ".")
def test_no_pattern_is_refused(pattern, label):
    """Whatever stands between tar:// and :: is a pattern, and a label always matches itself in **."""
    assert matcher(pattern)(label) in {True, False}
    assert matcher("**")(label)


def test_archives_in_stores_globs_and_archives(folder, memory):
    """The right side of a chain may be a glob, a store's object, or an archive's member."""
    memory.pipe("/b/x.tar", make_tar({"maillog": LINE}))
    memory.pipe("/b/y.tar.gz", make_tar({"maillog": LINE * 2}, "w:gz"))
    memory.pipe("/b/z.zip", make_zip({"maillog": LINE * 3}))
    write("outer.zip", make_zip({"inner.tar": make_tar({"maillog": LINE * 4})}))

    listing = find_sources(
        ["tar://*::memory://b/?.tar*", "memory://b/z.zip", "tar://*::zip://inner.tar::outer.zip"]
    )

    assert {file.url: read(file).count(b"\n") for file in listing.files} == {
        "tar://maillog::memory://b/x.tar": 1,
        "tar://maillog::memory://b/y.tar.gz": 2,
        "zip://maillog::memory://b/z.zip": 3,
        "tar://maillog::zip://inner.tar::outer.zip": 4,
    }
    assert listing.failed == ()
    assert [
        (url.replace("n*.tar", "tar://*::n*.tar"), kind)
        for url, kind in kinds(find_sources(["tar://*::nope.tar", "tar://*::n*.tar"]))
    ] == [("nope.tar", "missing"), ("tar://*::n*.tar", "no match")]


def test_an_archive_that_is_written_anew_is_listed_anew(folder):
    """What is known of an archive is kept as long as its size and mtime are the same."""
    write("logs.tar", make_tar({"a": LINE}))
    assert urls(find_sources(["logs.tar"])) == ["tar://a::logs.tar"]
    write("logs.tar", make_tar({"b": LINE, "c": LINE}))
    os.utime("logs.tar", (1, 1))
    assert urls(find_sources(["logs.tar"])) == ["tar://b::logs.tar", "tar://c::logs.tar"]


@pytest.mark.parametrize("kind", ["plain", "tar", "tar.gz", "zip", "memory"])
def test_threads_read_side_by_side(folder, memory, kind):
    """Every handle has its own place, whatever it is a handle on."""
    text = b"".join(b"Jan  1 00:00:00 mx1 n: %d\n" % n for n in range(20_000))
    if kind == "memory":
        memory.pipe("/b/m", text)
        argument = "memory://b/m"
    else:
        make = {
            "plain": lambda _: text,
            "tar": make_tar,
            "tar.gz": lambda m: make_tar(m, "w:gz"),
            "zip": make_zip,
        }
        argument = write(f"logs.{kind}", make[kind]({"m": text}))
    (file,) = find_sources([argument]).files

    def read_part(start: int) -> bool:
        with open_stored(file) as stored:
            stored.seek(start)
            return all(
                stored.read(999) == text[at : at + 999] for at in range(start, start + 50_000, 999)
            )

    with open_stored(file) as one, open_stored(file) as other:
        assert text[:9] == one.read(9) == other.read(9)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read_part, range(0, 400_000, 10_000)))


def test_the_temporary_folder_is_private_and_goes_at_exit(folder):
    """What had to be spooled is readable by its owner alone, and is removed."""
    write("logs.tar.gz", make_tar({"../../evil": LINE}, "w:gz"))
    code = (
        "import os, tempfile; from pipeline.source import find_sources\n"
        "assert len(find_sources(['logs.tar.gz']).files) == 1\n"
        "(name,) = os.listdir(tempfile.gettempdir())\n"
        "folder = os.path.join(tempfile.gettempdir(), name)\n"
        "print(oct(os.stat(folder).st_mode & 0o777), *os.listdir(folder))"
    )
    Path("tmp").mkdir()

    done = run_python(code, TMPDIR=str(folder / "tmp"))

    assert (done.stdout, done.stderr) == ("0o700 1\n", "")
    assert not any(Path("tmp").iterdir())


def test_no_room_for_an_archive_says_what_to_do(folder, monkeypatch):
    """A full temporary folder fails that archive alone, and names TMPDIR."""
    write("logs.tar.gz", make_tar({"a": LINE}, "w:gz"))
    write("maillog")

    class Full(io.BytesIO):
        name = "/tmp/x/1"

        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline.sources.spool.new_spool", Full)

    listing = find_sources(["logs.tar.gz", "maillog"])

    assert urls(listing) == ["maillog"]
    assert "TMPDIR" in str(listing.failed[0])
