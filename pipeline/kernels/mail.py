# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Take Postfix lines apart: event, queue id, envelope, outcome, and whose fault it was.

The words of the grammar stand in ``mail_names``. A line is read once from left to right; what is
behind its head is read only where a column needs it.
"""

import cython

if cython.compiled:
    from cython.cimports.libc.string import memchr
    from cython.cimports.pipeline.kernels.mail_columns import Columns
    from cython.cimports.pipeline.kernels.mail_fields import Fields
    from cython.cimports.pipeline.kernels.mail_heads import Heads
    from cython.cimports.pipeline.kernels.mail_text import (
        field_end,
        micros,
        queue_id,
        token_end,
        whole,
    )
    from cython.cimports.pipeline.kernels.mail_words import Words
    from cython.cimports.pipeline.kernels.spans import begins, digits_end, find
else:
    from pipeline.kernels.mail_columns import Columns
    from pipeline.kernels.mail_fields import Fields
    from pipeline.kernels.mail_heads import Heads
    from pipeline.kernels.mail_text import field_end, micros, queue_id, token_end, whole
    from pipeline.kernels.mail_words import Words
    from pipeline.kernels.spans import begins, digits_end, find

from pipeline.kernels.mail_names import (
    CODES,
    COLUMNS,
    EVENTS,
    HEADS,
    LINKS,
    PLACES,
    QUEUED_HEADS,
    STAGES,
    STATUSES,
)

__all__ = ["CODES", "COLUMNS", "COMPILED", "EVENTS", "LINKS", "STAGES", "STATUSES", "MailParser"]

COMPILED = cython.compiled

# The columns that need parts of a line to be read which nothing else needs.
_DELAYS = cython.declare(
    cython.ulonglong, sum(COLUMNS[f"delay_{part}_us"] for part in ("a", "b", "c", "d"))
)
_OUTCOME = cython.declare(
    cython.ulonglong,
    sum(
        COLUMNS[name]
        for name in ("dsn", "reason", "reason_group", "failed_host", "child_id", "link", "code")
    ),
)
_DELIVERY = cython.declare(
    cython.ulonglong,
    sum(
        COLUMNS[name]
        for name in (
            *("recipient", "orig_to", "relay", "relay_ip", "failed_host", "dsn", "status", "code"),
            *("reason", "reason_group", "child_id", "link", "delay_us", "delay_a_us"),
            *("delay_b_us", "delay_c_us", "delay_d_us"),
        )
    ),
)
_FROM = cython.declare(cython.ulonglong, COLUMNS["size"] | COLUMNS["nrcpt"])

EVENT = cython.declare(cython.int, PLACES["event"])
STATUS = cython.declare(cython.int, PLACES["status"])
QUEUE_ID = cython.declare(cython.int, PLACES["queue_id"])
SENDER = cython.declare(cython.int, PLACES["sender"])
RECIPIENT = cython.declare(cython.int, PLACES["recipient"])
RELAY = cython.declare(cython.int, PLACES["relay"])
RELAY_IP = cython.declare(cython.int, PLACES["relay_ip"])
ORIG_TO = cython.declare(cython.int, PLACES["orig_to"])
DSN = cython.declare(cython.int, PLACES["dsn"])
SIZE = cython.declare(cython.int, PLACES["size"])
NRCPT = cython.declare(cython.int, PLACES["nrcpt"])
REPEATS = cython.declare(cython.int, PLACES["repeats"])
DELAY = cython.declare(cython.int, PLACES["delay_us"])
DELAY_A = cython.declare(cython.int, PLACES["delay_a_us"])
E_ACTIVE = cython.declare(cython.int, EVENTS.index("active"))
E_CLIENT = cython.declare(cython.int, EVENTS.index("client"))
E_DELIVERY = cython.declare(cython.int, EVENTS.index("delivery"))
E_EXPIRED = cython.declare(cython.int, EVENTS.index("expired"))
E_REMOVED = cython.declare(cython.int, EVENTS.index("removed"))


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _comma(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return the first place of a comma in p[i:e], or ``e``."""
    if cython.compiled:
        q: cython.p_uchar = (
            cython.cast(cython.p_uchar, memchr(p + i, 44, e - i)) if e > i else cython.NULL
        )
        return q - p if q != cython.NULL else e
    else:
        at = bytes(p[i:e]).find(b",")
        return i + at if at >= 0 else e


