"""Read the begin of each source file: its compression, first lines and years' evidence."""

from __future__ import annotations

import io
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from pipeline.compression import detect, get_codec
from pipeline.errors import DamageError, SourceError
from pipeline.model import Head
from pipeline.source import open_stored, source_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from pipeline.compression.base import PlainReader
    from pipeline.envelopes import Found
    from pipeline.model import SourceFile

#: Plain bytes of a head at most, and stored bytes that are read for it at first.
HEAD_BYTES = 64 << 10
#: Plain bytes from the end of a file in which its last stamp is looked for.
TAIL_BYTES = 64 << 10

#: Stored bytes of a last block or frame that is worth decoding for a quick look.
_LAST_UNIT_BYTES = 256 << 10

#: Heads in stores that are read at a time.
_HEADS_AHEAD = 32

STDIN = "-"

#: Lines in envelopes begin so: what has none of these needn't be looked at.
_SIGNS = re.compile(
    rb"\n(?:\xef\xbb\xbf)?(?: *\{|__CURSOR=|\d{1,7} <\d"
    rb"|\d{4}-\d\d-\d\dT\S{8,30} (?:std(?:out|err) |(?:<\d+>)?(?:\d )?(?:[A-Z][a-z]{2} |\d{4}-)))"
)
_PREFIXED = re.compile(rb"\n[^{\n]{0,200}\t\{")


class _Replayed(io.RawIOBase):
    """Standard input, whose begin has been read already, from its begin."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = memoryview(head)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._head:
            return self._rest.readinto(buffer)  # type: ignore[attr-defined, no-any-return]
        n = min(len(buffer), len(self._head))
        buffer[:n] = self._head[:n]
        self._head = self._head[n:]
        return n


_stdin: dict[str, bytes] = {}
_spooled: dict[str, Path] = {}


def stdin_head() -> bytes:
    """Return the first stored bytes of standard input, without using them up."""
    if STDIN not in _stdin:
        _stdin[STDIN] = read_full(sys.stdin.buffer, HEAD_BYTES)
    return _stdin[STDIN]


def forget_stdin() -> None:
    """Forget what was read ahead of standard input; for a process that gets another one."""
    _stdin.clear()
    _spooled.clear()


def spool_stdin() -> None:
    """Copy standard input into the temporary folder, so that it can be read more than once."""
    from pipeline.sources.spool import spool_stream

    _spooled[STDIN] = spool_stream(stdin_stream())


def stdin_stream() -> BinaryIO:
    """Return standard input from its begin; once, unless it is spooled."""
    if STDIN in _spooled:
        return _spooled[STDIN].open("rb", buffering=0)
    return _Replayed(stdin_head(), sys.stdin.buffer)  # type: ignore[return-value]


def may_be_wrapped(head: Head) -> bool:
    """Tell whether anything in a head looks like an envelope."""
    text = b"\n" + head.text
    return _SIGNS.search(text) is not None or (
        b"\t{" in text and _PREFIXED.search(text) is not None
    )


def unwrap_head(head: Head, asked: str, now: datetime) -> Head:
    """Return a head as the scan will see it: with what its lines stand in, and without it.

    ``asked`` is what ``--envelope`` says. A head that was cut has been looked at before that.
    """
    if head.dates is not None:
        return replace(head, text=unwrap(head.text, head.envelope, now))
    if asked == "none" or (asked == "auto" and not may_be_wrapped(head)):
        return head
    from pipeline.envelopes import find_envelope

    found = find_envelope(head.text, asked)
    if found is None:
        return head
    from pipeline.peel import peel_text
    from pipeline.stamps import latest_dated

    times = peel_text(found.envelope, head.text, now, has_all_heads=True)
    return replace(
        head,
        text=unwrap(head.text, found, now),
        envelope=found,
        wrapped=latest_dated(times, now),
    )


def unwrap(text: bytes, found: Found | None, now: datetime) -> bytes:
    """Return the lines of a piece of a file without their envelopes."""
    if found is None:
        return text
    from pipeline.peel import peel_text

    return peel_text(found.envelope, text, now)


def open_plain(file: SourceFile, compression: str) -> PlainReader:
    """Return a reader of a whole source file.

    Raises
    ------
    SourceError
        It can't be opened.
    """
    return get_codec(compression).open(open_source(file), file.size)


def open_source(file: SourceFile, span: tuple[int, int] = (0, 0)) -> BinaryIO:
    """Open the stored bytes of a source file, of standard input too.

    Parameters
    ----------
    span : tuple of (int, int)
        Stored bytes that will be read for sure; see `open_stored`.

    Raises
    ------
    SourceError
        It can't be opened.
    """
    return stdin_stream() if file.url == STDIN else open_stored(file, span)


def read_heads(files: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, Head | SourceError]]:
    """Yield each file with its begin, or why it can't be read; of stores many are asked at once."""

    def read(file: SourceFile) -> Head | SourceError:
        try:
            return read_head(file)
        except SourceError as error:
            return error

    if not any("://" in file.url for file in files):
        yield from ((file, read(file)) for file in files)
        return
    from collections import deque
    from concurrent.futures import Future, ThreadPoolExecutor

    with ThreadPoolExecutor(_HEADS_AHEAD, thread_name_prefix="sawlog-head") as pool:
        ahead: deque[tuple[SourceFile, Future[Head | SourceError]]] = deque()
        for file in files:
            ahead.append((file, pool.submit(read, file)))
            if len(ahead) == 2 * _HEADS_AHEAD:
                first, answer = ahead.popleft()
                yield first, answer.result()
        for first, answer in ahead:
            yield first, answer.result()


