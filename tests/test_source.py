"""Arguments → source files on this machine: what is found, passed over, named as failed."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import socket
import tempfile
import threading
from pathlib import Path

import pytest

from pipeline.errors import SourceError
from pipeline.model import SourceFile
from pipeline.source import find_sources, is_local, open_stored
from tests.support.processes import run_python
from tests.support.sources import LINE, kinds, make_tar, make_zip, read, urls, write


def test_arguments_come_in_rotation_order_sets_together(folder):
    """Oldest first in each set, sets in the order in which they are named first."""
    for name in ("maillog", "maillog.1", "maillog.2.gz", "maillog.10.gz", "messages", "messages.1"):
        write(name)

    listing = find_sources(
        ["messages", "maillog.2.gz", "maillog", "maillog.10.gz", "messages.1", "maillog.1"]
    )

    assert urls(listing) == [
        "messages.1",
        "messages",
        "maillog.10.gz",
        "maillog.2.gz",
        "maillog.1",
        "maillog",
    ]
    assert all(file.explicit and file.size == len(LINE) and file.mtime for file in listing.files)
    assert (listing.skipped, listing.failed, listing.duplicates) == ((), (), ())


def test_a_folder_is_walked_and_what_is_no_log_is_named(folder):
    """Partial, hidden, binary, sparse and special files, archives: skipped, each with why."""
    for name in (
        "log/maillog",
        "log/sub/b.log",
        "log/sub/a.log",
        "log/.git/config",
        "log/a.part",
        "log/b.TMP",
        "log/c~",
        "log/.d.swp",
    ):
        write(name)
    write("log/empty", b"")
    write("log/old.gz", gzip.compress(LINE))
    write("log/latin1", b"Jan  1 00:00:00 mx1 x: \xe9\xff caf\xe9\x1b[0m\r\n")
    write("log/wtmp", b"\x07\0\0\0root" + bytes(400))
    write("log/random", bytes(random.Random(1).randbytes(9000)))
    write("log/control", bytes(range(1, 32)) * 9)
    write("log/system.journal", b"LPKSHHRH" + LINE)
    write("log/inner.tar", make_tar({"maillog": LINE}))
    write("log/inner.tgz", make_tar({"maillog": LINE}, "w:gz"))
    write("log/inner.zip", make_zip({"maillog": LINE}))
    with Path("log/lastlog").open("wb") as lastlog:
        lastlog.write(b"text at the begin\n")
        lastlog.truncate(1 << 20)
    os.mkfifo("log/pipe")

    listing = find_sources(["log/"])

    assert urls(listing) == [
        "log/empty",
        "log/latin1",
        "log/maillog",
        "log/old.gz",
        "log/sub/a.log",
        "log/sub/b.log",
    ]
    assert not any(file.explicit for file in listing.files)
    assert dict(listing.skipped) == {
        "log/.d.swp": "a hidden file",
        "log/.git": "a hidden folder",
        "log/a.part": "a partial or temporary file",
        "log/b.TMP": "a partial or temporary file",
        "log/c~": "an editor's backup or swap file",
        "log/control": "binary content",
        "log/inner.tar": "an archive: name it as tar://*::log/inner.tar",
        "log/inner.tgz": "an archive: name it as tar://*::log/inner.tgz",
        "log/inner.zip": "an archive: name it as zip://*::log/inner.zip",
        "log/lastlog": "a sparse file",
        "log/pipe": "no regular file",
        "log/random": "binary content",
        "log/system.journal": "a systemd journal: journalctl -o short-iso prints it",
        "log/wtmp": "binary content",
    }
    assert listing.failed == ()


def test_what_is_named_is_read_whatever_it_holds(folder):
    """A binary file, a hidden one, and one that a walk of its folder passes over."""
    write("log/wtmp", bytes(400))
    write("log/.hidden")
    write("log/maillog")

    listing = find_sources(["log/.hidden", "log", "log/wtmp"])

    assert urls(listing) == ["log/.hidden", "log/maillog", "log/wtmp"]
    assert [file.explicit for file in listing.files] == [True, False, True]
    assert listing.skipped == ()


def test_links_and_names_of_one_file_count_once(folder):
    """The same path, another way to write it, a hard link, a symbolic link."""
    write("log/maillog")
    os.link("log/maillog", "log/zz-hard")
    Path("log/aa-soft").symlink_to("maillog")

    listing = find_sources(["log", "log/maillog", "./log/../log/maillog"])

    assert urls(listing) == ["log/maillog"]
    assert list(listing.duplicates) == [
        ("log/zz-hard", "log/maillog", "same file"),
        ("log/aa-soft", "log/maillog", "same file"),
        ("log/maillog", "log/maillog", "same file"),
        ("./log/../log/maillog", "log/maillog", "same file"),
    ]


def test_loops_of_links_end_and_dead_links_are_named(folder):
    """A link to a folder above it is walked once; links to themselves or nowhere are skipped."""
    write("log/sub/maillog")
    Path("log/sub/up").symlink_to("../..")
    Path("log/self").symlink_to("self")
    Path("log/dead").symlink_to("nowhere")

    listing = find_sources(["log"])

    assert urls(listing) == ["log/sub/maillog"]
    skipped = dict(listing.skipped)
    assert skipped["log/sub/up/log"] == "the same folder as log"
    assert "leads nowhere" in skipped["log/dead"]
    assert "leads nowhere" in skipped["log/self"]
    assert listing.failed == ()


def test_globs_and_names_that_look_like_one(folder):
    """A glob gives its matches sorted, folders walked; a file of that very name goes first."""
    write("a[1].log")
    write("a1.log")
    write("b/c/d.log")
    write("b/e.log")

    assert urls(find_sources(["a[1].log"])) == ["a[1].log"]
    assert urls(find_sources(["a*.log"])) == ["a1.log", "a[1].log"]
    assert urls(find_sources(["?"])) == ["b/c/d.log", "b/e.log"]
    assert urls(find_sources(["**/d.*"])) == ["b/c/d.log"]


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(folder):
    """Missing, no match, a folder without files, a path through a file, a socket, odd bytes."""
    write("maillog")
    Path("nothing").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        listing = find_sources(
            ["nope", "no*", "nothing", "maillog/x", "socket", "a\0b", "", "x" * 300, "maillog"]
        )

    assert [pair for pair in kinds(listing) if pair[0] != "no*"] == [
        ("nope", "missing"),
        ("nothing", "no match"),
        ("maillog/x", "missing"),
        ("socket", "unreadable"),
        ("a\0b", "unreadable"),
        ("", "missing"),
        ("x" * 300, "unreadable"),
    ]
    assert urls(listing) == ["maillog"]
    assert kinds(find_sources(["zz*"])) == [("zz*", "no match")]


def test_denied_files_and_folders_are_named():
    """What the system denies is ``denied``, in a walk and by name; the rest is read."""
    folder = Path(tempfile.mkdtemp())
    is_root = os.geteuid() == 0
    try:
        folder.chmod(0o755)
        for name in ("a.log", "secret.log", "closed/b.log"):
            write(str(folder / name))
        (folder / "secret.log").chmod(0)
        (folder / "closed").chmod(0)
        if is_root:
            os.seteuid(65534)
        try:
            listing = find_sources([str(folder), str(folder / "secret.log")])
        finally:
            if is_root:
                os.seteuid(0)
    finally:
        (folder / "closed").chmod(0o700)
        shutil.rmtree(folder)

    assert [str(folder / "a.log")] == urls(listing)
    assert [
        (str(folder / name), "denied") for name in ("closed", "secret.log", "secret.log")
    ] == kinds(listing)


def test_rotated_siblings_are_taken(folder):
    """``--rotated`` takes the set of a base name, but nothing beside it, even if it was just rotated away."""
    for name in (
        "log/maillog",
        "log/maillog.1",
        "log/maillog-20080106.gz",
        "log/maillog.2.zst",
        "log/mailx.1",
        "log/maillog.3.part",
    ):
        write(name)
    Path("log/maillog.9").mkdir()

    whole = ["log/maillog.2.zst", "log/maillog.1", "log/maillog-20080106.gz", "log/maillog"]
    assert whole == urls(find_sources(["log/maillog"], rotated=True))
    assert whole == urls(find_sources(["log/maillog.1"], rotated=True))
    Path("log/maillog").unlink()
    listing = find_sources(["log/maillog"], rotated=True)
    assert whole[:-1] == urls(listing)
    assert listing.failed == ()
    assert kinds(find_sources(["log/nope"], rotated=True)) == [("log/nope", "missing")]


def test_urls_are_kept_as_they_were_given(folder):
    """Relative stays relative, absolute absolute, ``file://`` keeps its protocol."""
    write("log/maillog")
    absolute = str(folder / "log")

    assert urls(find_sources(["./log/"])) == ["./log/maillog"]
    assert [f"{absolute}/maillog"] == urls(find_sources([absolute]))
    listing = find_sources([f"file://{absolute}/m*"])
    assert [f"file://{absolute}/maillog"] == urls(listing)
    assert is_local(listing.files[0])
    assert read(listing.files[0]) == LINE


