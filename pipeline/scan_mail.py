"""The Postfix columns of a scanned block, beside those of any line."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.arrow import clean_text, point_view, strings
from pipeline.formats.postfix import daemon_class, split_process
from pipeline.kernels.generations import NEVER, PHASES, Generations
from pipeline.kernels.mail import MailParser
from pipeline.kernels.mail_names import CODES, COLUMNS, EVENTS, INTS, PLACES, TEXTS

if TYPE_CHECKING:
    from pipeline.kernels.scan import Scanner
    from pipeline.model import Block

#: What tells the messages of a split apart: their number, and what the line does to its message.
NUMBERED = {"message_no": pa.int64(), "phase": pa.uint8(), "begins": pa.uint8()}
_BY_PROCESS = ("instance", "service", "daemon")
_BY_REASON = ("reason_group", "reason_class")
_NAMES = pa.dictionary(pa.int32(), pa.string())
_CODES = pa.dictionary(pa.uint8(), pa.string())
#: Codes of an interner at most.
_ROOM = 1 << 15
_LOW_64 = (1 << 64) - 1
_OPENING = ("client", "pickup")
_RECEIVING = (
    *("reject", "reject_warning", "milter-reject", "milter-hold", "milter-discard", "hold"),
    *("milter-quarantine", "proxy-reject", "proxy-accept", "discard", "filter", "redirect"),
    *("replace", "prepend", "bcc", "warn", "strip", "info", "delay", "pass", "dunno"),
)


def lines_columns(columns: frozenset[str]) -> frozenset[str]:
    """Return the columns of any line that must be scanned for columns of Postfix lines."""
    if columns & NUMBERED.keys():
        return frozenset({"text", "process", "host", "time"})
    needed = columns & (COLUMNS.keys() | {*_BY_PROCESS, *_BY_REASON})
    return frozenset({"text", "process"}) if needed else frozenset()


class MailScanner:
    """Reads the Postfix lines among those that a scanner has just found.

    Parameters
    ----------
    scanner : Scanner
        Builds `lines_columns`.
    columns : frozenset of str
        Columns to build; those that it does not know are left out.
    max_rows : int
        Rows of a table at most.
    reasons : str, optional
        File with the user's own rules for ``reason_class``.
    events : frozenset of str, optional
        Only lines with these are asked for.
    """

    def __init__(
        self,
        scanner: Scanner,
        columns: frozenset[str],
        max_rows: int,
        reasons: str | None = None,
        *,
        events: frozenset[str] | None = None,
    ) -> None:
        self._scanner = scanner
        self._parsed = [name for name in PLACES if name in columns and name not in _BY_REASON]
        self._by_process = [name for name in _BY_PROCESS if name in columns]
        self._by_reason = [name for name in _BY_REASON if name in columns]
        self._numbered = bool(columns & NUMBERED.keys())
        mask = sum(COLUMNS[name] for name in self._parsed)
        if self._by_reason:
            mask |= COLUMNS["reason_group"]
        if self._numbered:
            mask |= COLUMNS["queue_id"] | COLUMNS["event"]
            self._generations = Generations()  # type: ignore[no-untyped-call]  # a kernel
            self._numbers = memoryview(bytearray(8 * max_rows)).cast("q")
            self._phases = memoryview(bytearray(max_rows))
            self._begins = memoryview(bytearray(max_rows))
            self._phase_of = memoryview(bytearray(map(_phase, EVENTS)))
        self._parser = MailParser(max_rows, mask, events)
        self._fixed = {name: strings(names) for name, names in CODES.items()}
        # By code of the process:
        self._known = -1
        self._daemons = memoryview(bytearray(_ROOM))
        self._marks = memoryview(bytearray(8 * _ROOM)).cast("Q")
        self._names: dict[str, pa.Array] = {}
        self._known_hosts = -1
        self._host_marks = memoryview(bytearray(8 * _ROOM)).cast("Q")
        self._rules = reasons
        self._classes: dict[str, str] = {}  # of each reason met
        self._host_firsts = memoryview(bytearray(8 * (_ROOM + 1))).cast("q")
        self._known_reasons = -1
        self._reasons: dict[str, pa.Array] = {}
        kinds = {name: pa.string_view() for name in TEXTS}
        kinds |= dict.fromkeys(CODES, _CODES) | dict.fromkeys(INTS, pa.int64())
        self.fields = [
            *((name, kinds[name]) for name in self._parsed),
            *((name, _NAMES) for name in (*self._by_process, *self._by_reason)),
            *(NUMBERED.items() if self._numbered else ()),
        ]

    def begin_file(self, first_number: int) -> None:
        """Begin another split: its messages are numbered from here on."""
        if self._numbered:
            self._generations.reset(first_number)
            self._known_hosts = -1

    def scan(self, block: Block) -> list[pa.Array]:
        """Return the columns of the rows that the scanner holds, in the order of ``fields``."""
        s, n = self._scanner, self._scanner.n_rows
        self._learn_processes()
        held = s.buffers
        self._parser.parse(
            block.buffer, n, held["text"], held["process"], self._daemons, s.is_clean
        )
        arrays = self._parsed_columns(n, block)
        index = pa.Array.from_buffers(pa.int32(), n, [None, pa.py_buffer(held["process"])])
        arrays += [
            pa.DictionaryArray.from_arrays(index, self._names[name], safe=False)
            for name in self._by_process
        ]
        if self._by_reason:
            self._learn_reasons()
            mine = self._parser.buffers
            valid = pa.py_buffer(mine["reason_group_valid"])
            codes = pa.Array.from_buffers(
                pa.int32(), n, [valid, pa.py_buffer(mine["reason_group"])]
            )
            arrays += [
                pa.DictionaryArray.from_arrays(codes, self._reasons[name], safe=False)
                for name in self._by_reason
            ]
        if self._numbered:
            self._number(block, n)
            arrays += [
                pa.Array.from_buffers(kind, n, [None, pa.py_buffer(buffer)])
                for kind, buffer in zip(
                    NUMBERED.values(), (self._numbers, self._phases, self._begins), strict=True
                )
            ]
        return arrays

    def _parsed_columns(self, n: int, block: Block) -> list[pa.Array]:
        held = self._parser.buffers
        mended = self._mend(block)
        arrays = []
        for name in self._parsed:
            valid = pa.py_buffer(held[f"{name}_valid"])
            buffer = pa.py_buffer(held[name])
            if name in TEXTS:
                buffers: list[Any] = [valid, buffer, pa.py_buffer(block.buffer)]
                if mended:
                    buffers.append(mended)
                arrays.append(pa.Array.from_buffers(pa.string_view(), n, buffers))
            elif name in CODES:
                codes = pa.Array.from_buffers(pa.uint8(), n, [valid, buffer])
                arrays.append(pa.DictionaryArray.from_arrays(codes, self._fixed[name], safe=False))
            else:
                arrays.append(pa.Array.from_buffers(pa.int64(), n, [valid, buffer]))
        return arrays

    def _mend(self, block: Block) -> pa.Buffer | None:
        """Write the texts that are no UTF-8 into a buffer of their own; point the views at it."""
        parser = self._parser
        if not parser.n_bad:
            return None
        mended = bytearray()
        names = {column: name for name, column in PLACES.items()}
        bad = parser.buffers["bad"]
        for k in range(parser.n_bad):
            column, row, start, stop = bad[4 * k : 4 * k + 4]
            text = clean_text(bytes(block.buffer[start:stop])).encode()
            point_view(parser.buffers[names[column]], 4 * row, text, len(mended))
            mended += text
        return pa.py_buffer(mended)

    def _number(self, block: Block, n: int) -> None:
        s = self._scanner
        held, mine = s.buffers, self._parser.buffers
        if self._known_hosts != s.hosts.version:
            # Codes may mean other hosts now. To know of no line is always right.
            for code, name in enumerate(s.hosts.names()):
                self._host_marks[code] = hash(clean_text(name)) & _LOW_64
                self._host_firsts[code] = NEVER
            self._host_firsts[_ROOM] = NEVER
            self._known_hosts = s.hosts.version
        self._generations.number(
            block.buffer,
            n,
            mine["queue_id"],
            mine["queue_id"].cast("B"),
            held["host"],
            held["hosted"],
            self._host_marks,
            self._host_firsts,
            held["process"],
            self._marks,
            mine["event"],
            self._phase_of,
            held["time"],
            self._numbers,
            self._phases,
            self._begins,
        )

    def _learn_processes(self) -> None:
        """Take in the processes that the scanner has met since."""
        processes = self._scanner.processes
        if self._known == processes.version:
            return
        parts: list[tuple[str, str, str]] = []
        for code, name in enumerate(processes.names()):
            found = _parts_of(name)
            self._daemons[code] = 0 if found is None else daemon_class(found[2])
            # An instance is marked otherwise than a host of its name.
            self._marks[code] = 0 if found is None else hash(("instance", found[0])) & _LOW_64
            parts.append(found or ("", "", ""))
        for name, column in zip(_BY_PROCESS, zip(*parts, strict=True), strict=True):
            self._names[name] = strings(column)
        self._known = processes.version

    def _learn_reasons(self) -> None:
        reasons = self._parser.reasons
        if self._known_reasons == reasons.version:
            return
        texts = [clean_text(text) for text in reasons.names()] or [""]
        self._reasons["reason_group"] = strings(texts)
        if "reason_class" in self._by_reason:
            from pipeline.formats.reasons import load_rules

            rules, known = load_rules(self._rules), self._classes
            for text in texts:
                if text not in known:
                    known[text] = rules.classify(text)
            self._reasons["reason_class"] = strings([known[text] for text in texts])
        self._known_reasons = reasons.version


@lru_cache(maxsize=_ROOM)
def _parts_of(process: bytes) -> tuple[str, str, str] | None:
    """Return instance, service and daemon; asked again for all names when a new one comes."""
    return split_process(clean_text(process))


def _phase(event: str) -> int:
    """Return what a line with this event does to its message: its place in `PHASES`."""
    if event in _OPENING:
        return PHASES.index("opening")
    if event in _RECEIVING:
        return PHASES.index("reception")
    return PHASES.index(event if event in ("message-id", "removed") else "queue")
