"""What lies behind stores, without servers: ranges, retries, listings, rates and secrets."""

from __future__ import annotations

import http.server
import io
import re
import threading
import tracemalloc
from fnmatch import fnmatchcase
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StoreError
from pipeline.sources import fetch, ranged, rate
from pipeline.sources.fetch import insist, mark_of
from pipeline.sources.listing import Lister
from pipeline.sources.ranged import RangedFile, count_requests
from pipeline.sources.rate import TokenBucket
from pipeline.sources.secrets import hide_secrets, reveal_url, scrub, typed_options

LINE = b"Jan  1 00:00:00 mx1 postfix/smtpd[7]: connect\n"


# --- ranges


class FakeWay:
    """Bytes in memory, and what was asked of them."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.asked: list[tuple[int, int]] = []
        self.is_closed = False

    def get(self, start: int, stop: int) -> bytes:
        self.asked.append((start, stop))
        return self.text[start:stop]

    def close(self) -> None:
        self.is_closed = True


def straight(way, start, stop, is_closed):
    return way.get(start, stop)


@pytest.fixture(autouse=True, scope="module")
def _tiny():
    """Sizes at which every border is met."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranged, "REQUEST_BYTES", 16)
        patch.setattr(ranged, "SMALL_BYTES", 4)
        patch.setattr(ranged, "OVERRUN_BYTES", 3)
        yield


@given(
    text=st.binary(max_size=200),
    span=st.tuples(st.integers(0, 200), st.integers(0, 200)).map(sorted).map(tuple),
    n_head=st.integers(0, 40),
    steps=st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 210)), st.integers(0, 50))),
)
def test_a_ranged_file_reads_as_a_local_one(text, span, n_head, steps):
    """Whatever is read in whatever order, whatever span was promised."""
    way = FakeWay(text)
    far = RangedFile(way, straight, len(text), span, text[:n_head])
    near = io.BytesIO(text)
    for offset, size in steps:
        if offset is not None:
            near.seek(offset)
            far.seek(offset)
        assert near.read(size) == far.read(size)
        assert near.tell() == far.tell()
    far.close()

    assert way.is_closed
    assert all(0 <= start < stop <= len(text) for start, stop in way.asked)


@given(size=st.integers(1, 300), cut=st.tuples(st.integers(0, 299), st.integers(1, 300)))
def test_a_split_is_asked_for_once_and_no_more_than_planned(size, cut):
    """No byte twice, none beyond the rest of a line, in as many requests as the plan tells."""
    start, stop = min(cut[0], size - 1), min(size, max(cut))
    if start == stop:
        stop += 1
    way = FakeWay(bytes(size))
    with RangedFile(way, straight, size, (start, stop)) as far:
        far.seek(start)
        while far.read(min(5, stop - far.tell())):
            pass
        # What was asked for ahead may still come.
        for _, _, answer in far._ahead:
            answer.result()

    asked = sorted(way.asked)
    assert count_requests(start, stop, size) == len(asked)
    assert start == asked[0][0]
    assert min(size, stop + 3 if stop < size else size) == asked[-1][1]
    assert all(one[1] == next_[0] for one, next_ in pairwise(asked))


def test_several_requests_are_under_way_at_once():
    """The reader waits for the first answer only: the others were asked for beside it."""
    text = bytes(range(64))
    barrier = threading.Barrier(ranged.REQUESTS_AHEAD, timeout=20)

    def fetch_together(way, start, stop, is_closed):
        barrier.wait()
        return way.get(start, stop)

    with RangedFile(FakeWay(text), fetch_together, 64, (0, 64)) as far:
        assert text == far.read(64)


def test_a_failure_comes_after_the_bytes_before_it_and_again():
    """As the law of plain readers wants it; it is not waited for twice."""
    n_asked = 0

    def fail_late(way, start, stop, is_closed):
        nonlocal n_asked
        n_asked += start >= 16
        if start >= 16:
            raise StoreError("unreadable", "no luck")
        return way.get(start, stop)

    with RangedFile(FakeWay(bytes(64)), fail_late, 64, (0, 64)) as far:
        assert 16 == len(far.read(64))
        n_before = n_asked
        for _ in range(2):
            with pytest.raises(StoreError, match="no luck"):
                far.read(64)
        assert n_before == n_asked


# --- retries


