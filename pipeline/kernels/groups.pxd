from pipeline.kernels.columns cimport Column, Texts

cdef class Groups:
    cdef public Py_ssize_t n_groups
    cdef public Texts texts
    cdef list _units
    cdef unsigned long long _seed
    cdef Py_ssize_t _n_keys
    cdef Py_ssize_t _n_words            # of a key: with one more that tells which are NULL
    cdef Py_ssize_t _capacity, _mask
    cdef int _epoch
    cdef tuple _held
    cdef int *_slots                    # group + 1
    cdef unsigned long long *_hashes
    cdef long long *_stored             # words of keys, one array of `_capacity` behind the other
    cdef int *_marks                    # by group: the chunk that touched it last
    cdef int *_places                   # by group: its place in `_touched`
    # Of the chunk at hand:
    cdef tuple _chunk_held
    cdef unsigned long long *_hash
    cdef long long *_words
    cdef int *_groups
    cdef int *_heads                    # first rows of new groups
    cdef int *_tails                    # last row of each group, by its place in `_touched`
    cdef int *_touched
    cdef _forget(self)
    cdef _clear(self, Py_ssize_t n)
    cdef _key(self, Py_ssize_t k, Column column, long long unit, int[::1] rows, Py_ssize_t n)
    cdef _find(self, int[::1] rows, Py_ssize_t n)
    cdef _touch(self, int[::1] rows, Py_ssize_t n)
    cdef _make_room(self, Py_ssize_t n_more)
    cdef _allocate(self, Py_ssize_t capacity)