def test_names_that_are_no_text_are_read(folder):
    """A name that is not UTF-8, with a line end, a glob mark, or two colons."""
    names = [os.fsdecode(b"log/caf\xe9"), "log/a\nb", "log/*", "log/a::b"]
    for name in names:
        write(name)

    listing = find_sources(["log"])

    assert sorted(names) == sorted(urls(listing))
    assert all(read(file) == LINE for file in listing.files)


def test_standard_input_is_one_file():
    """``-`` has no size; named twice it is the same file."""
    listing = find_sources(["-", "-"])

    assert [SourceFile("-", None)] == list(listing.files)
    assert list(listing.duplicates) == [("-", "-", "same file")]
    assert not is_local(listing.files[0])


def test_a_named_pipe_can_be_read_again_and_again(folder):
    """Process substitution gives a pipe: its content is kept, so that head, years and splits can read it."""
    os.mkfifo("pipe")
    writer = threading.Thread(target=Path("pipe").write_bytes, args=(LINE * 9,))
    writer.start()
    (file,) = find_sources(["pipe"]).files
    writer.join()

    assert ("pipe", 9 * len(LINE)) == (file.url, file.size)
    assert read(file) == read(file) == LINE * 9
    assert not is_local(file)


def test_dev_null_is_an_empty_log():
    """``/dev/null`` is read as what it is."""
    (file,) = find_sources(["/dev/null"]).files

    assert (file.size, read(file)) == (0, b"")


def test_local_files_do_without_fsspec(folder):
    """Importing fsspec, tarfile or zipfile would be felt at every start."""
    write("log/maillog")
    write("log/maillog.1.gz", gzip.compress(LINE))
    code = (
        "import sys; from pipeline.source import find_sources, open_stored\n"
        "files = find_sources(['log', 'log/maillog*', '-'], rotated=True).files\n"
        "[open_stored(file).close() for file in files[:2]]\n"
        "print(len(files), *({'fsspec', 'tarfile', 'zipfile', 'asyncio'} & set(sys.modules)))"
    )

    done = run_python(code)

    assert (done.stdout, done.stderr) == ("3\n", "")


def test_a_file_that_is_gone_when_it_is_opened(folder):
    """Between listing and reading a file may go; that is a SourceError, not a traceback."""
    with pytest.raises(SourceError, match="gone: missing"):
        open_stored(SourceFile("gone", 9))
