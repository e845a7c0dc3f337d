# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Codes of deflate streams (RFC 1951, 3.2) as tables that a walk looks up.

An entry of the table of literals and lengths, whose index is the next bits of the stream, stands
for some literals, or for some literals (mostly none) and a match:

========== ==================================================================
bits 0-5   how many bits to drop, extra bits of the length included
bits 6-10  how many of them are codes; there the extra bits begin
bits 11-13 how many extra bits the length has
bit 14     a match: a distance follows
bit 15     the end of the block, or a code that the table does not know
bits 16-31 plain bytes, without what the extra bits add
========== ==================================================================

An entry of the table of distances is the bits to drop, extra bits included, or has bit 7. Codes
that are longer than an index are found one by one in the canonical code.
"""

from array import array

import cython

LIT_BITS = 10
DIST_BITS = 10
LENGTH_BITS = 7  # no code of a code length is longer

_MATCH = cython.declare(cython.uint, 1 << 14)
_SLOW = cython.declare(cython.uint, 1 << 15)
_NO_DIST = cython.declare(cython.uchar, 1 << 7)

# RFC 1951, 3.2.5: lengths less 3 and their extra bits for the codes 257..285; extra bits of the
# distances.
_LENGTHS = cython.declare(cython.uchar[::1])
_LENGTH_EXTRA = cython.declare(cython.uchar[::1])
_DIST_EXTRA = cython.declare(cython.uchar[::1])
_LENGTHS = array(
    "B",
    [
        *(0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28),
        *(32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 255),
    ],
)
_LENGTH_EXTRA = array("B", [*[0] * 8, *[1] * 4, *[2] * 4, *[3] * 4, *[4] * 4, *[5] * 4, 0])
_DIST_EXTRA = array("B", [0, 0, *(i // 2 for i in range(28))])


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def length_extra(symbol: cython.int) -> cython.int:
    """Return how many extra bits a length code has, 257..285."""
    return _LENGTH_EXTRA[symbol - 257]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def length_base(symbol: cython.int) -> cython.uint:
    """Return the plain bytes of a length code, 257..285, without what its extra bits add."""
    return 3 + _LENGTHS[symbol - 257]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def dist_extra(symbol: cython.int) -> cython.int:
    """Return how many extra bits a distance code has, 0..29."""
    return _DIST_EXTRA[symbol]


@cython.cclass
class Code:
    """A canonical Huffman code of at most 320 symbols and 15 bits.

    A code that leaves bits without a meaning is no error: who meets them is told then.
    """

    def __init__(self) -> None:
        self.counts = array("H", bytes(2 * 17))  # by length
        self.firsts = array("H", bytes(2 * 17))  # the first code of each length
        self.places = array("H", bytes(2 * 17))  # while it is set: the next place in symbols
        self.symbols = array("H", bytes(2 * 320))  # in the order of their codes

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def set(self, lengths: cython.uchar[::1], begin: cython.int, n: cython.int) -> cython.bint:
        """Take the lengths of n codes; False if there are more codes than their lengths allow."""
        i: cython.int
        for i in range(16):
            self.counts[i] = 0
        for i in range(begin, begin + n):
            self.counts[lengths[i]] += 1
        self.counts[0] = 0
        left: cython.int = 1
        code: cython.int = 0
        place: cython.int = 0
        for i in range(1, 16):
            left = (left << 1) - self.counts[i]
            if left < 0:
                return False
            code = (code + self.counts[i - 1]) << 1
            self.firsts[i] = code & 0xFFFF
            self.places[i] = place
            place += self.counts[i]
        for i in range(n):
            if lengths[begin + i]:
                self.symbols[self.places[lengths[begin + i]]] = i
                self.places[lengths[begin + i]] += 1
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def find(self, bits: cython.ulonglong, n_bits: cython.int, shift: cython.int) -> cython.int:
        """Return length << 16 | symbol of the code that begins ``shift`` bits from here.

        -1 if the ``n_bits`` do not hold the whole of it, -2 if no symbol has it.
        """
        code: cython.int = 0
        first: cython.int = 0
        place: cython.int = 0
        length: cython.int
        for length in range(1, 16):
            if shift + length > n_bits:
                return -1
            code |= cython.cast(cython.int, (bits >> (shift + length - 1)) & 1)
            if code < first + self.counts[length]:
                return (length << 16) | self.symbols[place + code - first]
            place += self.counts[length]
            first = (first + self.counts[length]) << 1
            code <<= 1
        return -2


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _reverse(code: cython.uint, length: cython.uint) -> cython.uint:
    """Return the ``length`` (at most 16) bits of a code in reverse: streams begin at bit 0."""
    code = ((code & 0x5555) << 1) | ((code >> 1) & 0x5555)
    code = ((code & 0x3333) << 2) | ((code >> 2) & 0x3333)
    code = ((code & 0x0F0F) << 4) | ((code >> 4) & 0x0F0F)
    code = ((code & 0x00FF) << 8) | (code >> 8)
    return code >> (16 - length)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _entry(symbol: cython.int, length: cython.uint) -> cython.uint:
    """Return the table entry of one symbol."""
    if symbol < 256:
        return (1 << 16) | (length << 6) | length
    if symbol == 256 or symbol > 285:  # RFC 1951 reserves 286 and 287
        return _SLOW
    extra: cython.uint = length_extra(symbol)
    return (length_base(symbol) << 16) | _MATCH | (extra << 11) | (length << 6) | (length + extra)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def fill_literals(code: Code, single: cython.uint[::1], table: cython.uint[::1]) -> cython.void:
    """Fill the table of literals and lengths; ``single`` is room of the same size."""
    size: cython.uint = cython.cast(cython.uint, 1) << LIT_BITS
    length: cython.uint
    first: cython.uint
    i: cython.uint
    j: cython.uint
    k: cython.uint = 0
    entry: cython.uint
    follow: cython.uint
    room: cython.uint
    for i in range(size):
        single[i] = _SLOW
    for length in range(1, LIT_BITS + 1):
        first = code.firsts[length]
        for j in range(first, first + code.counts[length]):
            entry = _entry(code.symbols[k], length)
            k += 1
            i = _reverse(j, length)
            while i < size:
                single[i] = entry
                i += cython.cast(cython.uint, 1) << length
    # An index without its first literal's bits is a smaller index, whose entry is joined already.
    # It can be joined to ours if its codes lie within the bits that our index has left.
    for i in range(size):
        entry = single[i]
        if entry >> 14 == 4:  # one literal
            j = entry & 63
            room = LIT_BITS - j
            follow = table[i >> j] if i else single[0]
            if ((follow >> 6) & 31) > room:
                follow = single[i >> j]
            if not follow & _SLOW and ((follow >> 6) & 31) <= room:
                entry += follow  # field by field: none is large enough to reach into the next
        table[i] = entry


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def fill_distances(code: Code, table: cython.uchar[::1]) -> cython.void:
    """Fill the table of distances."""
    size: cython.uint = cython.cast(cython.uint, 1) << DIST_BITS
    length: cython.uint
    first: cython.uint
    entry: cython.uchar
    i: cython.uint
    j: cython.uint
    k: cython.uint = 0
    for i in range(size):
        table[i] = _NO_DIST
    for length in range(1, DIST_BITS + 1):
        first = code.firsts[length]
        for j in range(first, first + code.counts[length]):
            # RFC 1951 reserves 30 and 31.
            entry = length + _DIST_EXTRA[code.symbols[k]] if code.symbols[k] < 30 else _NO_DIST
            k += 1
            i = _reverse(j, length)
            while i < size:
                table[i] = entry
                i += cython.cast(cython.uint, 1) << length


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def fill_lengths(code: Code, table: cython.uchar[::1]) -> cython.void:
    """Fill a table of code lengths: length of the code << 5 | symbol, 0 where there is none."""
    size: cython.uint = cython.cast(cython.uint, 1) << LENGTH_BITS
    length: cython.uint
    first: cython.uint
    i: cython.uint
    j: cython.uint
    k: cython.uint = 0
    for i in range(size):
        table[i] = 0
    for length in range(1, LENGTH_BITS + 1):
        first = code.firsts[length]
        for j in range(first, first + code.counts[length]):
            i = _reverse(j, length)
            while i < size:
                table[i] = (length << 5) | code.symbols[k]
                i += cython.cast(cython.uint, 1) << length
            k += 1
