"""The words of the Postfix grammar: events, columns, and the heads that lines begin with.

Data only. ``mail`` reads lines with it, and ``formats.postfix`` tells the engine what it means.
"""

#: Kinds of daemon, as far as the same words mean different things in their lines.
DAEMONS = ("", "smtpd", "cleanup", "qmgr", "agent", "postscreen", "tlsproxy", "policy", "any")

#: What happened, code → name; 0: no Postfix line. `other`: the grammar does not know the line.
EVENTS = (
    *("", "connect", "disconnect", "client", "pickup", "message-id", "active", "delivery"),
    *("expired", "removed", "notification", "reply"),
    *("reject", "reject_warning", "milter-reject", "milter-hold", "milter-discard"),
    *("milter-quarantine", "proxy-reject", "proxy-accept", "hold", "discard", "filter"),
    *("redirect", "replace", "prepend", "bcc", "warn", "strip", "info", "delay", "pass", "dunno"),
    *("warning", "error", "fatal", "panic", "sasl_failed", "connect_error"),
    *("lost_connection", "timeout", "too_many_errors", "pipelining", "tls", "statistics"),
    *("postscreen_connect", "postscreen_pass", "postscreen_allowlisted", "postscreen_veto"),
    *("postscreen_dnsbl", "postscreen_pregreet", "postscreen_hangup", "postscreen_denylisted"),
    *("postscreen_disconnect", "postscreen_violation", "dnsblog", "lifecycle", "compatibility"),
    *("requeued", "held", "released", "expire_requested", "skipped", "pix_workaround", "policy"),
    *("notice", "other"),
)

STATUSES = (
    *("", "sent", "deferred", "bounced", "expired", "force-expired", "deliverable"),
    *("undeliverable", "other"),
)

#: Where in the SMTP dialogue, or in which part of a message, something was refused or ended.
STAGES = (
    *("", "CONNECT", "HELO", "EHLO", "LHLO", "MAIL", "RCPT", "DATA", "BDAT", "END-OF-MESSAGE"),
    *("VRFY", "ETRN", "AUTH", "STARTTLS", "RSET", "NOOP", "QUIT", "XFORWARD", "XCLIENT", "EXPN"),
    *("HELP", "UNKNOWN", "header", "body", "content", "other"),
)

#: What `child_id` is to the message of the line.
LINKS = ("", "bounce", "delay", "success", "postmaster", "queued", "forwarded")

TEXTS = (
    *("queue_id", "sender", "recipient", "orig_to", "relay", "relay_ip", "failed_host", "dsn"),
    *("reason", "client", "client_ip", "helo", "sasl_method", "sasl_user", "message_id"),
    *("child_id", "tally", "detail"),
)
CODES = {"event": EVENTS, "status": STATUSES, "stage": STAGES, "link": LINKS}
INTS = (
    *("delay_us", "delay_a_us", "delay_b_us", "delay_c_us", "delay_d_us"),
    *("size", "nrcpt", "code", "uid", "repeats"),
)
TEMPLATES = ("reason_group",)

#: Column → its number, and its bit in the mask of the columns to build.
PLACES = {name: k for k, name in enumerate((*TEXTS, *CODES, *INTS, *TEMPLATES))}
COLUMNS = {name: 1 << k for name, k in PLACES.items()}

# How the rest of a line is read once its head is known.
(
    NOTHING,  # the head says it all
    WHOLE,  # detail: the whole message
    DETAIL,  # detail: what follows
    REASON,  # reason: what follows
    REPLY,  # reason: the whole message
    WARNING,  # reason, and whose fault it is
    CLIENT,  # client, then tally or detail
    SERVER,  # relay, then detail
    AFTER,  # stage, then the client after " from "
    WORD,  # detail: a word; client: the next that has brackets
    SEARCH,  # the client after " from ", then detail
    VIOLATION,  # detail: the head; client, then the stage after " after "
    LISTED,  # "addr IP listed by domain …"
    REFUSED,  # "connect to HOST[IP]:25: why"
    ACTION,  # stage, client, reply, envelope
    CHILD,  # child_id
    MESSAGE_ID,
    PICKUP,
    FOR,  # detail, then the relay after " for "
) = range(19)

