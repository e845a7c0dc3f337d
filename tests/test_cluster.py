"""Profiles, options, addresses, TLS: what is checked before a cluster is started."""

from __future__ import annotations

import http.server
import re
import subprocess
import threading
import tomllib

import pytest

from cluster.profile import KEYS, PROFILES, TARGETS
from cluster.security import check_address, check_listening, is_loopback, read_security
from pipeline.errors import ClusterError, UsageError
from pipeline.executors.fitness import (
    check_sources,
)
from tests.support.far import NoSizes
from tests.support.processes import ROOT, run_python
from tests.support.profiles import profile_of
from tests.support.services import make_certificates, tls_lines


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_the_same_five_functions(target):
    """One file per target, the same five names."""
    from importlib import import_module

    module = import_module(TARGETS[target])
    assert all(callable(getattr(module, f)) for f in ("need", "start", "run", "watch", "clean_up"))


@pytest.mark.parametrize("target", KEYS)
def test_the_profile_of_a_target_names_and_comments_every_key(target):
    """A profile shows all keys, each under a comment, and says what the code takes for granted."""
    text = (PROFILES / f"{target}.toml").read_text()
    given = tomllib.loads(text)

    assert target == given.pop("target")
    assert set(KEYS[target]) == set(given)
    for paragraph in text.split("\n\n"):
        assert paragraph.startswith("# "), paragraph
    for name, key in KEYS[target].items():
        if key.default is not None and name not in ("timeout_s", "logs", "walltime", "workers"):
            default = list(key.default) if key.kind is list else key.default
            assert default == given[name], name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["does not say where it runs", 'target = "local"']),
        ('target = "lokal"', ["'lokal'", "Did you mean 'local'?"]),
        ("target = 3", ["unknown target"]),
        ('target = "local"\nworkers', ["is no TOML"]),
        ('target = "local"\nworker = 3', ["'worker'", "Did you mean 'workers'?"]),
        ('target = "local"\nworkers = "3"', ["workers", "whole number", "'3'"]),
        ('target = "local"\nworkers = true', ["workers", "whole number"]),
        ('target = "local"\nthreads = -1', ["threads", "at least 0"]),
        ('target = "local"\nmemory = "much"', ["memory", "'much'", "4GiB"]),
        ('target = "ssh"', ["lacks hosts", '["mx1", "mx2"]']),
        ('target = "ssh"\nhosts = []', ["lacks hosts"]),
        ('target = "ssh"\nhosts = "mx1"', ["hosts", "list of texts"]),
        ('target = "ssh"\nhosts = ["-oProxyCommand=x"]', ["hosts", "can't stand there"]),
        ('target = "slurm"', ["lacks workers"]),
        (
            'target = "slurm"\nworkers = 1\nthreads = 1\nmemory = "1GiB"\nwalltime = "long"',
            ["04:00"],
        ),
        ('target = "kubernetes"\nworkers = 1', ["lacks image"]),
        ('target = "kubernetes"\nworkers = 1\nimage = "a b"', ["image", "'a b'"]),
        ('target = "kubernetes"\nworkers = 1\nimage = "a"\nnamespace = "A: b"', ["namespace"]),
    ],
)
def test_a_wrong_profile_is_refused_with_the_way_out(tmp_path, text, words):
    """Each mistake is named, with the file, what is known, and the nearest."""
    with pytest.raises(UsageError) as caught:
        profile_of(tmp_path, text)
    assert all(word in str(caught.value) for word in words), caught.value


def test_options_that_contradict_are_refused(sawlog, tmp_path):
    """Exit 2, before anything is read or started."""
    for arguments, word in [
        (["--cluster", "slrm"], "Did you mean 'slurm'?"),
        (["--cluster", tmp_path / "no.toml"], "can't be read"),
        (["--cluster", "local", "--scheduler", "tls://a:1"], "give either"),
        (["--scheduler", "http://a:1"], "tls://scheduler:8786"),
        (["--scheduler", "tls://a"], "tls://scheduler:8786"),
        (["--scheduler", "tcp://a:1"], "without encryption"),
    ]:
        ran = sawlog("volume", ROOT / "README.md", *arguments)
        assert 2 == ran.code, ran.err
        assert word in ran.err


def test_standard_input_stays_on_this_machine(sawlog, monkeypatch):
    """Workers can't read a pipe: that is said, and no cluster is started."""
    import cluster

    monkeypatch.setattr(cluster, "_target", lambda _: pytest.fail("a cluster was started"))
    ran = sawlog("volume", "-", "--cluster", "local", stdin=b"Dec  9 04:02:11 mx su[5]: hello\n")
    assert 2 == ran.code
    assert "can't read a pipe" in ran.err


