cdef Py_ssize_t skip_blanks(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
cdef Py_ssize_t skip_string(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
cdef Py_ssize_t skip_value(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
cdef Py_ssize_t put_byte(unsigned char *out, Py_ssize_t o, int c) noexcept nogil
cdef Py_ssize_t put_code(unsigned char *out, Py_ssize_t o, int code) noexcept nogil
cdef Py_ssize_t unescape(unsigned char *p, Py_ssize_t i, Py_ssize_t e, unsigned char *out, Py_ssize_t o) noexcept nogil
cdef Py_ssize_t put_array(unsigned char *p, Py_ssize_t i, Py_ssize_t e, unsigned char *out, Py_ssize_t o) noexcept nogil
cdef Py_ssize_t escaped_line_end(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
