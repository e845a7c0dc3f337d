# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Reasons without what varies from message to message, so that they group."""

import cython

if cython.compiled:
    from cython.cimports.libc.string import memcpy
    from cython.cimports.pipeline.kernels.mail_text import find_text, port_end
    from cython.cimports.pipeline.kernels.names import Interner
    from cython.cimports.pipeline.kernels.spans import begins, find
else:
    from pipeline.kernels.mail_text import find_text, port_end
    from pipeline.kernels.names import Interner
    from pipeline.kernels.spans import begins, find

COMPILED = cython.compiled

#: Bytes of a template at most, and of a reason that are looked at: Postfix cuts its lines at 2000.
TEMPLATE_BYTES = 256
_TEMPLATE_BYTES = cython.declare(cython.int, 256)
_READ_BYTES = cython.declare(cython.Py_ssize_t, 2048)
_CROWDED = 1 << 14  # templates that are kept from one batch to the next

# What a token may hold that makes it worth a closer look.
_DIGIT = cython.declare(cython.int, 1)
_LETTER = cython.declare(cython.int, 2)
_ANGLE = cython.declare(cython.int, 4)
_SQUARE = cython.declare(cython.int, 8)
_AT = cython.declare(cython.int, 16)
_SLASH = cython.declare(cython.int, 32)
_EQUALS = cython.declare(cython.int, 64)
_HEX = cython.declare(cython.int, 128)
_LOOK = cython.declare(cython.int, 1 | 4 | 8 | 16 | 32 | 64)
_KINDS = bytearray(256)
for _kind, _members in (
    (1, b"0123456789"),
    (2, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
    (4, b"<"),
    (8, b"["),
    (16, b"@"),
    (32, b"/"),
    (64, b"="),
    (128, b"0123456789ABCDEFabcdef:"),
):
    for _byte in _members:
        _KINDS[_byte] |= _kind
# A second table: 1 what may stand before or after a core, 2 what numbers hold, 4 what ids hold.
_PARTS = bytearray(256)
for _kind, _members in (
    (1, b"()[]{}<>\"'`;:,.!?#"),
    (2, b"0123456789.:/-+%,x"),
    (4, b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_.+/:%"),
    (8, b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_."),
    (16, b";:,.)!?"),
):
    for _byte in _members:
        _PARTS[_byte] |= _kind
_BOTH = cython.declare(bytes, bytes(_KINDS + _PARTS))
_kinds = cython.declare(cython.p_uchar)
if cython.compiled:
    _kinds = cython.cast(cython.p_uchar, cython.cast(cython.p_char, _BOTH))
else:
    _kinds = _BOTH


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def unwrapped(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return where the reason itself begins: qmgr repeats one behind its own words."""
    while begins(p, i, e, b"delivery temporarily suspended: ", 32):
        i += 32
    return i


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def host_end(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return the end of the host name that p[i:e] begins with."""
    while i < e and p[i] > 32 and not (p[i] == 91 or p[i] == 58 or p[i] == 44 or p[i] == 59):
        i += 1
    return i


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _word_end(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.Py_ssize_t:
    while i < e and p[i] > 32:
        i += 1
    return i


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def failed_host(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return where the name of the host begins that a reason blames, or -1."""
    j: cython.Py_ssize_t
    i = unwrapped(p, i, e)
    if i >= e:
        return -1
    if p[i] == 99:  # c
        if begins(p, i, e, b"connect to ", 11):
            return i + 11
        if begins(p, i, e, b"conversation with ", 18):
            return i + 18
        if begins(p, i, e, b"cannot authenticate to server ", 30):
            return i + 30
    elif p[i] == 104 and begins(p, i, e, b"host ", 5):
        return i + 5
    elif p[i] == 108 and begins(p, i, e, b"lost connection with ", 21):
        return i + 21
    elif p[i] == 117 and begins(p, i, e, b"unable to look up host ", 23):
        return i + 23
    elif p[i] == 109 and begins(p, i, e, b"mail for ", 9):
        return i + 9 if find_text(p, i, e, b" loops back to myself", 21) >= 0 else -1
    elif p[i] == 110 and begins(p, i, e, b"no MX host for ", 15):
        return i + 15
    j = find_text(p, i, e, b" for name=", 10)
    if j >= 0:
        return j + 10
    j = find_text(p, i, e, b" by host ", 9)
    if j >= 0:
        return j + 9
    j = find_text(p, i, e, b"; server ", 9)
    if j >= 0:
        return j + 9
    if begins(p, i, e, b"TLS ", 4) or begins(p, i, e, b"Cannot start TLS", 16):
        j = find_text(p, i, e, b" to ", 4)
        if j >= 0 and find(p, 91, j, e) >= 0:
            return j + 4
    return -1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _after_host(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return the place behind ``name[ip]:port`` at p[i:e]."""
    j: cython.Py_ssize_t
    i = host_end(p, i, e)
    if i < e and p[i] == 91:
        j = find(p, 93, i, e)
        i = j + 1 if j >= 0 else e
    return port_end(p, i, e)


@cython.cclass
class Templates:
    """Makes templates of reasons; ``names`` holds them and never gets full in one batch."""

    def __init__(self, max_rows: cython.int):
        room = max_rows + _CROWDED + 1
        self.names = Interner((), room * TEMPLATE_BYTES, 1 << (2 * room - 1).bit_length())
        self._held = bytearray(TEMPLATE_BYTES)
        self._n = 0
        if cython.compiled:
            out: cython.uchar[::1] = self._held
            self._out = cython.address(out[0])
        else:
            self._out = self._held

    def forget(self):
        """Drop all templates if there are so many that they had better not be carried along."""
        if self.names.n > _CROWDED:
            self.names.reset()

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def code(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.int:
        """Return the code of the template of the reason p[i:e]; -1 where nothing is left of it."""
        self._n = 0
        self._is_full = False
        self._no_angle = False
        self._no_square = False
        self._write(p, i, e)
        self._tidy()
        return self.names.code(self._out, 0, self._n) if self._n else -1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _write(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.void:
        j: cython.Py_ssize_t
        kinds: cython.int
        if e - i > _READ_BYTES:
            e = i + _READ_BYTES
        j = find(p, 40, i, e)
        while j >= 0:
            if begins(p, j, e, b"(in reply to ", 13) or begins(p, j, e, b"(port ", 6):
                e = j
                break
            j = find(p, 40, j + 1, e)
        i = self._head(p, unwrapped(p, i, e), e)
        while i < e and not self._is_full:
            if p[i] <= 32:
                i += 1
                continue
            j = i
            kinds = 0
            while j < e and p[j] > 32:
                kinds |= _kinds[p[j]]
                j += 1
            if self._n >= 8 and self._ends(b"hostname", 8) and find(p, 46, i, j - 1) >= 0:
                # Before "verification failed" or "does not resolve" stands a name, any name.
                self._close(p, i, j)
                i = j
            elif begins(p, j, e, b" Saved", 6):  # Dovecot's id of a delivery
                i = j
            elif kinds & _LOOK:
                i = self._token(p, i, j, e)
            elif j - i == 6 and begins(p, i, e, b"queued as ", 10):
                i = _word_end(p, j + 4, e)
            elif j - i == 9 and begins(p, i, e, b"forwarded as ", 13):
                self._put(p, i, j)
                i = _word_end(p, j + 4, e)
            else:
                self._put(p, i, j)
                i = j

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _head(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
    ) -> cython.Py_ssize_t:
        """Take off the head that names a host; return where the rest begins."""
        j: cython.Py_ssize_t
        if begins(p, i, e, b"host ", 5):
            j = _after_host(p, i + 5, e)
            if begins(p, j, e, b" said: ", 7):
                return j + 7
            if begins(p, j, e, b" refused to talk to me: ", 24):
                return j + 1
        elif begins(p, i, e, b"connect to ", 11):
            j = _after_host(p, i + 11, e)
            if begins(p, j, e, b": ", 2):
                return j + 2
        elif begins(p, i, e, b"lost connection with ", 21):
            self._put(p, i, i + 15)
            return _after_host(p, i + 21, e)
        elif begins(p, i, e, b"conversation with ", 18):
            self._put(p, i, i + 12)
            return _after_host(p, i + 18, e)
        elif begins(p, i, e, b"mail for ", 9):
            self._put(p, i, i + 4)
            return _after_host(p, i + 9, e)
        elif begins(p, i, e, b"no MX host for ", 15):
            self._put(p, i, i + 10)
            return _after_host(p, i + 15, e)
        elif begins(p, i, e, b"unable to look up host ", 23):
            self._put(p, i, i + 22)
            return _after_host(p, i + 23, e)
        return i

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _token(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
        stop: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        """Write what stays of the token p[i:e], which has a digit or a mark; return its end.

        An address in brackets may hold spaces: so the end can lie behind ``e``.
        """
        a: cython.Py_ssize_t
        b: cython.Py_ssize_t
        k: cython.Py_ssize_t
        kinds: cython.int = 0
        parts: cython.int = 255
        all_hex: cython.int = 128
        digits: cython.int = 0
        colons: cython.int = 0
        k = find(p, 60, i, e)
        if k >= 0:
            a = -1 if self._no_angle else find(p, 62, k, stop)
            self._no_angle = a < 0
            self._put(p, i, k)
            if a < 0:
                return e
            a += 1
            if a < stop and (p[a] == 58 or p[a] == 44):
                a += 1
            return a
        k = find(p, 91, i, e)
        if k >= 0:
            a = -1 if self._no_square else find(p, 93, k, stop)
            self._no_square = a < 0
            b = i
            while b < k and _kinds[256 + p[b]] & 8:
                b += 1
            if b < k:  # no host name
                self._put(p, i, k)
            if a < 0:
                return e
            return port_end(p, a + 1, stop)
        if find_text(p, i, e, b"://", 3) >= 0:
            return e
        k = find(p, 64, i, e)
        if k > i and k + 1 < e:
            self._close(p, i, e)
            return e
        if begins(p, i, e, b"name=", 5):
            if self._ends(b" for", 4):
                self._n -= 4
            self._close(p, i, e)
            return e
        a = i
        b = e
        while a < b and _kinds[256 + p[a]] & 1:
            a += 1
        while b > a and _kinds[256 + p[b - 1]] & 1:
            b -= 1
        for k in range(a, b):
            kinds |= _kinds[p[k]]
            parts &= _kinds[256 + p[k]]
            all_hex &= _kinds[p[k]]
            digits += _kinds[p[k]] & _DIGIT
            colons += p[k] == 58
        k = find(p, 61, a, b)
        if (
            (digits >= 3 and (parts & 2 or (parts & 4 and b - a >= 8) or k >= 0))
            or (all_hex and (colons >= 2 or (digits and colons == 0 and b - a >= 6)))
            or (digits and parts & 2 and _before_unit(p, e, stop))
        ):
            self._close(p, b, e)
            return e
        self._put(p, i, e)
        return e

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _put(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.void:
        """Write a token, after a space unless it is mere punctuation; none that is cut."""
        n: cython.int = cython.cast(cython.int, e - i)
        k: cython.Py_ssize_t
        if n <= 0:
            return
        if self._n == 0:
            while i < e and _kinds[256 + p[i]] & 16:
                i += 1
            n = cython.cast(cython.int, e - i)
            if n > _TEMPLATE_BYTES:  # a single word: cut it, but not inside a character
                n = _TEMPLATE_BYTES
                while n > 0 and (p[i + n] & 0xC0) == 0x80:
                    n -= 1
                self._is_full = True
        elif not _kinds[256 + p[i]] & 16:
            if self._n + 1 + n > _TEMPLATE_BYTES:
                self._is_full = True
                return
            self._out[self._n] = 32
            self._n += 1
        if self._n + n > _TEMPLATE_BYTES:
            self._is_full = True
            return
        if cython.compiled:
            memcpy(self._out + self._n, p + i, n)
        else:
            for k in range(n):
                self._out[self._n + k] = p[i + k]
        self._n += n

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _close(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.void:
        """Write the last mark of a token that is left out, so that clauses stay apart."""
        if (
            e > i
            and (p[e - 1] == 59 or p[e - 1] == 58 or p[e - 1] == 44)
            and 0 < self._n < _TEMPLATE_BYTES
            and not _kinds[256 + self._out[self._n - 1]] & 16
        ):
            self._out[self._n] = p[e - 1]
            self._n += 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _tidy(self) -> cython.void:
        """Take off what is left over at the end."""
        c: cython.uchar
        while self._n > 0:
            c = self._out[self._n - 1]
            if not (c <= 32 or c == 59 or c == 58 or c == 44 or c == 46 or c == 45 or c == 40):
                break
            self._n -= 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _ends(self, text: cython.p_const_char, n: cython.int) -> cython.bint:
        """Tell whether the template so far ends with the n bytes of a text."""
        k: cython.int
        if n <= 0 or self._n < n:
            return False
        for k in range(n):
            if self._out[self._n - n + k] != text[k]:
                return False
        return True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _before_unit(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.bint:
    """Tell whether a unit of time follows: the number before it differs at each attempt."""
    if i < e and p[i] == 32:
        i += 1
    return (
        begins(p, i, e, b"sec", 3)
        or begins(p, i, e, b"min", 3)
        or begins(p, i, e, b"hour", 4)
        or begins(p, i, e, b"day", 3)
    )
