# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Read the Postfix lines whose first words say what they are; the words stand in ``mail_names``."""

import cython

if cython.compiled:
    from cython.cimports.pipeline.kernels.mail_columns import Columns
    from cython.cimports.pipeline.kernels.mail_fields import Fields
    from cython.cimports.pipeline.kernels.mail_text import (
        bracket_end,
        find_text,
        queue_id,
        rfind_text,
        token_end,
        whole,
    )
    from cython.cimports.pipeline.kernels.mail_words import Words
    from cython.cimports.pipeline.kernels.spans import begins, digits_end, find
else:
    from pipeline.kernels.mail_columns import Columns
    from pipeline.kernels.mail_fields import Fields
    from pipeline.kernels.mail_text import (
        bracket_end,
        find_text,
        queue_id,
        rfind_text,
        token_end,
        whole,
    )
    from pipeline.kernels.mail_words import Words
    from pipeline.kernels.spans import begins, digits_end, find

from pipeline.kernels import mail_names as names
from pipeline.kernels.mail_names import COLUMNS, EVENTS, LINKS, PLACES

COMPILED = cython.compiled

# The columns that need a client to be read.
_CLIENT = cython.declare(
    cython.ulonglong, sum(COLUMNS[name] for name in ("client", "client_ip", "tally", "detail"))
)

EVENT = cython.declare(cython.int, PLACES["event"])
LINK = cython.declare(cython.int, PLACES["link"])
SENDER = cython.declare(cython.int, PLACES["sender"])
SASL_METHOD = cython.declare(cython.int, PLACES["sasl_method"])
SASL_USER = cython.declare(cython.int, PLACES["sasl_user"])
MESSAGE_ID_TEXT = cython.declare(cython.int, PLACES["message_id"])
CHILD_ID = cython.declare(cython.int, PLACES["child_id"])
TALLY = cython.declare(cython.int, PLACES["tally"])
DETAIL_TEXT = cython.declare(cython.int, PLACES["detail"])
CLIENT_IP = cython.declare(cython.int, PLACES["client_ip"])
UID = cython.declare(cython.int, PLACES["uid"])
E_DISCONNECT = cython.declare(cython.int, EVENTS.index("disconnect"))
E_OTHER = cython.declare(cython.int, EVENTS.index("other"))
E_POLICY = cython.declare(cython.int, EVENTS.index("policy"))
E_SASL_FAILED = cython.declare(cython.int, EVENTS.index("sasl_failed"))
E_TLS = cython.declare(cython.int, EVENTS.index("tls"))
E_WARN = cython.declare(cython.int, EVENTS.index("warn"))
E_WARNING = cython.declare(cython.int, EVENTS.index("warning"))
D_CLEANUP = cython.declare(cython.int, names.DAEMONS.index("cleanup"))
D_TLSPROXY = cython.declare(cython.int, names.DAEMONS.index("tlsproxy"))
D_POLICY = cython.declare(cython.int, names.DAEMONS.index("policy"))
WHOLE = cython.declare(cython.int, names.WHOLE)
DETAIL = cython.declare(cython.int, names.DETAIL)
REASON = cython.declare(cython.int, names.REASON)
REPLY = cython.declare(cython.int, names.REPLY)
WARNING = cython.declare(cython.int, names.WARNING)
CLIENT = cython.declare(cython.int, names.CLIENT)
SERVER = cython.declare(cython.int, names.SERVER)
AFTER = cython.declare(cython.int, names.AFTER)
WORD = cython.declare(cython.int, names.WORD)
SEARCH = cython.declare(cython.int, names.SEARCH)
VIOLATION = cython.declare(cython.int, names.VIOLATION)
LISTED = cython.declare(cython.int, names.LISTED)
REFUSED = cython.declare(cython.int, names.REFUSED)
ACTION = cython.declare(cython.int, names.ACTION)
CHILD = cython.declare(cython.int, names.CHILD)
MESSAGE_ID = cython.declare(cython.int, names.MESSAGE_ID)
PICKUP = cython.declare(cython.int, names.PICKUP)
FOR = cython.declare(cython.int, names.FOR)

