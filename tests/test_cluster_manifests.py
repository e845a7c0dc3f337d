"""Manifests for Kubernetes: valid, and with no more rights than pods need."""

from __future__ import annotations

import pytest
import yaml

from cluster import environment
from cluster.kubernetes import MANIFESTS, render_manifest
from pipeline.errors import UsageError
from tests.support.profiles import profile_of


def _documents(tmp_path):
    profile = profile_of(
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
        render_manifest(profile_of(tmp_path, lines))
