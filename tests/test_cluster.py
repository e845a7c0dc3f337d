"""Profiles, TLS, addresses, versions, manifests: what is checked before a cluster gets anything."""

from __future__ import annotations

import asyncio
import http.server
import re
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest
import yaml

from cluster import environment
from cluster.kubernetes import MANIFESTS, render_manifest
from cluster.profile import KEYS, PROFILES, TARGETS, read_profile
from cluster.security import check_address, check_listening, is_loopback, read_security
from pipeline.errors import ClusterError, UsageError
from pipeline.executors.fitness import (
    PACKAGES,
    check_sources,
    compare_memory,
    compare_versions,
    examine,
)
from pipeline.executors.on_worker import RunPlugin
from pipeline.sources import rate
from tests.support.services import make_certificates, tls_lines

ROOT = Path(__file__).parents[1]


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


def _profile(tmp_path, text, **options):
    path = tmp_path / "my.toml"
    path.write_text(text)
    return read_profile(str(path), **options)


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
        _profile(tmp_path, text)
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


class _WholeFiles(http.server.BaseHTTPRequestHandler):
    """A server that knows no ranges and no sizes."""

    protocol_version = "HTTP/1.0"

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"Dec  9 04:02:11 mx su[5]: hello\n" * 5000)

    def log_message(self, *_):
        pass


