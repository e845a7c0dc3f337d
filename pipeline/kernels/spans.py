# cython: language_level=3
"""What every kernel asks of spans of bytes, p[i:e]; compiled ones take the bodies in spans.pxd."""

import cython

COMPILED = cython.compiled

if not cython.compiled:

    def find(p, byte, i, e):
        """Return the first place of a byte in p[i:e], or -1."""
        at = bytes(p[i:e]).find(byte) if e > i else -1
        return i + at if at >= 0 else -1

    def begins(p, i, e, text, n):
        """Tell whether p[i:e] begins with the n bytes of a text; best where that is a constant."""
        return e - i >= n and bytes(p[i : i + n]) == bytes(text[:n])

    def same(p, i, q, j, n):
        """Tell whether p[i:i+n] equals q[j:j+n]."""
        return bytes(p[i : i + n]) == bytes(q[j : j + n])

    def copy(out, o, p, i, n):
        """Write p[i:i+n] to out[o:o+n], another buffer."""
        out[o : o + n] = p[i : i + n]

    def move(out, o, i, n):
        """Move out[i:i+n] to out[o:o+n]; they may overlap."""
        out[o : o + n] = bytes(out[i : i + n])

    def is_digit(c):
        """Tell whether a byte is a digit."""
        return 48 <= c <= 57

    def digits_end(p, i, e):
        """Return the place behind the digits that p[i:e] begins with."""
        while i < e and 48 <= p[i] <= 57:
            i += 1
        return i
