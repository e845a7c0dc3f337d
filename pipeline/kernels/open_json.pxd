from pipeline.kernels.opener cimport LineOpener

cdef class JsonOpener(LineOpener):
    cdef bint _joins, _has_prefix
    cdef object _texts, _keys, _scratch
    cdef unsigned char *texts
    cdef unsigned char *scratch
    cdef int *keys
    cdef int _n_top
    cdef Py_ssize_t _object(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e, int first, int last) noexcept nogil
    cdef int _key(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e, int first, int last) noexcept nogil
    cdef void _take(self, unsigned char *p, int field, int rank, Py_ssize_t i, Py_ssize_t e) noexcept nogil