def test_what_had_to_be_fetched_whole_stays_on_this_machine(sawlog, monkeypatch):
    """Of a server without ranges only this process has the file: that is said before all else."""
    import cluster

    monkeypatch.setattr(cluster, "_target", lambda _: pytest.fail("a cluster was started"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _WholeFiles) as server:
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
    profile = _profile(tmp_path, f'target = "ssh"\nhosts = ["a"]\n{tls_lines(folder)}')

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


def _told(**changed):
    packages = {"python": "3.11.7.final.0", **dict.fromkeys(PACKAGES, "1.0"), **changed}
    return {"packages": packages}


def test_other_versions_are_named_with_their_machine():
    """Another version, a package that is not there, a machine that says nothing."""
    versions = {
        "client": _told(),
        "scheduler": _told(sawlog=None),
        "workers": {
            "tls://a:1": _told(python="3.11.2.final.0"),
            "tls://b:1": _told(duckdb="2.0.1", python="3.12.1.final.0"),
            "tls://c:1": None,
        },
    }

    problems = compare_versions(versions)

    assert not any("tls://a:1" in one for one in problems)
    assert any(
        one.startswith("the scheduler has sawlog (none), here it is 1.0") for one in problems
    )
    assert any(one.startswith("tls://b:1 has duckdb 2.0.1, here it is 1.0") for one in problems)
    assert any(one.startswith("tls://b:1 has python 3.12") for one in problems)
    assert 6 == sum("tls://c:1" in one for one in problems)


def test_a_worker_with_little_memory_is_named():
    """Threads times what one takes must fit; 0 is no limit."""
    workers = {
        "tls://a:1": {"memory_limit": 1_000_000_000, "nthreads": 8},
        "tls://b:1": {"memory_limit": 0, "nthreads": 8},
        "tls://c:1": {"memory_limit": 16_000_000_000, "nthreads": 8},
    }
    (problem,) = compare_memory(workers)
    assert "tls://a:1 may use 1,000 MB for 8 threads, which need 2,700 MB" in problem


class _Client:
    """A cluster of which one worker lacks sawlog, one is late, and one can't read."""

    def __init__(self, off_s, errors):
        self.off_s, self.errors = off_s, errors

    def scheduler_info(self, n_workers):
        worker = {"memory_limit": 0, "nthreads": 2}
        return {"workers": {"tls://a:1": worker, "tls://b:1": worker}}

    def get_versions(self, packages):
        workers = {"tls://a:1": _told(), "tls://b:1": _told(sawlog=None)}
        return {"client": _told(), "scheduler": _told(), "workers": workers}

    def run(self, function, files, workers):
        assert ["tls://a:1"] == workers
        told = function(files)
        return {"tls://a:1": {"time": told["time"] + self.off_s, "errors": self.errors}}


@pytest.mark.parametrize(("off_s", "word"), [(0, None), (3600, "+3600"), (-60, "-60")])
def test_a_check_finds_clocks_that_are_off(off_s, word):
    """More than five seconds are a problem; a worker without sawlog is asked nothing more."""
    rows, problems = examine(_Client(off_s, []), [])
    assert [True, None] == [row["reads"] for row in rows]
    assert any("has sawlog (none)" in one for one in problems)
    assert (word is not None) == any("clock" in one and word in one for one in problems if word)
    assert 1 + (word is not None) == len(problems)


def test_a_check_names_what_a_worker_can_not_read():
    """A worker that can't reach the store is a problem, with what the store said."""
    rows, problems = examine(_Client(0, ["s3://logs/a: denied"]), [])
    assert rows[0]["reads"] is False
    assert "tls://a:1: s3://logs/a: denied" in problems


class _LateClient(_Client):
    """A cluster whose second worker registers while the versions of the first are asked for."""

    def __init__(self):
        super().__init__(0, [])
        self.known = ["tls://a:1"]

    def scheduler_info(self, n_workers):
        return {"workers": {name: {"memory_limit": 0, "nthreads": 2} for name in self.known}}

    def get_versions(self, packages):
        told = {"client": _told(), "scheduler": _told(), "workers": {"tls://a:1": _told()}}
        self.known.append("tls://b:1")
        return told


def test_a_worker_that_comes_during_a_check_is_not_half_told_of():
    """A row has all that is asked of a worker, or there is a problem."""
    rows, problems = examine(_LateClient(), [])
    assert [("tls://a:1", True)] == [(row["worker"], row["reads"]) for row in rows]
    assert [] == problems


@pytest.mark.parametrize("hosts", [["a"], ["a", "b", "a"]])
def test_all_workers_of_all_hosts_are_waited_for(tmp_path, hosts):
    """`workers` of a profile are those of one host."""
    profile = _profile(tmp_path, f'target = "ssh"\nhosts = {hosts}\nworkers = 2\nthreads = 3\n')
    assert 2 * len(hosts) == profile.n_workers
    assert 6 * len(hosts) == profile.n_threads


class _Worker:
    """A worker of a cluster that grows."""

    address = "tls://a:1"
    local_directory = ""

    class memory_manager:  # noqa: N801
        memory_limit = None

    def __init__(self):
        self.scheduler = self
        self.n_workers = 2

    async def identity(self, n_workers):
        return {"n_workers": self.n_workers}


def test_a_workers_share_of_the_rate_follows_their_number(monkeypatch):
    """Half of it, a third when another has come; all of it again without a run's plan."""
    monkeypatch.setattr("pipeline.executors.on_worker.SHARE_S", 0.01)
    seen = []

    async def run():
        worker, plugin = _Worker(), RunPlugin("run", None, {}, 900)
        await plugin.setup(worker)
        seen.append((plugin.share, rate.read_rate()))
        worker.n_workers = 3
        while plugin.share != 300:  # noqa: ASYNC110  (it tells nobody)
            await asyncio.sleep(0.01)
        seen.append((plugin.share, rate.read_rate()))
        plugin.teardown(worker)
        worker.n_workers = 9
        await asyncio.sleep(0.05)
        assert 300 == plugin.share

    try:
        asyncio.run(asyncio.wait_for(run(), 20))
    finally:
        rate.limit_read_rate(None)
    assert [(450, 450), (300, 300)] == seen


# --- Kubernetes


def _documents(tmp_path):
    profile = _profile(
        tmp_path,
        'target = "kubernetes"\nworkers = 3\nimage = "registry.example.org/sawlog:0.1.0"\n'
        'memory = "6GiB"\nname = "mails"\n',
    )
    texts = [
        path.read_text() for path in sorted(MANIFESTS.glob("*.yaml")) if path.stem != "daskcluster"
    ]
    return [
        one
        for text in [*texts, render_manifest(profile)]
        for one in yaml.safe_load_all(text)
        if one
    ]


def _pods(documents):
    """Return the pod specifications of all documents, by a name."""
    for one in documents:
        if one["kind"] == "Job":
            yield "job", one["spec"]["template"]["spec"]
        if one["kind"] == "DaskCluster":
            yield "worker", one["spec"]["worker"]["spec"]
            yield "scheduler", one["spec"]["scheduler"]["spec"]


def test_manifests_are_valid(tmp_path):
    """Against the published schemas; a DaskCluster by the pods and the service in it."""
    import kubernetes_validate

    documents = _documents(tmp_path)
    assert {"Namespace", "NetworkPolicy", "Job", "DaskCluster"} == {d["kind"] for d in documents}
    for one in documents:
        if one["kind"] != "DaskCluster":
            kubernetes_validate.validate(one, "1.30", strict=True)
            continue
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}}
        service["spec"] = one["spec"]["scheduler"]["service"]
        kubernetes_validate.validate(service, "1.30", strict=True)
    for name, spec in _pods(documents):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        kubernetes_validate.validate(pod, "1.30", strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**pod, "spec": {"containers": 3}}, "1.30", strict=True)


