"""The demo archive read back by an independent, slow reader."""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import zstandard

if TYPE_CHECKING:
    from pathlib import Path

# Oldest first.
FILES = ["maillog.4.xz", "maillog.3.zst", "maillog.2.gz", "maillog.1", "maillog"]
STORY_ID = "90442C9CB29"

_STAMP = re.compile(r"(Dec|Jan) ([ \d]\d) (\d\d:\d\d:\d\d) mx1 (.*)", re.DOTALL)
_TAG = re.compile(r"([^\s:\[]+)(?:\[[^\]]*\]|:)")
MAIL = re.compile(r"postfix/\w+\[\d+\]: ([0-9A-F]{11}): (.*)")


@dataclass
class Line:
    """One line as read back; an undated one has no day and no time."""

    file: str
    size: int
    day: str = ""
    time: str = ""
    process: str = ""
    text: str = ""


@dataclass
class Demo:
    """A demo archive read back."""

    folder: Path
    plain: dict[str, bytes]
    lines: list[Line]
    story: dict = field(default_factory=dict)

    def truth(self, name: str) -> list[list[str]]:
        with (self.folder / "truth" / name).open(encoding="utf-8", newline="") as f:
            return list(csv.reader(f))[1:]


def read_plain(path: Path) -> bytes:
    stored = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(stored)
    if path.suffix == ".xz":
        return lzma.decompress(stored)
    if path.suffix == ".zst":
        return zstandard.ZstdDecompressor().decompressobj().decompress(stored)
    return stored


def name_process(text: str) -> str:
    if text.startswith("last message repeated "):
        return "(last message repeated)"
    if text == "-- MARK --":
        return "(mark)"
    tag = _TAG.match(text)
    return tag[1] if tag else "(no tag)"


def parse_line(file: str, line: bytes) -> Line:
    stamp = _STAMP.fullmatch(line.removesuffix(b"\n").decode("latin-1"))
    if stamp is None:
        return Line(file, len(line))
    month, day, clock, text = stamp.groups()
    date = f"2007-12-{int(day):02d}" if month == "Dec" else f"2008-01-{int(day):02d}"
    return Line(file, len(line), date, f"{date} {clock}", name_process(text), text)


def read_demo(folder: Path) -> Demo:
    plain = {name: read_plain(folder / name) for name in FILES}
    lines = [
        parse_line(name, line) for name in FILES for line in plain[name].splitlines(keepends=True)
    ]
    story = json.loads((folder / "truth/story.json").read_text(encoding="utf-8"))
    return Demo(folder, plain, lines, story)
