"""Have small objects at hand before they are opened one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.sources import ranged
from pipeline.sources.objects import RemoteFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.model import SourceFile


def prefetch(files: Sequence[SourceFile]) -> None:
    """Ask for all of small objects that are about to be read, so that they are at hand then.

    What does not come is asked for again when it is opened.
    """
    from pipeline.sources.heads import QuickHeads
    from pipeline.sources.remote import Store

    small = [
        file
        for file in files
        if file.url.startswith(("s3://", "s3a://")) and 0 < (file.size or 0) <= ranged.HEAD_BYTES
    ]
    if len(small) < 2:
        return
    store = Store(small[0].url, small[0].options)
    if not QuickHeads.is_for(store.fs):
        return
    wanted = (
        RemoteFile(one.url, store.path_of(one.url), one.size, one.mtime, mark=one.mark)
        for one in small
    )
    for file, stored in QuickHeads(store.fs, ranged.HEAD_BYTES).read(wanted):
        if stored is not None:
            ranged.keep_head((file.url, file.size, file.mark), stored)
