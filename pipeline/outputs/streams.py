"""Write text to standard output: UTF-8 to programs, what it can show to a terminal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO


class Screen:
    """A stream for people. Characters that its encoding lacks are written as escapes.

    UTF-8 bytes on a terminal that expects something else can hold its control characters, so
    programs get bytes, see `write_bytes`, and terminals get characters.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding: str = getattr(stream, "encoding", None) or "utf-8"

    @property
    def has_blocks(self) -> bool:
        """Whether it can show block characters."""
        try:
            "▏█▁▲".encode(self.encoding)
        except (LookupError, UnicodeEncodeError):
            return False
        return True

    def write(self, text: str) -> int:
        """Write the text."""
        if self.encoding.lower().replace("-", "") != "utf8" and not text.isascii():
            text = (
                text.replace("…", "~")
                .encode(self.encoding, "backslashreplace")
                .decode(self.encoding)
            )
        return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts, each with its line end."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hand everything on."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Tell whether a person is looking."""
        return self._stream.isatty()


def write_bytes(stream: TextIO, chunk: bytes) -> None:
    """Write UTF-8 text and hand it on.

    Raises
    ------
    BrokenPipeError
        If the reader has gone away; here and now, not at exit.
    """
    buffer = getattr(stream, "buffer", None)
    if buffer is None or stream.isatty():
        Screen(stream).write(chunk.decode("utf-8", "replace"))
    else:
        # Whatever the locale, and without a change of line ends.
        stream.flush()
        buffer.write(chunk)
    stream.flush()


def measure_width(stream: TextIO) -> int:
    """Return the cells of a terminal's line: ``COLUMNS``, what the terminal says, or 80."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:  # io.UnsupportedOperation is one as well
        return 80
