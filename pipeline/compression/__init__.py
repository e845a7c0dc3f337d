"""Compressions by name, and the name of a file's compression by its first bytes.

A codec is one small file that answers the three questions of `pipeline.compression.base`. Adding
one is a line in the table below. Importing a codec imports no compression library; opening does.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, cast

from pipeline.errors import unknown_name

if TYPE_CHECKING:
    from pipeline.compression.base import Codec

#: Every codec's header has bytes that are no text among its first ones.
_HEADER_BYTES = 32
_TEXT = bytes((9, 10, 13, *range(32, 127)))

#: Name of a codec → module and class, sorted by name.
CODECS = {
    "bgzf": "pipeline.compression.bgzf:BgzfCodec",
    "bzip2": "pipeline.compression.bzip2:Bzip2Codec",
    "gzip": "pipeline.compression.gzip:GzipCodec",
    "lz4": "pipeline.compression.lz4:Lz4Codec",
    "lzma": "pipeline.compression.xz:LzmaCodec",
    "plain": "pipeline.compression.plain:PlainCodec",
    "xz": "pipeline.compression.xz:XzCodec",
    "zstd": "pipeline.compression.zstd:ZstdCodec",
}


@cache
def get_codec(name: str) -> Codec:
    """Return the codec of this name; one instance serves all threads.

    Raises
    ------
    UsageError
        If there is no such codec; it lists the known ones.
    """
    if name not in CODECS:
        raise unknown_name("compression", name, CODECS)
    module, _, class_name = CODECS[name].partition(":")
    return cast("Codec", getattr(import_module(module), class_name)())


def detect(head: bytes) -> str:
    """Return the name of the codec whose file begins with these stored bytes, by content alone.

    Parameters
    ----------
    head : bytes
        The begin of the file; 64 KiB are plenty, 32 bytes mostly do.

    Returns
    -------
    str
        ``plain`` where no other codec knows it: text, archives, an empty file.
    """
    begin = head[:_HEADER_BYTES]
    if not begin.translate(None, _TEXT) and not begin.startswith(b"BZh"):
        return "plain"  # no header but bzip2's is all text: no codec need be imported to see it
    for name in CODECS:
        if name != "plain" and get_codec(name).matches(head):
            return name
    return "plain"
