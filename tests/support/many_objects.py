"""A stand-in for an S3 endpoint whose bucket ``logs`` holds any number of small .gz objects.

``python -m tests.support.many_objects --objects N``: prints its URL, answers until it is killed. A
real server would take hours to be filled with a million objects; here listings are made as they are
asked for, and so are the objects: each holds a line of its own and the lines of its day.
"""

from __future__ import annotations

import argparse
import json
import struct
import zlib
from bisect import bisect_left
from collections import Counter
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Callable

BUCKET = "logs"
PAGE = 1000
#: Each host has a file for each day of a year, named as logrotate's dateext does.
DAYS = 365
_FIRST_DAY = date(2025, 1, 1)


class Objects:
    """The bucket: keys in their order, and what is behind them.

    Parameters
    ----------
    n : int
        Objects.
    lines : int
        Lines of each, its own one not counted.
    """

    def __init__(self, n: int, lines: int) -> None:
        self.n = n
        members = [zlib_member(_day_text(k, lines)) for k in range(DAYS)]
        self._members = members
        longest = max(map(len, members))
        self.size = longest + len(_stored_member(self._own_line(0, 0)))
        self._pads = [longest - len(member) for member in members]

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, k: int) -> str:
        host, day = divmod(k, DAYS)
        return f"mx{host:05}/maillog-{_day_names()[day]}.gz"

    def find(self, key: str) -> int | None:
        """Return the number of an object."""
        k = bisect_left(self, key)
        return k if k < self.n and self[k] == key else None

    def etag(self, k: int) -> str:
        """Return its ETag, without quotation marks."""
        return f"{k:032x}"

    def body(self, k: int) -> bytes:
        """Return its bytes: all objects have the same size."""
        day = k % DAYS
        return _stored_member(self._own_line(k, self._pads[day])) + self._members[day]

    def _own_line(self, k: int, pad: int) -> bytes:
        host, day = divmod(k, DAYS)
        stamp = f"{_FIRST_DAY + timedelta(day):%b %e} 00:00:00"
        return f"{stamp} mx{host:05} sawlog[1]: object {k:09} {'.' * pad}\n".encode()


def _day_text(day: int, lines: int) -> bytes:
    moment = f"{_FIRST_DAY + timedelta(day):%b %e}"
    made = (
        f"{moment} {k * 86399 // max(1, lines) // 3600:02}:{k % 60:02}:{k * 7 % 60:02} mx "
        f"postfix/{('smtpd', 'qmgr', 'smtp', 'cleanup')[k % 4]}[{k * 31 % 9000 + 1000}]: "
        f"{k * 2654435761 % (1 << 32):08X}: from=<u{k % 97}@example.com>, size={k * 37 % 9999}\n"
        for k in range(lines)
    )
    return "".join(made).encode()


@lru_cache(maxsize=1)
def _day_names() -> list[str]:
    return [f"{_FIRST_DAY + timedelta(day):%Y%m%d}" for day in range(DAYS)]


def zlib_member(text: bytes) -> bytes:
    """Return a gzip member."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(text) + packer.flush()


def _stored_member(text: bytes) -> bytes:
    """Return a gzip member without compression: made in microseconds, as long as it is told."""
    return (
        b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01"
        + struct.pack("<HH", len(text), len(text) ^ 0xFFFF)
        + text
        + struct.pack("<II", zlib.crc32(text), len(text))
    )


class Endpoint:
    """Answers ListObjectsV2, HEAD and ranged GET; looks at no signature."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.counts: Counter[str] = Counter()

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        bucket, _, key = request.path.lstrip("/").partition("/")
        if bucket == "-counts":
            return web.Response(text=json.dumps(self.counts))
        if bucket != BUCKET:
            return web.Response(status=404)
        if not key:
            self.counts["list"] += 1
            return web.Response(body=self._list(request.query), content_type="application/xml")
        self.counts[request.method.lower()] += 1
        k = self.objects.find(key)
        if k is None:
            return web.Response(status=404)
        etag = f'"{self.objects.etag(k)}"'
        if request.headers.get("If-Match", etag) not in (etag, etag.strip('"')):
            return web.Response(status=412)
        headers = {"ETag": etag, "Last-Modified": "Wed, 31 Dec 2025 00:00:00 GMT"}
        if request.method == "HEAD":
            return web.Response(headers={**headers, "Content-Length": str(self.objects.size)})
        body = self.objects.body(k)
        asked = request.headers.get("Range")
        if asked is None:
            return web.Response(body=body, headers=headers)
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, stop = int(first), min(len(body), int(last or len(body)) + 1)
        self.counts["get_bytes"] += stop - start
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
        return web.Response(status=206, body=body[start:stop], headers=headers)

    def _list(self, query: Callable[[str], str]) -> bytes:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        most = min(PAGE, int(query.get("max-keys", PAGE)))
        k = max(bisect_left(self.objects, prefix), int(query.get("continuation-token", 0)))
        parts, n, size = [], 0, self.objects.size
        while n < most and k < len(self.objects) and (key := self.objects[k]).startswith(prefix):
            n += 1
            below, mark, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if mark:
                folder = prefix + below + delimiter
                parts.append(f"<CommonPrefixes><Prefix>{quote(folder)}</Prefix></CommonPrefixes>")
                k = bisect_left(self.objects, folder[:-1] + chr(ord(delimiter) + 1))
                continue
            parts.append(
                f"<Contents><Key>{quote(key)}</Key>"
                "<LastModified>2025-12-31T00:00:00.000Z</LastModified>"
                f"<ETag>&quot;{self.objects.etag(k)}&quot;</ETag><Size>{size}</Size>"
                "<StorageClass>STANDARD</StorageClass></Contents>"
            )
            k += 1
        is_cut = k < len(self.objects) and self.objects[k].startswith(prefix)
        token = f"<NextContinuationToken>{k}</NextContinuationToken>" if is_cut else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{BUCKET}</Name><Prefix>{quote(prefix)}</Prefix><KeyCount>{n}</KeyCount>"
            f"<MaxKeys>{most}</MaxKeys><EncodingType>url</EncodingType>"
            f"<IsTruncated>{str(is_cut).lower()}</IsTruncated>{token}{''.join(parts)}"
            "</ListBucketResult>"
        ).encode()


async def serve(objects: Objects) -> None:
    """Serve on loopback for ever."""
    import asyncio

    runner = web.ServerRunner(web.Server(Endpoint(objects).answer, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    print(f"http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Serve as many objects as the command line says."""
    import asyncio

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--lines", type=int, default=100, help="of each object")
    options = parser.parse_args()
    asyncio.run(serve(Objects(options.objects, options.lines)))


if __name__ == "__main__":
    main()
