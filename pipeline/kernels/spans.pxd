from libc.string cimport memchr, memcmp, memcpy, memmove

# With bodies: a C compiler puts these into the loops of other modules, which call anything else
# through a pointer. Their counterparts, with what they mean, stand in spans.py.

cdef inline Py_ssize_t find(unsigned char *p, int byte, Py_ssize_t i, Py_ssize_t e) noexcept nogil:
    cdef unsigned char *q = <unsigned char *> memchr(p + i, byte, e - i) if e > i else NULL
    return q - p if q != NULL else -1

cdef inline bint begins(unsigned char *p, Py_ssize_t i, Py_ssize_t e, const char *text, int n) noexcept nogil:
    return e - i >= n and memcmp(p + i, text, n) == 0

cdef inline bint same(unsigned char *p, Py_ssize_t i, unsigned char *q, Py_ssize_t j, Py_ssize_t n) noexcept nogil:
    return memcmp(p + i, q + j, n) == 0

cdef inline void copy(unsigned char *out, Py_ssize_t o, unsigned char *p, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    memcpy(out + o, p + i, n)

cdef inline void move(unsigned char *out, Py_ssize_t o, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    memmove(out + o, out + i, n)

cdef inline bint is_digit(unsigned char c) noexcept nogil:
    return 48 <= c <= 57

cdef inline Py_ssize_t digits_end(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil:
    while i < e and 48 <= p[i] <= 57:
        i += 1
    return i