def test_pods_have_no_more_rights_than_they_need(tmp_path):
    """Not root, read-only root, no capability, bounded, secrets by reference, no token."""
    pods = dict(_pods(_documents(tmp_path)))
    assert {"job", "worker", "scheduler"} == set(pods)
    for spec in pods.values():
        (container,) = spec["containers"]
        assert spec["securityContext"]["runAsNonRoot"]
        assert not spec["automountServiceAccountToken"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        assert ["ALL"] == container["securityContext"]["capabilities"]["drop"]
        assert {"cpu", "memory", "ephemeral-storage"} == set(container["resources"]["limits"])
        assert not any(
            "KEY_ID" in one["name"] or "SECRET" in one["name"] for one in container["env"]
        )
        tls = {one["name"]: one["value"] for one in container["env"]}
        assert "true" == tls["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"]
    for name in ("worker", "scheduler"):
        told = {one["name"]: one["value"] for one in pods[name]["containers"][0]["env"]}
        # The operator asks the scheduler over its web server, which a policy keeps to itself.
        wanted = {key: value for key, value in environment().items() if "HTTP" not in key}
        assert wanted.items() <= told.items()
    assert "6Gi" == pods["worker"]["containers"][0]["resources"]["limits"]["memory"]


def test_a_manifest_of_ones_own_names_only_what_a_profile_has(tmp_path):
    """A misspelt $word is named."""
    (tmp_path / "own.yaml").write_text("image: $imge\n")
    lines = f'target = "kubernetes"\nworkers = 1\nimage = "a"\nmanifest = "{tmp_path}/own.yaml"\n'
    with pytest.raises(UsageError, match="imge"):
        render_manifest(_profile(tmp_path, lines))


def test_help_and_runs_without_a_cluster_import_nothing_of_it(demo):
    """Start-up is a feature: neither distributed nor the cluster's files are imported."""
    code = (
        "import sys; from pipeline.cli import run_command_line as run; run(['volume', '--help']); "
        f"run(['volume', {str(demo / 'maillog')!r}, '-q', '--nice', '0']); "
        "print([m for m in sys.modules if m.split('.')[0] in ('distributed', 'cluster')])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
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


def test_the_sizing_table_is_the_models():
    """What the README shows is what the model says of the measured figures."""
    from cluster.figures import MEASURED
    from cluster.sizing import Assumed, table

    assert table(MEASURED, Assumed()) in (ROOT / "cluster" / "README.md").read_text()


def test_the_sizing_model_grows_as_it_should():
    """Twice the cores, half the time; until something else bounds it, which is named."""
    from cluster.sizing import Assumed, Measured, count_tasks, estimate
    from pipeline.executors.units import count_units

    measured, fast = Measured(10, 0.001, 0, 0, 0), Assumed(worker_gb_a_s=1000, head_s=0)
    one, two = (estimate(1, 1000, n, 8, measured, fast) for n in (4, 8))
    assert one.seconds == pytest.approx(2 * two.seconds)
    assert {"cores"} == {one.bound_by, two.bound_by}
    assert "scheduler" == estimate(0.01, 100_000, 100, 8, measured, fast).bound_by
    assert "network" == estimate(1, 1000, 10, 8, measured, Assumed(worker_gb_a_s=0.01)).bound_by
    assert "planning" == estimate(0.01, 1_000_000, 100, 8, measured, Assumed()).bound_by
    for files, gb in ((10, 1), (5000, 0.01), (5000, 3), (10**6, 5), (10**6, 1000)):
        assert count_units(files, int(gb * 1e9)) == count_tasks(files, gb)
    # A file that is one split keeps one thread busy, however many there are.
    few = estimate(1, 4, 4, 8, measured, fast)
    assert few.seconds == pytest.approx(8 * one.seconds)


def test_growth_is_measured_on_a_real_cluster():
    """The benchmark of splits runs, small; its figures have a sense."""
    import json

    command = [sys.executable, "-m", "tests.benchmarks.growth", "splits"]
    command += ["--splits", "3000", "--each", "300"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    packed, each = map(json.loads, told.stdout.splitlines())
    assert (3000, 1000) == (packed["splits"], packed["tasks"])
    assert (300, 300) == (each["splits"], each["tasks"])
    assert 0 < packed["scheduler_cpu_ms_a_split"] < each["scheduler_cpu_ms_a_split"]


@pytest.mark.cluster
def test_objects_are_planned_and_run_on_a_real_cluster():
    """From a stand-in of a store, each asked once to plan and once to map; all lines are counted."""
    import json

    pytest.importorskip("s3fs")
    command = [sys.executable, "-m", "tests.benchmarks.growth", "objects"]
    command += ["--objects", "2500", "--run", "150"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    planned, ran = map(json.loads, told.stdout.splitlines())
    assert (2500, 834) == (planned["objects"], planned["tasks"])
    assert 1.01 > planned["requests_a_file"]
    assert {"get": 300, "head": 1, "list": 2} == ran["requests"]
