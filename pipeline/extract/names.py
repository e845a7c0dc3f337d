"""Names of files for values out of a log: whatever a stranger wrote, they stay in their folder.

The scheme, value by value: letters, digits and ``+,-.=@()`` stay, ``/`` becomes ``_``, every other
byte of the UTF-8 text ``%XX``, a leading dot, dash or equals sign too. What is empty is
``%empty``, what is NULL ``%none``, and what would be too long for a file system begins as it does
and ends in ``%~`` and a digest of the whole. So two values never share a name, and none is ``..``.
"""

from __future__ import annotations

import hashlib

_KEPT = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,-.=@()")
_NOT_FIRST = frozenset(b".-=")
#: File systems take 255 bytes; what is left is for the suffix.
MAX_BYTES = 200
_HEAD_BYTES = 120
_COMPRESSIONS = frozenset({"gz", "gzip", "bgz", "bz2", "xz", "lzma", "zst", "zstd", "lz4"})


def file_name(value: object) -> str:
    """Return the name that stands for a value of a column.

    Examples
    --------
    >>> file_name("postfix/smtp"), file_name("postfix_smtp"), file_name("..")
    ('postfix_smtp', 'postfix%5Fsmtp', '%2E.')
    >>> file_name(None), file_name("")
    ('%none', '%empty')
    """
    if value is None:
        return "%none"
    raw = str(value).encode("utf-8", "surrogateescape")
    if not raw:
        return "%empty"
    parts = [_escape(byte, is_first=k == 0) for k, byte in enumerate(raw[: MAX_BYTES + 1])]
    if len(raw) > MAX_BYTES or sum(map(len, parts)) > MAX_BYTES:
        digest = hashlib.blake2b(raw, digest_size=16).hexdigest()
        head = ""
        for part in parts:  # never half an escape
            if len(head) + len(part) > _HEAD_BYTES:
                break
            head += part
        return f"{head}%~{digest}"
    return "".join(parts)


def _escape(byte: int, *, is_first: bool) -> str:
    if byte in _KEPT and not (is_first and byte in _NOT_FIRST):
        return chr(byte)
    return "_" if byte == ord("/") else f"%{byte:02X}"


def source_names(urls: list[str]) -> dict[str, str]:
    """Return a name for each source file: its own, without the suffix of a compression.

    Where two would share one they keep their suffix, or are called after the whole URL.

    Examples
    --------
    >>> source_names(["a/maillog.1.gz", "a/maillog"])
    {'a/maillog.1.gz': 'maillog.1', 'a/maillog': 'maillog'}
    >>> source_names(["a/maillog", "b/maillog"])
    {'a/maillog': 'a_maillog', 'b/maillog': 'b_maillog'}
    """
    bases = [url.rstrip("/").rsplit("/", 1)[-1] for url in urls]
    for names in (list(map(_bare, bases)), bases, urls):
        escaped = [file_name(name if name != "-" else "stdin") for name in names]
        if len(set(escaped)) == len(urls):
            break
    return dict(zip(urls, escaped, strict=True))


def _bare(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and stem and suffix.lower() in _COMPRESSIONS else name
