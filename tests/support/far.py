"""Stand-ins for what is far away: bytes that tell what was asked of them, and web servers."""

from __future__ import annotations

import http.server
from pathlib import Path
from typing import ClassVar


class FakeWay:
    """Bytes in memory, and what was asked of them."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.asked: list[tuple[int, int]] = []
        self.is_closed = False

    def get(self, start: int, stop: int) -> bytes:
        self.asked.append((start, stop))
        return self.text[start:stop]

    def close(self) -> None:
        self.is_closed = True


class WholeFiles(http.server.SimpleHTTPRequestHandler):
    """Answers every request with the whole file."""

    def log_message(self, *arguments: object) -> None:
        pass


class Ranges(WholeFiles):
    """Answers requests for ranges as well, and keeps them."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        path = Path(self.translate_path(self.path))
        if asked is None or not path.is_file():
            super().do_GET()
            return
        self.asked.append(asked)
        start, stop = asked.removeprefix("bytes=").split("-")
        text = path.read_bytes()
        piece = text[int(start) : int(stop) + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(piece)))
        self.send_header("Content-Range", f"bytes {start}-{stop}/{len(text)}")
        self.end_headers()
        self.wfile.write(piece)


class NoSizes(http.server.BaseHTTPRequestHandler):
    """A server that knows no ranges and no sizes."""

    protocol_version = "HTTP/1.0"

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"Dec  9 04:02:11 mx su[5]: hello\n" * 5000)

    def log_message(self, *_):
        pass
