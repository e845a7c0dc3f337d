"""extract: every line lands in one file, byte for byte, and no name leaves the folder."""

from __future__ import annotations

import gzip
import os
import resource
import stat
import tempfile
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.compression.zstd import ZstdCodec
from pipeline.errors import OutputError
from pipeline.extract import frames, outputs, pieces, sort
from pipeline.extract.names import MAX_BYTES, file_name, source_names
from pipeline.extract.run import extract
from pipeline.kernels import route as compiled
from pipeline.settings import Settings
from tests.support.kernels import reference
from tests.support.oracle import parse, split_lines
from tests.support.strategies import hostile_text, log_text

if TYPE_CHECKING:
    from pipeline.compression.base import PlainReader

_NAMES = tomllib.loads(
    (Path(__file__).parent / "cases" / "extract" / "names.toml").read_text(encoding="utf-8")
)["name"]
_MTIME = 1_198_800_000


def _open(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".zst":  # the library itself stops at the seek table
        with ZstdCodec().open(path.open("rb"), len(data)) as reader:
            return b"".join(iter(lambda: _read(reader), b""))
    return data


def _read(reader: PlainReader) -> bytes:
    piece = bytearray(1 << 20)
    return bytes(piece[: reader.readinto(memoryview(piece))])


def _files(folder: Path, suffix: str = "") -> dict[str, bytes]:
    """Return the text of every file under a folder, by its name there without the suffix."""
    return {
        str(path.relative_to(folder)).removesuffix(suffix): _open(path)
        for path in folder.rglob("*")
        if path.is_file()
    }


def _log(folder: Path, name: str, text: bytes) -> str:
    path = folder / name
    path.write_bytes(text)
    os.utime(path, (_MTIME, _MTIME))
    return str(path)


def _key(line: bytes) -> str:
    row = parse(line, 2007)
    texts = [None if v is None else v.decode("utf-8", "replace") for v in (row.host, row.process)]
    return "/".join(map(file_name, texts)) + ".log"


@given(
    texts=st.lists(hostile_text(), min_size=1, max_size=3),
    split_bytes=st.integers(1, 200),
    compress=st.sampled_from(["none", "gz", "zst"]),
    waits=st.booleans(),
    room=st.sampled_from([0, 100, 1 << 20]),
)
def test_every_line_lands_in_the_file_of_its_values_and_in_order(
    texts, split_bytes, compress, waits, room
):
    """However the files are cut. A last line without line end gets one only where more follows.

    Whether splits wait for their turn, and wherever what they have waits.
    """
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "MEMORY_BYTES", room)
        if waits:
            patch.setattr(outputs.Outputs, "is_turn", lambda *_: False)
        folder = Path(name)
        # The numbers put them into rotation order; a number tells equal texts apart.
        texts = [b"%d\n" % k + text for k, text in enumerate(texts)]
        logs = [_log(folder, f"log.{len(texts) - k}", text) for k, text in enumerate(texts)]
        settings = Settings(
            by=("host", "process"), split_bytes=split_bytes, workers=2, count_duplicates=True
        )

        made, inputs = extract(logs, settings, folder / "out", compress)

        expected: dict[str, list[bytes]] = {}
        for line in (line for text in texts for line in split_lines(text)):
            expected.setdefault(_key(line), []).append(line)
        whole = {
            key: b"".join(line.removesuffix(b"\n") + b"\n" for line in lines[:-1]) + lines[-1]
            for key, lines in expected.items()
        }
        suffix = frames.PACKERS[compress]().suffix
        assert whole == _files(folder / "out", suffix)
        assert inputs.account.lines == sum(one.lines for one in made)
        assert {one.name: one.lines for one in made} == {
            key + suffix: len(lines) for key, lines in expected.items()
        }


