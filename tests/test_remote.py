"""Remote sources from the command line: marks of change, packages that are missing, the web."""

from __future__ import annotations

import http.server
import re
import threading
from functools import partial

import pytest

from pipeline.sources import ranged
from pipeline.sources.fetch import mark_of
from tests.support.far import Ranges, WholeFiles
from tests.support.sources import LINE


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


@pytest.mark.parametrize("handler", [WholeFiles, Ranges])
@pytest.mark.parametrize("name", ["maillog", "maillog.gz"])
def test_a_file_of_a_web_server(sawlog, tmp_path, monkeypatch, handler, name):
    """In ranges where it gives some; else fetched once, and read in splits all the same."""
    import gzip

    pytest.importorskip("aiohttp")
    monkeypatch.setattr(ranged, "REQUEST_BYTES", 16 << 10)
    monkeypatch.setattr(ranged, "SMALL_BYTES", 8 << 10)
    ranged.forget_heads()
    Ranges.asked.clear()
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
    if handler is Ranges:
        assert len(set(Ranges.asked)) >= (5 if name == "maillog" else 1)
