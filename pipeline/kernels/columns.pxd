cdef class Texts:
    cdef public int n
    cdef long long _n_bytes
    cdef Py_ssize_t _capacity, _arena_bytes, _mask
    cdef unsigned long long _seed
    cdef tuple _held
    cdef int *_slots
    cdef unsigned long long *_hashes
    cdef long long *_starts
    cdef unsigned char *_arena
    cdef _allocate(self, Py_ssize_t capacity, Py_ssize_t arena_bytes)
    cdef int code(self, unsigned char *p, Py_ssize_t i, Py_ssize_t n) noexcept nogil
    cdef unsigned long long _hash(self, unsigned char *p, Py_ssize_t i, Py_ssize_t n) noexcept nogil

cdef class Column:
    cdef public int kind
    cdef public bint is_valid
    cdef object _held
    cdef bint _has_codes
    cdef unsigned char *_bytes
    cdef int *_ints
    cdef long long *_longs
    cdef unsigned char *_valid
    cdef long long *_codes
    cdef unsigned char *_data
    cdef unsigned char *_mended
    cdef bint is_null(self, Py_ssize_t row) noexcept nogil
    cdef int raw(self, Py_ssize_t row) noexcept nogil
    cdef long long word(self, Py_ssize_t row, Texts texts) noexcept nogil
