cdef class Texts:
    cdef public int n
    cdef long long _n_bytes
    cdef Py_ssize_t _capacity, _arena_bytes, _mask
    cdef unsigned long long _seed
    cdef tuple _held
    cdef int *_slots
    cdef unsigned long long *_hashes
    cdef long long *_starts
    cdef unsigned char *_arena
    cdef _allocate(self, Py_ssize_t capacity, Py_ssize_t arena_bytes)
    cdef int code(self, unsigned char *p, Py_ssize_t i, Py_ssize_t n) noexcept nogil
    cdef unsigned long long _hash(self, unsigned char *p, Py_ssize_t i, Py_ssize_t n) noexcept nogil

cdef class Column:
    cdef public int kind
    cdef public bint is_valid
    cdef object _held
    cdef bint has_codes_
    cdef unsigned char *bytes_
    cdef int *ints_
    cdef long long *longs_
    cdef unsigned char *valid_
    cdef long long *codes_
    cdef unsigned char *data_
    cdef unsigned char *mended_
    cdef bint has_last_
    cdef long long last_low_, last_high_, last_word_

cdef long long text_code(Column column, Py_ssize_t row, Texts texts) noexcept nogil

cdef inline bint is_null(Column column, Py_ssize_t row) noexcept nogil:
    return not column.is_valid and not column.valid_[row >> 3] >> (row & 7) & 1

cdef inline long long word_of(Column column, Py_ssize_t row, Texts texts) noexcept nogil:
    cdef long long value
    if column.kind == 2:  # LONG
        return column.longs_[row]
    if column.kind == 3:  # TEXT
        return text_code(column, row, texts)
    value = column.ints_[row] if column.kind == 1 else column.bytes_[row]  # INT, BYTE
    return column.codes_[value] if column.has_codes_ else value
