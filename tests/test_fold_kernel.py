"""The kernel that folds rows into groups: compiled, interpreted and plain Python agree."""

from __future__ import annotations

import struct

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels import columns as compiled_columns
from pipeline.kernels import fold as compiled
from pipeline.kernels.fold import ANY, CHUNK, COUNT, FIRST, GREATEST, LAST, LEAST, SUM
from tests.support.kernels import is_compiled, reference

_TEXTS = (b"", b"a", b"b", b"twelve bytes", b"more than twelve bytes", b"more than twelve byteS")
_row = st.tuples(
    st.sampled_from([None, *_TEXTS]),
    st.sampled_from([None, 0, 1, 2, 255]),
    st.sampled_from([None, -(1 << 40), -3601, -3600, -1, 0, 1, 3599, 3600, 1 << 40]),
    st.sampled_from([None, -1, 0, 7]),
)
_NAMES = ("x", "y", "x")  # two codes of one name are one name


def _views(texts) -> tuple[bytes, bytes, bytes]:
    """Arrow string views in two data buffers: every other long text lies in the second."""
    views, data, mended = b"", b"", b""
    for k, text in enumerate(texts):
        if len(text) <= 12:
            views += struct.pack("<i12s", len(text), text)
        elif k % 2:
            views += struct.pack("<i4sii", len(text), text[:4], 1, len(mended))
            mended += text
        else:
            views += struct.pack("<i4sii", len(text), text[:4], 0, len(data))
            data += text
    return views, data + b" ", mended + b" "


