"""Files of results appear whole or not at all, and what would fail is refused before the run."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import duckdb
import fsspec
import pyarrow.parquet as pq
import pytest

from pipeline.errors import OutputError, UsageError
from pipeline.outputs import duckdb_file
from pipeline.render import check_outputs, write_outputs
from tests.support.processes import run_python
from tests.support.rendered import SUFFIXES, list_names, rendered, run_sql

pytestmark = pytest.mark.usefixtures("known_terminal")


def test_every_kind_of_file_holds_the_result(tmp_path):
    """Six files from one result, with their types; nothing else is left in the directory."""
    table = run_sql("volume.sql")
    write_outputs({"volume": table}, [f"{tmp_path}/v.{suffix}" for suffix in SUFFIXES])

    assert [f"v.{suffix}" for suffix in SUFFIXES] == list_names(tmp_path)
    for suffix, to in [("csv", "csv"), ("json", "json"), ("md", "markdown"), ("ndjson", "ndjson")]:
        assert rendered(table, to) == (tmp_path / f"v.{suffix}").read_text()
    assert table == pq.read_table(tmp_path / "v.parquet")
    assert (
        pq.ParquetFile(tmp_path / "v.parquet").metadata.row_group(0).column(0).compression == "ZSTD"
    )
    with duckdb.connect(tmp_path / "v.duckdb", read_only=True) as connection:
        assert table.to_pylist() == connection.table("volume").to_arrow_table().to_pylist()


def test_every_type_can_be_written_to_every_kind_of_file(tmp_path):
    """Parquet has no intervals: there they are text."""
    table = run_sql("types.sql")
    write_outputs({"types": table}, [f"{tmp_path}/t.{suffix}" for suffix in SUFFIXES])

    written = pq.read_table(tmp_path / "t.parquet")
    assert table.drop(["span"]).schema.types == written.drop(["span"]).schema.types
    assert written["span"][0].as_py() == "-1 month 2 days 00:00:03.500000"
    assert json.loads((tmp_path / "t.json").read_text())[1] == dict.fromkeys(table.schema.names)


def test_several_jobs_share_a_file_or_get_one_each(tmp_path, one_row):
    """{job} in the name, tables in a database, keys in an object, sections in a page."""
    results = dict.fromkeys(["volume", "a b/../c", 'x"y', "Volume", "../.z"], one_row)
    paths = [
        f"{tmp_path}/r.json",
        f"{tmp_path}/r.md",
        f"{tmp_path}/r.duckdb",
        f"{tmp_path}/{{job}}.csv",
    ]

    write_outputs(results, paths)

    assert list(results) == list(json.loads((tmp_path / "r.json").read_text()))
    assert (tmp_path / "r.md").read_text().count("## ") == 5
    with duckdb.connect(tmp_path / "r.duckdb", read_only=True) as connection:
        names = [name for (name,) in connection.sql("SHOW TABLES").fetchall()]
    assert sorted(["volume", "a b/../c", 'x"y', "Volume_2", "../.z"]) == sorted(names)
    csv_names = sorted(path.name for path in tmp_path.glob("*.csv"))
    assert csv_names == ["Volume.csv", "_.z.csv", "a_b_.._c.csv", "volume.csv", "x_y.csv"]


class DiskError(Exception):
    pass


@pytest.mark.parametrize("failure", [DiskError, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("old", [b"old", None])
def test_a_failure_leaves_every_place_as_it_was(tmp_path, monkeypatch, one_row, failure, old):
    """The last of three writers fails: no new file, no temporary one, old ones untouched."""

    def fail(results, path):
        path.write_bytes(b"half")
        (path.parent / "x.wal").write_bytes(b"")
        raise failure("disk")

    monkeypatch.setattr(duckdb_file, "write_duckdb", fail)
    places = [tmp_path / "a.csv", tmp_path / "b.parquet", tmp_path / "c.duckdb"]
    if old:
        for place in places:
            place.write_bytes(old)
    before = list_names(tmp_path)

    expected = KeyboardInterrupt if failure is KeyboardInterrupt else OutputError
    with pytest.raises(expected):
        write_outputs({"j": one_row}, [*map(str, places), "memory://render/d.csv"])

    assert before == list_names(tmp_path)
    assert all(old == place.read_bytes() for place in places if old)
    assert not fsspec.filesystem("memory").exists("/render/d.csv")


def test_a_full_disk_leaves_nothing_and_names_the_file(tmp_path):
    """A real failure of the system: a limit on the size of files."""
    code = f"""
import resource, signal, pyarrow as pa
from pipeline.errors import OutputError
from pipeline.render import write_outputs
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
table = pa.table({{"a": [str(n) * 5 for n in range(50000)]}})
for suffix in {SUFFIXES}:
    try:
        write_outputs({{"j": table}}, [{str(tmp_path)!r} + "/j." + suffix])
    except OutputError as error:
        print(error)
