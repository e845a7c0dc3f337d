# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Find where the blocks of a raw deflate stream (RFC 1951) begin, without inflating it.

A walk decodes symbols only to count: where a block begins, in stored bits, and how many plain bytes
precede it. Text has ten and more plain bytes a pair of symbols, so that costs less than inflating.
The stored bytes come in pieces of any length; what was read of a symbol that a piece does not
complete stays in the bit buffer. A walk never judges distances, since it has no plain bytes to look
back to: the decoder that runs beside it does.
"""

import sys
from array import array

import cython

if cython.compiled:
    from cython.cimports.libc.string import memcpy
    from cython.cimports.pipeline.kernels.huffman import (
        DIST_BITS,
        LENGTH_BITS,
        LIT_BITS,
        Code,
        dist_extra,
        fill_distances,
        fill_lengths,
        fill_literals,
        length_base,
        length_extra,
    )
else:
    from pipeline.kernels.huffman import (
        DIST_BITS,
        LENGTH_BITS,
        LIT_BITS,
        Code,
        dist_extra,
        fill_distances,
        fill_lengths,
        fill_literals,
        length_base,
        length_extra,
    )

COMPILED = cython.compiled

_IS_LITTLE_ENDIAN = cython.declare(cython.bint, sys.byteorder == "little")

# What the next bits of the stream are.
_HEADER = cython.declare(cython.int, 0)
_STORED_LENGTH = cython.declare(cython.int, 1)
_STORED = cython.declare(cython.int, 2)
_COUNTS = cython.declare(cython.int, 3)
_CODE_LENGTHS = cython.declare(cython.int, 4)
_LENGTHS = cython.declare(cython.int, 5)
_SYMBOLS = cython.declare(cython.int, 6)
_DONE = cython.declare(cython.int, 7)
_FAILED = cython.declare(cython.int, 8)

# What a step says.
_GO_ON = cython.declare(cython.int, 0)
_HUNGRY = cython.declare(cython.int, 1)
_POINT = cython.declare(cython.int, 2)

# RFC 1951, 3.2.7: the order in which code lengths of code lengths come.
_ORDER = cython.declare(cython.uchar[::1])
_ORDER = array("B", [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15])


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _word(data: cython.const[cython.uchar][::1], i: cython.Py_ssize_t) -> cython.ulonglong:
    """Return 8 bytes as a number, on a machine that stores the lowest first."""
    word: cython.ulonglong = 0
    if cython.compiled:
        memcpy(cython.address(word), cython.address(data[i]), 8)
    else:
        word = int.from_bytes(data[i : i + 8], "little")
    return word


@cython.cclass
class Walker:
    """A walk through the raw deflate streams of one file, in their order.

    Parameters
    ----------
    spacing : int
        Plain bytes between two seek points, at least 1. The first is a block at least this far
        into the file.
    """

    plain: cython.ulonglong
    next_point: cython.ulonglong
    spacing: cython.ulonglong
    base: cython.ulonglong  # stored bits before the present piece
    bits: cython.ulonglong
    n_bits: cython.int
    state: cython.int
    is_last: cython.bint
    is_fixed: cython.bint  # the tables hold the fixed codes
    left: cython.uint  # plain bytes of a stored block
    n_lit: cython.int
    n_dist: cython.int
    n_code: cython.int
    at: cython.int
    pos: cython.Py_ssize_t
    lengths: cython.uchar[::1]
    lit: cython.uint[::1]
    single: cython.uint[::1]
    dist: cython.uchar[::1]
    lit_code: Code
    dist_code: Code

    def __init__(self, spacing: int) -> None:
        if spacing < 1:
            raise ValueError(f"spacing must be at least 1 plain byte, got {spacing}")
        self.spacing = spacing
        self.next_point = spacing
        self.plain = 0
        self.is_fixed = False
        self.lengths = array("B", bytes(320))
        self.lit = array("I", bytes(4 << LIT_BITS))
        self.single = array("I", bytes(4 << LIT_BITS))
        self.dist = array("B", bytes(1 << DIST_BITS))
        self.lit_code = Code()
        self.dist_code = Code()
        self.begin(0)

    @property
    def plain_offset(self) -> int:
        """Plain bytes of all streams so far."""
        return self.plain

    @property
    def done(self) -> bool:
        """The stream has ended."""
        return self.state == _DONE

    @property
    def failed(self) -> bool:
        """The bits are no deflate stream."""
        return self.state == _FAILED

    def begin(self, stored_offset: int) -> None:
        """Begin a new stream at a stored offset, which seek points count from."""
        self.base = stored_offset * 8
        self.bits = 0
        self.n_bits = 0
        self.is_last = False
        self.left = 0
        self.at = 0
        self.pos = 0
        self.state = _HEADER

    def walk(self, piece: object) -> tuple[int, list[tuple[int, int]]]:
        """Take in the next stored bytes of the stream, without the GIL.

        Parameters
        ----------
        piece : bytes-like
            Must not change while this runs.

        Returns
        -------
        int
            Bytes of the piece that belong to the stream: all, unless it has ended in it.
        list of (int, int)
            Seek points that were found: stored bit offset and plain offset of a block's begin.
        """
        data: cython.const[cython.uchar][::1] = piece
        n: cython.Py_ssize_t = len(piece)
        points: list = []
        event: cython.int
        self.pos = 0
        while True:
            with cython.nogil:
                event = self._run(data, n)
            if event != _POINT:
                break
            points.append((self.base + 8 * self.pos - self.n_bits, self.plain))
        used = self.pos
        if self.state == _DONE:
            # What is left in the bit buffer is of this piece: it would have ended before otherwise.
            used = self.pos - (self.n_bits >> 3)
            self.n_bits = 0
            self.bits = 0
        self.base += 8 * used
        return used, points

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _run(self, data: cython.const[cython.uchar][::1], n: cython.Py_ssize_t) -> cython.int:
        """Go on to the next seek point, the end of the stream or the end of the piece."""
        event: cython.int
        while self.state < _DONE:
            if self.state == _HEADER and self.plain >= self.next_point:
                self.next_point = self.plain + self.spacing
                return _POINT
            if self.state == _STORED and self.n_bits == 0:
                if self.pos == n:
                    return _HUNGRY
                self._skip_stored(n)
                continue
            if self.state == _SYMBOLS and n - self.pos >= 8 and _IS_LITTLE_ENDIAN:
                self._take_symbols(data, n)
            # No item needs more than 48 bits, so that a full buffer always holds the next one.
            while self.n_bits <= 56 and self.pos < n and self.state != _STORED:
                self.bits |= cython.cast(cython.ulonglong, data[self.pos]) << self.n_bits
                self.n_bits += 8
                self.pos += 1
            event = self._step()
            if event == _HUNGRY and self.pos == n:
                return _HUNGRY
        return _GO_ON

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _skip_stored(self, n: cython.Py_ssize_t) -> cython.void:
        """Pass over the plain bytes of a stored block; the bit buffer is empty."""
        length: cython.Py_ssize_t = min(cython.cast(cython.Py_ssize_t, self.left), n - self.pos)
        self.pos += length
        self.plain += length
        self.left -= cython.cast(cython.uint, length)
        if self.left == 0:
            self._end_block()

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _end_block(self) -> cython.void:
        self.state = _DONE if self.is_last else _HEADER

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _drop(self, length: cython.int) -> cython.void:
        self.bits >>= length
        self.n_bits -= length

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _refuse(self, found: cython.int) -> cython.int:
        if found == -1:
            return _HUNGRY
        self.state = _FAILED
        return _GO_ON

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _step(self) -> cython.int:
        """Take one item from the bit buffer, or nothing if it does not hold the whole of it."""
        if self.state == _SYMBOLS:
            return self._take_symbol()
        if self.state == _LENGTHS:
            return self._take_lengths()
        if self.state == _HEADER:
            return self._take_header()
        if self.state == _CODE_LENGTHS:
            return self._take_code_length()
        if self.state == _COUNTS:
            return self._take_counts()
        if self.state == _STORED_LENGTH:
            return self._take_stored_length()
        # Plain bytes of a stored block that had come into the bit buffer.
        if self.n_bits < 8:
            return _HUNGRY
        self._drop(8)
        self.left -= 1
        self.plain += 1
        if self.left == 0:
            self._end_block()
        return _GO_ON

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _take_header(self) -> cython.int:
        if self.n_bits < 3:
            return _HUNGRY
        kind: cython.int = cython.cast(cython.int, (self.bits >> 1) & 3)
        self.is_last = self.bits & 1
        self._drop(3)
        if kind == 0:
            # Bytes come in whole, so these are the bits left of the present one.
            self._drop(self.n_bits & 7)
            self.state = _STORED_LENGTH
        elif kind == 1:
            self._set_fixed()
        elif kind == 2:
            self.state = _COUNTS
        else:
            self.state = _FAILED
        return _GO_ON

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _take_stored_length(self) -> cython.int:
        if self.n_bits < 32:
            return _HUNGRY
        length: cython.uint = self.bits & 0xFFFF
        check: cython.uint = (self.bits >> 16) & 0xFFFF
        if length != (check ^ 0xFFFF):
            return self._refuse(-2)
        self._drop(32)
        self.left = length
        self.state = _STORED
        if length == 0:
            self._end_block()
        return _GO_ON

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _take_counts(self) -> cython.int:
        i: cython.int
        if self.n_bits < 14:
            return _HUNGRY
        self.n_lit = cython.cast(cython.int, self.bits & 31) + 257
        self.n_dist = cython.cast(cython.int, (self.bits >> 5) & 31) + 1
        self.n_code = cython.cast(cython.int, (self.bits >> 10) & 15) + 4
        if self.n_lit > 286 or self.n_dist > 30:
            return self._refuse(-2)
        self._drop(14)
        for i in range(19):
            self.lengths[i] = 0
        self.at = 0
        self.state = _CODE_LENGTHS
        return _GO_ON

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _take_code_length(self) -> cython.int:
        if self.n_bits < 3:
            return _HUNGRY
        self.lengths[_ORDER[self.at]] = cython.cast(cython.uchar, self.bits & 7)
        self._drop(3)
        self.at += 1
        if self.at < self.n_code:
            return _GO_ON
        # The code of code lengths lives where that of the distances will.
        if not self.dist_code.set(self.lengths, 0, 19):
            return self._refuse(-2)
        fill_lengths(self.dist_code, self.dist)
        self.is_fixed = False
        self.at = 0
        self.state = _LENGTHS
        return _GO_ON

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _take_lengths(self) -> cython.int:
        """Take one code length, or a run of them, of the literals and distances."""
        entry: cython.int = self.dist[self.bits & ((1 << LENGTH_BITS) - 1)]
        symbol: cython.int = entry & 31
        used: cython.int = entry >> 5
        if entry == 0 and self.n_bits >= LENGTH_BITS:
            return self._refuse(-2)
        extra: cython.int = 0
        if symbol >= 16:
            extra = 2 if symbol == 16 else 3 if symbol == 17 else 7
        if entry == 0 or used + extra > self.n_bits:
            return _HUNGRY
        repeat: cython.int = 1
        value: cython.uchar = 0
        if symbol < 16:
            value = cython.cast(cython.uchar, symbol)
        else:
            repeat = cython.cast(cython.int, (self.bits >> used) & ((1 << extra) - 1))
            repeat += 11 if symbol == 18 else 3
            if symbol == 16:
                if self.at == 0:
                    return self._refuse(-2)
                value = self.lengths[self.at - 1]
        if self.at + repeat > self.n_lit + self.n_dist:
            return self._refuse(-2)
        self._drop(used + extra)
        while repeat:
            self.lengths[self.at] = value
            self.at += 1
            repeat -= 1
        if self.at == self.n_lit + self.n_dist:
            self._make_tables()
        return _GO_ON

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _set_fixed(self) -> cython.void:
        i: cython.int
        if self.is_fixed:
            self.state = _SYMBOLS
            return
        for i in range(288):
            self.lengths[i] = 8 if i < 144 or i >= 280 else 9 if i < 256 else 7
        for i in range(288, 320):
            self.lengths[i] = 5
        self.n_lit = 288
        self.n_dist = 32
        self._make_tables()
        self.is_fixed = True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _make_tables(self) -> cython.void:
        if not self.lit_code.set(self.lengths, 0, self.n_lit) or not self.dist_code.set(
            self.lengths, self.n_lit, self.n_dist
        ):
            self.state = _FAILED
            return
        fill_literals(self.lit_code, self.single, self.lit)
        fill_distances(self.dist_code, self.dist)
        self.state = _SYMBOLS

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _take_symbol(self) -> cython.int:
        """Take a literal, a match or the end of the block, by the canonical codes."""
        found: cython.int = self.lit_code.find(self.bits, self.n_bits, 0)
        if found < 0:
            return self._refuse(found)
        symbol: cython.int = found & 0xFFFF
        used: cython.int = found >> 16
        if symbol <= 256:
            self._drop(used)
            if symbol == 256:
                self._end_block()
            else:
                self.plain += 1
            return _GO_ON
        if symbol > 285:
            return self._refuse(-2)
        extra: cython.int = length_extra(symbol)
        found = self.dist_code.find(self.bits, self.n_bits, used + extra)
        if found < 0:
            return self._refuse(found)
        if (found & 0xFFFF) >= 30:
            return self._refuse(-2)
        skip: cython.int = used + extra + (found >> 16) + dist_extra(found & 0xFFFF)
        if skip > self.n_bits:
            return _HUNGRY
        self.plain += length_base(symbol) + ((self.bits >> used) & ((1 << extra) - 1))
        self._drop(skip)
        return _GO_ON

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _take_symbols(
        self, data: cython.const[cython.uchar][::1], n: cython.Py_ssize_t
    ) -> cython.void:
        """Take symbols while 8 stored bytes are left and the tables know what comes.

        Entries: see `pipeline.kernels.huffman`.
        """
        bits: cython.ulonglong = self.bits
        n_bits: cython.uint = self.n_bits
        plain: cython.ulonglong = self.plain
        pos: cython.Py_ssize_t = self.pos
        entry: cython.uint
        skip: cython.uint
        far: cython.uint
        rest: cython.ulonglong
        all_ones: cython.ulonglong = 0xFFFFFFFFFFFFFFFF
        lit_mask: cython.uint = (cython.cast(cython.uint, 1) << LIT_BITS) - 1
        dist_mask: cython.uint = (cython.cast(cython.uint, 1) << DIST_BITS) - 1
        lit: cython.uint[::1] = self.lit
        dist: cython.uchar[::1] = self.dist
        bits = (bits | (_word(data, pos) << n_bits)) & all_ones
        pos += (63 - n_bits) >> 3
        n_bits |= 56
        entry = lit[bits & lit_mask]
        while n - pos >= 8:
            # Afterwards 56 to 63 bits count. Those above are true as well, and will be OR-ed with
            # themselves when their byte comes in. An entry and its distance take 38 at most, so
            # that the next entry can be looked up before this, while the load is on its way.
            bits = (bits | (_word(data, pos) << n_bits)) & all_ones
            pos += (63 - n_bits) >> 3
            n_bits |= 56
            if entry & 0x8000:
                break
            skip = entry & 63
            rest = bits >> skip
            # No branch on whether it is a match: nothing could foretell it.
            far = dist[rest & dist_mask] & (0 - ((entry >> 14) & 1))
            if far & 0x80:
                break
            plain += (entry >> 16) + (
                (bits >> ((entry >> 6) & 31)) & ((1 << ((entry >> 11) & 7)) - 1)
            )
            bits = rest >> far
            n_bits -= skip + far
            entry = lit[bits & lit_mask]
        self.bits = bits & ((cython.cast(cython.ulonglong, 1) << n_bits) - 1)
        self.n_bits = n_bits
        self.plain = plain
        self.pos = pos