_ACTIONS = (
    *("reject", "reject_warning", "milter-reject", "milter-hold", "milter-discard"),
    *("milter-quarantine", "proxy-reject", "proxy-accept", "hold", "discard", "filter"),
    *("redirect", "replace", "prepend", "bcc", "warn", "strip", "info", "delay", "pass", "dunno"),
)
_TROUBLE = (
    (b"warning: ", "warning", WARNING),
    *((name.encode() + b": ", name, REASON) for name in ("error", "fatal", "panic")),
)
_TLS = tuple(
    (b"%sTLS connection %s " % (trust, verb), "tls", SERVER if verb.endswith(b"to") else CLIENT)
    for trust in (b"", b"Anonymous ", b"Trusted ", b"Untrusted ", b"Unverified ", b"Verified ")
    for verb in (b"established from", b"established to", b"reused from", b"reused to")
)

#: Heads of lines without a queue id: text, event, how the rest is read.
HEADS = (
    (b"connect from ", "connect", CLIENT),
    (b"disconnect from ", "disconnect", CLIENT),
    (b"lost connection after ", "lost_connection", AFTER),
    (b"timeout after ", "timeout", AFTER),
    (b"too many errors after ", "too_many_errors", AFTER),
    (b"improper command pipelining after ", "pipelining", AFTER),
    (b"bare <LF> received after ", "notice", AFTER),
    (b"connect to ", "connect_error", REFUSED),
    *_TROUBLE,
    *((name.encode() + b": ", name, ACTION) for name in _ACTIONS),
    *_TLS,
    (b"setting up TLS connection from ", "tls", CLIENT),
    (b"setting up TLS connection to ", "tls", SERVER),
    (b"SSL_accept error from ", "tls", CLIENT),
    (b"SSL_connect error to ", "tls", SERVER),
    (b"SSL_accept:", "tls", WHOLE),
    (b"SSL_connect:", "tls", WHOLE),
    (b"SSL3 alert ", "tls", WHOLE),
    (b"initializing the server-side TLS", "tls", WHOLE),
    (b"initializing the client-side TLS", "tls", WHOLE),
    (b"certificate ", "tls", WHOLE),
    (b"server certificate ", "tls", WHOLE),
    (b"client certificate ", "tls", WHOLE),
    (b"Server certificate ", "tls", WHOLE),
    (b"Client certificate ", "tls", WHOLE),
    (b"Peer certificate ", "tls", WHOLE),
    (b"Peer verification: ", "tls", WHOLE),
    (b"Host offered STARTTLS: ", "tls", WHOLE),
    (b"TLS handshake failed ", "tls", WHOLE),
    (b"TLS SNI ", "tls", WHOLE),
    (b"Issuing session ticket", "tls", WHOLE),
    (b"subject_CN=", "tls", WHOLE),
    (b"fingerprint=", "tls", WHOLE),
    (b"CONNECT from ", "postscreen_connect", CLIENT),
    (b"DISCONNECT ", "postscreen_disconnect", CLIENT),
    (b"PASS ", "postscreen_pass", WORD),
    (b"WHITELISTED ", "postscreen_allowlisted", CLIENT),
    (b"ALLOWLISTED ", "postscreen_allowlisted", CLIENT),
    (b"WHITELIST VETO ", "postscreen_veto", CLIENT),
    (b"ALLOWLIST VETO ", "postscreen_veto", CLIENT),
    (b"BLACKLISTED ", "postscreen_denylisted", CLIENT),
    (b"DENYLISTED ", "postscreen_denylisted", CLIENT),
    (b"DNSBL rank ", "postscreen_dnsbl", WORD),
    (b"PREGREET ", "postscreen_pregreet", SEARCH),
    (b"HANGUP after ", "postscreen_hangup", SEARCH),
    (b"NON-SMTP COMMAND from ", "postscreen_violation", VIOLATION),
    (b"BARE NEWLINE from ", "postscreen_violation", VIOLATION),
    (b"COMMAND PIPELINING from ", "postscreen_violation", VIOLATION),
    (b"COMMAND TIME LIMIT from ", "postscreen_violation", VIOLATION),
    (b"COMMAND COUNT LIMIT from ", "postscreen_violation", VIOLATION),
    (b"COMMAND LENGTH LIMIT from ", "postscreen_violation", VIOLATION),
    (b"addr ", "dnsblog", LISTED),
    (b"statistics: ", "statistics", DETAIL),
    (b"cache ", "statistics", WHOLE),
    (b"Deleted: ", "statistics", WHOLE),
    (b"Requeued: ", "statistics", WHOLE),
    (b"Placed on hold: ", "statistics", WHOLE),
    (b"Released from hold: ", "statistics", WHOLE),
    (b"Expired: ", "statistics", WHOLE),
    (b"Renamed to match inode number: ", "statistics", WHOLE),
    (b"daemon started", "lifecycle", WHOLE),
    (b"terminating on signal ", "lifecycle", WHOLE),
    (b"reload ", "lifecycle", WHOLE),
    (b"master exit", "lifecycle", WHOLE),
    (b"starting the Postfix mail system", "lifecycle", WHOLE),
    (b"stopping the Postfix mail system", "lifecycle", WHOLE),
    (b"refreshing the Postfix mail system", "lifecycle", WHOLE),
    (b"aborting the Postfix mail system", "lifecycle", WHOLE),
    (b"waiting for the Postfix mail system", "lifecycle", WHOLE),
    (b"the Postfix mail system is ", "lifecycle", WHOLE),
    (b"table ", "lifecycle", WHOLE),
    (b"rotating file ", "lifecycle", WHOLE),
    (b"Postfix is running with backwards-compatible", "compatibility", WHOLE),
    (b"Postfix is using backwards-compatible", "compatibility", WHOLE),
    (b"using backwards-compatible default setting", "compatibility", WHOLE),
    (b"See http", "compatibility", WHOLE),
    (b"To disable backwards compatibility", "compatibility", WHOLE),
    (b"discarding EHLO keywords: ", "notice", WHOLE),
    (b"entering STRESS mode", "notice", WHOLE),
    (b"leaving STRESS mode", "notice", WHOLE),
    (b"Mail system is down", "notice", WHOLE),
)

