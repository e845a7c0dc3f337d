"""Put each output together from its pieces, in order; many outputs at a time, each open alone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipeline.errors import OutputError
from pipeline.extract.frames import FRAME_BYTES, cut
from pipeline.kernels.route import NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.extract.frames import Packer
    from pipeline.extract.sort import Group, Piece

#: Pieces shorter than this are gathered before they are written.
_SMALL_BYTES = 256 << 10
_COPY_BYTES = 4 << 20


def put_together(path: Path, groups: Sequence[Group], packer: Packer) -> int:
    """Write one output from what the splits have of its group, in order; return its stored bytes.

    Its time is that of its newest line: stamps without a year are dated by it later on.

    Raises
    ------
    OutputError
        There is such a file already: two groups have one name here.
    """
    pieces = [piece for group in groups for piece in group.pieces]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        raise OutputError(
            f"{path.name}: two values have this one name on this file system; choose another --by"
        ) from None
    try:
        writer = _Writer(out, packer)
        for number, piece in enumerate(pieces):
            writer.add(piece, is_last=number == len(pieces) - 1)
        stored = writer.end()
        newest = max(group.newest for group in groups)
        if newest != NEVER:
            # Time stamps that a stranger wrote may be of any year.
            os.utime(out, ns=(max(newest, 0) * 1000,) * 2)
    finally:
        os.close(out)
    return stored


class _Writer:
    def __init__(self, out: int, packer: Packer) -> None:
        self._out = out
        self._packer = packer
        self._pending = bytearray()
        self._frames: list[tuple[int, int]] = []
        self._n_stored = 0

    def add(self, piece: Piece, *, is_last: bool) -> None:
        """Append a piece."""
        compresses = self._packer.compresses
        if piece.is_frame:
            self._flush()
            self._copy(piece)
            self._frames.append((piece.stored, piece.plain))
        elif not compresses and piece.stored >= _SMALL_BYTES:
            self._flush()
            self._copy(piece)
        else:
            self._read(piece)
        if piece.lacks_end and not is_last:
            self._pending += b"\n"  # what follows is a line of another file
        limit = FRAME_BYTES if compresses else _COPY_BYTES
        while len(self._pending) >= limit:
            self._flush_first()

    def end(self) -> int:
        """Write what is left; return how many bytes were written."""
        self._flush()
        self._write(self._packer.end(self._frames))
        return self._n_stored

    def _read(self, piece: Piece) -> None:
        offset, left = piece.offset, piece.stored
        while left:
            data = os.pread(piece.spool.fileno(), min(left, _COPY_BYTES), offset)
            self._pending += data
            offset += len(data)
            left -= len(data)
            while self._packer.compresses and left and len(self._pending) >= 2 * FRAME_BYTES:
                self._flush_first()

    def _flush(self) -> None:
        while self._pending:
            self._flush_first()

    def _flush_first(self) -> None:
        if not self._packer.compresses:
            self._write(self._pending)
            self._pending = bytearray()
            return
        size = cut(self._pending)
        frame = self._packer.pack(memoryview(self._pending)[:size])
        del self._pending[:size]
        self._frames.append((len(frame), size))
        self._write(frame)

    def _copy(self, piece: Piece) -> None:
        source, offset, left = piece.spool.fileno(), piece.offset, piece.stored
        while left:
            try:
                n = os.copy_file_range(source, self._out, min(left, 1 << 30), offset)
            except OSError:  # not every file system can
                n = 0
            if not n:
                data = os.pread(source, min(left, _COPY_BYTES), offset)
                self._write(data)
                n = len(data)
            else:
                self._n_stored += n
            offset += n
            left -= n

    def _write(self, data: bytes | bytearray) -> None:
        view = memoryview(data)
        while view:
            n = os.write(self._out, view)
            self._n_stored += n
            view = view[n:]
