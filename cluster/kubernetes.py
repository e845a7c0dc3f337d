"""A cluster of pods, which the Dask operator makes of a manifest; kubectl talks to it."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from cluster.security import read_security
from pipeline.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from cluster.profile import Profile

MANIFESTS = Path(__file__).parent / "manifests"
_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


@dataclass(slots=True)
class _Started:
    profile: Profile
    security: Any
    forward: subprocess.Popen[str] | None = None
    address: str = ""


def need(profile: Profile) -> None:
    """Need kubectl, certificates, and the operator's resource in the cluster."""
    if profile.is_insecure:
        raise UsageError(
            "--insecure: the pods of --cluster kubernetes always talk TLS to each other; leave it "
            "out"
        )
    if shutil.which("kubectl") is None:
        raise UsageError(
            "--cluster kubernetes takes kubectl: https://kubernetes.io/docs/tasks/tools"
        )
    read_security(profile)
    known = _kubectl(profile, "get", "crd", "daskclusters.kubernetes.dask.org", "-o", "name")
    if known.returncode:
        raise ClusterError(
            f"the cluster has no Dask operator, or does not answer: {known.stderr.strip()}. "
            "cluster/README.md shows how it is installed"
        )


def render_manifest(profile: Profile) -> str:
    """Return the DaskCluster manifest of a profile."""
    path = Path(profile["manifest"]).expanduser() if profile["manifest"] else None
    try:
        text = (path or MANIFESTS / "daskcluster.yaml").read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"manifest {path} can't be read: {error.strerror}") from None
    names = ("name", "namespace", "image", "workers", "threads", "tls_secret", "store_secret")
    values = {name: str(profile[name]) for name in names}
    # Kubernetes writes GiB as Gi.
    values["memory"] = profile["memory"].replace(" ", "").removesuffix("B")
    try:
        return Template(text).substitute(values)
    except (KeyError, ValueError) as error:
        raise UsageError(f"manifest {path}: ${error} is nothing that a profile sets") from None


def start(profile: Profile) -> _Started:
    """Apply the manifest, wait for the scheduler, forward a port on loopback to it."""
    handle = _Started(profile, read_security(profile))
    applied = _kubectl(profile, "apply", "-f", "-", text=render_manifest(profile))
    if applied.returncode:
        raise ClusterError(f"the manifest is refused: {applied.stderr.strip()}")
    try:
        _forward(handle)
    except BaseException:
        clean_up(handle)
        raise
    return handle


def run(handle: _Started) -> Any:
    """Return a client."""
    from distributed import Client

    return Client(handle.address, security=handle.security, set_as_default=False)


def watch(handle: _Started) -> list[str]:
    """Tell of each pod."""
    label = f"dask.org/cluster-name={handle.profile['name']}"
    told = _kubectl(handle.profile, "get", "pods", "-l", label, "--no-headers")
    return (told.stdout or told.stderr).splitlines()


def clean_up(handle: _Started) -> None:
    """Delete the DaskCluster, and with it its pods."""
    if handle.forward is not None:
        handle.forward.terminate()
        handle.forward.wait()
    with suppress(ClusterError):
        _kubectl(
            handle.profile, "delete", "daskcluster", handle.profile["name"], "--ignore-not-found"
        )


def _forward(handle: _Started) -> None:
    profile = handle.profile
    service = f"service/{profile['name']}-scheduler"
    end = time.monotonic() + profile["timeout_s"]
    while True:
        handle.forward = subprocess.Popen(
            [*_command(profile), "port-forward", "--address", "127.0.0.1", service, ":8786"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert handle.forward.stdout is not None
        # It ends by itself where there is no pod yet.
        line = handle.forward.stdout.readline()
        found = _FORWARDING.search(line)
        if found is not None:
            handle.address = f"tls://127.0.0.1:{found[1]}"
            return
        handle.forward.terminate()
        handle.forward.wait()
        if time.monotonic() > end:
            lines = "\n  ".join([line.strip(), *watch(handle)])
            raise ClusterError(
                f"no scheduler has come within {profile['timeout_s']} s (timeout_s in the profile "
                f"{profile.name}):\n  {lines}"
            )
        time.sleep(1)


def _command(profile: Profile) -> list[str]:
    context = ["--context", profile["context"]] if profile["context"] else []
    return ["kubectl", *context, "--namespace", profile["namespace"]]


def _kubectl(
    profile: Profile, *arguments: str, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [*_command(profile), *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClusterError(f"kubectl does not answer: {error}") from None
