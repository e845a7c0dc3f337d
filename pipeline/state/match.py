"""Find out what a source file holds: a known content, more of one, or a new one.

Names, sizes, times and inodes are hints: they save reading. What counts is the content.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.chain import DIGEST_BYTES, STEP, Chain, Digester, Piece, digest
from pipeline.errors import DamageError, SourceError
from pipeline.head import open_plain, open_source, read_full
from pipeline.read import Buffers, read_blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.model import Head, SourceFile
    from pipeline.state.ledger import Content, Ledger

_BLOCK_BYTES = 4 << 20


@dataclass(slots=True)
class Match:
    """What a source file holds.

    Attributes
    ----------
    content : Content or None
        The known content that it begins with, or that begins with it; None: a new one.
    length : int
        Plain bytes of it that are known.
    lead : Piece or None
        What lies between the last border between steps and ``length``, where the file goes on.
    read_bytes : int
        Stored bytes that were read to find out.
    is_prefix : bool
        The content has more than the file.
    total : int or None
        Plain bytes of the file, where it was read.
    """

    content: Content | None = None
    length: int = 0
    lead: Piece | None = None
    read_bytes: int = 0
    is_prefix: bool = False
    total: int | None = None


def match_by_hint(file: SourceFile, head: Head, ledger: Ledger) -> Match | None:
    """Return what a plain file is that has grown: the same inode or name, the same head and tail.

    Returns
    -------
    Match or None
        None where its content has to be looked at.
    """
    if head.compression != "plain" or file.size is None:
        return None
    for content in ledger.find_near(file):
        if content.length > file.size or content.length < content.head_bytes:
            continue
        if digest(head.text[: content.head_bytes]).hex() != content.head:
            continue
        border = content.length // STEP * STEP
        try:
            with open_source(file) as stored:
                stored.seek(border)
                lead = read_full(stored, content.length - border)
        except (OSError, SourceError):
            return None
        if len(lead) == content.length - border and digest(lead).hex() == content.stops[-1][1]:
            piece = Piece(border, content.length, tail=lead)
            return Match(content, content.length, piece, read_bytes=len(lead))
    return None


def match_by_content(file: SourceFile, head: Head, ledger: Ledger) -> Match:
    """Return what a file is, by reading all of it where it begins as a known content does."""
    candidates = ledger.find_by_head(head.text)
    if not candidates:
        return Match()
    stops = {length for one in candidates for length, _ in one.stops}
    chain, tails = read_chain(file, head, stops)
    read_bytes = file.size or 0
    for content in candidates:
        known = ledger.chain(content)
        n = known.n_steps * DIGEST_BYTES
        if known.length <= chain.length:
            is_lost = not any(known.digests)
            if (is_lost or known.digests == chain.digests[:n]) and tails.get(
                known.length
            ) == known.tail:
                return Match(content, known.length, None, read_bytes, total=chain.length)
        elif _is_begin_of(chain, known, content):
            return Match(content, chain.length, None, read_bytes, is_prefix=True)
    return Match(read_bytes=read_bytes)


def read_chain(
    file: SourceFile, head: Head, marks: Sequence[int] | set[int] = ()
) -> tuple[Chain, dict[int, bytes]]:
    """Read a file, up to its first damage; return its chain, and digests at some lengths.

    Raises
    ------
    SourceError
        It can't be opened.
    """
    digester = Digester(0, [*marks])
    buffers = Buffers(2, _BLOCK_BYTES)
    try:
        with open_plain(file, head.compression) as reader:
            for block in digester.watch(
                read_blocks(reader, buffers, is_first=True, has_stop=False)
            ):
                buffers.give_back(block.buffer)
    except DamageError:
        pass
    return Chain.of(digester.end()), digester.tails


def _is_begin_of(chain: Chain, known: Chain, content: Content) -> bool:
    """Tell whether a content has a shorter one as its begin.

    What lies behind the last border is known of the lengths only that the content once had; of
    others the whole steps decide.
    """
    if not known.digests.startswith(chain.digests):
        return False
    for length, tail in content.stops:
        if length == chain.length:
            return bool(tail == chain.tail.hex())
    return chain.n_steps > 0
