"""A private temporary folder for what has no random access; removed at exit.

Its files have numbers for names: no name from an archive is ever written to.
"""

from __future__ import annotations

import itertools
import os
import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pipeline.errors import DamageError, SourceError

if TYPE_CHECKING:
    import io

    from pipeline.compression.base import PlainReader

#: Bytes that are copied at once.
PIECE_BYTES = 1 << 20


def spool_plain(reader: PlainReader) -> tuple[Path, str]:
    """Write the plain bytes of a reader into the temporary folder; closes the reader.

    Returns
    -------
    tuple of (Path, str)
        The file, and what was damaged: then it holds every plain byte before the damage.
    """
    buffer = memoryview(bytearray(PIECE_BYTES))
    damage = ""
    with reader, new_spool() as spool:
        try:
            while n := reader.readinto(buffer):
                write_spool(spool, buffer[:n])
        except DamageError as error:
            damage = str(error)
    return Path(spool.name), damage


def spool_stream(stream: BinaryIO) -> Path:
    """Write a stream to its end into the temporary folder."""
    with new_spool() as spool:
        while piece := stream.read(PIECE_BYTES):
            write_spool(spool, memoryview(piece))
    return Path(spool.name)


@cache
def _spool_folder() -> Path:
    """Make the private temporary folder of this process, and see that it goes at exit."""
    import atexit
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="sawlog-"))
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # a forked worker must not take the folder away
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


_numbers = itertools.count(1)


def new_spool() -> io.BufferedWriter:
    """Return a new file in the temporary folder, open for writing."""
    return (_spool_folder() / str(next(_numbers))).open("wb")


def write_spool(spool: io.BufferedWriter, piece: memoryview) -> None:
    """Write a piece.

    Raises
    ------
    SourceError
        There is no room; it says how to take another folder.
    """
    try:
        spool.write(piece)
    except OSError as error:
        folder = Path(spool.name).parent.parent
        raise SourceError(
            str(folder),
            "unreadable",
            f"no room to unpack an archive ({error.strerror}); TMPDIR names another folder",
        ) from error