@cython.cclass
class MailParser:
    """Parse the messages of scanned rows into column buffers, which are used again.

    Parameters
    ----------
    max_rows : int
        Capacity of the column buffers, in rows.
    columns_mask : int
        What to build: bits of `COLUMNS`.
    events : collection of str, optional
        Nobody asks for other lines: leave them, without an event.

    Attributes
    ----------
    buffers : dict
        Column → its buffer, and column + ``_valid`` → its validity bits. ``bad``: four numbers an
        entry: column (its place in `PLACES`), row, start and stop of a text that is no UTF-8.
    n_bad : int
        Entries in ``bad``.
    reasons : Interner
        The templates that ``reason_group`` has the codes of. New codes are added to its end;
        it is emptied between two calls only.
    """

    mask: cython.ulonglong
    wants_deliveries: cython.bint
    wants_from: cython.bint
    wants_clients: cython.bint
    out: Columns
    fields: Fields
    heads: Heads
    queued_heads: Heads
    status_words: Words

    def __init__(
        self,
        max_rows: cython.int,
        columns_mask: cython.ulonglong,
        events=None,
    ):
        self.mask = columns_mask
        events = frozenset(EVENTS if events is None else events)
        self.wants_deliveries = "delivery" in events
        self.wants_from = bool(events & {"active", "expired"})
        self.wants_clients = "client" in events
        self.out = Columns(max_rows, columns_mask)
        self.fields = Fields(self.out)
        self.heads = Heads(HEADS, self.out, self.fields, events)
        self.queued_heads = Heads(QUEUED_HEADS, self.out, self.fields, events)
        self.status_words = Words([status.encode() for status in STATUSES[1 : len(STATUSES) - 1]])

    @property
    def buffers(self):
        return self.out.buffers

    @property
    def n_bad(self):
        return self.out.n_bad

    @property
    def reasons(self):
        return self.fields.templates.names

    def parse(
        self,
        block: cython.uchar[::1],
        n_rows: cython.int,
        texts: cython.int[::1],
        processes: cython.int[::1],
        daemons: cython.uchar[::1],
        is_clean: cython.bint,
    ):
        """Parse rows into the column buffers, from their first row on.

        Parameters
        ----------
        block : buffer of unsigned bytes
            What the texts lie in.
        n_rows : int
            Rows; at most ``max_rows``.
        texts : buffer of int, 2 * n_rows
            Start and end of each row's message in ``block``; start -1: there is none.
        processes : buffer of int, n_rows
            Code of each row's process.
        daemons : buffer of unsigned bytes
            Process code → kind of daemon, as `formats.postfix.daemon_class` tells; 0: not Postfix.
        is_clean : bool
            The block is known to be ASCII.
        """
        if n_rows > self.out.max_rows:
            raise ValueError(f"{n_rows} rows, but room for {self.out.max_rows}")
        self.fields.templates.forget()
        self.out.is_clean = is_clean
        if n_rows <= 0 or len(block) == 0 or len(daemons) == 0:
            self.out.clear(max(n_rows, 0))
            return
        if cython.compiled:
            p: cython.p_uchar = cython.address(block[0])
            t: cython.p_int = cython.address(texts[0])
            c: cython.p_int = cython.address(processes[0])
            d: cython.p_uchar = cython.address(daemons[0])
            n_daemons: cython.int = len(daemons)
            with cython.nogil:
                self._parse(p, n_rows, t, c, d, n_daemons)
        else:
            self._parse(block, n_rows, texts, processes, daemons, len(daemons))

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _parse(
        self,
        p: cython.p_uchar,
        n_rows: cython.int,
        texts: cython.p_int,
        processes: cython.p_int,
        daemons: cython.p_uchar,
        n_daemons: cython.int,
    ) -> cython.void:
        row: cython.int
        i: cython.Py_ssize_t
        daemon: cython.int
        self.out.clear(n_rows)
        for row in range(n_rows):
            i = texts[2 * row]
            if i < 0 or processes[row] < 0 or processes[row] >= n_daemons:
                continue
            daemon = daemons[processes[row]]
            if daemon:
                self.out.row = row
                self._line(p, i, texts[2 * row + 1], daemon)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _line(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
        daemon: cython.int,
    ) -> cython.void:
        found: cython.Py_ssize_t
        j: cython.Py_ssize_t
        repeats: cython.longlong = 1
        if begins(p, i, e, b"message repeated ", 17):
            j = digits_end(p, i + 17, e)
            if begins(p, j, e, b" times: [", 9) and whole(p, i + 17, j) > 0:
                repeats = whole(p, i + 17, j)
                i = j + 9
                if i < e and p[i] == 32:
                    i += 1
                if e > i and p[e - 1] == 93:
                    e -= 1
        if self._wants(REPEATS):
            self.out.number(REPEATS, repeats)
        while e > i and p[e - 1] == 32:
            e -= 1
        found = queue_id(p, i, e)
        j = found >> 1
        if j == 0 or j == e:
            self.heads.read(p, i, e, daemon)
        elif found & 1:
            if self._wants(QUEUE_ID):
                self.out.text(QUEUE_ID, p, i, j)
            self._queued(p, j + 2, e, daemon)
        elif begins(p, i, e, b"NOQUEUE: ", 9):
            self._queued(p, i + 9, e, daemon)
        elif _follows_an_id(p, i, j + 2, e):
            self.out.text(QUEUE_ID, p, i, j)
            self._queued(p, j + 2, e, daemon)
        else:
            self.heads.read(p, i, e, daemon)

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(check=False)
    def _wants(self, column: cython.int) -> cython.bint:
        """Tell whether a column is built. Asked before a call that is likely to be in vain."""
        return (self.mask >> column) & 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _queued(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
        daemon: cython.int,
    ) -> cython.void:
        """Read what follows a queue id; the commonest lines first."""
        if begins(p, i, e, b"to=<", 4):
            if self.wants_deliveries:
                self._delivery(p, i + 4, e)
        elif begins(p, i, e, b"from=<", 6):
            if self.wants_from:
                self._from(p, i + 6, e)
        elif e - i == 7 and begins(p, i, e, b"removed", 7):
            self.out.code(EVENT, E_REMOVED)
        elif begins(p, i, e, b"client=", 7):
            if self.wants_clients:
                self.out.code(EVENT, E_CLIENT)
                i = self.fields.client(p, i + 7, e)
                self.fields.attributes(p, i, e)
        else:
            self.queued_heads.read(p, i, e, daemon)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _delivery(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
    ) -> cython.void:
        """Read ``ADDRESS>, orig_to=<…>, relay=…, delay=…, delays=…, dsn=…, status=… (…)``."""
        k: cython.Py_ssize_t
        self.out.code(EVENT, E_DELIVERY)
        if not self.mask & _DELIVERY:
            return
        k = field_end(p, i, e)
        if self._wants(RECIPIENT):
            self.out.text(RECIPIENT, p, i, k)
        i = k + 1
        while i < e:
            if p[i] == 44:
                i += 1
            if i < e and p[i] == 32:
                i += 1
            if begins(p, i, e, b"status=", 7):
                self._status(p, i + 7, e)
                return
            if begins(p, i, e, b"orig_to=<", 9):
                k = field_end(p, i + 9, e)
                self.out.text(ORIG_TO, p, i + 9, k)
                i = k + 1
                continue
            k = _comma(p, i, e)
            if begins(p, i, e, b"relay=", 6):
                if self._wants(RELAY) or self._wants(RELAY_IP):
                    self.fields.relay(p, i + 6, k)
            elif begins(p, i, e, b"delay", 5):
                if begins(p, i, e, b"delays=", 7):
                    if self.mask & _DELAYS:
                        self._delays(p, i + 7, k)
                elif begins(p, i, e, b"delay=", 6) and self._wants(DELAY):
                    self.out.number(DELAY, micros(p, i + 6, k))
            elif self._wants(DSN) and begins(p, i, e, b"dsn=", 4):
                self.out.text(DSN, p, i + 4, k)
            i = k

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _delays(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.void:
        k: cython.int
        j: cython.Py_ssize_t
        for k in range(4):
            j = find(p, 47, i, e)
            if j < 0:
                j = e
            self.out.number(DELAY_A + k, micros(p, i, j))
            i = j + 1
            if i > e:
                return

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _status(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.void:
        """Read ``STATUS (reason)``; a line that was cut lacks the last ``)``."""
        j: cython.Py_ssize_t = token_end(p, i, e)
        k: cython.int
        if self._wants(STATUS):
            k = self.status_words.find_word(p, i, j)
            self.out.code(STATUS, k + 1 if k >= 0 else self.status_words.n + 1)
        if self.mask & _OUTCOME and begins(p, j, e, b" (", 2):
            j += 2
            if e > j and p[e - 1] == 41:
                e -= 1
            self.fields.outcome(p, j, e)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _from(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.void:
        """Read qmgr's ``ADDRESS>, size=…, nrcpt=… (queue active)`` or ``ADDRESS>, status=…``."""
        k: cython.Py_ssize_t = field_end(p, i, e)
        place: cython.int
        is_expired: cython.bint = False
        if self._wants(SENDER):
            self.out.text(SENDER, p, i, k)
        i = k + 1
        if not self.mask & _FROM and begins(p, i, e, b", size=", 7):
            self.out.code(EVENT, E_ACTIVE)
            return
        while i < e:
            if p[i] == 44:
                i += 1
            if i < e and p[i] == 32:
                i += 1
            k = token_end(p, i, e)
            if begins(p, i, e, b"size=", 5):
                self.out.number(SIZE, whole(p, i + 5, k))
            elif begins(p, i, e, b"nrcpt=", 6):
                self.out.number(NRCPT, whole(p, i + 6, k))
                break
            elif begins(p, i, e, b"status=", 7):
                is_expired = True
                place = self.status_words.find_word(p, i + 7, k)
                self.out.code(STATUS, place + 1 if place >= 0 else self.status_words.n + 1)
                break
            i = k if k > i else i + 1
        self.out.code(EVENT, E_EXPIRED if is_expired else E_ACTIVE)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _follows_an_id(
    p: cython.p_uchar, start: cython.Py_ssize_t, i: cython.Py_ssize_t, e: cython.Py_ssize_t
) -> cython.bint:
    """Tell whether p[i:e] is something that Postfix writes behind a queue id only.

    Logs that were made up or made anonymous have ids of any letters, but digits among them.
    """
    while start < i and not 48 <= p[start] <= 57:
        start += 1
    return start < i and (
        begins(p, i, e, b"to=<", 4)
        or begins(p, i, e, b"from=<", 6)
        or begins(p, i, e, b"client=", 7)
        or begins(p, i, e, b"message-id=", 11)
        or begins(p, i, e, b"uid=", 4)
        or (e - i == 7 and begins(p, i, e, b"removed", 7))
    )
