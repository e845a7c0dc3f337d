# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Find lines that equal one of the last lines before them: a table of keyed 128-bit hashes.

The hash is SipHash-2-4 with 128 bits, under a key that no writer of a log knows: nobody can make
two lines that differ look equal. Two tables take turns; when one is full the older one is emptied,
so that memory stays the same and each line of the window is in one of them.
"""

import cython

if cython.compiled:
    from cython.cimports.libc.string import memcpy, memset
    from cython.cimports.pipeline.kernels.spans import copy, move
else:
    from pipeline.kernels.spans import copy, move

from pipeline.memory import zeros

COMPILED = cython.compiled

_LOW_64 = 0xFFFFFFFFFFFFFFFF
_DIGITS = cython.declare(cython.int, 10)  # of a Unix time: a number is none with fewer
_INIT_0 = cython.declare(cython.ulonglong, 0x736F6D6570736575)
_INIT_1 = cython.declare(cython.ulonglong, 0x646F72616E646F6D)
_INIT_2 = cython.declare(cython.ulonglong, 0x6C7967656E657261)
_INIT_3 = cython.declare(cython.ulonglong, 0x7465646279746573)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _sum(x: cython.ulonglong, y: cython.ulonglong) -> cython.ulonglong:
    if cython.compiled:
        return x + y
    else:
        return (x + y) & _LOW_64


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _turn(x: cython.ulonglong, n: cython.int) -> cython.ulonglong:
    """Return x, turned n bits to the left."""
    if cython.compiled:
        return (x << n) | (x >> (64 - n))
    else:
        return ((x << n) | (x >> (64 - n))) & _LOW_64


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _word(p: cython.p_uchar, i: cython.Py_ssize_t, n: cython.int) -> cython.ulonglong:
    """Return p[i:i+n] as a number, at most eight bytes."""
    if cython.compiled:
        word: cython.ulonglong = 0
        if n == 8:
            memcpy(cython.address(word), p + i, 8)
        else:
            memcpy(cython.address(word), p + i, n)
        return word
    else:
        return int.from_bytes(p[i : i + n], "little")


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _holds_time(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.bint:
    """Tell whether a time of the day stands in p[i:e], as 10:00:00, or as a Unix time."""
    n: cython.int = 0  # digits in a row before the byte at hand
    pairs: cython.int = 0  # pairs of digits with a colon behind each
    k: cython.Py_ssize_t
    for k in range(i, e):
        if 48 <= p[k] <= 57:
            n += 1
            if n == _DIGITS or (n == 2 and pairs == 2):
                return True
        else:
            pairs = pairs + 1 if n >= 2 and p[k] == 58 else 0
            n = 0
    return False


@cython.final
@cython.cclass
class SeenLines:
    """The last lines of a file, as far as is needed to tell whether one comes again.

    Parameters
    ----------
    window : int
        A line is looked for among so many before it. A power of two; a table has twice the slots.
    key : bytes
        Sixteen random bytes that are kept secret.
    """

    window = cython.declare(cython.longlong, visibility="public")
    _mask: cython.Py_ssize_t
    _k0: cython.ulonglong
    _k1: cython.ulonglong
    _held: tuple
    _new: cython.p_ulonglong  # three words a slot: the hash, the number of the line; 0: empty
    _old: cython.p_ulonglong
    _n_new: cython.longlong
    _at: cython.ulonglong  # number of the line at hand, over all files
    _is_anchored: cython.bint  # the line before has a hash
    _h0: cython.ulonglong
    _h1: cython.ulonglong

    def __init__(self, window: cython.longlong, key):
        self.window = window
        self._mask = 2 * window - 1
        self._k0 = int.from_bytes(key[:8], "little")
        self._k1 = int.from_bytes(key[8:16], "little")
        new: cython.ulonglong[::1] = memoryview(zeros(48 * window)).cast("Q")
        old: cython.ulonglong[::1] = memoryview(zeros(48 * window)).cast("Q")
        self._held = (new, old)
        if cython.compiled:
            self._new = cython.address(new[0])
            self._old = cython.address(old[0])
        else:
            self._new, self._old = new, old
        self._n_new = 0
        self._at = 0
        self.begin_file()

    def begin_file(self):
        """Forget the lines of the file before."""
        # None of them is within the window any more; to clear the tables would cost more.
        self._at += self.window + 1
        self._is_anchored = False
        self._h0 = 0
        self._h1 = 0

    def mark(
        self,
        block: cython.uchar[::1],
        begins: cython.longlong[::1],
        n: cython.Py_ssize_t,
        stop: cython.Py_ssize_t,
        dated: cython.uchar[::1],
        is_cut: cython.bint,
        marks: cython.uchar[::1],
    ):
        """Mark which of some lines that follow each other are there already.

        A line with a time is told by its bytes; one without a time by those of all lines from the
        last one with a time on, to which it belongs.

        Parameters
        ----------
        block : writable buffer of unsigned bytes
            Holds the lines; the last ends at ``stop``. A line end at the very end of a line does
            not count.
        begins : buffer of int64
            Where each of the n lines begins in the block.
        dated : buffer of unsigned bytes
            A bit for each line: it has a time stamp. So has a JSON object with a time in it.
        is_cut : bool
            Only the begin of the last line is there: it equals none.
        marks : writable buffer of unsigned bytes
            Takes 1 for each line that is repeated, else 0.

        Returns
        -------
        int
            How many lines are repeated.
        """
        found: cython.Py_ssize_t
        if n == 0:
            return 0
        if cython.compiled:
            p: cython.p_uchar = cython.address(block[0])
            with cython.nogil:
                found = self._mark(
                    p,
                    cython.address(begins[0]),
                    n,
                    stop,
                    cython.address(dated[0]),
                    is_cut,
                    cython.address(marks[0]),
                )
        else:
            found = self._mark(block, begins, n, stop, dated, is_cut, marks)
        return found

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _mark(
        self,
        p: cython.p_uchar,
        begins: cython.p_longlong,
        n: cython.Py_ssize_t,
        stop: cython.Py_ssize_t,
        dated: cython.p_uchar,
        is_cut: cython.bint,
        marks: cython.p_uchar,
    ) -> cython.Py_ssize_t:
        row: cython.Py_ssize_t
        i: cython.Py_ssize_t
        e: cython.Py_ssize_t
        found: cython.Py_ssize_t = 0
        is_timed: cython.bint
        for row in range(n):
            self._at += 1
            marks[row] = 0
            i = begins[row]
            e = begins[row + 1] if row + 1 < n else stop
            if is_cut and row == n - 1:
                self._is_anchored = False
                continue
            if e > i and p[e - 1] == 10:
                e -= 1
            is_timed = (dated[row >> 3] >> (row & 7)) & 1
            if not is_timed and e > i and p[i] == 123:  # {
                is_timed = _holds_time(p, i, e)
            if not is_timed and not self._is_anchored:
                continue
            self._digest(p, i, e, not is_timed)
            self._is_anchored = True
            if self._take():
                marks[row] = 1
                found += 1
        return found

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _digest(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t, goes_on: cython.bint
    ) -> cython.void:
        """Make the hash of p[i:e]; ``goes_on``: behind the line before."""
        v0: cython.ulonglong = self._k0 ^ _INIT_0
        v1: cython.ulonglong = self._k1 ^ _INIT_1 ^ 0xEE
        v2: cython.ulonglong = self._k0 ^ _INIT_2
        v3: cython.ulonglong = self._k1 ^ _INIT_3
        m: cython.ulonglong
        first: cython.ulonglong = 0
        n: cython.Py_ssize_t = (e - i) // 8
        k: cython.Py_ssize_t
        _step: cython.int
        for k in range(-2 if goes_on else 0, n + 1):
            if k < 0:
                m = self._h0 if k == -2 else self._h1
            elif k < n:
                m = _word(p, i + 8 * k, 8)
            else:
                m = _word(p, i + 8 * n, cython.cast(cython.int, (e - i) % 8))
                m |= cython.cast(cython.ulonglong, (e - i) % 256) << 56
            v3 ^= m
            for _step in range(2):
                v0 = _sum(v0, v1)
                v2 = _sum(v2, v3)
                v1 = _turn(v1, 13) ^ v0
                v3 = _turn(v3, 16) ^ v2
                v0 = _turn(v0, 32)
                v2 = _sum(v2, v1)
                v0 = _sum(v0, v3)
                v1 = _turn(v1, 17) ^ v2
                v3 = _turn(v3, 21) ^ v0
                v2 = _turn(v2, 32)
            v0 ^= m
        v2 ^= 0xEE
        for _step in range(8):
            if _step == 4:
                first = v0 ^ v1 ^ v2 ^ v3
                v1 ^= 0xDD
            v0 = _sum(v0, v1)
            v2 = _sum(v2, v3)
            v1 = _turn(v1, 13) ^ v0
            v3 = _turn(v3, 16) ^ v2
            v0 = _turn(v0, 32)
            v2 = _sum(v2, v1)
            v0 = _sum(v0, v3)
            v1 = _turn(v1, 17) ^ v2
            v3 = _turn(v3, 21) ^ v0
            v2 = _turn(v2, 32)
        self._h0 = first
        self._h1 = v0 ^ v1 ^ v2 ^ v3

    def digest(self, text):
        """Return the hash of a text, as sixteen bytes."""
        held = bytearray(text) + b"\0"
        if cython.compiled:
            view: cython.uchar[::1] = held
            self._digest(cython.address(view[0]), 0, len(held) - 1, False)
        else:
            self._digest(memoryview(held), 0, len(held) - 1, False)
        return int(self._h0).to_bytes(8, "little") + int(self._h1).to_bytes(8, "little")

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _take(self) -> cython.bint:
        """Note the hash of the line at hand; tell whether it is in the window."""
        limit: cython.ulonglong = self.window
        at: cython.Py_ssize_t = 3 * cython.cast(cython.Py_ssize_t, self._h0 & self._mask)
        end: cython.Py_ssize_t = 3 * self._mask
        place: cython.Py_ssize_t = at
        is_seen: cython.bint = False
        while self._new[place + 2]:
            if self._new[place] == self._h0 and self._new[place + 1] == self._h1:
                is_seen = self._at - self._new[place + 2] <= limit
                self._new[place + 2] = self._at
                return is_seen
            place = place + 3 if place < end else 0
        self._new[place] = self._h0
        self._new[place + 1] = self._h1
        self._new[place + 2] = self._at
        self._n_new += 1
        while self._old[at + 2]:
            if self._old[at] == self._h0 and self._old[at + 1] == self._h1:
                is_seen = self._at - self._old[at + 2] <= limit
                break
            at = at + 3 if at < end else 0
        if self._n_new == self.window:
            self._turn_over()
        return is_seen

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _turn_over(self) -> cython.void:
        """Empty the older table and go on in it: what it holds is out of the window."""
        self._n_new = 0
        if cython.compiled:
            spare: cython.p_ulonglong = self._old
            self._old = self._new
            self._new = spare
            memset(self._new, 0, 48 * cython.cast(cython.Py_ssize_t, self.window))
        else:
            self._old, self._new = self._new, self._old
            self._new[:] = memoryview(bytes(48 * self.window)).cast("Q")


def copy_marked(
    block: cython.uchar[::1],
    begins: cython.longlong[::1],
    n: cython.Py_ssize_t,
    stop: cython.Py_ssize_t,
    marks: cython.uchar[::1],
    out: cython.uchar[::1],
):
    """Write the marked ones of n lines one after the other into ``out``; return where they end.

    Each gets a line end where it has none: ``out`` must have room for that.
    """
    row: cython.Py_ssize_t
    i: cython.Py_ssize_t
    e: cython.Py_ssize_t
    at: cython.Py_ssize_t = 0
    if cython.compiled:
        p: cython.p_uchar = cython.address(block[0])
        q: cython.p_uchar = cython.address(out[0])
    else:
        p, q = block, out
    for row in range(n):
        if marks[row]:
            i = begins[row]
            e = begins[row + 1] if row + 1 < n else stop
            copy(q, at, p, i, e - i)
            at += e - i
            if p[e - 1] != 10:
                q[at] = 10
                at += 1
    return at


def close_up(
    block: cython.uchar[::1],
    begins: cython.longlong[::1],
    n: cython.Py_ssize_t,
    stop: cython.Py_ssize_t,
    marks: cython.uchar[::1],
    at: cython.Py_ssize_t,
):
    """Move those of n lines that aren't marked to block[at:]; return where they end."""
    row: cython.Py_ssize_t
    begin: cython.Py_ssize_t = begins[0] if n else stop
    e: cython.Py_ssize_t
    if cython.compiled:
        p: cython.p_uchar = cython.address(block[0])
    else:
        p = block
    for row in range(n):  # lines in a row that stay are moved at once
        if marks[row]:
            e = begins[row]
            move(p, at, begin, e - begin)
            at += e - begin
            begin = begins[row + 1] if row + 1 < n else stop
    if at != begin:
        move(p, at, begin, stop - begin)
    return at + stop - begin


def close_up_numbers(
    numbers: cython.longlong[::1],
    row: cython.Py_ssize_t,
    n: cython.Py_ssize_t,
    marks: cython.uchar[::1],
    at: cython.Py_ssize_t,
):
    """Move those of numbers[row : row + n] that aren't marked to numbers[at:]; return the end."""
    k: cython.Py_ssize_t
    for k in range(n):
        if not marks[k]:
            numbers[at] = numbers[row + k]
            at += 1
    return at
