cimport cython

@cython.final
cdef class Words:
    cdef readonly int n
    cdef object _held, _starts_held, _order_held, _first_held
    cdef unsigned char *_text
    cdef int *_starts
    cdef int *_order
    cdef int *_first
    cdef int find(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef int find_word(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
