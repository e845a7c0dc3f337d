"""Parse lines with a mail kernel, and give rows as dicts: what the engine will do with Arrow."""

from __future__ import annotations

import struct

from pipeline.formats import postfix

_TABLES = {name: kind[1] for name, kind in postfix.KINDS.items() if kind[0] == "code"}


def split_line(line: bytes) -> tuple[str, bytes]:
    """Return process and message of ``process[pid]: message``."""
    head, _, message = line.partition(b": ")
    return head.partition(b"[")[0].decode(), message


class Parsed:
    """Rows of messages that one call parsed, and all that the parser let one see of it."""

    def __init__(
        self,
        kernel,
        messages,
        kinds,
        mask,
        parser=None,
        *,
        before=b"",
        after=b"",
        is_dated=True,
        spans=(),
    ):
        block = bytearray(before + b"\n".join(messages) + after) or bytearray(1)
        texts, at = [], len(before)
        for message in messages:
            texts += [at, at + len(message)] if is_dated else [-1, -1]
            at += len(message) + 1
        for k, span in enumerate(spans):  # instead, into ``before``
            texts[2 * k : 2 * k + 2] = span
        n = len(messages)
        self.block, self.n, self.mask = block, n, mask
        self.parser = parser or kernel.MailParser(n, mask)
        self.parser.parse(
            block,
            n,
            memoryview(bytearray(struct.pack(f"{2 * n}i", *texts))).cast("i"),
            memoryview(bytearray(struct.pack(f"{n}i", *range(n)))).cast("i"),
            bytearray(kinds),
            block.isascii(),
        )

    def snapshot(self) -> list[object]:
        """Everything that the engine reads."""
        held = self.parser.buffers
        widths = {"text": 16, "int": 8, "code": 1, "template": 4}
        seen: list[object] = [self.parser.n_bad, list(held["bad"][: 4 * self.parser.n_bad])]
        seen.append(self.parser.reasons.names())
        for name, kind in postfix.KINDS.items():
            if self.mask & postfix.COLUMNS[name]:
                size = widths[kind[0]] * self.n
                seen.append((name, bytes(memoryview(held[name]).cast("B")[:size])))
                seen.append((name, bytes(held[name + "_valid"])))
        return seen

    def rows(self) -> list[dict[str, object]]:
        """Return the rows; NULL is left out."""
        held, bad = self.parser.buffers, self.parser.buffers["bad"]
        mended = {}
        for k in range(self.parser.n_bad):
            column, row, start, stop = bad[4 * k : 4 * k + 4]
            mended[row, column] = bytes(self.block[start:stop]).decode("utf-8", "replace")
        reasons = [text.decode("utf-8", "replace") for text in self.parser.reasons.names()]
        rows: list[dict[str, object]] = [{} for _ in range(self.n)]
        for name, kind in postfix.KINDS.items():
            if not self.mask & postfix.COLUMNS[name]:
                continue
            column = postfix.COLUMNS[name].bit_length() - 1
            for k, row in enumerate(rows):
                if not held[name + "_valid"][k >> 3] >> (k & 7) & 1:
                    continue
                if kind[0] == "text":
                    row[name] = mended.get((k, column), self._view(held[name], k))
                elif kind[0] == "template":
                    row[name] = reasons[held[name][k]]
                else:
                    value = held[name][k]
                    row[name] = _TABLES[name][value] if kind[0] == "code" else value
        return rows

    def _view(self, views, k: int) -> str:
        size, *words = views[4 * k : 4 * k + 4]
        if size <= 12:
            return struct.pack("3i", *words)[:size].decode()
        text = bytes(self.block[words[2] : words[2] + size])
        assert (text[:4], words[1]) == (struct.pack("i", words[0]), 0)
        return text.decode()


def parse_lines(kernel, lines, mask=postfix.ALL_COLUMNS) -> list[dict[str, object]]:
    """Parse lines ``process[pid]: message``."""
    split = [split_line(line if isinstance(line, bytes) else line.encode()) for line in lines]
    kinds = [
        postfix.daemon_class(parts[2]) if (parts := postfix.split_process(process)) else 0
        for process, _ in split
    ]
    return Parsed(kernel, [message for _, message in split], kinds, mask).rows()