class Failing:
    """Fails so often, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def test_what_may_pass_is_tried_again():
    """Waits become longer, by chance up to twice as long; the answer comes through."""
    waits = []
    failing = Failing(OSError("reset"), RuntimeError("odd"), TimeoutError(), OSError("short"))

    answer = insist(failing, {}, is_closed=waits.append)

    assert "answer" == answer
    assert all(0.2 * 2**n <= wait <= 0.4 * 2**n for n, wait in enumerate(waits)), waits
    assert 4 == len(waits)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError(2, "gone"), "missing"),
        (PermissionError(13, "no"), "denied"),
        (type("NoCredentialsError", (Exception,), {})("none"), "denied"),
        (StoreError("changed", "other"), "changed"),
    ],
)
def test_what_stays_wrong_is_not_tried_again(error, kind):
    """A second try would change nothing."""
    failing = Failing(error)

    with pytest.raises(StoreError) as caught:
        insist(failing, {}, is_closed=lambda _: pytest.fail("waited"))

    assert kind == caught.value.kind


def test_what_a_library_says_is_scrubbed_and_not_chained():
    """Its own error, whose traceback holds the request, goes no further."""
    failing = Failing(PermissionError("the key s3cr3t is not known"))

    with pytest.raises(StoreError, match=r"^the key \*\*\* is not known$") as caught:
        insist(failing, {"secret": "s3cr3t"})

    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_who_was_waited_for_in_vain_is_not_waited_for_again(monkeypatch):
    """A dead store costs its patience once, not for each of its files; an answer resets that."""
    clock = [0.0]
    monkeypatch.setattr(fetch.time, "monotonic", lambda: clock[0])

    def wait(seconds: float) -> None:
        clock[0] += seconds

    def fail() -> None:
        raise OSError("away")

    spent = []
    for call in (fail, fail, lambda: "answer", fail):
        begin = clock[0]
        try:
            insist(call, {}, is_closed=wait)
        except StoreError:
            spent.append(clock[0] - begin)
    fetch._given_up.clear()

    first, second, third = spent
    assert fetch.PATIENCE_S / 4 < first <= fetch.PATIENCE_S
    assert second <= 1
    assert third > fetch.PATIENCE_S / 4


def test_short_answers_are_asked_for_again_and_damage_names_its_range(monkeypatch):
    """A store that ends an answer early, without an error, loses nothing."""
    monkeypatch.setattr(fetch, "PATIENCE_S", 1.0)
    fetch._given_up.clear()

    class Short(FakeWay):
        def get(self, start, stop):
            n = len(self.asked)
            return super().get(start, stop)[: (n + 1) * 3]

    assert b"0123456" == fetch.fetch(Short(b"0123456789"), 0, 7, {}, lambda _: False)
    with pytest.raises(StoreError, match=r"bytes 0 to 9 could not be read: only \d of 10 bytes"):
        fetch.fetch(Short(b"01"), 0, 10, {}, lambda _: False)
    fetch._given_up.clear()


def test_the_oldest_heads_are_forgotten(monkeypatch):
    """Where there are more than may be kept."""
    monkeypatch.setattr(ranged, "_MAX_KEPT_BYTES", 250)
    ranged.forget_heads()
    for k in range(4):
        ranged.keep_head(k, b"x" * 100)
        ranged.keep_head(k, b"y" * 100)

    assert [None, None, b"x" * 100, b"x" * 100] == [*map(ranged.kept_head, range(4))]
    ranged.forget_heads()


# --- listings


class Keys:
    """A file system of so many keys that it must not be held; it tells what was listed."""

    def __init__(self, n_folders: int, n_files: int) -> None:
        self.n_folders, self.n_files = n_folders, n_files
        self.listed: list[str] = []

    def ls(self, path: str, *, detail: bool) -> list[dict[str, object]]:
        self.listed.append(path)
        depth = path.count("/")
        if depth == 0:
            return [{"name": f"{path}/{n:04}", "type": "directory"} for n in range(self.n_folders)]
        return [
            {"name": f"{path}/maillog.{n:03}", "type": "file", "size": 1, "pad": "x" * 500}
            for n in range(self.n_files)
        ]


def lister(fs: object) -> Lister:
    return Lister(fs, lambda call: call())


@pytest.mark.parametrize("how", ["walk", "**", "*/mail*"])
def test_a_listing_is_not_held(how):
    """100,000 keys in 1000 folders: memory is that of some folders."""
    fs = Keys(1000, 100)
    found = lister(fs).walk("b") if how == "walk" else lister(fs).glob(f"b/{how}")
    tracemalloc.start()
    n_found = sum(1 for _ in found)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert 100_000 == n_found
    assert peak < 5e6


def test_folders_that_do_not_match_are_not_listed():
    """A glob reads only what its parts name."""
    fs = Keys(1000, 2)
    found = [info["name"] for info in lister(fs).glob("b/00[12]7/maillog.*1")]

    assert ["b/0017/maillog.001", "b/0027/maillog.001"] == found
    assert {"b", "b/0017", "b/0027"} == set(fs.listed)


@pytest.mark.timeout(20)
def test_a_deep_glob_does_not_wait_for_itself(monkeypatch):
    """Listings of many levels need no more threads than there are."""
    from concurrent.futures import ThreadPoolExecutor

    import pipeline.sources.listing

    class Deep(Keys):
        def ls(self, path, *, detail):
            kind = "file" if path.count("/") == 4 else "directory"
            return [{"name": f"{path}/{n}", "type": kind} for n in range(4)]

    with ThreadPoolExecutor(2) as two:
        monkeypatch.setattr(pipeline.sources.listing, "pool", lambda: two)
        found = [info["name"] for info in lister(Deep(0, 0)).glob("b/*/*/*/*/*")]

    assert 4**5 == len(set(found)) == len(found)
    assert sorted(found) == found


_part = st.sampled_from(["a", "b", "ab", "ba.log"])


@given(
    paths=st.sets(st.lists(_part, min_size=1, max_size=4).map("/".join), max_size=12),
    pattern=st.lists(
        st.sampled_from(["a", "*", "a*", "?", "[ab]", "*.log", "**"]), min_size=1, max_size=4
    ).filter(lambda parts: any(set(part) & set("*?[") for part in parts)),
)
def test_a_glob_finds_what_its_parts_match(paths, pattern):
    """Against the slow obvious meaning; one star ends at a slash, two don't."""
    import fsspec

    # A file can't be a folder as well.
    files = {p for p in paths if not any(other.startswith(p + "/") for other in paths)}
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    memory.mkdir("/top")
    for path in files:
        memory.pipe(f"/top/{path}", b"x")

    found = lister(memory).glob("/top/" + "/".join(pattern))
    seen = [info["name"].removeprefix("/top/") for info in found if info["type"] == "file"]
    memory.store.clear()

    def matches(parts: list[str], names: list[str]) -> bool:
        if not parts:
            return not names
        if parts[0] == "**":
            if len(parts) == 1:
                return bool(names)
            return any(matches(parts[1:], names[n:]) for n in range(len(names) + 1))
        return bool(names) and fnmatchcase(names[0], parts[0]) and matches(parts[1:], names[1:])

    assert sorted(p for p in files if matches(pattern, p.split("/"))) == sorted(seen)


