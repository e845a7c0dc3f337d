# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Take the lines of web servers apart: Apache common and combined, nginx, with or without vhost.

    [VHOST[:PORT]] CLIENT IDENT USER [STAMP] "REQUEST" STATUS SIZE ["REFERER" "AGENT" [… TIME …]]

Whatever a client wrote stands in quotes, and quotes in it are escaped; it stays as it is written.
"""

import cython

if cython.compiled:
    from cython.cimports.pipeline.kernels.mail_columns import Columns
    from cython.cimports.pipeline.kernels.mail_text import micros, whole
    from cython.cimports.pipeline.kernels.spans import begins, find
    from cython.cimports.pipeline.kernels.stamp import find_bracket
else:
    from pipeline.kernels.mail_columns import Columns
    from pipeline.kernels.mail_text import micros, whole
    from pipeline.kernels.spans import begins, find
    from pipeline.kernels.stamp import find_bracket

COMPILED = cython.compiled

_TEXTS = (
    *("vhost", "client_ip", "ident", "user", "method", "path", "query", "protocol"),
    *("referer", "user_agent"),
)
#: Whether a line is one of a web server.
_CODES = {"is_row": ("", "yes")}
_INTS = ("status", "size", "request_time_us")
PLACES = {name: k for k, name in enumerate((*_TEXTS, *_CODES, *_INTS))}
COLUMNS = {name: 1 << k for name, k in PLACES.items()}
#: As `pipeline.kernels.mail_columns` wants it.
LAYOUT = (_TEXTS, _CODES, _INTS, (), COLUMNS, PLACES)

VHOST = cython.declare(cython.int, PLACES["vhost"])
CLIENT_IP = cython.declare(cython.int, PLACES["client_ip"])
IDENT = cython.declare(cython.int, PLACES["ident"])
USER = cython.declare(cython.int, PLACES["user"])
METHOD = cython.declare(cython.int, PLACES["method"])
PATH = cython.declare(cython.int, PLACES["path"])
QUERY = cython.declare(cython.int, PLACES["query"])
PROTOCOL = cython.declare(cython.int, PLACES["protocol"])
REFERER = cython.declare(cython.int, PLACES["referer"])
USER_AGENT = cython.declare(cython.int, PLACES["user_agent"])
IS_ROW = cython.declare(cython.int, PLACES["is_row"])
STATUS = cython.declare(cython.int, PLACES["status"])
SIZE = cython.declare(cython.int, PLACES["size"])
REQUEST_TIME = cython.declare(cython.int, PLACES["request_time_us"])

_HEAD = cython.declare(
    cython.ulonglong, sum(COLUMNS[name] for name in ("vhost", "client_ip", "ident", "user"))
)
_REQUEST = cython.declare(
    cython.ulonglong, sum(COLUMNS[name] for name in ("method", "path", "query", "protocol"))
)
_BEHIND = cython.declare(
    cython.ulonglong,
    sum(COLUMNS[name] for name in (*_INTS, "referer", "user_agent")),
)
_AGENTS = cython.declare(
    cython.ulonglong, sum(COLUMNS[name] for name in ("referer", "user_agent", "request_time_us"))
)
_SIZE = cython.declare(cython.ulonglong, COLUMNS["size"])
#: Letters of a method at most; WebDAV's longest has 16.
_METHOD_LENGTH = cython.declare(cython.int, 24)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _quote(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return the first place in p[i:e] of a quote that is not escaped, or ``e``."""
    at: cython.Py_ssize_t = i
    k: cython.Py_ssize_t
    while True:
        at = find(p, 34, at, e)
        if at < 0:
            return e
        k = at
        while k > i and p[k - 1] == 92:
            k -= 1
        if not (at - k) & 1:
            return at
        at += 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _is_ip(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.bint:
    """Tell whether p[i:e] looks like an address: digits and dots, or hex digits and two colons."""
    dots: cython.int = 0
    colons: cython.int = 0
    letters: cython.int = 0
    c: cython.uchar
    if e - i > 45:
        return False
    while i < e:
        c = p[i]
        if c == 46:
            dots += 1
        elif c == 58:
            colons += 1
        elif 97 <= c <= 102 or 65 <= c <= 70:
            letters += 1
        elif c == 37 and colons > 1:
            return True  # a zone follows
        elif not 48 <= c <= 57:
            return False
        i += 1
    return colons > 1 or (dots == 3 and colons == 0 and letters == 0)


@cython.cclass
class AccessParser:
    """Writes the columns of a web server's lines, for rows that a scanner has found.

    Parameters
    ----------
    max_rows : int
        Rows at most.
    mask : int
        Columns to build: bits of `COLUMNS`.
    """

    out: Columns
    mask: cython.ulonglong
    _is_timed: cython.bint

    def __init__(self, max_rows: cython.int, mask: cython.ulonglong):
        self.mask = mask
        self.out = Columns(max_rows, mask, LAYOUT)

    @property
    def buffers(self):
        """The columns, each with its validity bits; the texts that are no UTF-8 in ``bad``."""
        return self.out.buffers

    @property
    def n_bad(self):
        """Texts that are no UTF-8."""
        return self.out.n_bad

    def parse(
        self,
        block: cython.uchar[::1],
        n_rows: cython.int,
        texts: cython.int[::1],
        lines: cython.int[::1],
        is_clean: cython.bint,
    ):
        """Read the rows of a block.

        Parameters
        ----------
        block : writable buffer of unsigned bytes
            What was scanned.
        n_rows : int
            Rows of the scan.
        texts : buffer of int
            Begin and end of each message in the block; -1 where the line has no stamp.
        lines : buffer of int
            Begin and end of each line.
        is_clean : bool
            All of it is ASCII.
        """
        row: cython.int
        i: cython.Py_ssize_t
        self.out.is_clean = is_clean
        self.out.clear(n_rows)
        if n_rows == 0:
            return
        if cython.compiled:
            p: cython.p_uchar = cython.address(block[0])
            with cython.nogil:
                for row in range(n_rows):
                    i = texts[2 * row] if texts[2 * row] >= 0 else lines[2 * row]
                    self.out.row = row
                    self._line(p, i, lines[2 * row + 1])
        else:
            for row in range(n_rows):
                i = texts[2 * row] if texts[2 * row] >= 0 else lines[2 * row]
                self.out.row = row
                self._line(block, i, lines[2 * row + 1])

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _line(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.void:
        at: cython.Py_ssize_t = find_bracket(p, i, e)
        end: cython.Py_ssize_t
        if at < 0:
            return
        self.out.code(IS_ROW, 1)
        if self.mask & _HEAD:
            self._head(p, i, at - 1)
        if not self.mask & (_REQUEST | _BEHIND):
            return
        i = at + 30
        end = _quote(p, i, e)
        if self.mask & _REQUEST:
            self._request(p, i, end)
        if self.mask & _BEHIND and end < e:
            self._behind(p, end + 1, e)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _head(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.void:
        """Read p[i:e], what stands before the stamp."""
        k: cython.Py_ssize_t = find(p, 32, i, e)
        second: cython.Py_ssize_t
        end: cython.Py_ssize_t
        colon: cython.Py_ssize_t
        if k < 0:
            k = e
        if i < k < e and not _is_ip(p, i, k) and p[k - 1] != 44:
            second = k + 1
            end = find(p, 32, second, e)
            if end > second and _is_ip(p, second, end):
                colon = k - 1
                while colon > i and 48 <= p[colon] <= 57:
                    colon -= 1
                self._name(VHOST, p, i, colon if colon > i and p[colon] == 58 else k)
                i = second
                k = end
        end = k
        if end > i and p[end - 1] == 44:
            end -= 1
            # A list of those that it was forwarded for: the first is the client.
            while k > i and p[k - 1] == 44:
                second = find(p, 32, k + 1, e)
                k = second if second >= 0 else e
                if second < 0:
                    break
        self._name(CLIENT_IP, p, i, end)
        if k >= e:
            return
        i = k + 1
        k = find(p, 32, i, e)
        if k < 0:
            k = e
        self._name(IDENT, p, i, k)
        if k < e:
            self._name(USER, p, k + 1, e)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _name(
        self, column: cython.int, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
    ) -> cython.void:
        """Write p[i:e]; ``-`` and nothing at all are NULL."""
        if e > i and not (e == i + 1 and p[i] == 45):
            self.out.text(column, p, i, e)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _request(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
    ) -> cython.void:
        """Read ``GET /path?query HTTP/1.1``; what is no request at all leaves its columns NULL."""
        k: cython.Py_ssize_t = i
        mark: cython.Py_ssize_t
        end: cython.Py_ssize_t = e
        while (
            k < e
            and k <= i + _METHOD_LENGTH
            and (65 <= p[k] <= 90 or 97 <= p[k] <= 122 or p[k] == 45 or p[k] == 95)
        ):
            k += 1
        if k == i or k + 1 >= e or p[k] != 32:
            return
        mark = e
        while mark > k and p[mark - 1] != 32:
            mark -= 1
            if e - mark > 10:  # no protocol is that long; paths may be
                break
        if (
            mark > k + 1
            and e - mark >= 5
            and p[mark - 1] == 32
            and p[mark] == 72
            and p[mark + 1] == 84
            and p[mark + 2] == 84
            and p[mark + 3] == 80
            and p[mark + 4] == 47
        ):
            self.out.text(PROTOCOL, p, mark, e)
            end = mark - 1
        self.out.text(METHOD, p, i, k)
        i = k + 1
        mark = find(p, 63, i, end)
        if mark < 0:
            mark = end
        self.out.text(PATH, p, i, mark)
        if mark + 1 < end:
            self.out.text(QUERY, p, mark + 1, end)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _behind(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.void:
        """Read what stands behind the request: status, size, who asked, how long it took."""
        k: cython.Py_ssize_t
        nth: cython.int = 0
        self._is_timed = False
        if e - i < 4 or p[i] != 32:
            return
        i += 1
        k = find(p, 32, i, e)
        if k < 0:
            k = e
        if k - i == 3:
            self.out.number(STATUS, whole(p, i, k))
        if k >= e or not self.mask & (_AGENTS | _SIZE):
            return
        i = k + 1
        k = find(p, 32, i, e)
        if k < 0:
            k = e
        self.out.number(SIZE, whole(p, i, k))
        if not self.mask & _AGENTS:
            return
        i = k + 1
        while i < e:
            if p[i] == 34:
                k = _quote(p, i + 1, e)
                if nth == 0:
                    self._name(REFERER, p, i + 1, k)
                elif nth == 1:
                    self._name(USER_AGENT, p, i + 1, k)
                nth += 1
                i = k + 1
            elif p[i] == 32:
                i += 1
            else:
                k = find(p, 32, i, e)
                if k < 0:
                    k = e
                if not self._is_timed:
                    self._duration(p, i, k)
                i = k

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _duration(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
    ) -> cython.void:
        """Read ``0.123`` or ``rt=0.123`` seconds, or Apache's %D: microseconds without a point."""
        n: cython.longlong = -1
        if begins(p, i, e, b"rt=", 3):
            n = micros(p, i + 3, e)
        elif begins(p, i, e, b"request_time=", 13):
            n = micros(p, i + 13, e)
        else:
            n = whole(p, i, e)
            if n < 0:
                n = micros(p, i, e)
        self._is_timed = n >= 0
        self.out.number(REQUEST_TIME, n)
