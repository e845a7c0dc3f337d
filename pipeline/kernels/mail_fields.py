# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""The parts that several kinds of Postfix lines share: clients, relays, replies, envelopes."""

import cython

if cython.compiled:
    from cython.cimports.pipeline.kernels.mail_columns import Columns
    from cython.cimports.pipeline.kernels.mail_reason import Templates, failed_host, host_end
    from cython.cimports.pipeline.kernels.mail_text import (
        bracket_end,
        dsn_end,
        find_text,
        is_address,
        port_end,
        reply_code_end,
        rfind_text,
        token_end,
        whole,
    )
    from cython.cimports.pipeline.kernels.mail_words import Words
    from cython.cimports.pipeline.kernels.spans import begins, find
else:
    from pipeline.kernels.mail_columns import Columns
    from pipeline.kernels.mail_reason import Templates, failed_host, host_end
    from pipeline.kernels.mail_text import (
        bracket_end,
        dsn_end,
        find_text,
        is_address,
        port_end,
        reply_code_end,
        rfind_text,
        token_end,
        whole,
    )
    from pipeline.kernels.mail_words import Words
    from pipeline.kernels.spans import begins, find

from pipeline.kernels.mail_names import COLUMNS, LINKS, PLACES, STAGES

COMPILED = cython.compiled

SENDER = cython.declare(cython.int, PLACES["sender"])
RECIPIENT = cython.declare(cython.int, PLACES["recipient"])
RELAY = cython.declare(cython.int, PLACES["relay"])
RELAY_IP = cython.declare(cython.int, PLACES["relay_ip"])
FAILED_HOST = cython.declare(cython.int, PLACES["failed_host"])
DSN = cython.declare(cython.int, PLACES["dsn"])
REASON = cython.declare(cython.int, PLACES["reason"])
REASON_GROUP = cython.declare(cython.int, PLACES["reason_group"])
CLIENT = cython.declare(cython.int, PLACES["client"])
CLIENT_IP = cython.declare(cython.int, PLACES["client_ip"])
HELO = cython.declare(cython.int, PLACES["helo"])
SASL_METHOD = cython.declare(cython.int, PLACES["sasl_method"])
SASL_USER = cython.declare(cython.int, PLACES["sasl_user"])
CHILD_ID = cython.declare(cython.int, PLACES["child_id"])
LINK = cython.declare(cython.int, PLACES["link"])
STAGE = cython.declare(cython.int, PLACES["stage"])
CODE = cython.declare(cython.int, PLACES["code"])
DETAIL = cython.declare(cython.int, PLACES["detail"])
# The columns that need parts of a line to be read which nothing else needs.
_REFUSED = cython.declare(
    cython.ulonglong,
    sum(COLUMNS[k] for k in ("relay", "relay_ip", "failed_host", "reason", "reason_group")),
)
_ENVELOPE = cython.declare(
    cython.ulonglong,
    sum(COLUMNS[k] for k in ("sender", "recipient", "helo", "sasl_method", "sasl_user")),
)
_ACTION = cython.declare(
    cython.ulonglong,
    sum(
        COLUMNS[k]
        for k in (
            *("sender", "recipient", "helo", "sasl_method", "sasl_user", "client", "client_ip"),
            *("code", "dsn", "reason", "reason_group", "child_id", "link", "detail"),
        )
    ),
)
_QUEUED = cython.declare(cython.int, LINKS.index("queued"))
_FORWARDED = cython.declare(cython.int, LINKS.index("forwarded"))


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _bit(column: cython.int) -> cython.ulonglong:
    return cython.cast(cython.ulonglong, 1) << column


