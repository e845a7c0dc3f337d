cimport cython

from pipeline.kernels.mail_columns cimport Columns
from pipeline.kernels.mail_fields cimport Fields
from pipeline.kernels.mail_words cimport Words

@cython.final
cdef class Heads:
    cdef unsigned long long mask
    cdef Columns out
    cdef Fields fields
    cdef Words words
    cdef unsigned char links[256]
    cdef unsigned char events[256]
    cdef unsigned char forms[256]
    cdef unsigned char lengths[256]
    cdef unsigned char wanted[256]
    cdef bint wants_rest
    cdef void read(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e, int daemon) noexcept nogil
    cdef void _warning(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e, int daemon) noexcept nogil
    cdef void _login(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef void _message_id(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef void _pickup(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
