cdef class Interner:
    cdef object arena, starts, slots, recent
    cdef public int n
    cdef public long long version  # changes with every new name
    cdef unsigned char *arena_
    cdef int *starts_
    cdef int *slots_
    cdef int *recent_
    cdef int limit
    cdef int mask
    cdef int code(self, unsigned char *p, Py_ssize_t i, Py_ssize_t n) noexcept nogil
