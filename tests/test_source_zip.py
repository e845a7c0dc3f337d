"""Members of zip archives, read and refused."""

from __future__ import annotations

import os
import stat
import zipfile

import pytest

from pipeline.source import find_sources, open_stored
from tests.support.sources import LINE, kinds, make_zip, read, urls, write


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
