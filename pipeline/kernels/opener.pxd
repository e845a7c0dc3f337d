from pipeline.kernels.envelope_fields cimport MAX_TEXT
from pipeline.kernels.inner cimport Inner
from pipeline.kernels.spans cimport find

cdef class Opener:
    cdef public Inner inner
    cdef long long extra_bytes
    cdef bint is_last
    cpdef begin(self)
    cdef Py_ssize_t _open(self, unsigned char *p, Py_ssize_t i, Py_ssize_t stop, long long offset) noexcept nogil
    cdef bint _keep(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e, Py_ssize_t end, long long offset) noexcept nogil

cdef class LineOpener(Opener):
    cdef bint _line(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e, long long offset, long long n_bytes) noexcept nogil

cdef inline Py_ssize_t line_end(unsigned char *p, Py_ssize_t i, Py_ssize_t stop, bint is_last) noexcept nogil:
    cdef Py_ssize_t end = find(p, 10, i, stop)
    return stop if end < 0 and (is_last or stop - i >= MAX_TEXT) else end
