cimport cython

from pipeline.kernels.mail_columns cimport Columns
from pipeline.kernels.mail_reason cimport Templates
from pipeline.kernels.mail_words cimport Words

@cython.final
cdef class Fields:
    cdef public Templates templates
    cdef Columns out
    cdef Words stages
    cdef unsigned long long mask
    cdef bint wants_client(self) noexcept nogil
    cdef Py_ssize_t client(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef void bracketed_client(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef Py_ssize_t server(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef void relay(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef void rest(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef Py_ssize_t stage(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef void reason(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef void outcome(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef void refused(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef void child(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef void host(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef void attributes(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef void action(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef void _content(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef void reply(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef Py_ssize_t envelope(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