# --- rates


@given(takes=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 500)), min_size=1))
def test_no_more_passes_than_the_rate_allows(takes):
    """Whoever comes when: what began by a time was allowed by then."""
    now = [0.0]
    begun: list[tuple[float, int]] = []
    bucket = TokenBucket(100, clock=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
    for pause, n in takes:
        now[0] += pause
        bucket.take(n)
        begun.append((now[0], n))

    passed = 0
    for at, n in begun:
        assert passed <= 100 * at + 1e-6
        passed += n


def test_a_limited_rate_makes_requests_smaller(monkeypatch):
    """A second's worth at most, so that the rate is one of each second."""
    monkeypatch.setattr(ranged, "REQUEST_BYTES", 8 << 20)
    monkeypatch.setattr(ranged, "SMALL_BYTES", 64 << 10)
    try:
        sizes = []
        for limit in (None, 1 << 30, 1 << 20, 10):
            rate.limit_read_rate(limit)
            sizes.append(ranged.request_bytes())
    finally:
        rate.limit_read_rate(None)

    assert [8 << 20, 8 << 20, 1 << 20, 64 << 10] == sizes


# --- secrets


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sftp://ann:p@host:22/var/log", None),
        ("sftp://ann:p@ss@host/x", None),
        ("zip://*::sftp://ann:pw@host/x.zip", "zip://*::sftp://ann@host/x.zip"),
        ("sftp://ann:pw@host/log", "sftp://ann@host/log"),
        ("sftp://ann:pw@host", "sftp://ann@host"),
        ("https://h/x.log?X-Amz-Signature=ab12&v=1", "https://h/x.log?X-Amz-Signature=***&v=1"),
        ("https://h/x.log?sv=1&sig=ab%3D", "https://h/x.log?sv=1&sig=***"),
        ("s3://bucket/a:b@c/key", "s3://bucket/a:b@c/key"),
        ("s3://bucket/key?token=x", "s3://bucket/key?token=x"),
    ],
)
def test_urls_are_shown_without_secrets_and_open_with_them(url, shown):
    """What is shown brings back the whole, for what lies below it, too."""
    seen, options = hide_secrets(url)

    assert shown in (seen, None)
    assert url == reveal_url(seen, options)
    if "@host/" in url and "::" not in url:
        below = "/other" if url.endswith("/log") else ""
        assert url + below == reveal_url(seen + below, options)


