"""What a compression is to the pipeline: three questions, answered by one small file each.

1. Is this file mine? (`Codec.matches`, by content, never by suffix)
2. Where can decoding begin? (`Codec.find_cuts`, without decoding the file)
3. What are the plain bytes from here on? (`Codec.open` → `PlainReader`)

The law of a plain reader, which the suite in ``tests/contracts`` runs on every codec:

* It delivers the plain bytes in order, then 0 at the end. It reports success only when every
  frame, member, stream or block that it began has ended and was checked.
* Damage is raised as `DamageError`, and only after every plain byte before it was delivered: how
  much that is depends on the file alone, not on buffer sizes, splits, or where reading began.
* It never delivers bytes from both sides of its ``stop`` in one call. When all bytes before the
  stop are delivered, ``at_stop`` is True, and further calls deliver what follows in the file: the
  record reader needs it to finish its last line.
* Its memory is bounded whatever the ratio of compression.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Self

if TYPE_CHECKING:
    from types import TracebackType

    from pipeline.model import Cut


class PlainReader(ABC):
    """Sequential plain bytes of a source file from one of its cuts on.

    Attributes
    ----------
    at_stop : bool
        Every plain byte before the stop has been delivered. Without a stop: the file has ended.
    stored_offset : int
        Stored bytes of the file taken in so far, an offset from its begin.
    """

    at_stop: bool
    stored_offset: int

    @abstractmethod
    def readinto(self, buffer: memoryview) -> int:
        """Fill the begin of a writable, contiguous buffer of unsigned bytes, at least 1 long.

        Returns
        -------
        int
            Plain bytes delivered; fewer than asked for at any time, 0 at the end of the file
            and once (then ``at_stop`` is True) when the stop is met before any byte.

        Raises
        ------
        DamageError
            After the last plain byte before the damage has been delivered, and again at every
            further call.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the stored file that was handed to `Codec.open`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Codec(ABC):
    """One compression. Stateless: one instance serves all threads."""

    name: ClassVar[str]

    @abstractmethod
    def matches(self, head: bytes) -> bool:
        """Tell whether a file that begins with these stored bytes (64 KiB at most) is ours."""

    @abstractmethod
    def open(
        self, stored: BinaryIO, size: int | None, start: Cut | None = None, stop: Cut | None = None
    ) -> PlainReader:
        """Return a reader of the plain bytes from ``start`` on; it owns ``stored``.

        Parameters
        ----------
        stored : BinaryIO
            The source file, unbuffered or buffered. Seekable unless both cuts are None; a reader
            of the whole file reads it from where it stands (a stream on standard input).
        size : int or None
            Stored bytes that count (a file may have grown since planning); None: to the end.
        start, stop : Cut, optional
            Cuts that `find_cuts` of this codec returned for this file; None: begin, end.
        """

    def find_cuts(self, stored: BinaryIO, size: int, target_bytes: int) -> list[Cut]:
        """Return places inside the file where decoding can begin, about ``target_bytes`` apart.

        Reads only what it must (tables, block headers), never decodes the file, and never raises
        for damage: of a damaged file it returns what it is sure of.

        Parameters
        ----------
        stored : BinaryIO
            The source file, seekable. Stays open.
        size : int
            Stored bytes at planning.
        target_bytes : int
            Wanted *stored* bytes between two cuts.

        Returns
        -------
        list of Cut
            In file order, begin and end of the file not among them; empty where the file can
            only be decoded from its begin.
        """
        del stored, size, target_bytes
        return []
