from pipeline.kernels.stamp cimport Stamp

# An enum is a constant to the compiler, in all modules; a variable of a module is not.
cdef enum:
    MESSAGE, TIME, HOST, PROCESS, PID, SEVERITY, FACILITY, STREAM

cdef enum:
    NONE, RAW, STRING, ESCAPED, NUMBER, ARRAY, OTHER

cdef enum:
    MAX_TEXT = 1048576  # model.MAX_LINE_BYTES
    MAX_TIME = 64

cdef class EnvelopeFields:
    cdef object _fields
    cdef public object text           # what is written
    cdef public bint may_be_null      # a message that is null is an empty one
    cdef unsigned char *out
    cdef long long *begin
    cdef long long *end
    cdef long long *kind
    cdef long long *rank
    cdef Stamp _stamp
    cdef void forget(self) noexcept nogil
    cdef void note(self, int field, int kind, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef Py_ssize_t put_message(self, unsigned char *p, Py_ssize_t o) noexcept nogil
    cdef Py_ssize_t behind_stamp(self, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef bint is_stamp(self, unsigned char *p, Py_ssize_t i, Py_ssize_t e) noexcept nogil
    cdef Py_ssize_t put_head(self, unsigned char *p, Py_ssize_t o, Py_ssize_t text, Py_ssize_t rest, unsigned char *times, Py_ssize_t i, Py_ssize_t n) noexcept nogil
    cdef Py_ssize_t _pri(self, unsigned char *p, Py_ssize_t o) noexcept nogil
    cdef Py_ssize_t _value(self, unsigned char *p, int field, Py_ssize_t o, Py_ssize_t most) noexcept nogil
    cdef Py_ssize_t _name(self, unsigned char *p, int field, Py_ssize_t o) noexcept nogil
    cdef Py_ssize_t put_time(self, unsigned char *p, Py_ssize_t o) noexcept nogil
