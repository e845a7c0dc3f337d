from pipeline.kernels.envelope_fields cimport EnvelopeFields

cdef class Inner(EnvelopeFields):
    cdef public object outer_bytes    # of each row: bytes that it takes in the file
    cdef public object outer_offset   # and where it begins there
    cdef public object outer_line     # the line there in which it begins, from 0 on
    cdef object _kept
    cdef public Py_ssize_t n_out
    cdef public int n_rows
    # Of all rows since begin_file:
    cdef public long long n_lines         # lines, entries, frames of the file
    cdef public long long n_opened        # of these: envelopes that were opened
    cdef public long long n_joined        # of these: pieces beyond the first of their line
    cdef public long long n_joined_dated  # of these: of lines with a time
    cdef public long long n_outer_bytes, n_out_bytes
    cdef public bint has_all_heads        # a line with a stamp of its own gets a head, too
    cdef public bint has_parts            # a part of a line is a line of its own
    cdef int max_rows
    cdef Py_ssize_t size
    cdef unsigned char *kept
    cdef long long *sizes
    cdef long long *offsets
    cdef long long *lines
    # Of each stream: pieces of a line that has not ended.
    cdef Py_ssize_t piece_length[2]
    cdef int piece_count[2]
    cdef Py_ssize_t piece_time[2]
    cdef long long piece_offset[2]
    cdef long long piece_bytes[2]
    cdef long long piece_line[2]
    cdef zero(self)
    cpdef clear(self)
    cpdef flush(self)
    cdef bint has_room(self, Py_ssize_t n_bytes) noexcept nogil
    cdef void keep(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e, long long offset, long long n_bytes) noexcept nogil
    cdef bint put(self, unsigned char *p, long long offset, long long n_bytes, int stream, bint is_whole) noexcept nogil
    cdef void _join(self, unsigned char *p, Py_ssize_t text, Py_ssize_t end, int stream, long long n_bytes, int less) noexcept nogil
    cdef bint _line(self, unsigned char *p, Py_ssize_t text, Py_ssize_t end, long long offset, long long n_bytes, int stream) noexcept nogil
    cdef void _row(self, Py_ssize_t end, long long offset, long long n_bytes, long long line) noexcept nogil
