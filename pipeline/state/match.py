"""Find out what a source file holds: a known content, more of one, or a new one.

Names, sizes, times and inodes are hints: they save reading. What counts is the content.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.chain import DIGEST_BYTES, STEP, Chain, Digester, Piece, digest, digest_steps
from pipeline.errors import DamageError, SourceError
from pipeline.head import open_plain, open_source, read_full
from pipeline.model import Damage
from pipeline.read import Buffers, read_blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.model import Head, SourceFile
    from pipeline.state.contents import Content
    from pipeline.state.ledger import Ledger

_BLOCK_BYTES = 4 << 20
#: Behind the last border between steps: fewer bytes are not enough to know a file by.
FEW_BYTES = 1024


@dataclass(slots=True, eq=False, repr=False)
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
    guesses : tuple of Content
        The content and others: what the ledger knows does not tell whether they have more than
        the file, or other text.
    total : int or None
        Plain bytes of the file, where it was read.
    damage : Damage or None
        What was found when it was read.
    """

    content: Content | None = None
    length: int = 0
    lead: Piece | None = None
    read_bytes: int = 0
    is_prefix: bool = False
    guesses: tuple[Content, ...] = ()
    total: int | None = None
    damage: Damage | None = None


def match_by_hint(file: SourceFile, head: Head, ledger: Ledger, place: str) -> Match | None:
    """Return what a plain file is that has grown: the same inode or name, the same head and tail.

    Returns
    -------
    Match or None
        None where its content has to be looked at.
    """
    if head.compression != "plain" or file.size is None:
        return None
    for content in ledger.find_near(file):
        if content.length > file.size or content.place != place:
            continue
        if digest(head.text[: content.head_bytes]).hex() != content.head:
            continue
        border = content.length // STEP * STEP
        # Few bytes tell little: then the step before them is compared, too.
        is_short = border > 0 and content.length - border < FEW_BYTES
        begin = border - STEP * is_short
        try:
            with open_source(file) as stored:
                stored.seek(begin)
                held = read_full(stored, content.length - begin)
        except (OSError, SourceError):
            return None
        step, lead = held[: border - begin], held[border - begin :]
        if len(held) != content.length - begin or digest(lead).hex() != content.stops[-1][1]:
            continue
        if is_short and digest_steps(step) != ledger.chain(content).digests[-DIGEST_BYTES:]:
            continue
        piece = Piece(border, content.length, tail=lead)
        return Match(content, content.length, piece, read_bytes=len(held))
    return None


def match_by_content(file: SourceFile, head: Head, ledger: Ledger, place: str) -> Match:
    """Return what a file is, by reading all of it where it begins as a known content does."""
    candidates = [one for one in ledger.find_by_head(head.text) if one.place == place]
    alike = [one for one in ledger.find_by_line(head.text) if one.place == place]
    if not candidates and all(one.length <= len(head.text) for one in alike):
        return Match()
    stops = {length for one in candidates for length, _ in one.stops}
    chain, tails, damage = read_chain(file, head, stops)
    read_bytes = file.size or 0
    for content in candidates:
        known = ledger.chain(content)
        if not known.agrees(chain):
            continue
        if known.length <= chain.length:
            if tails.get(known.length) == known.tail:
                return Match(
                    content, known.length, None, read_bytes, total=chain.length, damage=damage
                )
            continue
        # What lies behind the last border is known of the lengths only that the content once had.
        if [chain.length, chain.tail.hex()] in content.stops:
            return Match(content, chain.length, None, read_bytes, is_prefix=True, damage=damage)
    guesses = tuple(
        one
        for one in {one.id: one for one in (*candidates, *alike)}.values()
        if one.length > chain.length
        and all(length != chain.length for length, _ in one.stops)
        and ledger.chain(one).agrees(chain)
    )
    if guesses:
        return Match(
            guesses[0],
            chain.length,
            None,
            read_bytes,
            is_prefix=True,
            guesses=guesses,
            damage=damage,
        )
    return Match(read_bytes=read_bytes)


def read_chain(
    file: SourceFile, head: Head, marks: Sequence[int] | set[int] = ()
) -> tuple[Chain, dict[int, bytes], Damage | None]:
    """Read a file, up to its first damage; return its chain, digests at some lengths, the damage.

    Raises
    ------
    SourceError
        It can't be opened.
    """
    digester = Digester(0, [*marks])
    buffers = Buffers(2, _BLOCK_BYTES)
    damage = None
    try:
        with open_plain(file, head.compression) as reader:
            for block in digester.watch(
                read_blocks(
                    reader, buffers, is_first=True, has_stop=False, on_overlong=digester.take
                )
            ):
                buffers.give_back(block.buffer)
    except DamageError as error:
        damage = Damage(file.url, error.kind, error.stored_offset, error.plain_offset, error.detail)
    return Chain.of(digester.end()), digester.tails, damage
