"""The compiled loops, in Cython's pure Python mode.

Each file is valid Python. Installed with a C compiler it is compiled; without one the same source
runs uncompiled: some hundred times slower, with the same results. The tests hold the two against
each other.

Two habits make that possible. A function takes a C pointer when compiled and the buffer itself
when not, since both are read as ``p[i]``. And what needs libc (``memchr``, ``memcmp``) stands
behind ``if cython.compiled``, whose other branch says the same in Python. `spans` has most of it:
its C bodies stand in its .pxd, the only place from which other modules can inline them.
"""

from __future__ import annotations


def are_compiled() -> bool:
    """Tell whether the scan kernel, which every run needs, is compiled."""
    from pipeline.kernels import scan

    return bool(scan.COMPILED)
