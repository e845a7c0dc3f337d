from pipeline.kernels.inner cimport Inner

cdef class TextOpener:
    cdef public Inner inner
    cdef bint _is_cri
    cdef Py_ssize_t _open(self, unsigned char *p, Py_ssize_t i, Py_ssize_t stop, long long offset, long long extra_bytes) noexcept nogil
    cdef bint _line(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e, long long offset, long long n_bytes) noexcept nogil