@cython.cclass
class Fields:
    """Reads shared parts of lines into the columns ``out``."""

    def __init__(self, out: Columns):
        self.out = out
        self.mask = out.mask
        self.stages = Words([stage.encode() for stage in STAGES[1 : len(STAGES) - 1]])
        self.templates = Templates(out.max_rows if out.buffers.get("reason_group") else 1)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def wants_client(self) -> cython.bint:
        return self.mask & (_bit(CLIENT) | _bit(CLIENT_IP)) != 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def client(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
    ) -> cython.Py_ssize_t:
        """Read ``name[ip]``, maybe with ``:port``, at p[i:e]; return the place behind it."""
        j: cython.Py_ssize_t = i
        k: cython.Py_ssize_t
        while j < e and p[j] > 32 and p[j] != 91 and p[j] != 44 and p[j] != 59:
            j += 1
        if j >= e or p[j] != 91:  # mail from here: "from local;"
            if j > i and p[j - 1] == 58:
                j -= 1
            if j > i:
                self.out.text(CLIENT, p, i, j)
            return j
        k = find(p, 93, j, e)
        if k < 0:  # the line was cut
            self.out.text(CLIENT, p, i, e)
            return e
        self.out.text(CLIENT, p, i, k + 1)
        if self.mask & _bit(CLIENT_IP) and is_address(p, j + 1, k):
            self.out.text(CLIENT_IP, p, j + 1, k)
        return port_end(p, k + 1, e)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def bracketed_client(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
    ) -> cython.void:
        """Read ``name[ip]`` at p[i:e] if it is one: free text may go on in any way."""
        j: cython.Py_ssize_t = i
        while j < e and p[j] > 32 and p[j] != 91:
            j += 1
        if j < e and p[j] == 91:
            j = find(p, 93, j, e)
            if j >= 0:
                self.client(p, i, j + 1)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def server(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
    ) -> cython.Py_ssize_t:
        """Read ``name[ip]:port`` at p[i:e] as relay; return the place behind it."""
        j: cython.Py_ssize_t = i
        while j < e and p[j] > 32 and p[j] != 91:
            j += 1
        if j < e and p[j] == 91:
            j = find(p, 93, j, e)
            if j < 0:
                return e
            j = port_end(p, j + 1, e)
        elif j > i and p[j - 1] == 58:
            j -= 1
        self.relay(p, i, j)
        return j

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def relay(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.void:
        """Write a relay and, if the inside of its last brackets is one, its address."""
        j: cython.Py_ssize_t = e
        k: cython.Py_ssize_t
        self.out.text(RELAY, p, i, e)
        if not self.mask & _bit(RELAY_IP):
            return
        while j > i and p[j - 1] != 93:
            j -= 1
        k = j - 1
        while k > i and p[k - 1] != 91:
            k -= 1
        if k > i and is_address(p, k, j - 1):
            self.out.text(RELAY_IP, p, k, j - 1)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def rest(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.void:
        """Write what is left of a line, less the mark that divides it off, as detail."""
        while i < e and (p[i] == 58 or p[i] == 32 or p[i] == 44):
            i += 1
        if i < e:
            self.out.text(DETAIL, p, i, e)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def stage(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
    ) -> cython.Py_ssize_t:
        """Read the stage at p[i:e]; return the place behind it."""
        j: cython.Py_ssize_t = token_end(p, i, e)
        k: cython.int
        if self.mask & _bit(STAGE) and j > i:
            k = self.stages.find_word(p, i, j)
            self.out.code(STAGE, k + 1 if k >= 0 else self.stages.n + 1)
        return j

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def reason(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.void:
        """Write a reason, and its template."""
        if self.mask & _bit(REASON):
            self.out.text(REASON, p, i, e)
        if self.mask & _bit(REASON_GROUP):
            self.out.template(REASON_GROUP, self.templates.code(p, i, e))

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def outcome(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.void:
        """Write what a delivery agent says of an attempt, and what can be read out of it."""
        j: cython.Py_ssize_t
        k: cython.Py_ssize_t
        self.reason(p, i, e)
        self.host(p, i, e)
        if self.mask & _bit(CHILD_ID) or self.mask & _bit(LINK):
            self.child(p, i, e)
        if self.mask & (_bit(CODE) | _bit(DSN)):
            j = i
            if reply_code_end(p, j, e) < 0:
                j = find_text(p, i, e, b" said: ", 7)
                if j >= 0:
                    j += 7
                else:
                    j = find_text(p, i, e, b" refused to talk to me: ", 24)
                    if j >= 0:
                        j += 24
            if j >= 0 and reply_code_end(p, j, e) >= 0:
                self.out.number(CODE, whole(p, j, j + 3))
                k = dsn_end(p, j + 4, e) if j + 4 < e else -1
                if k >= 0:
                    self.out.text(DSN, p, j + 4, k)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def host(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.void:
        j: cython.Py_ssize_t
        if self.mask & _bit(FAILED_HOST):
            i = failed_host(p, i, e)
            if i >= 0:
                j = host_end(p, i, e)
                if j > i:
                    self.out.text(FAILED_HOST, p, i, j)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def refused(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.void:
        """Read ``connect to name[ip]:port: why``; older ones end with `` (port 25)``."""
        j: cython.Py_ssize_t
        k: cython.Py_ssize_t
        if not self.mask & _REFUSED:
            return
        self.host(p, i, e)
        j = self.server(p, i + 11, e)
        if begins(p, j, e, b": ", 2) and self.mask & (_bit(REASON) | _bit(REASON_GROUP)):
            k = rfind_text(p, j, e, b" (port ", 7) if p[e - 1] == 41 else -1
            self.reason(p, j + 2, k if k >= 0 else e)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def child(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.void:
        """Read ``queued as ID`` or ``forwarded as ID``."""
        link: cython.int = _QUEUED
        j: cython.Py_ssize_t = rfind_text(p, i, e, b"queued as ", 10)
        if j < 0:
            if not begins(p, i, e, b"forwarded as ", 13):
                return
            link = _FORWARDED
            j = i + 3
        i = j + 10
        j = i
        while j < e and (48 <= p[j] <= 57 or 65 <= p[j] <= 90 or 97 <= p[j] <= 122):
            j += 1
        if j > i:
            self.out.text(CHILD_ID, p, i, j)
            self.out.code(LINK, link)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def attributes(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
    ) -> cython.void:
        """Read ``, sasl_method=…, sasl_username=…`` behind a client."""
        k: cython.Py_ssize_t
        while i < e:
            while i < e and (p[i] == 44 or p[i] == 32):
                i += 1
            k = find_text(p, i, e, b", ", 2)
            if k < 0:
                k = e
            if begins(p, i, e, b"sasl_method=", 12):
                self.out.text(SASL_METHOD, p, i + 12, k)
            elif begins(p, i, e, b"sasl_username=", 14):
                self.out.text(SASL_USER, p, i + 14, k)
            i = k

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def action(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.void:
        """Read ``STAGE from client: reply; from=<…> to=<…> proto=… helo=<…>``.

        Where a header or the body was the reason, its text stands before ``from client``, and the
        reply at the end.
        """
        j: cython.Py_ssize_t = self.stage(p, i, e)
        k: cython.Py_ssize_t
        if not self.mask & _ACTION:
            return
        if (
            (begins(p, i, e, b"header", 6) and j == i + 6)
            or (begins(p, i, e, b"body", 4) and j == i + 4)
            or (begins(p, i, e, b"content", 7) and j == i + 7)
        ):
            self._content(p, j, e)
            return
        if begins(p, j, e, b" from ", 6):
            j = self.client(p, j + 6, e)
        if begins(p, j, e, b": ", 2):
            k = _envelope_start(p, j + 2, e)
            self.reply(p, j + 2, k if k >= 0 else e)
            if k >= 0 and self.mask & _ENVELOPE:
                self.envelope(p, k + 2, e)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _content(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
    ) -> cython.void:
        """Read `` text from client; from=<…> to=<…> proto=… helo=<…>: reply``.

        The text is the sender's, who may write an envelope there, too: the last one is cleanup's.
        """
        j: cython.Py_ssize_t
        k: cython.Py_ssize_t = rfind_text(p, i, e, b"; from=<", 8)
        end: cython.Py_ssize_t = k if k >= 0 else e
        j = rfind_text(p, i, end, b" from ", 6)
        if i < (j if j >= 0 else end):
            self.out.text(DETAIL, p, i + 1, j if j >= 0 else end)
        if j >= 0:
            self.client(p, j + 6, end)
        if k >= 0:
            j = self.envelope(p, k + 2, e)
            if begins(p, j, e, b": ", 2):
                self.reply(p, j + 2, e)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def reply(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.void:
        """Read ``CODE DSN text``; both numbers may be missing."""
        j: cython.Py_ssize_t = reply_code_end(p, i, e)
        if j >= 0:
            self.out.number(CODE, whole(p, i, j))
            i = j + 1 if j < e else j
        j = dsn_end(p, i, e)
        if j >= 0:
            self.out.text(DSN, p, i, j)
            i = j + 1 if j < e else j
        if self.mask & (_bit(CHILD_ID) | _bit(LINK)):
            self.child(p, i, e)
        self.reason(p, i, e)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def envelope(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
    ) -> cython.Py_ssize_t:
        """Read ``from=<…> to=<…> proto=… helo=<…>``; return the place behind it.

        postscreen puts commas between, cleanup goes on with ``: reply``.
        """
        k: cython.Py_ssize_t
        has_helo: cython.bint = False
        while i < e:
            while i < e and (p[i] == 32 or p[i] == 44):
                i += 1
            if begins(p, i, e, b"from=<", 6):
                k = bracket_end(p, i + 6, e)
                self.out.text(SENDER, p, i + 6, k)
            elif begins(p, i, e, b"to=<", 4):
                k = bracket_end(p, i + 4, e)
                self.out.text(RECIPIENT, p, i + 4, k)
            elif begins(p, i, e, b"helo=<", 6):
                k = bracket_end(p, i + 6, e)
                # A client may write what it likes: where HELO comes last, it is all the rest.
                if (
                    not has_helo  # else a line of many would take quadratic time
                    and p[e - 1] == 62
                    and k < e - 1
                    and find_text(p, k, e, b">: ", 3) < 0
                    and find_text(p, k, e, b"> sasl_", 7) < 0
                ):
                    k = e - 1
                has_helo = True
                self.out.text(HELO, p, i + 6, k)
            elif begins(p, i, e, b"sasl_username=<", 15):
                k = bracket_end(p, i + 15, e)
                self.out.text(SASL_USER, p, i + 15, k)
            else:
                k = token_end(p, i, e)
                if begins(p, i, e, b"sasl_username=", 14):
                    self.out.text(SASL_USER, p, i + 14, k)
                elif begins(p, i, e, b"sasl_method=", 12):
                    self.out.text(SASL_METHOD, p, i + 12, k)
                if k == i or (k < e and p[k] == 58):
                    return k
                i = k
                continue
            i = k + 1
            if i < e and p[i] == 58:
                return i
        return e


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _envelope_start(
    p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
) -> cython.Py_ssize_t:
    """Return the place of the ``;`` before the envelope of the reply p[i:e], or -1.

    A client may write an envelope into a quoted address, which the reply repeats at its begin,
    or call itself one in HELO, which comes last: so it is the first one behind that address.
    """
    k: cython.Py_ssize_t = reply_code_end(p, i, e)
    if k >= 0 and k < e:
        i = k + 1
    k = dsn_end(p, i, e)
    if k >= 0 and k < e:
        i = k + 1
    if i < e and p[i] == 60:
        k = i + 1
        if k < e and p[k] == 34:  # a quoted local part
            k += 1
            while k < e and p[k] != 34:
                k += 2 if p[k] == 92 else 1
        k = find_text(p, k, e, b">: ", 3)
        if k >= 0:
            i = k + 3
    k = find_text(p, i, e, b"; from=<", 8)
    if k < 0:
        k = find_text(p, i, e, b"; to=<", 6)
    if k < 0:
        k = find_text(p, i, e, b"; proto=", 8)
    return k
