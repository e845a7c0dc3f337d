cdef Py_ssize_t find_text(unsigned char *p, Py_ssize_t i, Py_ssize_t e, const char *text, int n) noexcept nogil
cdef Py_ssize_t rfind_text(unsigned char *p, Py_ssize_t i, Py_ssize_t e, const char *text, int n) noexcept nogil
cdef Py_ssize_t token_end(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
cdef long long whole(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
cdef long long micros(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
cdef bint is_address(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
cdef Py_ssize_t port_end(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
cdef Py_ssize_t field_end(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
cdef Py_ssize_t bracket_end(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
cdef Py_ssize_t dsn_end(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
cdef Py_ssize_t reply_code_end(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
cdef Py_ssize_t queue_id(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
