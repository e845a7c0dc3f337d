"""The benchmark itself: it runs, refuses wrong results, and says plainly what it found."""

from __future__ import annotations

import dataclasses
import json
import resource
import shutil
import sys

import pytest

from tests.benchmarks import __main__ as program
from tests.benchmarks import corpus as corpora
from tests.benchmarks import peers, states
from tests.benchmarks.goals import Goal, Group, Time, deviation
from tests.benchmarks.groups import plan_groups
from tests.benchmarks.measure import BenchmarkError, Command, Sample, run_command, run_in_turn
from tests.benchmarks.table import Results

FACTS = {
    "date": "2007-12-31",
    "command": "make bench",
    "rounds": 3,
    "machine": {"cores": "2"},
    "versions": {"mawk": "1"},
    "notes": [],
}


@pytest.fixture(scope="module", autouse=True)
def _few_files():
    """A state of 10,000 files takes a minute to make, and shows nothing here that 200 don't."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(states, "N_FILES", 200)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("corpus")


@pytest.fixture(scope="module")
def tiny(folder):
    """The smallest corpus, in the folder that the program is given, too."""
    return corpora.find_corpus(folder, 0.001)


def sample(seconds: float, peak_mb: float = 50) -> Sample:
    return Sample(seconds, seconds, int(peak_mb * 1e6), 0)


def python(name: str, code: str, **flags) -> Command:
    return Command(name, (sys.executable, "-S", "-c", code), **flags)


def rounds_of(**seconds: tuple[float, ...]) -> list[dict[str, Sample]]:
    """Rounds by the seconds that each command took in them."""
    return [
        dict(zip(seconds, map(sample, one), strict=True))
        for one in zip(*seconds.values(), strict=True)
    ]


def lines_of(group: Group, rounds) -> list[tuple]:
    return [
        (line.what, line.measured, line.verdict)
        for line in Results([(group, rounds)], FACTS).lines()
    ]


@pytest.mark.timeout(150)
def test_a_run_measures_every_group_and_keeps_the_table(tiny, folder, tmp_path, monkeypatch, capfd):
    """One round of everything on 1 MB: all results are right, and every peer has its row."""
    monkeypatch.setattr(program, "RESULTS", tmp_path)

    code = program.main(["--sizes", "0.001", "--reps", "1", "--corpus", str(folder), "--write"])

    out, err = capfd.readouterr()
    assert code == 0, err
    assert "| start-up | sawlog --help | ≤ 0.25 s |" in out
    (kept,) = tmp_path.glob("*.json")
    assert out.strip() == kept.with_suffix(".md").read_text().strip()
    data = json.loads(kept.read_text())
    assert str(folder) not in kept.read_text()
    groups = plan_groups([tiny])
    assert list(data["samples"]) == [group.name for group in groups]
    for group in groups:
        names = [command.name for command in group.commands if not command.missing]
        assert list(data["samples"][group.name]) == names
    told = [line["what"] for line in data["goals"]]
    assert "peak memory of sawlog" in told
    assert "engine of sawlog / wc -l" in told


def test_the_ratio_of_each_round_counts_not_the_ratio_of_the_sums():
    """A slow moment in one round changes both sides of it."""
    goal = Goal(Time("sawlog", ("sawlog",)), 0.5, Time("mawk", ("mawk",)))

    verdict = goal.measure(rounds_of(sawlog=(1.0, 9.0, 1.2), mawk=(2.5, 20.0, 2.4)))

    assert verdict.value == 0.45
    assert verdict.is_met


def test_the_engine_is_the_whole_process_less_the_one_line_of_its_round():
    """Start-up is taken off by what it took in the same round."""
    goal = Goal(Time("engine", ("sawlog",), ("one line",)), 3.0, Time("wc", ("wc",)))
    rounds = rounds_of(
        **{"sawlog": (1.0, 2.0, 1.1), "one line": (0.5, 1.5, 0.5), "wc": (0.1, 0.1, 0.1)}
    )

    lines = lines_of(Group("plain", (), (goal,)), rounds)

    assert lines == [("engine / wc", "5.00 (0.50 s / 0.10 s)", "**MISSED**")]


def test_a_goal_without_its_peer_is_skipped_with_a_line():
    """A tool that is not installed is neither met nor missed."""
    goal = Goal(Time("sawlog", ("sawlog",)), 0.5, Time("mawk", ("mawk",)))
    group = Group(
        "plain", (python("sawlog", ""), Command("mawk", ("mawk",), missing="mawk")), (goal,)
    )

    rounds = run_in_turn(group.commands, 1)

    assert list(rounds[0]) == ["sawlog"]
    assert lines_of(group, rounds) == [
        ("sawlog / mawk", "not measured: mawk", ""),
        ("mawk", "skipped: mawk is not installed", ""),
    ]


def test_a_missing_tool_is_found_out_before_the_run(tiny, monkeypatch):
    """A pipeline in a shell would only give a wrong result."""
    monkeypatch.setattr(
        shutil, "which", lambda tool: None if tool == "mawk" else f"/usr/bin/{tool}"
    )

    assert peers.mawk("zcat | mawk", tiny, tiny.parts, peers.MAWK, "zcat").missing == "mawk"
    assert not peers.wc(tiny.path("plain.log"), 1).missing


def test_noise_is_no_verdict():
    """On a tiny log two starts differ by more than the reading takes."""
    goal = Goal(Time("engine", ("sawlog",), ("one line",)), 3.0, Time("wc", ("wc",)))

    verdict = goal.measure(rounds_of(**{"sawlog": (0.5,), "one line": (0.6,), "wc": (0.1,)}))

    assert verdict.is_met is None
    assert verdict.missing == "nothing but noise"


def test_time_per_gb_is_compared_across_sizes():
    """0.4 GB in 0.4 s and 1 GB in 2 s, less the start, is not flat."""
    group = Group("sizes, plain", (), (), sizes={"0.4 GB": 0.4, "1 GB": 1.0})
    rounds = rounds_of(**{"sawlog, one line": (0.2,), "0.4 GB": (0.6,), "1 GB": (2.2,)})

    lines = lines_of(group, rounds)

    assert lines == [("engine, time per GB", "± 33%: 1.00 s (0.4 GB), 2.00 s (1 GB)", "**MISSED**")]
    assert deviation([0.85, 1.0, 1.15]) == pytest.approx(0.15)


def test_the_highest_peak_of_any_round_counts():
    """Memory is a limit: medians say nothing. A peer's memory is its own affair."""
    commands = (peers.sawlog("sawlog", []), Command("duckdb", ("python",)))
    rounds = [{"sawlog": sample(1, peak), "duckdb": sample(1, 900)} for peak in (300, 401, 300)]

    lines = lines_of(Group("gzip", commands, ()), rounds)

    assert lines == [("peak memory of sawlog", "401 MB (gzip: sawlog)", "**MISSED**")]


