"""The examples of cluster/schedules are what they say: job files that are right, scripts that run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

_FOLDER = Path(__file__).parent.parent / "cluster" / "schedules"


def test_the_cron_job_of_kubernetes_runs_a_job_file_that_is_right(sawlog, tmp_path):
    """Its ConfigMap holds the file that its container is given; alerts fit the jobs."""
    text = (_FOLDER / "kubernetes-cronjob.yaml").read_text()
    config, cron = yaml.safe_load_all(text)
    for one in (config, cron):
        kubernetes_validate.validate(one, "1.30", strict=True)
    pod = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    path = Path(container["args"][-1])
    mounted = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    volumes = {one["name"]: one for one in pod["volumes"]}

    assert ["sawlog", "run"] == container["args"][:2]
    assert str(path.parent) == mounted["job"]
    assert config["metadata"]["name"] == volumes["job"]["configMap"]["name"]
    assert [2, 3, 4] == cron["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"][0][
        "onExitCodes"
    ]["values"]

    job_file = tmp_path / path.name
    job_file.write_text(config["data"][path.name])
    log = tmp_path / "maillog"
    log.write_text("Dec 26 00:00:01 mx1 postfix/smtp[7]: 4A1B2C: to=<a@b>, status=sent (ok)\n")
    assert 0 == sawlog("schedule", job_file).code
    ran = sawlog(
        "run", job_file, log, "-o", tmp_path / "x.json", "--state", tmp_path / "state", "-q"
    )
    assert (0, "") == (ran.code, ran.out), ran.err


@pytest.mark.parametrize("is_slurm", [True, False])
def test_the_script_for_slurm_runs_the_job_file_on_its_cores(is_slurm, tmp_path):
    """And hands on the exit code."""
    sawlog = tmp_path / "sawlog"
    sawlog.write_text('#!/bin/sh\necho "$@"\nexit 4\n')
    sawlog.chmod(0o755)
    (tmp_path / "a b.toml").touch()

    ran = subprocess.run(
        [_FOLDER / "slurm-nightly.sh", "a b.toml"],
        env={**os.environ, "SAWLOG": str(sawlog), **({"SLURM_CPUS_PER_TASK": "8"} if is_slurm else {})},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    workers = 8 if is_slurm else 1
    assert (4, f"run {tmp_path}/a b.toml --workers {workers} --no-progress\n") == (
        ran.returncode,
        ran.stdout,
    )


def test_the_script_for_slurm_orders_the_next_night(tmp_path):
    """Before it runs: whatever becomes of this night."""
    for name, text in {
        "scontrol": 'echo "   Command=/jobs/slurm-nightly.sh x.toml"',
        "sbatch": 'echo "sbatch $*"',
        "sawlog": "echo ran; exit 1",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7",
        "NIGHTLY_AT": "03:17",
    }  # fmt: skip

    ran = subprocess.run(
        [_FOLDER / "slurm-nightly.sh", "x.toml"],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    ordered = f"sbatch --begin=03:17 --export=ALL /jobs/slurm-nightly.sh {tmp_path}/x.toml"
    assert (1, [ordered, "ran"]) == (ran.returncode, ran.stdout.splitlines())
