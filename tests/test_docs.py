"""What the documents show is what happens: every command in them is run, its output compared."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent
_DOCUMENTS = ["README.md", "jobs/README.md", "pipeline/formats/README.md"]


def _commands(document: str) -> list[tuple[str, list[str]]]:
    """Return the commands of a document's console blocks, each with the output shown."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", (_ROOT / document).read_text(), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found:
                found[-1][1].append(line)
    return found


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """A folder in which ``sawlog`` is a command and ``demo`` is there."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "bin").mkdir()
    script = folder / "bin" / "sawlog"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pipeline "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    _run(folder, "sawlog demo demo")
    return folder


def _run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(_ROOT),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "COLUMNS": "100",
    }
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(600)  # some seventy commands, each a process of its own
@pytest.mark.parametrize("document", _DOCUMENTS)
def test_every_shown_command_gives_what_is_shown(document, workplace):
    """Commands run in order in one folder; a line of … stands for any lines."""
    for command, shown in _commands(document):
        if command.startswith("pipx install"):
            continue  # .ci/run installs
        if command.startswith("cat "):  # what is shown is what the reader writes
            (workplace / command.split()[1]).write_text("\n".join(shown) + "\n")
            continue
        ran = _run(workplace, command.replace("/var/log/", "demo/"))
        assert 0 == ran.returncode, (command, ran.stderr)
        pattern = "".join(
            r"(.*\n)*" if line == "…" else re.escape(line) + r" *\n" for line in shown
        )
        assert re.fullmatch(pattern, ran.stdout), f"{command}\n{ran.stdout}"


def test_every_command_and_option_is_documented():
    """The README names every command and nearly every option; the help of each has a text."""
    readme = (_ROOT / "README.md").read_text()
    from pipeline.cli import commands

    for name, command in commands.commands.items():
        assert f"sawlog {name}" in readme, name
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert parameter.help, f"{name} {parameter.name}"


def test_the_documents_link_to_what_is_there():
    """No dead links inside the repository."""
    for document in [*_DOCUMENTS, "pipeline/DESIGN.md", "CHANGELOG.md"]:
        text = (_ROOT / document).read_text()
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (_ROOT / document).parent.joinpath(target).exists(), (document, target)