#: Events of lines that begin with no head, and others of those whose head has a form.
_WITHOUT_HEAD = ("other", "policy", "tls")
_ALSO = {names.WARNING: ("warn", "sasl_failed"), names.CLIENT: ("tls",)}


@cython.cclass
class Heads:
    """A table of heads, and what is read behind each into the columns ``out``.

    Lines with other events than ``events`` are left as they are, without one.
    """

    def __init__(self, heads, out: Columns, fields: Fields, events):
        if len(heads) > 256:
            raise ValueError(f"{len(heads)} heads, but room for 256")
        self.mask = out.mask
        self.out = out
        self.fields = fields
        self.words = Words([head[0] for head in heads])
        if not cython.compiled:
            self.links = bytearray(256)
            self.events = bytearray(256)
            self.forms = bytearray(256)
            self.lengths = bytearray(256)
            self.wanted = bytearray(256)
        self.wants_rest = not events.isdisjoint(_WITHOUT_HEAD)
        for k, (text, event, form) in enumerate(heads):
            link = names.NOTIFICATIONS.get(text, "postmaster" if form == names.CHILD else "")
            self.links[k] = LINKS.index(link)
            self.events[k] = EVENTS.index(event)
            self.forms[k] = form
            self.lengths[k] = len(text)
            self.wanted[k] = event in events or not events.isdisjoint(_ALSO.get(form, ()))

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def read(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
        daemon: cython.int,
    ) -> cython.void:
        """Read a message whose first words say what it is."""
        place: cython.int = self.words.find(p, i, e)
        event: cython.int = E_OTHER
        form: cython.int = WHOLE
        j: cython.Py_ssize_t = i
        k: cython.Py_ssize_t
        if (place < 0 and not self.wants_rest) or (place >= 0 and self.wanted[place] == 0):
            return
        if place >= 0:
            event = self.events[place]
            form = self.forms[place]
            j = i + self.lengths[place]
        elif daemon == D_POLICY:
            event = E_POLICY
        elif _names_peer(p, i, e):
            event = E_TLS
        if form == WARNING:
            self._warning(p, j, e, daemon)
            return
        if daemon == D_TLSPROXY and form == CLIENT:
            event = E_TLS
        self.out.code(EVENT, event)
        if form == WHOLE:
            self.out.text(DETAIL_TEXT, p, i, e)
        elif form == DETAIL:
            self.out.text(DETAIL_TEXT, p, j, e)
        elif form == CLIENT:
            if not self.mask & _CLIENT:
                return
            k = self.fields.client(p, j, e)
            if event == E_DISCONNECT:
                if k + 1 < e and p[k] == 32:
                    self.out.text(TALLY, p, k + 1, e)
            else:
                self.fields.rest(p, k, e)
        elif form == ACTION:
            self.fields.action(p, j, e)
        elif form == REASON:
            self.fields.reason(p, j, e)
        elif form == REPLY:
            self.fields.outcome(p, i, e)
        elif form == REFUSED:
            self.fields.refused(p, i, e)
        elif form == AFTER:
            k = self.fields.stage(p, j, e)
            k = find_text(p, k, e, b" from ", 6)
            if k >= 0:
                k = self.fields.client(p, k + 6, e)
                self.fields.rest(p, k, e)
        elif form == SERVER:
            k = self.fields.server(p, j, e)
            self.fields.rest(p, k, e)
        elif form == CHILD:
            if queue_id(p, j, e) == 2 * e + 1:
                self.out.text(CHILD_ID, p, j, e)
                self.out.code(LINK, self.links[place])
        elif form == MESSAGE_ID:
            self._message_id(p, j, e)
        elif form == PICKUP:
            self._pickup(p, i, e)
        elif form == WORD:
            k = token_end(p, j, e)
            self.out.text(DETAIL_TEXT, p, j, k)
            k = find(p, 91, k, e)
            if k >= 0:
                self.fields.client(p, k, e)
        elif form == SEARCH:
            k = find_text(p, j, e, b" from ", 6)
            if k >= 0:
                k = self.fields.client(p, k + 6, e)
                self.fields.rest(p, k, e)
        elif form == VIOLATION:
            self.out.text(DETAIL_TEXT, p, i, j - 6)
            k = self.fields.client(p, j, e)
            k = find_text(p, k, e, b" after ", 7)
            if k >= 0:
                self.fields.stage(p, k + 7, e)
        elif form == FOR:
            k = rfind_text(p, j, e, b" for ", 5)
            self.out.text(DETAIL_TEXT, p, j, k if k >= 0 else e)
            if k >= 0:
                self.fields.server(p, k + 5, e)
        elif form == LISTED:
            k = j
            while k < e and p[k] != 32:
                k += 1
            self.out.text(CLIENT_IP, p, j, k)
            j = find_text(p, k, e, b" by domain ", 11)
            self.out.text(DETAIL_TEXT, p, j + 11 if j >= 0 else k, e)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _warning(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        e: cython.Py_ssize_t,
        daemon: cython.int,
    ) -> cython.void:
        """Read what follows ``warning: ``: a failed login, a header check's WARN, or anything."""
        j: cython.Py_ssize_t
        k: cython.Py_ssize_t
        if daemon == D_CLEANUP and (
            begins(p, i, e, b"header ", 7)
            or begins(p, i, e, b"body ", 5)
            or begins(p, i, e, b"content ", 8)
        ):
            self.out.code(EVENT, E_WARN)
            self.fields.action(p, i, e)
            return
        j = i
        while j < e and p[j] > 32 and p[j] != 91:
            j += 1
        if j < e and p[j] == 91:
            j = find(p, 93, j, e)
            if j >= 0 and begins(p, j, e, b"]: ", 3):
                self.fields.client(p, i, j + 1)
                j += 3
                if begins(p, j, e, b"SASL ", 5):
                    k = find_text(p, j + 5, e, b" authentication ", 16)
                    if k >= 0:
                        self.out.code(EVENT, E_SASL_FAILED)
                        self.out.text(SASL_METHOD, p, j + 5, k)
                        self._login(p, k + 16, e)
                        return
        elif self.fields.wants_client():
            k = find_text(p, i, e, b" from ", 6)
            if k >= 0:
                self.fields.bracketed_client(p, k + 6, e)
        self.out.code(EVENT, E_WARNING)
        self.fields.reason(p, i, e)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _login(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.void:
        """Read ``failed: reason, sasl_username=name``; name and reason may be missing."""
        j: cython.Py_ssize_t = rfind_text(p, i, e, b", sasl_username=", 16)
        if j >= 0:
            self.out.text(SASL_USER, p, j + 16, e)
            e = j
        j = find_text(p, i, e, b": ", 2)
        if j >= 0:
            self.fields.reason(p, j + 2, e)
        elif e > i and p[e - 1] != 58:
            self.fields.reason(p, i, e)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _message_id(
        self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t
    ) -> cython.void:
        if i < e and p[i] == 60 and p[e - 1] == 62:
            self.out.text(MESSAGE_ID_TEXT, p, i + 1, e - 1)
        else:
            self.out.text(MESSAGE_ID_TEXT, p, i, e)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _pickup(self, p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.void:
        """Read ``uid=N from=<name>``; older ones say ``from=name`` or ``sender=name``."""
        k: cython.Py_ssize_t
        if begins(p, i, e, b"uid=", 4):
            k = digits_end(p, i + 4, e)
            self.out.number(UID, whole(p, i + 4, k))
            i = k + 1
        if begins(p, i, e, b"from=", 5):
            i += 5
        elif begins(p, i, e, b"sender=", 7):
            i += 7
        else:
            return
        if i < e and p[i] == 60:
            self.out.text(SENDER, p, i + 1, bracket_end(p, i + 1, e))
        else:
            k = token_end(p, i, e)
            self.out.text(SENDER, p, i, k)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _names_peer(p: cython.p_uchar, i: cython.Py_ssize_t, e: cython.Py_ssize_t) -> cython.bint:
    """Tell whether p[i:e] begins with ``name[ip]: `` or ``name[ip]:port: ``, as TLS lines do."""
    while i < e and p[i] > 32 and p[i] != 91:
        i += 1
    if i >= e or p[i] != 91:
        return False
    i = find(p, 93, i, e)
    if i < 0:
        return False
    i += 1
    if i + 1 < e and p[i] == 58 and p[i + 1] != 32:
        i = digits_end(p, i + 1, e)
    return begins(p, i, e, b": ", 2)