@pytest.mark.parametrize("change", ["count", "lost", "extra", "twice"])
def test_a_wrong_table_is_refused(tiny, change):
    """A fast wrong answer must not stand in the table, whoever gives it."""
    truth = tiny.read_truth()
    rows = [f"{day},{process},{n},{b}" for (day, process), (n, b) in truth.items()]
    right = "\n".join(rows).encode()
    if change == "count":
        day, process, n, b = rows[5].rsplit(",", 3)
        rows[5] = f"{day},{process},{int(n) + 1},{b}"
    elif change == "lost":
        del rows[5]
    else:
        rows.append("2007-12-24,santa,1,100" if change == "extra" else rows[5])
    wrong = "\n".join(rows).encode()

    for check in (peers.sawlog("", [], truth).check, peers.duckdb(tiny, []).check):
        check(right)
        with pytest.raises(BenchmarkError):
            check(wrong)


def test_a_failed_command_is_no_measurement(tmp_path):
    """A program that fails early is fast."""
    with pytest.raises(BenchmarkError, match=r"broken: exit 3\nno such thing"):
        run_command(
            python("broken", "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"),
            tmp_path,
        )


def test_time_and_memory_are_those_of_the_command_alone(tmp_path):
    """Wall time holds the wait, processor time does not."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # the least that can be told

    slow = run_command(python("slow", "import time; time.sleep(0.3)"), tmp_path)
    large = run_command(python("large", f"x = bytearray(b'x') * {own + 100_000_000}"), tmp_path)

    assert 0.3 < slow.seconds < 5
    assert slow.cpu_s < 0.3
    assert slow.peak_bytes < own + 50e6
    assert own + 100e6 < large.peak_bytes < own + 150e6


def test_cache_directories_are_empty_but_for_those_who_share_one():
    """A second run finds what the first one left; nobody else does, and no other round."""
    leave = "import os, pathlib, sys; p = pathlib.Path(os.environ['XDG_CACHE_HOME'], 'x'); n = p.exists(); p.write_bytes(bytes(7)); sys.exit({})"
    commands = (
        python("first", leave.format("n"), keeps_cache=True),
        python("second", leave.format("not n"), keeps_cache=True),
        python("alone", leave.format("n")),
        python("alone, too", leave.format("n")),
    )

    rounds = run_in_turn(commands, 2)

    assert [[one.cache_bytes for one in samples.values()] for samples in rounds] == [
        [7, 7, 7, 7]
    ] * 2


def test_commands_start_as_installed_ones_do(tmp_path, monkeypatch):
    """Where compiled modules are not kept, each start would compile all of sawlog again."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    run_command(python("compiles", "import sys; sys.exit(sys.flags.dont_write_bytecode)"), tmp_path)


