"""The built-in jobs, by golden cases: the folder names the job, a file holds arguments, log, output."""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from pipeline.job import builtin_jobs, find_job
from tests.support.access_logs import access_lines

CASES = Path(__file__).parent / "cases" / "jobs"


@pytest.mark.parametrize(
    "path", sorted(CASES.glob("*/*.toml")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_case(sawlog, tmp_path, path):
    """The command line gives what the case says, however small the splits are."""
    case = tomllib.loads(path.read_text(encoding="utf-8"))
    log = tmp_path / "log"
    log.write_text(case["input"])
    arguments = (path.parent.name, log, "--to", "csv", *case["args"])

    for split_bytes in (1 << 40, 200):
        ran = sawlog(*arguments, "--split-size", split_bytes)
        out = ran.out.replace(str(log), "LOG")
        assert (0, case["output"]) == (ran.code, out), f"{case['note']}\n{ran.err}"


def test_every_job_has_a_case():
    """But the report, whose sections have tests of their own."""
    assert set(builtin_jobs()) - {"mail"} == {path.parent.name for path in CASES.glob("*/*.toml")}


@pytest.mark.parametrize("name", ["retries", "rejects", "deliveries"])
def test_the_demo_archive_has_the_true_counts(sawlog, demo, name):
    """They were counted while its lines were made."""
    ran = sawlog(name, *demo.glob("maillog*"), "--to", "csv")

    assert (0, (demo / "truth" / f"{name}.csv").read_text()) == (ran.code, ran.out)


def test_the_messages_of_the_story_were_tried_as_often_as_it_says(sawlog, demo):
    """--queue-id counts each day of a message what the true counts have, zeros between them."""
    truth = list(csv.DictReader(io.StringIO((demo / "truth" / "retries.csv").read_text())))
    queue_id = max(truth, key=lambda row: int(row["attempts"]))["queue_id"]
    expected = {row["day"]: int(row["attempts"]) for row in truth if row["queue_id"] == queue_id}

    ran = sawlog("retries", "--queue-id", queue_id, *demo.glob("maillog*"), "--to", "csv")
    rows = list(csv.DictReader(io.StringIO(ran.out)))

    assert expected == {row["day"]: int(row["attempts"]) for row in rows if row["attempts"] != "0"}
    assert min(expected) == rows[0]["day"]
    assert max(expected) < rows[-1]["day"]
    assert "0" == rows[-1]["attempts"]


_OF_ACCESS = ("requests", "errors", "slow", "top", "bots")
_OF_AUTH = ("signins", "failures")


@pytest.fixture(scope="module")
def logs(demo, tmp_path_factory):
    """Which files a job has something to tell of."""
    folder = tmp_path_factory.mktemp("logs")
    (folder / "access.log").write_text("\n".join(access_lines(600)) + "\n")

    def paths(name: str) -> list[Path]:
        if name in _OF_ACCESS:
            return [folder / "access.log"]
        return [*demo.glob("maillog*")]

    return paths


def _choices():
    jobs = (find_job(name) for name in builtin_jobs())
    return [(job.name, choice) for job in jobs for choice in job.by_choices]


@pytest.mark.parametrize(("name", "choice"), _choices())
def test_what_a_job_groups_by_adds_up(sawlog, logs, name, choice):
    """--by any column gives one row for each of its values, and the same sum over all of them."""
    additive = {"volume": "lines", "delays": "deliveries", "warnings": "lines", "rejects": "rejects",
                "deliveries": "deliveries", "connections": "connections", "queue": "came",
                **dict.fromkeys(_OF_ACCESS, "requests"), **dict.fromkeys(_OF_AUTH, "attempts")}  # fmt: skip
    column = additive.get(name, "messages")

    def rows(*by: str) -> list[dict[str, str]]:
        more = ("-p", "most=1000000") if name == "top" else ()
        ran = sawlog(name, *logs(name), "--to", "csv", *more, *by)
        assert 0 == ran.code, ran.err
        return list(csv.DictReader(io.StringIO(ran.out)))

    whole, grouped = rows(), rows("--by", choice)
    assert [choice] == list(grouped[0])[:1]
    assert len(grouped) == len({row[choice] for row in grouped})
    total = [sum(int(row[column]) for row in some) for some in (whole, grouped)]
    assert total[0] == total[1] > 0


def test_days_are_days_and_clients_are_clients(sawlog, demo):
    """What stands under a column's name is of its kind, wherever the query makes it."""
    paths = [*demo.glob("maillog*")]
    days = sawlog("domains", "--by", "day", *paths, "--to", "values").out.splitlines()
    clients = sawlog("logins", "--by", "client_ip,hour", *paths, "--to", "values").out.splitlines()

    assert len(days) > 20
    assert all(day.startswith("200") for day in days)
    assert len(clients) > 20
    assert all(row.split(",")[1].isdigit() for row in clients)


def test_backscatter_names_what_the_story_tells(sawlog, demo):
    """The list, the forged sender of the worst one, and as many stuck messages as there were."""
    truth = json.loads((demo / "truth" / "story.json").read_text())
    stuck = list(csv.DictReader(io.StringIO((demo / "truth" / "stuck.csv").read_text())))

    ran = sawlog("backscatter", *demo.glob("maillog*"), "--to", "json")
    found = json.loads(ran.out)

    (cause,) = (row for row in found["backscatter"] if row["stuck"])
    assert truth["list_address"] == cause["cause"]
    assert truth["stuck_messages"] == cause["stuck"]
    assert truth["forged_sender"] == cause["worst_forged"]
    assert truth["queue_id"] == cause["worst_id"]
    assert "ignore" in cause["advice"]
    # Some are refused at once: one attempt each.
    assert truth["stuck_attempts"] == cause["attempts"] - (cause["bounces"] - cause["stuck"])
    domains = Counter(row["forged_sender"].split("@")[1] for row in stuck)
    assert domains == {
        row["domain"]: row["stuck"] for row in found["forged_domains"] if row["stuck"]
    }
    networks = Counter(re.sub(r".*\[(.*)\.\d+\]", r"\1.0/24", row["client"]) for row in stuck)
    assert networks == {
        row["network"]: row["stuck"] for row in found["client_networks"] if row["stuck"]
    }


def test_coverage_misses_what_is_missing(sawlog, demo):
    """A file of the set is left out: a gap, days without lines, and its number."""
    logs = [path for path in sorted(demo.glob("maillog*")) if ".2" not in path.name]
    found = json.loads(sawlog("coverage", *logs, "--to", "json").out)

    assert ["2007-12-23"] == [row["begins"][:10] for row in found["gaps"]]
    assert 6 == sum(not row["lines"] for row in found["coverage"])
    assert [2] == [row["number"] for row in found["rotations"] if row["file"] is None]
    whole = json.loads(sawlog("coverage", *demo.glob("maillog*"), "--to", "json").out)
    assert [] == whole["gaps"]
    truth = list(csv.DictReader(io.StringIO((demo / "truth" / "volume.csv").read_text())))
    for row in whole["coverage"]:
        assert row["lines"] == sum(int(v["lines"]) for v in truth if v["day"] == row["day"])
