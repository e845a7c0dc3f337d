"""Ask stores for ranges until they come: tried again where that may help, without secrets."""

from __future__ import annotations

import random
import threading
import time
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from pipeline.errors import StoreError
from pipeline.sources.rate import wait_for_turn
from pipeline.sources.secrets import scrub

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.sources.ways import Way

#: How long a store that fails is asked again: a server restarts in less.
PATIENCE_S = 60.0
#: The same after it was waited for in vain: a dead store must not cost that for each file.
_NO_PATIENCE_S = 1.0
_FIRST_DELAY_S = 0.2
#: So much of an object tells it from another one where the store has no ETags.
MARK_BYTES = 4096
HEAD_MARK = "head:"
_MARK_KEYS = ("VersionId", "ETag", "etag", "generation", "Content-MD5", "Digest")
#: Of libraries that aren't imported here; to try again doesn't help.
_WRONG = (ImportError, ValueError, TypeError, AttributeError, NotImplementedError)
_LASTING = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "TokenRetrievalError",
    "ParamValidationError",
    "ProfileNotFound",
    "HostKeyNotVerifiable",
    "PermissionDenied",
    "InvalidURL",
)


class Requests:
    """What this process has asked stores for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.n_requests = 0
        self.n_bytes = 0

    def add(self, n_bytes: int = 0) -> None:
        """Count a request."""
        with self._lock:
            self.n_requests += 1
            self.n_bytes += n_bytes


requests = Requests()
_given_up = threading.Event()


def mark_of(info: Mapping[str, Any]) -> str | None:
    """Return what a store says that changes with an object: its version or ETag."""
    for key in _MARK_KEYS:
        value = info.get(key)
        if value and value != "null":
            return f"{key}:{value}"
    return None


def mark_of_head(head: bytes) -> str:
    """Return a mark for stores that have none."""
    head = head[:MARK_BYTES]
    return f"{HEAD_MARK}{len(head)}:{blake2b(head, digest_size=16).hexdigest()}"


def insist(
    call: Callable[[], Any],
    options: Mapping[str, str],
    *,
    patience_s: float | None = None,
    is_closed: Callable[[float], bool] | None = None,
) -> Any:
    """Return what a call to a store returns; try again where that may help.

    Parameters
    ----------
    options : mapping of str to str
        Storage options, kept out of messages.
    patience_s : float, optional
        Seconds after the first failure in which another try may begin. Each waits twice as long
        as the one before; libraries may try several times by themselves.
    is_closed : callable, optional
        Waits so many seconds and tells whether nobody wants the answer any more.

    Raises
    ------
    StoreError
        It failed for good.
    ImportError, ValueError, TypeError, AttributeError, NotImplementedError
        It was asked wrongly.
    """
    wait = is_closed or threading.Event().wait
    give_up_at = None
    delay_s = _FIRST_DELAY_S
    while True:
        try:
            answer = call()
            _given_up.clear()
            return answer  # noqa: TRY300
        except (StoreError, *_WRONG):
            raise
        except Exception as error:  # noqa: BLE001  (whatever the library raises)
            # Chance keeps many workers from coming back at the same moment.
            pause_s = delay_s * (1 + random.random())  # noqa: S311
            now = time.monotonic()
            if give_up_at is None:
                patience_s = PATIENCE_S if patience_s is None else patience_s
                give_up_at = now + (_NO_PATIENCE_S if _given_up.is_set() else patience_s)
            kind = kind_of(error)
            is_lasting = kind != "unreadable" or type(error).__name__ in _LASTING
            if is_lasting or now + pause_s > give_up_at:
                if not is_lasting:
                    _given_up.set()
                raise StoreError(kind, scrub(say(error), options)) from None
        if wait(pause_s):
            raise StoreError("unreadable", "given up")
        delay_s *= 2


def kind_of(error: BaseException) -> str:
    """Return the kind of a `SourceError` for what a store raised."""
    if isinstance(error, StoreError):
        return error.kind
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return "missing"
    if isinstance(error, PermissionError) or type(error).__name__ in _LASTING[:4]:
        return "denied"
    return "unreadable"


def say(error: BaseException) -> str:
    """Return what a store's error says, in one line."""
    if type(error).__name__ in _LASTING[:3]:
        return (
            f"{error}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a profile, or give "
            "--storage-option anon=true for a public bucket"
        )
    if type(error).__name__ == "HostKeyNotVerifiable":
        return (
            f"{error}: connect once with ssh to enter its key in ~/.ssh/known_hosts, or give "
            "--storage-option known_hosts=FILE"
        )
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split()) or type(error).__name__


def fetch(
    way: Way,
    start: int,
    stop: int,
    options: Mapping[str, str],
    is_closed: Callable[[float], bool] | None,
) -> bytes:
    """Return exactly the stored bytes in [start, stop), tried again where that may help.

    Raises
    ------
    StoreError
        It failed for good; the message names the range.
    """

    def get() -> bytes:
        wait_for_turn(stop - start)
        requests.add(stop - start)
        piece = way.get(start, stop)
        if len(piece) != stop - start:
            raise OSError(f"only {len(piece):,} of {stop - start:,} bytes came")
        return piece

    try:
        piece: bytes = insist(get, options, is_closed=is_closed)
    except StoreError as error:
        if error.kind in ("changed", "no ranges"):
            raise
        detail = f"bytes {start:,} to {stop - 1:,} could not be read: {error.detail}"
        raise StoreError(error.kind, detail) from None
    except _WRONG as error:
        detail = scrub(f"{type(error).__name__}: {say(error)}", options)
        raise StoreError("unreadable", detail) from None
    return piece