def test_the_forms_of_a_corpus_hold_the_same_text(tiny):
    """What is compared must be equal, and in time order."""
    import bz2
    import gzip
    import lzma
    from pathlib import Path

    import zstandard

    def read(name, opener=open):
        with opener(tiny.path(name), "rb") as stored:
            return stored.read()

    def unzstd(name):
        stored = zstandard.ZstdDecompressor().stream_reader(read(name), read_across_frames=True)
        return stored.read()

    text = read("plain.log")

    assert (len(text), text.count(b"\n")) == (tiny.plain_bytes, tiny.n_lines)
    assert read("gzip.log.gz", gzip.open) == text
    parts = [gzip.decompress(Path(part).read_bytes()) for part in tiny.parts]
    assert b"".join(parts) == text
    assert all(part.endswith(b"\n") for part in parts)
    assert unzstd("zstd.log.zst") == text == unzstd("frames.log.zst")
    assert read("half-1.log.zst") + read("half-2.log.zst") == read("frames.log.zst")
    assert read("bzip2.log.bz2", bz2.open) == text == read("xz.log.xz", lzma.open)
    assert read("one.log") == text.splitlines(keepends=True)[-1] == read("one.log.gz", gzip.open)
    assert 990_000 < len(read("mb.log")) <= 1_000_000
    assert text.endswith(b"\n" + read("mb.log"))


def test_a_corpus_is_whole_or_not_there(tmp_path, monkeypatch):
    """A full disk must not leave files that a later run takes for the corpus."""
    monkeypatch.setattr(corpora, "_write_forms", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        corpora.make_corpus(tmp_path / "corpus", 0.001)

    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_before_anything_is_made(tmp_path, monkeypatch):
    """The text of 4 GB takes 12 GB while it is made."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=11_000_000_000))

    with pytest.raises(BenchmarkError, match=r"11\.0 GB free, too little for logs of 4 GB"):
        corpora.find_corpus(tmp_path, 4.0)


def test_goals_are_for_04_and_1_gb_and_larger_logs_for_time_and_memory_only(tiny):
    """0.1 GB stands in only where nothing larger is asked for."""

    def names(*sizes):
        return [
            group.name
            for group in plan_groups([dataclasses.replace(tiny, size_gb=size) for size in sizes])
        ]

    assert [name for name in names(0.1, 0.4, 1, 4) if name.startswith("plain")] == [
        "plain 0.4 GB",
        "plain 1 GB",
    ]
    assert "plain 0.1 GB" in names(0.1)
    assert "sizes, gzip" in names(0.1, 0.4, 1, 4)
    assert "sizes, gzip" not in names(0.1)


def test_unknown_groups_and_partial_tables_are_refused(tiny, folder, capfd):
    """Nothing is measured, and what there is is named."""
    assert program.main(["--sizes", "0.001", "--corpus", str(folder), "--only", "lzop"]) == 1
    assert "There are: start-up; plain" in capfd.readouterr().err
    with pytest.raises(SystemExit):
        program.main(["--only", "plain", "--write"])
