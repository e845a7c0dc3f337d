cdef int LIT_BITS
cdef int DIST_BITS
cdef int LENGTH_BITS

cdef class Code:
    cdef unsigned short[::1] counts
    cdef unsigned short[::1] symbols
    cdef unsigned short[::1] firsts
    cdef unsigned short[::1] places
    cdef bint set(self, unsigned char[::1] lengths, int begin, int n) noexcept nogil
    cdef int find(self, unsigned long long bits, int n_bits, int shift) noexcept nogil

cdef int length_extra(int symbol) noexcept nogil
cdef unsigned int length_base(int symbol) noexcept nogil
cdef int dist_extra(int symbol) noexcept nogil
cdef void fill_literals(Code code, unsigned int[::1] single, unsigned int[::1] table) noexcept nogil
cdef void fill_distances(Code code, unsigned char[::1] table) noexcept nogil
cdef void fill_lengths(Code code, unsigned char[::1] table) noexcept nogil
