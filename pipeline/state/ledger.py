"""All contents: one object and a copy of it, and a journal while a run lasts.

What a run finishes is noted in the journal. A run that was killed leaves it, and the next one takes
it up.

Each entry of the journal names the one before it, the first one the ledger. So entries of two runs
are never put together, however they came to write at the same time: one run's count, those of the
other are left out and what they told is read again.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipeline.chain import DIGEST_BYTES, STEP, Chain, digest
from pipeline.errors import StateError
from pipeline.state.contents import Content, Seen, Segment, digest_line
from pipeline.state.objects import DamagedObjectError, MissingObjectError
from pipeline.state.places import PART

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.model import SourceFile
    from pipeline.state.objects import Objects

#: 2: digests of steps are of another kind.
FORMAT = 2
_LEDGER = "ledger"
_COPY = "ledger.copy"
_JOURNAL = "journal"


class Ledger:
    """All contents, loaded from a state and written back to it."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.contents: dict[str, Content] = {}
        #: Files without a byte of text, by URL: no content to know them by.
        self.empty: dict[str, Seen] = {}
        #: Of each question about a time, by its unit's key: the day when it was asked last, and
        #: whether it can't be asked again.
        self.questions: dict[str, list[Any]] = {}
        self.next_number = 0
        #: Nothing was ever kept here.
        self.is_new = False
        self.notes: list[str] = []
        #: Of the two objects that hold it one is not whole: the next `save` mends that.
        self.is_damaged = False
        #: Something was noted or found that is not in the ledger yet.
        self.is_changed = False
        self._n_journal = 0
        self._journal: list[str] = []
        #: Of the last entry of the journal, or of the ledger where there is none.
        self._token = ""
        self._by_url: dict[str, Content] = {}
        # By their ids: an entry of the journal puts another object in the place of a content's.
        self._by_inode: dict[tuple[int, ...], str] = {}
        self._by_mark: dict[tuple[int | None, str | None], tuple[str, Seen]] = {}
        #: Length of the head → its digest → contents by their id.
        self._by_head: dict[int, dict[str, dict[str, Content]]] = {}
        self._by_line: dict[str, dict[str, Content]] = {}
        self._load()

    def find_seen(self, file: SourceFile) -> Content | None:
        """Return the content that a file had when it was last seen as it is now."""
        content = self._by_url.get(file.url)
        if content is not None and content.seen[file.url].is_of(file):
            return content
        return None

    def find_marked(self, file: SourceFile) -> tuple[Content, Seen] | None:
        """Return the content of an object that a store says has the same bytes: its ETag."""
        if file.mark is None or not file.mark.startswith("ETag:"):
            return None
        found = self._by_mark.get((file.size, file.mark))
        return None if found is None else (self.contents[found[0]], found[1])

    def find_near(self, file: SourceFile) -> list[Content]:
        """Return contents that a file may hold more of: by its inode, or its name."""
        found = []
        if file.inode is not None and (key := self._by_inode.get(tuple(file.inode))):
            found.append(self.contents[key])
        if (content := self._by_url.get(file.url)) and content not in found:
            found.append(content)
        return found

    def find_by_head(self, head: bytes) -> list[Content]:
        """Return the contents that begin as these plain bytes do, the longest first."""
        found: list[Content] = []
        for n, contents in self._by_head.items():
            if n <= len(head):
                found += contents.get(digest(head[:n]).hex(), {}).values()
        return sorted(found, key=lambda one: -one.length)

    def find_by_line(self, head: bytes) -> list[Content]:
        """Return the contents that have the same first line, the longest first."""
        found = self._by_line.get(digest_line(head), {}).values()
        return sorted(found, key=lambda one: -one.length)

    def chain(self, content: Content) -> Chain:
        """Return the chain of a content."""
        length, tail = content.stops[-1]
        return Chain(length, self.digests(content, length // STEP), bytes.fromhex(tail))

    def digests(self, content: Content, n_steps: int) -> bytes:
        """Return the digests of the first whole steps of a content; zeros where they are lost."""
        n = n_steps * DIGEST_BYTES
        digests = bytes.fromhex(content.steps)
        if n > len(digests):
            try:
                digests = self.objects.get(content.chain_name)
            except (MissingObjectError, DamagedObjectError) as error:
                self.notes.append(f"{error}: its content is told by its begin and end alone")
        return digests[:n].ljust(n, b"\0")

    def note(self, contents: Sequence[Content]) -> None:
        """Keep what is new of some contents, at once: after their partials have been written."""
        token = _new_token()
        held = {
            "after": self._token,
            "token": token,
            "contents": [_plain(content) for content in contents],
            "next_number": self.next_number,
        }
        name = f"{_JOURNAL}/{self._n_journal:09}"
        self.objects.put_next(name, _packed(held), is_new=True)
        self._journal.append(name)
        self._token = token
        self._n_journal += 1
        self.is_changed = True

    def see(self, content: Content, seen: Seen) -> None:
        """Note a name of a content; written with the next `save`."""
        if content.seen.get(seen.url) == seen and self.contents.get(content.id) is content:
            return
        self.is_changed = True
        other = self._by_url.get(seen.url)
        if other is not None and other is not content:
            other.seen.pop(seen.url, None)
        content.seen[seen.url] = seen
        self._add(content)

    def save(self) -> None:
        """Write all of it, and end the journal.

        Raises
        ------
        StateError
            It can't be written, or another run has taken the state over.
        """
        self.objects.check_lease()
        self._token = _new_token()
        held = _packed(
            {
                "format": FORMAT,
                "token": self._token,
                "journal": self._n_journal,
                "next_number": self.next_number,
                "empty": {url: asdict(seen) for url, seen in self.empty.items()},
                "questions": self.questions,
                "contents": [_plain(content) for content in self.contents.values()],
            }
        )
        self.objects.put_next(_LEDGER, held)
        self.objects.put_losable(_COPY, held)
        self.objects.delete(*self._journal)
        self._journal = []
        self.is_changed = self.is_damaged = False

    def copy_is_whole(self) -> bool:
        """Tell whether the copy of the ledger can take its place; older states have none."""
        if not self._token:
            return True
        try:
            self.objects.get(_COPY)
        except (MissingObjectError, DamagedObjectError):
            return False
        return True

    def used_objects(self) -> set[str]:
        """Return the names of all objects that it needs."""
        used = {
            one.chain_name for one in self.contents.values() if one.length >= STEP and not one.steps
        }
        for content in self.contents.values():
            for segment in content.segments:
                used.update(name for name in segment.units.values() if name)
        return used

    def sweep(self) -> int:
        """Remove objects that nothing needs: merged ones, and what killed runs left.

        After `save` only: until then an older ledger may need them.
        """
        used = self.used_objects()
        gone, left = [], []
        for name in self.objects.sizes():
            if name.startswith(("chains/", "parts/")) and name not in used:
                gone.append(name)
            elif name.startswith(f"{_JOURNAL}/") or name.endswith(PART):
                left.append(name)
        self.objects.delete(*gone, *left)
        return len(gone)

    def all_segments(self) -> Iterator[tuple[Content, Segment]]:
        """Yield each content with each of its segments."""
        for content in self.contents.values():
            for segment in content.segments:
                yield content, segment

    def _load(self) -> None:
        journal = [
            name
            for name in self.objects.sizes(_JOURNAL)
            if name.rpartition("/")[2].isdigit()  # else the rest of a killed run
        ]
        held = self._read()
        if held is None:
            held = {"format": FORMAT, "journal": 0, "next_number": 0, "contents": []}
            self.is_new = not journal
        if held.get("format") != FORMAT:
            raise StateError(
                f"{self.objects.url} was written by another version of sawlog "
                f"(format {held.get('format')}, this one reads {FORMAT})"
            )
        self.next_number = held["next_number"]
        self._n_journal = held["journal"]
        self._token = held.get("token", "")
        self.empty = {url: Seen(**seen) for url, seen in held.get("empty", {}).items()}
        self.questions = held.get("questions", {})
        for plain in held["contents"]:
            self._take(plain)
        new = [name for name in journal if _number(name) >= held["journal"]]
        for name, content in self.objects.get_all(new):
            self._n_journal = _number(name) + 1
            if isinstance(content, (DamagedObjectError, MissingObjectError)):
                self.notes.append(f"{content}: what it noted is read again")
                continue
            if isinstance(content, StateError):
                raise content
            self._take_up(name, _unpacked(content))
        self._journal = journal
        self.is_changed = bool(journal)

    def _read(self) -> dict[str, Any] | None:
        """Return the ledger as it was written, or its copy; None where there is neither."""
        url = self.objects.url
        is_damaged = False
        for name in (_LEDGER, _COPY):
            try:
                held: dict[str, Any] = _unpacked(self.objects.get(name))
            except MissingObjectError:
                continue
            except DamagedObjectError:
                is_damaged = True
                continue
            if name == _COPY:
                self.notes.append(
                    f"{url}: the ledger is damaged or gone; its copy is used, and the next run, or "
                    "sawlog state compact, writes both anew"
                )
                self.is_damaged = True
            return held
        if is_damaged:
            raise StateError(
                f"{url}: the ledger and its copy are damaged, so that nobody knows what was read. "
                "Restore one of them (ledger, ledger.copy), or remove the state to begin anew: "
                "logs that are still there are read again, others are not counted any more"
            )
        return None

    def _take_up(self, name: str, entry: dict[str, Any]) -> None:
        """Take in an entry of the journal, if it goes on where this ledger is."""
        if entry.get("after", "") != self._token:
            self.notes.append(
                f"{self.objects.url}: {name} was written by another run at the same time: what it "
                "noted is read again"
            )
            return
        for plain in entry["contents"]:
            self._take(plain)
        self.next_number = max(self.next_number, entry["next_number"])
        self._token = entry.get("token", "")

    def _take(self, plain: dict[str, Any]) -> None:
        plain["seen"] = {url: Seen(**seen) for url, seen in plain["seen"].items()}
        plain["segments"] = [Segment(**segment) for segment in plain["segments"]]
        content = Content(**plain)
        if (older := self.contents.get(content.id)) is not None:
            for url in older.seen:
                if self._by_url.get(url) is older:
                    del self._by_url[url]
        for url in content.seen:
            other = self._by_url.get(url)
            if other is not None:
                other.seen.pop(url, None)
        self._add(content)

    def _add(self, content: Content) -> None:
        """Let a content be found by what it has now."""
        self.contents[content.id] = content
        for url, seen in content.seen.items():
            self._by_url[url] = content
            if seen.mark is not None:
                self._by_mark[seen.size, seen.mark] = content.id, seen
            if seen.inode is not None:
                self._by_inode[tuple(seen.inode)] = content.id
        heads = self._by_head.setdefault(content.head_bytes, {}).setdefault(content.head, {})
        heads[content.id] = content
        self._by_line.setdefault(content.line, {})[content.id] = content


def _number(name: str) -> int:
    """Return the number of an entry of the journal."""
    return int(name.rpartition("/")[2])


def _new_token() -> str:
    return os.urandom(8).hex()


def _plain(content: Content) -> dict[str, Any]:
    return asdict(content)


def _packed(held: dict[str, Any]) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=3).compress(json.dumps(held).encode())


def _unpacked(content: bytes) -> Any:
    import zstandard

    # Each object's checksum has been compared: this is what was written.
    return json.loads(zstandard.ZstdDecompressor().decompress(content))
