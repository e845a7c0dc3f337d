cdef Py_ssize_t put_epoch(unsigned char *out, Py_ssize_t o, Py_ssize_t k, Py_ssize_t end) noexcept nogil
cdef Py_ssize_t put_moment(unsigned char *out, Py_ssize_t o, long long seconds, long long us) noexcept nogil
