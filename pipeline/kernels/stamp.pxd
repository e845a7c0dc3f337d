cdef class Stamp:
    cdef object held_years, held_later
    cdef int *years
    cdef int *later
    cdef int limit_index, limit_s
    cdef int iso_key, iso_date
    cdef int date      # days since 1970-01-01
    cdef int second    # of the day
    cdef int us
    cdef int utc_s     # offset from UTC, NO_OFFSET where the stamp has none
    cdef bint is_yearless
    cdef Py_ssize_t read(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef bint read_bracket(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef Py_ssize_t utc_offset(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil

cdef Py_ssize_t find_bracket(unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
