cimport cython

from pipeline.kernels.names cimport Interner

@cython.final
cdef class Templates:
    cdef public Interner names
    cdef object _held
    cdef unsigned char *_out
    cdef int _n
    cdef bint _is_full, _no_angle, _no_square
    cdef int code(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef void _write(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef Py_ssize_t _head(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef Py_ssize_t _token(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e, Py_ssize_t stop) noexcept nogil
    cdef void _put(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef void _close(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef void _tidy(self) noexcept nogil
    cdef bint _ends(self, const char *text, int n) noexcept nogil

cdef Py_ssize_t unwrapped(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
cdef Py_ssize_t host_end(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
cdef Py_ssize_t failed_host(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
