# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""The latest line of each host, among rows that the scan kernel has just written."""

import cython

COMPILED = cython.compiled


def note_latest(
    host: cython.int[::1],
    hosted: cython.uchar[::1],
    text: cython.int[::1],
    first: cython.int,
    stop: cython.int,
    latest: cython.int[::1],
):
    """Write the last row of each host in [first, stop) into ``latest``, by the host's code.

    Parameters
    ----------
    host, hosted, text : buffers
        Those of a `Scanner`: code of the host, whether there is one, begin and end of the text.
    latest : buffer of int
        As long as there may be hosts; of hosts without a row here nothing changes.

    Returns
    -------
    int
        The last row with a time stamp, whatever its host; -1 where there is none.
    """
    row: cython.int
    last: cython.int = -1
    for row in range(first, stop):
        if text[2 * row] >= 0:
            last = row
            if hosted[row >> 3] & (1 << (row & 7)):
                latest[host[row]] = row
    return last
