"""Arguments → source files: what is found, passed over, named as failed; and handles on each."""

from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import socket
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.errors import SourceError, UsageError
from pipeline.model import SourceFile
from pipeline.source import Listing, find_sources, is_local, open_stored, unpack_stdin
from pipeline.sources import archives
from pipeline.sources.members import matcher
from pipeline.sources.sniff import is_tar

LINE = b"Jan  1 00:00:00 mx1 postfix/smtpd[7]: connect\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to work in, by relative paths."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def memory():
    """fsspec's file system in memory, empty."""
    import fsspec

    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    yield fs
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


def write(name: str, text: bytes = LINE) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    return name


def urls(listing: Listing) -> list[str]:
    return [file.url for file in listing.files]


def kinds(listing: Listing) -> list[tuple[str, str]]:
    return [(error.url, error.kind) for error in listing.failed]


def read(file: SourceFile) -> bytes:
    with open_stored(file) as stored:
        return b"".join(iter(lambda: stored.read(1000), b""))


def make_tar(members: dict[str, bytes], mode: str = "w", **options) -> bytes:
    stored = io.BytesIO()
    with tarfile.open(fileobj=stored, mode=mode, **options) as tar:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(text), 1199577600
            tar.addfile(info, io.BytesIO(text))
    return stored.getvalue()


def make_zip(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w", compression) as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2008, 1, 6, 4, 2, 0)), text, compression)
    return stored.getvalue()


# --- local files and folders


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
    root = str(Path(__file__).parent.parent)

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": root},
    )

    assert done.stdout == "3\n"


def test_a_file_that_is_gone_when_it_is_opened(folder):
    """Between listing and reading a file may go; that is a SourceError, not a traceback."""
    with pytest.raises(SourceError, match="gone: missing"):
        open_stored(SourceFile("gone", 9))


# --- stores


def test_a_store_is_listed_as_a_folder_is(folder, memory):
    """Folder, glob, file, missing, no match; the URL is written as the user wrote it."""
    for name in ("maillog", "maillog.1", "sub/x.log", "a.part", ".h/x"):
        memory.pipe(f"/b/log/{name}", LINE)
    memory.pipe("/b/log/wtmp", bytes(100))
    memory.pipe("/b/log/empty", b"")

    listing = find_sources(["memory://b/log"])
    assert urls(listing) == [
        "memory://b/log/empty",
        "memory://b/log/maillog.1",
        "memory://b/log/maillog",
        "memory://b/log/sub/x.log",
    ]
    assert dict(listing.skipped) == {
        "memory://b/log/.h/x": "in a hidden folder",
        "memory://b/log/a.part": "a partial or temporary file",
        "memory://b/log/wtmp": "binary content",
    }
    assert read(listing.files[1]) == LINE
    assert listing.files[1].mtime == memory.store["/b/log/maillog.1"].created.timestamp()

    listing = find_sources(
        [
            "memory://b/log/m*",
            "memory://b/log/maillog",
            "memory://b/nope",
            "memory://b/n*",
            "memory://b/log/wtmp",
        ]
    )
    assert urls(listing) == [
        "memory://b/log/maillog.1",
        "memory://b/log/maillog",
        "memory://b/log/wtmp",
    ]
    assert list(listing.duplicates) == [
        ("memory://b/log/maillog", "memory://b/log/maillog", "same file")
    ]
    assert kinds(listing) == [("memory://b/nope", "missing"), ("memory://b/n*", "no match")]
    assert not is_local(listing.files[0])


def test_rotated_siblings_in_a_store(memory):
    """``--rotated`` works by name in any store; the live file may be missing."""
    for name in ("maillog", "maillog.1", "mailx.1"):
        memory.pipe(f"/b/{name}", LINE)

    assert urls(find_sources(["memory://b/maillog"], rotated=True)) == [
        "memory://b/maillog.1",
        "memory://b/maillog",
    ]
    memory.rm("/b/maillog")
    assert urls(find_sources(["memory://b/maillog"], rotated=True)) == ["memory://b/maillog.1"]
    assert kinds(find_sources(["memory://b/nope"], rotated=True)) == [
        ("memory://b/nope", "missing")
    ]


def test_protocols_that_cannot_be_used_are_a_usage_error():
    """An unknown protocol names the nearest; one whose package is missing says what to install."""
    with pytest.raises(UsageError, match=r"Did you mean memory://\?"):
        find_sources(["memori://x"])