def test_options_are_what_they_look_like_and_secrets_stay_text():
    """``anon=false`` is no text that counts as true."""
    given_ = {
        "anon": "false", "use_ssl": "True", "port": "2222", "key": "123", "password": "true1",
        "client_kwargs": '{"region_name": "eu"}', "username": "007", "profile": "null",
        "broken": "{", "\0hidden": "x",
    }  # fmt: skip

    assert {
        "anon": False, "use_ssl": True, "port": 2222, "key": "123", "password": "true1",
        "client_kwargs": {"region_name": "eu"}, "username": "007", "profile": None, "broken": "{",
    } == typed_options(given_)  # fmt: skip


def test_messages_are_scrubbed():
    """Of secret options, nested ones and hidden parts of URLs."""
    _, hidden = hide_secrets("sftp://ann:hunter2@host/x")
    _, signed = hide_secrets("https://h/x?sig=abcdef")
    options = {"secret": "s3cr3t", "client_kwargs": '{"auth": {"token": "t0k3n"}}', "region": "eu"}

    text = scrub("s3cr3t t0k3n hunter2 abcdef eu ann", options | hidden | signed)

    assert "*** *** *** *** eu ann" == text


def test_a_task_does_not_show_its_storage_options():
    """Neither in a traceback nor in another library's log."""
    from pipeline.model import SourceFile
    from pipeline.settings import Settings

    assert "hunter2" not in repr(SourceFile("s3://b/k", 1, options=(("secret", "hunter2"),)))
    assert "hunter2" not in repr(Settings(storage_options={"secret": "hunter2"}))


def test_marks():
    """Versions before ETags; a store without either has none."""
    assert "VersionId:v1" == mark_of({"VersionId": "v1", "ETag": "e"})
    assert "ETag:e" == mark_of({"VersionId": "null", "ETag": "e"})
    assert mark_of({"size": 3}) is None


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3://b/k", r"pip install 'sawlog\[s3\]'"),
        ("sftp://h/k", r"pip install 'sawlog\[ssh\]'"),
        ("gs://b/k", "pip install gcsfs"),
        ("az://b/k", "pip install adlfs"),
    ],
)
def test_a_missing_package_is_named(sawlog, monkeypatch, url, says):
    """With the command that installs it; exit 2."""

    def missing(name: str) -> None:
        raise ImportError(f"no {name}")

    monkeypatch.setattr("fsspec.core.get_filesystem_class", missing)
    monkeypatch.setattr("fsspec.get_filesystem_class", missing)
    ran = sawlog("volume", url)

    assert 2 == ran.code
    assert re.search(says, ran.err), ran.err


# --- the web


class WholeFiles(http.server.SimpleHTTPRequestHandler):
    """Answers every request with the whole file."""

    def log_message(self, *arguments: object) -> None:
        pass


class Ranges(WholeFiles):
    """Answers requests for ranges as well."""

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        path = Path(self.translate_path(self.path))
        if asked is None or not path.is_file():
            super().do_GET()
            return
        start, stop = asked.removeprefix("bytes=").split("-")
        text = path.read_bytes()
        piece = text[int(start) : int(stop) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(piece)))
        self.send_header("Content-Range", f"bytes {start}-{stop}/{len(text)}")
        self.end_headers()
        self.wfile.write(piece)


@pytest.mark.parametrize("handler", [WholeFiles, Ranges])
@pytest.mark.parametrize("name", ["maillog", "maillog.gz"])
def test_a_file_of_a_web_server(sawlog, tmp_path, monkeypatch, handler, name):
    """In ranges where it gives some; else fetched once, and read in splits all the same."""
    import gzip

    pytest.importorskip("aiohttp")
    monkeypatch.setattr(ranged, "REQUEST_BYTES", 16 << 10)
    monkeypatch.setattr(ranged, "SMALL_BYTES", 8 << 10)
    ranged.forget_heads()
    text = b"".join(LINE.replace(b"[7]", b"[%d]" % n) for n in range(20_000))
    (tmp_path / "maillog").write_bytes(text)
    (tmp_path / "maillog.gz").write_bytes(gzip.compress(text))
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(handler, directory=str(tmp_path))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        ran = sawlog(
            "sql", "SELECT count(*) AS n, sum(pid) AS s FROM lines", "--to", "values",
            f"http://127.0.0.1:{server.server_port}/{name}", "--split-size", "100kB",
        )  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()

    assert (0, f"20000,{sum(range(20_000))}\n") == (ran.code, ran.out), ran.err