@given(text=log_text(), frame_bytes=st.integers(1, 20), held_bytes=st.integers(1, 30))
def test_recompressing_gives_back_the_file_in_frames_of_whole_lines(text, frame_bytes, held_bytes):
    """--by none: what the files hold stays as it is, whatever frames it is cut into."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        for module in (frames, sort):
            patch.setattr(module, "FRAME_BYTES", frame_bytes)
        patch.setattr("pipeline.extract.outputs.FRAME_BYTES", frame_bytes)
        for module in (outputs, sort):
            patch.setattr(module, "HELD_BYTES", held_bytes)
        folder = Path(name)
        settings = Settings(by=("none",), split_bytes=7, workers=1)

        extract([_log(folder, "maillog", text)], settings, folder / "out", "zst")

        assert ({"maillog": text} if text else {}) == _files(folder / "out", ".zst")
        if not text:
            return
        stored = (folder / "out" / "maillog.zst").read_bytes()
        lengths = _seek_table(stored)
        at = 0
        for n_stored, n_plain in lengths:
            frame = zstandard.ZstdDecompressor().decompress(stored[at : at + n_stored])
            assert n_plain == len(frame)
            at += n_stored
            assert frame.endswith(b"\n") or at == sum(n for n, _ in lengths)


def _seek_table(stored: bytes) -> list[tuple[int, int]]:
    n = int.from_bytes(stored[-9:-5], "little")
    table = stored[-9 - 8 * n : -9]
    return [
        (int.from_bytes(table[k : k + 4], "little"), int.from_bytes(table[k + 4 : k + 8], "little"))
        for k in range(0, 8 * n, 8)
    ]


@pytest.mark.parametrize("case", _NAMES, ids=lambda case: repr(case["value"]))
def test_names(case):
    """Values become the names that the case file has."""
    assert case["is"] == file_name(case["value"])


_nasty = st.one_of(
    st.none(),
    st.text(st.sampled_from("./_%-~A2Ee\0 ne"), max_size=6),
    st.text(max_size=300),
    st.text(st.sampled_from("/a%"), min_size=150, max_size=300),
)


@given(one=_nasty, other=_nasty)
def test_names_stay_in_their_folder_and_never_meet(one, other):
    """Whatever a value is: its name is one component, short enough, and its own."""
    name = file_name(one)
    assert Path(name).parts == (name,)
    assert not name.startswith((".", "-"))
    assert name.isascii()
    assert name.isprintable()
    assert len(name) <= MAX_BYTES
    assert (one == other) == (name == file_name(other))


@given(urls=st.lists(st.text(st.sampled_from("ab/.gz1"), min_size=1), unique=True, max_size=4))
def test_sources_never_share_a_name(urls):
    """Files of one name in two folders, and a log beside its compressed self, stay apart."""
    assert len(urls) == len(set(source_names(urls).values()))


@given(st.data())
def test_the_compiled_kernel_is_the_reference(data):
    """refine: groups told apart by another column are the same, compiled or not."""
    n = data.draw(st.integers(0, 20))
    codes = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    values = data.draw(st.lists(st.sampled_from([-5, 0, 1, 2**31 - 1]), min_size=n, max_size=n))
    valid = bytearray(data.draw(st.binary(min_size=3, max_size=3)))
    given_ = []
    for kernel in (compiled, reference("route")):
        ints = [memoryview(bytearray(4 * 64)).cast("i") for _ in range(5)]
        ints[0][:n] = memoryview(bytearray(b"".join(v.to_bytes(4, "little") for v in codes))).cast(
            "i"
        )
        ints[1][:n] = memoryview(
            bytearray(b"".join(v.to_bytes(4, "little", signed=True) for v in values))
        ).cast("i")
        nulls = memoryview(bytearray(64))
        found = kernel.refine(ints[0], n, ints[1], valid, *ints[2:], nulls)
        given_.append(
            (found, ints[0].tolist()[:n], [x.tolist()[:found] for x in (ints[3], ints[4], nulls)])
        )
    assert given_[0] == given_[1]
    known: dict[object, int] = {}
    pairs = [
        (c, v if valid[k >> 3] >> (k & 7) & 1 else None)
        for k, (c, v) in enumerate(zip(codes, values, strict=True))
    ]
    assert given_[0][1] == [known.setdefault(pair, len(known)) for pair in pairs]


_LOG = (
    b"Dec 26 00:00:01 mx1 postfix/smtp[7]: 4A1B2C: to=<a@example.org>, relay=none, delay=1, status=deferred (x)\n"
    b"Dec 26 01:00:01 mx2 ../../evil: up\n"
    b"Dec 27 02:00:01 mx1 postfix/smtp[7]: 4A1B2C: to=<a@example.org>, relay=none, delay=1, status=sent (ok)\n"
    b"no stamp here\n"
)


@pytest.fixture
def log(tmp_path) -> Path:
    """Four lines, one by a stranger."""
    return Path(_log(tmp_path, "maillog", _LOG))


def test_the_files_are_those_of_day_and_process(sawlog, log, tmp_path):
    """The default; the time of a file is that of its newest line, so that it is dated again."""
    ran = sawlog("extract", log, "-d", tmp_path / "out", "--to", "csv")

    assert 0 == ran.code, ran.err
    assert [
        "file,lines,bytes,stored_bytes,newest",
        "2007-12-26/%2E._.._evil.log.zst",
        "2007-12-26/postfix_smtp.log.zst",
        "2007-12-27/postfix_smtp.log.zst",
        "undated/%none.log.zst",
    ] == [row.split(",")[0] if k else row for k, row in enumerate(ran.out.splitlines())]
    assert sorted(_LOG.splitlines()) == sorted(
        b"".join(_files(tmp_path / "out").values()).splitlines()
    )
    day = tmp_path / "out" / "2007-12-26" / "postfix_smtp.log.zst"
    assert "Dec 26 00:00:01 2007" == time.strftime(
        "%b %d %H:%M:%S %Y", time.gmtime(day.stat().st_mtime)
    )
    again = sawlog("volume", tmp_path / "out", "--to", "csv")
    assert sawlog("volume", log, "--to", "csv").out == again.out


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (["--since", "2007-12-27"], [2]),
        (["--process", "postfix/*"], [0, 2]),
        (["--host", "mx2"], [1]),
        (["--where", "status = 'sent'"], [2]),
        (["--where", "message LIKE '%stamp%'"], [3]),
        (["--where", "false"], []),
    ],
)
def test_filters_apply(sawlog, log, tmp_path, options, kept):
    """Those of any job; what --where names may be of mail."""
    out = tmp_path / "out"
    ran = sawlog("extract", log, "-d", out, "--by", "host,status", "--compress", "none", *options)

    assert 0 == ran.code, ran.err
    lines = _LOG.splitlines()
    assert [lines[k] for k in kept] == sorted(
        b"".join(_files(out).values()).splitlines(), key=lines.index
    )


def test_a_line_longer_than_a_block_is_whole(sawlog, tmp_path):
    """What jobs cut away is there, too, between its neighbours."""
    text = b"a\n" + b"x" * (5 << 20) + b"\nb\n" + b"y" * (21 << 20)
    log = _log(tmp_path, "log", text)

    for compress in ("none", "zst"):
        out = tmp_path / compress
        ran = sawlog("extract", log, "-d", out, "--by", "day", "--compress", compress)
        assert 0 == ran.code, ran.err
        (found,) = _files(out).values()
        assert text == found


def test_a_folder_with_something_in_it_is_left_alone(sawlog, log, tmp_path):
    """The files appear in a new folder, or an empty one; nothing is mixed."""
    (tmp_path / "out").mkdir()
    assert 0 == sawlog("extract", log, "-d", tmp_path / "out").code
    before = _files(tmp_path / "out")
    ran = sawlog("extract", log, "-d", tmp_path / "out")

    assert 2 == ran.code
    assert "something in it" in ran.err
    assert before == _files(tmp_path / "out")
    assert 2 == sawlog("extract", log, "-d", tmp_path / "no" / "out").code
    assert 2 == sawlog("extract", log, "-d", log).code


def test_whole_or_not_at_all(sawlog, log, tmp_path, monkeypatch):
    """When the disk is full there is neither a folder nor a rest of one."""

    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outputs.os, "write", fail)
    ran = sawlog("extract", log, "-d", tmp_path / "out")

    assert 1 == ran.code
    assert "No space left" in ran.err
    assert ["maillog"] == [path.name for path in tmp_path.iterdir()]


def test_two_values_that_a_file_system_calls_the_same_are_an_error(tmp_path):
    """Where case does not count in names: better none than two mixed."""
    (tmp_path / "a.log").write_bytes(b"other")
    made = outputs.Outputs(tmp_path, frames.Packer(), lambda key: f"{key[0]}.log")
    with pytest.raises(OutputError, match="two values"):
        made.write_text("log", ("a",), memoryview(b"line\n"))


def test_thousands_of_files_need_few_handles(sawlog, tmp_path):
    """As many outputs as there are lines, with some dozens of files open at a time at most."""
    lines = [b"Dec 26 00:00:01 mx1 tag%d: x\n" % k for k in range(3000)]
    log = _log(tmp_path, "log", b"".join(lines))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, limit[1]))
    try:
        ran = sawlog("extract", log, "-d", tmp_path / "out", "--by", "process", "-q")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)

    assert 0 == ran.code, ran.err
    assert {f"tag{k}.log.zst" for k in range(3000)} == {
        p.name for p in (tmp_path / "out").iterdir()
    }


def test_damage_ends_a_file_and_is_told(sawlog, tmp_path):
    """Exit 3; the lines before it are there."""
    text = b"".join(b"Dec 26 00:00:01 mx1 tag: %d\n" % (k * k * 7919) for k in range(200_000))
    log = _log(tmp_path, "log.gz", gzip.compress(text)[:-50_000])
    ran = sawlog("extract", log, "-d", tmp_path / "out", "--by", "none")

    assert 3 == ran.code
    found = _files(tmp_path / "out")["log.zst"]
    assert found
    assert found.endswith(b"\n")
    assert text.startswith(found)


@pytest.mark.parametrize(
    "options",
    [
        ["--by", "nonsense"],
        ["--by", "offset"],
        ["--expand-repeats"],
        ["-p", "a=b"],
        ["--compress", "7z"],
        ["--where", "nix = 1"],
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(sawlog, log, tmp_path, options):
    """Exit 2, and no folder."""
    assert 2 == sawlog("extract", log, "-d", tmp_path / "out", *options).code
    assert not (tmp_path / "out").exists()


def test_the_folder_is_as_open_as_any(sawlog, log, tmp_path):
    """Temporary folders are private; what is kept goes by the umask."""
    old = os.umask(0o022)
    try:
        sawlog("extract", log, "-d", tmp_path / "out")
    finally:
        os.umask(old)
    assert 0o755 == stat.S_IMODE((tmp_path / "out").stat().st_mode)
