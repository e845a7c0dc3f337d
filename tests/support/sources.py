"""Files and archives to find, and what was found of them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.source import open_stored

if TYPE_CHECKING:
    from pipeline.model import SourceFile
    from pipeline.source import Listing

LINE = b"Jan  1 00:00:00 mx1 postfix/smtpd[7]: connect\n"


def write(name: str, text: bytes = LINE) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    return name


def urls(listing: Listing) -> list[str]:
    return [file.url for file in listing.files]


def kinds(listing: Listing) -> list[tuple[str, str]]:
    return [(error.url, error.kind) for error in listing.failed]


def read(file: SourceFile) -> bytes:
    with open_stored(file) as stored:
        return b"".join(iter(lambda: stored.read(1000), b""))


def make_tar(members: dict[str, bytes], mode: str = "w", **options) -> bytes:
    stored = io.BytesIO()
    with tarfile.open(fileobj=stored, mode=mode, **options) as tar:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(text), 1199577600
            tar.addfile(info, io.BytesIO(text))
    return stored.getvalue()


def make_zip(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w", compression) as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2008, 1, 6, 4, 2, 0)), text, compression)
    return stored.getvalue()
