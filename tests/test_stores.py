"""Runs on real stores: S3 and SFTP on loopback, and what networks and people do meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import stores
from tests.support.stores import access

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

s3fs = pytest.importorskip("s3fs")
SECRETS = (stores.SECRET, stores.WEAK_SECRET)


@pytest.fixture
def small_requests(monkeypatch):
    """Requests so small that the demo archive takes many; no head is known beforehand."""
    from pipeline.sources import ranged

    monkeypatch.setattr(ranged, "REQUEST_BYTES", 16 << 10)
    ranged.forget_heads()


@pytest.fixture
def local(sawlog, demo):
    """What the same command gives from local files."""

    def run(*arguments: str) -> str:
        ran = sawlog(*arguments, *sorted(map(str, demo.glob("maillog*"))), "-q")
        assert ran.code == 0, ran.err
        return ran.out

    return run


@pytest.mark.parametrize("job", ["volume", "retries"])
@pytest.mark.parametrize("how", [(), ("--split-size", "64KiB"), ("--scheduler", "inline")])
def test_the_archive_gives_the_same_from_s3(sawlog, s3, local, job, how):
    """Plain, gz, zst and xz objects, whole and in splits."""
    ran = sawlog(job, "s3://logs/mx1/maillog*", *access(s3.url), *how, "--to", "csv", "-q")

    assert (0, "") == (ran.code, ran.err)
    assert local(job, "--to", "csv") == ran.out


@pytest.mark.parametrize(
    "source", ["s3://logs/**", "s3://logs/mx1", "s3://logs/*/maillog*", "s3://logs/m*/**/maillog*"]
)
def test_globs_and_folders_name_the_same_objects(sawlog, s3, local, source):
    """However they are named."""
    ran = sawlog("volume", source, *access(s3.url), "--to", "csv", "-q")

    assert (0, local("volume", "--to", "csv")) == (ran.code, ran.out), ran.err


def test_plan_tells_requests_and_bytes(sawlog, s3, demo):
    """Before it is paid; the requests are counted as they will be made."""
    from pipeline.sources.fetch import requests

    size = (demo / "maillog.1").stat().st_size
    told = sawlog("plan", "volume", "s3://logs/mx1/maillog.1", *access(s3.url)).err
    (line,) = (line for line in told.splitlines() if line.startswith("stores: "))
    before = requests.n_bytes
    sawlog("volume", "s3://logs/mx1/maillog.1", *access(s3.url))

    assert line.startswith("stores: about 1 requests of up to ")
    # The first 64 KiB are known from planning, and are planned as if they weren't.
    assert size == requests.n_bytes - before


@pytest.mark.parametrize("how", ["hangs", "is gone"])
def test_the_server_is_stopped_for_five_seconds(sawlog, s3, proxy, local, small_requests, how):
    """Its clients wait for it, and the result is that of a run without."""
    done = []

    def stop() -> None:
        s3.pause(5) if how == "hangs" else proxy.go_away(5)
        done.append(how)

    stopping = threading.Thread(target=stop)
    proxy.after(500_000, stopping.start)
    ran = sawlog("volume", "s3://logs/mx1/maillog*", *access(proxy.url), "--to", "csv", "-q")
    stopping.join()

    assert [how] == done, "it was stopped in mid-run"
    assert (0, "") == (ran.code, ran.err)
    assert local("volume", "--to", "csv") == ran.out


def test_reads_that_are_cut_short_are_made_again(sawlog, proxy, local, small_requests):
    """A connection that ends early, after a few bytes or nearly all, loses nothing."""
    sawlog("volume", "s3://logs/mx1/maillog", *access(proxy.url))  # the connections of planning
    proxy.drop_all()
    proxy.cuts = [0, 300, 1000, 5000, 2000, 16_000, 16_500, 10, 4000]

    ran = sawlog("volume", "s3://logs/mx1/maillog*", *access(proxy.url), "--to", "csv", "-q")

    assert proxy.n_cut == 9
    assert (0, "") == (ran.code, ran.err)
    assert local("volume", "--to", "csv") == ran.out


def test_a_range_that_never_comes_is_damage(sawlog, s3, proxy, demo, small_requests, monkeypatch):
    """It is named with its bytes; what lies before it counts, and the other files; exit 3."""
    from pipeline.sources import fetch

    monkeypatch.setattr(fetch, "PATIENCE_S", 0.5)
    s3.client().pipe("logs/one/maillog", (demo / "maillog.1").read_bytes())

    def end() -> None:
        proxy.cuts = [0] * 10_000
        proxy.drop_all()

    proxy.after(200_000, end)
    ran = sawlog(
        "volume", "s3://logs/one/maillog", *access(proxy.url), "--to", "csv",
        "--split-size", "10MB", "--workers", "1",
    )  # fmt: skip

    assert ran.code == 3
    assert "s3://logs/one/maillog: unreadable at stored byte " in ran.err
    assert " could not be read: " in ran.err
    assert len(ran.out.splitlines()) > 2


@pytest.mark.parametrize("split_size", ["10MB", "64KiB"])
@pytest.mark.parametrize("kind", ["maillog.1", "maillog.2.gz"])
def test_an_object_replaced_during_the_run_is_named(
    sawlog, s3, proxy, demo, small_requests, split_size, kind
):
    """No line of the new object is counted as if it were of the old one."""
    text = (demo / kind).read_bytes() * (6 if kind.endswith("gz") else 1)
    s3.client().pipe(f"logs/two/{kind}", text)

    def replace() -> None:
        s3.client().pipe(f"logs/two/{kind}", text[::-1])

    proxy.after(70_000, replace)
    ran = sawlog(
        "sql", "SELECT count(*) AS n FROM lines", f"s3://logs/two/{kind}", *access(proxy.url),
        "--to", "values", "--split-size", split_size,
    )  # fmt: skip

    assert ran.code == 3, ran.err
    assert f"s3://logs/two/{kind}: changed" in ran.err
    assert "another object has taken its name during the run" in ran.err


def test_an_object_removed_during_the_run_is_named(sawlog, s3, proxy, demo, small_requests):
    """Likewise."""
    s3.client().pipe("logs/gone/maillog", (demo / "maillog.1").read_bytes())
    proxy.after(100_000, lambda: s3.client().rm("logs/gone/maillog"))

    ran = sawlog("volume", "s3://logs/gone/maillog", *access(proxy.url))

    assert ran.code == 3
    assert "s3://logs/gone/maillog: changed" in ran.err


@pytest.mark.parametrize(
    ("source", "key", "secret", "says"),
    [
        ("s3://logs/nope", stores.KEY, stores.SECRET, "s3://logs/nope: missing"),
        ("s3://logs/n*", stores.KEY, stores.SECRET, "s3://logs/n*: no match"),
        ("s3://nobucket/x", stores.KEY, stores.SECRET, "bucket does not exist"),
        ("s3://nobucket/*", stores.KEY, stores.SECRET, "bucket does not exist"),
        ("s3://logs/mx1/maillog", stores.WEAK_KEY, stores.WEAK_SECRET, "denied"),
        ("s3://logs/mx1/*", stores.WEAK_KEY, stores.WEAK_SECRET, "denied"),
        ("s3://logs/mx1/maillog", stores.KEY, stores.WEAK_SECRET, "denied"),
    ],
)
def test_what_cannot_be_read_is_named(sawlog, s3, demo, tmp_path, source, key, secret, says):
    """Alone it ends the run with 1; among others it is damage, and ends it with 3."""
    options = access(s3.url, key, secret)
    alone = sawlog("volume", source, *options)
    account = tmp_path / "account.json"
    other = sawlog("volume", source, demo / "maillog", *options, "--account", account)

    assert (1, "") == (alone.code, alone.out)
    assert says in alone.err
    assert "Traceback" not in alone.err
    assert other.code == 3
    assert says in other.err
    assert [source] == [one["file"] for one in json.loads(account.read_text())["damaged"]]


def test_a_store_that_is_not_there(sawlog, monkeypatch):
    """The endpoint is named."""
    from pipeline.sources import remote

    monkeypatch.setattr(remote, "_PLANNING_PATIENCE_S", 0.1)
    ran = sawlog("volume", "s3://logs/x", *access(f"http://127.0.0.1:{stores.free_port()}"))

    assert ran.code == 1
    assert "Could not connect to the endpoint URL" in ran.err


def test_without_credentials_the_usual_places_are_named(sawlog, s3, monkeypatch, tmp_path):
    """And that a public bucket needs none."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    ran = sawlog("volume", "s3://logs/mx1/maillog", f"--storage-option=endpoint_url={s3.url}")

    assert ran.code == 1
    assert "AWS_ACCESS_KEY_ID" in ran.err
    assert "anon=true" in ran.err


