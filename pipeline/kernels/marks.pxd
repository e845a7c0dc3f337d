cdef int special(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
cdef int level(unsigned char *p, Py_ssize_t i, Py_ssize_t e, int closing) noexcept nogil
cdef long long number(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
