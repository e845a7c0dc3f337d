"""What the command line reads: files, folders, archives, standard input, and what it says of each."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import time
from pathlib import Path

import pytest

from tests.support.four_lines import FOUR_LINES, FOUR_LINES_CSV


def test_a_missing_file_is_named_and_the_rest_is_done(sawlog, four_lines, tmp_path):
    """Exit 3: done, but some input was missing."""
    ran = sawlog("volume", four_lines, tmp_path / "nothere", f"{tmp_path}/*.nix", "--to", "csv")

    assert (3, FOUR_LINES_CSV) == (ran.code, ran.out)
    assert "nothere: missing" in ran.err
    assert "*.nix: no match" in ran.err


def test_nothing_could_be_read(sawlog, tmp_path):
    """Exit 1 when there is no input at all."""
    ran = sawlog("volume", tmp_path / "nothere")

    assert (1, "") == (ran.code, ran.out)
    assert "missing" in ran.err


def test_a_file_that_is_no_log(sawlog, tmp_path):
    """Counted as undated lines, with a hint."""
    path = tmp_path / "novel.txt"
    path.write_text("It was a dark\nand stormy night\n")

    ran = sawlog("volume", path, "--to", "csv")

    assert (0, "day,process,lines,bytes\n,,2,31\n") == (ran.code, ran.out)
    assert "is this a log?" in ran.err


def test_an_empty_file_and_an_empty_folder(sawlog, tmp_path):
    """No lines is no failure; a folder without logs is named."""
    (tmp_path / "empty").write_bytes(b"")
    ran = sawlog("volume", tmp_path / "empty", "--to", "csv")
    assert (0, "day,process,lines,bytes\n") == (ran.code, ran.out)
    ran = sawlog("sql", "SELECT count(*) AS n FROM lines", tmp_path / "empty", "--to", "csv")
    assert (0, "n\n0\n") == (ran.code, ran.out)
    (tmp_path / "folder").mkdir()
    ran = sawlog("volume", tmp_path / "folder", "--to", "csv")
    assert (1, "") == (ran.code, ran.out)
    assert "folder: no match" in ran.err


def test_a_folder_skips_what_is_no_log_and_names_it(sawlog, four_lines, tmp_path):
    """Binary and partial files are left out, with why."""
    (tmp_path / "wtmp").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "x.part").write_bytes(FOUR_LINES)
    account_path = tmp_path.parent / "account.json"

    ran = sawlog("volume", tmp_path, "--to", "csv", "--account", account_path)

    assert (0, FOUR_LINES_CSV) == (ran.code, ran.out)
    assert {"wtmp", "x.part"} == {
        Path(one["file"]).name for one in json.loads(account_path.read_text())["skipped"]
    }


def test_damage_stops_where_asked(sawlog, tmp_path):
    """--on-damage stop: exit 1 and no result."""
    stored = gzip.compress(FOUR_LINES * 50)
    (tmp_path / "x.gz").write_bytes(stored[:-20])

    assert 3 == sawlog("volume", tmp_path / "x.gz").code
    ran = sawlog("volume", tmp_path / "x.gz", "--on-damage", "stop", "-o", tmp_path / "out.csv")
    assert (1, "") == (ran.code, ran.out)
    assert not (tmp_path / "out.csv").exists()


def test_standard_input(sawlog, four_lines):
    """Text, compressed text and a tar come on standard input."""
    year = time.strftime("%Y")
    ran = sawlog("volume", "-", "--to", "csv", stdin=gzip.compress(b"2007-12-26T00:00:01 a b: c\n"))
    assert (0, "day,process,lines,bytes\n2007-12-26,b,1,27\n") == (ran.code, ran.out)
    ran = sawlog(
        "sql",
        "SELECT max(extract(year FROM day)) FROM lines",
        "-",
        "--to",
        "values",
        stdin=b"Jan  1 00:00:01 a b: c\n",
    )
    assert f"{year}\n" == ran.out
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        tar.add(four_lines, "var/log/maillog")
    ran = sawlog("volume", "-", "--to", "csv", stdin=held.getvalue())
    assert (0, FOUR_LINES_CSV) == (ran.code, ran.out)
    ran = sawlog("volume", "-", "--to", "csv", stdin=gzip.compress(held.getvalue()))
    assert (0, FOUR_LINES_CSV) == (ran.code, ran.out)


def test_members_of_archives(sawlog, four_lines, tmp_path):
    """tar:// and zip:// URLs, and an archive by its name."""
    import zipfile

    with tarfile.open(tmp_path / "logs.tar", "w") as tar:
        tar.add(four_lines, "maillog.1")
    with zipfile.ZipFile(tmp_path / "logs.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("maillog.1", (2007, 12, 28, 0, 0, 0)), FOUR_LINES)
    for url in (
        f"tar://*::{tmp_path}/logs.tar",
        f"zip://*::{tmp_path}/logs.zip",
        f"{tmp_path}/logs.tar",
        f"{tmp_path}/logs.zip",
    ):
        ran = sawlog("volume", url, "--to", "csv")
        assert (0, FOUR_LINES_CSV) == (ran.code, ran.out), url


def test_the_rotated_siblings(sawlog, demo):
    """Given the base name, --rotated takes the whole set, oldest first."""
    ran = sawlog("files", demo / "maillog", "--rotated", "--to", "csv")

    names = [Path(row.split(",")[0]).name for row in ran.out.splitlines()[1:]]
    assert ["maillog.4.xz", "maillog.3.zst", "maillog.2.gz", "maillog.1", "maillog"] == names


def test_files_tells_what_the_truth_says(sawlog, demo):
    """Compression, sizes, lines, first and last time of each file."""
    ran = sawlog("files", *demo.glob("maillog*"), "--to", "csv")
    rows = ran.out.splitlines()
    truth = (demo / "truth" / "files.csv").read_text().splitlines()[1:]

    assert (
        "file,compression,stored_bytes,plain_bytes,lines,first,last,year_evidence,damage" == rows[0]
    )
    seen = sorted(
        Path(row.split(",")[0]).name + "," + ",".join(row.split(",")[1:7]) for row in rows[1:]
    )
    assert sorted(truth) == seen
    assert {"message-ids"} == {row.split(",")[7] for row in rows[1:]}


def test_files_quick_reads_heads_and_tails_only(sawlog, demo):
    """First times are right for all; what a full read would tell is NULL."""
    ran = sawlog("files", "--quick", *demo.glob("maillog*"), "--to", "csv")
    truth = {
        row.split(",")[0]: row.split(",")
        for row in (demo / "truth" / "files.csv").read_text().splitlines()[1:]
    }

    rows = ran.out.splitlines()[1:]
    assert len(truth) == len(rows)
    for row in rows:
        cells = row.split(",")
        expected = truth[Path(cells[0]).name]
        assert expected[5] == cells[5]
        assert cells[6] in ("", expected[6])
        assert "" == cells[4]


def test_plan_tells_what_runs_in_parallel(sawlog, demo):
    """Splits per file and why, before anything is read."""
    ran = sawlog("plan", "volume", *demo.glob("maillog*"), "--split-size", "100kB")

    assert 0 == ran.code
    assert "byte ranges" in ran.out
    assert "splits of 5 files" in ran.err


def test_year_on_standard_input_reads_all_of_it(sawlog, demo):
    """The newest line of a pipe is looked for, and then the pipe is read: no line is lost."""
    text = (demo / "maillog").read_bytes()
    for stored in (text, gzip.compress(text)):
        ran = sawlog(
            "sql",
            "SELECT count(*), max(day) FROM lines",
            "-",
            "--year",
            2008,
            "--to",
            "values",
            stdin=stored,
        )
        assert (0, f"{text.count(10)},2008-01-07\n") == (ran.code, ran.out)


def test_a_name_that_is_no_utf8(sawlog, tmp_path):
    """Every table and the account can show it."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff")).write_bytes(FOUR_LINES)

    assert 0 == sawlog("files", tmp_path, "--to", "csv").code
    assert 0 == sawlog("volume", tmp_path, "--account", tmp_path.parent / "a.json").code


def test_an_input_that_could_not_be_read_has_a_row_in_files(sawlog, four_lines, tmp_path):
    """sawlog files names what is missing, and the account counts what is whole."""
    ran = sawlog("files", four_lines, tmp_path / "nothere", "--to", "csv")

    assert 3 == ran.code
    assert f"{tmp_path / 'nothere'},,,,,,,,missing" in ran.out
    assert "1 of 2 files whole" in ran.err


def test_a_source_is_not_written_over(sawlog, four_lines):
    """-o PATH that names a source is refused."""
    csv = four_lines.with_suffix(".csv")
    csv.write_bytes(FOUR_LINES)

    assert 2 == sawlog("volume", csv, "-o", csv).code
    assert FOUR_LINES == csv.read_bytes()


def test_another_file_under_the_same_name_is_not_read(tmp_path):
    """logrotate renames files during a run: what was planned is read, or it is said."""
    from pipeline.errors import SourceError
    from pipeline.source import find_sources, open_stored

    path = tmp_path / "maillog"
    path.write_bytes(FOUR_LINES)
    (file,) = find_sources([str(path)]).files
    path.rename(tmp_path / "maillog.1")
    path.write_bytes(FOUR_LINES)

    with pytest.raises(SourceError, match="changed"):
        open_stored(file)
