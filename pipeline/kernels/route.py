# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Bring the lines of a block that belong together side by side, in order."""

import cython

if cython.compiled:
    from cython.cimports.libc.string import memcpy

COMPILED = cython.compiled

#: The newest time of a group whose lines have none.
NEVER = -(1 << 63)
_NEVER = cython.declare(cython.longlong, -(1 << 63))
# Knuth's, and another odd number.
_MIX = cython.declare(cython.ulonglong, 2654435761)
_MIX_2 = cython.declare(cython.ulonglong, 40503)


def route(
    block: cython.uchar[::1],
    start: cython.Py_ssize_t,
    lengths: cython.longlong[::1],
    n_rows: cython.Py_ssize_t,
    rows: cython.int[::1],
    codes: cython.int[::1],
    n_kept: cython.Py_ssize_t,
    n_groups: cython.Py_ssize_t,
    times: cython.longlong[::1],
    dated: cython.uchar[::1],
    out: cython.uchar[::1],
    places: cython.longlong[::1],
    begins: cython.longlong[::1],
    counts: cython.longlong[::1],
    newest: cython.longlong[::1],
):
    """Copy the kept lines into ``out``, group after group; a group's lines stay in order.

    Parameters
    ----------
    block : writable buffer of uint8
        The text; its lines begin at ``start``.
    lengths : buffer of int64
        Bytes of each of the ``n_rows`` lines, line end included.
    rows, codes : buffers of int32
        Which lines are kept, rising, and the group of each, below ``n_groups``; ``n_kept`` long.
    times, dated : buffers
        µs of each line, and a bit for each that has a time.
    out : writable buffer of uint8
        As long as the kept lines together, or longer.
    places : writable buffer of int64, ``n_rows`` long
        Taken for where lines begin.
    begins : writable buffer of int64, ``n_groups + 1`` long
        Takes where each group begins in ``out``, and behind them where the last one ends.
    counts, newest : writable buffers of int64, ``n_groups`` long
        Take the lines and the newest time of each group, `NEVER` without one.
    """
    k: cython.Py_ssize_t
    row: cython.Py_ssize_t
    code: cython.int
    at: cython.longlong = start
    n: cython.longlong
    if n_rows == 0 or n_groups == 0:
        begins[0] = 0
        return
    if cython.compiled:
        source: cython.p_uchar = cython.address(block[0])
        target: cython.p_uchar = cython.address(out[0])
    with cython.nogil:
        for k in range(n_rows):
            places[k] = at
            at += lengths[k]
        for k in range(n_groups):
            begins[k] = 0
            counts[k] = 0
            newest[k] = _NEVER
        for k in range(n_kept):
            row = rows[k]
            code = codes[k]
            begins[code] += lengths[row]
            counts[code] += 1
            if dated[row >> 3] >> (row & 7) & 1 and times[row] > newest[code]:
                newest[code] = times[row]
        at = 0
        for k in range(n_groups):
            n = begins[k]
            begins[k] = at
            at += n
        begins[n_groups] = at
        for k in range(n_kept):
            row = rows[k]
            code = codes[k]
            n = lengths[row]
            at = begins[code]
            if cython.compiled:
                memcpy(target + at, source + places[row], n)
            else:
                out[at : at + n] = block[places[row] : places[row] + n]
            begins[code] = at + n
        # Each now stands where the next one began.
        for k in range(n_groups - 1, 0, -1):
            begins[k] = begins[k - 1]
        begins[0] = 0


def refine(
    codes: cython.int[::1],
    n: cython.Py_ssize_t,
    values: cython.int[::1],
    valid: cython.uchar[::1],
    slots: cython.int[::1],
    olds: cython.int[::1],
    news: cython.int[::1],
    nulls: cython.uchar[::1],
):
    """Tell the rows of each group apart by another column; return how many groups there are now.

    Parameters
    ----------
    codes : writable buffer of int32
        The group of each row; takes the new one, counted from 0 as they are met.
    values, valid : buffers
        The other column, and a bit for each row that has a value.
    slots : writable buffer of int32
        A power of two long, twice as long as there are rows or more; taken for a hash table.
    olds, news : writable buffers of int32; nulls : writable buffer of uint8; ``n`` long
        By new group: its old group, its value, and whether it has none.
    """
    k: cython.Py_ssize_t
    found: cython.int = 0
    code: cython.int
    value: cython.int
    null: cython.uchar
    mask: cython.ulonglong = len(slots) - 1
    at: cython.ulonglong
    slot: cython.int
    last: cython.int = -1
    with cython.nogil:
        for k in range(cython.cast(cython.Py_ssize_t, mask) + 1):
            slots[k] = 0
        for k in range(n):
            code = codes[k]
            null = 1 - (valid[k >> 3] >> (k & 7) & 1)
            value = 0 if null else values[k]
            if last >= 0 and olds[last] == code and news[last] == value and nulls[last] == null:
                codes[k] = last
                continue
            at = (
                (cython.cast(cython.ulonglong, value & 0x7FFFFFFF) * _MIX)
                ^ (cython.cast(cython.ulonglong, code & 0x7FFFFFFF) * _MIX_2)
                ^ cython.cast(cython.ulonglong, null)
            )
            at = (at ^ (at >> 15)) & mask
            while True:
                slot = slots[at] - 1
                if slot < 0:
                    slot = found
                    found += 1
                    slots[at] = found
                    olds[slot] = code
                    news[slot] = value
                    nulls[slot] = null
                    break
                if olds[slot] == code and news[slot] == value and nulls[slot] == null:
                    break
                at = (at + 1) & mask
            codes[k] = slot
            last = slot
    return found
