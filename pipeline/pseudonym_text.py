"""Find addresses, logins, hosts and IP addresses in free text, and put tokens in their place.

What is found is found by its own form (``a@b``, ``192.0.2.1``, ``mx.example.org``) or by what
stands around it (``user=<…>``, ``for user …``, ``(…) CMD``). In doubt it is replaced; tokens stay.
Words of a log come again and again, and searches begin at the begin of words, so that it takes time
in proportion to the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.pseudonyms import is_ip

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.pseudonyms import Tokens

_WORD = r"(?<![^\s<>()\[\],;:\"|])"  # an address begins here
_LOCAL = r"(?:[^\s<>()\[\],;:\"|@%]|%(?!40))++"
_QUOTED = r"\"(?:[^\"\\]|\\.){1,64}\"(?=@|%40)"
_DOMAIN = r"(?:\[[0-9A-Fa-f:.]+\]|\[IPv6:[0-9A-Fa-f:.]+\]|[\w.-]*\w)"
_IP4 = r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\d)"
_IP6 = (
    r"(?:(?<![\w:.])|(?<=IPv6:))(?:[0-9A-Fa-f]{0,4}:){2,7}"
    r"(?:[0-9A-Fa-f]{1,4}|\d+(?:\.\d+){3})?(?![\w:])"
)
_EMAIL = rf"{_WORD}(?P<local>{_LOCAL}|{_QUOTED})(?P<at>@|%40)(?P<domain>{_DOMAIN})"
_EMAIL_QUOTED = rf"(?P<local>{_QUOTED})(?P<at>@|%40)(?P<domain>{_DOMAIN})"

_USERS = (
    *("user", "username", "login", "ruser", "logname", "account", "sasl_username", "sasl_sender"),
    *("authid", "authzid", "auth", "from", "to", "ctladdr", "mailfrom", "rcpt", "rcptto", "sender"),
    *("recipient", "orig_to", "envelope-from", "smtp.mailfrom", "smtp.auth", "header.from"),
    "email",
)
_HOSTS = (
    *("helo", "ehlo", "rhost", "name", "host", "hostname", "client", "relay", "domain", "mx"),
    *("ptr", "smtp.helo", "header.d", "rdns", "reverse"),
)
#: Also counted: ``disconnect from … ehlo=1 auth=0/1 rcpt=3``.
_TALLIED, _TALLY = ("helo", "ehlo", "auth", "rcpt"), re.compile(r"\d+(?:/\d+)?")
_IDS = ("message-id", "resent-message-id", "msgid", "mid")
_KEYS = "|".join(map(re.escape, (*_USERS, *_HOSTS, *_IDS)))
_PAIRED = r"(?P<paired>[^\s<>()\[\],;\"]+(?:(?<=@)\[[\w:.-]+\])?)"
_IN_BRACKETS = r"\d{1,3}\.|[0-9A-Fa-f]{0,4}:|IPv6:|unknown\]|private/|public/|/"
_SERVICES = (
    r"imap|pop3|lmtp|lda|local|managesieve|sieve|submission|indexer-worker|doveadm|auth|auth-worker|"
    r"passdb|userdb|passwd|passwd-file|pam|sql|ldap|shadow|static|dict|cram-md5|plain|login"
)
_X = r"[^\s<>()\[\],;:\"'`/]+"

#: What is found inside of a word; the name of the group says what becomes of it.
_IN_WORD = re.compile(
    "|".join(
        (
            r"(?<![\w.-])(?P<key>[A-Za-z_][\w.-]{0,40})=<(?P<value>[^<>]*)",
            rf"(?<![\w.-])(?P<pair>(?i:{_KEYS}))=(?P<quote>[\"']?){_PAIRED}",
            _EMAIL,
            r"(?<![\w/:.])(?P<path>/[\w@%+.,=/-]+)",
            rf"(?<![\w.-])(?P<name>[\w.-]+)(?=\[(?:{_IN_BRACKETS}))",
            r"(?<![\w.-])(?P<dotted>(?:[\w-]+\.)+[^\W\d_][\w-]*\w)(?![\w-])",
            rf"(?P<ip6>{_IP6})",
            rf"(?P<ip4>{_IP4})",
            rf"(?<![\w-])(?:{_SERVICES})\((?P<called>{_X})(?=[,)])",
        )
    )
)
#: Words without any of these hold nothing; nor does a queue id with its colon.
_TELLING = re.compile(r"[@.=<\[/(%]|:.")
#: Words that come with ever other numbers, and hold nothing.
_DULL = re.compile(
    r"(?:size|nrcpt|delays?|conn_use|uid|pid)=\d+(?:\.\d+)?(?:/\d+(?:\.\d+)?){0,3},?"
    r"|dsn=\d\.\d+\.\d+,?"
)
#: What follows on a line of a message that a header or body check logs.
_AFTER_CONTENT = r"(?= from \S+\[[^\]\s]*\]|; from=<|$)"
#: What the words around tell, each with texts that must be there: most lines hold none of them.
_AROUND: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = (
    (("header ",), re.compile(rf"(?<=header )(?P<header>\w[\w-]*: .*?){_AFTER_CONTENT}")),
    ((": body ",), re.compile(rf"(?<=: body )(?P<content>.*?){_AFTER_CONTENT}")),
    ((": content ",), re.compile(rf"(?<=: content )(?P<content>.*?){_AFTER_CONTENT}")),
    (
        ("=<", " "),
        re.compile(r"(?<![\w.-])(?P<key>[A-Za-z_][\w.-]{0,40})=<(?P<value>[^<> ]* [^<>]*)"),
    ),
    ((">: ",), re.compile(r"(?<=<)(?P<bare>[^<>\s=\[@]+)(?=>: (?P<bare_kind>\w+))")),
    (('"@',), re.compile(_EMAIL_QUOTED)),
    (('"%40',), re.compile(_EMAIL_QUOTED)),
    # Logins that other programs tell of.
    (
        (" for ", " from "),
        re.compile(rf"(?<=[a-z/] for )(?:(?:invalid|illegal) user )?(?P<for_from>{_X})(?= from )"),
    ),
    (("user ",), re.compile(rf"(?:[Ii]nvalid|[Ii]llegal|for|by) user (?P<user>{_X})")),
    (("ser",), re.compile(rf"[Uu]ser(?: [\"'`]|: [\"'`]?)(?P<user>{_X})")),
    ((" : ",), re.compile(rf"^ *(?P<sudo>{_X})(?= : )")),
    ((") ",), re.compile(rf"^\((?P<cron>{_X})(?=\) [A-Z])")),
    (("(uid=",), re.compile(rf"(?:by|FROM) (?P<by>{_X})(?=\(uid=)")),
)
_NARROW = re.compile(f"{_EMAIL}|(?P<ip6>{_IP6})|(?P<ip4>{_IP4})")
_BEFORE = re.compile(
    r"(?i)(?:(?:id|e?mail|e|addr(?:ess)?|rcpt|sender|m?from|to)=(?=.))?(?:'(?=.))?"
)
#: Names of programs' own files, and of lists whose names say why something was refused.
_OURS = re.compile(r"(?i)(?:main|master)\.cf|(?:www\.)?(?:postfix|openspf|dovecot)\.org")
_LISTS = re.compile(
    r"(?i)(?P<what>[\w.-]*?)\.?(?P<list>(?:(?:[\w-]+\.)*(?:spamhaus\.org|spamcop\.net|sorbs\.net|"
    r"barracudacentral\.org|uceprotect\.net|abuseat\.org|dnswl\.org|surbl\.org|uribl\.com|"
    r"njabl\.org|dsbl\.org|mailspike\.net|manitu\.net|psbl\.org|nixspam\.org)))"
)
#: Words that are remembered.
_REMEMBERED = 100_000
#: Folders below which people have theirs, and what these are called inside.
_BOXES = frozenset(
    ("home", "users", "mail", "vmail", "vhosts", "virtual", "mailboxes", "domains", "mailbox")
)
_PARTS = frozenset(
    (
        *("maildir", "mdbox", "sdbox", "dbox", "mail", "new", "cur", "tmp", "inbox", "vhosts"),
        *("virtual", "spool"),
    )
)
#: Words in capitals that are commands: ``<DATA>: Data command rejected``.
_COMMAND = re.compile(r"[A-Z]{4,8}|END-OF-MESSAGE")


class TextHider:
    """Puts tokens into free text; of each word it makes up its mind once."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._known: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        """Return the text with tokens in it."""
        for held, pattern in _AROUND:
            if held[0] in text and held[-1] in text:
                text = pattern.sub(self._replace, text)
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        known = self._known
        words = text.split(" ")
        for k, word in enumerate(words):
            if word in known:
                words[k] = known[word]
            elif _TELLING.search(word) and not _DULL.fullmatch(word):
                words[k] = known[word] = _IN_WORD.sub(self._replace, word)
        return " ".join(words)

    def _replace(self, match: re.Match[str]) -> str:
        tokens, whole, kind = self._tokens, match[0], match.lastgroup
        assert kind is not None
        if kind == "domain":
            return _address(tokens, match)
        if kind in ("ip6", "ip4"):
            return tokens.ip(whole) if is_ip(whole) else whole
        if kind == "header":
            key, _, value = whole.partition(": ")
            return f"{key}: {tokens.text(value)}"
        if kind == "content":
            return tokens.text(whole)
        if kind == "value":
            return f"{match['key']}=<{_of_key(tokens, match['key'], match['value'])}"
        if kind == "paired":
            value = match["paired"].removesuffix("'") if match["quote"] else match["paired"]
            end = match["paired"][len(value) :]
            return f"{match['pair']}={match['quote']}{_of_key(tokens, match['pair'], value)}{end}"
        if kind == "bare_kind":
            return _bare(tokens, whole, match["bare_kind"])
        if kind == "path":
            return _path(tokens, whole)
        if kind == "name":
            return tokens.host(whole)
        if kind == "dotted":
            return _dotted(tokens, whole)
        begin = match.start(kind) - match.start()
        return whole[:begin] + tokens.address(match[kind])


def hide_in_names(tokens: Tokens) -> Callable[[str], str]:
    """Return what puts tokens in the place of addresses and IP addresses only."""

    def replace(match: re.Match[str]) -> str:
        whole = match[0]
        if match.lastgroup != "domain":
            return tokens.ip(whole) if is_ip(whole) else whole
        return _address(tokens, match)

    return lambda text: _NARROW.sub(replace, text)


def _address(tokens: Tokens, match: re.Match[str]) -> str:
    local = match["local"]
    found = _BEFORE.match(local)
    before = found[0] if found else ""
    address = f"{local[len(before) :]}@{match['domain']}"
    made = tokens.address(address)
    return before + (made if match["at"] == "@" else made.replace("@", match["at"]))


def _of_key(tokens: Tokens, key: str, value: str) -> str:
    key = key.lower()
    if key in _TALLIED and _TALLY.fullmatch(value):
        return value
    if key in _HOSTS:
        return tokens.host(value)
    if key in _IDS:
        return tokens.message_id(value)
    return tokens.address(value)


def _bare(tokens: Tokens, text: str, kind: str) -> str:
    if "@" not in text and kind in ("Client", "Helo", "Unverified"):
        return tokens.host(text)
    return text if _COMMAND.fullmatch(text) else tokens.address(text)


def _path(tokens: Tokens, text: str) -> str:
    """Return a path without the users and domains below a folder of theirs."""
    narrow = hide_in_names(tokens)
    if text.startswith("/var/log/"):
        return narrow(text)
    parts = text.split("/")
    below = next((k + 1 for k, part in enumerate(parts) if part.lower() in _BOXES), len(parts))
    for k in range(1, len(parts)):
        part = parts[k]
        if k < below or not part or part.lower() in _PARTS or "@" in part:
            parts[k] = narrow(part)
        elif not part.startswith("."):
            parts[k] = tokens.host(part) if "." in part else tokens.address(part)
    return "/".join(parts)


def _dotted(tokens: Tokens, text: str) -> str:
    if _OURS.fullmatch(text):
        return text
    listed = _LISTS.fullmatch(text)
    if listed is None:
        return tokens.host(text)
    return ".".join(filter(None, (tokens.host(listed["what"]), listed["list"])))