def test_storage_options_are_passed_on(memory, monkeypatch):
    """Options go to the file system at listing and at opening."""
    import fsspec.core

    seen = []
    original = fsspec.core.url_to_fs
    monkeypatch.setattr(
        fsspec.core, "url_to_fs", lambda url, **options: (seen.append(options), original(url))[1]
    )
    memory.pipe("/b/maillog", LINE)

    (file,) = find_sources(["memory://b/maillog"], options={"key": "value"}).files
    read(file)

    assert seen == [{"key": "value"}] * 2


# --- archives


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize(
    "argument",
    ["logs.tar", "tar://*::logs.tar", "tar://var/log::logs.tar", "tar://**/m*::logs.tar"],
)
def test_members_of_a_tar(folder, mode, argument):
    """A tar, compressed or not, named with or without tar://, in rotation order."""
    members = {
        "var/log/maillog": LINE,
        "var/log/maillog.10": LINE * 3,
        "var/log/maillog.9": LINE * 2,
    }
    write("logs.tar", make_tar(members, mode))

    listing = find_sources([argument])

    names = ["var/log/maillog.10", "var/log/maillog.9", "var/log/maillog"]
    assert [f"tar://{name}::logs.tar" for name in names] == urls(listing)
    assert [members[name] for name in names] == [read(file) for file in listing.files]
    assert [len(members[name]) for name in names] == [file.size for file in listing.files]
    assert {1199577600.0} == {file.mtime for file in listing.files}
    assert listing.failed == ()


