from pipeline.kernels.names cimport Interner
from pipeline.kernels.stamp cimport Stamp

cdef class LineColumns:
    cdef public int max_rows, n_rows, n_bad
    cdef public Interner hosts, processes
    # Of all rows since the counts were set to zero:
    cdef public long long n_lines, n_dated, n_yearless, n_steps_back
    cdef public long long first_time, last_time, min_time, max_time
    # Of the rows in the buffers:
    cdef public int n_undated_rows, n_hostless_rows
    cdef public bint is_clean  # texts are ASCII, if asked for
    cdef public dict buffers
    # What is built:
    cdef bint has_day, has_host, has_process, has_pid, has_level, has_message, has_bytes
    cdef bint has_offset, has_utc, has_text, has_line, needs_text, needs_head
    cdef list _views
    cdef long long *time
    cdef long long *bytes_
    cdef long long *offset_
    cdef int *day_
    cdef int *host_
    cdef int *process_
    cdef int *pid_
    cdef int *utc
    cdef int *message
    cdef int *text_   # begin and end of each message in the block, begin -1 of undated lines
    cdef int *whole   # begin and end of each line in the block, without its line end
    cdef unsigned char *severity
    cdef unsigned char *facility
    cdef unsigned char *dated
    cdef unsigned char *hosted
    cdef unsigned char *with_pid
    cdef unsigned char *with_utc
    cdef unsigned char *with_level
    cdef int *bad
    cdef bint is_full
    # What lines lack, from the path of the file: codes, or -1; the day of lines without a stamp.
    cdef list _fill
    cdef int fill_host, fill_process, fill_day
    cdef Stamp stamp
    cdef int level_   # 8 * facility + severity of the line at hand, or -1
    cdef unsigned char *_bytes8(self, name, Py_ssize_t n)
    cdef int *_ints32(self, name, Py_ssize_t n)
    cdef long long *_ints64(self, name, Py_ssize_t n)
    cdef int _code(self, Interner names, int n, fixed)
    cdef void clear(self) noexcept nogil
    cdef bint put(self, unsigned char *p, Py_ssize_t text, Py_ssize_t e, int row, bint is_clean, Py_ssize_t host, Py_ssize_t host_end, Py_ssize_t tag, Py_ssize_t tag_end, int process, long long pid) noexcept nogil
    cdef bint put_undated(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e, int row, bint is_clean) noexcept nogil
    cdef void put_text(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e, int row, bint is_clean) noexcept nogil