#: Heads of what follows a queue id, or NOQUEUE.
QUEUED_HEADS = (
    (b"resent-message-id=", "message-id", MESSAGE_ID),
    (b"message-id=", "message-id", MESSAGE_ID),
    (b"uid=", "pickup", PICKUP),
    (b"sender=", "pickup", PICKUP),
    (b"sender non-delivery notification: ", "notification", CHILD),
    (b"sender delay notification: ", "notification", CHILD),
    (b"sender delivery status notification: ", "notification", CHILD),
    (b"postmaster non-delivery notification: ", "notification", CHILD),
    (b"postmaster delay notification: ", "notification", CHILD),
    (b"postmaster undeliverable notification: ", "notification", CHILD),
    *_TROUBLE,
    *((name.encode() + b": ", name, ACTION) for name in _ACTIONS),
    (b"host ", "reply", REPLY),
    (b"lost connection with ", "reply", REPLY),
    (b"conversation with ", "reply", REPLY),
    (b"SASL authentication failed", "reply", REPLY),
    (b"Cannot start TLS", "reply", REPLY),
    (b"TLS is required", "reply", REPLY),
    (b"Server certificate ", "reply", REPLY),
    (b"enabling PIX workarounds: ", "pix_workaround", FOR),
    (b"enabling PIX ", "pix_workaround", FOR),
    (b"requeued", "requeued", NOTHING),
    (b"placed on hold", "held", NOTHING),
    (b"released from hold", "released", NOTHING),
    (b"expired", "expire_requested", NOTHING),
    (b"skipped, ", "skipped", WHOLE),
    (b"breaking line ", "notice", WHOLE),
    (b"renamed from ", "notice", WHOLE),
    (b"Postfix is using backwards-compatible", "compatibility", WHOLE),
    (b"using backwards-compatible default setting", "compatibility", WHOLE),
)

#: Link of each notification, by the head of its line.
NOTIFICATIONS = {
    b"sender non-delivery notification: ": "bounce",
    b"sender delay notification: ": "delay",
    b"sender delivery status notification: ": "success",
}