def test_credentials_are_taken_from_the_environment(sawlog, s3, monkeypatch):
    """As every program of AWS does."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", stores.KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", stores.SECRET)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)

    assert sawlog("volume", "s3://logs/mx1/maillog").code == 0


def test_secrets_are_printed_nowhere(sawlog, s3, proxy, tmp_path, monkeypatch):
    """Not in results, report, account, plan, nor in what a broken library raises."""
    options = access(s3.url)
    written = [tmp_path / name for name in ("a.json", "r.html", "r.csv")]
    seen = [
        sawlog(
            "volume", "s3://logs/mx1/maillog", "s3://logs/nope", *options, "--account", written[0],
            "-o", written[1], "-o", written[2],
        ),
        sawlog("plan", "volume", "s3://logs/mx1/maillog", *options),
        sawlog("files", "s3://logs/mx1/maillog", *options),
        sawlog("volume", "s3://logs/mx1/maillog", *options, "--storage-option=nonsense=1"),
    ]  # fmt: skip

    async def fail(*arguments: object, **named: object) -> None:
        raise RuntimeError(f"no luck with {stores.SECRET} of {stores.KEY}")

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", fail)
    monkeypatch.setattr("pipeline.sources.remote._PLANNING_PATIENCE_S", 0.1)
    seen.append(sawlog("volume", "s3://logs/mx1/maillog", *options))

    assert "no luck with *** of ***" in seen[-1].err
    texts = [ran.out + ran.err for ran in seen] + [path.read_text() for path in written]
    for text in texts:
        assert not [secret for secret in (stores.SECRET, stores.KEY) if secret in text], text


def test_the_commands_of_the_readme_run(s3, ssh, demo, tmp_path):
    """Each command of its section on stores, on these servers."""
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    section = readme.split("## Object stores\n", 1)[1].split("\n## ", 1)[0]
    commands = section.split("```sh\n", 1)[1].split("```", 1)[0].splitlines()
    user = os.environ.get("USER") or "root"
    environment = {
        **os.environ, "AWS_ACCESS_KEY_ID": stores.KEY, "AWS_SECRET_ACCESS_KEY": stores.SECRET,
        "AWS_ENDPOINT_URL": s3.url, "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip
    for command in commands:
        ours = (
            command.replace("http://127.0.0.1:8333", s3.url)
            .replace("backup@127.0.0.1:2222/var/log", f"{user}@127.0.0.1:{ssh.port}{demo}")
            .replace("~/.ssh/id_ed25519", str(ssh.user_key))
            .replace("sawlog ", f"{sys.executable} -m pipeline ", 1)
        )
        if "sftp://" in ours:
            ours += f" --storage-option known_hosts={ssh.known_hosts}"
        ran = subprocess.run(
            ["bash", "-c", ours], env=environment, capture_output=True, text=True, check=False,
            cwd=Path(__file__).parent.parent,
        )  # fmt: skip
        assert 0 == ran.returncode, (command, ran.stderr)
        assert ran.stdout, command
    assert 5 == len(commands)


def test_equal_etags_are_equal_content_without_reading(sawlog, s3, demo):
    """A copy in the bucket is left out, and costs no more than its head."""
    from pipeline.sources.fetch import requests

    client = s3.client()
    for name in ("one", "two"):
        client.pipe(f"logs/copies/{name}", (demo / "maillog.1").read_bytes())
    before = requests.n_bytes
    ran = sawlog("volume", "s3://logs/copies", *access(s3.url))

    assert 0 == ran.code
    assert "same content" in ran.err
    assert requests.n_bytes - before < (demo / "maillog.1").stat().st_size + (128 << 10)


# --- SFTP


def test_heads_of_many_objects_come_past_the_client(s3, demo):
    """Signed as the server checks it, whatever the key; what is wrong is left to the client."""
    from pipeline.sources.heads import QuickHeads
    from pipeline.sources.remote import Store

    client = s3.client()
    names = ["a b", "a+b", "ü", "a%20b", "(1)", "~x", "a=b&c", "q", "."]
    for k, name in enumerate(names):
        client.pipe_file(f"logs/odd/{name}.log", b"Dec 30 00:00:00 a b: %d\n" % k * 5000)
    options = {"endpoint_url": s3.url, "key": stores.KEY, "secret": stores.SECRET}
    store = Store("s3://logs/odd/*", tuple(sorted(options.items())))
    files = list(store.find())
    changed = replace(files[-1], mark='ETag:"0123"')
    gone = replace(files[0], path="logs/odd/gone")

    got = list(QuickHeads(store.fs, 1000).read([*files, changed, gone]))

    assert len(names) == len(files)
    for file, head in got[: len(names)]:
        assert client.cat_file(file.path, start=0, end=1000) == head, file.path
    assert [(changed, None), (gone, None)] == got[len(names) :]
    told = dict(store.read_heads([changed, files[0], gone]))
    assert ["changed", "changed"] == [told[one].kind for one in (changed, gone)]
    assert isinstance(told[files[0]], bytes)
    client.rm("logs/odd", recursive=True)


def test_small_objects_are_asked_for_together_before_they_are_read(s3):
    """Then opening and reading them asks for nothing; another store's are left alone."""
    from pipeline.model import SourceFile
    from pipeline.sources import ranged
    from pipeline.sources.fetch import requests
    from pipeline.sources.opening import open_stored
    from pipeline.sources.prefetch import prefetch
    from pipeline.sources.remote import Store

    client = s3.client()
    for k in range(20):
        client.pipe_file(f"logs/small/{k:02}.log", b"%d\n" % k * 1000)
    pairs = {"endpoint_url": s3.url, "key": stores.KEY, "secret": stores.SECRET}
    options = tuple(sorted(pairs.items()))
    found = Store("s3://logs/small/*", options).find()
    files = [SourceFile(f.url, f.size, f.mtime, options=options, mark=f.mark) for f in found]
    ranged.forget_heads()

    before = requests.n_requests
    prefetch([*files, SourceFile("/var/log/none", 10)])
    assert len(files) == 20 == requests.n_requests - before
    for k, file in enumerate(files):
        with open_stored(file) as stored:
            assert b"%d\n" % k * 1000 == stored.read()
    assert 20 == requests.n_requests - before
    client.rm("logs/small", recursive=True)