@pytest.mark.parametrize("format_", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_long_and_odd_names_in_a_tar(folder, format_):
    """Names beyond 100 bytes, not UTF-8, absolute, with .. or control characters are labels only."""
    names = ["d" * 60 + "/" + "f" * 60, "/etc/absolute", "../../up", "./dot", "a\x1b[31mred\nline"]
    write("logs.tar", make_tar(dict.fromkeys(names, LINE), format=format_))

    listing = find_sources(["logs.tar"])

    labels = ["d" * 60 + "/" + "f" * 60, "etc/absolute", "../../up", "dot", "a\x1b[31mred\nline"]
    assert [f"tar://{label}::logs.tar" for label in labels] == urls(listing)
    assert all(read(file) == LINE for file in listing.files)
    assert [path.name for path in folder.rglob("*")] == ["logs.tar"], "nothing is unpacked"


def test_members_that_are_no_logs(folder):
    """Links, devices, binary members and archives in archives are named; a hard link is the same file."""
    stored = io.BytesIO(
        make_tar(
            {"maillog": LINE, "wtmp": bytes(99), "in.tar": make_tar({"a": LINE}), "x.part": LINE}
        )
    )
    with tarfile.open(fileobj=stored, mode="a") as tar:
        for name, kind, target in (
            ("hard", tarfile.LNKTYPE, "maillog"),
            ("soft", tarfile.SYMTYPE, "maillog"),
            ("tty", tarfile.CHRTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    write("logs.tar", stored.getvalue())

    listing = find_sources(["logs.tar"])

    assert urls(listing) == ["tar://maillog::logs.tar"]
    assert list(listing.duplicates) == [
        ("tar://hard::logs.tar", "tar://maillog::logs.tar", "same file")
    ]
    assert dict(listing.skipped) == {
        "tar://in.tar::logs.tar": "an archive in an archive",
        "tar://soft::logs.tar": "a link to maillog",
        "tar://tty::logs.tar": "no regular file",
        "tar://wtmp::logs.tar": "binary content",
        "tar://x.part::logs.tar": "a partial or temporary file",
    }
    assert [bytes(99)] == [read(file) for file in find_sources(["tar://wtmp::logs.tar"]).files]


def test_members_of_one_name_are_both_read(folder):
    """tar -r and tar -A leave members of the same name; the later ones are numbered."""
    write(
        "logs.tar",
        make_tar({"maillog": LINE})
        + make_tar({"maillog": LINE * 2})
        + make_tar({"maillog": LINE * 3}),
    )

    listing = find_sources(["logs.tar"])

    assert {file.url: read(file).count(b"\n") for file in listing.files} == {
        "tar://maillog::logs.tar": 1,
        "tar://maillog#2::logs.tar": 2,
        "tar://maillog#3::logs.tar": 3,
    }
    assert listing.failed == ()


def test_a_tar_that_is_cut_anywhere(folder):
    """Whole members are listed whole, the cut one with its full size, and the cut is named."""
    members = {"a": b"x" * 700, "b": LINE * 40, "c": LINE}
    whole = make_tar(members)
    ends = {"a": 512 + 700, "b": 512 + 1024 + 512 + len(LINE) * 40}
    n_header_end = {"a": 512, "b": 512 + 1024 + 512, "c": len(whole) // 1}
    last = whole.rindex(LINE) + len(LINE)
    for cut in [*range(1, last, 97), last, last + 1, 512, 512 + 1024]:
        write("logs.tar", whole[:cut])
        os.utime("logs.tar", (cut, cut))

        listing = find_sources(["tar://*::logs.tar"])

        assert kinds(listing) == [("logs.tar", "unreadable")], cut
        found = {file.url[6:7]: file for file in listing.files}
        for name, text in members.items():
            if name in ends and cut >= ends[name]:
                assert text == read(found[name]), cut
            elif name in found:
                assert text.startswith(read(found[name])), cut
                assert len(text) == found[name].size
            if name in ends:
                assert (name in found) == (cut >= n_header_end[name]), (cut, name)


def test_a_damaged_header_is_named(folder):
    """tarfile ends in silence at a bad header; here what follows it is named as not read."""
    whole = bytearray(make_tar({"a": LINE, "b": LINE, "c": LINE}))
    whole[1024 + 150] ^= 0x55
    write("logs.tar", bytes(whole))

    listing = find_sources(["logs.tar"])

    assert urls(listing) == ["tar://a::logs.tar"]
    (error,) = listing.failed
    assert "no tar header at byte 1,024" in error.detail


def test_a_header_of_hostile_size_is_refused(folder):
    """An extended header that claims gigabytes is damage, not memory."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 33
    write("logs.tar", make_tar({"a": LINE})[:1024] + info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))

    listing = find_sources(["tar://*::logs.tar"])

    assert urls(listing) == ["tar://a::logs.tar"]
    assert "a header of" in listing.failed[0].detail


def test_a_compressed_tar_that_is_cut(folder):
    """Members before the damage are read, and the damage of the compression is named."""
    noise = random.Random(1).randbytes(200_000).hex().encode()
    stored = make_tar({"a.log": LINE * 9, "b.log": noise, "c.log": LINE}, "w:gz")
    write("logs.tar.gz", stored[:-1000])

    listing = find_sources(["logs.tar.gz"])

    assert urls(listing) == ["tar://a.log::logs.tar.gz", "tar://b.log::logs.tar.gz"]
    assert read(listing.files[0]) == LINE * 9
    assert noise.startswith(read(listing.files[1]))
    (error,) = listing.failed
    assert "truncated" in error.detail


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_members_of_a_zip(folder, compression):
    """Reading through, from the middle, and backwards gives the member's bytes."""
    text = b"".join(b"Jan  1 00:00:00 mx1 n: %d\n" % n for n in range(5000))
    write("logs.zip", make_zip({"log/maillog": LINE, "log/maillog.1": text}, compression))

    listing = find_sources(["logs.zip"])

    assert urls(listing) == ["zip://log/maillog.1::logs.zip", "zip://log/maillog::logs.zip"]
    assert [text, LINE] == [read(file) for file in listing.files]
    assert listing.files[0].mtime == 1199592120.0
    with open_stored(listing.files[0]) as stored:
        for start in (0, 70_000, 10, len(text) - 3, len(text) + 5):
            assert start == stored.seek(start)
            assert text[start : start + 50] == stored.read(50)
        assert len(text) == stored.seek(0, os.SEEK_END)


def test_zip_members_that_cannot_be_read(folder):
    """Encrypted and unknown methods fail, links are skipped, the rest is read; no directory fails whole."""
    stored = bytearray(make_zip({"a": LINE, "b": LINE, "c": LINE}))
    places = [place for place in range(len(stored)) if stored.startswith(b"PK\x01\x02", place)]
    stored[places[1] + 8] |= 1
    stored[places[2] + 10] = 9
    write("logs.zip", bytes(stored))
    listing = find_sources(["logs.zip"])
    assert urls(listing) == ["zip://a::logs.zip"]
    assert [error.detail for error in listing.failed] == [
        "encrypted",
        "zip method 9 is not supported",
    ]

    write("cut.zip", bytes(stored[:-40]))
    assert kinds(find_sources(["cut.zip"])) == [("cut.zip", "unreadable")]

    link = zipfile.ZipInfo("soft")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile("link.zip", "w") as archive:
        archive.writestr(link, "a")
    assert list(find_sources(["zip://*::link.zip"]).skipped) == [("zip://soft::link.zip", "a link")]


def test_damage_in_a_zip_member_is_an_oserror(folder):
    """A flipped byte shows as an error of the store, after what could be read."""
    text = b"".join(b"%d\n" % n for n in range(100_000))
    stored = bytearray(make_zip({"a": text}))
    stored[len(stored) // 2] ^= 0xFF
    write("logs.zip", bytes(stored))
    (file,) = find_sources(["zip://a::logs.zip"]).files

    with pytest.raises(OSError, match="damaged zip member"):
        read(file)


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


def test_a_tar_on_standard_input(folder):
    """A tar stream, plain or compressed, is unpacked; anything else is a log."""
    members = {"var/log/maillog": LINE, "var/log/maillog.1": LINE * 2}
    names = ["tar://var/log/maillog.1::-", "tar://var/log/maillog::-"]
    for mode in ("w", "w:gz", "w:xz", "w:bz2"):
        stored = make_tar(members, mode)
        for listing in (
            unpack_stdin(io.BytesIO(stored)),
            unpack_stdin(io.BytesIO(stored[600:]), stored[:600]),
        ):
            assert names == urls(listing)
            assert [read(file) for file in listing.files] == [LINE * 2, LINE]
            assert listing.failed == ()
    stored = make_tar(members, "w:gz")
    listing = find_sources(["-"], stdin=lambda: (stored[:65536], io.BytesIO(stored)))
    assert names == urls(listing)

    for text in (LINE * 100, b"", gzip.compress(LINE), gzip.compress(LINE)[:15]):
        listing = find_sources(["-"], stdin=lambda text=text: (text, io.BytesIO(text)))
        assert urls(listing) == ["-"]


def test_a_cut_tar_on_standard_input():
    """A connection that breaks leaves whole members, and a name for the damage."""
    stored = make_tar({"a": LINE, "b": LINE * 100})

    listing = unpack_stdin(io.BytesIO(stored[:3000]))

    assert urls(listing) == ["tar://a::-", "tar://b::-"]
    assert read(listing.files[0]) == LINE
    assert kinds(listing) == [("-", "unreadable")]


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
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "TMPDIR": str(folder / "tmp"),
    }

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )

    assert done.stdout == "0o700 1\n"
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


def test_times_that_are_none(folder):
    """A pax header may say that a member was changed at NaN, or in the year 100,000."""
    stored = io.BytesIO()
    with tarfile.open(fileobj=stored, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, mtime in (
            ("a", "nan"),
            ("b", "inf"),
            ("c", "1e14"),
            ("d", "-5"),
            ("e", "1199577600.5"),
        ):
            info = tarfile.TarInfo(name)
            info.pax_headers = {"mtime": mtime}
            tar.addfile(info)
    write("logs.tar", stored.getvalue())

    assert [file.mtime for file in find_sources(["logs.tar"]).files] == [None] * 4 + [1199577600.5]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_tar_with_flipped_bytes_never_breaks_the_listing(data):
    """Any damage gives members or a failure, never a traceback; no member is longer than the file."""
    stored = bytearray(
        make_tar(
            {"a": LINE, "b" * 120: LINE * 3, "c": b""},
            format=data.draw(st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])),
        )
    )
    for _ in range(data.draw(st.integers(1, 4))):
        stored[data.draw(st.integers(0, 4096))] = data.draw(st.integers(0, 255))

    archive = archives.read_tar(lambda: io.BytesIO(stored), len(stored))

    for member in archive.members.values():
        with archive.open_member(member) as handle:
            assert len(handle.read()) <= len(stored)


def test_old_tars_are_known_by_their_checksum():
    """A tar of before POSIX has no magic; text that looks like nothing is none."""
    header = bytearray(make_tar({"maillog": LINE})[:512])
    header[257:512] = bytes(255)
    total = sum(header[:148]) + 256 + sum(header[156:])
    header[148:156] = b"%06o\0 " % total

    assert is_tar(bytes(header))
    assert not is_tar(LINE * 20)
    assert not is_tar(bytes(512))
    assert not is_tar(header[:511])
