"""The walk through deflate streams, compiled and interpreted, against zlib."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.compression.gzip_members import Window
from pipeline.compression.gzip_salvage import take_first_bits
from pipeline.kernels import deflate
from tests.support.kernels import reference
from tests.support.stored import make_text

WINDOW = 1 << 15

both = pytest.mark.parametrize(
    "kernel", [deflate, reference("deflate")], ids=["installed", "reference"]
)


def compress(text: bytes, level: int = 6, strategy: int = 0, n_flushes: int = 1) -> bytes:
    """Return a raw deflate stream with a full, then a partial flush, in turn, inside."""
    encoder = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    step = len(text) // n_flushes + 1
    out = []
    for number in range(n_flushes):
        out.append(encoder.compress(text[number * step : (number + 1) * step]))
        out.append(encoder.flush([zlib.Z_FULL_FLUSH, zlib.Z_PARTIAL_FLUSH][number % 2]))
    return b"".join(out) + encoder.flush()


def skewed(n_bytes: int) -> bytes:
    """Letters of which each is two thirds as frequent as the one before: codes of 15 bits."""
    dice = random.Random(1)
    return bytes(dice.choices(range(40), [1.5**-i for i in range(40)], k=n_bytes))


def far_apart(n_bytes: int) -> bytes:
    """Repeats at all distances, mostly near: distance codes of more than 10 bits."""
    dice = random.Random(2)
    out = bytearray(dice.randbytes(33_000))
    while len(out) < n_bytes:
        code = dice.choices(range(4, 28), [1.6**-i for i in range(24)])[0]
        distance = dice.randrange(2 ** (code // 2), 2 ** (code // 2 + 1))
        out += out[len(out) - distance :][: dice.randrange(3, 8)] + dice.randbytes(1)
    return bytes(out)


TEXTS = {
    "log lines": make_text(60_000),
    "skewed letters": skewed(30_000),
    "repeats far apart": far_apart(120_000),
    "noise": random.Random(3).randbytes(20_000),
    "zeros": bytes(300_000),
    "nothing": b"",
}


def walk(kernel, pieces, spacing: int = 1):
    """Walk through one stream; return bytes used, plain bytes, points, done, failed."""
    walker = kernel.Walker(spacing)
    n_used, points = 0, []
    for piece in pieces:
        used, found = walker.walk(piece)
        n_used += used
        points += found
        if walker.done or walker.failed:
            break
    return n_used, walker.plain_offset, points, walker.done, walker.failed


def cut(stored: bytes, n: int) -> list[bytes]:
    return [stored[i : i + n] for i in range(0, len(stored), n)]


def inflate_from(stored: bytes, bit_offset: int, window: bytes) -> bytes:
    """Decode from a bit on; the bits must not be shifted, since stored blocks begin at bytes."""
    source = Window(iter([stored, b""]).__next__, 0)
    source.take(bit_offset // 8)
    first = take_first_bits(source, bit_offset)
    return zlib.decompressobj(-15, window).decompress(first + source.take(len(stored)))


# --- against zlib ---------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("strategy", [zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY, zlib.Z_FIXED])
def test_a_walk_counts_what_zlib_inflates(kernel, name, level, strategy):
    """The stream ends where it ends, behind as many plain bytes as there are."""
    text = TEXTS[name]
    stored = compress(text, level, strategy, 3)

    assert walk(kernel, [stored + b"trailer"])[:2] == (len(stored), len(text))


@both
@pytest.mark.parametrize("name", TEXTS)
def test_from_every_seek_point_on_the_rest_can_be_inflated(kernel, name):
    """A point is the begin of a block, and its plain offset is right."""
    text = TEXTS[name]
    stored = compress(text, n_flushes=5)

    points = walk(kernel, [stored])[2]

    assert len(points) >= 4 or name == "nothing"
    for bit_offset, plain_offset in points:
        window = text[max(0, plain_offset - WINDOW) : plain_offset]
        assert text[plain_offset:] == inflate_from(stored, bit_offset, window)


def test_the_texts_have_codes_that_are_longer_than_an_index():
    """Otherwise the slow way to a symbol would not be tested."""
    for name, attribute in (("skewed letters", "lit_code"), ("repeats far apart", "dist_code")):
        walker = reference("deflate").Walker(1)
        longest = 0
        for piece in cut(compress(TEXTS[name]), 500):
            walker.walk(piece)
            counts = getattr(walker, attribute).counts
            longest = max([longest, *(length for length in range(16) if counts[length])])
        assert longest > 10, name


@both
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("piece_bytes", [1, 2, 7, 8, 9, 1000])
def test_pieces_change_nothing(kernel, name, piece_bytes):
    """A stream may be handed over in pieces of any length."""
    stored = compress(TEXTS[name][:20_000], n_flushes=4) + b"trailer"

    assert walk(kernel, cut(stored, piece_bytes)) == walk(kernel, [stored])


@both
def test_seek_points_lie_spacing_apart_or_a_block_more(kernel):
    """Each point is the first block at least that far from the one before."""
    text = TEXTS["log lines"]
    stored = compress(text, n_flushes=40)
    every = [plain for _, plain in walk(kernel, [stored])[2]]

    expected, target = [], 7000
    for plain in every:
        if plain >= target:
            expected.append(plain)
            target = plain + 7000

    assert expected == [plain for _, plain in walk(kernel, [stored], 7000)[2]]


@both
def test_streams_follow_each_other(kernel):
    """Points of a second stream count from its stored offset, and plain bytes go on."""
    text = TEXTS["log lines"][:9000]
    stored = compress(text, n_flushes=3)
    walker = kernel.Walker(1)
    _, first = walker.walk(stored)
    walker.begin(5000)
    _, second = walker.walk(stored)

    assert walker.plain_offset == 2 * len(text)
    assert [(bit + 8 * 5000, plain + len(text)) for bit, plain in first] == second


@both
def test_a_walk_needs_a_spacing(kernel):
    """Points at every bit would fill the memory."""
    with pytest.raises(ValueError, match="at least 1"):
        kernel.Walker(0)


# --- hostile streams ------------------------------------------------------------------------------


def bits(*items: tuple[int, int]) -> bytes:
    """Return (value, bits) items as a stream, filled up with zeros."""
    number = at = 0
    for value, n in items:
        number |= value << at
        at += n
    return number.to_bytes(at // 8 + 99, "little")


DYNAMIC = ((1, 1), (2, 2), (0, 5), (0, 5), (15, 4))
# The code lengths 1 and 18 (a run of zeros, seven extra bits) have codes of one bit: 0 and 1.
ONE_OR_ZEROS = [(symbol in (2, 17), 3) for symbol in range(19)]
REFUSED = {
    "block type 3": bits((1, 1), (3, 2)),
    "stored length": b"\x01\x05\x00\x05\x00hello",
    "287 literals": bits(
        *((1, 1), (2, 2), (30, 5), (0, 5), (15, 4), *ONE_OR_ZEROS),
        *((0, 1), (1, 1), (127, 7), (1, 1), (106, 7), (0, 1), (1, 1), (19, 7), (0, 1)),
    ),
    "31 distances": bits(
        *((1, 1), (2, 2), (0, 5), (30, 5), (15, 4), *ONE_OR_ZEROS),
        *((0, 1), (1, 1), (127, 7), (1, 1), (106, 7), (0, 1), (0, 1), (1, 1), (19, 7)),
    ),
    "too many letters of one bit": bits(
        *(*DYNAMIC, *ONE_OR_ZEROS),
        *((0, 3), (1, 1), (127, 7), (1, 1), (104, 7), (0, 1), (0, 1)),
    ),
    "too many code lengths": bits(*DYNAMIC, *[(1, 3)] * 19),
    "no code length has a code": bits(*DYNAMIC, *[(0, 3)] * 19, (0, 9)),
    "repeat of nothing": bits(*DYNAMIC, (1, 3), *[(0, 3)] * 18, (0, 9)),
    "run over the end": bits(*DYNAMIC, (0, 3), (0, 3), (1, 3), *[(0, 3)] * 16, *[(254, 8)] * 3),
    "length 286": bits((1, 1), (1, 2), (0b01100011, 8)),
    "distance 30": bits((1, 1), (1, 2), (0b1000000, 7), (0b01111, 5)),
}


@both
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_deflate_stream_is_refused(kernel, name):
    """Each rule of RFC 1951 that a walk can judge."""
    assert walk(kernel, [REFUSED[name]])[3:] == (False, True)
    assert walk(kernel, cut(REFUSED[name], 1))[3:] == (False, True)
    with pytest.raises(zlib.error):
        zlib.decompressobj(-15).decompress(REFUSED[name])


@both
def test_a_cut_stream_is_neither_done_nor_refused(kernel):
    """At the end of the bytes a walk waits for more, with what is certain counted."""
    text = TEXTS["log lines"][:700]
    stored = compress(text, n_flushes=2)

    for size in range(len(stored)):
        _, plain, _, done, failed = walk(kernel, [stored[:size]])
        assert (done, failed) == (False, False)
        assert plain == len(zlib.decompressobj(-15).decompress(stored[:size]))


@st.composite
def hostile_streams(draw: st.DrawFn) -> bytes:
    """Streams with some wrong bytes, so that most go on for a while, or any bytes at all."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.binary(max_size=200))
    text = TEXTS[draw(st.sampled_from(["log lines", "skewed letters", "zeros"]))][:4000]
    level, strategy = draw(st.sampled_from([(6, 0), (1, 0), (0, 0), (6, zlib.Z_FIXED)]))
    stored = bytearray(compress(text, level, strategy, draw(st.integers(1, 4))))
    for _ in range(draw(st.integers(0, 3))):
        stored[draw(st.integers(0, min(300, len(stored) - 1)))] ^= draw(st.integers(1, 255))
    return bytes(stored)


@given(stored=hostile_streams(), piece_bytes=st.sampled_from([1, 13, 1000]))
def test_compiled_and_reference_agree_on_anything(stored, piece_bytes):
    """The compiled kernel does what its source says, and pieces change nothing."""
    expected = walk(reference("deflate"), [stored])
    n_used, plain, points, done, failed = walk(deflate, cut(stored, piece_bytes))

    assert expected[1:] == (plain, points, done, failed)
    assert failed or n_used == expected[0] <= len(stored)


@given(stored=hostile_streams())
def test_what_zlib_accepts_a_walk_accepts(stored):
    """A stream that zlib inflates is walked to the same end."""
    decoder = zlib.decompressobj(-15)
    try:
        plain = decoder.decompress(stored)
    except zlib.error:
        return
    n_used = len(stored) - len(decoder.unused_data)

    assert walk(deflate, [stored])[:2] == (n_used, len(plain))
