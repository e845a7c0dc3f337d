# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Gather the texts of the rows that may matter to a pattern, one behind the other."""

import cython

if cython.compiled:
    from cython.cimports.libc.string import memcmp, memcpy
    from cython.cimports.pipeline.kernels.spans import find
    from cython.cimports.pipeline.kernels.views import is_utf8
else:
    from pipeline.kernels.spans import find
    from pipeline.kernels.views import is_utf8

COMPILED = cython.compiled


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _holds(
    p: cython.p_uchar,
    i: cython.Py_ssize_t,
    e: cython.Py_ssize_t,
    text: cython.p_uchar,
    n: cython.Py_ssize_t,
) -> cython.bint:
    """Tell whether the n bytes of a text stand in p[i:e]."""
    if n == 0:
        return True
    if not cython.compiled:
        return bytes(text[:n]) in bytes(p[i:e])
    while e - i >= n:
        i = find(p, text[0], i, e - n + 1)
        if i < 0:
            return False
        if cython.compiled:
            if memcmp(p + i, text, n) == 0:
                return True
        i += 1
    return False


def gather_texts(
    block: cython.uchar[::1],
    n_rows: cython.int,
    messages: cython.int[::1],
    lines: cython.int[::1],
    processes: cython.int[::1],
    wanted: cython.uchar[::1],
    taken: cython.uchar[::1],
    literal: cython.uchar[::1],
    n_literal: cython.Py_ssize_t,
    over: cython.int,
    is_clean: cython.bint,
    rows: cython.int[::1],
    offsets: cython.int[::1],
    bad: cython.int[::1],
    out: cython.uchar[::1],
):
    """Copy the texts of rows that are not taken and hold a literal.

    Parameters
    ----------
    messages, lines : buffer of int
        Begin and end of each row's message, -1 where it has no stamp, and of its line.
    processes : buffer of int
        Code of each row's process.
    wanted : buffer of unsigned bytes
        1 for each code of a process that is wanted.
    over : int
        0: lines; 1: messages, and lines that have no stamp; 2: messages of wanted processes.
    rows, offsets, out : writable buffers
        Row of each text, where each begins and the last ends, and the texts.
    bad : writable buffer of int
        Places, among the texts, of those that are no UTF-8.

    Returns
    -------
    tuple of int
        How many texts, how many bytes, how many bad ones.
    """
    n: cython.int = 0
    n_bad: cython.int = 0
    at: cython.Py_ssize_t = 0
    if n_rows == 0:
        return 0, 0, 0
    if cython.compiled:
        p: cython.p_uchar = cython.address(block[0])
        q: cython.p_uchar = cython.address(literal[0])
    else:
        p, q = block, literal
    row: cython.int
    i: cython.Py_ssize_t
    e: cython.Py_ssize_t
    with cython.nogil:
        for row in range(n_rows):
            if taken[row]:
                continue
            i = lines[2 * row]
            e = lines[2 * row + 1]
            if over and messages[2 * row] >= 0:
                i = messages[2 * row]
                if over == 2 and not wanted[processes[row]]:
                    continue
            elif over == 2:
                continue
            if not _holds(p, i, e, q, n_literal):
                continue
            rows[n] = row
            offsets[n] = cython.cast(cython.int, at)
            if not is_clean and not is_utf8(p, i, e):
                bad[n_bad] = n
                n_bad += 1
            if cython.compiled:
                memcpy(cython.address(out[at]), p + i, e - i)
            else:
                out[at : at + e - i] = p[i:e]
            at += e - i
            n += 1
    offsets[n] = cython.cast(cython.int, at)
    return n, at, n_bad


def take_rows(
    rows: cython.int[::1],
    n: cython.int,
    valid: cython.uchar[::1],
    has_valid: cython.bint,
    first: cython.int,
    pattern: cython.uchar,
    taken: cython.uchar[::1],
    index: cython.int[::1],
    bits: cython.uchar[::1],
    patterns: cython.uchar[::1],
):
    """Note which rows a pattern has matched: they are taken, and point at its values.

    Parameters
    ----------
    valid : buffer of unsigned bytes
        Bits of the texts that matched; all did where not ``has_valid``.
    first : int
        The place of the first match among the values of all patterns.

    Returns
    -------
    int
        The place behind the last match.
    """
    k: cython.int
    row: cython.int
    for k in range(n):
        if has_valid and not (valid[k >> 3] >> (k & 7)) & 1:
            continue
        row = rows[k]
        taken[row] = 1
        index[row] = first
        patterns[row] = pattern
        bits[row >> 3] |= 1 << (row & 7)
        first += 1
    return first
