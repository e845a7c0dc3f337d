# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""The columns that a mail parser writes: what nobody asked for has no buffer and costs a test."""

import cython

if cython.compiled:
    from cython.cimports.libc.string import memcpy, memset
    from cython.cimports.pipeline.kernels.views import is_utf8, write_view
else:
    from pipeline.kernels.views import is_utf8, write_view

from pipeline.kernels.mail_names import CODES, COLUMNS, INTS, PLACES, TEMPLATES, TEXTS
from pipeline.memory import zeros

COMPILED = cython.compiled

#: Which columns there are: texts, codes, numbers, templates, the bit of each, the number of each.
MAIL = (TEXTS, CODES, INTS, TEMPLATES, COLUMNS, PLACES)


@cython.cclass
class Columns:
    """Buffers of the columns in ``mask``, for ``max_rows`` rows, each with its validity bits.

    Columns of a kind lie one behind the other in a single piece of memory. A column's place
    counts the built columns in the order texts, codes, ints, template.
    """

    def __init__(self, max_rows: cython.int, mask: cython.ulonglong, layout=MAIL):
        TEXTS, CODES, INTS, TEMPLATES, COLUMNS, PLACES = layout
        self.max_rows = max_rows
        self.mask = mask
        self.is_clean = False
        self.row = 0
        self.n_bad = 0
        self.buffers = {}
        texts = [name for name in TEXTS if mask & COLUMNS[name]]
        codes = [name for name in CODES if mask & COLUMNS[name]]
        ints = [name for name in INTS if mask & COLUMNS[name]]
        templates = [name for name in TEMPLATES if mask & COLUMNS[name]]
        built = [*texts, *codes, *ints, *templates]
        self._n_texts = len(texts)
        self._n_codes = len(codes)
        self._n_ints = len(ints)
        self._n_built = len(built)
        self._bits = max_rows // 8 + 1
        held_texts = memoryview(zeros(16 * max_rows * len(texts))).cast("B")
        held_codes = memoryview(zeros(max_rows * len(codes))).cast("B")
        held_ints = memoryview(zeros(8 * max_rows * len(ints))).cast("B")
        held_template = memoryview(zeros(4 * max_rows if templates else 4)).cast("i")
        held_valid = memoryview(zeros(self._bits * len(built))).cast("B")
        # Room for every text of every row: nothing can overflow it.
        held_bad = memoryview(zeros(16 * max_rows * len(texts) or 16)).cast("i")
        self._places_held = memoryview(bytearray(4 * len(PLACES))).cast("i")
        for name, column in PLACES.items():
            self._places_held[column] = built.index(name) if name in built else -1
        for kind, held, width, form in (
            (texts, held_texts, 16, "i"),
            (codes, held_codes, 1, "B"),
            (ints, held_ints, 8, "q"),
        ):
            for k, name in enumerate(kind):
                size = width * max_rows
                self.buffers[name] = held[k * size : (k + 1) * size].cast(form)
        for name in templates:
            self.buffers[name] = held_template
        for k, name in enumerate(built):
            self.buffers[name + "_valid"] = held_valid[k * self._bits : (k + 1) * self._bits]
        self.buffers["bad"] = held_bad
        padded_texts = held_texts.cast("i") if texts else memoryview(zeros(4)).cast("i")
        padded_ints = held_ints.cast("q") if ints else memoryview(zeros(8)).cast("q")
        self.buffers["_all"] = (padded_texts, held_codes, padded_ints, held_valid)
        if cython.compiled:
            a: cython.int[::1] = self._places_held
            b: cython.int[::1] = padded_texts
            c: cython.uchar[::1] = held_codes
            d: cython.longlong[::1] = padded_ints
            f: cython.int[::1] = held_template
            g: cython.uchar[::1] = held_valid
            h: cython.int[::1] = held_bad
            self._places = cython.address(a[0])
            self._texts = cython.address(b[0])
            self._codes = cython.address(c[0])
            self._ints = cython.address(d[0])
            self._template = cython.address(f[0])
            self._valid = cython.address(g[0])
            self._bad = cython.address(h[0])
        else:
            self._places, self._texts, self._codes = self._places_held, padded_texts, held_codes
            self._ints, self._template = padded_ints, held_template
            self._valid, self._bad = held_valid, held_bad

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def wants(self, column: cython.int) -> cython.bint:
        """Tell whether a column is built."""
        return self._places[column] >= 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def clear(self, n_rows: cython.int) -> cython.void:
        """Make the first rows of all columns NULL, and 0 or empty."""
        k: cython.Py_ssize_t
        at: cython.Py_ssize_t
        rows: cython.Py_ssize_t = self.max_rows
        bits: cython.Py_ssize_t = self._bits
        n: cython.Py_ssize_t = n_rows
        self.n_bad = 0
        for k in range(self._n_built):
            _zero(self._valid, k * bits, bits)
        for k in range(self._n_codes):
            _zero(self._codes, k * rows, n)
        if cython.compiled:
            for k in range(self._n_texts):
                memset(self._texts + 4 * k * rows, 0, 16 * n)
            for k in range(self._n_ints):
                memset(self._ints + k * rows, 0, 8 * n)
            if self._n_built > self._n_texts + self._n_codes + self._n_ints:
                memset(self._template, 0, 4 * n)
        else:
            for k in range(self._n_texts):
                for at in range(4 * k * rows, 4 * (k * rows + n)):
                    self._texts[at] = 0
            for k in range(self._n_ints):
                for at in range(k * rows, k * rows + n):
                    self._ints[at] = 0
            if self._n_built > self._n_texts + self._n_codes + self._n_ints:
                for at in range(n):
                    self._template[at] = 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _mark(self, place: cython.int) -> cython.void:
        at: cython.Py_ssize_t = cython.cast(cython.Py_ssize_t, place) * self._bits + (self.row >> 3)
        self._valid[at] |= 1 << (self.row & 7)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def text(
        self,
        column: cython.int,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
    ) -> cython.void:
        """Write p[i:e]; what is no UTF-8 is noted in ``bad``, to be mended.

        A row's first text stays: so ``bad`` has an entry a text at most, however often a hostile
        line names a field.
        """
        place: cython.int = self._places[column]
        at: cython.Py_ssize_t
        if place < 0:
            return
        at = cython.cast(cython.Py_ssize_t, place) * self._bits + (self.row >> 3)
        if self._valid[at] & (1 << (self.row & 7)):
            return
        self._valid[at] |= 1 << (self.row & 7)
        if not self.is_clean and not is_utf8(p, i, e):
            self._bad[4 * self.n_bad] = column
            self._bad[4 * self.n_bad + 1] = self.row
            self._bad[4 * self.n_bad + 2] = cython.cast(cython.int, i)
            self._bad[4 * self.n_bad + 3] = cython.cast(cython.int, e)
            self.n_bad += 1
            e = i
        at = 4 * (cython.cast(cython.Py_ssize_t, place) * self.max_rows + self.row)
        if cython.compiled:
            # As write_view, whose loop over bytes is slow for queue ids and names. The view is
            # zero; copies of fixed sizes, one over the end of the other, are plain moves.
            out: cython.p_int = self._texts + at
            to: cython.p_char = cython.cast(cython.p_char, out + 1)
            n: cython.Py_ssize_t = e - i
            out[0] = cython.cast(cython.int, n)
            if n > 12:
                memcpy(to, p + i, 4)
                out[3] = cython.cast(cython.int, i)
            elif n >= 8:
                memcpy(to, p + i, 8)
                memcpy(to + n - 4, p + e - 4, 4)
            elif n >= 4:
                memcpy(to, p + i, 4)
                memcpy(to + n - 4, p + e - 4, 4)
            else:
                while n > 0:
                    n -= 1
                    to[n] = p[i + n]
        else:
            write_view(self._texts[at : at + 4], p, i, e)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def code(self, column: cython.int, code: cython.int) -> cython.void:
        """Write a code; 0 is NULL."""
        place: cython.int = self._places[column]
        at: cython.Py_ssize_t
        if place < 0 or code <= 0:
            return
        self._mark(place)
        at = cython.cast(cython.Py_ssize_t, place - self._n_texts) * self.max_rows + self.row
        self._codes[at] = code

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def number(self, column: cython.int, value: cython.longlong) -> cython.void:
        """Write a number; a negative one is NULL."""
        place: cython.int = self._places[column]
        at: cython.Py_ssize_t
        if place < 0 or value < 0:
            return
        self._mark(place)
        at = cython.cast(cython.Py_ssize_t, place - self._n_texts - self._n_codes)
        self._ints[at * self.max_rows + self.row] = value

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def template(self, column: cython.int, code: cython.int) -> cython.void:
        """Write the code of a reason's template; a negative one is NULL."""
        place: cython.int = self._places[column]
        if place < 0 or code < 0:
            return
        self._mark(place)
        self._template[self.row] = code


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _zero(out: cython.p_uchar, at: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.void:
    k: cython.Py_ssize_t
    if cython.compiled:
        memset(out + at, 0, n)
    else:
        for k in range(at, at + n):
            out[k] = 0
