"""Find files with the same content: ``maillog.1`` beside ``maillog.1.gz``, copies, older copies.

Candidates are known by their first plain bytes; they are then compared byte by byte, so what
counts once is equal, not merely likely to be. Only candidates are read twice.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

from pipeline.errors import DamageError, SourceError
from pipeline.head import STDIN, open_plain
from pipeline.model import Damage
from pipeline.source import open_stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.compression.base import PlainReader
    from pipeline.model import Head, SourceFile

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A file whose content stands in another file of the run.

    Attributes
    ----------
    kind : str
        ``same content``, or ``prefix``: an older, shorter copy.
    damage : Damage or None
        What is wrong with the file that is left out; its good part stands in the other.
    """

    file: str
    same_as: str
    kind: str
    damage: Damage | None = None


def find_duplicates(files: Sequence[tuple[SourceFile, Head]]) -> list[Duplicate]:
    """Return the files whose content stands in another file of the run, in no special order."""
    found = []
    for group in _candidates(files):
        kept: list[tuple[SourceFile, Head]] = []
        for file, head in group:
            for place, (other, other_head) in enumerate(kept):
                relation, damage = _compare(file, head, other, other_head)
                if relation in ("same content", "prefix"):
                    found.append(Duplicate(file.url, other.url, relation, damage))
                    break
                if relation == "extends":
                    found.append(Duplicate(other.url, file.url, "prefix", damage))
                    kept[place] = (file, head)
                    break
            else:
                kept.append((file, head))
    # What was left out for a file that is itself left out stands in the file that holds both.
    holder = {one.file: one.same_as for one in found}
    return [replace(one, same_as=_last(one.same_as, holder)) for one in found]


def _last(url: str, holder: dict[str, str]) -> str:
    while url in holder:
        url = holder[url]
    return url


def _candidates(files: Sequence[tuple[SourceFile, Head]]) -> list[list[tuple[SourceFile, Head]]]:
    """Group files of which one's head begins another's, longest head first."""
    groups: dict[bytes, list[tuple[SourceFile, Head]]] = defaultdict(list)
    for file, head in sorted(files, key=lambda item: -len(item[1].text)):
        if not head.text or file.url == STDIN:
            continue
        # A first line that is whole tells most files apart; a file without one is its own key.
        key = head.text.split(b"\n", 1)[0][:4096]
        groups[key].append((file, head))
    return [group for group in groups.values() if len(group) > 1]


def _compare(
    file: SourceFile, head: Head, other: SourceFile, other_head: Head
) -> tuple[str, Damage | None]:
    """Return ``same content``, ``prefix`` (file begins other), ``extends`` or ``different``.

    The damage is that of the file to be left out.
    """
    shorter = min(len(head.text), len(other_head.text))
    if head.text[:shorter] != other_head.text[:shorter]:
        return "different", None
    # Stores make an ETag of the content: what has the same one needn't be fetched twice.
    if (
        file.size == other.size
        and file.mark == other.mark
        and (file.mark or "").startswith("ETag:")
    ):
        return "same content", None
    try:
        if file.size == other.size and head.compression == other_head.compression:
            with open_stored(file) as stored, open_stored(other) as other_stored:
                if _is_equal(stored, other_stored, file.size or 0):
                    return "same content", None
        with (
            open_plain(file, head.compression) as a,
            open_plain(other, other_head.compression) as b,
        ):
            return _compare_plain(_Side(file, a), _Side(other, b))
    except (OSError, SourceError):
        return "different", None


def _is_equal(stored: BinaryIO, other: BinaryIO, size: int) -> bool:
    while size > 0:
        piece = stored.read(min(_PIECE, size))
        if not piece or piece != other.read(len(piece)):
            return False
        size -= len(piece)
    return True


class _Side:
    """One of two files that are compared: delivers full pieces as far as its good part goes."""

    def __init__(self, file: SourceFile, reader: PlainReader) -> None:
        self._file = file
        self._reader = reader
        self._buffer = memoryview(bytearray(_PIECE))
        self.damage: Damage | None = None

    def piece(self) -> memoryview:
        length = 0
        try:
            while length < _PIECE and (n := self._reader.readinto(self._buffer[length:])):
                length += n
        except DamageError as error:
            self.damage = Damage(
                self._file.url, error.kind, error.stored_offset, error.plain_offset, error.detail
            )
        return self._buffer[:length]


def _compare_plain(file: _Side, other: _Side) -> tuple[str, Damage | None]:
    while True:
        left, right = file.piece(), other.piece()
        shorter = min(len(left), len(right))
        if left[:shorter] != right[:shorter]:
            return "different", None
        if len(left) == len(right):
            if len(left) == _PIECE:
                continue
            # Of two equal good parts the file that is whole is the one to keep.
            if other.damage is not None and file.damage is None:
                return "extends", other.damage
            return "same content", file.damage
        if len(left) < len(right):
            return "prefix", file.damage
        return "extends", other.damage
