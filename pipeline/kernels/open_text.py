# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Open envelopes that are some words before the line: CRI's, and CloudWatch's time."""

import cython

if cython.compiled:
    from cython.cimports.pipeline.kernels.envelope_fields import MESSAGE, RAW, TIME
    from cython.cimports.pipeline.kernels.opener import LineOpener
    from cython.cimports.pipeline.kernels.spans import find
else:
    from pipeline.kernels.envelope_fields import MESSAGE, RAW, TIME
    from pipeline.kernels.opener import LineOpener
    from pipeline.kernels.spans import find

COMPILED = cython.compiled


@cython.cclass
class TextOpener(LineOpener):
    """Opens lines that begin with a dated stamp and a blank.

    Parameters
    ----------
    is_cri : bool
        The stream, ``stdout`` or ``stderr``, and ``F`` for a line's last part or ``P`` for another
        follow.
    """

    def __init__(self, is_cri):
        super().__init__()
        self._is_cri = is_cri

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _line(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
        offset: cython.longlong,
        n_bytes: cython.longlong,
    ) -> cython.bint:
        """Open the line p[i:e]; False where it is no envelope."""
        k: cython.Py_ssize_t
        stream: cython.int = 0
        is_whole: cython.bint = True
        self.inner.forget()
        if e - i >= 3 and p[i] == 0xEF and p[i + 1] == 0xBB and p[i + 2] == 0xBF:
            i += 3
        if e - i < 20 or not 48 <= p[i] <= 57 or p[i + 4] != 45:
            return False
        k = find(p, 32, i, e)
        # A stamp of 1 to 12 digits of fraction and an offset is no longer.
        if k < 0 or k - i > 40 or not self.inner.is_stamp(p, i, k):
            return False
        self.inner.note(TIME, RAW, i, k)
        k += 1
        if self._is_cri:
            if e - k < 8 or p[k] != 115 or p[k + 1] != 116 or p[k + 2] != 100 or p[k + 6] != 32:
                return False
            if p[k + 3] == 101 and p[k + 4] == 114 and p[k + 5] == 114:
                stream = 1
            elif p[k + 3] != 111 or p[k + 4] != 117 or p[k + 5] != 116:
                return False
            k += 7
            if p[k] != 70 and p[k] != 80:
                return False
            is_whole = p[k] == 70
            k += 1
            if k < e and p[k] == 58:  # more tags
                while k < e and p[k] != 32:
                    k += 1
            if k < e:
                if p[k] != 32:
                    return False
                k += 1
        self.inner.note(MESSAGE, RAW, k, e)
        return self.inner.put(p, offset, n_bytes, stream, is_whole)
