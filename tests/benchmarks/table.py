"""The results as Markdown, and as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from tests.benchmarks.goals import MAX_DEVIATION, MAX_PEAK_BYTES, deviation, per_gb

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.benchmarks.goals import Group, Round, Verdict

_INTRO = """\
Whole processes, started in turn (one round: every command of a group once) with warm files; the
median of the rounds counts, ratios are taken within a round. "engine" is the whole process less
the same command on a one-line log. Each volume table is checked against the true counts of the
corpus, which is `sawlog demo` text. sawlog runs with `--workers 2 --nice 0` (the priority of its
peers) and an empty cache directory; peers in Python run as scripts of their own. `mawk` is the
program as one writes it, `mawk, tuned` the fastest that we found. DuckDB: one column by
`read_csv`, one `regexp_extract` for day and process, its own threads. A peak is that of the
process which had most, by wait4. GB and MB are 1e9 and 1e6 bytes of plain text."""


@dataclass(frozen=True)
class Line:
    """One line of the table of goals."""

    group: str
    what: str
    goal: str
    measured: str
    is_met: bool | None

    @property
    def verdict(self) -> str:
        """Return the last cell."""
        return {True: "met", False: "**MISSED**", None: ""}[self.is_met]


@dataclass(frozen=True)
class Results:
    """Everything that was measured in one run."""

    groups: Sequence[tuple[Group, list[Round]]]
    facts: dict[str, Any]

    def lines(self) -> list[Line]:
        """Return the table of goals."""
        lines = []
        for group, rounds in self.groups:
            lines += [_goal_line(group, goal.measure(rounds)) for goal in group.goals]
            if group.sizes:
                lines.append(_flat_line(group, rounds))
            lines += [
                Line(group.name, command.name, "", f"skipped: {command.missing} is not installed", None)
                for command in group.commands if command.missing
            ]  # fmt: skip
        peaks = list(self._peaks())
        if peaks:
            peak, where = max(peaks)
            measured = f"{peak / 1e6:.0f} MB ({where})"
            goal = f"≤ {MAX_PEAK_BYTES / 1e6:.0f} MB"
            lines.append(
                Line("all", "peak memory of sawlog", goal, measured, peak <= MAX_PEAK_BYTES)
            )
        return lines

    def _peaks(self) -> Iterator[tuple[int, str]]:
        for group, rounds in self.groups:
            for command in group.commands:
                if command.is_sawlog and command.name in rounds[0]:
                    peak = max(samples[command.name].peak_bytes for samples in rounds)
                    yield peak, f"{group.name}: {command.name}"

    def to_json(self) -> dict[str, Any]:
        """Return every sample and every line, as plain data."""
        return {
            **self.facts,
            "goals": [{**asdict(line), "is_met": line.is_met} for line in self.lines()],
            "samples": {
                group.name: {
                    name: [asdict(samples[name]) for samples in rounds] for name in rounds[0]
                }
                for group, rounds in self.groups
            },
        }

    def to_markdown(self) -> str:
        """Return the page for people."""
        facts = self.facts
        parts = [
            "# Speed and memory",
            f"{facts['date']}, `{facts['command']}`, rounds: {facts['rounds']} (short runs: twice as many).",
            "Machine: " + _join(facts["machine"]) + ".\n\nVersions: " + _join(facts["versions"]) + ".",
            *facts["notes"],
            _INTRO,
            "## Goals",
            "\n".join(_goal_rows(self.lines())),
            "## Measurements",
            "\n".join(_sample_rows(self.groups)),
        ]  # fmt: skip
        return "\n\n".join(parts) + "\n"


def _join(facts: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def _goal_line(group: Group, verdict: Verdict) -> Line:
    goal = verdict.goal
    what = goal.time.text + (f" / {goal.beside.text}" if goal.beside else "")
    limit = "" if goal.limit is None else f"≤ {goal.limit:.2f}" + ("" if goal.beside else " s")
    if verdict.value is None:
        return Line(group.name, what, limit, f"not measured: {verdict.missing}", None)
    if goal.beside is None:
        measured = f"{verdict.value:.2f} s"
    else:
        measured = f"{verdict.value:.2f} ({verdict.seconds:.2f} s / {verdict.beside_seconds:.2f} s)"
    return Line(group.name, what, limit, measured, verdict.is_met)


def _flat_line(group: Group, rounds: Sequence[Round]) -> Line:
    values = per_gb(group, rounds)
    told = ", ".join(f"{value:.2f} s ({name})" for name, value in values.items())
    goal = f"± {MAX_DEVIATION:.0%}"
    if min(values.values()) <= 0:
        return Line(group.name, "engine, time per GB", goal, f"{told}: nothing but noise", None)
    found = deviation(list(values.values()))
    measured = f"± {found:.0%}: {told}"
    return Line(group.name, "engine, time per GB", goal, measured, found <= MAX_DEVIATION)


def _goal_rows(lines: Sequence[Line]) -> Iterator[str]:
    yield "| | what | goal | measured | |"
    yield "|---|---|---|---|---|"
    for line in lines:
        yield _row(line.group, line.what, line.goal, line.measured, line.verdict)


def _sample_rows(groups: Sequence[tuple[Group, list[Round]]]) -> Iterator[str]:
    yield "| | command | median s | from – to | CPU s | peak MB | plain MB/s |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    for group, rounds in groups:
        for name in rounds[0]:
            samples = [one[name] for one in rounds]
            seconds = [sample.seconds for sample in samples]
            n_bytes = group.sizes.get(name, 0) * 1e9 or group.plain_bytes
            is_short = "one line" in name or "one plain line" in name
            speed = f"{n_bytes / median(seconds) / 1e6:,.0f}" if n_bytes and not is_short else ""
            cache = max(sample.cache_bytes for sample in samples)
            told = f"{name} (cache: {cache / 1e6:.1f} MB)" if cache else name
            yield _row(
                group.name,
                told,
                f"{median(seconds):.3f}",
                f"{min(seconds):.3f} – {max(seconds):.3f}",
                f"{median(sample.cpu_s for sample in samples):.3f}",
                f"{max(sample.peak_bytes for sample in samples) / 1e6:.0f}",
                speed,
            )


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
