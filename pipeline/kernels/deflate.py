# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Find where the blocks of a raw deflate stream (RFC 1951) begin, without inflating it.

A walk decodes symbols only to count: where a block begins, in stored bits, and how many plain bytes
precede it. Text has ten and more plain bytes a pair of symbols, so that costs much less than
inflating. The stored bytes come in pieces of any length; what was read of a symbol that the piece
does not complete stays in the bit buffer. A walk never judges distances, since it has no plain
bytes to look back to: the decoder that runs beside it does.
"""

from __future__ import annotations

import sys
from array import array

import cython

if cython.compiled:
    from cython.cimports.libc.string import memcpy

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

# An entry of the table of literals and lengths, indexed by the next bits of the stream, stands for
# some literals, or for some literals (none is usual) and a match:
#   bits 0-5    how many bits to drop, extra bits of the length included
#   bits 6-10   how many of them are codes, which is where the extra bits begin
#   bits 11-13  how many extra bits the length has
#   bit 14      a match: a distance follows
#   bit 15      the end of the block, or a code that the table does not know
#   bits 16-31  plain bytes, without what the extra bits add
# An entry of the table of distances is the bits to drop, extra bits included, or bit 7.
# Codes that are longer than an index go through the slow canonical decoder.
_LIT_BITS = cython.declare(cython.int, 10)
_DIST_BITS = cython.declare(cython.int, 10)
_MATCH = cython.declare(cython.uint, 1 << 14)
_SLOW = cython.declare(cython.uint, 1 << 15)
_NO_DIST = cython.declare(cython.uint, 1 << 7)

# RFC 1951, 3.2.5: base and extra bits of the length codes 257..285; extra bits of the distances.
_LENGTH_BASE = cython.declare(cython.uchar[::1])
_LENGTH_EXTRA = cython.declare(cython.uchar[::1])
_DIST_EXTRA = cython.declare(cython.uchar[::1])
_ORDER = cython.declare(cython.uchar[::1])
_LENGTH_BASE = array(
    "B",
    [
        *(3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31),
        *(35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 255),
    ],
)  # the last one is 258, which a byte does not hold: see _length_base
_LENGTH_EXTRA = array(
    "B", [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
)
_DIST_EXTRA = array(
    "B",
    [
        *(0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6),
        *(7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13),
    ],
)
_ORDER = array("B", [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15])


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _length_base(symbol: cython.int) -> cython.uint:
    return 258 if symbol == 285 else _LENGTH_BASE[symbol - 257]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _entry(symbol: cython.int, length: cython.uint) -> cython.uint:
    """Return the table entry of one literal, length or end symbol."""
    if symbol < 256:
        return (1 << 16) | (length << 6) | length
    if symbol == 256:
        return _SLOW
    if symbol > 285:
        return _SLOW
    extra: cython.uint = _LENGTH_EXTRA[symbol - 257]
    base: cython.uint = _length_base(symbol)
    return (base << 16) | _MATCH | (extra << 11) | (length << 6) | (length + extra)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _reverse(code: cython.uint, length: cython.uint) -> cython.uint:
    """Return the lowest ``length`` (at most 16) bits of a code in reverse order."""
    code = ((code & 0x5555) << 1) | ((code >> 1) & 0x5555)
    code = ((code & 0x3333) << 2) | ((code >> 2) & 0x3333)
    code = ((code & 0x0F0F) << 4) | ((code >> 4) & 0x0F0F)
    code = ((code & 0x00FF) << 8) | (code >> 8)
    return code >> (16 - length)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _canonical(
    lengths: cython.uchar[::1],
    begin: cython.int,
    n: cython.int,
    counts: cython.ushort[::1],
    sorted_symbols: cython.ushort[::1],
    starts: cython.ushort[::1],
) -> cython.bint:
    """Sort the symbols by code; False if there are more codes than their lengths allow.

    ``counts[l]`` becomes the number of codes of length l, ``starts[l]`` the first code of it.
    A set with unused codes is no error here: the walk fails when it meets one.
    """
    i: cython.int
    for i in range(16):
        counts[i] = 0
    for i in range(n):
        counts[lengths[begin + i]] += 1
    counts[0] = 0
    left: cython.int = 1
    code: cython.int = 0
    for i in range(1, 16):
        left = (left << 1) - counts[i]
        if left < 0:
            return False
        code = (code + counts[i - 1]) << 1
        starts[i] = code & 0xFFFF
    # In the first 16 places of the second half of starts: where a length's symbols begin.
    starts[16 + 1] = 0
    for i in range(1, 15):
        starts[16 + i + 1] = starts[16 + i] + counts[i]
    for i in range(n):
        if lengths[begin + i]:
            sorted_symbols[starts[16 + lengths[begin + i]]] = i
            starts[16 + lengths[begin + i]] += 1
    return True


@cython.cclass
class Walker:
    """A walk through the raw deflate streams of one file, in their order.

    Parameters
    ----------
    spacing : int
        Plain bytes between two seek points, at least 1. The first is a stream's begin or a block
        at least this far into the file.

    Attributes
    ----------
    plain_offset : int
        Plain bytes of all streams so far.
    done, failed : bool
        The stream has ended; it can't be a deflate stream.
    """

    plain: cython.ulonglong
    next_point: cython.ulonglong
    spacing: cython.ulonglong
    base: cython.ulonglong  # stored bits before the present piece
    bits: cython.ulonglong
    n_bits: cython.int
    state: cython.int
    is_last: cython.bint
    left: cython.uint  # plain bytes of a stored block
    n_lit: cython.int
    n_dist: cython.int
    n_code: cython.int
    at: cython.int
    pos: cython.Py_ssize_t
    is_fixed: cython.bint  # the tables hold the fixed codes
    lengths: cython.uchar[::1]
    lit: cython.uint[::1]
    single: cython.uint[::1]
    dist: cython.uchar[::1]
    lit_counts: cython.ushort[::1]
    lit_starts: cython.ushort[::1]
    lit_symbols: cython.ushort[::1]
    dist_counts: cython.ushort[::1]
    dist_starts: cython.ushort[::1]
    dist_symbols: cython.ushort[::1]

    def __init__(self, spacing: int) -> None:
        if spacing < 1:
            raise ValueError(f"spacing must be at least 1 plain byte, got {spacing}")
        self.spacing = spacing
        self.next_point = spacing
        self.plain = 0
        self.lengths = array("B", bytes(320 + 32))
        self.lit = array("I", bytes(4 << _LIT_BITS))
        self.single = array("I", bytes(4 << _LIT_BITS))
        self.dist = array("B", bytes(1 << _DIST_BITS))
        self.lit_counts = array("H", bytes(2 * 16))
        self.lit_starts = array("H", bytes(2 * 33))
        self.lit_symbols = array("H", bytes(2 * 320))
        self.dist_counts = array("H", bytes(2 * 16))
        self.dist_starts = array("H", bytes(2 * 33))
        self.dist_symbols = array("H", bytes(2 * 320))
        self.is_fixed = False
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
            Not changed while this runs.

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
            # The bit buffer was filled from this piece: it would have ended before, otherwise.
            used = self.pos - (self.n_bits >> 3)
            self.n_bits = 0
            self.bits = 0
        self.base += 8 * used
        return used, points

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _run(self, data: cython.const[cython.uchar][::1], n: cython.Py_ssize_t) -> cython.int:
        """Go on to the next seek point or the end of the piece."""
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
                self._fast(data, n)
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
    def _step(self) -> cython.int:
        """Take one item from the bit buffer, or nothing if it does not hold the whole of it."""
        if self.state == _SYMBOLS:
            return self._step_symbol()
        if self.state == _LENGTHS:
            return self._step_lengths()
        if self.state == _HEADER:
            return self._step_header()
        if self.state == _CODE_LENGTHS:
            if self.n_bits < 3:
                return _HUNGRY
            self.lengths[_ORDER[self.at]] = self.bits & 7
            self._drop(3)
            self.at += 1
            if self.at == self.n_code:
                self._begin_lengths()
        elif self.state == _COUNTS:
            if self.n_bits < 14:
                return _HUNGRY
            self._take_counts()
        elif self.state == _STORED_LENGTH:
            if self.n_bits < 32:
                return _HUNGRY
            self._take_stored_length()
        else:  # plain bytes of a stored block that were taken into the bit buffer
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
    def _step_header(self) -> cython.int:
        if self.n_bits < 3:
            return _HUNGRY
        kind: cython.int = (self.bits >> 1) & 3
        self.is_last = self.bits & 1
        self._drop(3)
        if kind == 0:
            # n_bits counts whole bytes taken in, so this drops what is left of the present one.
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
    def _take_stored_length(self) -> cython.void:
        length: cython.uint = self.bits & 0xFFFF
        check: cython.uint = (self.bits >> 16) & 0xFFFF
        self._drop(32)
        if length != (check ^ 0xFFFF):
            self.state = _FAILED
            return
        self.left = length
        self.state = _STORED
        if length == 0:
            self._end_block()

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _take_counts(self) -> cython.void:
        i: cython.int
        self.n_lit = cython.cast(cython.int, self.bits & 31) + 257
        self.n_dist = cython.cast(cython.int, (self.bits >> 5) & 31) + 1
        self.n_code = cython.cast(cython.int, (self.bits >> 10) & 15) + 4
        self._drop(14)
        if self.n_lit > 286 or self.n_dist > 30:
            self.state = _FAILED
            return
        for i in range(19):
            self.lengths[i] = 0
        self.at = 0
        self.state = _CODE_LENGTHS

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _begin_lengths(self) -> cython.void:
        """Make the code of code lengths; it lives in the tables of distances until it's done."""
        self.is_fixed = False
        self.at = 0
        self.state = _LENGTHS
        if not _canonical(
            self.lengths, 0, 19, self.dist_counts, self.dist_symbols, self.dist_starts
        ):
            self.state = _FAILED

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _step_lengths(self) -> cython.int:
        """Take one code length, or a run of them, of the literals and distances."""
        found: cython.int = self._find_code(0, self.dist_counts, self.dist_symbols)
        if found < 0:
            return self._refuse(found)
        symbol: cython.int = found & 0xFFFF
        used: cython.int = found >> 16
        repeat: cython.int = 1
        value: cython.uchar = 0
        extra: cython.int = 0
        if symbol < 16:
            value = symbol
        else:
            extra = 2 if symbol == 16 else 3 if symbol == 17 else 7
            if self.n_bits < used + extra:
                return _HUNGRY
            repeat = cython.cast(cython.int, (self.bits >> used) & ((1 << extra) - 1))
            repeat += 11 if symbol == 18 else 3
            if symbol == 16:
                if self.at == 0:
                    self.state = _FAILED
                    return _GO_ON
                value = self.lengths[self.at - 1]
        self._drop(used + extra)
        if self.at + repeat > self.n_lit + self.n_dist:
            self.state = _FAILED
            return _GO_ON
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
        for i in range(32):
            self.lengths[288 + i] = 5
        self.n_lit = 288
        self.n_dist = 32
        self._make_tables()
        self.is_fixed = True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _make_tables(self) -> cython.void:
        self.state = _SYMBOLS
        if not _canonical(
            self.lengths, 0, self.n_lit, self.lit_counts, self.lit_symbols, self.lit_starts
        ) or not _canonical(
            self.lengths,
            self.n_lit,
            self.n_dist,
            self.dist_counts,
            self.dist_symbols,
            self.dist_starts,
        ):
            self.state = _FAILED
            return
        self._make_literals()
        self._make_distances()

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _make_literals(self) -> cython.void:
        """Fill the table of single symbols, then join those that an index holds together."""
        size: cython.uint = cython.cast(cython.uint, 1) << _LIT_BITS
        length: cython.uint
        code: cython.uint
        i: cython.uint
        j: cython.uint
        k: cython.uint = 0
        entry: cython.uint
        follow: cython.uint
        room: cython.uint
        single: cython.uint[::1] = self.single
        lit: cython.uint[::1] = self.lit
        for i in range(size):
            single[i] = _SLOW
        for length in range(1, _LIT_BITS + 1):
            code = self.lit_starts[length]
            for j in range(self.lit_counts[length]):
                entry = _entry(self.lit_symbols[k], length)
                k += 1
                i = _reverse(code, length)
                code += 1
                while i < size:
                    single[i] = entry
                    i += cython.cast(cython.uint, 1) << length
        # A literal's index, shifted by its code, is a smaller index, whose entry is already
        # joined. It is ours as well if its codes lie within the bits that the index still has.
        for i in range(size):
            entry = single[i]
            if entry >> 14 == 4:  # one literal
                j = entry & 63
                room = _LIT_BITS - j
                follow = lit[i >> j] if i else single[0]
                if ((follow >> 6) & 31) > room:
                    follow = single[i >> j]
                if not follow & _SLOW and ((follow >> 6) & 31) <= room:
                    entry += follow  # field by field: no sum overflows into the next field
            lit[i] = entry

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _make_distances(self) -> cython.void:
        size: cython.uint = cython.cast(cython.uint, 1) << _DIST_BITS
        length: cython.uint
        code: cython.uint
        symbol: cython.uint
        skip: cython.uint
        i: cython.uint
        j: cython.uint
        k: cython.uint = 0
        dist: cython.uchar[::1] = self.dist
        for i in range(size):
            dist[i] = _NO_DIST
        for length in range(1, _DIST_BITS + 1):
            code = self.dist_starts[length]
            for j in range(self.dist_counts[length]):
                symbol = self.dist_symbols[k]
                k += 1
                skip = length + _DIST_EXTRA[symbol] if symbol < 30 else _NO_DIST
                i = _reverse(code, length)
                code += 1
                while i < size:
                    dist[i] = skip
                    i += cython.cast(cython.uint, 1) << length

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _find_code(
        self, shift: cython.int, counts: cython.ushort[::1], symbols: cython.ushort[::1]
    ) -> cython.int:
        """Return length << 16 | symbol of the code ``shift`` bits from here.

        -1 if the bit buffer does not hold it, -2 if no symbol has it.
        """
        code: cython.int = 0
        first: cython.int = 0
        index: cython.int = 0
        length: cython.int
        for length in range(1, 16):
            if shift + length > self.n_bits:
                return -1
            code |= cython.cast(cython.int, (self.bits >> (shift + length - 1)) & 1)
            if code < first + counts[length]:
                return (length << 16) | symbols[index + code - first]
            index += counts[length]
            first = (first + counts[length]) << 1
            code <<= 1
        return -2

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
    def _step_symbol(self) -> cython.int:
        """Take a literal, a match or the end of the block, by the canonical codes."""
        found: cython.int = self._find_code(0, self.lit_counts, self.lit_symbols)
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
        extra: cython.int = _LENGTH_EXTRA[symbol - 257]
        found = self._find_code(used + extra, self.dist_counts, self.dist_symbols)
        if found < 0:
            return self._refuse(found)
        if (found & 0xFFFF) >= 30:
            return self._refuse(-2)
        skip: cython.int = used + extra + (found >> 16) + _DIST_EXTRA[found & 0xFFFF]
        if skip > self.n_bits:
            return _HUNGRY
        self.plain += _length_base(symbol) + ((self.bits >> used) & ((1 << extra) - 1))
        self._drop(skip)
        return _GO_ON

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _fast(self, data: cython.const[cython.uchar][::1], n: cython.Py_ssize_t) -> cython.void:
        """Take symbols by the tables while 8 stored bytes are left and the tables know them."""
        bits: cython.ulonglong = self.bits
        n_bits: cython.uint = self.n_bits
        plain: cython.ulonglong = self.plain
        pos: cython.Py_ssize_t = self.pos
        entry: cython.uint
        skip: cython.uint
        far: cython.uint
        rest: cython.ulonglong
        all_ones: cython.ulonglong = 0xFFFFFFFFFFFFFFFF
        slow: cython.uint = 1 << 15  # local, for the compiler: _SLOW and _NO_DIST
        no_dist: cython.uint = 1 << 7
        lit_mask: cython.uint = (cython.cast(cython.uint, 1) << _LIT_BITS) - 1
        dist_mask: cython.uint = (cython.cast(cython.uint, 1) << _DIST_BITS) - 1
        lit: cython.uint[::1] = self.lit
        dist: cython.uchar[::1] = self.dist
        bits = (bits | (_word(data, pos) << n_bits)) & all_ones
        pos += (63 - n_bits) >> 3
        n_bits |= 56
        entry = lit[bits & lit_mask]
        while n - pos >= 8:
            # Afterwards 56 to 63 bits count. Those above are true as well, and will be OR-ed with
            # themselves when their byte is taken in. An entry and its distance take 40 at most, so
            # that the next entry can be looked up before this, while the load is on its way.
            bits = (bits | (_word(data, pos) << n_bits)) & all_ones
            pos += (63 - n_bits) >> 3
            n_bits |= 56
            if entry & slow:
                break
            skip = entry & 63
            rest = bits >> skip
            # No branch on whether it is a match: nothing could foretell it.
            far = dist[rest & dist_mask] & (0 - ((entry >> 14) & 1))
            if far & no_dist:
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


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _word(data: cython.const[cython.uchar][::1], i: cython.Py_ssize_t) -> cython.ulonglong:
    """Return 8 bytes as a number, on a machine that stores the lowest first."""
    word: cython.ulonglong = 0
    if cython.compiled:
        memcpy(cython.address(word), cython.address(data[i]), 8)
        return word
    else:
        return int.from_bytes(data[i : i + 8], "little")
