"""Sources in a store: listed as a folder is."""

from __future__ import annotations

import pytest

from pipeline.errors import UsageError
from pipeline.source import find_sources, is_local
from tests.support.sources import LINE, kinds, read, urls


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
