"""The account of a run: one line for people, a line for each thing that is wrong, and JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from pipeline.model import SILENT, split_known
from pipeline.text import clean, escape_visibly, in_bytes, say_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.model import Account, Damage, KnownDamage

#: More lines about single files than this are left to ``--account``.
MAX_NOTES = 20
#: Files with repeated lines that are named.
MAX_REPEATED = 3
#: Days that are told of a job, columns of a day, and jobs.
MAX_RESTATED = 3


def account_json(account: Account) -> str:
    """Return the account as JSON text; its keys are a contract."""
    text = json.dumps(dataclasses.asdict(account), indent=1, ensure_ascii=False)
    return clean(text) + "\n"


def account_line(account: Account) -> str:
    """Return the account in one line."""
    read = {one["file"] for one in account.years}
    bad = {damage.file for damage in account.damaged if damage.kind != SILENT}
    n_bad = len(bad)
    n_named = account.files + len(bad - read)
    whole = account.files - len(bad & read)
    parts = [
        f"{whole:,} of {n_named:,} files whole"
        if n_bad
        else f"{account.files:,} file{'s' * (account.files != 1)} whole",
        f"{account.lines:,} lines",
        f"{in_bytes(account.plain_bytes)} of text in {in_bytes(account.read_bytes)} read",
        f"{account.undated_lines:,} undated",
        f"{len(account.duplicates):,} duplicate",
    ]
    if account.reused_files:
        parts.append(f"{account.reused_files:,} known")
    if account.repeated:
        parts.append(f"{account.repeated_lines:,} {_say_repeated(account)}")
    if account.skipped:
        parts.append(f"{len(account.skipped):,} skipped")
    if account.peeled:
        kinds = dict.fromkeys(str(one["envelope"]) for one in account.peeled)
        parts.append(f"out of envelopes: {', '.join(kinds)}")
    evidence = _evidence(account)
    if evidence:
        parts.append(f"years from {evidence}")
    parts.append(f"{account.seconds:.1f} s")
    return " · ".join(parts)


def account_notes(account: Account, known: Sequence[KnownDamage] = ()) -> list[str]:
    """Return a line for each file that is duplicate or skipped, or whose damage is known."""
    said = {"prefix": "begins {same_as}, which holds more: counted there"}
    usual = "{kind} as {same_as}: counted once"
    notes = [
        f"{one['file']}: {said.get(one['kind'], usual).format(**one)}" for one in account.duplicates
    ]
    notes += [f"{one['file']}: skipped: {one['why']}" for one in account.skipped]
    for damage, by in split_known(account.damaged, known)[1]:
        why = f" ({by.why})" if by.why else ""
        notes.append(f"known damage{why}: {_damage_line(damage)}")
    notes += [
        f"{one['file']}: {one['not_peeled']:,} of its lines are in no envelope of "
        f"{one['envelope']}: they count as they stand"
        for one in account.peeled
        if one["not_peeled"]
    ]
    if account.repeated:
        notes.insert(0, _repeated_note(account))
    return [*map(escape_visibly, _restated_notes(account)), *_cut(notes)]


def account_warnings(
    account: Account, known: Sequence[KnownDamage] = (), *, tells_guesses: bool = True
) -> list[str]:
    """Return a line for each damage that is not known, and one where years are guessed."""
    new, _ = split_known(account.damaged, known)
    notes = [_damage_line(damage) for damage in new]
    guessed = sum("guessed" in str(one["evidence"]) for one in account.years)
    if guessed and tells_guesses:
        notes.append(
            f"the years of {guessed} file{'s' * (guessed != 1)} are guessed, from the file "
            "time or the begin of the run: nothing in the lines or names tells them. --year Y "
            "sets that of the newest line"
        )
    return _cut(notes)


def _say_repeated(account: Account) -> str:
    return "repeated" if account.repeated[0]["counted"] else "repeated, left out"


def _repeated_note(account: Account) -> str:
    """Return one line about lines that came before: in which files, and of what time."""
    most = sorted(account.repeated, key=lambda one: -int(str(one["lines"])))
    n = len(most)
    told = [_repeated_in(one) for one in most[:MAX_REPEATED]]
    if n > MAX_REPEATED:
        told.append(f"… and {n - MAX_REPEATED:,} more files: see --account")
    return (
        f"{account.repeated_lines:,} lines {_say_repeated(account)}: byte for byte as lines before "
        f"them: {'; '.join(told)}"
    )


def _repeated_in(one: Mapping[str, object]) -> str:
    times = f", {one['first']} to {one['last']}" if one["first"] is not None else ""
    return f"{one['file']} {one['lines']:,}{times}"


def _restated_notes(account: Account) -> list[str]:
    """Return a line for each job that says other numbers of earlier days than an earlier run."""
    by_job: dict[str, dict[str, list[Mapping[str, object]]]] = {}
    for one in account.restated:
        by_job.setdefault(str(one["job"]), {}).setdefault(str(one["day"]), []).append(one)
    notes = []
    for job, days in [*by_job.items()][:MAX_RESTATED]:
        largest = sorted(days, key=lambda day: (-_change(days[day][0]), day))[:MAX_RESTATED]
        told = [
            f"{day} {', '.join(map(_say_change, days[day][:MAX_RESTATED]))}"
            for day in sorted(largest)
        ]
        n = len(days) - len(told)
        if n:
            told.append(f"… and {n:,} more day{'s' * (n != 1)}")
        notes.append(f"restated by {job}: {'; '.join(told)}")
    n = len(by_job) - len(notes)
    if n:
        notes.append(f"… and {n:,} more job{'s' * (n != 1)}: see --account")
    return notes


def _say_change(one: Mapping[str, object]) -> str:
    """Return a column, and its number before and after."""
    return f"{one['column']} {say_number(one['before'])} → {say_number(one['after'])}"


def _change(one: Mapping[str, object]) -> float:
    before, after = (
        float(value) if isinstance(value, int | float) else 0.0
        for value in (one["before"], one["after"])
    )
    return abs(after - before)


def _damage_line(damage: Damage) -> str:
    if damage.stored_offset is None:
        return f"{damage.file}: {damage.kind}" + (f" ({damage.detail})" if damage.detail else "")
    where = f"{damage.file}: {damage.kind} at stored byte {damage.stored_offset:,}"
    if damage.plain_offset is not None:
        where += f", plain byte {damage.plain_offset:,}"
    return (
        f"{where}{': ' * bool(damage.detail)}{damage.detail}. The whole lines before it are counted"
    )


def _evidence(account: Account) -> str:
    kinds = dict.fromkeys(str(one["evidence"]) for one in account.years if one["first"] is not None)
    return ", ".join(kinds)


def _cut(notes: Sequence[str]) -> list[str]:
    shown = [escape_visibly(note) for note in notes[:MAX_NOTES]]
    if len(notes) > MAX_NOTES:
        shown.append(f"… and {len(notes) - MAX_NOTES:,} more: see --account")
    return shown
