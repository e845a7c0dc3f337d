# The loop over all bytes is compiled twice where the compiler can do that: for processors that
# compare 32 bytes at a time, and for all others. Which one runs is decided when it is loaded.
cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__gnu_linux__) && defined(__has_attribute)
    #if __has_attribute(target_clones)
    __attribute__((target_clones("avx2", "default")))
    static Py_ssize_t sawlog_skip(
        unsigned char *, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t,
        unsigned char, unsigned char, unsigned char, unsigned char);
    #endif
    #endif
    """

cdef Py_ssize_t _skip "sawlog_skip"(unsigned char *p, Py_ssize_t at, Py_ssize_t stop, Py_ssize_t first, Py_ssize_t second, unsigned char c1, unsigned char c2, unsigned char m1, unsigned char m2) noexcept nogil

cdef Py_ssize_t _count(unsigned char *p, Py_ssize_t at, Py_ssize_t stop) noexcept nogil

cdef class Finder:
    cdef readonly Py_ssize_t n
    cdef readonly Py_ssize_t n_kept
    cdef list _pairs
    cdef unsigned char[::1] _texts
    cdef unsigned char[::1] _masks
    cdef long long[::1] _begins
    cdef long long[::1] _places
    cdef Py_ssize_t _next(self, unsigned char *p, Py_ssize_t k, Py_ssize_t at, Py_ssize_t end, Py_ssize_t stop, bint *is_hit) noexcept nogil
