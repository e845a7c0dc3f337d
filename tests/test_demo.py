"""The files of the demo archive: times, bytes, places; whole or not at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import pytest

import pipeline.demo
from pipeline.demo import make_demo
from pipeline.errors import OutputError, UsageError
from tests.support.demo_read import FILES

if TYPE_CHECKING:
    from pathlib import Path


def test_times_of_files_are_as_logrotate_leaves_them(any_demo):
    """A rotated file keeps its last write, the rotation, in its mtime and in the gzip header."""
    mtimes = [datetime.fromtimestamp((any_demo.folder / n).stat().st_mtime, UTC) for n in FILES]
    lasts = {line.file: line.time for line in any_demo.lines if line.time}
    firsts = {line.file: line.time for line in reversed(any_demo.lines) if line.time}

    written = [f"{mtime:%Y-%m-%d %H:%M:%S}" for mtime in mtimes]
    assert written == [*(firsts[name] for name in FILES[1:]), lasts["maillog"]]
    header = (any_demo.folder / "maillog.2.gz").read_bytes()[:10]
    assert int.from_bytes(header[4:8], "little") == mtimes[2].timestamp()
    assert header[3] == 0, "gzip reads standard input when logrotate calls it: no name"


@cache
def read_tree(folder: Path) -> dict[str, tuple[bytes, float]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime * (
            path.parent == folder and path.name != ".sawlog-demo"))
        for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


def test_the_same_arguments_give_the_same_bytes(demo, tmp_path):
    """Of every file, compressed ones and truth included, and the same mtimes of the logs."""
    make_demo(tmp_path, 1)

    assert read_tree(tmp_path) == read_tree(demo)
    assert sorted(read_tree(tmp_path)) == sorted(
        [".sawlog-demo", *FILES, *(f"truth/{name}" for name in (
            "README.txt", "deliveries.csv", "files.csv", "rejects.csv", "retries.csv",
            "story.json", "stuck.csv", "volume.csv"))]
    )  # fmt: skip


def test_the_summary_says_what_was_made(tmp_path):
    """Newest file first, as a listing by rotation goes."""
    summary = make_demo(tmp_path / "a" / "b", 1)

    assert [path.name for path in summary.paths] == FILES[::-1]
    assert all(path.is_file() for path in summary.paths)
    assert summary.truth == tmp_path / "a" / "b" / "truth"
    story = json.loads((summary.truth / "story.json").read_text(encoding="utf-8"))
    assert (summary.lines, summary.plain_bytes) == (story["lines"], story["plain_bytes"])
    assert 0 < summary.seconds < 60


def test_an_earlier_demo_is_replaced_and_other_files_beside_it_stay(demo, tmp_path):
    """Also when it is of another size, or a run was killed half-way."""
    make_demo(tmp_path, 2)
    (tmp_path / "result.csv").write_text("mine", encoding="ascii")
    (tmp_path / "truth" / "old.csv").write_text("of another version", encoding="ascii")
    (tmp_path / ".sawlog-demo.part").mkdir()
    (tmp_path / ".sawlog-demo.part" / "maillog.4.xz").write_bytes(b"half")

    make_demo(tmp_path, 1)

    tree = read_tree(tmp_path)
    assert tree.pop("result.csv")[0] == b"mine"
    assert tree == read_tree(demo)


@pytest.mark.parametrize("size_mb", [0, -3])
def test_a_size_below_one_is_refused(tmp_path, size_mb):
    """And nothing is made."""
    with pytest.raises(UsageError, match="at least 1 MB"):
        make_demo(tmp_path / "new", size_mb)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_refused(tmp_path):
    """Nobody's maillog is overwritten."""
    (tmp_path / "maillog").write_text("real", encoding="ascii")

    with pytest.raises(UsageError, match="other files"):
        make_demo(tmp_path, 1)
    with pytest.raises(UsageError, match="not a folder"):
        make_demo(tmp_path / "maillog", 1)
    assert [path.read_text(encoding="ascii") for path in tmp_path.iterdir()] == ["real"]


def fail_to_write(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("place", ["write_truth", "_move_in"])
def test_a_demo_appears_whole_or_not_at_all(tmp_path, monkeypatch, place):
    """A full disk leaves neither files nor a new folder, and an empty one empty."""
    monkeypatch.setattr(pipeline.demo, place, fail_to_write)
    (tmp_path / "empty").mkdir()

    for name in ("new", "empty"):
        with pytest.raises(OutputError, match="No space left"):
            make_demo(tmp_path / name, 1)

    assert list(tmp_path.rglob("*")) == [tmp_path / "empty"]


def test_a_failure_keeps_the_earlier_demo(demo, tmp_path, monkeypatch):
    """It stays as it was."""
    make_demo(tmp_path, 1)
    monkeypatch.setattr(pipeline.demo.files.os, "utime", fail_to_write)

    with pytest.raises(OutputError, match="No space left"):
        make_demo(tmp_path, 2)

    assert read_tree(tmp_path) == read_tree(demo)
