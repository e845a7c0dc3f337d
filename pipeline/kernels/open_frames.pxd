from pipeline.kernels.opener cimport Opener

cdef class FrameOpener(Opener):
    pass

cdef class EntryOpener(Opener):
    cdef object _texts, _keys, _held
    cdef unsigned char *texts
    cdef unsigned char *held
    cdef int *keys
    cdef int _n_keys
    # Of the entry at hand:
    cdef unsigned long long left  # bytes of a field that are still to be passed over
    cdef long long offset, n_bytes
    cdef bint has_fields
    cdef bint is_cut              # the line at hand is too long: its rest is passed over
    cdef void _forget(self) noexcept nogil
    cdef void _put(self) noexcept nogil
    cdef Py_ssize_t _key_end(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef unsigned long long _length(self, unsigned char *p, Py_ssize_t i) noexcept nogil
    cdef void _take(self, unsigned char *p, Py_ssize_t i, Py_ssize_t key_end, Py_ssize_t begin, Py_ssize_t end) noexcept nogil
