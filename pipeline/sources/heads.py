"""Ask an S3 store for the begins of many objects: in its own loop, and past most of its client.

A head costs its reader little but the request, and most of what a request costs here is none of
the network's: waking a thread for each answer, and what botocore does around each call. One call is
therefore prepared by the client, with all that the user's settings make of it, and the others are
made from it: another key, another range, a signature of their own. Whatever does not come as
expected is left to the ordinary way, which tries again and says what is wrong.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pipeline.sources.fetch import requests
from pipeline.sources.rate import read_rate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

    from pipeline.sources.objects import RemoteFile

#: Objects that are asked for together, such batches that are under way, and requests at a time.
_BATCH, _BATCHES_AHEAD, _AT_A_TIME = 64, 3, 64
#: After so many failures in a row it is not tried any more.
_MAX_FAILURES = 10
#: Stands for the key in the call that is prepared.
_ANY_KEY = "sawlog-any-key"


class QuickHeads:
    """Reads begins of objects of one S3 file system.

    Parameters
    ----------
    fs : s3fs.S3FileSystem
        Its session, credentials, endpoint and connections are used.
    head_bytes : int
        Stored bytes of each object that are wanted; fewer where it is shorter.
    """

    def __init__(self, fs: Any, head_bytes: int) -> None:
        self._fs = fs
        self._head_bytes = head_bytes
        self._calls: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._n_failed = 0
        self._gate: asyncio.Semaphore | None = None

    @staticmethod
    def is_for(fs: Any) -> bool:
        """Tell whether a file system can be asked in this way, and as fast as it answers."""
        return hasattr(type(fs), "call_s3") and read_rate() is None

    def read(self, files: Iterable[RemoteFile]) -> Iterator[tuple[RemoteFile, bytes | None]]:
        """Yield each file with its begin, None where the ordinary way must be taken."""
        waiting: deque[tuple[list[RemoteFile], Future[list[bytes | None]]]] = deque()
        rest = iter(files)
        while batch := [*islice(rest, _BATCH)]:
            answers = asyncio.run_coroutine_threadsafe(self._get_all(batch), self._fs.loop)
            waiting.append((batch, answers))
            if len(waiting) == _BATCHES_AHEAD:
                first, of_first = waiting.popleft()
                yield from zip(first, of_first.result(), strict=True)
        for first, of_first in waiting:
            yield from zip(first, of_first.result(), strict=True)

    async def _get_all(self, files: list[RemoteFile]) -> list[bytes | None]:
        if self._gate is None:
            self._gate = asyncio.Semaphore(_AT_A_TIME)
        return await asyncio.gather(*map(self._get, files))

    async def _get(self, file: RemoteFile) -> bytes | None:
        name, _, etag = (file.mark or "").partition(":")
        if name != "ETag" or not file.size or self._n_failed >= _MAX_FAILURES:
            return None
        assert self._gate is not None
        async with self._gate:
            try:
                head = await self._ask(file.path, min(self._head_bytes, file.size), etag)
            except Exception:  # noqa: BLE001  # whatever it is, the ordinary way will tell
                head = None
        self._n_failed = 0 if head is not None else self._n_failed + 1
        return head

    async def _ask(self, path: str, n: int, etag: str) -> bytes | None:
        from botocore.awsrequest import create_request_object

        bucket, key, version = self._fs.split_path(path)
        if version:
            return None
        if bucket not in self._calls:
            self._calls[bucket] = await self._prepare(bucket)
        client, call = self._calls[bucket]
        headers = {**call["headers"], "Range": f"bytes=0-{n - 1}", "If-Match": etag}
        named = {name: call[name].replace(_ANY_KEY, quote(key, safe="/~")) for name in _NAMES}
        # Signing leaves notes in the context.
        asked = {**call, **named, "headers": headers, "context": {**call["context"]}}
        request = create_request_object(asked)
        request.stream_output = True
        await client._request_signer.sign("GetObject", request)  # noqa: SLF001
        requests.add(n)
        endpoint = client._endpoint  # noqa: SLF001
        answer = await endpoint.http_session.send(endpoint.prepare_request(request))
        if answer.status_code == 200 and int(answer.headers.get("Content-Length", n + 1)) > n:
            answer.raw.close()  # the store minds no ranges: this is the whole object
            return None
        # Also where it is an error: the connection is free when all has been read.
        head: bytes = await answer.raw.read()
        return head if answer.status_code in (200, 206) and len(head) == n else None

    async def _prepare(self, bucket: str) -> tuple[Any, dict[str, Any]]:
        """Return the client of a bucket, and its call for an object of any key."""
        await self._fs.set_session()
        client = await self._fs.get_s3(bucket)
        asked = self._fs._get_s3_method_kwargs(client.get_object, Bucket=bucket, Key=_ANY_KEY)  # noqa: SLF001
        model = client.meta.service_model.operation_model("GetObject")
        context = {
            "client_region": client.meta.region_name,
            "client_config": client.meta.config,
            "has_streaming_input": False,
            "auth_type": model.resolved_auth_type,
            "unsigned_payload": model.unsigned_payload,
            "auth_options": client.meta.service_model.metadata.get("auth"),
        }
        asked = await client._emit_api_params(asked, model, context)  # noqa: SLF001
        url, more, properties = await client._resolve_endpoint_ruleset(model, asked, context)  # noqa: SLF001
        if properties:
            context["endpoint_properties"] = properties
        call = await client._convert_to_request_dict(  # noqa: SLF001
            asked, model, url, context=context, headers=more
        )
        # Nobody would look at the checksum.
        call["headers"].pop("x-amz-checksum-mode", None)
        return client, call


_NAMES = ("url", "url_path", "auth_path")
