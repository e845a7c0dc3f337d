"""Members of tar archives, whole, cut and damaged; on standard input, too."""

from __future__ import annotations

import gzip
import io
import os
import random
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.source import find_sources, unpack_stdin
from pipeline.sources import archives
from pipeline.sources.sniff import is_tar
from tests.support.sources import LINE, kinds, make_tar, read, urls, write


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
