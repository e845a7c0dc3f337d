"""Lines of web servers: compiled = reference on every input; and long hostile ones take no time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels import access as compiled
from pipeline.kernels import line_columns, scan
from tests.support.kernels import is_compiled, reference
from tests.support.strategies import access_line, header_line

_ALL = sum(compiled.COLUMNS.values())


def _snapshot(kernel, scanner_kernel, text: bytes, mask: int, max_rows: int) -> list[object]:
    """Everything that a parser lets one see after reading a text."""
    columns = line_columns.COLUMNS
    scanner = scanner_kernel.Scanner(max_rows, columns["text"] | columns["line"])
    parser = kernel.AccessParser(max_rows, mask)
    buffer = bytearray(text)
    at, seen = 0, []
    while at < len(buffer):
        at = scanner.scan(buffer, at, len(buffer), 0)
        held = scanner.buffers
        parser.parse(buffer, scanner.n_rows, held["text"], held["line"], scanner.is_clean)
        seen.append((at, scanner.n_rows, parser.n_bad))
        seen.extend(
            bytes(memoryview(column).cast("B"))
            for name, column in parser.buffers.items()
            if name not in ("bad", "_all")
        )
        seen.append(list(parser.buffers["bad"][: 4 * parser.n_bad]))
    return seen


@pytest.mark.skipif(
    not is_compiled(compiled), reason="the kernels are not compiled here: nothing to compare"
)
@given(
    lines=st.lists(st.one_of(access_line(), access_line(), header_line()), max_size=5),
    mask=st.one_of(st.just(_ALL), st.integers(0, _ALL)),
    max_rows=st.integers(1, 4),
)
@settings(deadline=None)
def test_compiled_equals_reference(lines, mask, max_rows):
    """The compiled kernel and its source, interpreted, write the same bytes everywhere."""
    text = b"\n".join(line.replace(b"\n", b"") for line in lines) + b"\n"

    assert _snapshot(reference("access"), reference("scan"), text, mask, max_rows) == _snapshot(
        compiled, scan, text, mask, max_rows
    )


@pytest.mark.parametrize(
    "piece", [b'\\"', b" [", b'"', b"\\", b"[26/Dec/2007:04:02:11 +0100]", b", "]
)
def test_a_line_of_one_piece_a_million_times_is_read_in_its_length(piece):
    """Nothing in it is looked at again and again: twice the length takes no more than twice the steps."""
    if not is_compiled(compiled):
        pytest.skip("the reference is slow")
    head = b'192.0.2.1 - - [26/Dec/2007:04:02:11 +0100] "'
    for text in (
        piece * 100_000,
        head + piece * 100_000,
        b"192.0.2.1 " + piece * 100_000 + head[10:],
    ):
        cut = text[: 1 << 20]
        assert len(cut) in [
            one[0] for one in _snapshot(compiled, scan, cut, _ALL, 2) if isinstance(one, tuple)
        ]