"""
    done = run_python(code)

    assert done.stderr == ""
    assert [
        line.split(": ")[0].rpartition(".")[2]
        for line in done.stdout.splitlines()
        if line.startswith(str(tmp_path))
    ] == SUFFIXES
    assert list_names(tmp_path) == []


def test_files_are_as_readable_as_others_and_keep_the_mode_they_had(tmp_path, one_row):
    """The umask holds for a new file, and an old one keeps its mode, and its symbolic link."""
    (tmp_path / "old.csv").write_text("old")
    (tmp_path / "old.csv").chmod(0o640)
    (tmp_path / "link.csv").symlink_to("old.csv")
    (tmp_path / "plain").write_text("")

    write_outputs(
        {"j": one_row}, [f"{tmp_path}/new.csv", f"{tmp_path}/new.duckdb", f"{tmp_path}/link.csv"]
    )

    usual = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert usual == stat.S_IMODE((tmp_path / "new.csv").stat().st_mode)
    assert usual == stat.S_IMODE((tmp_path / "new.duckdb").stat().st_mode)
    assert stat.S_IMODE((tmp_path / "old.csv").stat().st_mode) == 0o640
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "old.csv").read_text() == "day,lines\n2007-12-25,1234\n"


def test_urls_are_written_through_fsspec(one_row):
    """In one piece, for every format."""
    write_outputs({"j": one_row}, [f"memory://out/{{job}}.{suffix}" for suffix in SUFFIXES])

    memory = fsspec.filesystem("memory")
    assert memory.cat_file("/out/j.csv") == b"day,lines\n2007-12-25,1234\n"
    assert [Path(path).suffix[1:] for path in sorted(memory.ls("/out", detail=False))] == SUFFIXES


def test_a_store_that_refuses_leaves_the_local_files_as_they_were(tmp_path, monkeypatch, one_row):
    """What goes over a network is sent before anything local is moved."""

    def refuse(self, path, value, **options):
        raise PermissionError(13, "no credentials")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "pipe_file", refuse)

    with pytest.raises(OutputError, match=r"memory://x/j\.csv: can't be written: no credentials"):
        write_outputs({"j": one_row}, [f"{tmp_path}/j.csv", "memory://x/j.csv"])

    assert list_names(tmp_path) == []


@pytest.mark.parametrize("fails", [True, False])
def test_on_a_remote_file_system_the_name_appears_last(monkeypatch, one_row, fails):
    """Where half a file could be seen, it is sent under another name and renamed."""
    memory = fsspec.filesystem("memory")
    monkeypatch.setattr(type(memory), "protocol", "sftp")
    names = []

    def move(self, source, target, **options):
        names.append((source, target))
        if fails:
            raise OSError("gone")
        self.pipe_file(target, self.cat_file(source))
        self.rm_file(source)

    monkeypatch.setattr(type(memory), "mv", move)
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda url, **options: (memory, "/far/j.csv"))
    memory.makedirs("/far", exist_ok=True)

    if fails:
        with pytest.raises(OutputError, match=r"memory://far/j\.csv: .*gone"):
            write_outputs({"j": one_row}, ["memory://far/j.csv"])
    else:
        write_outputs({"j": one_row}, ["memory://far/j.csv"])

    assert names[0][1] == "/far/j.csv"
    assert ([] if fails else ["/far/j.csv"]) == memory.ls("/far", detail=False)
    memory.rm("/far", recursive=True)


@pytest.mark.parametrize(
    ("paths", "jobs", "message"),
    [
        (["v.parqet"], ["a"], r"Did you mean '\.parquet'\? Known: \.csv, \.duckdb"),
        (["v"], ["a"], "the suffix says what to write"),
        (["-"], ["a"], "For standard output use --to"),
        (["v.csv"], ["a", "b"], r"-o 'v-\{job\}\.csv'"),
        (["v.ndjson"], ["a", "b"], "holds one result"),
        (["v.csv", "./v.csv"], ["a"], r"the same file as -o v\.csv"),
        (["{job}.csv"], ["a b", "a_b"], "the same file"),
        (["{job}.json", "a.json"], ["a", "b"], "the same file"),
        (["memory://v.csv", "memory://v.csv"], ["a"], "the same file"),
        (["none/v.csv"], ["a"], "there is no directory"),
        (["dir.csv"], ["a"], "no regular file"),
        (["null.csv"], ["a"], "no regular file"),
        (["open.duckdb"], ["a"], r"open\.duckdb\.wal stands beside it"),
        (["nope://v.csv"], ["a"], "nope"),
    ],
)  # fmt: skip
def test_what_would_fail_after_the_run_is_refused_before_it(
    tmp_path, monkeypatch, paths, jobs, message
):
    """Each mistake is named, with the way out."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dir.csv").mkdir()
    (tmp_path / "null.csv").symlink_to("/dev/null")
    (tmp_path / "open.duckdb.wal").write_text("")

    with pytest.raises(UsageError, match=message):
        check_outputs(paths, jobs)


def test_good_outputs_pass_and_nothing_is_touched(tmp_path):
    """Before the run nothing is written."""
    paths = [f"{tmp_path}/{{job}}.CSV", f"file://{tmp_path}/r.md", "memory://x/r.json"]
    check_outputs(paths, ["a", "b"])

    assert list_names(tmp_path) == []


def test_places_without_permission_are_refused(tmp_path, monkeypatch):
    """A directory that can't be written to, a file that is read-only."""
    (tmp_path / "old.csv").write_text("")
    for denied in (tmp_path, tmp_path / "old.csv"):
        monkeypatch.setattr("os.access", lambda path, mode, denied=denied: Path(path) != denied)
        with pytest.raises(UsageError, match="no permission"):
            check_outputs([f"{tmp_path}/old.csv"], ["a"])