def _bits(values) -> pa.Buffer:
    bits = bytearray(len(values) // 8 + 1)
    for k, value in enumerate(values):
        bits[k >> 3] |= (value is not None) << (k & 7)
    return pa.py_buffer(bytes(bits))


class Kernels:
    """One build of the two modules, and a folder over the columns of `_row`."""

    def __init__(self, fold, columns) -> None:
        self.columns = columns
        # Keys: the text, the name, the number in steps of 3600.
        self.folder = fold.Folder(
            [1, 1, 3600], [COUNT, COUNT, SUM, LEAST, GREATEST, ANY, ANY, FIRST, LAST, LAST], 99
        )

    def add(self, rows) -> None:
        text, byte, number, small = (list(column) for column in zip(*rows, strict=True))
        texts = self._column(self.columns.TEXT, text, _views([t or b"" for t in text]))
        plain = self._column(self.columns.BYTE, byte, (bytes(b or 0 for b in byte),))
        codes = memoryview(bytearray(8 * 3)).cast("q")
        names = pa.array(_NAMES)
        self.folder.texts.translate(3, *names.buffers()[1:], codes)
        named = [None if s is None else s % 3 for s in small]
        name = self._column(
            self.columns.INT,
            named,
            (struct.pack(f"{len(rows)}i", *(n or 0 for n in named)),),
            codes,
        )
        numbers = self._column(
            self.columns.LONG, number, (struct.pack(f"{len(rows)}q", *(n or 0 for n in number)),)
        )
        smalls = self._column(
            self.columns.INT, small, (struct.pack(f"{len(rows)}i", *(n or 0 for n in small)),)
        )
        picked = memoryview(struct.pack(f"{len(rows)}i", *range(len(rows)))).cast("B").cast("i")
        picked = memoryview(bytearray(picked.cast("B"))).cast("i")
        self.folder.add(
            [texts, name, numbers],
            [None, None, smalls, numbers, numbers, texts, smalls, texts, texts, smalls],
            [None, (plain, 1), None, None, None, None, (plain, 1), None, None, None],
            picked,
            len(rows),
        )

    def _column(self, kind, values, buffers, codes=None):
        column = self.columns.Column()
        first, *data = map(pa.py_buffer, buffers)
        column.point(kind, first, _bits(values), codes, data)
        return column

    def groups(self) -> list[list[object]]:
        folder = self.folder
        views = [self._texts(*folder.key(0)), self._texts(*folder.key(1))]
        views.append(_plain(*folder.key(2)))
        for k in range(10):
            values, bits = folder.fold(k)
            if k in (5, 7, 8):
                views.append(self._texts(values, bits))
            else:
                views.append(list(values) if k < 2 else _plain(values, bits))
        return [list(group) for group in zip(*views, strict=True)]

    def _texts(self, values, bits) -> list[bytes | None]:
        n = len(values)
        views = bytearray(16 * n + 16)
        self.folder.texts.write_views(values, n, memoryview(views).cast("i"))
        buffers = [pa.py_buffer(bits), pa.py_buffer(views), pa.py_buffer(self.folder.texts.arena())]
        array = pa.Array.from_buffers(pa.binary_view(), n, buffers)
        array.validate(full=True)
        return array.to_pylist()


def _plain(values, bits) -> list[int | None]:
    return [v if bits[k >> 3] >> (k & 7) & 1 else None for k, v in enumerate(values)]


def _expected(rows) -> list[list[object]]:
    groups: dict[tuple[object, ...], list[object]] = {}
    for text, byte, number, small in rows:
        name = None if small is None else _NAMES[small % 3].encode()
        key = (text, name, None if number is None else number // 3600 * 3600)
        held = groups.setdefault(key, [0, 0, None, None, None, None, None, text, None, None])
        held[0] += 1
        held[1] += byte == 1
        if small is not None:
            held[2] = small + (held[2] or 0)
        if number is not None:
            held[3] = number if held[3] is None else min(held[3], number)
            held[4] = number if held[4] is None else max(held[4], number)
        held[5] = text if held[5] is None else held[5]
        if held[6] is None and byte == 1:
            held[6] = small
        held[8], held[9] = text, small
    return [[*key, *held] for key, held in groups.items()]


_BUILDS = [
    pytest.param(compiled, compiled_columns, id="compiled"),
    pytest.param(reference("fold"), reference("columns"), id="interpreted"),
]


@pytest.mark.parametrize(("fold", "columns"), _BUILDS)
@given(tables=st.lists(st.lists(_row, min_size=1, max_size=30), min_size=1, max_size=3))
@settings(max_examples=60)
def test_groups_are_those_of_plain_python(fold, columns, tables):
    """Groups come in the order of their first rows, whatever tables the rows came in."""
    kernels = Kernels(fold, columns)
    for rows in tables:
        kernels.add(rows)
    assert kernels.groups() == _expected([row for rows in tables for row in rows])
    kernels.folder.reset()
    kernels.add(tables[0])
    assert kernels.groups() == _expected(tables[0])


@pytest.mark.skipif(not is_compiled(compiled), reason="there is no compiler")
def test_many_groups_grow():
    """More groups, texts and rows than a chunk, and than the first tables hold."""
    rows = [
        (b"a text of its own %d" % (k % 9000), k % 5, k % 7 * 3600, k) for k in range(3 * CHUNK + 5)
    ]
    kernels = Kernels(compiled, compiled_columns)
    for begin in range(0, len(rows), 10_000):
        kernels.add(rows[begin : begin + 10_000])
    assert kernels.groups() == _expected(rows)


@pytest.mark.parametrize(("fold", "columns"), _BUILDS)
@pytest.mark.parametrize(
    ("number", "fits"),
    [(1 << 40, True), (-(1 << 40), True), ((1 << 40) + 1, False), (-(1 << 63), False)],
)
def test_numbers_that_might_overflow_are_told(fold, columns, number, fits):
    """A stranger writes sizes; sums of them are left to SQL."""
    column = columns.Column()
    column.point(columns.LONG, pa.py_buffer(struct.pack("2q", 1, number)), None, None, [])
    rows = memoryview(bytearray(struct.pack("2i", 0, 1))).cast("i")
    assert fold.Folder([], [SUM]).is_foldable(column, rows, 2) is fits