def read_head(file: SourceFile) -> Head:
    """Read the begin of a source file; what is damaged there shows in the map pass.

    Raises
    ------
    SourceError
        It can't be opened.
    """
    if file.url == STDIN:
        # A pipe can be read but once: its head is decoded from the bytes at hand.
        stored_head = stdin_head()
        return _decode(detect(stored_head), stored_head, None)
    with open_stored(file) as stored:
        try:
            stored_head = read_full(
                stored, min(HEAD_BYTES, HEAD_BYTES if file.size is None else file.size)
            )
        except OSError as error:
            raise source_error(file.url, error) from error
    compression = detect(stored_head)
    if compression == "plain":
        return Head(compression, stored_head)
    text = _first_bytes(open_plain(file, compression))
    return Head(compression, text, _gzip_mtime(compression, stored_head))


def decode_head(file: SourceFile, stored_head: bytes) -> Head:
    """Return what `read_head` does, of a file whose first stored bytes are known.

    Parameters
    ----------
    stored_head : bytes
        All of a short file, ``HEAD_BYTES`` of a longer one.

    Raises
    ------
    SourceError
        They don't suffice, and the file can't be opened.
    """
    is_all = file.size == len(stored_head)
    head = _decode(detect(stored_head), stored_head, file.size if is_all else None)
    # Of some a block is larger than what was read.
    return head if is_all or len(head.text) == HEAD_BYTES else read_head(file)


def _decode(compression: str, stored_head: bytes, size: int | None) -> Head:
    if compression == "plain":
        return Head(compression, stored_head)
    text = _first_bytes(get_codec(compression).open(io.BytesIO(stored_head), size))
    return Head(compression, text, _gzip_mtime(compression, stored_head))


def _first_bytes(reader: PlainReader) -> bytes:
    """Return the first plain bytes, as far as they can be decoded; close the reader."""
    text = bytearray(HEAD_BYTES)
    length = 0
    with reader:
        try:
            while length < HEAD_BYTES and (n := reader.readinto(memoryview(text)[length:])):
                length += n
        except DamageError:
            pass
    return bytes(memoryview(text)[:length])


def read_tail(file: SourceFile, compression: str) -> bytes:
    """Return the last plain bytes of a source file; decodes all of it where it must.

    Raises
    ------
    SourceError
        It can't be opened.
    """
    if compression == "plain" and file.size is not None:
        with open_stored(file) as stored:
            stored.seek(max(0, file.size - TAIL_BYTES))
            try:
                return read_full(stored, min(TAIL_BYTES, file.size))
            except OSError as error:
                raise source_error(file.url, error) from error
    with open_plain(file, compression) as reader:
        return _last_bytes(reader)


def read_quick_tail(file: SourceFile, head: Head) -> bytes | None:
    """Return the last plain bytes of a file, None where that takes decoding all of it.

    Raises
    ------
    SourceError
        It can't be opened.
    """
    if head.compression == "plain" and file.size is not None:
        return read_tail(file, head.compression)
    if file.size is None:
        return None
    codec = get_codec(head.compression)
    with open_stored(file) as stored:
        cuts = codec.find_cuts(stored, file.size, _LAST_UNIT_BYTES)
    if not cuts or file.size - cuts[-1].stored_offset > 4 * _LAST_UNIT_BYTES:
        return None
    with codec.open(open_stored(file), file.size, cuts[-1]) as reader:
        return _last_bytes(reader)


def _last_bytes(reader: PlainReader) -> bytes:
    tail = b""
    piece = memoryview(bytearray(1 << 20))
    try:
        while n := reader.readinto(piece):
            tail = (tail + bytes(piece[max(0, n - TAIL_BYTES) : n]))[-TAIL_BYTES:]
    except DamageError:
        pass
    return tail


def _gzip_mtime(compression: str, head: bytes) -> int:
    """Return MTIME of a gzip header, 0 where there is none."""
    if compression not in ("gzip", "bgzf"):
        return 0
    from pipeline.compression.gzip import read_gzip_mtime

    return read_gzip_mtime(head)


def read_full(stored: BinaryIO, size: int) -> bytes:
    """Read up to ``size`` bytes, also where the stream gives them in small pieces."""
    pieces = []
    while size > 0 and (piece := stored.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
