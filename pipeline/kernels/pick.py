# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Pick rows by their codes, and gather the columns of those rows."""

import cython

if cython.compiled:
    from cython.cimports.libc.string import memcpy

COMPILED = cython.compiled


def find_rows(codes, n: cython.Py_ssize_t, wanted: cython.uchar[::1], rows: cython.int[::1]):
    """Write the rows whose code is wanted, in order; return how many they are.

    Parameters
    ----------
    codes : pyarrow.Buffer
        A byte a row.
    n : int
        Rows.
    wanted : buffer of uint8, 256 long
        By code: 1 where it is wanted.
    rows : writable buffer of int32
        Takes the result.
    """
    k: cython.Py_ssize_t
    found: cython.Py_ssize_t = 0
    if cython.compiled:
        p: cython.p_uchar = cython.cast(cython.p_uchar, cython.cast(cython.size_t, codes.address))
    else:
        p = memoryview(codes).cast("B")
    with cython.nogil:
        for k in range(n):
            rows[found] = cython.cast(cython.int, k)
            found += wanted[p[k]]
    return found


def keep_rows(
    codes,
    n: cython.Py_ssize_t,
    wanted: cython.uchar[::1],
    rows: cython.int[::1],
):
    """Keep those of the first ``n`` rows whose code is wanted, too; return how many they are."""
    k: cython.Py_ssize_t
    row: cython.int
    found: cython.Py_ssize_t = 0
    if cython.compiled:
        p: cython.p_uchar = cython.cast(cython.p_uchar, cython.cast(cython.size_t, codes.address))
    else:
        p = memoryview(codes).cast("B")
    with cython.nogil:
        for k in range(n):
            row = rows[k]
            rows[found] = row
            found += wanted[p[row]]
    return found


def gather(
    source,
    width: cython.int,
    rows: cython.int[::1],
    n: cython.Py_ssize_t,
    out: cython.uchar[::1],
):
    """Copy the values of rows.

    Parameters
    ----------
    source : pyarrow.Buffer
        Values of ``width`` bytes: 1, 4, 8 or 16.
    rows : buffer of int32
        Which.
    n : int
        How many rows.
    out : writable buffer of uint8
        Takes ``n * width`` bytes.
    """
    k: cython.Py_ssize_t
    if n == 0:
        return
    if cython.compiled:
        p: cython.p_uchar = cython.cast(cython.p_uchar, cython.cast(cython.size_t, source.address))
        o: cython.p_uchar = cython.address(out[0])
        with cython.nogil:
            # A constant length lets the compiler make one load and one store of each copy.
            if width == 16:
                for k in range(n):
                    memcpy(o + 16 * k, p + 16 * cython.cast(cython.Py_ssize_t, rows[k]), 16)
            elif width == 8:
                for k in range(n):
                    memcpy(o + 8 * k, p + 8 * cython.cast(cython.Py_ssize_t, rows[k]), 8)
            elif width == 4:
                for k in range(n):
                    memcpy(o + 4 * k, p + 4 * cython.cast(cython.Py_ssize_t, rows[k]), 4)
            else:
                for k in range(n):
                    o[k] = p[rows[k]]
    else:
        p = memoryview(source).cast("B")
        for k in range(n):
            out[width * k : width * (k + 1)] = p[width * rows[k] : width * (rows[k] + 1)]


def gather_bits(source, rows: cython.int[::1], n: cython.Py_ssize_t, out: cython.uchar[::1]):
    """Copy the bits of rows; ``out`` takes (n + 7) // 8 bytes."""
    k: cython.Py_ssize_t
    row: cython.int
    if cython.compiled:
        p: cython.p_uchar = cython.cast(cython.p_uchar, cython.cast(cython.size_t, source.address))
    else:
        p = memoryview(source).cast("B")
    with cython.nogil:
        for k in range((n + 7) // 8):
            out[k] = 0
        for k in range(n):
            row = rows[k]
            out[k >> 3] |= (p[row >> 3] >> (row & 7) & 1) << (k & 7)
