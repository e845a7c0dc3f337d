"""The files that are made: what the splits have is appended to them, split after split.

Whose turn it is writes as it sorts; what others have waits. So nearly all text is written once, and
files are open for a moment only: there may be more of them than a process may have open.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from pipeline.errors import OutputError
from pipeline.extract.frames import FRAME_BYTES, cut
from pipeline.extract.pieces import Room
from pipeline.kernels.route import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.extract.frames import Packer
    from pipeline.extract.pieces import Group, Key

#: Text is gathered until a write is worth it, or a frame is full; of all files so much at most.
_SMALL_BYTES = 256 << 10
HELD_BYTES = 48 << 20


class Output:
    """One file: its name under the folder, lines, plain and stored bytes, newest time in µs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines = 0
        self.plain_bytes = 0
        self.stored_bytes = 0
        self.newest: int | None = None
        self.pending = bytearray()  # not written yet
        self.url = ""  # of the file that the last line is of
        self.is_open = False  # that has no line end, as the last of a file may
        self.frames: list[tuple[int, int]] = []  # stored and plain bytes of each


class Outputs:
    """Takes sorted text in order of the input.

    Parameters
    ----------
    place : Path
        The folder of the files.
    name_of : callable
        Gives the name of a group's file, without the suffix of a compression.
    """

    def __init__(self, place: Path, packer: Packer, name_of: Callable[[Key], str]) -> None:
        self.room = Room()
        self._place = place
        self._packer = packer
        self._name_of = name_of
        self._outputs: dict[Key, Output] = {}
        #: Those with something pending, the one that has waited longest first.
        self._held: OrderedDict[Key, Output] = OrderedDict()
        self._n_held = 0
        self._limit = FRAME_BYTES if packer.compresses else _SMALL_BYTES
        self._lock = threading.Lock()
        self._turn = 0
        self._ready: dict[int, tuple[str, dict[Key, Group], bool]] = {}
        self._damaged: set[str] = set()

    def is_turn(self, number: int) -> bool:
        """Tell whether all splits before this one are written; it stays so until it is ready."""
        return number == self._turn

    def ready(self, number: int, url: str, groups: dict[Key, Group], *, is_damaged: bool) -> None:
        """Take what a split has not written yet; write it if it is its turn, and all that wait.

        Parameters
        ----------
        url : str
            The split's file; what lies behind damage in it is not written.
        """
        with self._lock:
            self._ready[number] = url, groups, is_damaged
            while self._turn in self._ready:
                url, groups, is_damaged = self._ready.pop(self._turn)
                self.write(url, groups)
                if is_damaged:
                    self._damaged.add(url)
                self._turn += 1

    def write(self, url: str, groups: dict[Key, Group]) -> None:
        """Append what a split has, and count its lines; whose turn it is may do so."""
        for key, group in groups.items():
            if url not in self._damaged:
                self._append(url, key, group)
            for piece in group.pieces:
                self.room.give_back(piece)

    def write_text(self, url: str, key: Key, text: memoryview) -> None:
        """Append text to a group; whose turn it is may do so."""
        if url not in self._damaged:
            self._append_text(url, key, text)

    def _append(self, url: str, key: Key, group: Group) -> None:
        for piece in group.pieces:
            for text in piece.read():
                if piece.plain_bytes is None:
                    self._append_text(url, key, text)
                else:
                    self._append_frame(url, key, text, piece.plain_bytes)
        output = self._output(key)
        output.lines += group.lines
        if group.newest != NEVER:
            output.newest = max(output.newest or group.newest, group.newest)

    def _append_text(self, url: str, key: Key, text: memoryview) -> None:
        output = self._output(key)
        output.plain_bytes += len(text)
        self._n_held -= len(output.pending)
        if output.url != url:
            if output.is_open:
                output.pending += b"\n"
            output.url = url
        output.is_open = bool(text) and text[-1] != 10
        if not (output.pending or self._packer.compresses) and len(text) >= self._limit:
            self._put(output, text)
            return
        output.pending += text
        while len(output.pending) >= self._limit:
            self._flush_first(output)
        self._n_held += len(output.pending)
        self._held[key] = output
        self._held.move_to_end(key)
        while self._n_held > HELD_BYTES:
            self._flush(next(iter(self._held)))

    def _append_frame(self, url: str, key: Key, frame: memoryview, plain_bytes: int) -> None:
        output = self._output(key)
        self._append_text(url, key, memoryview(b""))  # ends the line of another file
        self._flush(key)
        output.frames.append((len(frame), plain_bytes))
        output.plain_bytes += plain_bytes
        self._put(output, frame)

    def end(self) -> list[Output]:
        """Write what is left; return the files by name.

        The time of each is that of its newest line: stamps without a year are dated by it later.
        """
        for key in list(self._held):
            self._flush(key)
        outputs = sorted(self._outputs.values(), key=lambda output: output.name)
        for output in outputs:
            self._put(output, memoryview(self._packer.end(output.frames)))
            if output.newest is not None:
                # Time stamps that a stranger wrote may be of any year.
                os.utime(self._place / output.name, ns=(max(output.newest, 0) * 1000,) * 2)
        return outputs

    def _output(self, key: Key) -> Output:
        output = self._outputs.get(key)
        if output is None:
            output = self._outputs[key] = Output(self._name_of(key) + self._packer.suffix)
            path = self._place / output.name
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.open("xb").close()
            except FileExistsError:
                raise OutputError(
                    f"{path.name}: two values have this one name on this file system; choose "
                    "another --by"
                ) from None
        return output

    def _flush(self, key: Key) -> None:
        output = self._held.pop(key, None)
        if output is not None:
            self._n_held -= len(output.pending)
            while output.pending:
                self._flush_first(output)

    def _flush_first(self, output: Output) -> None:
        """Write what is pending, or the first frame of it."""
        if not self._packer.compresses:
            text, output.pending = output.pending, bytearray()
            self._put(output, memoryview(text))
            return
        size = cut(output.pending)
        with memoryview(output.pending) as pending:
            frame = self._packer.pack(pending[:size])
        del output.pending[:size]
        output.frames.append((len(frame), size))
        self._put(output, memoryview(frame))

    def _put(self, output: Output, text: memoryview) -> None:
        if not text:
            return
        out = os.open(self._place / output.name, os.O_WRONLY | os.O_APPEND)
        try:
            while text:
                n = os.write(out, text)
                output.stored_bytes += n
                text = text[n:]
        finally:
            os.close(out)
