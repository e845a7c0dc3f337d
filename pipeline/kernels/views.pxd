cdef bint is_ascii(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
cdef bint is_utf8(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
cdef void write_view(int *out, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
