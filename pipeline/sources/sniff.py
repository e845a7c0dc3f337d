"""Tell what is no log, by its name and by its first bytes. Opens nothing."""

from __future__ import annotations

import re

#: So many stored bytes are looked at.
SNIFF_BYTES = 8 << 10

_NAMES = (
    (re.compile(r"\..*"), "a hidden file"),
    (
        re.compile(r".*~|#.*#|.*\.(?:bak~|sw[a-p])", re.IGNORECASE),
        "an editor's backup or swap file",
    ),
    (
        re.compile(r".*\.(?:part|partial|filepart|crdownload|tmp|temp)", re.IGNORECASE),
        "a partial or temporary file",
    ),
)
_MAGICS = (
    (b"LPKSHHRH", "a systemd journal: journalctl -o short-iso prints it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a rar archive"),
    (b"!<arch>\n", "an ar archive or Debian package"),
    (b"\xed\xab\xee\xdb", "an rpm package"),
    (b"SQLite format 3\0", "a SQLite database"),
    (b"\x7fELF", "a program"),
    (b"%PDF-", "a PDF document"),
    (b"\x89PNG\r\n", "a picture"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"<!doctype html", "a web page"),
    (b"<!DOCTYPE html", "a web page"),
    (b"<svg ", "a picture"),
)
# Escape sequences of colored output, tabs, form feeds and line ends are text.
_CONTROL = bytes(set(range(32)) - set(b"\a\b\t\n\v\f\r\x1b")) + b"\x7f"


def why_not_by_name(name: str) -> str | None:
    """Say why a file of this name, found in a folder, is no log; None where it may be one."""
    return next((why for pattern, why in _NAMES if pattern.fullmatch(name)), None)


def why_not_by_content(head: bytes) -> str | None:
    """Say why a file that begins so is no log; None where it may be one, or is compressed.

    Parameters
    ----------
    head : bytes
        First stored bytes, at most `SNIFF_BYTES` are looked at. None at all is an empty log.
    """
    head = head[:SNIFF_BYTES]
    for magic, why in _MAGICS:
        if head.startswith(magic):
            return why
    if head.startswith(b"__CURSOR="):
        return None  # journalctl -o export, where lengths in binary stand before some texts
    n_control = len(head) - len(head.translate(None, _CONTROL))
    if n_control == 0:
        return None
    from pipeline.compression import detect

    if detect(head) != "plain":
        return None
    if b"\0" in head or n_control * 10 > len(head):
        return "binary content"
    return None


def is_zip(head: bytes) -> bool:
    """Tell whether a file begins as a zip archive, an empty one included."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def is_tar(head: bytes) -> bool:
    """Tell whether the first 512 bytes are a tar header: by its checksum, for old ones too."""
    if len(head) < 512:
        return False
    try:
        wanted = int(head[148:156].strip(b" \0"), 8)
    except ValueError:
        return False
    # POSIX: the sum of all bytes of the header, the checksum field taken as blanks.
    return 0 < wanted == sum(head[:148]) + 8 * 32 + sum(head[156:512]) and head[0] != 0