def test_what_had_to_be_fetched_whole_stays_on_this_machine(sawlog, monkeypatch):
    """Of a server without ranges only this process has the file: that is said before all else."""
    import cluster

    monkeypatch.setattr(cluster, "_target", lambda _: pytest.fail("a cluster was started"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), NoSizes) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/maillog"
        alone = sawlog("volume", url, "--year", 2007, "-q")
        there = sawlog("volume", url, "--cluster", "local")
        server.shutdown()

    assert 0 == alone.code, alone.err
    assert 2 == there.code
    assert f"{url}: its server gives whole files only" in there.err


def test_members_of_an_archive_on_a_pipe_stay_on_this_machine():
    """Members of what was spooled; not those whose own name looks like it."""
    check_sources(["tar://a::b.tar", "tar://-::b.tar", "s3://b/-", "zip://x::-y.zip"])
    for url in ("tar://a.log::-", "zip://b::tar://c::-"):
        with pytest.raises(UsageError, match="pipe"):
            check_sources([url])


def test_nobody_at_the_address(sawlog, demo, monkeypatch):
    """Exit 1 and a word about it."""
    monkeypatch.setattr("cluster.join.TIMEOUT_S", 0.5)
    ran = sawlog("volume", demo / "maillog", "--scheduler", "tcp://127.0.0.1:9")
    assert 1 == ran.code
    assert "no scheduler answers at tcp://127.0.0.1:9" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("host", "is_it"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True),
     ("10.0.0.1", False), ("0.0.0.0", False), ("::", False), ("localhost.example.org", False)],
)  # fmt: skip
def test_what_is_loopback(host, is_it):
    """Only what surely stays on this machine."""
    shown = f"[{host}]" if ":" in host else host
    assert is_it == is_loopback(host)
    for check in (check_address, check_listening):
        check(f"tls://{shown}:8786", is_insecure=False)
        check(f"tcp://{shown}:8786", is_insecure=True)
        if is_it:
            check(f"tcp://{shown}:8786", is_insecure=False)
            continue
        with pytest.raises((UsageError, ClusterError), match="--insecure"):
            check(f"tcp://{shown}:8786", is_insecure=False)


def test_the_commands_of_the_readme_make_certificates_that_work(tmp_path):
    """The openssl commands run; the key is ours alone; Dask takes what they make."""
    folder = make_certificates(tmp_path)
    assert 0o600 == (folder / "key.pem").stat().st_mode & 0o777
    profile = profile_of(tmp_path, f'target = "ssh"\nhosts = ["a"]\n{tls_lines(folder)}')

    security = read_security(profile)

    assert security.require_encryption
    for role in ("client", "scheduler", "worker"):
        assert security.get_connection_args(role)["ssl_context"] is not None
    verify = ["openssl", "verify", "-CAfile", folder / "ca.pem", folder / "cert.pem"]
    subprocess.run(verify, check=True, capture_output=True)

    (folder / "key.pem").chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        read_security(profile)
    (folder / "key.pem").unlink()
    with pytest.raises(UsageError, match="openssl"):
        read_security(profile)


@pytest.mark.parametrize("hosts", [["a"], ["a", "b", "a"]])
def test_all_workers_of_all_hosts_are_waited_for(tmp_path, hosts):
    """`workers` of a profile are those of one host."""
    profile = profile_of(tmp_path, f'target = "ssh"\nhosts = {hosts}\nworkers = 2\nthreads = 3\n')
    assert 2 * len(hosts) == profile.n_workers
    assert 6 * len(hosts) == profile.n_threads


def test_help_and_runs_without_a_cluster_import_nothing_of_it(demo):
    """Start-up is a feature: neither distributed nor the cluster's files are imported."""
    code = (
        "import sys; from pipeline.cli import run_command_line as run; run(['volume', '--help']); "
        f"run(['volume', {str(demo / 'maillog')!r}, '-q', '--nice', '0']); "
        "print([m for m in sys.modules if m.split('.')[0] in ('distributed', 'cluster')])"
    )
    told = run_python(code)
    assert 0 == told.returncode, told.stderr
    assert "[]" == told.stdout.splitlines()[-1]


def test_the_readme_names_every_target_and_extra():
    """What pyproject offers, the README of clusters tells."""
    readme = (ROOT / "cluster" / "README.md").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for target in TARGETS:
        assert re.search(rf"^\| `{target}` \|", readme, re.MULTILINE)
    for extra in ("distributed", "ssh", "slurm", "kubernetes"):
        assert extra in extras
        assert f"sawlog[{extra}]" in readme
