"""Large memory for what is written again and again."""

from __future__ import annotations

import mmap
from contextlib import suppress

#: What a page of the larger kind holds.
_LARGE_PAGE = 2 << 20
_ADVICE: int | None = getattr(mmap, "MADV_HUGEPAGE", None)  # Linux only


def zeros(n_bytes: int) -> mmap.mmap | bytearray:
    """Return zeroed memory, at least a byte, of which only what is touched is taken.

    In large pages where there are some: the first touch of 8 MiB in small ones takes as long as
    scanning them.
    """
    if n_bytes < _LARGE_PAGE:
        return bytearray(max(n_bytes, 1))
    memory = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if _ADVICE is not None:
        with suppress(OSError):  # kernels may be built without
            memory.madvise(_ADVICE)
    return memory
