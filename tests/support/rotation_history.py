"""Histories of a log that is written to, rotated in all ways, and read in between."""

from __future__ import annotations

import gzip
import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import zstandard

if TYPE_CHECKING:
    from pathlib import Path

_BEGIN = 1_700_000_000
_TAGS = ("postfix/smtpd[7]", "sshd[31]", "kernel")


@dataclass
class Log:
    """A log in a folder; remembers every whole line that was ever written."""

    folder: Path
    lines: list[bytes] = field(default_factory=list)
    partial: bytes = b""
    n: int = 0
    clock: int = _BEGIN
    _open: bytes = b""

    @property
    def path(self) -> Path:
        """The file that is written to."""
        return self.folder / "log"

    def write(self, count: int, *, whole: bool = True) -> None:
        """Append lines; the last may lack its rest."""
        made = []
        for _ in range(count):
            self.n += 1
            day = 1 + self.n // 50 % 27
            made.append(
                b"2023-11-%02dT12:00:%02d+00:00 mx %s: line %d %s\n"
                % (day, self.n % 60, _TAGS[self.n % 3].encode(), self.n, b"x" * (self.n * 37 % 90))
            )
        with self.path.open("ab") as file:
            if self.partial:
                file.write(self.partial)
                self.lines.append(self._open + self.partial)
                self.partial = b""
            file.write(b"".join(made))
            self.lines += made
            if not whole and made:
                last = self.lines.pop()
                file.truncate(file.tell() - 9)
                self._open, self.partial = last[:-9], last[-9:]
        self.touch(self.path)

    def touch(self, path: Path) -> None:
        """Let time pass: two states of a file never have one mtime."""
        self.clock += 3
        os.utime(path, (self.clock, self.clock))

    def finish_line(self) -> None:
        """Write the rest of the last line."""
        if self.partial:
            self.write(0)

    def _make_way(self) -> None:
        names = sorted(self.folder.glob("log.*"), key=lambda p: -int(p.name.split(".")[1]))
        for path in names:
            first, number, *rest = path.name.split(".")
            path.rename(self.folder / ".".join([first, str(int(number) + 1), *rest]))

    def rotate(self) -> None:
        """Rename, and begin anew."""
        self.finish_line()
        if self.path.exists():
            self._make_way()
            self.path.rename(self.folder / "log.1")

    def copytruncate(self) -> None:
        """Copy, and empty the file under its name."""
        self.finish_line()
        if self.path.exists():
            self._make_way()
            shutil.copyfile(self.path, self.folder / "log.1")
            self.touch(self.folder / "log.1")
            os.truncate(self.path, 0)
            self.touch(self.path)

    def compress(self, how: str) -> None:
        """Compress the newest rotated file that is plain."""
        for path in sorted(self.folder.glob("log.*"), key=lambda p: int(p.name.split(".")[1])):
            if path.suffix in (".gz", ".zst"):
                continue
            text = path.read_bytes()
            packed = gzip.compress(text) if how == "gz" else zstandard.compress(text)
            to = path.with_name(f"{path.name}.{how}")
            to.write_bytes(packed)
            stat = path.stat()
            os.utime(to, (stat.st_mtime, stat.st_mtime))
            path.unlink()
            return

    def drop_oldest(self) -> None:
        """Remove what rotation would."""
        names = sorted(self.folder.glob("log.*"), key=lambda p: int(p.name.split(".")[1]))
        if len(names) > 2:
            names[-1].unlink()
