from pipeline.kernels.opener cimport LineOpener

cdef class TextOpener(LineOpener):
    cdef bint _is_cri
