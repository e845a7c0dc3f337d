cimport cython

@cython.final
cdef class Columns:
    cdef public dict buffers
    cdef public int n_bad
    cdef public int max_rows
    cdef public unsigned long long mask
    cdef public bint is_clean
    cdef public int row
    cdef object _places_held
    cdef int *_places
    cdef int *_texts
    cdef unsigned char *_codes
    cdef long long *_ints
    cdef int *_template
    cdef unsigned char *_valid
    cdef int *_bad
    cdef int _n_texts, _n_codes, _n_ints, _n_built, _bits
    cdef bint wants(self, int column) noexcept nogil
    cdef void clear(self, int n_rows) noexcept nogil
    cdef void _mark(self, int place) noexcept nogil
    cdef void text(self, int column, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef void code(self, int column, int code) noexcept nogil
    cdef void number(self, int column, long long value) noexcept nogil
    cdef void template(self, int column, int code) noexcept nogil
