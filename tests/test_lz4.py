"""What only lz4 has: checksums of blocks, and a format without an end mark."""

from __future__ import annotations

import io
import random

import lz4.block
import lz4.frame
import pytest

from pipeline.compression.lz4 import Lz4Codec
from pipeline.errors import DamageError

CODEC = Lz4Codec()
NOISE = random.Random(1).randbytes(3 << 16)


def read(stored: bytes) -> tuple[bytes, DamageError | None]:
    buffer = memoryview(bytearray(1 << 16))
    plain = b""
    with CODEC.open(io.BytesIO(stored), len(stored)) as reader:
        try:
            while length := reader.readinto(buffer):
                plain += buffer[:length]
        except DamageError as damage:
            return plain, damage
    return plain, None


def test_a_block_with_a_wrong_checksum_is_not_delivered():
    """Full blocks that are stored as they are: the library would give them before it checks."""
    stored = bytearray(lz4.frame.compress(NOISE, block_checksum=True, block_size=4))
    head_bytes = 15  # with a content size
    assert len(stored) == head_bytes + 3 * (4 + (1 << 16) + 4) + 4
    stored[head_bytes + 4 + (1 << 16) + 4 + 100] ^= 1  # in the second block

    plain, damage = read(bytes(stored))

    assert plain == NOISE[: 1 << 16]
    assert damage.args[:3] == ("corrupt", 0, 1 << 16)


def test_a_legacy_frame_may_be_followed_by_another_frame():
    """The magic number of the next frame is what ends it."""
    block = lz4.block.compress(NOISE, store_size=False)
    legacy = b"\x02\x21\x4c\x18" + len(block).to_bytes(4, "little") + block

    assert read(legacy + legacy + lz4.frame.compress(b"end")) == (NOISE + NOISE + b"end", None)
    assert CODEC.matches(legacy[:100])


@pytest.mark.parametrize(
    ("flags", "why"), [(0x41, "dictionary"), (0x42, "header"), (0x80, "header")]
)
def test_a_frame_that_cannot_be_decoded_says_why(flags, why):
    """A dictionary that nobody has, a reserved bit, another version."""
    plain, damage = read(b"\x04\x22\x4d\x18" + bytes([flags, 0x40]) + bytes(20))

    assert plain == b""
    assert damage.kind == "corrupt"
    assert why in damage.detail