def test_a_store_that_refuses_is_asked_a_few_times_in_the_quick_way(s3, demo):
    """Then as ever."""
    from pipeline.sources import heads
    from pipeline.sources.remote import Store

    options = {"endpoint_url": s3.url, "key": stores.KEY, "secret": stores.SECRET}
    store = Store("s3://logs/mx1/maillog.1", tuple(sorted(options.items())))
    (file,) = store.find()
    quick = heads.QuickHeads(store.fs, 1000)
    missing = [replace(file, path=f"logs/mx1/gone-{k}") for k in range(100)]

    assert [None] * 100 == [head for _, head in quick.read(missing)]
    assert [None] == [head for _, head in quick.read([file])]


@pytest.fixture(scope="module")
def ssh(tmp_path_factory):
    """An SSH server."""
    pytest.importorskip("sshfs")
    if stores.SSHD is None:
        pytest.skip("needs openssh-server")
    server = stores.SshServer(tmp_path_factory.mktemp("ssh"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def far(ssh, demo, tmp_path):
    """The demo archive at the other end: URL and options."""
    folder = tmp_path / "far"
    folder.mkdir()
    for path in demo.glob("maillog*"):
        shutil.copy2(path, folder)
    user = os.environ.get("USER") or "root"
    return f"sftp://{user}@127.0.0.1:{ssh.port}{folder}", [
        f"--storage-option=known_hosts={ssh.known_hosts}",
        f"--storage-option=client_keys={ssh.user_key}",
    ]


@pytest.mark.parametrize("what", ["/maillog*", ""])
@pytest.mark.parametrize("how", [(), ("--split-size", "1MB")])
def test_the_archive_gives_the_same_from_sftp(sawlog, far, local, what, how):
    """By glob and as a folder."""
    url, options = far
    ran = sawlog("volume", url + what, *options, *how, "--to", "csv", "-q")

    assert (0, "") == (ran.code, ran.err)
    assert local("volume", "--to", "csv") == ran.out


def test_a_host_with_another_key_is_refused(sawlog, far, ssh):
    """Nobody is trusted at first sight."""
    url, (_, key) = far
    ran = sawlog("volume", url, f"--storage-option=known_hosts={ssh.wrong_hosts}", key)

    assert ran.code == 1
    assert "known_hosts" in ran.err


def test_sessions_that_end_in_mid_run_are_begun_again(
    sawlog, far, ssh, local, small_requests, monkeypatch
):
    """The connection is gone, the run goes on over another."""
    from pipeline.sources import ways

    url, options = far
    n_reads = 0
    read_range = ways._read_range

    def read(*arguments):
        nonlocal n_reads
        n_reads += 1
        if n_reads == 15:
            ssh.drop_all()
        return read_range(*arguments)

    monkeypatch.setattr(ways, "_read_range", read)
    ran = sawlog("volume", url + "/maillog*", *options, "--to", "csv", "-q")

    assert n_reads > 15
    assert (0, "") == (ran.code, ran.err)
    assert local("volume", "--to", "csv") == ran.out


@pytest.mark.parametrize("how", ["replaced", "replaced by more", "grown"])
def test_files_replaced_during_the_run_are_named_and_those_that_grow_are_read(
    sawlog, far, demo, small_requests, monkeypatch, how
):
    """SFTP has no ETags: size, time and the first bytes tell."""
    from pipeline.sources import ways

    url, options = far
    path = Path(url.split(":", 2)[2].partition("/")[2])
    path = Path("/") / path / "maillog.1"
    n_lines = path.read_bytes().count(b"\n")
    n_reads = 0
    read_range = ways._read_range

    def read(*arguments):
        nonlocal n_reads
        n_reads += 1
        if n_reads == 5:
            text = path.read_bytes()
            if how == "grown":
                with path.open("ab") as log:
                    log.write(text[:5000])
            else:
                (path.parent / "new").write_bytes(text[3:] + text * (how == "replaced by more"))
                (path.parent / "new").replace(path)
        return read_range(*arguments)

    monkeypatch.setattr(ways, "_read_range", read)
    ran = sawlog(
        "sql", "SELECT count(*) AS n FROM lines", f"{url}/maillog.1", *options, "--to", "values"
    )

    if how == "grown" or (how == "replaced by more" and ran.code == 0):
        # Handles that are open still read the old file: then all of it is the old one's.
        assert (0, f"{n_lines}\n") == (ran.code, ran.out), ran.err
    else:
        assert ran.code == 3
        assert "maillog.1: changed" in ran.err
